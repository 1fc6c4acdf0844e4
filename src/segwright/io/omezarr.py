"""OME-Zarr pyramids that are written block by block, by several processes at once, and never held whole."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.disk import settle, settle_names
from segwright.core.geometry import Geometry, Triple
from segwright.io.protocol import decoding, encoding

#: Planes of at most this many voxels an edge need no smaller copy.
SMALL = 512

#: Chunk `(z, y, x)` of what is written; blocks are multiples of it, so that no chunk has two writers.
CHUNK: Triple = (32, 256, 256)

_UNITS = (("nanometer", 1e6, 1e-4), ("micrometer", 1e3, 1e-2), ("millimeter", 1.0, float("inf")))


@dataclass(frozen=True, slots=True)
class Pyramid:
    """What a store holds.

    Attributes:
        planes: Planes or channels before `(z, y, x)`.
        dtype: Of the voxels.
        geometry: Grid of level 0.
        chunk: Chunk lengths `(z, y, x)`, the same on every level.
        levels: Shrink factor `(z, y, x)` of each level against level 0.
        names: One name a plane, where there are several.
        receipt: Plain data kept as attribute `segwright`.
        version: Zarr format, 2 or 3.
    """

    planes: int
    dtype: np.dtype[Any]
    geometry: Geometry
    chunk: Triple = CHUNK
    levels: tuple[Triple, ...] = ((1, 1, 1),)
    names: tuple[str, ...] = ()
    receipt: Mapping[str, Any] = field(default_factory=dict)
    version: int = 2

    def shape(self, level: int) -> Triple:
        """Voxels `(z, y, x)` of a level; a voxel at a far face may cover less than the others."""
        z, y, x = (-(-n // f) for n, f in zip(self.geometry.shape, self.levels[level], strict=True))
        return z, y, x


def level_factors(geometry: Geometry, small: int = SMALL) -> tuple[Triple, ...]:
    """Shrink factors of a pyramid: halved in plane until it fits a screen, and along z once that is the finer axis.

    Example:
        >>> level_factors(Geometry.from_spacing((100, 2048, 1024), (50.0, 10.0, 10.0)))
        ((1, 1, 1), (1, 2, 2), (1, 4, 4))
    """
    factors: list[Triple] = [(1, 1, 1)]
    lengths = np.array(geometry.lengths)
    shape = np.array(geometry.shape)
    while shape[1:].max() > small:
        finest = lengths[shape > 1].min()
        halve = np.where((shape > 1) & (lengths < 2 * finest), 2, 1)
        lengths, shape = lengths * halve, -(-shape // halve)
        z, y, x = (int(a * b) for a, b in zip(factors[-1], halve, strict=True))
        factors.append((z, y, x))
    return tuple(factors)


def create(path: Path, pyramid: Pyramid) -> None:
    """Make an empty store with all levels and their metadata.

    Raises:
        WriteError: The folder cannot be written.
    """
    options: dict[str, Any] = {}
    if pyramid.version == 2:
        options = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    with encoding(path, "OME-Zarr"):
        group = zarr.open_group(str(path), mode="w", zarr_format=pyramid.version)  # type: ignore[arg-type]
        for level in range(len(pyramid.levels)):
            shape, chunk = pyramid.shape(level), pyramid.chunk
            if pyramid.planes > 1:
                shape, chunk = (pyramid.planes, *shape), (1, *chunk)  # type: ignore[assignment]
            chunk = tuple(min(a, b) for a, b in zip(chunk, shape, strict=True))  # type: ignore[assignment]
            item = group.create_array(str(level), shape=shape, dtype=pyramid.dtype, chunks=chunk, **options)
            item.attrs["affine_ras_mm"] = level_geometry(pyramid, level).affine.tolist()
        scale = _multiscales(pyramid)
        told = {"multiscales": [scale]} if pyramid.version == 2 else {"ome": {"version": "0.5", "multiscales": [scale]}}
        group.attrs.update(told | {"segwright": dict(pyramid.receipt)})


def level_geometry(pyramid: Pyramid, level: int) -> Geometry:
    """Grid of a level: the first voxel's outer faces stay in place."""
    factor = np.array(pyramid.levels[level], dtype=np.float64)
    base = pyramid.geometry
    affine = base.affine.copy()
    affine[:3, :3] = base.affine[:3, :3] * factor
    affine[:3, 3] = base.to_world((factor - 1) / 2)
    return Geometry(pyramid.shape(level), affine, base.known)


