"""Losses on a chosen few voxels: every positive and about as many negatives, the wrongest first."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segwright.core.errors import RecipeError
from segwright.core.seed import derive_seed
from segwright.losses.dice import Activation
from segwright.losses.entropy import structure_logits
from segwright.losses.protocol import in_float32, quiet

FORMS = ("text", "code", "bce")


@in_float32
def lrdehl(  # noqa: PLR0913  # what a recipe may set is a keyword
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    activation: Activation = "softmax",
    form: Literal["text", "code", "bce"] = "bce",
    order: int = 2,
    ratio: float = 0.5,
    hard: float = 0.8,
    minimum: int = 1000,
) -> Tensor:
    """Label related dropout element hinge loss of a liver tumour study, in its three readings (there is no hinge).

    For each structure, over the whole batch, with P its N voxels:

    - `text`: P and the N negatives with the largest scores; `1/N sum |g - p|` (order 1) or `1/(2N) sum (g - p)^2`
      (order 2), as the study prints it. Without a positive voxel it is 0 and teaches nothing.
    - `code`: P and `max(N ratio / (1 - ratio), minimum)` negatives, a share `hard` of them those with the largest
      scores and the rest drawn at random; mean of `|g - p|` or `(g - p)^2`, as its program computes it.
    - `bce` (default): the voxels of `code` under cross-entropy. The other two have no gradient left where the answer
      is surely wrong: with order 2, a positive at a score of 0.0001 pulls with 0.07 % of the largest pull.

    The drawing depends on the numbers of positives and negatives only, so that a resumed run repeats it.

    Args:
        logits: `(B, C, ...)`.
        target: One-hot of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored; such voxels are never chosen.
        activation: `softmax` for exclusive structures (the background is no structure), `sigmoid` otherwise.
        form: See above.
        order: 1 for absolute, 2 for squared error; `bce` has none.
        ratio: Share of negatives among the voxels chosen, below 1.
        hard: Share of hard negatives among the negatives.
        minimum: Fewest negatives, so that samples without a structure teach as well.
    """
    _check(form, order, ratio)
    margins, first = structure_logits(quiet(logits, weight), activation)
    counted = None if weight is None else (weight > 0).expand_as(margins)
    terms = []
    for channel in range(margins.shape[1]):
        x, g = margins[:, channel], target[:, channel + first]
        kept = slice(None) if counted is None else counted[:, channel]
        terms.append(_mined(x[kept].flatten(), g[kept].flatten(), form, order, (ratio, hard, minimum)))
    return torch.stack(terms).mean()


def _mined(x: Tensor, g: Tensor, form: str, order: int, shares: tuple[float, float, int]) -> Tensor:
    """Loss of one channel whose counted voxels are given as flat logits and answers."""
    positive = g > 0.5
    count = int(positive.sum())
    right, wrong = x[positive], x[~positive]
    if form == "text":
        wrong = wrong.topk(min(count, len(wrong))).values
    else:
        wrong = wrong[_chosen(wrong.detach(), count, *shares)]
    chosen = torch.cat([right, wrong])
    if len(chosen) == 0:
        return x.sum() * 0
    answer = torch.cat([torch.ones_like(right), torch.zeros_like(wrong)])
    if form == "bce":
        return F.binary_cross_entropy_with_logits(chosen, answer)
    error = (answer - chosen.sigmoid()).abs() ** order
    if form == "code":
        return error.mean()
    return error.sum() / (order * max(count, 1))


def _chosen(negatives: Tensor, positives: int, ratio: float, hard: float, minimum: int) -> Tensor:
    """Indices of hard and drawn negatives, each at most once."""
    wanted = int(max(positives * ratio / (1 - ratio), minimum))
    top = min(int(hard * wanted), len(negatives))
    first = negatives.topk(top).indices
    drawn = wanted - int(hard * wanted)
    if not drawn or len(negatives) == 0:
        return first
    generator = torch.Generator().manual_seed(derive_seed(0, "lrdehl", positives, len(negatives)))
    rest = torch.randint(len(negatives), (drawn,), generator=generator).to(first.device)
    return torch.unique(torch.cat([first, rest]))


def _check(form: str, order: int, ratio: float) -> None:
    if form not in FORMS:
        raise RecipeError("Loss parameter 'form' is not valid.", expected=" or ".join(FORMS), got=form)
    if order not in (1, 2):
        raise RecipeError("Loss parameter 'order' is not valid.", expected="1 or 2", got=order)
    if not 0 <= ratio < 1:
        raise RecipeError("Loss parameter 'ratio' is not valid.", expected="a share below 1", got=ratio)
