"""Scores objects of two volumes of any size: overlaps are counted box by box, nothing is ever held whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.box import Box, tile
from segwright.core.errors import GeometryError, LabelError
from segwright.core.geometry import Geometry
from segwright.core.report import Report, Score
from segwright.core.volume import Volume
from segwright.core.words import amount
from segwright.evaluation.aggregate import aggregate
from segwright.metrics import OBJECT_METRICS
from segwright.metrics.contingency import Contingency
from segwright.metrics.instances import load_object_metric
from segwright.metrics.overlap import dice, iou

#: Voxels of both volumes looked at together.
AT_ONCE = 1 << 23

#: Up to so many different values each is scored on its own as well.
STRUCTURES = 12


@dataclass(frozen=True)
class Counted:
    """Overlaps of two volumes.

    Attributes:
        table: Which ids meet, and in how many voxels.
        geometry: Grid of the reference.
        boxes: Boxes that were read.
        notes: What was assumed.
    """

    table: Contingency
    geometry: Geometry
    boxes: int
    notes: tuple[str, ...] = ()


def count_overlaps(reference: Volume, prediction: Volume, *, told: Callable[[int, int], None] | None = None) -> Counted:
    """Sum the overlap tables of boxes that follow the chunks of the reference.

    Args:
        reference: Ids, 0 background, negative ignored; signed, or floats that hold whole numbers.
        prediction: The same, not negative, on a grid of the same shape.
        told: Called with boxes done and all boxes.

    Raises:
        GeometryError: The shapes differ.
        LabelError: Values are no ids.
    """
    one, two = (volume.data.shape for volume in (reference, prediction))
    if one != two or one[0] != 1:
        raise GeometryError(
            "Reference and prediction must be ids on grids of one shape.",
            expected=one[1:] if one[0] == 1 else "one channel",
            got=two[1:] if two[0] == 1 else f"{two[0]} channels",
            where=str(prediction.header.get("path", "")),
            hint="Give two label volumes of the same scan at the same resolution.",
        )
    boxes = list(_boxes(reference))
    sums = _Sum()
    for done, box in enumerate(boxes, start=1):
        sums.add(Contingency.from_arrays(whole_numbers(reference, box), whole_numbers(prediction, box)))
        if told:
            told(done, len(boxes))
    table = sums.total()
    notes: tuple[str, ...] = () if reference.geometry.aligned_with(prediction.geometry, 0.5) else (_GRIDS,)
    ignored = math.prod(one) - table.voxels
    if ignored:
        notes += (f"{amount(ignored, 'voxel')} of the reference ignored, because negative.",)
    return Counted(table, reference.geometry, len(boxes), notes)


_GRIDS = "The grids differ in spacing or place; voxels were compared by their index."


class _Sum:
    """Adds tables pairwise, so that each row is merged a logarithm of times and not once a box."""

    def __init__(self) -> None:
        self.levels: list[Contingency | None] = []

    def add(self, table: Contingency) -> None:
        for level, waiting in enumerate(self.levels):
            if waiting is None:
                self.levels[level] = table
                return
            table, self.levels[level] = waiting + table, None
        self.levels.append(table)

    def total(self) -> Contingency:
        table = Contingency.empty()
        for waiting in self.levels:
            table = table if waiting is None else table + waiting
        return table


def whole_numbers(volume: Volume, box: Box) -> NDArray[Any]:
    """Ids `(z, y, x)` of a box as integers.

    Raises:
        LabelError: A value is no whole number.
    """
    ids = volume.array(box)[0]
    if ids.dtype.kind != "f":
        return ids
    if not np.isfinite(ids).all() or (ids != np.floor(ids)).any():
        raise LabelError(
            "Ids must be whole numbers.",
            got=f"fractions in voxels {box.start} to {box.stop}",
            where=str(volume.header.get("path", "")),
            hint="Give labels, not scores.",
        )
    return ids.astype(np.int64)


def _boxes(volume: Volume) -> Iterator[Box]:
    """Boxes of whole chunks where the chunks are known, else slabs, of about `AT_ONCE` voxels."""
    shape = volume.geometry.shape
    chunk = volume.header.get("chunks") or (1, min(512, shape[1]), shape[2])
    size = [min(c, n) for c, n in zip(chunk, shape, strict=True)]
    while math.prod(size) < AT_ONCE and any(s < n for s, n in zip(size, shape, strict=True)):
        axis = next(a for a in (2, 1, 0) if size[a] < shape[a])
        size[axis] = min(2 * size[axis], shape[axis])
    yield from tile(shape, size)


def evaluate_volumes(
    reference: str | Path,
    prediction: str | Path,
    *,
    smallest: int = 0,
    told: Callable[[int, int], None] | None = None,
) -> Report:
    """Object scores of one volume of ids against another, read box by box.

    Args:
        reference: Zarr, N5, HDF5 or any other volume of ids.
        prediction: The same.
        smallest: Reference objects of fewer voxels are left out, as crumbs of annotation.
        told: Called with boxes done and all boxes.
    """
    name = io.suffix_of(prediction)
    case = Path(prediction).name.removesuffix(name)
    counted = count_overlaps(io.read_label(reference), io.read_label(prediction), told=told)
    table = counted.table.drop_reference(smallest) if smallest else counted.table
    rows = [
        Score(case=case, group=case, structure="objects", metric=metric, value=value)
        for metric, value in object_values(table).items()
    ]
    notes = [
        f"{amount(len(table.reference_ids), 'object')} in the reference, {len(table.prediction_ids):,} predicted, in "
        f"{amount(counted.table.voxels, 'voxel')}, counted in {amount(counted.boxes, 'box')}.",
        *counted.notes,
    ]
    if smallest:
        notes.append(f"Reference objects under {amount(smallest, 'voxel')} were left out.")
    if not len(table.reference_ids):
        notes.append("The reference holds no object.")
    if len(table.reference_ids) == 1 < len(table.prediction_ids):
        notes.append(
            "The reference holds a single id, so all of it counts as one object. If it is a mask whose pieces are the "
            "objects, give --instances (or space='instances')."
        )
    rows += _by_value(table, case)
    return Report(title=case, scores=tuple(rows), aggregates=aggregate(rows), notes=tuple(notes))


def _by_value(table: Contingency, case: str) -> list[Score]:
    """Dice and IoU of each value, where values are few enough to be structures rather than ids."""
    ids = np.union1d(table.reference_ids, table.prediction_ids)
    if len(ids) > STRUCTURES:
        return []
    rows = []
    for value in ids:
        counts = _Voxels.of(table, table.pairs == value)
        for metric in (dice, iou):
            result = metric.measure(counts)  # type: ignore[arg-type]
            rows.append(Score(case=case, group=case, structure=f"value {value}", metric=metric.name, value=result))
    return rows


class _Voxels(NamedTuple):
    """What metrics of overlap ask of two masks."""

    reference_voxels: int
    prediction_voxels: int
    common_voxels: int

    @classmethod
    def of(cls, table: Contingency, inside: NDArray[np.bool_]) -> _Voxels:
        """Counts where `inside` `(N, 2)` tells for each row of the table whether either side is within the mask."""
        first, second = inside.T
        return cls(*(int(table.counts[rows].sum()) for rows in (first, second, first & second)))


def object_values(table: Contingency) -> dict[str, float | None]:
    """All rows of the object metrics, and IoU of all objects together; `None` where one is undefined.

    Example:
        >>> table = Contingency.from_arrays(np.array([0, 1, 1, 2]), np.array([0, 1, 1, 2]))
        >>> object_values(table)["accuracy_75"], object_values(table)["rand_error"], object_values(table)["iou"]
        (1.0, 0.0, 1.0)
    """
    values = {name: load_object_metric(name).of_objects(table)[0] for name in OBJECT_METRICS}
    counts = _Voxels.of(table, table.pairs != 0)
    known = counts.reference_voxels + counts.prediction_voxels > 0
    return values | {"iou": iou.measure(counts) if known else None}  # type: ignore[arg-type]
