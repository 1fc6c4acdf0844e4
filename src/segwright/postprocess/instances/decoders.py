"""From scores to numbered objects: one decoder for each kind of target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry, Spacing
from segwright.core.trail import turn, turn_for, unturn
from segwright.ops.components import bond_components
from segwright.ops.instances import (
    adopt_orphans,
    before,
    drop_small_objects,
    flood,
    flood_sections,
    follow_bonds,
    grow_in_plane,
    mask_objects,
    renumber,
)
from segwright.postprocess.instances import build_decoder

Ids = NDArray[np.uint32]
Triple = tuple[int, int, int]


class Decoder(Protocol):
    """Scores of a network to objects.

    Decoders are frozen dataclasses whose fields are the numbers to be chosen; equal input gives equal output.

    Attributes:
        halo: Voxels `(z, y, x)` around a block that may change the objects inside it, beyond the objects' own reach.
    """

    @property
    def halo(self) -> Triple: ...

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores `(C, z, y, x)` from 0 to 1 to ids `(z, y, x)`: 0 background, objects from 1 without gaps.

        Args:
            scores: Channels as the target of the same name makes them.
            spacing: Millimetres a voxel; `None`, or `None` for an axis, where unknown.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Basins:
    """Seeds that grow over a mask.

    Attributes:
        smallest_seed: Seeds of fewer voxels start no object.
        orphans: Parts of the mask without a seed, too thin for one, become objects as well.
        smallest: Objects of fewer voxels are dropped.

    Example:
        >>> import numpy as np
        >>> grown, mask = np.array([[[1, 1, 0, 0, 0]]]), np.array([[[1, 1, 0, 1, 1]]], bool)
        >>> Basins(smallest=2).kept(grown, mask).ravel().tolist()
        [1, 1, 0, 2, 2]
    """

    smallest_seed: int = 0
    orphans: bool = True
    smallest: int = 128

    @property
    def halo(self) -> Triple:
        """A basin may reach this far beyond its seed."""
        return (4, 32, 32)

    def kept(self, grown: Ids, mask: NDArray[Any]) -> Ids:
        """Grown objects `(z, y, x)` with orphans of the mask, if wanted, and without small ones."""
        return drop_small_objects(adopt_orphans(grown, mask) if self.orphans else grown, self.smallest)


@dataclass(frozen=True, kw_only=True)
class Bonds(Basins):
    """Components of strong bonds, grown by a watershed over weak ones.

    Channels are bonds to the voxel before along z, y and x, then bonds to voxels further back along y and x.

    Attributes:
        bond: Least score at which two neighbours are one object.
        far: Least score of both far bonds at a bond in the plane; 0 asks for none. It parts objects that a few wrong
            bonds join, and costs thin ones their seeds.
        foreground: A voxel whose strongest bond is weaker is background.
        smallest_seed: Components of fewer voxels start no object; see `Basins` for the rest.

    Example:
        >>> scores = np.zeros((5, 1, 1, 5))
        >>> scores[2, 0, 0] = [0.1, 0.9, 0.2, 0.9, 0.9]
        >>> Bonds(smallest=0).decode(scores).ravel().tolist()
        [1, 1, 2, 2, 2]
    """

    bond: float = 0.7
    far: float = 0.0
    foreground: float = 0.5
    smallest_seed: int = 2

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Bond scores `(5, z, y, x)` to ids; see `protocol.Decoder`."""
        near = scores[:3]
        held = near >= self.bond
        if self.far > 0:
            held = held & (scores[3:].min(axis=0) >= self.far)
        strength = _strongest(near)
        mask = strength >= self.foreground
        parts = drop_small_objects(np.where(mask, bond_components(held), 0), max(self.smallest_seed, 2))
        grown = flood(-strength, renumber(parts)[0], mask)
        return self.kept(grown, mask)


def _strongest(near: NDArray[np.float32]) -> NDArray[np.float32]:
    """The strongest bond of each voxel, to the voxel before or from the one after."""
    strongest: NDArray[np.float32] = near.max(axis=0)
    for axis in range(3):
        view, bonds = np.moveaxis(strongest, axis, 0), np.moveaxis(near[axis], axis, 0)
        np.maximum(view[:-1], bonds[1:], out=view[:-1])
    return strongest


