"""Keeps of each structure its largest connected component."""

from __future__ import annotations

from collections.abc import Sequence

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.ops.components import enclosing_box, largest_component
from segwright.postprocess.step import Labels, Params, StructureFacts, remove, step


def _options(facts: StructureFacts) -> list[Params]:
    return [{}]


@step(_options)
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