def _multiscales(pyramid: Pyramid) -> dict[str, Any]:
    """The pyramid in words of OME-NGFF 0.4; axes without spacing carry no unit."""
    spacing = pyramid.geometry.spacing
    unit, factor = unit_of(pyramid.geometry)
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] if pyramid.planes > 1 else []
    for letter, step in zip("zyx", spacing, strict=True):
        axes.append({"name": letter, "type": "space"} | ({"unit": unit} if step is not None else {}))
    lead = [1.0] if pyramid.planes > 1 else []
    datasets = []
    for level, shrink in enumerate(pyramid.levels):
        steps = [(1.0 if s is None else s * factor) for s in spacing]
        scale = [*lead, *(s * f for s, f in zip(steps, shrink, strict=True))]
        moves: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if level:
            start = [*(0.0 for _ in lead), *(s * (f - 1) / 2 for s, f in zip(steps, shrink, strict=True))]
            moves.append({"type": "translation", "translation": start})
        datasets.append({"path": str(level), "coordinateTransformations": moves})
    kind = "mean" if pyramid.dtype.kind == "f" or pyramid.names else "mode"
    return {"version": "0.4", "axes": axes, "datasets": datasets, "type": kind}


def unit_of(geometry: Geometry) -> tuple[str, float]:
    """The unit that suits a grid, and how many of it make a millimetre.

    Example:
        >>> unit_of(Geometry.from_spacing((1, 2, 2), (None, 4.6e-6, 4.6e-6)))[0]
        'nanometer'
    """
    known = [step for step in geometry.spacing if step is not None]
    finest = min(known, default=1.0)
    return next((name, factor) for name, factor, below in _UNITS if finest < below)


def write_box(path: Path, array: NDArray[Any], box: Box, level: int = 0) -> None:
    """Store voxels `(planes, *box.shape)` of a level; they are on the disk when this returns.

    Raises:
        WriteError: They cannot be written; a full disk keeps its own error.
    """
    item = _array(path, level, "r+")
    where = box.slices if item.ndim == 3 else (slice(None), *box.slices)
    item[where] = array[0] if item.ndim == 3 else array
    _settle_chunks(path / str(level), item, where)


def _settle_chunks(folder: Path, item: Any, where: tuple[slice, ...]) -> None:
    """Have the chunks that a box lies in on the disk, so that a block noted as finished is."""
    whole = [part.indices(n)[:2] for part, n in zip(where, item.shape, strict=True)]
    spans = [range(a // chunk, -(-b // chunk)) for (a, b), chunk in zip(whole, item.chunks, strict=True)]
    place = folder if item.metadata.zarr_format == 2 else folder / "c"
    files = [place.joinpath(*map(str, index)) for index in itertools.product(*spans)]
    for file in files:
        if file.exists():  # a chunk of zeros is not stored
            settle(file)
    for names in {file.parent for file in files if file.parent.exists()}:
        settle_names(names)


def read_level(path: Path, box: Box, level: int = 0) -> NDArray[Any]:
    """Voxels `(planes, *box.shape)` of a level.

    Raises:
        ReadError: A chunk cannot be read.
    """
    with decoding(path, "Zarr"):
        item = _array(path, level, "r")
        return np.asarray(item[box.slices])[None] if item.ndim == 3 else np.asarray(item[(slice(None), *box.slices)])


def _array(path: Path, level: int, mode: str) -> Any:
    """An open level; stores that were made anew under the same name are opened anew."""
    folder = path / str(level)
    marks = [folder / ".zarray", folder / "zarr.json"]
    changed = next((mark.stat().st_mtime_ns for mark in marks if mark.exists()), 0)
    return _opened(str(folder), mode, changed)


@lru_cache(maxsize=32)
def _opened(folder: str, mode: Any, changed: int) -> Any:
    return zarr.open_array(folder, mode=mode)


def receipt_of(path: Path) -> Mapping[str, Any]:
    """The attribute `segwright` of a store, empty where there is none."""
    for name, inside in ((".zattrs", ()), ("zarr.json", ("attributes",))):
        file = path / name
        if file.exists():
            data = json.loads(file.read_text(encoding="utf-8"))
            for key in inside:
                data = data.get(key, {})
            found: Mapping[str, Any] = data.get("segwright", {})
            return found
    return {}


def sweep(path: Path) -> int:
    """Remove what a killed writer left half written; returns how many files that were."""
    left = [*path.rglob("*.partial")]
    for file in left:
        file.unlink(missing_ok=True)
    return len(left)
