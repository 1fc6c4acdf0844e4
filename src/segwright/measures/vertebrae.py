"""Vertebral bodies of a frontal film, from the top: from one mask each, or from the pieces of one mask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UnknownNameError
from segwright.core.words import agree, amount
from segwright.measures.measure import Points, Subject
from segwright.measures.shapes import fitted_sides, minimal_quad
from segwright.ops.components import component_sizes, label_components
from segwright.ops.distance import distance_to
from segwright.ops.instances import flood
from segwright.ops.row_instances import along

#: Names of vertebrae: C1 to S5, T10, Th4, L_2, "vertebra 3", "spine".
NAMES = re.compile(r"^(c|t|th|d|l|s)[ _-]?\d{1,2}$|vertebr|spine|spinal|wirbel|column", re.IGNORECASE)
#: Pieces smaller than this share of the median body are crumbs; larger than so many, and so much thicker than their
#: neighbours, several in one.
CRUMB, SEVERAL, TALL = 0.2, 1.6, 1.35
#: Neighbours whose median says how large a body usually is there.
NEIGHBOURS = 4
#: Depth, as a share of the usual half height, from which touching bodies are parted.
DEEP = 0.6
#: Without names, structures count as vertebrae if there are this many and neighbours differ at most so much in size.
LEAST, ALIKE = 4, 3.0

Mask = NDArray[np.bool_]
Pixels = NDArray[np.int64]


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
        return Column((), missing="no structure is named like vertebrae; name them with structures=NAME,NAME")
    if len(chosen) == 1:
        pieces, more = _pieces(subject.mask(chosen[0])[0], np.array(subject.lengths[1:]))
        named = [("", piece) for piece in pieces]
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


def _one_each(subject: Subject, names: Sequence[str]) -> tuple[list[tuple[str, Pixels]], tuple[str, ...]]:
    """The largest piece of each structure, and which structures have none or several."""
    found, notes = [], []
    for name in names:
        pieces = _components(subject.mask(name)[0], connectivity=8)
        if not pieces:
            notes.append(f"{name} is empty")
            continue
        if len(pieces) > 1:
            notes.append(f"{name} is in {len(pieces)} pieces; the largest counts")
        found.append((name, max(pieces, key=len)))
    return found, tuple(notes)


def _components(mask: Mask, connectivity: int) -> list[Pixels]:
    """Pixels `(N, 2)` of each connected piece of a mask `(y, x)`."""
    parts, count = label_components(mask[None], connectivity)
    where = np.argwhere(mask)
    numbers = parts[0][mask]
    order = np.argsort(numbers, kind="stable")
    return np.split(where[order], np.cumsum(component_sizes(parts, count))[:-1]) if count else []


def _pieces(mask: Mask, edge: Points) -> tuple[list[Pixels], tuple[str, ...]]:
    """Bodies of one mask `(y, x)`: its pieces without crumbs; those far larger than their neighbours are parted."""
    every = _components(mask, connectivity=4)
    sizes = np.array([len(piece) for piece in every])
    if not len(every):
        return [], ()
    least = CRUMB * float(np.median(sizes[sizes >= CRUMB * sizes.max()]))
    pieces = [piece for piece in every if len(piece) >= least]
    notes = []
    few = len(every) - len(pieces)
    if few:
        notes.append(f"{amount(few, 'piece')} far smaller than a vertebra {agree(few, 'was', 'were')} left out")
    several, usual = _several(pieces, edge)
    bodies = [piece for piece, parted in zip(pieces, several, strict=True) if not parted]
    whole = list(bodies)
    for index in np.flatnonzero(several):
        parts = _parted(pieces[index], whole, CRUMB * usual[index], edge)
        if len(parts) == 1 and len(whole) > 1:
            count = max(2, round(len(pieces[index]) / usual[index]))
            parts = _cut(pieces[index], count, _way(pieces[index], whole, edge) * edge)
        if len(parts) > 1:
            notes.append("touching vertebrae were parted")
        bodies += parts
    return bodies, tuple(dict.fromkeys(notes))


def _several(pieces: Sequence[Pixels], edge: Points) -> tuple[NDArray[np.bool_], Points]:
    """Which pieces are several bodies in one, and how large a body usually is beside each: they grow from the neck
    down, so each piece is compared with its nearest neighbours, in size and in thickness."""
    sizes = np.array([len(piece) for piece in pieces], dtype=np.float64)
    if len(pieces) < 3:
        return np.zeros(len(pieces), bool), sizes
    centres = np.array([piece.mean(axis=0) for piece in pieces]) * edge
    far = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    np.fill_diagonal(far, np.inf)
    near = np.argsort(far, axis=1)[:, : min(NEIGHBOURS, len(pieces) - 1)]
    tall = np.array([_thickness(piece * edge) for piece in pieces])
    usual: Points = np.median(sizes[near], axis=1)
    return (sizes > SEVERAL * usual) & (tall > TALL * np.median(tall[near], axis=1)), usual


def _thickness(points: Points) -> float:
    """Shorter side of the rectangle with the same second moments; of one vertebra, seen from the front, its height."""
    spread = np.cov(points.T, bias=True) if len(points) > 1 else np.zeros((2, 2))
    return float(np.sqrt(12 * max(float(np.linalg.eigvalsh(spread)[0]), 0.0)))


def _parted(piece: Pixels, others: Sequence[Pixels], least: float, edge: Points) -> list[Pixels]:
    """A piece cut into bodies that flood from where it is deep; itself if it is deep in one place only."""
    lengths = (1.0, float(edge[0]), float(edge[1]))
    half = float(np.median([_depth(other, lengths)[0].max() for other in others] or [0.0]))
    depth, low = _depth(piece, lengths)
    seeds, count = label_components(depth > DEEP * half, connectivity=4)
    if count < 2 or not half:
        return [piece]
    numbers = flood(-depth, seeds, depth > 0)[0]
    parts = [np.argwhere(numbers == number) + low for number in range(1, count + 1)]
    kept = [part for part in parts if len(part) >= least]
    return kept if len(kept) > 1 else [piece]


def _depth(piece: Pixels, lengths: tuple[float, float, float]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Distance `(1, y, x)` of each pixel of a piece to its outside, and the index of the first row and column."""
    low = piece.min(axis=0) - 1
    mask = np.zeros((1, *(piece.max(axis=0) - low + 2)), bool)
    mask[0][tuple((piece - low).T)] = True
    return np.where(mask, distance_to(~mask, lengths), 0.0).astype(np.float32), low


def _way(piece: Pixels, others: Sequence[Pixels], edge: Points) -> Points:
    """Direction of the column at a piece: between the two other bodies nearest to it."""
    centres = np.array([other.mean(axis=0) for other in others]) * edge
    near = centres[np.argsort(np.linalg.norm(centres - piece.mean(axis=0) * edge, axis=1))[:2]]
    way: Points = near[1] - near[0]
    return way


def _cut(piece: Pixels, count: int, way: Points) -> list[Pixels]:
    """A piece cut across the column into parts of equal length."""
    place = piece @ way
    share = (place - place.min()) / max(float(np.ptp(place)), 1e-9)
    number = np.minimum((share * count).astype(int), count - 1)
    return [piece[number == index] for index in range(count)]


def _bodies(named: Sequence[tuple[str, Pixels]], edge: Points) -> tuple[Vertebra, ...]:
    """Bodies in order, the top of the image first, with their end plates."""
    points = [piece for _, piece in named]
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
