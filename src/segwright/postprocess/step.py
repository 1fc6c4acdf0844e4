"""What a post-processing step is, and the two ways in which one may change labels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UnknownNameError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace

Labels = NDArray[Any]
Params = dict[str, Any]


@dataclass(frozen=True)
class StructureFacts:
    """What a step may size its parameters by: medians over reference cases in which a structure is present.

    Attributes:
        voxels: Volume in voxels; 0 if the structure is present nowhere.
        mm3: Volume in mm³ (mm² in a plane); `None` unless the spacing of every case is known.
        extent: Larger in-plane edge of the scan in voxels.
    """

    voxels: float
    mm3: float | None
    extent: float


@dataclass(frozen=True)
class Step:
    """A row of the steps table; call it on canonical labels.

    Attributes:
        name: Row name.
        about: One sentence.
        apply: `(labels, space, *, geometry, structures, **params) -> labels`; must not change its input.
        options: Parameter sets that the search tries.
        scope: `structure`: each structure is changed on its own; `union`: all together.
    """

    name: str
    about: str
    apply: Callable[..., Labels]
    options: Callable[[StructureFacts], Sequence[Params]]
    scope: Literal["structure", "union"] = "structure"
    params: tuple[str, ...] = field(default=())

    def __call__(
        self, labels: Labels, space: LabelSpace, *, geometry: Geometry, structures: Collection[str] = (), **params: Any
    ) -> Labels:
        """New labels `(P, z, y, x)`; all structures unless some are named.

        Raises:
            UnknownNameError: A structure or parameter that does not exist.
            UsageError: Labels and geometry differ in shape.
        """
        for name in structures:
            if name not in space.names:
                raise UnknownNameError.among("structure", name, space.names)
        self.check(params)
        if tuple(labels.shape) != (space.planes, *geometry.shape):
            raise UsageError(
                "Labels do not fit their grid.", expected=(space.planes, *geometry.shape), got=labels.shape
            )
        chosen = tuple(name for name in space.names if not structures or name in structures)
        return self.apply(labels, space, geometry=geometry, structures=chosen, **params)

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse parameters that the step does not have."""
        for name in params:
            if name not in self.params:
                raise UnknownNameError.among(f"parameter of {self.name}", name, self.params)


def step(
    options: Callable[[StructureFacts], Sequence[Params]], scope: Literal["structure", "union"] = "structure"
) -> Callable[[Callable[..., Labels]], Step]:
    """Turn a function into a step named after it, described by the first line of its docstring."""

    def wrap(apply: Callable[..., Labels]) -> Step:
        about = (apply.__doc__ or "").strip().partition("\n")[0]
        taken = tuple(list(inspect.signature(apply).parameters)[4:])
        return Step(apply.__name__, about, apply, options, scope, taken)

    return wrap


def plane_of(labels: Labels, space: LabelSpace, index: int) -> Labels:
    """The view `(z, y, x)` of a canonical array that stores structure `index`."""
    plane: Labels = labels[0 if space.exclusive else index]
    return plane


def remove(labels: Labels, space: LabelSpace, index: int, *, gone: NDArray[np.bool_]) -> None:
    """Turn voxels of structure `index` into background, in place."""
    plane_of(labels, space, index)[gone & space.mask(labels, index)] = 0


def add(labels: Labels, space: LabelSpace, index: int, *, new: NDArray[np.bool_]) -> None:
    """Turn background voxels into structure `index`, in place; other structures and ignored voxels stay."""
    plane = plane_of(labels, space, index)
    plane[new & (plane == 0)] = index + 1 if space.exclusive else 1
