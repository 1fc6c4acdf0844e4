"""How a label that has no place in the world lies on its scan: the order of its planes, and axes that run backwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import GeometryError
from segwright.core.geometry import Geometry
from segwright.io.grids import has_place
from segwright.io.sections import natural
from segwright.io.sources import volume_of

Order = NDArray[np.int64]


def laid(
    dataset: Dataset, case: Case, source: LabelSource, values: NDArray[Any], geometry: Geometry
) -> tuple[NDArray[Any], Geometry]:
    """Values `(z, y, x)` of a label as its source says that they lie, and their grid.

    Raises:
        GeometryError: The label has a place of its own, or the order of its planes is not known or does not fit.
    """
    if not source.order and not source.flip:
        return values, geometry
    if has_place(geometry):
        raise GeometryError(
            "The label says itself where it lies.",
            got=f"order {source.order}, flip {source.flip}",
            where=dataset.path(source),
            hint="Take 'order' and 'flip' away in dataset.yaml.",
        )
    if source.order == "unknown":
        raise _order_unknown(dataset, source)
    values = np.flip(values, tuple("zyx".index(axis) for axis in source.flip or "" if axis in "zyx"))
    if source.order in (None, "position"):
        return values, Geometry(values.shape, geometry.affine, geometry.known)
    header = volume_of(dataset, case.images[0]).header
    names = volume_of(dataset, source).header.get("files", ())
    order = planes_for(source.order, header, len(values), names)
    if order is None:
        raise GeometryError(
            f"The {len(values)} planes of the label do not fit the {len(header.get('planes', ()))} of the series.",
            expected="a plane for each file of the series, or files called or numbered as those of the series",
            where=dataset.path(source),
            hint="Correct 'order' in dataset.yaml, or add the planes that are missing.",
        )
    out = np.zeros((len(header["slices"]), *values.shape[1:]), values.dtype)
    out[order] = values
    return out, Geometry.from_spacing(out.shape)


def _order_unknown(dataset: Dataset, source: LabelSource) -> GeometryError:
    return GeometryError(
        "The order of the label's planes cannot be known: it has no place in the world, and the series has two orders.",
        expected="order: position, file or number",
        got="neither fits the images clearly better than the other",
        where=dataset.path(source),
        hint="Look at the label both ways with 'segwright view', and state 'order' in dataset.yaml.",
    )


def planes_for(order: str, header: Mapping[str, Any], count: int, names: Sequence[str] = ()) -> Order | None:
    """For each of the `count` planes of a label, the plane of the scan it belongs to; `None` where that is not said.

    Args:
        order: `position`, `file` or `number`.
        header: Of the scan; a DICOM series tells file name, frame and InstanceNumber of each plane.
        count: Planes of the label.
        names: Files of the label, where it has one a plane.
    """
    planes = list(header.get("slices", ()))
    if order == "position" or not planes:
        return np.arange(count) if count == len(planes) or not planes else None
    ranks = [(natural(name), frame) if order == "file" else (number,) for name, frame, number in planes]
    if len(set(ranks)) < len(ranks):
        return None
    if count == len(planes):
        return np.array(sorted(range(count), key=lambda z: ranks[z]), dtype=np.int64)
    return _by_number(planes, order, names) if len(names) == count < len(planes) else None


def _by_number(planes: Sequence[tuple[str, int, float]], order: str, names: Sequence[str]) -> Order | None:
    """Fewer label files than planes, as where slices without the object were left out: they belong by their number."""
    if order == "number":
        table = {int(number): z for z, (_, _, number) in enumerate(planes)}
    else:
        told = last_numbers([name for name, _, _ in planes])
        table = {number: z for z, number in enumerate(told)} if told else {}
    wanted = last_numbers(names)
    if not wanted or not table or not set(wanted) <= set(table):
        return None
    return np.array([table[number] for number in wanted], dtype=np.int64)


def last_numbers(names: Sequence[str]) -> list[int]:
    """The one number in which some names differ; empty where it is not one, or does not tell all apart.

    Example:
        >>> last_numbers(["a1_003.png", "a1_004.png"]), last_numbers(["a1_b2.png", "a2_b1.png"])
        ([3, 4], [])
    """
    rows = [[part for part in natural(name) if part[0] >= 0] for name in names]
    if not rows or len({len(row) for row in rows}) != 1:
        return []
    varying = [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
    if len(varying) != 1 or len(set(varying[0])) != len(names):
        return []
    return [number for number, _ in varying[0]]