@dataclass(frozen=True, kw_only=True)
class DepthWatershed(Basins):
    """Seeds where the depth score is high, joined by bonds between sections, grown down to the edge score of 0.5.

    Attributes:
        seed: Least depth score of a seed; 0.66 is about one and a half voxels inside.
        edge: Least depth score of an object's voxel.
        bond: Least score at which a voxel belongs with the one in the section before.

    The rest are those of `Basins`.

    Example:
        >>> scores = np.array([[0.2, 0.6, 0.8, 0.6, 0.6, 0.9, 0.6], [0] * 7]).reshape(2, 1, 1, 7)
        >>> DepthWatershed(smallest=0).decode(scores).ravel().tolist()
        [0, 1, 1, 1, 2, 2, 2]
    """

    seed: float = 0.66
    edge: float = 0.5
    bond: float = 0.5

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores of depth and bond `(2, z, y, x)` to ids; see `protocol.Decoder`."""
        mask = scores[0] > self.edge
        deep = scores[0] > self.seed
        bonds = np.stack([deep & before(deep, axis) for axis in range(3)])
        bonds[0] &= scores[1] >= self.bond
        seeds = drop_small_objects(np.where(deep, bond_components(bonds), 0), self.smallest_seed)
        held = mask & before(mask, 0) & (scores[1] >= self.bond)
        seeds = follow_bonds(seeds, held)
        planes = [flood(-scores[0][z, None], seeds[z, None], mask[z, None]) for z in range(len(seeds))]
        grown = follow_bonds(np.concatenate(planes), held)
        return self.kept(grown, mask)


@dataclass(frozen=True)
class FollowFlow:
    """Every voxel of the mask walks up its slope; those whose ends hang together are one object.

    A few steps are enough: they part objects that touch, and each voxel takes the object that it walked to.

    Attributes:
        mask: Least mask score of an object's voxel.
        steps: Steps of up to one voxel.
        bond: Least score at which ends are joined to the section before.
        smallest: Objects of fewer voxels are dropped.

    Example:
        >>> scores = np.full((4, 1, 1, 6), 0.5)
        >>> scores[0], scores[2, 0, 0] = 1, [1, 0.5, 0, 1, 0.5, 0]
        >>> FollowFlow(smallest=0).decode(scores).ravel().tolist()
        [1, 1, 1, 2, 2, 2]
    """

    mask: float = 0.5
    steps: int = 6
    bond: float = 0.5
    smallest: int = 128

    @property
    def halo(self) -> Triple:
        """As far as a voxel walks, and one section."""
        return (1, self.steps + 1, self.steps + 1)

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores of mask, slope along y and x, and bond `(4, z, y, x)` to ids; see `protocol.Decoder`."""
        mask = scores[0] > self.mask
        places = np.nonzero(mask)
        ends = _walk(scores[1:3] * 2.0 - 1.0, mask, places, self.steps)
        reached = np.zeros(mask.shape, bool)
        reached[ends] = True
        bonds = np.stack([reached & before(reached, axis) for axis in range(3)])
        bonds[0] &= scores[3] >= self.bond
        crests = np.where(reached, bond_components(_with_corners(bonds, reached)), 0)
        ids = np.zeros(mask.shape, np.uint32)
        ids[places] = crests[ends]
        return drop_small_objects(ids, self.smallest)


Places = tuple[NDArray[np.intp], ...]


def _walk(slopes: NDArray[np.floating[Any]], mask: NDArray[np.bool_], places: Places, steps: int) -> Places:
    """Where voxels end up after some steps; a step out of the mask is not taken."""
    z, y, x = places
    at = np.stack([y, x]).astype(np.float64)
    top = np.array(mask.shape[1:])[:, None] - 1
    ends = (y, x)
    for _ in range(steps):
        wish = np.clip(at + slopes[:, z, *ends], 0, top)
        row, column = np.rint(wish).astype(np.intp)
        free = mask[z, row, column]
        at = np.where(free, wish, at)
        ends = (np.where(free, row, ends[0]), np.where(free, column, ends[1]))
    return z, *ends


