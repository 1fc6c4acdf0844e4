"""How single DICOM frames form a grid: order, spacing, tilt and what is missing, from positions alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.words import amount

Vector = NDArray[np.float64]
_RAS = np.diag([-1.0, -1.0, 1.0])
#: Positions closer than this along the normal are one plane, in mm.
_SAME = 1e-3


@dataclass(frozen=True, slots=True)
class Frame:
    """One plane of pixels in a DICOM file.

    Attributes:
        path: File; `index` is the frame inside it, or `None` where it holds one only.
        uid: SOP instance UID of the file.
        size: Rows and columns.
        position: Centre of the first pixel, LPS+ mm.
        directions: Unit vectors along a row and along a column, LPS+.
        spacing: mm between rows and between columns.
        slope, intercept: Rescaling of stored values.
        rank: What orders frames at one position (time, acquisition, instance number).
    """

    path: Path
    index: int | None
    uid: str
    size: tuple[int, int]
    position: tuple[float, ...] | None
    directions: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    slope: float = 1.0
    intercept: float = 0.0
    rank: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames in `[channel][z]` order on a grid.

    Attributes:
        gaps: World z-order index after which planes lack, with how many: `(index, count)`.
        warnings: Sentences for a person.
    """

    frames: tuple[tuple[Frame, ...], ...]
    geometry: Geometry
    warnings: tuple[str, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class _Notes:
    warnings: list[str] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)


def stack(frames: Sequence[Frame], where: Path) -> Stack:
    """Sort frames along their common normal and give them a grid.

    Frames that repeat every position equally often become channels. A step that is a multiple of the usual one
    is a gap; planes that move sideways from one to the next (gantry tilt) give a sheared affine.

    Raises:
        ReadError: Sizes, directions or pixel spacings differ, some positions lack, or positions repeat unevenly.
    """
    notes = _Notes()
    frames = _without_copies(frames, notes)
    _demand_equal(frames, where)
    placed = [frame for frame in frames if frame.position is not None and frame.directions is not None]
    if len(frames) == 1:
        step = np.array([0.0, 0.0, 0.0])
        return Stack((tuple(frames),), _grid(frames, step), tuple(notes.warnings))
    if not placed:
        notes.warnings.append(f"The {len(frames)} frames have no positions; they are stacked in file order.")
        return Stack((tuple(frames),), _grid(frames, np.zeros(3)), tuple(notes.warnings))
    if len(placed) < len(frames):
        odd = next(frame for frame in frames if frame not in placed)
        raise ReadError("A slice has no position.", where=odd.path, hint=f"Move it out of {where.name}.")
    rows = _by_position(placed, where, notes)
    step = _step(rows[0], notes)
    if not notes.gaps:
        _numbering(rows[0], notes)
    return Stack(rows, _grid(rows[0], step), tuple(notes.warnings), tuple(notes.gaps))


def _without_copies(frames: Sequence[Frame], notes: _Notes) -> list[Frame]:
    kept = {(frame.uid or str(frame.path), frame.index): frame for frame in reversed(frames)}
    if len(kept) < len(frames):
        notes.warnings.append(f"{amount(len(frames) - len(kept), 'copy')} of other slices left out.")
    return sorted(kept.values(), key=lambda frame: (frame.rank, str(frame.path), frame.index or 0))


def _demand_equal(frames: Sequence[Frame], where: Path) -> None:
    """All frames must agree in size, directions and pixel spacing with the most common ones."""
    for name, label in (("size", "size"), ("directions", "orientation"), ("spacing", "pixel spacing")):
        keys = [_rounded(getattr(frame, name)) for frame in frames]
        usual = max(set(keys), key=keys.count)
        odd = [frame for frame, key in zip(frames, keys, strict=True) if not _close(key, usual)]
        if odd:
            raise ReadError(
                f"Slices of one series differ in {label} ({len(odd)} of {len(frames)}).",
                expected=usual,
                got=getattr(odd[0], name),
                where=odd[0].path,
                hint=f"Move slices that do not belong to the scan (a localiser?) out of {where.name}.",
            )


def _rounded(value: Any) -> Any:
    return None if value is None else tuple(round(float(number), 4) for number in value)


def _close(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.allclose(a, b, rtol=1e-3, atol=2e-3))


def _normal(frame: Frame) -> Vector:
    directions = np.array(frame.directions, dtype=np.float64)
    normal = np.cross(directions[:3], directions[3:])
    return np.asarray(normal / np.linalg.norm(normal))


