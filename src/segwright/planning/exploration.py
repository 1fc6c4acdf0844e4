"""What a dataset looks like in numbers: structures, overlaps, sizes, intensities and unusual cases, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from pydantic import Field

from segwright.core.document import Document, Part


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
