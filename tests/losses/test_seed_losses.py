"""Losses of published systems against numbers worked out by hand and against their programs written out in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segwright.core.errors import RecipeError
from segwright.core.recipe import PartChoice
from segwright.losses import bind_loss
from segwright.losses.combine import Switch, current
from segwright.losses.entropy import structure_logits

P, G = (0.9, 0.2, 0.6, 0.0), (1.0, 0.0, 1.0, 0.0)


def bind(name: str, **params: Any) -> Any:
    return bind_loss(PartChoice(name=name, params=params))


def scored(scores: Any, answer: Any) -> tuple[Tensor, Tensor]:
    """Logits of given scores (0 and 1 become nearly so) and the reference, one channel."""
    logits = torch.logit(torch.tensor(scores, dtype=torch.float64), eps=1e-9).float()
    return logits.reshape(1, 1, 1, -1), torch.tensor(answer).reshape(1, 1, 1, -1).float()


def test_dice_forms_and_why_one_is_refused() -> None:
    linear = bind("dice", activation="sigmoid", smooth=1.0)(*scored(P, G))
    squared = bind("dice", activation="sigmoid", smooth=1.0, squared=True)(*scored(P, G))
    assert linear.item() == pytest.approx(0.1489, abs=5e-5)
    assert squared.item() == pytest.approx(0.0499, abs=5e-5)
    p, g = np.array(P), np.array(G)
    refused = 1 - 2 * ((p * g).sum() + 1) / ((p**2).sum() + (g**2).sum() + 1)
    assert refused == pytest.approx(-0.1876, abs=5e-5)
    assert bind("dice", activation="sigmoid", smooth=1.0, squared=True)(*scored((0.0,) * 4, (0.0,) * 4)).item() == (
        pytest.approx(0, abs=1e-6)
    )


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_weighted_bce_by_hand(activation: str) -> None:
    """Share of foreground 1/4: the foreground weighs 3. The inverted weight of 1/3 would give 0.1510."""
    logits, target = scored((0.6, 0.2, 0.1, 0.1), (1.0, 0.0, 0.0, 0.0))
    if activation == "softmax":
        logits, target = torch.cat([0 * logits, logits], dim=1), torch.cat([1 - target, target], dim=1)
    assert bind("weighted_bce", activation=activation)(logits, target).item() == pytest.approx(0.4916, abs=5e-5)
    terms = -np.log([0.6, 0.8, 0.9, 0.9])
    assert (terms * [1 / 3, 1, 1, 1]).mean() == pytest.approx(0.1510, abs=5e-5)


def test_mask_and_boundary_are_summed_as_their_source_sums_them() -> None:
    """Boundary as the mask by hand above, of which the mean over both channels would be half."""
    mask, boundary = scored((0.6, 0.2, 0.1, 0.1), (1.0, 0.0, 0.0, 0.0)), scored((0.5,) * 4, (1.0, 0.0, 0.0, 0.0))
    logits, target = (torch.cat(pair, dim=1) for pair in zip(mask, boundary, strict=True))
    terms = (0.4916, float(np.log(2) * np.mean([3, 1, 1, 1])))
    for channels, expected in (("sum", sum(terms)), ("mean", sum(terms) / 2)):
        value = bind("weighted_bce", activation="sigmoid", channels=channels)(logits, target)
        assert value.item() == pytest.approx(expected, abs=1e-4)
    weight = torch.ones_like(target[:, :1])
    assert bind("weighted_bce", activation="sigmoid", channels="sum")(logits, target, weight=weight).item() == (
        pytest.approx(sum(terms), abs=1e-4)
    )


@pytest.mark.parametrize(("positives", "positive", "negative"), [
    (0, 1.0, 1.0), (1, 19.0, 1.0), (10, 9.0, 1.0), (50, 1.0, 1.0), (90, 1.0, 9.0), (100, 1.0, 1.0),
])  # fmt: skip
def test_weights_by_share_of_foreground(positives: int, positive: float, negative: float) -> None:
    """The rarer side never weighs less than 1; 0.05 and 0.99 clip the share; pure samples are not weighted."""
    answer = np.zeros(100)
    answer[:positives] = 1
    logits, target = scored(np.full(100, 0.5), answer)
    expected = np.log(2) * np.where(answer == 1, positive, negative).mean()
    assert bind("weighted_bce", activation="sigmoid")(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_weights_are_taken_for_each_sample_and_channel() -> None:
    logits = torch.zeros(2, 2, 1, 10)
    target = torch.zeros(2, 2, 1, 10)
    target[0, 0, 0, :1], target[0, 1, 0, :2], target[1, 0, 0, :5] = 1, 1, 1
    weights = [9 * 1 + 9, 4 * 2 + 8, 10, 10]
    value = bind("weighted_bce", activation="sigmoid")(logits, target)
    assert value.item() == pytest.approx(np.log(2) * sum(weights) / 40, rel=1e-5)


def by_program(p: Any, g: Any, order: int, *, ratio: float, hard: float, minimum: int) -> float:
    """The released selection without its random part, in NumPy."""
    negatives = np.sort(p[g == 0])[::-1]
    count = int(max((g == 1).sum() * ratio / (1 - ratio), minimum))
    error = np.concatenate([1 - p[g == 1], negatives[: int(hard * count)]])
    return float((np.abs(error) ** order).mean())


@pytest.mark.parametrize("order", [1, 2])
def test_mined_losses_agree_with_their_formulas(order: int) -> None:
    rng = np.random.default_rng(0)
    p, g = rng.uniform(0.02, 0.98, 400), (rng.uniform(size=400) < 0.1).astype(float)
    logits, target = scored(p, g)
    count = int(g.sum())
    hardest = np.sort(p[g == 0])[::-1][:count]
    text = ((1 - p[g == 1]) ** order).sum() + (hardest**order).sum()
    ours = bind("lrdehl", activation="sigmoid", form="text", order=order)(logits, target)
    assert ours.item() == pytest.approx(text / (order * count), rel=1e-4)
    settings = {"ratio": 0.75, "hard": 1.0, "minimum": 20}
    ours = bind("lrdehl", activation="sigmoid", form="code", order=order, **settings)(logits, target)
    assert ours.item() == pytest.approx(by_program(p, g, order, **settings), rel=1e-4)
    chosen = np.sort(p[g == 0])[::-1][: 3 * count]
    bce = -np.concatenate([np.log(p[g == 1]), np.log(1 - chosen)]).mean()
    assert bind("lrdehl", activation="sigmoid", **settings)(logits, target).item() == pytest.approx(bce, rel=1e-4)


def test_a_part_of_the_negatives_is_drawn_the_same_way_each_time() -> None:
    logits, target = scored(np.linspace(0.01, 0.99, 500), np.arange(500) % 10 == 0)
    loss = bind("lrdehl", activation="sigmoid", form="code", ratio=0.5, hard=0.5, minimum=40)
    assert loss(logits, target) == loss(logits, target)
    only_hard = bind("lrdehl", activation="sigmoid", form="code", ratio=0.5, hard=1.0, minimum=40)
    assert loss(logits, target) < only_hard(logits, target)
    logits.requires_grad_()
    loss(logits, target).backward()
    touched = (logits.grad != 0).sum().item()
    assert 50 + 25 < touched <= 50 + 50


def test_without_a_positive_the_minimum_teaches_and_the_text_does_not() -> None:
    logits, target = scored(np.linspace(0.1, 0.9, 50), np.zeros(50))
    assert bind("lrdehl", activation="sigmoid", form="text")(logits, target).item() == 0
    for form in ("code", "bce"):
        assert bind("lrdehl", activation="sigmoid", form=form, minimum=10)(logits, target).item() > 0.1


def test_only_cross_entropy_pulls_where_the_answer_is_surely_wrong() -> None:
    pulls = {}
    for form in ("code", "bce"):
        logits, target = scored([1e-4], [1.0])
        logits.requires_grad_()
        bind("lrdehl", activation="sigmoid", form=form)(logits, target).backward()
        pulls[form] = abs(logits.grad.item())
    largest = 2 / 3 * (2 / 3) ** 2
    assert pulls["bce"] == pytest.approx(1, abs=1e-3)
    assert pulls["code"] / largest == pytest.approx(0.0007, abs=5e-5)


def test_settings_of_mined_losses_are_checked() -> None:
    for wrong in ({"form": "paper"}, {"order": 3}, {"ratio": 1.0}):
        with pytest.raises(RecipeError, match=next(iter(wrong))):
            bind("lrdehl", **wrong)(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2))


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_a_softmax_is_as_many_sigmoids(channels: int) -> None:
    logits = 30 * torch.randn(2, channels, 4, 4, generator=torch.Generator().manual_seed(0))
    margins, first = structure_logits(logits, "softmax")
    torch.testing.assert_close(margins.sigmoid(), logits.softmax(1)[:, 1:])
    assert first == 1 and structure_logits(logits, "sigmoid") == (logits, 0)


def test_a_loss_switches_at_its_step_or_share() -> None:
    logits, target = scored(P, G)
    early, late = bind("dice", activation="sigmoid"), bind("focal", activation="sigmoid")
    by_step = bind("switch", before="dice", after={"name": "focal"}, step=30, activation="sigmoid")
    by_share = bind("switch", before="dice", after="focal", share=0.5, activation="sigmoid")
    for loss, moment, expected in [
        (by_step, (0.9, 29), early), (by_step, (0.0, 30), late),
        (by_share, (0.49, 999), early), (by_share, (0.5, 0), late), (early, (1.0, 10), early),
    ]:  # fmt: skip
        assert current(loss, *moment)(logits, target) == expected(logits, target)
    assert by_step(logits, target) == early(logits, target)


def test_deep_supervision_switches_too() -> None:
    choice = PartChoice(name="switch", params={"before": "dice", "after": "cross_entropy", "share": 0.5})
    deep = bind_loss(choice, deep_supervision=True)
    target = torch.eye(4).reshape(1, 4, 1, 4)[:, :2]
    logits = [torch.randn(1, 2, 1, 4), torch.randn(1, 2, 1, 2)]
    for progress, name in ((0.2, "dice"), (0.8, "cross_entropy")):
        plain = bind_loss(PartChoice(name=name), deep_supervision=True)
        assert current(deep, progress, 0)(logits, target) == plain(logits, target)


def test_progressive_heads_of_one_size_weigh_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.eye(3)[torch.randint(3, (1, 4, 4), generator=generator)].movedim(-1, 1)
    sizes = [(4, 4), (4, 4), (2, 2), (2, 2)]
    logits = [torch.randn(1, 3, *size, generator=generator) for size in sizes]
    one = bind("cross_entropy")
    small = target[:, :, 1::2, 1::2]
    terms = [one(part, target if part.shape[2] == 4 else small) for part in logits]
    ours = bind_loss(PartChoice(name="cross_entropy"), deep_supervision=True)(logits, target)
    torch.testing.assert_close(ours, (terms[0] + terms[1] + 0.5 * terms[2] + 0.5 * terms[3]) / 3)


def test_a_switch_says_what_is_wrong() -> None:
    with pytest.raises(RecipeError, match="share"):
        Switch(share=0.5, step=3)
    with pytest.raises(RecipeError, match="share"):
        Switch(share=1.5)
    with pytest.raises(RecipeError, match="Did you mean 'before'"):
        bind("switch", befor="dice")
