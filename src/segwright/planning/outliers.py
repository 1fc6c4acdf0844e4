"""Which cases are unlike the others, and in what: the ones to look at before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from segwright.core.finding import CaseFacts

#: Cases below which nothing is called usual.
FEWEST = 6
#: Robust standard deviations from which a case is called unusual.
UNUSUAL = 3.5
#: Deviations given to a case that lacks a structure which nearly all others have, and the share that means by.
_ABSENT, _NEARLY_ALL = 6.0, 0.9
#: Logarithmic spread that is always forgiven, so that equal values do not make the next one unusual.
_FORGIVEN = 0.05

Oddity = tuple[float, str]


def oddities(facts: Sequence[CaseFacts], sizes: Mapping[str, Mapping[str, float]]) -> dict[str, list[Oddity]]:
    """For each case what is unusual: deviations and words, the strongest first.

    Args:
        facts: All cases.
        sizes: For each labelled case its structures' sizes in one unit.
    """
    found: dict[str, list[Oddity]] = {fact.case: [] for fact in facts}
    for name in dict.fromkeys(name for row in sizes.values() for name in row):
        _compare(found, {case: row[name] for case, row in sizes.items() if row.get(name, 0) > 0}, f"{name}: size")
        _absent(found, sizes, name)
    for channel in range(max((len(fact.percentiles) for fact in facts), default=0)):
        spans = {f.case: f.percentiles[channel][3] - f.percentiles[channel][1] for f in facts}
        _compare(found, spans, "range of intensities" + (f" of channel {channel}" if channel else ""))
    for axis, letter in enumerate("zyx"):
        _compare(found, {f.case: f.spacing[axis] or 0.0 for f in facts}, f"spacing along {letter}")
        _compare(found, {f.case: float(f.shape[axis]) for f in facts}, f"voxels along {letter}")
    return {case: sorted(rows, reverse=True) for case, rows in found.items()}


def _compare(found: Mapping[str, list[Oddity]], values: Mapping[str, float], what: str) -> None:
    """Add every case's deviation from the median of the logarithms, in units of their robust spread."""
    known = {case: value for case, value in values.items() if value > 0 and np.isfinite(value)}
    if len(known) < FEWEST:
        return
    logs = np.log(np.array(list(known.values())))
    middle = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - middle))) + _FORGIVEN
    for case, log in zip(known, logs, strict=True):
        ratio = float(np.exp(log - middle))
        found[case].append((round(abs(float(log) - middle) / spread, 2), f"{what} {_times(ratio)} the usual"))


def _times(ratio: float) -> str:
    """A ratio in words.

    Example:
        >>> _times(3.14), _times(0.25)
        ('3.1 times', '0.25 times')
    """
    return f"{ratio:.2g} times" if ratio < 100 else f"{ratio:.0f} times"


def _absent(found: Mapping[str, list[Oddity]], sizes: Mapping[str, Mapping[str, float]], name: str) -> None:
    lacking = [case for case, row in sizes.items() if not row.get(name, 0)]
    if len(sizes) >= FEWEST and 0 < len(lacking) <= (1 - _NEARLY_ALL) * len(sizes):
        for case in lacking:
            words = f"{name} is absent, as in {len(lacking)} of {len(sizes)} cases"
            found[case].append((_ABSENT, words))
