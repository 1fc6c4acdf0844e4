"""NIfTI-1 and NIfTI-2, single files and header/image pairs, read without nibabel's silent header repairs."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from segwright.core.disk import atomic_path
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, LazyArray, Volume
from segwright.io.axes import Axes
from segwright.io.checksums import unpacked, verify
from segwright.io.companions import companion
from segwright.io.formats import suffix_of
from segwright.io.protocol import MENDED, Format, Stored, decoding, lazy, make_header, same_format, surplus

Matrix = NDArray[np.float64]

#: Written into `descrip` where a grid has no spacing, because NIfTI has no other way to say so.
UNKNOWN: Final = b"spacing unknown"
#: Voxels by which sform and qform may differ without being two places.
_APART = 0.1
_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
_SINGLE: dict[int, Any] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_PAIR: dict[int, Any] = {348: nib.nifti1.Nifti1PairHeader, 540: nib.nifti2.Nifti2PairHeader}
_IMAGES: dict[tuple[int, bool], Any] = {
    (348, False): nib.Nifti1Image,
    (348, True): nib.Nifti1Pair,
    (540, False): nib.Nifti2Image,
    (540, True): nib.Nifti2Pair,
}
_ARRAY: Any = nib.arrayproxy.ArrayProxy


def read(path: Path, key: str | None = None) -> Volume:
    """Open a NIfTI file (or either half of a pair); `header["nifti"]` keeps its header bytes.

    Further axes become channels (time slowest), RGB becomes three channels, complex numbers their magnitude.
    The affine is nibabel's choice: sform if coded, else qform, else voxel sizes alone; it is scaled to mm.
    """
    with decoding(path, "NIfTI"):
        header_path, image_path = _halves(path)
        raw, warnings = _raw_header(header_path)
        shape = _shape(raw, path)
        axes = Axes("xyzc" if len(shape) == 4 else "xyztc"[: len(shape)])
        geometry, found = _geometry(raw, axes.shape(shape)[1:])
        data, more = _lazy(raw, image_path, axes, shape)
        header = make_header(
            "nifti",
            path,
            nifti=raw.binaryblock,
            pair=header_path != image_path,
            ndim=min(len(shape), 3),
            grids=_grids(raw, geometry),
            warnings=(*warnings, *found, *more),
        )
        return Volume(data, geometry, header=header)


def _halves(path: Path) -> tuple[Path, Path]:
    """Header and image file; the same file unless it is a pair."""
    suffix = suffix_of(path)
    if suffix not in {".hdr", ".img"}:
        return path, path
    halves = path.with_suffix(".hdr"), path.with_suffix(".img")
    for half in halves:
        if not half.is_file():
            raise ReadError(
                "One half of a header/image pair is missing.",
                expected=half.name,
                where=path,
                hint="Put both files in one folder.",
            )
    return halves[0], companion(halves[0], halves[1].name)


def _raw_header(path: Path) -> tuple[Any, tuple[str, ...]]:
    """The header as stored, unrepaired, and what is odd about it as a whole."""
    block = _first_bytes(path)
    size = next((n for n in (348, 540) for order in ("little", "big") if block[:4] == n.to_bytes(4, order)), 0)
    if not size or len(block) < size:
        raise ReadError(
            "The file has no NIfTI header.",
            expected="348 or 540 in its first four bytes",
            got=f"{len(block)} bytes starting {block[:4]!r}",
            where=path,
            hint=MENDED,
        )
    magic = block[344:347] if size == 348 else block[4:7]
    kinds = _PAIR if magic in {b"ni1", b"ni2"} or suffix_of(path) == ".hdr" else _SINGLE
    raw = kinds[size](block[:size], check=False)
    if magic in {b"n+1", b"ni1", b"n+2", b"ni2"}:
        return raw, ()
    raw["sform_code"] = raw["qform_code"] = 0
    return raw, ("The header is Analyze 7.5, which stores no orientation; left and right may be swapped.",)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    if packed != (path.suffix.lower() == ".gz"):
        right = "'.nii.gz'" if packed else "'.nii'"
        raise ReadError(
            f"The file is {'' if packed else 'not '}gzip-compressed, but its name says otherwise.",
            where=path,
            hint=f"Rename it to end in {right}.",
        )
    with gzip.open(path) if packed else path.open("rb") as stream:
        return stream.read(540)


def _shape(raw: Any, path: Path) -> tuple[int, ...]:
    """Stored shape with trailing axes of length 1 removed down to three, and inner ones of 5-D vectors kept."""
    shape = tuple(int(n) for n in raw.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 2 or min(shape) < 1 or len(shape) > 5:
        raise ReadError("The voxel array has no usable shape.", expected="2 to 5 axes", got=shape, where=path)
    return shape


def _lazy(raw: Any, path: Path, axes: Axes, shape: tuple[int, ...]) -> tuple[LazyArray, tuple[str, ...]]:
    """The lazy voxels, with intensity scaling, magnitude and RGB taken care of."""
    kind = np.dtype(raw.get_data_dtype()).newbyteorder("=")
    if kind.itemsize == 0 or kind.kind not in "biufcV":
        raise ReadError(
            "The header names a type that voxels do not have.",
            expected="a number of NIfTI's table, e.g. 4 for int16 or 16 for float32",
            got=int(raw["datatype"]),
            where=path,
            hint=MENDED,
        )
    offset = int(raw.get_data_offset())
    length = offset + math.prod(shape) * kind.itemsize
    packed = path.suffix.lower() == ".gz"
    longer = () if packed else surplus(path, length)
    how = Stored(path, whole=packed, packed=packed, sums=False)
    proxy = _ARRAY(str(path), (shape, raw.get_data_dtype(), offset, 1, 0))
    if kind.names:
        data, told = _lazy_rgb(proxy, replace(how, sums=packed), axes, kind)
        return data, (*longer, *told)
    slope, intercept = (value if value is not None else default for value, default in _scaling(raw))
    trivial = slope == 1 and intercept == 0
    fetch = _verifying(proxy, path, length) if packed else lambda index: np.asarray(proxy[index])
    real = np.dtype(np.float64 if kind.itemsize > 8 else kind) if kind.kind != "c" else np.dtype(np.float32)
    dtype = real if trivial else np.dtype(np.float32)

    def stored(index: Index) -> NDArray[Any]:
        voxels = fetch(index)
        if not trivial:
            voxels = voxels * slope + intercept
        return (np.abs(voxels) if kind.kind == "c" else voxels).astype(dtype, copy=False)

    warnings = [*longer, *(["Voxels are complex numbers; their magnitude is used."] if kind.kind == "c" else [])]
    if np.isinf(raw["scl_slope"]):
        warnings.append("The intensity slope is infinite and is ignored; values are as stored.")
    return lazy(axes.shape(shape), dtype, axes.fetching(shape, stored), path=path, family="NIfTI", stored=how), tuple(
        warnings
    )


def _verifying(proxy: Any, path: Path, length: int) -> Callable[[Index], NDArray[Any]]:
    """Reads parts of a packed file: all of it in one pass that verifies it as well; before a part, it is verified."""

    def fetch(index: Index) -> NDArray[Any]:
        if all(s.start == 0 and s.stop == n for s, n in zip(index, proxy.shape, strict=True)):
            voxels = unpacked(path, proxy.offset, length - proxy.offset)
            return voxels.view(proxy.dtype).reshape(proxy.shape, order="F")
        verify(path, length=length)
        return np.asarray(proxy[index])

    return fetch


def _scaling(raw: Any) -> tuple[tuple[float | None, float], tuple[float | None, float]]:
    slope, intercept = raw.get_slope_inter()
    return (slope, 1.0), (intercept, 0.0)


def _lazy_rgb(proxy: Any, how: Stored, axes: Axes, kind: np.dtype[Any]) -> tuple[LazyArray, tuple[str, ...]]:
    def stored(index: Index) -> NDArray[Any]:
        voxels = np.asarray(proxy[index[:-1]])
        return np.stack([voxels[name] for name in "RGB"], axis=-1)[..., index[-1]]

    warnings = ("The alpha channel of RGBA voxels is dropped.",) if "A" in (kind.names or ()) else ()
    colour = Axes(axes.letters + "s")
    path = how.file or Path()
    return lazy(
        colour.shape((*proxy.shape, 3)),
        np.dtype("u1"),
        colour.fetching((*proxy.shape, 3), stored),
        path=path,
        family="NIfTI",
        stored=how,
    ), warnings


def _geometry(raw: Any, shape: tuple[int, int, int]) -> tuple[Geometry, tuple[str, ...]]:
    """The grid in mm and whatever had to be repaired or assumed."""
    warnings: list[str] = []
    affine, known = _affine(raw, shape, warnings)
    unit = int(raw["xyzt_units"]) & 7
    affine[:3] *= _MM.get(unit, 1.0)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if unit in {1, 3} and (lengths.max() > 100 or lengths.max() < 1e-6):
        warnings.append(f"Voxels of {lengths.max():g} mm follow from the header's length unit, which may be wrong.")
    if raw["descrip"].tobytes().startswith(UNKNOWN):
        known = (False, False, False)
    if shape[0] == 1:
        known = (False, known[1], known[2])
    for column in range(3):
        if not known[2 - column]:
            affine[:3, column] /= np.linalg.norm(affine[:3, column])
    return Geometry.from_xyz(shape, affine, known), tuple(warnings)


def _affine(raw: Any, shape: tuple[int, int, int], warnings: list[str]) -> tuple[Matrix, tuple[bool, bool, bool]]:
    forms = {name: _form(raw, name, shape) for name in ("sform", "qform") if int(raw[f"{name}_code"]) > 0}
    good = {name: form for name, form in forms.items() if form is not None}
    for name in forms.keys() - good.keys():
        warnings.append(f"The {name} is damaged (not finite or singular) and is ignored.")
    if len(good) == 2:
        gap = Geometry.from_xyz(shape, good["sform"]).corner_distance(Geometry.from_xyz(shape, good["qform"]))
        if gap > _APART:
            warnings.append(f"sform and qform place the scan up to {gap:.3g} voxels apart; the sform is used.")
    if good:
        return next(iter(good.values())), (True, True, True)
    return _from_pixdim(raw, shape, warnings)


def _grids(raw: Any, geometry: Geometry) -> dict[str, Geometry]:
    """The grids of sform and qform, where a header states both and they place the scan differently."""
    mm = _MM.get(int(raw["xyzt_units"]) & 7, 1.0)
    found = {}
    for name in ("sform", "qform"):
        form = _form(raw, name, geometry.shape) if int(raw[f"{name}_code"]) > 0 else None
        if form is not None:
            form[:3] *= mm
            found[name] = Geometry.from_xyz(geometry.shape, form, geometry.known)
    apart = len(found) == 2 and found["sform"].corner_distance(found["qform"]) > _APART
    return found if apart and all(geometry.known) else {}


def _form(raw: Any, name: str, shape: tuple[int, int, int]) -> Matrix | None:
    """The sform or qform if it is usable; a single plane may lack its third column."""
    try:
        matrix = np.array(raw.get_sform() if name == "sform" else raw.get_qform(), dtype=np.float64)
    except (ValueError, nib.spatialimages.HeaderDataError):
        return None
    if shape[0] == 1 and not np.abs(np.nan_to_num(matrix[:3, 2])).max() > 0:
        normal = np.cross(matrix[:3, 0], matrix[:3, 1])
        matrix[:3, 2] = normal / max(float(np.linalg.norm(normal)), 1e-30)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        return None
    return matrix


def _from_pixdim(raw: Any, shape: tuple[int, int, int], warnings: list[str]) -> tuple[Matrix, tuple[bool, bool, bool]]:
    """nibabel's grid for a header without orientation: x reversed, centre at the origin."""
    steps = np.abs(np.array(raw["pixdim"][1:4], dtype=np.float64))
    valid = np.isfinite(steps) & (steps > 0)
    steps = np.where(valid, steps, 1.0)
    warnings.append("Neither sform nor qform is usable; orientation and position are assumed (x to the left).")
    for name, fine, n in zip("xyz", valid, shape[::-1], strict=True):
        if not fine and n > 1:
            warnings.append(f"The voxel size along {name} is zero or not finite; it is treated as unknown.")
    steps[0] *= -1
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -steps * (np.array(shape[::-1]) - 1) / 2
    return affine, (bool(valid[2]), bool(valid[1]), bool(valid[0]))


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store `array` `(C, z, y, x)`; with `like`, its header fields (sform, qform, codes, pixdim, units) bit for bit."""
    pair = suffix_of(path) in {".hdr", ".img"}
    known = same_format(like, "nifti")
    flat = bool(known) and known["ndim"] == 2 and array.shape[0] == 1
    voxels = Axes("xy" if flat else "xyz" if array.shape[0] == 1 else "xyzc").stored(array)
    raw = _borrowed(known["nifti"], pair) if known else _fresh(geometry, pair)
    pixdim = raw["pixdim"].copy()
    raw.set_data_dtype(voxels.dtype)
    raw.set_data_shape(voxels.shape)
    raw["pixdim"] = pixdim
    image = _IMAGES[int(raw["sizeof_hdr"]), pair]
    if not pair:
        with atomic_path(path) as partial:
            nib.save(image(voxels, None, raw), partial)
        return
    with atomic_path(path.with_suffix(".img")) as pixels, atomic_path(path.with_suffix(".hdr")) as head:
        image(voxels, None, raw).to_file_map(image.make_file_map({"header": str(head), "image": str(pixels)}))


def _borrowed(block: bytes, pair: bool) -> Any:
    """A source's header, less what described its intensities."""
    raw = (_PAIR if pair else _SINGLE)[540 if len(block) == 540 else 348](block, check=False)
    number = "2" if len(block) == 540 else "1"
    raw["magic"] = raw["magic"].dtype.type(f"{'ni' if pair else 'n+'}{number}".encode())
    raw["vox_offset"] = 0
    raw["cal_min"] = raw["cal_max"] = 0
    raw["intent_code"], raw["intent_name"] = 0, b""
    raw["scl_slope"] = raw["scl_inter"] = np.nan
    return raw


def _fresh(geometry: Geometry, pair: bool) -> Any:
    """A header for a grid from elsewhere: sform always, qform where the axes are perpendicular."""
    raw = (_PAIR if pair else _SINGLE)[348]()
    affine = geometry.affine_xyz
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    raw.set_data_shape(geometry.shape[::-1])
    upright = np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    raw.set_qform(affine, code=1 if upright else 0, strip_shears=True)
    raw.set_sform(affine, code=1)
    raw["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    if any(geometry.known):
        raw.set_xyzt_units("mm")
    else:
        raw["descrip"] = UNKNOWN
    return raw


FORMAT: Final = Format("nifti", read, write, writes=(".nii", ".nii.gz", ".hdr", ".img"))
