"""TIFF planes and stacks, with the spacing that OME, ImageJ or centimetre resolution tags give."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from segwright.core.disk import atomic_path
from segwright.core.errors import ReadError, WriteError
from segwright.core.geometry import Geometry, Spacing
from segwright.core.parse import parse_xml
from segwright.core.volume import Index, Volume
from segwright.io.axes import Axes, stated_axes
from segwright.io.companions import companion
from segwright.io.formats import suffix_of
from segwright.io.protocol import MENDED, RGB, Format, Stored, decoding, lazy, make_header, same_format
from segwright.io.tiffpixels import PLAIN, Samples, look_of, samples_of

_LOG = logging.getLogger("tifffile")

_MM = {"nm": 1e-6, "µm": 1e-3, "\u03bcm": 1e-3, "um": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3}
_MM |= {"\\u00b5m": 1e-3, "mm": 1.0, "millimeter": 1.0, "cm": 10.0, "centimeter": 10.0, "m": 1000.0, "inch": 25.4}


def read(path: Path, key: str | None = None) -> Volume:
    """Open the first series of a TIFF as it is shown: white-is-zero and palettes applied, transparency dropped.

    Pages are z unless the file says otherwise; samples, C and T are channels.
    """
    return _open(path, shown=True)


def labels(path: Path, key: str | None = None) -> Volume:
    """Open the first series as a label: the numbers as stored; what is clear is background."""
    return _open(path, shown=False)


def arranged(path: Path, key: str | None, letters: str) -> Volume:
    """Open the first series with its axes stated, with the numbers as stored."""
    return _open(path, shown=False, letters=letters)


def _open(path: Path, *, shown: bool, letters: str = "") -> Volume:
    with decoding(path, "TIFF"):
        with _complaints() as heard, tifffile.TiffFile(path) as tif:
            _parts_beside(tif, path)
            series = _first_series(tif, path)
            _demand_whole(series, heard, path)
            stored = tuple(int(n) for n in series.shape)
            axes, warnings = (stated_axes(letters, stored, where=path), []) if letters else _axes(series)
            named = bool(letters) or set(series.axes) <= set("YXSZTC")
            page = series.keyframe
            dtype = np.dtype(series.dtype or np.uint8).newbyteorder("=")
            spacing, affine = _spacing(tif, page)
            paged = axes.letters in {"zyx", "cyx"} and len(series.pages) == stored[0]
            kind = "imagej" if tif.is_imagej else "ome" if tif.is_ome else ""
            warnings += heard
            if len(tif.series) > 1:
                warnings.append(f"The file holds {len(tif.series)} series of different shapes; the first is used.")
            look = look_of(page) if shown else PLAIN
            samples = samples_of(page) if "s" in axes.letters else Samples()
        warnings += look.told
        if look.table is not None:
            axes, stored, dtype = Axes(axes.letters + "s"), (*stored, look.table.shape[1]), np.dtype(np.uint8)

        def part(index: Index) -> NDArray[Any]:
            return look.applied(lambda inner: _decode(path, inner, paged=paged), index)

        real = np.dtype(np.uint8) if dtype.kind == "b" else dtype
        how = Stored(path, whole=not paged)
        data = lazy(axes.shape(stored), real, axes.fetching(stored, part), path=path, family="TIFF", stored=how)
        data = samples.without_alpha(data, flat=not shown, told=warnings)
        colours = data.shape[0] == 3 and (samples.colour or look.table is not None)
        header = make_header("tiff", path, axes=axes.letters, named=named, kind=kind, warnings=warnings)
        if not colours:
            header["planes"] = "structures"
        return Volume(data, _geometry(data.shape[1:], spacing, affine), RGB if colours else (), header)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile reports as errors in this thread; it goes on after damage and only logs it."""
    heard: list[str] = []
    thread = threading.get_ident()
    handler = logging.Handler(logging.ERROR)
    handler.addFilter(lambda record: record.thread == thread)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    _LOG.addHandler(handler)
    try:
        yield heard
    finally:
        _LOG.removeHandler(handler)


