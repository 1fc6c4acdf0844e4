"""What a measure is: a function from the masks of one case to values, lines to draw, and what stood in its way."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UnknownNameError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.ops.distance import step_lengths

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """One case to measure.

    Attributes:
        case: Its id.
        labels: Canonical labels `(P, z, y, x)`.
        space: Their meaning.
        geometry: Their grid.
    """

    case: str
    labels: NDArray[Any]
    space: LabelSpace
    geometry: Geometry

    @cached_property
    def lengths(self) -> tuple[float, float, float]:
        """Edges of a voxel `(z, y, x)` in `unit`."""
        return step_lengths(self.geometry.shape, self.geometry.spacing)[0]

    @cached_property
    def unit(self) -> str:
        """`mm`; `pixels` of a plane or `voxels` where the spacing is unknown."""
        if step_lengths(self.geometry.shape, self.geometry.spacing)[1]:
            return "mm"
        return "pixels" if self.flat else "voxels"

    @property
    def flat(self) -> bool:
        """Whether it is a single plane."""
        return self.geometry.shape[0] == 1

    @property
    def names(self) -> tuple[str, ...]:
        """All structures."""
        return self.space.names

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Voxels `(z, y, x)` of a structure."""
        return self.space.mask(self.labels, self.names.index(name))

    def union(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        """Voxels of any of some structures."""
        return np.logical_or.reduce([self.mask(name) for name in names])


@dataclass(frozen=True)
class Value:
    """One number. `value` is `None` where it could not be taken; `note` says why, or what to mind."""

    structure: str
    name: str
    value: float | None
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Mark:
    """A line to draw over the scan.

    Attributes:
        points: `(N, 2)` voxel indices `(y, x)` of slice `z`, drawn through in order.
        text: Written beside its middle; empty for none.
        role: `main` stands out, `fine` stays back.
    """

    points: Points
    text: str = ""
    role: Literal["main", "fine"] = "fine"
    z: int = 0


@dataclass(frozen=True)
class Taken:
    """What measuring gave.

    Attributes:
        values: In reading order.
        marks: Lines to draw.
        missing: Why nothing, or not everything, could be taken; empty if all could.
        notes: What was assumed, or should be checked.
    """

    values: tuple[Value, ...] = ()
    marks: tuple[Mark, ...] = ()
    missing: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measure:
    """A row of the measures table; call it on a subject.

    Attributes:
        name: Row name.
        about: One sentence.
        take: `(subject, **options) -> Taken`.
        general: Whether it fits structures of any kind; others are tried quietly unless asked for.
        options: Names of its options.
    """

    name: str
    about: str
    take: Callable[..., Taken]
    general: bool
    options: tuple[str, ...] = field(default=())

    def __call__(self, subject: Subject, options: Mapping[str, Any] | None = None) -> Taken:
        """Measure a case.

        Raises:
            UnknownNameError: An option that the measure does not have.
        """
        self.check(options or {})
        return self.take(subject, **(options or {}))

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that the measure does not have."""
        for name in options:
            if name not in self.options:
                raise UnknownNameError.among(f"option of {self.name}", name, self.options)


def measure(*, general: bool = False) -> Callable[[Callable[..., Taken]], Measure]:
    """Turn a function into a measure named after it, described by the first line of its docstring."""

    def wrap(take: Callable[..., Taken]) -> Measure:
        about = (take.__doc__ or "").strip().partition("\n")[0]
        options = tuple(list(inspect.signature(take).parameters)[1:])
        return Measure(take.__name__, about, take, general, options)

    return wrap
