"""What a dataset looks like in numbers, ready for JSON, and which cases are unlike the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from segwright.core.document import Document, Part
from segwright.core.inspection import CaseFacts
from segwright.core.words import amount


class Spread(Part):
    """How a number varies: count, extremes, mean and quantiles.

    Example:
        >>> spread = Spread.of([1, 2, 3, 4, 5])
        >>> spread.median, spread.low, spread.high
        (3.0, 1.0, 5.0)
    """

    count: int
    low: float
    q05: float
    q25: float
    median: float
    q75: float
    q95: float
    high: float
    mean: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """The spread of finite values; `None` without any."""
        array = np.array([value for value in values if np.isfinite(value)], dtype=float)
        if not array.size:
            return None
        low, q05, q25, median, q75, q95, high = map(float, np.quantile(array, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)))
        return cls(
            count=len(array), low=low, q05=q05, q25=q25, median=median, q75=q75, q95=q95, high=high,
            mean=float(array.mean()),
        )  # fmt: skip


class StructureView(Part):
    """One structure over all labelled cases.

    Attributes:
        cases: Labelled cases in which it occurs.
        share: Its part of the grid (0 to 1), in the cases that have it.
        size: Its size in `Exploration.size_unit`, in the cases that have it.
        diameter: mm of the disc or ball of the same size; `None` where a spacing is unknown.
        intensity: For each channel, the mean inside it, over the cases that have it.
        at_edge: Cases in which it touches the edge of the image within the plane.
    """

    name: str
    colour: str
    cases: int
    share: Spread | None = None
    size: Spread | None = None
    diameter: Spread | None = None
    intensity: tuple[Spread | None, ...] = ()
    at_edge: int = 0


class OverlapView(Part):
    """Two structures that share voxels.

    Attributes:
        cases: Cases in which they do.
        voxels: Shared voxels in all cases together.
        of_smaller: Shared part of the smaller of the two (0 to 1), in those cases.
    """

    first: str
    second: str
    cases: int
    voxels: int
    of_smaller: Spread


class CaseView(Part):
    """One case.

    Attributes:
        sizes: Size of each structure in `Exploration.size_unit`; empty if unlabelled.
        shares: Part of the grid of each structure.
        means: For each structure its mean intensity, one a channel; empty where absent.
        image: For each channel the 0.5, 50 and 99.5 percentile.
        outlier: How far it lies from the usual, in robust standard deviations; 0 is usual.
        why: In words, what is unusual; empty up to 3.5 deviations.
    """

    case: str
    group: str
    labelled: bool
    shape: tuple[int, int, int]
    spacing: tuple[float | None, float | None, float | None]
    sizes: dict[str, float] = Field(default_factory=dict)
    shares: dict[str, float] = Field(default_factory=dict)
    means: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    image: tuple[tuple[float, float, float], ...] = ()
    outlier: float = 0.0
    why: tuple[str, ...] = ()


class ChannelView(Part):
    """One channel over all cases: low (0.5 %), middle and high (99.5 %) intensity of each."""

    name: str
    low: Spread
    median: Spread
    high: Spread


class Exploration(Document):
    """A dataset in numbers; made by `planning.explore.Explorer` in the same pass as the integrity check.

    Attributes:
        root: Folder of the data.
        dims: 2 if every case is a single plane, else 3.
        cases, labelled, groups: Counts; `groups` are what never crosses folds (patients).
        group_sizes: How many groups have one case, two, ...: `{cases: groups}`.
        overlapping: Whether structures may share voxels.
        size_unit: `mm³`, `mm²`, `voxels` or `pixels`.
        shape, spacing: Spread along z, y and x, as stored; `None` where unknown.
        channels: Intensities.
        structures: In the order of the label space.
        overlaps: Pairs that share voxels, the largest shared part first.
        rows: All cases, the most unusual first.
        notes: What was not measured, and why.
    """

    filename: ClassVar[str] = "exploration.json"
    root: str
    dims: int
    modality: str
    cases: int
    labelled: int
    groups: int
    group_sizes: dict[int, int]
    overlapping: bool
    size_unit: str
    shape: tuple[Spread | None, Spread | None, Spread | None]
    spacing: tuple[Spread | None, Spread | None, Spread | None]
    channels: tuple[ChannelView, ...]
    structures: tuple[StructureView, ...]
    overlaps: tuple[OverlapView, ...]
    rows: tuple[CaseView, ...]
    notes: tuple[str, ...] = ()


#: Cases below which nothing is called usual.
FEWEST = 6
#: Robust standard deviations from which a case is called unusual, and the share of cases above which none is: such
#: values have no usual size.
UNUSUAL, _MANY = 3.5, 1 / 8
#: Deviations given to a case whose label is unlike those of nearly all others, and the share that is meant by that.
_ODD_LABEL, _NEARLY_ALL = 6.0, 0.9
#: A label is in oddly many or few pieces if they are so many times the usual; it shares oddly many voxels if that share
#: is above the usual by so much.
_PIECES, _SHARED = 1.5, 0.1
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
        _pieces(found, {fact.case: fact.pieces[name] for fact in facts if name in fact.pieces}, name)
    _shared(found, {fact.case: fact.shared for fact in facts if fact.volumes})
    for channel in range(max((len(fact.percentiles) for fact in facts), default=0)):
        spans = {f.case: f.percentiles[channel][3] - f.percentiles[channel][1] for f in facts}
        _compare(found, spans, "range of intensities" + (f" of channel {channel}" if channel else ""))
    for axis, letter in enumerate("zyx"):
        _compare(found, {f.case: f.spacing[axis] or 0.0 for f in facts}, f"spacing along {letter}")
        _compare(found, {f.case: float(f.shape[axis]) for f in facts}, f"voxels along {letter}")
    return {case: sorted(rows, reverse=True) for case, rows in found.items()}


def _compare(found: Mapping[str, list[Oddity]], values: Mapping[str, float], what: str) -> None:
    """Add every case's deviation from the median of the logarithms, in units of their robust spread.

    Values that lie far from the median in more than a few cases have no usual size: MRI intensities of several
    scanners, films of 8 and of 12 bits.
    """
    known = {case: value for case, value in values.items() if value > 0 and np.isfinite(value)}
    if len(known) < FEWEST:
        return
    logs = np.log(np.array(list(known.values())))
    middle = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - middle))) + _FORGIVEN
    deviations = np.abs(logs - middle) / spread
    if np.count_nonzero(deviations >= UNUSUAL) > max(1.0, _MANY * len(known)):
        return
    for case, log, deviation in zip(known, logs, deviations, strict=True):
        ratio = float(np.exp(log - middle))
        found[case].append((round(float(deviation), 2), f"{what} {_times(ratio)} the usual"))


def _times(ratio: float) -> str:
    """A ratio in words.

    Example:
        >>> _times(3.14), _times(0.25)
        ('3.1 times', '0.25 times')
    """
    return f"{ratio:.2g} times" if ratio < 100 else f"{ratio:.0f} times"


def _absent(found: Mapping[str, list[Oddity]], sizes: Mapping[str, Mapping[str, float]], name: str) -> None:
    """Add the few cases that lack a structure."""
    lacking = {case: f"{name} is absent" for case, row in sizes.items() if not row.get(name, 0)}
    _few(found, lacking, len(sizes))


def _pieces(found: Mapping[str, list[Oddity]], counts: Mapping[str, int], name: str) -> None:
    """Add the few cases in which a structure is in many more or fewer pieces than usual: drawn as one, or torn."""
    usual = float(np.median(list(counts.values()) or [1]))
    odd = {case: n for case, n in counts.items() if max(n / usual, usual / n) >= _PIECES}
    words = {case: f"{name}: {n} {'piece' if n == 1 else 'pieces'}, usually {usual:g}" for case, n in odd.items()}
    _few(found, words, len(counts))


def _shared(found: Mapping[str, list[Oddity]], shares: Mapping[str, float]) -> None:
    """Add the few cases in which structures lie on each other and usually do not."""
    usual = float(np.median(list(shares.values()) or [0.0]))
    odd = {case: share for case, share in shares.items() if share > usual + _SHARED}
    words = "structures share {:.0%} of their voxels, usually {:.0%}"
    _few(found, {case: words.format(share, usual) for case, share in odd.items()}, len(shares))


def _few(found: Mapping[str, list[Oddity]], odd: Mapping[str, str], cases: int) -> None:
    """Add what is odd about some cases, if they are few enough to be odd."""
    if cases >= FEWEST and len(odd) <= (1 - _NEARLY_ALL) * cases:
        for case, words in odd.items():
            found[case].append((_ODD_LABEL, f"{words}, as in {len(odd)} of {amount(cases, 'case')}"))
