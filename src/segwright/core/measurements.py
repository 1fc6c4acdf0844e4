"""What measuring a folder gave: one row a number, and what stood in the way."""

from __future__ import annotations

from typing import ClassVar

from segwright.core.document import Document, Part
from segwright.core.inspection import Finding


class Reading(Part):
    """One number of one case. `value` is `None` where it could not be taken; `note` says why, or what to mind.

    Attributes:
        measure: Row of the measures table.
        quantity: What the number is: `area`, `cobb main`, ...
        unit: `mm` and its powers where spacing is known, else `voxels`; `°`, `count`, or empty for a ratio.
    """

    case: str
    structure: str
    measure: str
    quantity: str
    value: float | None
    unit: str
    note: str = ""


class Measurements(Document):
    """All readings of a call.

    Attributes:
        readings: In the order of cases and measures.
        findings: Measures that could not be taken, and why; what was assumed or should be checked.
        overlays: Pictures, relative to the table's folder.
    """

    filename: ClassVar[str] = "measurements.json"
    source: str
    readings: tuple[Reading, ...]
    findings: tuple[Finding, ...] = ()
    overlays: tuple[str, ...] = ()
