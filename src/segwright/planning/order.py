"""Finds out from labels whether the structures are look-alikes in a row, such as vertebrae."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.document import Part
from segwright.core.inspection import CaseFacts
from segwright.core.labels import LabelSpace
from segwright.core.plan import RowPlan
from segwright.planning.places import Turn, row_facts

#: What makes a row: this many structures, each at most this many times as large as its neighbour,
LEAST, ALIKE = 4, 2.5
#: no step longer than this many times the case's usual one, no turn sharper than this cosine,
LONGEST, TURN = 3.0, 0.2
#: all running the same way (length of the mean direction), in this share of cases.
SAME_WAY, NEARLY_ALL = 0.8, 0.9
#: Share of labelled voxels, and of any structure's, that may belong to several structures: drawn outlines touch, organs
#: truly overlap, and a small tumour lies in its organ altogether.
SHARED, COVERED = 0.02, 0.2


class Order(Part):
    """How far the structures of a dataset form a row of look-alikes.

    Attributes:
        cases: Cases with enough structures to tell.
        in_row: Share of them in which the structures follow one another on a line in the order of their names' list.
        same_way: Length of the mean direction from first to last, 1 if all rows run the same way.
        size_ratio: Largest ratio between the median sizes of two neighbours.
        shared: Median share of labelled voxels in several structures.
        covered: Largest median share of a structure's voxels that belong to others as well; 1 where not measured.
        axis: Axis (0 z, 1 y, 2 x of the common orientation) along which the rows run.
        usual, why_usual: How many cases show each structure and where it usually lies, and why; `None` if not measured.
    """

    cases: int
    in_row: float
    same_way: float
    size_ratio: float
    shared: float
    covered: float = 1.0
    axis: int
    usual: RowPlan | None = None
    why_usual: str = ""

    @property
    def drawn_only(self) -> bool:
        """Whether structures overlap in drawing only, and none lies on or in another."""
        return self.shared <= SHARED and self.covered <= COVERED

    @property
    def doubt(self) -> str:
        """Why these are no look-alikes in a row; empty if they are."""
        if self.in_row < NEARLY_ALL:
            return f"structures follow one another on a line in {self.in_row * 100:.0f} % of the cases only"
        if self.size_ratio > ALIKE:
            return f"neighbours differ up to {self.size_ratio:.1f} times in size"
        if self.same_way < SAME_WAY:
            return "rows run in different directions"
        if self.shared > SHARED:
            return f"structures share {self.shared * 100:.0f} % of their voxels"
        return ""


def shared_voxels(label: NDArray[Any]) -> float:
    """Share of labelled voxels that belong to several structures.

    Example:
        >>> shared_voxels(np.array([[[[1, 1, 0]]], [[[0, 1, 0]]]]))
        0.5
    """
    if len(label) == 1:
        return 0.0
    count = (label > 0).sum(axis=0, dtype=np.int16)
    labelled = int(np.count_nonzero(count))
    return int(np.count_nonzero(count > 1)) / labelled if labelled else 0.0


def covered_shares(label: NDArray[Any], space: LabelSpace) -> dict[str, float]:
    """For each structure present, the share of its voxels that belong to others as well.

    Example:
        >>> space = LabelSpace(structures=[{"name": "liver"}, {"name": "tumour"}], kind="overlapping")
        >>> covered_shares(np.array([[[[1, 1, 1, 1]]], [[[0, 0, 0, 1]]]]), space)
        {'liver': 0.25, 'tumour': 1.0}
    """
    if space.kind != "overlapping":
        return {}
    several = (label > 0).sum(axis=0, dtype=np.int16) > 1
    masks = {name: space.mask(label, index) for index, name in enumerate(space.names)}
    sizes = {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}
    return {name: int(np.count_nonzero(masks[name] & several)) / size for name, size in sizes.items() if size}


def order_of(facts: Sequence[CaseFacts], names: Sequence[str], orientation: Sequence[Turn]) -> Order | None:
    """Whether structures form a row, in the order of `names`; `None` if no case has enough of them.

    Args:
        facts: Of labelled cases.
        names: Structures in channel order.
        orientation: For each case, its axes in the common order and which of them run the other way.
    """
    rows = []
    for fact, turn in zip(facts, orientation, strict=True):
        points = [fact.centres[name] for name in names if name in fact.centres]
        if len(points) >= LEAST:
            rows.append((fact, _turned(np.array(points), fact, turn)))
    if not rows:
        return None
    ways = [_way(points) for _, points in rows]
    axis = int(np.abs(np.mean(ways, axis=0)).argmax())
    usual, why_usual = row_facts(facts, names, axis, orientation)
    return Order(
        cases=len(rows),
        in_row=sum(_is_row(points) for _, points in rows) / len(rows),
        same_way=float(np.linalg.norm(np.mean(ways, axis=0))),
        size_ratio=_size_ratio(facts, names),
        shared=float(np.median([fact.shared for fact, _ in rows])),
        covered=_covered(facts, names),
        axis=axis,
        usual=usual,
        why_usual=why_usual,
    )


def _covered(facts: Sequence[CaseFacts], names: Sequence[str]) -> float:
    """Largest median over cases of a structure's share that belongs to others as well."""
    shares = [[fact.covered[name] for fact in facts if name in fact.covered] for name in names]
    return max((float(np.median(found)) for found in shares if found), default=1.0)


def _turned(points: NDArray[np.float64], fact: CaseFacts, turn: Turn) -> NDArray[np.float64]:
    """Centres `(N, 3)` in mm (voxels where unknown) along the axes of the common orientation."""
    lengths = [step or 1.0 for step in fact.spacing]
    columns = []
    for axis, flipped in zip(*turn, strict=True):
        values = points[:, axis] * lengths[axis]
        columns.append(-values if flipped else values)
    return np.stack(columns, axis=1)


def _way(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vector from the first to the last."""
    chord: NDArray[np.float64] = points[-1] - points[0]
    return chord / max(float(np.linalg.norm(chord)), 1e-9)


def _is_row(points: NDArray[np.float64]) -> bool:
    """Whether points follow one another at like distances without sharp turns."""
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    if lengths.min() <= 0 or lengths.max() > LONGEST * np.median(lengths):
        return False
    units = steps / lengths[:, None]
    return bool(all(float(a @ b) > TURN for a, b in pairwise(units)))


def _size_ratio(facts: Sequence[CaseFacts], names: Sequence[str]) -> float:
    """Largest ratio of the median sizes of neighbours in the list."""
    sizes = [
        float(np.median([fact.volumes[name] for fact in facts if fact.volumes.get(name, 0) > 0] or [0]))
        for name in names
    ]
    known = [size for size in sizes if size > 0]
    return max((max(a, b) / min(a, b) for a, b in pairwise(known)), default=1.0)
