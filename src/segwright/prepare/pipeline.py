"""The way in: turn, crop, normalise and resample a scan, with a record of every spatial step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.errors import GeometryError
from segwright.core.geometry import Geometry, Triple
from segwright.core.labels import LabelSpace
from segwright.core.plan import PreparePlan
from segwright.core.trail import Cropped, Resampled, SpatialStep, Trail, Turned, turn, turn_for
from segwright.core.volume import Volume
from segwright.core.words import size
from segwright.ops.crop import content_box
from segwright.ops.intensity import normalise
from segwright.ops.resample import resample, resample_labels

#: Where slices are thicker than this many in-plane edges, cubic interpolation across them would only ring.
THICK = 3.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scan as the network sees it.

    Attributes:
        array: float32 `(C, z, y, x)`.
        trail: Spatial steps from the source grid to this one.
        repaired: Voxels that were NaN or infinite and were replaced; for whoever reports.
    """

    array: NDArray[np.float32]
    trail: Trail
    repaired: int = 0


def prepare_image(volume: Volume, plan: PreparePlan) -> Prepared:
    """Bring a scan to the plan's orientation, content, intensities and voxel size, in that order.

    Intensities come before resampling: statistics then belong to the measured voxels, and zeros outside the body
    stay exact zeros. Single planes are not turned, and axes without spacing keep their voxels.

    Args:
        volume: Scan with as many channels as `plan.normalise`.
        plan: What to do.

    Example:
        >>> from segwright.core.plan import Normalisation
        >>> scan = Volume.of(np.arange(8.0).reshape(2, 2, 2), Geometry.from_spacing((2, 2, 2), (4, 1, 1)))
        >>> prepare_image(scan, PreparePlan(spacing=(2, 1, 1), normalise=(Normalisation(),))).array.shape
        (1, 4, 2, 2)
    """
    steps: list[tuple[SpatialStep, Geometry]] = []
    array, source = volume.array(), _known(volume.geometry, plan)
    geometry = source
    turned = turn_for(geometry, plan.orientation)
    if turned:
        steps.append((turned, geometry))
        array, geometry = turn(array, turned), seen_grid(source, plan)
    if plan.crop:
        box = content_box(array)
        if box.shape != geometry.shape:
            steps.append((Cropped(box), geometry))
            array, geometry = array[(slice(None), *box.slices)], geometry.crop(box)
    scaled, repaired = normalise(array, plan.normalise)
    shape = target_shape(geometry, plan)
    if shape != geometry.shape:
        steps.append((Resampled(shape), geometry))
        scaled, geometry = resample(scaled, shape, order=interpolation_orders(geometry)), geometry.resample(shape)
    return Prepared(scaled, Trail(source, geometry, tuple(steps)), repaired)


def seen_grid(geometry: Geometry, plan: PreparePlan) -> Geometry:
    """A scan's grid turned as planned, with the voxel edges that the recipe told where the file states none."""
    turned, geometry = turn_for(geometry, plan.orientation), _known(geometry, plan)
    return geometry.permute(turned.order).flip(turned.flips) if turned else geometry


def _known(geometry: Geometry, plan: PreparePlan) -> Geometry:
    return geometry.stated(plan.voxel) if plan.voxel else geometry


def target_shape(geometry: Geometry, plan: PreparePlan) -> Triple:
    """Voxels `(z, y, x)` after resampling a `seen_grid` to the plan's physical scale; at least 1 an axis."""
    return plan.size(geometry.shape, geometry.spacing)


def interpolation_orders(geometry: Geometry) -> Triple:
    """Interpolation order an axis: cubic, but linear across slices that are thick against the plane."""
    finest = min(geometry.lengths)
    z, y, x = (1 if length > THICK * finest else 3 for length in geometry.lengths)
    return z, y, x


def prepare_label(labels: NDArray[Any], trail: Trail, space: LabelSpace) -> NDArray[Any]:
    """Take canonical labels `(P, z, y, x)` along an image's trail, in one contiguous array.

    Raises:
        GeometryError: The labels do not lie on the trail's source grid.
    """
    if labels.shape[1:] != trail.source.shape:
        raise GeometryError(
            "Label and image differ in shape.",
            expected=size(trail.source.shape),
            got=size(labels.shape[1:]),
            hint="Bring the label onto the image's grid, or remove the case.",
        )
    labels = unresampled(labels, trail)
    return np.ascontiguousarray(resample_labels(labels, trail.target.shape, space=space))


def unresampled(array: NDArray[Any], trail: Trail) -> NDArray[Any]:
    """A view of `(P, z, y, x)` on the source grid as it lies after turn and crop; writing to it writes to `array`.

    Raises:
        GeometryError: The trail goes on after resampling, so that no view exists.
    """
    for position, (step, _) in enumerate(trail.steps):
        if isinstance(step, Turned):
            array = turn(array, step)
        elif isinstance(step, Cropped):
            array = array[(slice(None), *step.box.slices)]
        elif position != len(trail.steps) - 1:
            raise GeometryError("A trail may resample only as its last step.", got=[s for s, _ in trail.steps])
    return array


def trail_to_data(trail: Trail) -> dict[str, Any]:
    """A trail as JSON-ready data; floats survive exactly.

    Example:
        >>> grid = Geometry.from_spacing((1, 2, 3))
        >>> trail_from_data(trail_to_data(Trail(grid, grid))) == Trail(grid, grid)
        True
    """
    steps = [{**_step_to_data(step), "from": _grid_to_data(grid)} for step, grid in trail.steps]
    return {"source": _grid_to_data(trail.source), "target": _grid_to_data(trail.target), "steps": steps}


def trail_from_data(data: dict[str, Any]) -> Trail:
    """The trail that `trail_to_data` described."""
    steps = tuple((_step_from_data(step), _grid_from_data(step["from"])) for step in data["steps"])
    return Trail(_grid_from_data(data["source"]), _grid_from_data(data["target"]), steps)


def _step_to_data(step: SpatialStep) -> dict[str, Any]:
    match step:
        case Turned(order, flips):
            return {"kind": "turned", "order": list(order), "flips": list(flips)}
        case Cropped(box):
            return {"kind": "cropped", "start": list(box.start), "stop": list(box.stop)}
        case Resampled(shape):
            return {"kind": "resampled", "shape": list(shape)}


def _step_from_data(data: dict[str, Any]) -> SpatialStep:
    match data["kind"]:
        case "turned":
            return Turned(tuple(data["order"]), tuple(data["flips"]))
        case "cropped":
            return Cropped(Box(tuple(data["start"]), tuple(data["stop"])))
        case "resampled":
            return Resampled(tuple(data["shape"]))
        case other:
            raise ValueError(f"unknown spatial step {other!r}")


def _grid_to_data(grid: Geometry) -> dict[str, Any]:
    return {"shape": list(grid.shape), "affine": grid.affine.tolist(), "known": list(grid.known)}


def _grid_from_data(data: dict[str, Any]) -> Geometry:
    return Geometry(tuple(data["shape"]), data["affine"], tuple(data["known"]))
