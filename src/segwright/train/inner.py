"""Cuts the context off a label: voxels that the network sees in the image but does not predict."""

from __future__ import annotations

from torch import Tensor

from segwright.core.plan import Triple


def inner(label: Tensor, context: Triple) -> Tensor:
    """`(B, P, z, y, x)` without `context` voxels at either end of each axis."""
    for axis, side in enumerate(context, start=2):
        label = label.narrow(axis, side, label.shape[axis] - 2 * side)
    return label
