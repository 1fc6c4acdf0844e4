"""Intervals that cover what they promise, also of few patients: t intervals by group, within a score's own bounds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segwright.core.errors import UsageError

#: What intervals of reports promise.
LEVEL = 0.95
#: Least and greatest value that a score can have; `None` where there is no such bound.
Bounds = tuple[float | None, float | None]
NO_BOUNDS: Bounds = (None, None)

Floats = NDArray[np.float64]


def mean_interval(
    values: ArrayLike, groups: Sequence[Hashable] | NDArray[Any], level: float = LEVEL, *, bounds: Bounds = NO_BOUNDS
) -> tuple[float, float]:
    """Interval of the mean of all values, where values of one group (patient) are alike.

    A t interval with the bias-reduced variance and the degrees of freedom of Bell and McCaffrey (2002), see
    `spread`: of groups of one size, the standard error of the means of groups with as many degrees of freedom as
    groups less one. With `bounds` the interval is that of the log-odds (one bound: the logarithm) of the mean, turned
    back, so that it ends within them and covers skewed scores better.

    Args:
        values: Numbers, unitless; NaN is an undefined score and left out, as in reports.
        groups: The group of each value.
        level: Share of such intervals that hold the true mean, between 0 and 1.
        bounds: Least and greatest possible value, for Dice `(0, 1)`.

    Returns:
        Lower and upper end; both NaN if fewer than two groups have a value, both the mean if all groups agree.

    Raises:
        UsageError: Unequal lengths, a value that is infinite or out of bounds, a level that is none.

    Example:
        >>> low, high = mean_interval([0.8, 0.9, 0.7, 0.8], ["a", "a", "b", "b"], bounds=(0, 1))
        >>> round(low, 3), round(high, 3)
        (0.07, 0.995)
    """
    known = np.asarray(values, dtype=np.float64).ravel()
    names = list(groups)
    _refuse(known, names, level, bounds)
    places = {name: index for index, name in enumerate(dict.fromkeys(names))}
    index = np.array([places[name] for name in names], dtype=np.int64)
    there = ~np.isnan(known)
    sums = np.bincount(index[there], known[there], minlength=len(places)).astype(np.float64)
    counts = np.bincount(index[there], minlength=len(places)).astype(np.float64)
    low, high = mean_bounds(sums[:, None], counts[:, None], [bounds], level)
    return float(low[0]), float(high[0])


def _refuse(values: Floats, groups: Sequence[Hashable], level: float, bounds: Bounds) -> None:
    if len(values) != len(groups):
        raise UsageError("Each value needs its group.", expected=f"{len(values)} groups", got=len(groups))
    if not 0 < level < 1:
        raise UsageError("An interval's level is a share.", expected="between 0 and 1, such as 0.95", got=level)
    low, high = (-np.inf if bounds[0] is None else bounds[0]), (np.inf if bounds[1] is None else bounds[1])
    odd = values[np.isinf(values) | (values < low) | (values > high)]
    if len(odd):
        expected = f"finite values from {low:g} to {high:g}, or NaN for an undefined one"
        raise UsageError("A value cannot be a score.", expected=expected, got=float(odd[0]))


def mean_bounds(sums: Floats, counts: Floats, bounds: Sequence[Bounds], level: float = LEVEL) -> tuple[Floats, Floats]:
    """`mean_interval` of many columns at once; of sums over sums (F1 of all objects) just as well.

    Args:
        sums: `(groups, columns)`: sum of the values of each group.
        counts: `(groups, columns)`: how many values that is, or the denominator of a ratio.
        bounds: Of each column.
        level: See `mean_interval`.

    Returns:
        Lower and upper ends, one a column; NaN where fewer than two groups have values.
    """
    total, number = sums.sum(axis=0), counts.sum(axis=0)
    shares = np.divide(counts, number, out=np.zeros_like(counts), where=number > 0)
    rest = number - counts
    without = np.divide(total - sums, rest, out=np.full(sums.shape, np.nan), where=rest > 0)
    whole = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    # groups without a value change nothing, whichever way sums were rounded
    return interval(whole, np.where(counts > 0, without, whole), shares, bounds, level)


def interval(
    whole: Floats, without: Floats, shares: Floats, bounds: Sequence[Bounds], level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Intervals of any figure that can be taken without one group after the other.

    Args:
        whole: `(columns,)` values of all groups.
        without: `(groups, columns)` values without each group.
        shares: `(groups, columns)` what each group weighs; columns add up to 1.
        bounds: Of each column.
        level: See `mean_interval`.

    Returns:
        Lower and upper ends, one a column.
    """
    from scipy.special import stdtrit  # only reports need it

    error, freedom = spread(whole, without, shares)
    reach = stdtrit(freedom, (1 + level) / 2) * error
    ends = [_within(*row) for row in zip(whole.tolist(), reach.tolist(), bounds, strict=True)]
    low, high = np.array(ends, dtype=np.float64).reshape(-1, 2).T
    return low, high


def spread(whole: Floats, without: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Standard error and degrees of freedom of figures, from what leaving out each group does to them.

    With shares w, the variance is the sum of (1 - w) (whole - without)². For a mean that is the sum of w² / (1 - w)
    squared residuals of groups, which is unbiased where cases do not differ by group (Bell and McCaffrey 2002, "CR2";
    Imbens and Kolesár 2016); the degrees of freedom are Satterthwaite's under the same model, fewer where one group
    outweighs the others.

    Returns:
        `(columns,)` each; NaN where fewer than two groups weigh anything.
    """
    several = (shares > 0).sum(axis=0) > 1
    part = np.where(several, shares, 0.0)
    error = np.sqrt(((1 - part) * (whole - without) ** 2).sum(axis=0, where=part > 0))
    share = part**2 / (1 - part)
    inverse = (part**2).sum(axis=0) - (share**2).sum(axis=0) + share.sum(axis=0) ** 2
    freedom = np.divide(1.0, inverse, out=np.full(inverse.shape, np.nan), where=several)
    return np.where(several, error, np.nan), freedom


#: A reach below this share of the figure comes of rounding.
_ROUNDING = 1e-12
#: Largest exponent whose power is a number.
_STEEPEST = 700.0


def _within(value: float, reach: float, bounds: Bounds) -> tuple[float, float]:
    """Ends of `value` give or take `reach`, on a scale on which the bounds lie infinitely far away."""
    low, high = bounds
    if not reach > _ROUNDING * max(1.0, abs(value)):
        return (value, value) if reach >= 0 else (np.nan, np.nan)
    if low is None and high is not None:
        ends = _within(-value, reach, (-high, None))
        return -ends[1], -ends[0]
    if low is None or not low < value or (high is not None and not value < high):
        return value - reach, value + reach
    rise = value - low
    if high is None:
        factor = float(np.exp(min(reach / rise, _STEEPEST)))
        return low + rise / factor, low + rise * factor
    width = high - low
    factor = float(np.exp(min(reach * width / (rise * (high - value)), _STEEPEST)))
    odds = rise / (high - value)
    return low + width * odds / (odds + factor), low + width * odds * factor / (1 + odds * factor)
