"""Fills background that a structure encloses."""

from __future__ import annotations

from collections.abc import Sequence

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.ops.components import enclosing_box
from segwright.ops.morphology import find_holes
from segwright.postprocess.step import Labels, Params, StructureFacts, add, step


def _options(facts: StructureFacts) -> list[Params]:
    return [{}, {"slicewise": True}]


@step(_options)
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
