"""One thing the integrity check noticed: what, where, and the hint."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import AliasChoices, Field

from segwright.core.appearance import Appearance
from segwright.core.document import Document, Part


class Finding(Part):
    """A fact about a dataset that a person should know.

    Attributes:
        level: `error` stops a fit, `warning` is listed, `note` tells what was assumed or mapped.
        code: Short stable name, e.g. `shape-mismatch`.
        what: One sentence.
        where: Case id or file; empty for the dataset as a whole.
        hint: What to do.
    """

    level: Literal["error", "warning", "note"]
    code: str
    what: str
    where: str = ""
    hint: str = Field(default="", validation_alias=AliasChoices("hint", "hint"))  # runs of before say hint


class CaseFacts(Part):
    """What one pass over a case measured.

    Attributes:
        group: Of cases that stay on one side of a split; near-duplicates share one, whatever the dataset says.
        shape: Voxels `(z, y, x)`.
        spacing: mm a voxel, `None` where unknown.
        orientation: Axis codes.
        image_type: NumPy type of the stored image.
        percentiles: For each channel, the 0, 0.5, 50, 99.5 and 100 percentiles.
        mean, std: For each channel, over all voxels.
        zero_share: Share of voxels that are exactly 0 in every channel.
        content: Shape of the box around non-zero voxels.
        volumes: Voxels of each structure.
        foreground: For each channel: mean, std, 0.5 and 99.5 percentile over labelled voxels; empty without any.
        centres: Mean voxel index of each structure present.
        forms: Spread, tilt and skewness of each structure present; see `planning.forms`.
        shared: Share of labelled voxels that belong to several structures.
        covered: For each structure present, the share of its voxels that belong to others as well.
        pieces: Connected pieces of each structure present, crumbs left out; of instances none are counted.
        label_values: Raw value counts of a value map, as found on disk.
        digest: Hash of the image's bytes, for finding duplicates.
        modality: As the file's header calls it, such as `CT`; empty where it does not.
        adapted: How its channels were brought to the dataset's.
        appearance: How it looks; `None` in runs begun before that was measured.
        sketch: A small copy of the image as text, for finding near-duplicates; see `planning.likeness`.
    """

    case: str
    group: str
    shape: tuple[int, int, int]
    spacing: tuple[float | None, float | None, float | None]
    orientation: str
    image_type: str
    percentiles: tuple[tuple[float, float, float, float, float], ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    zero_share: float
    content: tuple[int, int, int]
    volumes: dict[str, int] = Field(default_factory=dict)
    foreground: tuple[tuple[float, float, float, float], ...] = ()
    centres: dict[str, tuple[float, float, float]] = Field(default_factory=dict)
    forms: dict[str, tuple[float, float, float, float, float, float, float, float, float]] = Field(default_factory=dict)
    shared: float = 0.0
    covered: dict[str, float] = Field(default_factory=dict)
    pieces: dict[str, int] = Field(default_factory=dict)
    label_values: dict[int, int] = Field(default_factory=dict)
    digest: str = ""
    modality: str = ""
    adapted: tuple[str, ...] = ()
    appearance: Appearance | None = None
    sketch: str = ""


class Inspection(Document):
    """Findings and measured facts of a dataset, from one pass over it; the fingerprint is read off it."""

    filename: ClassVar[str] = "inspection.json"
    findings: tuple[Finding, ...]
    facts: tuple[CaseFacts, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that stop a fit."""
        return tuple(finding for finding in self.findings if finding.level == "error")
