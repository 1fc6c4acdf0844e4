"""Pseudo-Dice (and pseudo-AP of objects): a cheap sign of progress on a few fixed patches; never a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segwright.core.plan import Plan
from segwright.metrics.contingency import Contingency
from segwright.metrics.objects import mean_average_precision
from segwright.postprocess.instances import build_decoder
from segwright.sample.case import SampleCase
from segwright.sample.patches import Patches
from segwright.targets import build_target, target_info
from segwright.train.parts import inner

#: Patches looked at; few, because the score only steers the eye and notices a collapse.
PATCHES = 8


class PseudoDice:
    """Scores a network on fixed patches, pooled over them.

    Args:
        plan: Resolved plan.
        cases: Where the patches come from; validation cases, or training cases where there are none.
        fold: Names the random stream.
        device: Torch device.
    """

    def __init__(self, plan: Plan, cases: Sequence[SampleCase], fold: int, device: torch.device) -> None:
        self.plan = plan
        self.device = device
        self.target = build_target(plan.target, plan.labels)
        self.objects: float | None = None
        source = Patches(
            list(cases)[:PATCHES],
            patch=plan.sample.patch,
            context=plan.net.context,
            policy="foreground",
            foreground=1.0,
            batch=min(plan.train.batch, max(len(cases), 1)),
            seed=plan.seed,
            fold=fold,
        )
        self.batches = [source.at(i) for i in range(-(-PATCHES // source.batch))]

    def check(self, net: nn.Module) -> dict[str, Any]:
        """What the log gets: `pseudo_dice` as `score` gives it, and where objects are learnt `pseudo_ap` as well."""
        dice = self.score(net)
        return {"pseudo_dice": dice} | ({"pseudo_ap": self.objects} if self.plan.labels.instances else {})

    @torch.inference_mode()
    def score(self, net: nn.Module) -> dict[str, float]:
        """Dice of each structure pooled over the patches; structures absent from all of them are left out."""
        net.eval()
        found = PseudoObjects(self.plan) if self.plan.labels.instances else None
        overlap: Tensor | float = 0.0
        total: Tensor | float = 0.0
        for batch in self.batches:
            hits, sizes = self._count(net, batch.image.to(self.device), batch.label.to(self.device), found)
            overlap, total = overlap + hits, total + sizes
        self.objects = None if found is None else found.score()
        names = self.plan.labels.names
        pairs = zip(names, torch.as_tensor(overlap).tolist(), torch.as_tensor(total).tolist(), strict=True)
        return {name: 2 * hit / size for name, hit, size in pairs if size > 0}

    def _count(
        self, net: nn.Module, image: Tensor, label: Tensor, found: PseudoObjects | None
    ) -> tuple[Tensor, Tensor]:
        """Twice-counted overlap and summed sizes per structure; objects are handed to `found`."""
        reference, weight = self.target.encode(inner(label, self.plan.net.context))
        bfloat16 = self.plan.train.precision == "bfloat16"
        with torch.autocast(image.device.type, torch.bfloat16, enabled=bfloat16):
            logits = net(image)
        if found is not None:
            scores, ids = self.target.activate(logits), inner(label, self.plan.net.context)
            found.add(scores, ids)
            return self._count_any(scores, ids)
        predicted = self._harden(logits)
        if weight is not None:
            predicted, reference = predicted * weight, reference * weight
        first = reference.shape[1] - len(self.plan.labels.structures)
        axes = (0, 2, 3, 4)
        predicted, reference = predicted[:, first:], reference[:, first:]
        return (predicted * reference).sum(axes), (predicted + reference).sum(axes)

    def _count_any(self, scores: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The same for what lies in any object."""
        counted = (ids >= 0).float()
        any_object = torch.stack([self.target.structure_scores(one) for one in scores])
        predicted, reference = (any_object > 0.5).float() * counted, (ids > 0).float()
        return (predicted * reference).sum()[None], (predicted + reference).sum()[None]

    def _harden(self, logits: Tensor) -> Tensor:
        """Logits to one-hot decisions, through the target's own decoding."""
        scores = self.target.activate(logits).cpu().numpy()
        labels = np.stack([self.target.decode(one) for one in scores])
        return self.target.encode(torch.from_numpy(labels))[0].to(logits.device)


class PseudoObjects:
    """Collects objects of patches and scores all of them together.

    Objects are cut by the patch's faces, in the reference and in the prediction alike, and their connected parts
    count: the value steers a choice between weights of one fold, and compares with nothing else.

    Args:
        plan: Of instances; its target names the decoders.
    """

    def __init__(self, plan: Plan) -> None:
        self.decoder = build_decoder(target_info(plan.target).decoders[0])
        self.table = Contingency.empty()
        self.first = 0

    def add(self, scores: Tensor, ids: Tensor) -> None:
        """Decode patches and count what meets what.

        Args:
            scores: Activated channels `(B, C, z, y, x)`, 0 to 1.
            ids: Reference objects `(B, 1, z, y, x)`; -1 is ignored.
        """
        for one, reference in zip(scores.float().cpu().numpy(), ids.cpu().numpy().astype(np.int64), strict=True):
            found = self.decoder.decode(one).astype(np.int64)[None]
            shift = self.first  # the same number in another patch is another object
            self.table += Contingency.from_arrays(
                np.where(reference > 0, reference + shift, reference), np.where(found > 0, found + shift, 0)
            )
            self.first += int(max(reference.max(), found.max(), 0))

    def score(self) -> float | None:
        """Average precision of the objects added, mean over IoU 0.50 to 0.95; `None` without any reference object."""
        return mean_average_precision(self.table)
