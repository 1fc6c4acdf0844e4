"""Objects of a large volume: found block by block with a halo, joined over faces, numbered as one whole."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.disk import atomic_path
from segwright.core.geometry import Geometry, Triple
from segwright.core.trail import turn_for
from segwright.io.omezarr import read_level, unit_of, write_box
from segwright.ops.components import connected_ids
from segwright.ops.instances import renumber
from segwright.ops.windows import COLUMNS, Parts, final_numbers, measure_parts, meetings, no_parts, unite
from segwright.postprocess.instances import DECODERS, build_decoder
from segwright.postprocess.instances.decoders import Decoder, decode_turned
from segwright.prediction.large.bench import Bench

#: Voxels of the smaller part in a face that two blocks must agree on before a decoder's objects are one.
AGREEMENT = 0.5


def find_objects(bench: Bench, index: int) -> dict[str, Any]:
    """Number the objects of a block, with as much around it as they depend on; keep what its neighbours need."""
    box = bench.blocks().box(index)
    near, ids, kinds = (_components if bench.has_labels else _decoded)(bench, box)
    inside = (slice(None), *box.shift([-a for a in near.start]).slices)
    own = np.ascontiguousarray(ids[inside])
    cores = ids if bench.has_labels else _cores(bench, near, ids)
    write_box(bench.store("parts"), own, box)
    labels = bench.canonical(read_level(bench.store("labels"), box)) if bench.has_labels else own
    scores = bench.structure_score(labels, box)
    parts = [
        measure_parts(plane, len(kinds), start=box.start, shape=bench.grid.shape, scores=values)
        for plane, values in zip(own, scores, strict=True)
    ]
    whole = Parts.joined(parts).merged(np.tile(np.arange(len(kinds)), len(parts)), len(kinds))
    whole.kind[:] = kinds
    shells = {}
    for offset, other in bench.blocks().neighbours(index):
        shared = _shared(bench, index, other).shift([-a for a in near.start])
        shells[_name("shell", offset)] = cores[(slice(None), *shared.slices)]
    thick, inner = _thickness(bench), cores[inside]
    faces = {f"low{a}": _side(inner, a, slice(0, thick[a])) for a in range(3)}
    faces |= {f"high{a}": _side(inner, a, slice(max(0, inner.shape[a + 1] - thick[a]), None)) for a in range(3)}
    with atomic_path(_facts(bench, index)) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **whole.columns(), **shells, **faces)  # type: ignore[arg-type]
    return {"objects": int((whole.voxels > 0).sum())}


def _side(ids: NDArray[Any], axis: int, part: slice) -> NDArray[Any]:
    return ids[(slice(None),) * (axis + 1) + (part,)]


def _components(bench: Bench, box: Box) -> tuple[Box, NDArray[Any], NDArray[np.int64]]:
    """Connected components of each structure: box that was looked at, numbers `(P, ...)`, structure of each number."""
    near = box.grow((1, 1, 1)).clip(bench.job.shape)
    labels = bench.canonical(read_level(bench.store("labels"), near))
    planes: list[NDArray[Any]] = []
    kinds: list[NDArray[np.int64]] = []
    for plane, values in enumerate(labels):
        ids = connected_ids(values.astype(np.uint32))
        count, before = int(ids.max(initial=0)), sum(map(len, kinds))
        kind = np.full(count, plane, np.int64)
        if bench.job.plan.labels.exclusive:
            kind[ids[ids > 0] - 1] = values[ids > 0] - 1
        planes.append(np.where(ids > 0, ids + np.uint32(before), 0).astype(np.uint32))
        kinds.append(kind)
    return near, np.stack(planes), np.concatenate(kinds)


def _decoded(bench: Bench, box: Box) -> tuple[Box, NDArray[Any], NDArray[np.int64]]:
    """Objects of the model's decoder; small ones stay until their whole size is known."""
    margin = [2 * t for t in _thickness(bench)]  # what is compared with neighbours lies a halo inside
    near = box.grow(margin).clip(bench.grid.shape)
    ids = _decode(bench, near, unfiltered(build_decoder(bench.job.decoder, **bench.job.decoder_params)))
    return near, ids, np.zeros(int(ids.max(initial=0)), np.int64)


def _decode(bench: Bench, near: Box, decoder: Decoder) -> NDArray[np.uint32]:
    scores = read_level(bench.store(bench.scores), near)
    values = scores.astype(np.float32) / np.float32(255 if scores.dtype == np.uint8 else 1)
    return decode_turned(decoder, values, bench.grid, bench.job.plan.prepare.orientation)