def parts_of(path: Path) -> list[Path]:
    """The files beside an OME-TIFF that hold planes of it; none where all lie in the file itself.

    Raises:
        ReadError: One of them lies elsewhere or is missing, or the file cannot be read.
    """
    with decoding(path, "TIFF"), _complaints(), tifffile.TiffFile(path) as tif:
        return _parts_beside(tif, path)


def _parts_beside(tif: tifffile.TiffFile, path: Path) -> list[Path]:
    """The files of a set, none of which lies elsewhere or is missing: tifffile would read zeros for these.

    Raises:
        ReadError: Names the file.
    """
    if not tif.is_ome or not tif.ome_metadata:
        return []
    nodes = list(parse_xml(tif.ome_metadata, path).iter())
    pixels = next((node for node in nodes if node.tag.endswith("}Pixels")), None)
    planes = math.prod(int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT") if pixels is not None else 0
    if len(tif.pages) >= planes:
        return []  # all planes are here, whatever the file was called when it was written
    names = {node.get("FileName", "") for node in nodes if node.tag.endswith("UUID")}
    return [companion(path, name) for name in sorted(names - {"", path.name})]


def _demand_whole(series: Any, heard: list[str], path: Path) -> None:
    """Refuse a file whose pages end early; without this a cut stack reads as a shorter one."""
    size = path.stat().st_size
    ends = [
        offset + count
        for page in series.pages
        if page is not None
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    lost = [text for text in heard if "invalid page offset" in text or "reshape" in text or "corrupted" in text]
    if lost or max(ends, default=0) > size:
        raise ReadError(
            "The TIFF is cut off or damaged.",
            expected=None if lost else f"{max(ends)} bytes",
            got=lost[0] if lost else f"{size} bytes",
            where=path,
            hint=MENDED,
        )


def _first_series(tif: tifffile.TiffFile, path: Path) -> Any:
    if not tif.pages or not tif.series or min(tif.series[0].shape, default=0) < 1:
        raise ReadError(
            "The TIFF holds no readable page.",
            got=f"{path.stat().st_size} bytes without an image directory where the header names one",
            where=path,
            hint=MENDED,
        )
    series = tif.series[0]
    if series.dtype is None or series.dtype.kind not in "biuf":
        raise ReadError(
            "The TIFF does not say how its pixels are stored.",
            expected="whole or real numbers",
            got=f"bits {series.keyframe.bitspersample}, format {series.keyframe.sampleformat}",
            where=path,
            hint=MENDED,
        )
    return series


def _axes(series: Any) -> tuple[Axes, list[str]]:
    """Our letters for tifffile's; pages without a meaning are taken for slices, and so is time without depth."""
    letters: str = series.axes
    warnings = []
    if "Z" not in letters:
        depth = next((letter for letter in "IQTA" if letter in letters), None)
        if depth is None:
            free = [letter for letter in letters if letter not in "YXSC"]
            depth = free[0] if free else None
        if depth == "T":
            warnings.append("The file calls its pages time points; they are read as slices.")
        letters = letters.replace(depth, "Z") if depth else letters
    return Axes("".join(letter.lower() for letter in letters)), warnings


def _decode(path: Path, index: Index, *, paged: bool) -> NDArray[Any]:
    """Voxels in stored order, page by page where slices are pages."""
    with _complaints(), tifffile.TiffFile(path) as tif:
        series: Any = tif.series[0]
        if paged:
            array = np.stack([series.pages[i].asarray()[index[1:]] for i in range(index[0].start, index[0].stop)])
        else:
            array = series.asarray()[index]
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _geometry(shape: tuple[int, int, int], spacing: Spacing, affine: Any) -> Geometry:
    known = (spacing[0] is not None and shape[0] > 1, spacing[1] is not None, spacing[2] is not None)
    if affine is not None:
        return Geometry(shape, np.array(affine, dtype=np.float64), known)
    return Geometry.from_spacing(shape, (spacing[0] if shape[0] > 1 else None, spacing[1], spacing[2]))


def _spacing(tif: tifffile.TiffFile, page: Any) -> tuple[Spacing, Any]:
    """mm along `(z, y, x)`, and an affine where we wrote one."""
    ours = tif.shaped_metadata[0] if tif.shaped_metadata else {}
    if "spacing_mm" in ours:
        z, y, x = ours["spacing_mm"]
        return (z, y, x), ours.get("affine_ras_mm")
    if tif.is_ome and tif.ome_metadata:
        return _ome(tif.ome_metadata), None
    down, right = _resolution(page, "YResolution"), _resolution(page, "XResolution")
    if tif.is_imagej:
        meta = tif.imagej_metadata or {}
        unit = _MM.get(str(meta.get("unit", "")).strip().lower())
        if unit is None:
            return (None, None, None), None
        depth = meta.get("spacing")
        return (_scaled(depth, unit), _scaled(down, unit), _scaled(right, unit)), None
    if int(page.tags.valueof("ResolutionUnit", 2)) == 3:
        return (None, _scaled(down, 10.0), _scaled(right, 10.0)), None
    return (None, None, None), None


def _scaled(step: Any, unit: float) -> float | None:
    return float(step) * unit if step is not None and 0 < float(step) < 1e9 else None


def _resolution(page: Any, tag: str) -> float | None:
    """Length units a pixel, from the tag's pixels a unit."""
    value = page.tags.valueof(tag)
    return value[1] / value[0] if value and value[0] > 0 and value[1] > 0 else None


def _ome(xml: str) -> Spacing:
    """PhysicalSizeZ, Y and X of the first image; micrometres unless a unit is given."""
    pixels = next(node for node in parse_xml(xml, None).iter() if node.tag.endswith("}Pixels"))
    steps: list[float | None] = []
    for axis in "ZYX":
        size = pixels.get(f"PhysicalSize{axis}")
        unit = _MM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        steps.append(_scaled(size, unit) if size is not None and unit is not None else None)
    return steps[0], steps[1], steps[2]


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store slices as pages with their spacing: as OME or ImageJ where name or source say so, else exactly."""
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 4:
        raise WriteError("TIFF stores up to 32 bits.", got=array.dtype, where=path, hint="Write '.nii.gz'.")
    axes = Axes(("" if array.shape[0] == 1 else "c") + ("yx" if array.shape[1] == 1 else "zyx"))
    imagej = same_format(like, "tiff").get("kind") == "imagej" and array.dtype.str[1:] in {"u1", "u2", "f4"}
    if suffix_of(path).startswith(".ome"):
        options = _as_ome(geometry)
    elif imagej and array.shape[0] == 1 and geometry.known[1] and geometry.known[2]:
        options = _as_imagej(geometry)
    else:
        options = _as_tags(geometry)
    options["metadata"]["axes"] = axes.letters.upper()
    with atomic_path(path) as partial:
        tifffile.imwrite(partial, axes.stored(array), photometric="minisblack", compression="zlib", **options)


def _as_ome(geometry: Geometry) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    for axis, step in zip("ZYX", geometry.spacing, strict=True):
        if step is not None:
            meta |= {f"PhysicalSize{axis}": step, f"PhysicalSize{axis}Unit": "mm"}
    return {"ome": True, "metadata": meta}


def _as_imagej(geometry: Geometry) -> dict[str, Any]:
    z, y, x = geometry.lengths
    depth = {"spacing": z} if geometry.known[0] else {}
    return {"imagej": True, "resolution": (1.0 / x, 1.0 / y), "metadata": {"unit": "mm", **depth}}


def _as_tags(geometry: Geometry) -> dict[str, Any]:
    """Resolution tags for other programs, and the exact grid in the description for ourselves."""
    meta = {"spacing_mm": list(geometry.spacing), "affine_ras_mm": geometry.affine.tolist()}
    if not (geometry.known[1] and geometry.known[2]):
        return {"ome": False, "metadata": meta}
    _, y, x = geometry.lengths
    return {"ome": False, "metadata": meta, "resolution": (10.0 / x, 10.0 / y), "resolutionunit": "CENTIMETER"}


FORMAT: Final = Format(
    "tiff",
    read,
    write,
    writes=(".tif", ".tiff", ".ome.tif", ".ome.tiff"),
    arranged=arranged,
    planes="cyx",
    labels=labels,
)
