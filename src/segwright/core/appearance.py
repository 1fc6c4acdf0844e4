"""How an image looks in a few numbers that do not depend on its size or its scanner's units."""

from __future__ import annotations

from segwright.core.document import Part

#: Percentiles that stand for a channel's histogram, between its darkest and brightest voxels (0.5 and 99.5 %).
SHARES = (10, 25, 50, 75, 90)


class Look(Part):
    """One channel.

    Attributes:
        low, high: The 0.5 and 99.5 percentiles of its finite voxels that are not exactly 0.
        shares: `SHARES` of these voxels as shares of the way from `low` to `high`.
        zero: Share of finite voxels that are exactly 0.
        texture: Mean square of the step to the next voxel along the smoother axis in plane, over twice the variance: 1
            for noise, near 0 for smooth images.
    """

    low: float
    high: float
    shares: tuple[float, float, float, float, float]
    zero: float
    texture: float


class Appearance(Part):
    """All channels of an image.

    Attributes:
        channels: One look a channel, `None` for one that has the same value everywhere or none that is finite.
        likeness: Correlation of each pair of channels in their order; 0 where one is `None`.
    """

    channels: tuple[Look | None, ...]
    likeness: tuple[float, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether no channel shows anything."""
        return not any(self.channels)
