"""All metrics of one case in one go, so that crops, borders and distances are computed once a structure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.errors import GeometryError
from segwright.core.geometry import Spacing
from segwright.core.labels import IGNORE, LabelSpace
from segwright.metrics import DEFAULT_METRICS, METRICS, OBJECT_METRICS
from segwright.metrics.instances import load_object_metric, score_objects
from segwright.metrics.metric import Metric, from_function
from segwright.metrics.pair import Pair
from segwright.ops.components import enclosing_box, join_boxes, number_boxes


class CaseScore(NamedTuple):
    """One value of one case: structure or region, metric, value (`None` if undefined) and why."""

    structure: str
    metric: str
    value: float | None
    note: str


def load_metric(name: str) -> Metric:
    """The metric of a row; a plain function from a plug-in package is wrapped.

    Raises:
        UnknownNameError: No row has that name.
    """
    if name in OBJECT_METRICS:
        return load_object_metric(name)
    row = METRICS.load(name)
    return row if isinstance(row, Metric) else from_function(name, row)


def score_case(
    space: LabelSpace,
    reference: NDArray[Any],
    prediction: NDArray[Any],
    *,
    spacing: Spacing | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    tolerance: float | None = None,
) -> list[CaseScore]:
    """Score every structure and region of a case.

    Voxels that the reference ignores are taken out of both masks first.

    Args:
        space: Meaning of the labels.
        reference: Canonical labels `(P, z, y, x)`.
        prediction: Canonical labels `(P, z, y, x)` on the same grid.
        spacing: mm a voxel `(z, y, x)`; `None` where unknown, then lengths and tolerance are in voxels.
        metrics: Rows of the metrics table.
        tolerance: For surface Dice, in mm; `usual_tolerance` if not given.

    Raises:
        GeometryError: The arrays differ in shape, or do not have the planes of the label space.

    Example:
        >>> space = LabelSpace(structures=[{"name": "cell", "values": [1]}])
        >>> labels = np.array([[[[0, 1, 1]]]], np.int16)
        >>> score_case(space, labels, labels, metrics=["dice"])
        [CaseScore(structure='cell', metric='dice', value=1.0, note='')]
    """
    _check(space, reference, prediction)
    rows = [CaseScore(*row) for row in score_objects(space, reference, prediction, metrics)] if space.instances else []
    chosen = [load_metric(name) for name in metrics if name in METRICS]
    for name, first, second in _masks(space, reference, prediction):
        pair = Pair(first, second, spacing=spacing, tolerance=tolerance, shape=reference.shape[1:])
        rows += [CaseScore(name, metric.name, *metric.of(pair)) for metric in chosen]
    return rows


def scored_names(space: LabelSpace) -> tuple[str, ...]:
    """Structures and regions that an evaluation has rows for."""
    return (*space.names, *space.regions)


def _check(space: LabelSpace, reference: NDArray[Any], prediction: NDArray[Any]) -> None:
    if reference.shape != prediction.shape or reference.ndim != 4 or reference.shape[0] != space.planes:
        raise GeometryError(
            "Reference and prediction must be canonical labels (P, z, y, x) of one shape.",
            expected=f"{space.planes} planes, reference {reference.shape}",
            got=prediction.shape,
            hint="Put the prediction on the grid of the reference.",
        )


def _masks(
    space: LabelSpace, reference: NDArray[Any], prediction: NDArray[Any]
) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Masks of every structure and region, cut to a box that holds them in both arrays."""
    boxes = [join_boxes(*both) for both in zip(_boxes(space, reference), _boxes(space, prediction), strict=True)]
    counted = ~space.ignored(reference) if reference.min(initial=0) == IGNORE else None
    parts: dict[str, tuple[int, ...]] = {name: (i,) for i, name in enumerate(space.names)}
    for region, members in space.regions.items():
        parts[region] = tuple(space.names.index(member) for member in members)
    for name, indices in parts.items():
        box = join_boxes(*(boxes[index] for index in indices))
        where = box.slices if box else (slice(0, 0),) * 3
        first, second = (_union(space, labels[(slice(None), *where)], indices) for labels in (reference, prediction))
        if counted is not None:
            first, second = first & counted[where], second & counted[where]
        yield name, first, second


def _boxes(space: LabelSpace, labels: NDArray[Any]) -> list[Box | None]:
    """A box around each structure; one pass for all of them where they are exclusive."""
    if space.exclusive and not space.instances:
        return number_boxes(labels[0], len(space.structures))
    return [enclosing_box(space.mask(labels, index)) for index in range(len(space.structures))]


def _union(space: LabelSpace, labels: NDArray[Any], indices: Sequence[int]) -> NDArray[np.bool_]:
    masks = [space.mask(labels, index) for index in indices]
    return np.logical_or.reduce(masks) if len(masks) > 1 else masks[0]
