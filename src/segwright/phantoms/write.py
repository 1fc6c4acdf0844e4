"""Phantoms as files, arranged the way people keep such scans: what the demo and the documentation start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segwright.core.errors import UsageError
from segwright.core.seed import derive
from segwright.phantoms import PHANTOMS
from segwright.phantoms.layouts import STYLES, USUAL, hold_back


def write_dataset(
    name: str, folder: str | Path, *, cases: int, seed: int = 0, held_out: int = 0, patients_share: float = 0.7
) -> Path:
    """Draw a labelled dataset, and scans kept back for a final check.

    The folder then holds `scans/`, to be given to `segwright fit`, and (if asked for) `held-out/images` and
    `held-out/labels`, whose patients do not occur in `scans/`. How `scans/` is arranged depends on the phantom; see
    `segwright.phantoms.layouts`. Letters in names of X-rays are views of one patient.

    Args:
        name: Row of `PHANTOMS`.
        folder: Where to write; made if absent.
        cases: Labelled scans.
        seed: Of all of them.
        held_out: Further scans in `held-out/`.
        patients_share: Number of patients as a share of the number of X-rays; the rest are further views of a
            patient already drawn. Volumes are always one a patient.

    Returns:
        The folder.

    Raises:
        UnknownNameError: No phantom has that name.
        UsageError: There is no case to draw.
    """
    folder = Path(folder)
    draw = PHANTOMS.load(name)
    if cases < 1 or held_out < 0:
        raise UsageError("A dataset needs at least one case.", got=f"cases={cases}, held_out={held_out}")
    style = STYLES.get(name, USUAL)
    share = patients_share if style.views else 1.0
    views, further = _views(cases, share, seed), _views(held_out, share, seed + 1)
    names = []
    for case_id, patient, view in _named(views, 0, style.letter, style.views):
        phantom = draw(seed, patient, view)
        style.put(folder / "scans", case_id, phantom)
        names.append(case_id)
    if style.describe is not None:
        style.describe(folder / "scans", phantom, names)
    for case_id, patient, view in _named(further, len(views), style.letter, style.views):
        hold_back(folder / "held-out", case_id, draw(seed, patient, view), style)
    return folder


def _views(cases: int, share: float, seed: int) -> list[int]:
    """Views of each patient, so that they sum to `cases`; the second and third views are dealt out at random."""
    patients = min(cases, max(1, -(-cases // 3), round(cases * share))) if cases else 0
    counts = [1] * patients
    rng = derive(seed, "phantom views", cases)
    while sum(counts) < cases:
        open_to_more = [i for i, count in enumerate(counts) if count < 3]
        counts[int(rng.choice(open_to_more))] += 1
    return counts


def _named(views: list[int], first: int, letter: str, several: bool) -> Iterator[tuple[str, int, int]]:
    """`(case id, patient, view)` of each scan; where patients have several, the view is a last letter."""
    for patient, count in enumerate(views, start=first):
        for view in range(count):
            yield f"{letter}{patient:03d}" + (f"_{'abc'[view]}" if several else ""), patient, view
