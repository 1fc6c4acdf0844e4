"""Where each structure of a case lies and what form it has, in few numbers that tell a shape from its mirror image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.labels import LabelSpace

#: Larger labels are measured over every n-th voxel of each axis, so that about this many remain.
ENOUGH = 2_000_000

Centre = tuple[float, float, float]
#: Standard deviations along z, y and x in voxels; correlations zy, zx and yx; skewness along z, y and x.
Form = tuple[float, float, float, float, float, float, float, float, float]


def centres_and_forms(label: NDArray[Any], space: LabelSpace) -> tuple[dict[str, Centre], dict[str, Form]]:
    """Mean voxel index and form of each structure present in a canonical label `(P, z, y, x)`.

    A voxel counts as a cube, so that a flat structure has a thickness too. Costs one pass a structure over at most
    about two million voxels.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}])
        >>> centres_and_forms(np.array([[[[1, 1, 0, 2]]]]), space)[0]
        {'a': (0.0, 0.0, 0.5), 'b': (0.0, 0.0, 3.0)}
    """
    step = max(1, round((label[0].size / ENOUGH) ** (1 / max(1, sum(n > 1 for n in label.shape[1:])))))
    thin = label[:, ::step, ::step, ::step]
    centres, forms = {}, {}
    for index, name in enumerate(space.names):
        where = np.nonzero(space.mask(thin, index))
        if len(where[0]):
            middle = [float(axis.mean()) for axis in where]
            z, y, x = (value * step for value in middle)
            centres[name] = (z, y, x)
            forms[name] = _form([axis - at for axis, at in zip(where, middle, strict=True)], step)
    return centres, forms


def _form(offsets: list[NDArray[Any]], step: int) -> Form:
    """Of voxels by their offsets from the middle, `step` voxels apart."""
    spread = [float(np.sqrt(axis @ axis / len(axis) + 1 / 12)) for axis in offsets]
    unit = [axis / size for axis, size in zip(offsets, spread, strict=True)]
    joint = [float(unit[a] @ unit[b] / len(unit[a])) for a, b in ((0, 1), (0, 2), (1, 2))]
    skew = [float((axis * axis) @ axis / len(axis)) for axis in unit]
    z, y, x, *rest = (round(value, 4) for value in (*(size * step for size in spread), *joint, *skew))
    zy, zx, yx, skew_z, skew_y, skew_x = rest
    return z, y, x, zy, zx, yx, skew_z, skew_y, skew_x
