"""In how many pieces a structure lies: a label of another number than all others is often a slip of the hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.labels import LabelSpace
from segwright.ops.components import connected_ids

#: Pieces smaller than this share of a structure's largest are crumbs and not counted.
CRUMB = 0.05


def piece_counts(label: NDArray[Any], space: LabelSpace) -> dict[str, int]:
    """Connected pieces of each structure present in a canonical label `(P, z, y, x)`, crumbs left out.

    Instances are told apart by their labels already, so nothing is counted for them.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}])
        >>> piece_counts(np.array([[[[1, 0, 1, 2]]]]), space)
        {'a': 2, 'b': 1}
    """
    if space.instances:
        return {}
    found = {}
    for index, plane in enumerate(label):
        for number, sizes in _sizes(plane if plane.min(initial=0) >= 0 else np.maximum(plane, 0)).items():
            name = space.names[number - 1 if space.exclusive else index]
            found[name] = int(np.count_nonzero(sizes >= CRUMB * sizes.max()))
    return {name: found[name] for name in space.names if name in found}


def _sizes(plane: NDArray[Any]) -> dict[int, NDArray[np.int64]]:
    """Voxels of every piece of each value but 0 of a plane `(z, y, x)`; slice by slice, as indices are 64 bits wide."""
    pieces = connected_ids(plane)
    count = int(pieces.max(initial=0))
    sizes, values = np.zeros((2, count + 1), np.int64)
    for part, labels in zip(pieces, plane, strict=True):
        sizes += np.bincount(part.ravel(), minlength=count + 1)
        values[part] = labels
    return {int(value): sizes[1:][values[1:] == value] for value in np.unique(values[1:])}