def _cores(bench: Bench, near: Box, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """What objects are recognised by in a neighbour: themselves, or of grown components the components.

    Where grown objects meet, which of them gets a voxel depends on what else is in sight; their components do not.
    """
    if not _exact(bench):
        return ids
    decoder = unfiltered(build_decoder(bench.job.decoder, **bench.job.decoder_params))
    return _decode(bench, near, replace(decoder, dilate=0))  # type: ignore[type-var]


def _exact(bench: Bench) -> bool:
    """Whether parts are connected components, so that one shared voxel makes them one."""
    return bench.has_labels or "dilate" in DECODERS.load(bench.job.decoder).__dataclass_fields__


def unfiltered(decoder: Decoder) -> Decoder:
    """The decoder without its size filter, which only whole objects may meet."""
    named = {field.name for field in fields(decoder)}  # type: ignore[arg-type]
    return replace(decoder, smallest=0) if "smallest" in named else decoder  # type: ignore[type-var]


def join_objects(bench: Bench, told: Callable[[int], None] | None = None) -> int:
    """Unite parts that meet over faces, edges and corners, number the objects, and keep a table for each block.

    Returns:
        How many objects there are; `objects.npz` holds their facts.
    """
    blocks = bench.blocks()
    parts = [_parts(bench, index) for index in range(blocks.count)]
    base = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    share = 0.0 if _exact(bench) else AGREEMENT
    pairs: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)]
    for index in range(blocks.count):
        for offset, other in blocks.neighbours(index):
            if len(parts[index]) and len(parts[other]):
                one, two = meetings(_shell(bench, index, offset), _face(bench, index, other, offset), share)
                pairs.append(np.stack([one - 1 + base[index], two - 1 + base[other]], axis=1))
        if told:
            told(index)
    group, count = unite(np.concatenate(pairs), int(base[-1]))
    objects = Parts.joined(parts).merged(group, count)
    numbers = final_numbers(objects, smallest=_smallest(bench))
    for index in range(blocks.count):
        table = np.concatenate([[0], numbers[group[base[index] : base[index + 1]]]]).astype(np.uint64)
        _save(bench.folder / "numbers" / f"{index}.npy", table)
    kept = np.argsort(numbers, kind="stable")[np.count_nonzero(numbers == 0) :]
    with atomic_path(bench.folder / "objects.npz") as partial, partial.open("wb") as file:
        np.savez(file, **objects.take(kept).columns())  # type: ignore[arg-type]
    return len(kept)


def number_objects(bench: Bench, index: int) -> dict[str, Any]:
    """Write the final ids of a block."""
    box = bench.blocks().box(index)
    table = np.load(bench.folder / "numbers" / f"{index}.npy")
    ids = table[read_level(bench.store("parts"), box)]
    write_box(bench.store(bench.numbered), ids.astype(bench.pyramid("instances").dtype), box)
    return {}


def bring_back(bench: Bench, index: int) -> dict[str, Any]:
    """Objects (and scores that were asked for) of the working grid on a block of the scan's own, and their facts."""
    box, scan = bench.blocks(0).box(index), bench.scan
    turned = scan.to_turned(box)
    near = scan.needed(turned)
    ids, known = renumber(read_level(bench.store("numbered"), near)[0])
    own = scan.restore_ids(ids, turned)
    write_box(bench.store("instances"), known[own].astype(bench.pyramid("instances").dtype)[None], box)
    if bench.job.scores:
        scores = read_level(bench.store("working"), near)
        restored = scan.restore(scores.astype(np.float32), turned)
        write_box(bench.store("scores"), restored if scores.dtype != np.uint8 else np.rint(restored), box)
    parts = measure_parts(own, len(known) - 1, start=box.start, shape=bench.job.shape)
    with atomic_path(bench.folder / "back" / f"{index}.npz") as partial, partial.open("wb") as file:
        np.savez_compressed(file, ids=known[1:], **parts.columns())  # type: ignore[arg-type]
    return {}


def _listed(bench: Bench) -> Parts:
    """Facts of all objects on the scan's own grid, in the order of their numbers; scores are those objects came of."""
    with np.load(bench.folder / "objects.npz") as stored:
        found = Parts(**{name: stored[name] for name in COLUMNS})
    if not bench.working:
        return found
    ids, parts = [np.zeros(0, np.int64)], [no_parts(0)]
    for file in (bench.folder / "back").glob("*.npz"):
        with np.load(file) as stored:
            ids.append(stored["ids"].astype(np.int64) - 1)
            parts.append(Parts(**{name: stored[name] for name in COLUMNS}))
    back = Parts.joined(parts).merged(np.concatenate(ids), len(found))
    mean = found.score / np.maximum(found.voxels, 1)
    return replace(back, score=mean * back.voxels, kind=found.kind)


