"""The manifest of a deployable model folder."""

from __future__ import annotations

from typing import Any, ClassVar

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
