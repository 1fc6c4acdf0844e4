"""Vertebral bodies of a frontal film, from the top: from one mask each, or from the pieces of one mask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UnknownNameError
from segwright.measures.measure import Points, Subject
from segwright.measures.quad import fitted_sides, minimal_quad
from segwright.ops.column import along
from segwright.ops.components import component_sizes, label_components
from segwright.ops.distance import distance_to
from segwright.ops.flood import flood

#: Names of vertebrae: C1 to S5, T10, Th4, L_2, "vertebra 3", "spine".
NAMES = re.compile(r"^(c|t|th|d|l|s)[ _-]?\d{1,2}$|vertebr|spine|spinal|wirbel|column", re.IGNORECASE)
#: Pieces smaller than this share of the median body are crumbs; larger than so many, and so much longer along the
#: column than their neighbours, several in one.
CRUMB, SEVERAL, TALL = 0.2, 1.6, 1.5
#: Neighbours whose median says how large a body usually is there.
NEIGHBOURS = 4
#: Depth, as a share of the usual half height, from which touching bodies are parted.
DEEP = 0.6
#: Without names, structures count as vertebrae if there are this many and neighbours differ at most so much in size.
LEAST, ALIKE = 4, 3.0

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Vertebra:
    """One body; points are `(y, x)` in the unit of the subject.

    Attributes:
        name: Structure, or its number from the top.
        centre: Of its area.
        upper, lower: Ends `(2, 2)` of its end plates, left end first.
    """

    name: str
    centre: Points
    upper: Points
    lower: Points


@dataclass(frozen=True)
class Column:
    """The bodies found, from the top, with what was assumed on the way."""

    bodies: tuple[Vertebra, ...]
    notes: tuple[str, ...] = ()
    missing: str = ""


def find_column(subject: Subject, structures: Sequence[str] = ()) -> Column:
    """The vertebrae of a plane, ordered along their own line with the top of the image first.

    Args:
        subject: A single plane.
        structures: Those that are vertebrae; by their names if none are given. A single structure is taken apart into
            its connected pieces.

    Raises:
        UnknownNameError: A structure that does not exist.
    """
    chosen, notes = _chosen(subject, structures)
    if not chosen:
        return Column((), missing="no structure is named like vertebrae; name them with structures=")
    if len(chosen) == 1:
        masks, more = _pieces(subject.mask(chosen[0])[0], subject.lengths)
        named = [("", mask) for mask in masks]
    else:
        named, more = _one_each(subject, chosen)
    if len(named) < 2:
        return Column((), notes, missing=f"{len(named)} vertebra(e) found, at least 2 are needed")
    return Column(_bodies(named, np.array(subject.lengths[1:])), (*notes, *more))


def _chosen(subject: Subject, structures: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Structures that are vertebrae, and what was assumed about that."""
    for name in structures:
        if name not in subject.names:
            raise UnknownNameError.among("structure", name, subject.names)
    if structures:
        return list(structures), ()
    named = [name for name in subject.names if NAMES.search(name)]
    if named:
        return named, ()
    if len(subject.names) == 1:
        return list(subject.names), (f"the pieces of {subject.names[0]!r} were taken for vertebrae",)
    sizes = [int(np.count_nonzero(subject.mask(name))) for name in subject.names]
    present = [name for name, size in zip(subject.names, sizes, strict=True) if size]
    counts = [size for size in sizes if size]
    alike = len(counts) >= LEAST and all(max(a, b) <= ALIKE * min(a, b) for a, b in pairwise(counts))
    if not alike or not _in_row(subject, present):
        return [], ()
    return list(subject.names), ("all structures were taken for vertebrae: they are alike and in a row",)


def _in_row(subject: Subject, names: Sequence[str]) -> bool:
    """Whether structures follow one another along a line in the order in which they are listed."""
    centres = np.array([np.argwhere(subject.mask(name)).mean(axis=0) for name in names]) * subject.lengths
    order, _ = along(centres)
    steps = np.diff(centres, axis=0)
    onward = all(float(a @ b) > 0 for a, b in pairwise(steps))
    return onward and bool((np.diff(order) == order[1] - order[0]).all())


def _one_each(subject: Subject, names: Sequence[str]) -> tuple[list[tuple[str, Mask]], tuple[str, ...]]:
    """The largest piece of each structure, and which structures have none or several."""
    found, notes = [], []
    for name in names:
        mask = subject.mask(name)
        parts, count = label_components(mask, connectivity=8)
        if not count:
            notes.append(f"{name} is empty")
            continue
        sizes = component_sizes(parts, count)
        if count > 1:
            notes.append(f"{name} is in {count} pieces; the largest counts")
        found.append((name, (parts == sizes.argmax() + 1)[0]))
    return found, tuple(notes)