def _with_corners(bonds: NDArray[np.bool_], reached: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bonds in which two ends that touch by a corner of their section hang together as well, by way of a voxel between.

    The voxel between is none of the ends, so it only serves as a bridge.
    """
    bridged = bonds.copy()
    for shift in (1, -1):
        corner = reached[:, 1:, 1:] & reached[:, :-1, :-1] if shift == 1 else reached[:, 1:, :-1] & reached[:, :-1, 1:]
        if shift == 1:
            bridged[2, :, 1:, 1:] |= corner
            bridged[1, :, 1:, :-1] |= corner
        else:
            bridged[2, :, 1:, 1:] |= corner
            bridged[1, :, 1:, 1:] |= corner
    return bridged


def seed_map(scores: NDArray[Any], mask: float, boundary: float) -> NDArray[np.bool_]:
    """Voxels `(z, y, x)` whose mask score exceeds one threshold and whose boundary score stays below another."""
    return (scores[0] > mask) & (scores[1] < boundary)


@dataclass(frozen=True)
class SeedComponents:
    """Connected components of the seeds, dilated in each plane, without the small ones.

    Attributes:
        mask: Least mask score of a seed.
        boundary: Boundary score a seed stays below.
        dilate: Voxels that objects grow in their planes; the larger id wins where two meet.
        smallest: Objects of fewer voxels are dropped, after growing.

    Example:
        >>> scores = np.array([[1, 1, 1, 1.0], [0, 1, 0, 0]]).reshape(2, 1, 1, 4)
        >>> SeedComponents(dilate=1, smallest=0).decode(scores).ravel().tolist()
        [1, 2, 2, 2]
    """

    mask: float = 0.9
    boundary: float = 0.8
    dilate: int = 3
    smallest: int = 128

    @property
    def halo(self) -> Triple:
        """The dilation's reach, and one voxel to see neighbours."""
        return (1, self.dilate + 1, self.dilate + 1)

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores of mask and boundary `(2, z, y, x)` to ids; see `protocol.Decoder`."""
        seeds = mask_objects(seed_map(scores, self.mask, self.boundary), connectivity=6)
        return drop_small_objects(grow_in_plane(seeds, self.dilate), self.smallest)


@dataclass(frozen=True, kw_only=True)
class SeedWatershed(Basins):
    """Seeds grown by a watershed to the edge of the mask, without the small ones.

    What the watershed climbs is the boundary score less the mask score.

    Attributes:
        mask: Least mask score of a seed.
        boundary: Boundary score a seed stays below.
        foreground: Least mask score of an object's voxel.

    The rest are those of `Basins`.

    Example:
        >>> scores = np.array([[1, 0.8, 0.7, 1, 0.1], [0, 1, 1, 0, 0]]).reshape(2, 1, 1, 5)
        >>> SeedWatershed(smallest=0).decode(scores).ravel().tolist()
        [1, 1, 2, 2, 0]
    """

    mask: float = 0.9
    boundary: float = 0.8
    foreground: float = 0.5

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores of mask and boundary `(2, z, y, x)` to ids; see `protocol.Decoder`."""
        seeds = mask_objects(seed_map(scores, self.mask, self.boundary), connectivity=6)
        if self.smallest_seed > 1:
            seeds = drop_small_objects(seeds, self.smallest_seed)
        mask = scores[0] > self.foreground
        grown = flood_sections(scores[1] - scores[0], seeds, mask, edge=scores[1] >= self.boundary)
        return self.kept(grown, mask)


class Choice(Protocol):
    """A row of the decoders table with its numbers."""

    @property
    def name(self) -> str: ...

    @property
    def params(self) -> dict[str, Any]: ...


def decode_objects(
    choice: Choice | None, scores: NDArray[np.uint8], geometry: Geometry, orientation: str | None
) -> NDArray[np.int32]:
    """Canonical instance labels `(1, z, y, x)` from scores `(C, z, y, x)` (uint8, 255 is 1); see `decode_turned`.

    Raises:
        UsageError: No decoder was chosen.
    """
    if choice is None:
        raise UsageError(
            "Scores of instances need a decoder.",
            got="none was chosen",
            hint="Give the chain a decoder, for example seed_watershed for the target 'boundary'.",
        )
    decoder = build_decoder(choice.name, **choice.params)
    unit = scores.astype(np.float32) / np.float32(255)
    return decode_turned(decoder, unit, geometry, orientation).astype(np.int32)


def decode_turned(
    decoder: Decoder, scores: NDArray[np.float32], geometry: Geometry, orientation: str | None
) -> NDArray[np.uint32]:
    """Ids `(1, z, y, x)` from scores `(C, z, y, x)` on a scan's own axes, decoded on the axes that they speak of.

    A bond to the voxel before, a slope, a section: all are along the axes on which the network saw the scan.

    Args:
        decoder: Makes objects of the scores.
        scores: From 0 to 1.
        geometry: Grid of the scan, or of a part of it.
        orientation: Axis codes of the plan; `None` where the scan was not turned.
    """
    step = turn_for(geometry, orientation)
    if step is None:
        return decoder.decode(scores, spacing=geometry.spacing)[None]
    z, y, x = (geometry.spacing[axis] for axis in step.order)
    ids = decoder.decode(np.ascontiguousarray(turn(scores, step)), spacing=(z, y, x))
    return np.ascontiguousarray(unturn(ids[None], step))


#: Numbers tried for each decoder, beside its usual ones; sizes are tried afterwards on what these leave.
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "seed_watershed": tuple(
        {"mask": mask, "boundary": boundary, "foreground": foreground}
        for mask in (0.6, 0.75, 0.9)
        for boundary in (0.35, 0.5, 0.65, 0.8)
        for foreground in (0.35, 0.5)
    ),
    "seed_components": tuple(
        {"mask": mask, "boundary": boundary, "dilate": dilate}
        for mask in (0.6, 0.75, 0.9)
        for boundary in (0.5, 0.8)
        for dilate in (1, 3)
    ),
    "bonds": tuple(
        {"bond": bond, "far": far, "foreground": foreground}
        for bond in (0.5, 0.7, 0.85, 0.95)
        for far in (0.0, 0.4, 0.7)
        for foreground in (0.35, 0.5)
    ),
    "depth_watershed": tuple(
        {"seed": seed, "edge": edge, "bond": bond}
        for seed in (0.58, 0.66, 0.74, 0.82)
        for edge in (0.42, 0.5)
        for bond in (0.35, 0.5, 0.7)
    ),
    "follow_flow": tuple(
        {"mask": mask, "steps": steps, "bond": bond}
        for mask in (0.35, 0.5)
        for steps in (4, 6, 10)
        for bond in (0.35, 0.5, 0.7)
    ),
}
#: Smallest objects kept, in voxels.
SIZES = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
