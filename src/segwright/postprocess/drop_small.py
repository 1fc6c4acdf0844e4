"""Removes components below a size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.ops.components import component_sizes, enclosing_box, label_components
from segwright.postprocess.step import Labels, Params, StructureFacts, remove, step

#: Shares of the usual volume of a structure that the search tries as the smallest size.
_SHARES = (0.005, 0.02, 0.1)


def _options(facts: StructureFacts) -> list[Params]:
    if not facts.voxels:
        return []
    sizes: list[Params] = [{"voxels": max(2, round(share * facts.voxels))} for share in _SHARES]
    if facts.mm3 is not None:
        sizes = [{"mm3": round(share * facts.mm3, 4)} | size for share, size in zip(_SHARES, sizes, strict=True)]
    return sizes


@step(_options)
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
