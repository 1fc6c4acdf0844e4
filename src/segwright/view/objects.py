"""Single objects of a structure: numbered, measured, and found again in the other labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.bincount import tally
from segwright.core.geometry import Geometry
from segwright.ops.components import label_components

#: Rows of the table sent to the page; the largest objects come first.
MOST_ROWS = 5000


@dataclass(frozen=True)
class Objects:
    """Numbered objects `(z, y, x)` from 1, and one row each."""

    ids: NDArray[Any]
    rows: list[dict[str, Any]]
    total: int

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return int(self.ids.nbytes)


def find_objects(mask: NDArray[np.bool_], geometry: Geometry, other: Callable[[], Any] | None = None) -> Objects:
    """Connected parts of a mask `(z, y, x)`, each with voxels, size, box and a voxel to jump to.

    Args:
        mask: True inside.
        geometry: Its grid.
        other: The mask of the same structure elsewhere; each object gets the share of it that is found there.
    """
    ids, count = label_components(mask)
    return measured(ids, count, geometry, other() if other is not None else None)


def numbered_objects(numbers: NDArray[Any], geometry: Geometry, other: Callable[[], Any] | None = None) -> Objects:
    """Objects that labels `(z, y, x)` number themselves; 0 and less is none of them."""
    ids = np.maximum(numbers, 0)
    return measured(ids, int(ids.max(initial=0)), geometry, other() if other is not None else None)


def measured(ids: NDArray[Any], count: int, geometry: Geometry, other: NDArray[np.bool_] | None) -> Objects:
    """Rows of numbered objects; numbers without voxels have none."""
    voxels = tally(ids, count + 1)
    boxes = ndimage.find_objects(ids)
    shared = np.bincount(ids[other], minlength=count + 1) if other is not None else None
    order = [int(i) for i in np.argsort(-voxels[1:], kind="stable") + 1 if voxels[i]][:MOST_ROWS]
    rows = []
    for number in order:
        box = boxes[number - 1]
        row = {
            "id": number,
            "voxels": int(voxels[number]),
            "size": _size(int(voxels[number]), geometry),
            "box": [[part.start, part.stop] for part in box],
            "at": _inside(ids, number, box),
        }
        if shared is not None:
            row["found"] = float(shared[number] / voxels[number])
        rows.append(row)
    return Objects(ids, rows, int((voxels[1:] > 0).sum()))


def _size(voxels: int, geometry: Geometry) -> float | None:
    return None if geometry.voxel_volume is None else voxels * geometry.voxel_volume


def _inside(ids: NDArray[Any], number: int, box: Any) -> list[int]:
    """A voxel of the object nearest to its centre, so that a jump never lands beside a bent one."""
    part = ids[box] == number
    where = np.argwhere(part)
    nearest = where[np.square(where - where.mean(axis=0)).sum(axis=1).argmin()]
    return [int(n + b.start) for n, b in zip(nearest, box, strict=True)]