def _by_position(frames: Sequence[Frame], where: Path, notes: _Notes) -> tuple[tuple[Frame, ...], ...]:
    """Frames as `[channel][z]`, z growing along the normal."""
    normal = _normal(frames[0])
    heights = np.array([np.dot(normal, frame.position or ()) for frame in frames])
    order = np.argsort(heights, kind="stable")
    planes: list[list[Frame]] = []
    last = -np.inf
    for i in order:
        if heights[i] - last > _SAME:
            planes.append([])
        planes[-1].append(frames[i])
        last = heights[i]
    counts = {len(plane) for plane in planes}
    if len(counts) > 1:
        usual = min(counts)
        odd = next(plane for plane in planes if len(plane) != usual)
        raise ReadError(
            "Slice positions repeat unevenly.",
            expected=f"{usual} at each of {len(planes)} positions",
            got=f"{len(odd)} at {odd[0].position}",
            where=odd[-1].path,
            hint=f"Keep one acquisition in {where.name}.",
        )
    if counts != {1}:
        notes.warnings.append(f"Each position holds {len(planes[0])} frames; they are read as channels in order.")
    return tuple(tuple(plane[channel] for plane in planes) for channel in range(len(planes[0])))


def _numbering(frames: Sequence[Frame], notes: _Notes) -> None:
    """Note slices that the numbers of a series speak of and that are not there, where each slice is a file of its own.

    Positions show gaps between slices; that the first ones are lost is seen by their numbers alone.
    """
    numbers = sorted(int(frame.rank[3]) for frame in frames if frame.index is None and len(frame.rank) > 3)
    if len(numbers) < 3 or len(set(numbers)) < len(numbers):
        return
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    lost = sum(step - 1 for step in steps)
    if 1 < numbers[0] <= len(numbers) and max(steps) == 1:
        told = f"The slices are numbered from {numbers[0]}: {amount(numbers[0] - 1, 'slice')} in front may be missing."
        notes.warnings.append(told)
    elif 0 < lost < len(numbers) and min(steps) == 1:
        after = [str(a) for a, step in zip(numbers, steps, strict=False) if step > 1]
        notes.warnings.append(
            f"The numbers of the slices jump after {', '.join(after[:5])}: {amount(lost, 'slice')} may be missing."
        )


def _step(frames: Sequence[Frame], notes: _Notes) -> Vector:
    """Vector from one plane to the next in LPS+ mm, noting gaps, uneven steps and tilt."""
    if len(frames) == 1:
        return np.zeros(3)
    positions = np.array([frame.position for frame in frames])
    normal = _normal(frames[0])
    heights = np.diff(positions @ normal)
    usual = float(np.sort(heights)[(len(heights) - 1) // 2])
    for i in map(int, np.flatnonzero(heights > 1.5 * usual)):
        missing = round(heights[i] / usual) - 1
        notes.gaps.append((i, missing))
        a, b = frames[i], frames[i + 1]
        notes.warnings.append(
            f"{amount(missing, 'slice')} missing between planes {i + 1} ({a.path.name}) and {i + 2} ({b.path.name}): "
            f"the step there is {heights[i]:.3f} mm instead of {usual:.3f} mm."
        )
    whole = heights[heights <= 1.5 * usual]
    spread = float(np.abs(whole - usual).max())
    if spread > 0.02 * usual + 0.01:
        notes.warnings.append(f"Steps between slices vary by up to {spread:.3f} mm around {usual:.3f} mm.")
    along = (positions[-1] - positions[0]) / heights.sum()
    step = along * (usual if notes.gaps else heights.sum() / len(heights))
    angle = float(np.degrees(np.arccos(np.clip(np.dot(step, normal) / np.linalg.norm(step), -1, 1))))
    if angle > 0.1:
        notes.warnings.append(f"Slices are shifted sideways by {angle:.2f} degrees (gantry tilt); the grid is sheared.")
    return np.asarray(step)


def _grid(frames: Sequence[Frame], step: Vector) -> Geometry:
    """RAS+ grid whose first voxel is the first frame's; unknown axes get unit columns."""
    first = frames[0]
    shape = (len(frames), *first.size)
    down, right = first.spacing or (1.0, 1.0)
    known = (bool(np.any(step)), first.spacing is not None, first.spacing is not None)
    if first.directions is None:
        plain = Geometry.from_spacing(shape, (None, down, right))
        return Geometry(shape, plain.affine, known)
    directions = np.array(first.directions, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, 0] = _RAS @ (step if known[0] else _normal(first))
    affine[:3, 1] = _RAS @ (directions[3:] / np.linalg.norm(directions[3:])) * down
    affine[:3, 2] = _RAS @ (directions[:3] / np.linalg.norm(directions[:3])) * right
    affine[:3, 3] = _RAS @ np.array(first.position if first.position is not None else (0.0, 0.0, 0.0))
    return Geometry(shape, affine, known)
