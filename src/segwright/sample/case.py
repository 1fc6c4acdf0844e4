"""One prepared case as the sampler sees it: arrays read by slices and where its structures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import GeometryError


@dataclass(frozen=True, slots=True)
class SampleCase:
    """A prepared case; nothing is read until a patch is cut.

    Attributes:
        image: Array, memory map or lazy array `(C, z, y, x)`, already normalised.
        label: Canonical labels `(P, z, y, x)` on the same grid.
        spots: Some voxel coordinates `(n, 3)` in `(z, y, x)` order of each structure present, by structure index.
        id: Case id.
        spacing: Voxel size `(z, y, x)` in mm; `None` where unknown.

    Raises:
        GeometryError: Image and label grids differ, or a list of spots is not `(n, 3)`.
    """

    image: Any
    label: Any
    spots: Mapping[int, NDArray[Any]] = field(default_factory=dict)
    id: str = ""
    spacing: tuple[float | None, float | None, float | None] = (None, None, None)

    def __post_init__(self) -> None:
        if tuple(self.image.shape[1:]) != tuple(self.label.shape[1:]) or len(self.image.shape) != 4:
            raise GeometryError(
                "Image and label of a case differ in grid.",
                expected=f"(C, z, y, x) and (P, z, y, x), image {tuple(self.image.shape)}",
                got=f"label {tuple(self.label.shape)}",
                where=self.id or None,
                hint="Prepare the case again.",
            )
        for structure, spots in self.spots.items():
            if spots.ndim != 2 or spots.shape[1] != 3:
                raise GeometryError(
                    "Spots must be (n, 3).", got=f"{spots.shape} for structure {structure}", where=self.id
                )

    def only(self, structures: Sequence[int]) -> SampleCase:
        """The case as if it held these structures alone; its label is masked when it is read."""
        spots = {index: spots for index, spots in self.spots.items() if index in structures}
        return replace(self, label=OnlySome(self.label, tuple(structures)), spots=spots)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels `(z, y, x)`."""
        z, y, x = self.image.shape[1:]
        return (int(z), int(y), int(x))

    @property
    def present(self) -> tuple[int, ...]:
        """Structures with at least one known spot, ascending."""
        return tuple(sorted(index for index, spots in self.spots.items() if len(spots)))


@dataclass(frozen=True, slots=True)
class OnlySome:
    """Canonical labels `(P, z, y, x)` in which all but some structures count as background.

    Example:
        >>> OnlySome(np.array([[[[0, 1, 2, -1]]]]), (1,))[:, 0:1].tolist()
        [[[[0, 0, 2, 0]]]]
    """

    label: Any
    structures: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole label."""
        return tuple(self.label.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        part = np.asarray(self.label[index])
        if self.label.shape[0] == 1:
            return np.where(np.isin(part, [number + 1 for number in self.structures]), part, 0)
        planes = np.isin(np.arange(self.label.shape[0]), self.structures)
        kept: NDArray[Any] = part * planes[index[0]].reshape(-1, *(1,) * (part.ndim - 1))
        return kept
