"""Restricts all structures to one column: erosion, wider dilation, largest component, and the prediction inside it.

The rule comes from a spine X-ray pipeline: dilation fuses neighbouring vertebrae into one column, so that the largest
component is the spine and stray detections elsewhere fall away. It loses vertebrae where the column is broken, which
is why the search must prove it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.ops.components import largest_component
from segwright.ops.morphology import dilate, erode
from segwright.postprocess.step import Labels, Params, StructureFacts, remove, step

#: Radii at 512 voxels across, erosion then dilation; larger scans scale them.
_RADII = ((1, 3), (2, 6), (2, 12))


def _options(facts: StructureFacts) -> list[Params]:
    scale = max(1.0, facts.extent / 512)
    return [{"erode_voxels": round(a * scale), "dilate_voxels": round(b * scale)} for a, b in _RADII]


@step(_options, scope="union")
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