def write_table(bench: Bench, path: Path) -> int:
    """Store one row an object as CSV: id, structure, voxels, volume, box, centre and mean score.

    Returns:
        Rows; objects of which no voxel is left on the scan's own, coarser grid have none.
    """
    objects = _listed(bench)
    there = np.flatnonzero(objects.voxels)
    geometry, names = bench.geometry, bench.job.plan.labels.names
    unit, volume = _volume(geometry)
    head = ["id", "structure", "voxels", unit, "z_start", "y_start", "x_start", "z_stop", "y_stop", "x_stop"]
    centres = objects.total / np.maximum(objects.voxels, 1)[:, None]
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*head, "z_centre", "y_centre", "x_centre", "score"])
        for row in there.tolist():
            voxels = int(objects.voxels[row])
            size = "" if volume is None else f"{voxels * volume:.6g}"
            box = [*objects.low[row].tolist(), *objects.high[row].tolist()]
            place = [f"{value:.2f}" for value in centres[row]]
            structure = names[objects.kind[row]] if names else ""
            table.writerow([row + 1, structure, voxels, size, *box, *place, f"{objects.score[row] / voxels:.4f}"])
    return len(there)


def _volume(geometry: Geometry) -> tuple[str, float | None]:
    """Name of the volume column, and volume of a voxel in that unit; areas for single planes."""
    unit, factor = unit_of(geometry)
    short = {"nanometer": "nm", "micrometer": "um", "millimeter": "mm"}[unit]
    power = geometry.ndim_effective
    one = geometry.voxel_volume
    return f"{'volume' if power == 3 else 'area'}_{short}{power}", None if one is None else one * factor**power


def _smallest(bench: Bench) -> int:
    """Least voxels of an object."""
    if bench.has_labels:
        return 1
    decoder = build_decoder(bench.job.decoder, **bench.job.decoder_params)
    return int(getattr(decoder, "smallest", 1))


def _thickness(bench: Bench) -> Triple:
    """Voxels beyond a block's faces in which its objects are compared with its neighbours'."""
    if bench.has_labels:
        return 1, 1, 1
    halo = build_decoder(bench.job.decoder, **bench.job.decoder_params).halo
    turned = turn_for(bench.grid, bench.job.plan.prepare.orientation)
    z, y, x = (max(1, halo[turned.order.index(axis) if turned else axis]) for axis in range(3))
    return z, y, x


def _shared(bench: Bench, index: int, other: int) -> Box:
    """The part of a neighbour that a block has looked at as well."""
    blocks = bench.blocks()
    return blocks.box(other).intersect(blocks.box(index).grow(_thickness(bench)))


def _shell(bench: Bench, index: int, offset: Triple) -> NDArray[Any]:
    """What a block made of its neighbour's nearest voxels."""
    name = _name("shell", offset)
    return _load(bench, index, (name,))[name]


def _face(bench: Bench, index: int, other: int, offset: Triple) -> NDArray[Any]:
    """What the neighbour itself made of them."""
    axis = next(a for a in range(3) if offset[a])
    name = f"{'low' if offset[axis] > 0 else 'high'}{axis}"
    face = _load(bench, other, (name,))[name]
    box = bench.blocks().box(other)
    start = list(box.start)
    if offset[axis] < 0:
        start[axis] = box.stop[axis] - face.shape[axis + 1]
    return face[(slice(None), *_shared(bench, index, other).shift([-a for a in start]).slices)]


def _name(kind: str, offset: Triple) -> str:
    return kind + "".join("-0+"[o + 1] for o in offset)


def _facts(bench: Bench, index: int) -> Path:
    return bench.folder / "objects" / f"{index}.npz"


def _parts(bench: Bench, index: int) -> Parts:
    """Facts of a block's parts; none where the block failed."""
    return Parts(**_load(bench, index, COLUMNS)) if _facts(bench, index).exists() else no_parts(0)


def _load(bench: Bench, index: int, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    with np.load(_facts(bench, index)) as stored:
        return {name: stored[name] for name in names}


def _save(path: Path, array: NDArray[Any]) -> None:
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.save(file, array)
