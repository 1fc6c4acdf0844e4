"""Several people's drawings of one case as the one that they agree on: by majority, or weighted by how well each draws.

STAPLE weighs each reader by the sensitivity and specificity that all drawings together give to them (Warfield, Zou and
Wells, IEEE Trans Med Imaging 23, 2004; for several structures at once Rohlfing, Russakoff and Maurer, 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from segwright.core.errors import UnknownNameError
from segwright.core.labels import IGNORE

Labels = NDArray[Any]


def agreed(drawings: Sequence[Labels], rule: str) -> Labels:
    """What canonical labels `(P, z, y, x)` of several readers have in common.

    Args:
        drawings: On one grid, with one meaning.
        rule: `majority`: a voxel is what more than half of the readers say, else background; of two readers that is
            what both drew. `staple`: what is likeliest where each reader is weighed by agreement with the others.

    Raises:
        UnknownNameError: No such rule.
    """
    if rule not in RULES:
        raise UnknownNameError.among("consensus", rule, RULES)
    return drawings[0] if len(drawings) == 1 else RULES[rule](drawings)


def _majority(drawings: Sequence[Labels]) -> Labels:
    out = np.zeros_like(drawings[0])
    for value in reduce(np.union1d, [np.unique(one) for one in drawings]):
        votes = sum((one == value).astype(np.uint8) for one in drawings)
        out[2 * votes > len(drawings)] = value
    return out


def _staple(drawings: Sequence[Labels]) -> Labels:
    """Plane by plane; voxels of which a reader says that they count nowhere are settled by majority."""
    planes = [_plane([one[plane] for one in drawings]) for plane in range(len(drawings[0]))]
    out = np.stack(planes).astype(drawings[0].dtype)
    unsure = np.any([one == IGNORE for one in drawings], axis=0)
    return np.where(unsure, _majority(drawings), out) if unsure.any() else out


def _plane(drawings: Sequence[Labels]) -> Labels:
    read = [np.where(one == IGNORE, 0, one) for one in drawings]
    values = [int(value) for value in reduce(np.union1d, [np.unique(one) for one in read]) if value]
    if all(np.array_equal(read[0], one) for one in read[1:]) or not values:
        return read[0]
    if len(values) == 1:
        masks = [SimpleITK.GetImageFromArray((one != 0).astype(np.uint8)) for one in read]
        weight = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(masks, 1.0))  # type: ignore[no-untyped-call]
        return np.where(weight > 0.5, values[0], 0)
    codes = [SimpleITK.GetImageFromArray(np.searchsorted([0, *values], one).astype(np.uint16)) for one in read]
    joined = SimpleITK.MultiLabelSTAPLE(codes, len(values) + 1)  # type: ignore[no-untyped-call]
    found = SimpleITK.GetArrayFromImage(joined)
    return np.array([0, *values, 0])[found]


#: Rules by the word that states them.
RULES = {"majority": _majority, "staple": _staple}
