"""Steps that clean up masks: filling holes, keeping the largest piece, dropping small ones, and one column."""

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
from segwright.ops.components import component_sizes, enclosing_box, label_components, largest_component
from segwright.ops.morphology import dilate, erode, find_holes

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


def _fill_holes_options(facts: StructureFacts) -> list[Params]:
    return [{}, {"slicewise": True}]


@step(_fill_holes_options)
def fill_holes(
    labels: Labels, space: LabelSpace, *, geometry: Geometry, structures: Sequence[str], slicewise: bool = False
) -> Labels:
    """Give enclosed background to the structure around it.

    Other structures inside a hole stay as they are. With `slicewise` each z slice is filled on its own.
    """
    out = labels.copy()
    for name in structures:
        index = space.names.index(name)
        mask = space.mask(labels, index)
        box = enclosing_box(mask)
        if box is not None:
            wide = box.grow((1, 1, 1)).clip(mask.shape)
            holes = find_holes(mask[wide.slices], slicewise=slicewise)
            add(out[(slice(None), *wide.slices)], space, index, new=holes)
    return out


def _keep_largest_options(facts: StructureFacts) -> list[Params]:
    return [{}]


@step(_keep_largest_options)
def keep_largest(
    labels: Labels, space: LabelSpace, *, geometry: Geometry, structures: Sequence[str], connectivity: int = 26
) -> Labels:
    """Keep the largest component of each structure.

    Right only for structures that are one piece in every patient; the search accepts it only where data say so.
    """
    out = labels.copy()
    for name in structures:
        index = space.names.index(name)
        mask = space.mask(labels, index)
        box = enclosing_box(mask)
        if box is not None:
            inside = mask[box.slices]
            part = out[(slice(None), *box.slices)]
            remove(part, space, index, gone=~largest_component(inside, connectivity))
    return out


#: Shares of the usual volume of a structure that the search tries as the smallest size.
_SHARES = (0.005, 0.02, 0.1)


def _drop_small_options(facts: StructureFacts) -> list[Params]:
    if not facts.voxels:
        return []
    sizes: list[Params] = [{"voxels": max(2, round(share * facts.voxels))} for share in _SHARES]
    if facts.mm3 is not None:
        sizes = [{"mm3": round(share * facts.mm3, 4)} | size for share, size in zip(_SHARES, sizes, strict=True)]
    return sizes


@step(_drop_small_options)
def drop_small(  # noqa: PLR0913  # what a recipe may set is a keyword
    labels: Labels,
    space: LabelSpace,
    *,
    geometry: Geometry,
    structures: Sequence[str],
    mm3: float | None = None,
    voxels: int | None = None,
    connectivity: int = 26,
) -> Labels:
    """Remove components smaller than a size.

    Args:
        labels: Canonical labels `(P, z, y, x)`.
        space: Their meaning.
        geometry: Their grid.
        structures: Names of those to change.
        mm3: Smallest volume kept in mm³ (mm² in a plane), used where spacing is known.
        voxels: Smallest volume kept in voxels, used where spacing is unknown or `mm3` is not given.
        connectivity: 6, 18 or 26.

    Raises:
        UsageError: No size, or none that applies to a scan without spacing.
    """
    least = _least_voxels(geometry, mm3, voxels)
    out = labels.copy()
    for name in structures:
        index = space.names.index(name)
        mask = space.mask(labels, index)
        box = enclosing_box(mask)
        if box is None:
            continue
        components, count = label_components(mask[box.slices], connectivity)
        small = np.concatenate([[False], component_sizes(components, count) < least])
        if small.any():
            remove(out[(slice(None), *box.slices)], space, index, gone=small[components])
    return out


def _least_voxels(geometry: Geometry, mm3: float | None, voxels: int | None) -> float:
    size = geometry.voxel_volume
    if mm3 is not None and size is not None:
        return mm3 / size * (1 - 1e-9)
    if voxels is None:
        got = "nothing" if mm3 is None else f"{mm3} mm³ for a scan without spacing"
        raise UsageError("drop_small needs a size.", expected="mm3 or voxels", got=got, hint="Give 'voxels' as well.")
    return float(voxels)


#: Radii at 512 voxels across, erosion then dilation; larger scans scale them.
_RADII = ((1, 3), (2, 6), (2, 12))


def _seed_mask_options(facts: StructureFacts) -> list[Params]:
    scale = max(1.0, facts.extent / 512)
    return [{"erode_voxels": round(a * scale), "dilate_voxels": round(b * scale)} for a, b in _RADII]


@step(_seed_mask_options, scope="union")
def seed_mask(
    labels: Labels,
    space: LabelSpace,
    *,
    geometry: Geometry,
    structures: Sequence[str],
    erode_voxels: float = 1,
    dilate_voxels: float = 3,
) -> Labels:
    """Keep what lies in the largest component of the eroded, then dilated, union of structures.

    Radii are in edges of the smallest voxel side, so balls are round in millimetres where spacing is known. If
    erosion leaves nothing the labels stay as they are.

    Raises:
        UsageError: The dilation is smaller than the erosion; the result would depend on how often it is applied.
    """
    if dilate_voxels < erode_voxels:
        raise UsageError("seed_mask must dilate at least as far as it erodes.", got=(erode_voxels, dilate_voxels))
    lengths = geometry.lengths if all(geometry.known[-2:]) else (1.0, 1.0, 1.0)
    axes = lengths[1:] if geometry.shape[0] == 1 else lengths
    indices = [space.names.index(name) for name in structures]
    union = np.logical_or.reduce([space.mask(labels, index) for index in indices])
    seeds = erode(union, erode_voxels * min(axes), lengths=lengths)
    if not seeds.any():
        return labels.copy()
    column = largest_component(dilate(seeds, dilate_voxels * min(axes), lengths=lengths))
    out = labels.copy()
    for index in indices:
        remove(out, space, index, gone=~column)
    return out
