"""Where voxels are: shape, affine, spacing and orientation in one frozen type; nobody else multiplies affines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segwright.core.box import Box
from segwright.core.errors import GeometryError

Spacing = tuple[float | None, float | None, float | None]
Triple = tuple[int, int, int]

#: World axes are RAS+: x grows to the patient's Right, y to Anterior, z to Superior.
_CODES = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid in the world.

    Attributes:
        shape: Voxels along `(z, y, x)`; a 2-D image has `z = 1`.
        affine: 4 x 4, maps an index `(z, y, x, 1)` to world millimetres in RAS+ `(x, y, z, 1)`. Its columns
            follow the array's axes, so no axis order is ever reversed in computations.
        known: Which axes have a physical spacing. An unknown axis has a unit column and spacing `None`.

    Example:
        >>> g = Geometry.from_spacing((3, 4, 5), (2.0, 1.0, 0.5))
        >>> g.spacing, g.orientation, g.to_world((1, 0, 0)).tolist()
        ((2.0, 1.0, 0.5), 'SAR', [0.0, 0.0, 2.0])
    """

    shape: Triple
    affine: NDArray[np.float64]
    known: tuple[bool, bool, bool] = field(default=(True, True, True))

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        affine = np.array(self.affine, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError("A grid needs three positive lengths (z, y, x).", got=self.shape)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError("An affine must be 4 x 4 and finite.", got=affine.tolist(), hint="Repair the header.")
        edges = np.linalg.norm(affine[:3, :3], axis=0)  # microscopes have edges of nanometres, so only angles count
        if edges.min() < 1e-12 or abs(np.linalg.det(affine[:3, :3] / edges)) < 1e-9:
            raise GeometryError(
                "The affine is singular: two axes are parallel or one has no length.",
                got=affine.tolist(),
                hint="Repair the header; spacing must not be zero.",
            )
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "known", tuple(bool(k) for k in self.known))

    @classmethod
    def from_spacing(cls, shape: Sequence[int], spacing: Sequence[float | None] = (None, None, None)) -> Geometry:
        """An axis-aligned grid at the origin; `None` marks an axis without physical spacing."""
        affine = np.zeros((4, 4))
        affine[3, 3] = 1.0
        for axis, step in enumerate(spacing):
            affine[2 - axis, axis] = 1.0 if step is None else step
        known = tuple(step is not None for step in spacing)
        return cls((shape[0], shape[1], shape[2]), affine, (known[0], known[1], known[2]))

    @classmethod
    def from_xyz(
        cls, shape: Sequence[int], affine: ArrayLike, known: tuple[bool, bool, bool] = (True, True, True)
    ) -> Geometry:
        """From an affine whose columns follow `(x, y, z)` indices (NIfTI habit); `shape` is still `(z, y, x)`."""
        matrix = np.asarray(affine, dtype=np.float64)[:, [2, 1, 0, 3]]
        return cls((shape[0], shape[1], shape[2]), matrix, known)

    def stated(self, spacing: Sequence[float | None]) -> Geometry:
        """The same grid with these voxel edges on axes that have none of their own.

        Example:
            >>> Geometry.from_spacing((2, 2, 2), (None, 1.0, 1.0)).stated((5.0, 3.0, None)).spacing
            (5.0, 1.0, 1.0)
        """
        affine, known = self.affine.copy(), list(self.known)
        for axis, step in enumerate(spacing):
            if not known[axis] and step is not None and self.shape[axis] > 1:
                affine[:, axis] *= step / np.linalg.norm(affine[:3, axis])
                known[axis] = True
        return Geometry(self.shape, affine, (known[0], known[1], known[2]))

    @property
    def affine_xyz(self) -> NDArray[np.float64]:
        """The affine with columns in `(x, y, z)` index order, as NIfTI wants it."""
        return self.affine[:, [2, 1, 0, 3]].copy()

    @property
    def lengths(self) -> tuple[float, float, float]:
        """Column lengths of the affine: millimetres a voxel where known, 1 elsewhere."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def spacing(self) -> Spacing:
        """Millimetres a voxel along `(z, y, x)`; `None` where unknown."""
        z, y, x = (length if known else None for length, known in zip(self.lengths, self.known, strict=True))
        return z, y, x

    @property
    def ndim_effective(self) -> int:
        """2 for a single plane, else 3."""
        return 2 if self.shape[0] == 1 else 3

    @property
    def voxel_volume(self) -> float | None:
        """mm³ a voxel (mm² for a single plane); `None` where an axis that counts is unknown."""
        axes = range(1, 3) if self.ndim_effective == 2 else range(3)
        if not all(self.known[axis] for axis in axes):
            return None
        if self.ndim_effective == 2:
            return float(np.prod([self.lengths[axis] for axis in axes]))
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def axes(self) -> tuple[tuple[int, int], ...]:
        """For each array axis `(world axis, sign)`: the assignment with the largest summed cosines."""
        return _closest_axes(self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def orientation(self) -> str:
        """Axis codes in array order, naming where each index grows to, e.g. `'SAR'`."""
        return "".join(_CODES[world][sign > 0] for world, sign in self.axes)

    def to_world(self, index: ArrayLike) -> NDArray[np.float64]:
        """Index `(..., 3)` in `(z, y, x)` to world `(..., 3)` in RAS+ millimetres."""
        world: NDArray[np.float64] = np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return world

    def to_index(self, world: ArrayLike) -> NDArray[np.float64]:
        """World `(..., 3)` to fractional index `(..., 3)`."""
        offset = np.asarray(world, dtype=np.float64) - self.affine[:3, 3]
        index = np.linalg.solve(self.affine[:3, :3], offset.reshape(-1, 3).T).T
        return np.asarray(index, dtype=np.float64).reshape(offset.shape)

    def crop(self, box: Box) -> Geometry:
        """The grid of a box of this grid; the box may reach outside, which pads."""
        return self._moved((box.shape[0], box.shape[1], box.shape[2]), self.affine[:3, :3], box.start)

    def flip(self, axes: Sequence[int]) -> Geometry:
        """The grid of the array reversed along `axes`."""
        matrix = self.affine[:3, :3].copy()
        start = np.zeros(3)
        for axis in axes:
            matrix[:, axis] *= -1
            start[axis] = self.shape[axis] - 1
        return self._moved(self.shape, matrix, start)

    def permute(self, order: Sequence[int]) -> Geometry:
        """The grid of the array transposed so that new axis `i` is old axis `order[i]`."""
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, list(order)]
        shape = (self.shape[order[0]], self.shape[order[1]], self.shape[order[2]])
        return Geometry(shape, affine, (self.known[order[0]], self.known[order[1]], self.known[order[2]]))

    def resample(self, shape: Sequence[int]) -> Geometry:
        """The grid with other voxel counts over the same physical extent (outer voxel faces stay in place)."""
        scale = np.array(self.shape, dtype=np.float64) / np.array(shape, dtype=np.float64)
        return self._moved((shape[0], shape[1], shape[2]), self.affine[:3, :3] * scale, 0.5 * scale - 0.5)

    def path_to(self, orientation: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """`(order, flips)` such that `permute(order)` then `flip(flips)` gives `orientation` (e.g. `'SAR'`)."""
        wanted = [next(w for w, codes in enumerate(_CODES) if letter in codes) for letter in orientation]
        have = {world: axis for axis, (world, _) in enumerate(self.axes)}
        order = tuple(have[world] for world in wanted)
        turned = self.permute(order).orientation
        return order, tuple(axis for axis in range(3) if turned[axis] != orientation[axis])

    def aligned_with(self, other: Geometry, tolerance: float = 1e-2) -> bool:
        """Whether two grids agree: same shape and no corner further apart than `tolerance` voxels."""
        return self.shape == other.shape and self.corner_distance(other) <= tolerance

    def corner_distance(self, other: Geometry) -> float:
        """Largest distance between matching corners, in units of this grid's smallest voxel edge."""
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1).T
        gap = np.linalg.norm(self.to_world(corners) - other.to_world(corners), axis=1).max()
        return float(gap / min(self.lengths))

    def _moved(self, shape: Triple, matrix: NDArray[np.float64], start: ArrayLike) -> Geometry:
        """A grid whose voxel (0, 0, 0) lies where `start` lies on this one."""
        affine = np.eye(4)
        affine[:3, :3] = matrix
        affine[:3, 3] = self.to_world(start)
        return Geometry(shape, affine, self.known)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Geometry):
            return NotImplemented
        same = self.shape == other.shape and self.known == other.known
        return same and bool(np.array_equal(self.affine, other.affine))

    def __hash__(self) -> int:
        return hash((self.shape, self.known, self.affine.tobytes()))


def _closest_axes(cosines: NDArray[np.float64]) -> tuple[tuple[int, int], ...]:
    """Assign each array axis to one world axis, greedily by the largest absolute cosine."""
    left = np.abs(cosines)
    chosen: dict[int, tuple[int, int]] = {}
    for _ in range(3):
        world, axis = np.unravel_index(int(np.argmax(left)), left.shape)
        chosen[int(axis)] = (int(world), 1 if cosines[world, axis] >= 0 else -1)
        left[world, :] = -1
        left[:, axis] = -1
    return tuple(chosen[axis] for axis in range(3))