def _pieces(mask: Mask, lengths: tuple[float, float, float]) -> tuple[list[Mask], tuple[str, ...]]:
    """Bodies `(y, x)` of one mask: its pieces without crumbs; those far larger than their neighbours are parted."""
    parts, count = label_components(mask[None], connectivity=4)
    sizes = component_sizes(parts, count)
    if not count:
        return [], ()
    large = np.flatnonzero(sizes >= CRUMB * np.median(sizes[sizes >= CRUMB * sizes.max()]))
    notes = []
    if len(large) < count:
        notes.append(f"{count - len(large)} piece(s) far smaller than a vertebra were left out")
    pieces = [parts == number + 1 for number in large]
    usual = _usual(pieces, sizes[large])
    heights = np.array([_height(piece, [one for one in pieces if one is not piece]) for piece in pieces])
    single = (sizes[large] <= SEVERAL * usual) | (heights <= TALL * _usual(pieces, heights))
    depth = distance_to(~mask[None], lengths)
    bodies = [piece for piece, alone in zip(pieces, single, strict=True) if alone]
    half = float(np.median([depth[body].max() for body in bodies] or [depth[mask[None]].max()]))
    for index in np.flatnonzero(~single):
        several = _parted(pieces[index], depth, half, CRUMB * usual[index])
        if len(several) == 1 and single.sum() > 1:
            whole = [piece for piece, alone in zip(pieces, single, strict=True) if alone]
            several = _cut(pieces[index], max(2, round(sizes[large][index] / usual[index])), _way(pieces[index], whole))
        if len(several) > 1:
            notes.append("touching vertebrae were parted")
        bodies += several
    return [body[0] for body in bodies], tuple(dict.fromkeys(notes))


def _usual(pieces: Sequence[Mask], values: NDArray[Any]) -> Points:
    """For each piece the median value of its nearest neighbours: vertebrae grow from the neck down."""
    centres = np.array([np.argwhere(piece).mean(axis=0) for piece in pieces])
    far = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    np.fill_diagonal(far, np.inf)
    near = np.argsort(far, axis=1)[:, : min(NEIGHBOURS, len(pieces) - 1)]
    if not near.size:
        return values.astype(np.float64)
    found: Points = np.median(values[near], axis=1)
    return found


def _height(piece: Mask, others: Sequence[Mask]) -> float:
    """Length of a piece along the column."""
    if len(others) < 2:
        return 1.0
    way = _way(piece, others)
    return float(np.ptp(np.argwhere(piece) @ (way / max(float(np.linalg.norm(way)), 1e-9))))


def _parted(piece: Mask, depth: NDArray[np.float32], half: float, least: float) -> list[Mask]:
    """A piece cut into bodies that flood from where it is deep; itself if it is deep in one place only."""
    seeds, count = label_components(piece & (depth > DEEP * half), connectivity=4)
    if count < 2:
        return [piece]
    numbers = flood(seeds, -depth, piece)
    parts = [numbers == number for number in range(1, count + 1)]
    kept = [part for part in parts if np.count_nonzero(part) >= least]
    return kept if len(kept) > 1 else [piece]


def _way(piece: Mask, others: Sequence[Mask]) -> Points:
    """Direction of the column at a piece: between the two other bodies nearest to it."""
    centre = np.argwhere(piece).mean(axis=0)
    centres = np.array([np.argwhere(other).mean(axis=0) for other in others])
    near = centres[np.argsort(np.linalg.norm(centres - centre, axis=1))[:2]]
    way: Points = near[1] - near[0]
    return way


def _cut(piece: Mask, count: int, way: Points) -> list[Mask]:
    """A piece cut across the column into parts of equal length."""
    where = np.argwhere(piece)
    place = where @ way
    share = (place - place.min()) / max(float(np.ptp(place)), 1e-9)
    number = np.minimum((share * count).astype(int), count - 1)
    parts = []
    for index in range(count):
        part = np.zeros_like(piece)
        part[tuple(where[number == index].T)] = True
        parts.append(part)
    return parts


def _bodies(named: Sequence[tuple[str, Mask]], edge: Points) -> tuple[Vertebra, ...]:
    """Bodies in order, the top of the image first, with their end plates."""
    points = [np.argwhere(mask) for _, mask in named]
    centres = np.array([one.mean(axis=0) * edge for one in points])
    order, _ = along(centres)
    if centres[order[0], 0] > centres[order[-1], 0]:
        order = order[::-1]
    row = centres[order]
    down = np.gradient(row, axis=0)
    found = []
    for place, index in enumerate(order):
        name = named[index][0] or str(place + 1)
        found.append(_vertebra(name, points[index], edge, down[place]))
    return tuple(found)


def _vertebra(name: str, pixels: NDArray[np.int64], edge: Points, down: Points) -> Vertebra:
    """End plates of one body: the two opposite sides of its quadrilateral that face along the column."""
    steps = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])
    corners = minimal_quad((pixels[:, None] + steps[None]).reshape(-1, 2) * edge)
    centre = pixels.mean(axis=0) * edge
    sides = fitted_sides(corners, _border(pixels) * edge)
    outward = sides.mean(axis=1) - centre
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    facing = outward @ (down / max(float(np.linalg.norm(down)), 1e-9))
    pair = (
        max(((0, 2), (1, 3)), key=lambda two: abs(float(facing[two[0]] - facing[two[1]])))
        if len(sides) == 4
        else (0, 1)
    )
    upper, lower = sorted(pair, key=lambda side: float(facing[side]))
    return Vertebra(name, centre, _left_first(sides[upper]), _left_first(sides[lower]))


def _border(pixels: NDArray[np.int64]) -> Points:
    """Pixels of a body with a neighbour outside it."""
    low = pixels.min(axis=0) - 1
    mask = np.zeros(pixels.max(axis=0) - low + 2, bool)
    mask[tuple((pixels - low).T)] = True
    inner = mask.copy()
    for axis in (0, 1):
        inner &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    found: Points = np.argwhere(mask & ~inner).astype(np.float64) + low
    return found


def _left_first(line: Points) -> Points:
    return line if line[0, 1] <= line[1, 1] else line[::-1]
