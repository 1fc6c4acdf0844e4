"""Trails as plain data, so that a stored case can still find its way back."""

from __future__ import annotations

from typing import Any

from segwright.core.box import Box
from segwright.core.geometry import Geometry
from segwright.core.trail import Cropped, Resampled, SpatialStep, Trail, Turned


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
