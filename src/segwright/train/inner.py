"""Cuts the context slices off a label, which the network sees in the image but does not predict."""

from __future__ import annotations

from torch import Tensor


def inner(label: Tensor, context: int) -> Tensor:
    """`(B, P, z, y, x)` without `context` slices at either end of z."""
    return label[:, :, context : label.shape[2] - context] if context else label
