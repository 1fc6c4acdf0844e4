"""Intensity mappings that bring scans of very different brightness to one scale, and repair of broken voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from segwright.core.errors import GeometryError
from segwright.core.plan import Normalisation

#: Statistics of larger channels are taken from an even subsample of about this many voxels.
SAMPLE_VOXELS = 4_000_000
#: Local contrast is taken over this share of a plane's longer edge to either side,
NEIGHBOURHOOD = 1 / 24
#: and amplified as if its deviation were at least this share of the whole channel's, so that noise stays noise.
LEAST_CONTRAST = 0.05


def repair(array: NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    """A float32 copy in which every voxel is finite, and how many were not.

    Infinities become the channel's largest or smallest finite value; NaN becomes 0 or the finite value nearest to it.

    Args:
        array: `(C, z, y, x)`.

    Example:
        >>> fixed, count = repair(np.array([[[[np.nan, 5.0, 9.0, np.inf]]]]))
        >>> fixed.ravel().tolist(), count
        ([5.0, 5.0, 9.0, 9.0], 2)
    """
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is repaired with the rest
        fixed = np.array(array, dtype=np.float32, order="C")
    count = 0
    for channel in fixed if array.dtype.kind in "fc" else ():
        bad = ~np.isfinite(channel)
        broken = int(np.count_nonzero(bad))
        if broken:
            low, high = _finite_range(channel[~bad])
            np.nan_to_num(channel, copy=False, nan=min(max(0.0, low), high), posinf=high, neginf=low)
            count += broken
    return fixed, count


def _finite_range(values: NDArray[np.float32]) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def normalise(array: NDArray[Any], rules: Sequence[Normalisation]) -> tuple[NDArray[np.float32], int]:
    """Map each channel of `(C, z, y, x)` by its rule; a float32 copy, and the count of repaired voxels.

    Raises:
        GeometryError: There are not as many rules as channels.

    Example:
        >>> out, _ = normalise(np.array([[[[1.0, 3.0]]]]), [Normalisation()])
        >>> out.round(3).ravel().tolist()
        [-1.0, 1.0]
    """
    if len(rules) != len(array):
        raise GeometryError(
            "The image has another number of channels than the plan.",
            expected=f"{len(rules)} channels",
            got=f"{len(array)} channels",
            hint="Give the same channels in the same order as in training.",
        )
    fixed, count = repair(array)
    for channel, rule in zip(fixed, rules, strict=True):
        if rule.scheme == "case":
            _by_case(channel, rule)
        elif rule.scheme == "local":
            _by_case(channel, rule)
            _by_neighbours(channel)
        elif rule.scheme == "fixed":
            _by_numbers(channel, rule)
    return fixed, count


def _by_numbers(channel: NDArray[np.float32], rule: Normalisation) -> None:
    """In place: clip to the rule's bounds, then its mean and std."""
    if rule.low is not None or rule.high is not None:
        np.clip(channel, rule.low, rule.high, out=channel)
    channel -= np.float32(rule.mean)
    channel /= np.float32(rule.std if rule.std > 0 else 1.0)


def _by_case(channel: NDArray[np.float32], rule: Normalisation) -> None:
    """In place: clip to percentiles, then z-score, both of this channel; a constant channel becomes 0.

    With `nonzero`, zero voxels (outside the scanned body) take no part and stay 0, the mean of the others.
    """
    outside = channel == 0 if rule.nonzero else None
    sample = _sample(channel, rule.nonzero)
    if sample.size == 0 or sample.min() == sample.max():
        # nothing varies: over non-zero voxels the mask itself is all there is to know
        channel[...] = 0 if outside is None or outside.all() or not outside.any() else ~outside
        return
    low, high = np.percentile(sample, (rule.low_percentile, rule.high_percentile))
    if not low < high:  # nearly constant with rare content, which clipping would erase
        low, high = sample.min(), sample.max()
    sample = np.clip(sample, low, high)
    mean, std = sample.mean(dtype=np.float64), sample.std(dtype=np.float64)
    np.clip(channel, low, high, out=channel)
    channel -= np.float32(mean)
    channel /= np.float32(std) if std > 0 else np.float32(1)
    if outside is not None:
        channel[outside] = 0


def _by_neighbours(channel: NDArray[np.float32]) -> None:
    """In place, plane by plane of a standardised channel: minus the mean around each pixel, over the deviation there.

    A box mean taken twice stands for a Gaussian; its cost does not grow with its size.
    """
    size = 2 * max(1, round(NEIGHBOURHOOD * max(channel.shape[1:]))) + 1

    def around(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(uniform_filter(uniform_filter(plane, size, mode="nearest"), size, mode="nearest"))

    for plane in channel:
        mean = around(plane)
        deviation = np.sqrt(np.maximum(around(plane * plane) - mean * mean, 0))
        plane -= mean
        plane /= deviation + np.float32(LEAST_CONTRAST)


def _sample(channel: NDArray[np.float32], nonzero: bool) -> NDArray[np.float32]:
    """Voxels that statistics are taken from: all, or every n-th of a large channel, without zeros if asked."""
    step = max(1, channel.size // SAMPLE_VOXELS) | 1  # odd, so that it does not beat with even row lengths
    values = channel.reshape(-1)[:: step if channel.size > SAMPLE_VOXELS else 1]
    return values[values != 0] if nonzero else values
