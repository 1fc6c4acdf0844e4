"""An exploration as plain text for a terminal, at most 80 columns wide, the most telling lines first."""

from __future__ import annotations

from segwright.planning.exploration import Exploration, Spread
from segwright.report.explored import range_text
from segwright.report.text import aligned, wrapped
from segwright.report.wording import MISSING, percent, significant

#: Lines of each table; the page and the JSON document hold the rest.
_STRUCTURES, _PAIRS, _ODD = 40, 8, 6


def exploration_text(found: Exploration) -> str:
    """Structures, overlaps and unusual cases."""
    parts = [_structures(found), _overlaps(found), _unusual(found)]
    parts += ["\n".join(line for note in found.notes for line in wrapped(note))]
    return "\n\n".join(part for part in parts if part)


def _structures(found: Exploration) -> str:
    if not found.labelled or not found.structures:
        return ""
    head = ["structure", "cases", "share", found.size_unit, "[5 - 95 %]", "intensity", "at edge"]
    rows = [
        [
            view.name,
            str(view.cases),
            percent(view.share.median) if view.share else MISSING,
            significant(view.size.median) if view.size else MISSING,
            f"[{range_text(view.size).replace(' – ', ' - ')}]" if range_text(view.size) else "",
            _brightness(view.intensity[0] if view.intensity else None),
            str(view.at_edge) if view.at_edge else "",
        ]
        for view in found.structures[:_STRUCTURES]
    ]
    lines = aligned([head, *rows])
    return "\n".join([*lines, *_left_out(len(found.structures), _STRUCTURES, "structures")])


def _brightness(spread: Spread | None) -> str:
    return MISSING if spread is None else significant(spread.median)


def _overlaps(found: Exploration) -> str:
    if not found.overlaps:
        return "No two structures share a voxel." if found.overlapping and found.labelled else ""
    head = ["overlap", "cases", "voxels", "of the smaller", "at most"]
    rows = [
        [
            f"{row.first} + {row.second}",
            str(row.cases),
            f"{row.voxels:,}",
            percent(row.of_smaller.median),
            percent(row.of_smaller.high),
        ]
        for row in found.overlaps[:_PAIRS]
    ]
    return "\n".join([*aligned([head, *rows]), *_left_out(len(found.overlaps), _PAIRS, "pairs")])


def _unusual(found: Exploration) -> str:
    odd = [row for row in found.rows if row.why]
    if not odd:
        return ""
    lines = [f"Unusual cases ({len(odd)} of {found.cases})"]
    for row in odd[:_ODD]:
        lines += wrapped(f"{row.case}: {'; '.join(row.why)}", start=2, hang=4)
    return "\n".join([*lines, *_left_out(len(odd), _ODD, "cases")])


def _left_out(total: int, shown: int, what: str) -> list[str]:
    more = total - shown
    return [f"  and {more} more {what}; --report and --json show all"] if more > 0 else []
