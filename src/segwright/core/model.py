"""The manifest of a deployable model folder."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from segwright.core.document import Document, Part


class Member(Part):
    """One trained network of an ensemble.

    Attributes:
        fold: Fold whose validation cases it never saw.
        weights: File name inside the model folder.
        sha256: Of that file.
    """

    fold: int
    weights: str
    sha256: str


class Manifest(Document):
    """What a model folder holds; `plan.json` and, if any, `chain.json` (post-processing) lie beside it.

    Attributes:
        name: As shown to people.
        version: segwright version that wrote it.
        created: ISO date and time.
        members: Networks whose scores are averaged.
        scores: Out-of-fold summary: `structure/metric` to mean and interval.
        card: Facts for the model card (data, groups, limits).
    """

    filename: ClassVar[str] = "manifest.json"
    name: str
    version: str
    created: str
    members: tuple[Member, ...]
    scores: dict[str, tuple[float | None, float | None, float | None]] = Field(default_factory=dict)
    card: dict[str, Any] = Field(default_factory=dict)


class EnsemblePart(Part):
    """One of the models an ensemble of models is made of, whole and usable on its own.

    Attributes:
        name: Run it came from.
        folder: Model folder inside the ensemble's.
        recipe: Recipe it was trained by.
        plan: Hash of its plan.
        members: Networks it holds.
    """

    name: str
    folder: str
    recipe: str
    plan: str
    members: int


class Combination(Document):
    """How the models of an ensemble become one answer; written as `ensemble.json` in its folder.

    Attributes:
        combine: Weighted mean of the models' scores on the scan's own grid, or weighted vote of their final labels.
        parts: The models.
        weights: For each structure the share of each part.
    """

    filename: ClassVar[str] = "ensemble.json"
    combine: Literal["mean", "vote"] = "mean"
    parts: tuple[EnsemblePart, ...]
    weights: dict[str, tuple[float, ...]]
