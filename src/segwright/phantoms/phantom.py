"""One drawn case in memory, before a writer gives it a file format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace


@dataclass(frozen=True, slots=True)
class Phantom:
    """A drawn scan with its reference.

    Attributes:
        image: `(C, z, y, x)`, the number type a scanner would store.
        label: Canonical label `(P, z, y, x)`.
        geometry: The grid of both.
        space: Meaning of the label.
        channels: Name of each channel where there are several.
        objects: Numbers of single objects `(z, y, x)` where structures are made of many, else `None`.

    Example:
        >>> from segwright.phantoms import PHANTOMS
        >>> case = PHANTOMS.load("tumour-mri")(seed=1, patient=0)
        >>> case.image.shape, case.space.names
        ((1, 24, 64, 64), ('organ', 'tumour'))
    """

    image: NDArray[Any]
    label: NDArray[Any]
    geometry: Geometry
    space: LabelSpace
    channels: tuple[str, ...] = ()
    objects: NDArray[Any] | None = None
