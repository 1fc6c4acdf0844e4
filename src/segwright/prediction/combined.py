"""An ensemble of models of different plans: each prepares and restores in its own way, then their scores are mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import segwright
from segwright.core.case import Case, Dataset
from segwright.core.errors import ModelError
from segwright.core.model import Combination, EnsemblePart, Manifest
from segwright.core.plan import Plan
from segwright.postprocess.chain import Chain, apply_to_scores
from segwright.postprocess.ensemble import blend, votes_of
from segwright.prediction.model import Model, Prediction
from segwright.prediction.objects import find_objects, usual_chain


@dataclass
class CombinedModel(Model):
    """A model that asks several models and mixes what they say; loaded by `Model.load` like any other.

    Args:
        combination: How the parts are mixed.
        parts: The models, in its order.
    """

    combination: Combination | None = None
    parts: Sequence[Model] = field(default_factory=tuple)

    @classmethod
    def open(
        cls, folder: Path, *, device: str = "auto", folds: Sequence[int] | None = None, **options: Any
    ) -> CombinedModel:
        """Open the folder that `segwright ensemble` writes; `folds` and `options` go to every part.

        Raises:
            ModelError: A part is missing, damaged, or of another label space than the others.
        """
        manifest = Manifest.opened(folder)
        combination = Combination.load(folder / Combination.filename)
        parts = [Model.load(_whole(folder, part), device=device, folds=folds, **options) for part in combination.parts]
        first = parts[0].plan
        for part, model in zip(combination.parts, parts, strict=True):
            if _meaning(model.plan) != _meaning(first):
                raise ModelError(
                    "The parts of the ensemble segment different structures.",
                    expected=" ".join(_meaning(first)),
                    got=" ".join(_meaning(model.plan)),
                    where=folder / part.folder,
                    hint="Make the ensemble anew with 'segwright ensemble'.",
                )
            if combination.combine == "mean":
                model.chain = None  # it was chosen for this part alone; the ensemble has its own
        if set(combination.weights) != set(first.labels.names) or any(
            len(row) != len(parts) for row in combination.weights.values()
        ):
            raise ModelError(
                "The weights of the ensemble do not fit its parts.",
                expected=f"{len(parts)} for each of {', '.join(first.labels.names)}",
                got=str(combination.weights)[:200],
                where=folder / Combination.filename,
                hint="Make the ensemble anew with 'segwright ensemble'.",
            )
        chain = folder / Chain.filename
        return cls(
            plan=first,
            weights=[path for model in parts for path in model.weights],
            chain=Chain.load(chain) if chain.exists() else None,
            manifest=manifest,
            device=device,
            combination=combination,
            parts=parts,
            **options,
        )

    @property
    def shares(self) -> NDArray[np.float64]:
        """`(parts, structures)`: how much each part counts."""
        assert self.combination is not None
        return np.array([self.combination.weights[name] for name in self.plan.labels.names]).T

    @cached_property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """Loads the networks of all parts; as each has its own grid and window, there is none for all of them."""
        for part in self.parts:
            part.forward  # noqa: B018 - damaged members are found before any scan is read

        def refuse(batch: Tensor) -> Tensor:
            raise ModelError(
                "An ensemble of several models has no common window.",
                hint="Segment whole scans, or use one of its parts.",
            )

        return refuse

    @cached_property
    def identity(self) -> str:
        """Changes with anything that changes results: the parts, how they are mixed, post-processing."""
        assert self.combination is not None
        own = [self.combination.content_hash(), self.chain.content_hash() if self.chain else ""]
        return hashlib.sha256(repr([own, [part.identity for part in self.parts]]).encode()).hexdigest()[:16]

    @property
    def sealed(self) -> bool:
        """Whether the folder and those of all parts state digests."""
        return super().sealed and all(part.sealed for part in self.parts)

    @property
    def records(self) -> bool:
        """Whether every part knows what it learnt from."""
        return all(part.records for part in self.parts)

    def segment(self, dataset: Dataset, case: Case, *, keep_scores: bool = False, strict: bool = False) -> Prediction:
        """Segment one case: every part on its own grid, mixed on the scan's."""
        assert self.combination is not None
        space, votes = self.plan.labels, self.combination.combine == "vote"
        told: list[dict[str, Any]] = []
        opinions: list[NDArray[np.uint8]] = []
        for part in self.parts:
            if votes:
                voted = part.segment(dataset, case, strict=strict)
                source, trail, provenance = voted.source, voted.trail, voted.provenance
                opinions.append(votes_of(voted.labels, space))
            else:
                source, result, trail, provenance, _ = part.scored(dataset, case, strict=strict)
                assert result.scores is not None
                opinions.append(result.scores)
            told.append(provenance)
        scores, chain = blend(opinions, self.shares, votes=votes), self.chain or usual_chain(self.plan.target)
        if space.instances:
            labels = find_objects(chain, scores, self.plan, trail or source.geometry)
        else:
            labels = apply_to_scores(chain, scores, space, geometry=source.geometry)
        provenance = {
            "segwright": segwright.__version__,
            "combine": self.combination.combine,
            "parts": told,
            "weights": self.combination.weights,
            "postprocess": self.chain is not None,
            "repaired_voxels": max(one.get("repaired_voxels", 0) for one in told),
            "outside": list(dict.fromkeys(text for one in told for text in one["outside"])),
        }
        return Prediction(case.id, labels, space, source, scores if keep_scores else None, provenance, trail=trail)


def _meaning(plan: Plan) -> tuple[str, ...]:
    """What scores of a plan's networks are about."""
    return (plan.labels.kind, *plan.labels.names, *([f"by {plan.target}"] if plan.labels.instances else []))


def _whole(folder: Path, part: EnsemblePart) -> Path:
    """The folder of a part, if it is there and holds the plan it was added with."""
    path = folder / part.folder
    if not (path / Manifest.filename).exists() or not (path / Plan.filename).exists():
        raise ModelError(
            "A part of the ensemble is missing.", expected=part.folder, where=folder, hint="Copy the whole folder."
        )
    found = Plan.stored_hash(path / Plan.filename)
    if part.plan not in {found, Plan.load(path / Plan.filename).content_hash()}:
        raise ModelError(
            "A part of the ensemble is not the one it was made of.",
            expected=f"plan {part.plan}",
            got=f"plan {found}",
            where=path,
            hint="Make the ensemble anew with 'segwright ensemble'.",
        )
    return path
