"""NRRD, MHA/MHD and GIPL through SimpleITK, with spacing that the header does not state left unknown."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from segwright.core.disk import atomic_group
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, LazyArray, Volume
from segwright.io.companions import voxel_files
from segwright.io.formats import suffix_of
from segwright.io.protocol import Format, Stored, decoding, lazy, make_header, same_format, surplus

sitk: Any = SimpleITK
# ITK prints what it corrects to standard error; what matters is found by the checks below.
sitk.ProcessObject.SetGlobalWarningDisplay(False)

#: Key written into files whose grid has no spacing, because ITK always writes one.
_MARK: Final = "segwright_spacing"
_GIPL_HEAD: Final = 256
_LPS: Final = np.diag([-1.0, -1.0, 1.0])
_GRID = ("space", "space dimension", "space directions", "space origin", "space units", "spacings", "thicknesses")
#: Lines of a MetaImage header that are numbers.
_GRID_LINES = ("Offset", "Position", "Origin", "TransformMatrix", "Rotation", "Orientation", "CenterOfRotation")
_NUMBERS = {"NDims", "DimSize", "ElementSpacing", "ElementSize", "ElementNumberOfChannels", "HeaderSize", *_GRID_LINES}
_ORIENTATION = r"[RLAPISrlapis?]{1,4}"
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?([nN]a[nN]|[iI]nf)"
_UNITS = {"mm": 1.0, "um": 1e-3, "µm": 1e-3, "microns": 1e-3, "micron": 1e-3, "nm": 1e-6, "cm": 10.0, "m": 1000.0}


def read(path: Path, key: str | None = None) -> Volume:
    """Open a file ITK knows; vector pixels and a fourth axis become channels."""
    with decoding(path, "an ITK image"):
        text = _text_header(path)
        _refuse_words(path, text)
        reader = _reader(path)
        size = reader.GetSize()
        if len(size) not in (2, 3, 4):
            raise ReadError("The image has no usable shape.", expected="2 to 4 axes", got=size, where=path)
        shape = (size[2] if len(size) > 2 else 1, size[1], size[0])
        geometry, warnings = _geometry(reader, shape, text)
        data, longer = _lazy(reader, path, shape)
        header = make_header(
            "itk",
            path,
            spacing=reader.GetSpacing(),
            origin=reader.GetOrigin(),
            direction=reader.GetDirection(),
            ndim=min(len(size), 3),
            grid_text=_grid_text(text),
            warnings=(*warnings, *longer),
        )
        return Volume(data, geometry, header=header)


def _reader(path: Path) -> Any:
    """A reader of one format, named by us: ITK's own choice may fall on readers that follow links to other files."""
    with path.open("rb") as stream:
        nrrd = stream.read(4) == b"NRRD"
    gipl = suffix_of(path).startswith(".gipl")
    if not gipl:
        voxel_files(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if nrrd else "GiplImageIO" if gipl else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _lazy(reader: Any, path: Path, shape: tuple[int, int, int]) -> tuple[LazyArray, tuple[str, ...]]:
    size, parts = reader.GetSize(), reader.GetNumberOfComponents()
    frames = size[3] if len(size) == 4 else 1
    probe = sitk.Image([1] * 2, reader.GetPixelID(), parts)
    dtype = sitk.GetArrayViewFromImage(probe).dtype
    magnitude = dtype.kind == "c"

    def part(index: Index) -> NDArray[Any]:
        box = [(s.start, s.stop - s.start) for s in (index[3], index[2], index[1])]
        box = [*box, (0, frames)][: len(size)] if len(size) > 2 else box[:2]
        fresh = _reader(path)
        fresh.SetExtractIndex([start for start, _ in box])
        fresh.SetExtractSize([length for _, length in box])
        array = sitk.GetArrayFromImage(fresh.Execute())
        full = array.reshape(frames, *(s.stop - s.start for s in index[1:]), parts)
        full = np.moveaxis(full, -1, 1).reshape(frames * parts, *full.shape[1:4])[index[0]]
        return np.abs(full).astype(np.float32) if magnitude else full

    kind = np.dtype(np.float32) if magnitude else dtype
    total = math.prod(size) * parts * dtype.itemsize
    files = voxel_files(path) if not suffix_of(path).startswith(".gipl") else []
    how = Stored(path, size=lambda: sum(file.stat().st_size for file in files or [path]))
    longer = _surplus(path, files, total)
    return lazy((frames * parts, *shape), kind, part, path=path, family="an ITK image", stored=how), longer


def _surplus(path: Path, files: list[Path], total: int) -> tuple[str, ...]:
    """What is told of a file of unpacked voxels that is longer than they are."""
    if suffix_of(path) == ".gipl":
        return surplus(path, _GIPL_HEAD + total)
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    if head.startswith(b"NRRD"):
        end = re.search(rb"\r?\n\r?\n", head)
        raw = re.search(rb"^encoding:[ \t]*raw", head, re.IGNORECASE | re.MULTILINE)
    else:
        end = re.search(rb"ElementDataFile[ \t]*=[ \t]*LOCAL[^\n]*\n", head)
        raw = None if re.search(rb"CompressedData\s*=\s*True", head) else re.search(rb"", head)
    if raw is None or suffix_of(path) == ".gipl.gz":
        return ()
    if len(files) == 1:
        return surplus(files[0], total)
    return surplus(path, end.end() + total) if end and not files else ()


def _geometry(reader: Any, shape: tuple[int, int, int], text: str) -> tuple[Geometry, tuple[str, ...]]:
    """RAS+ grid in mm from ITK's LPS+ one."""
    n = len(reader.GetSize())
    m = min(n, 3)
    columns = np.eye(3)
    columns[:m, :m] = np.array(reader.GetDirection()).reshape(n, n)[:m, :m] * np.array(reader.GetSpacing())[:m]
    affine = np.eye(4)
    affine[:3, :3] = _LPS @ columns
    affine[:m, 3] = reader.GetOrigin()[:m]
    affine[:3, 3] = _LPS @ affine[:3, 3]
    unit, warnings = _unit(text)
    affine[:3] *= unit
    known = _states_spacing(text)
    if not known:
        warnings = (*warnings, "The header states no spacing; it is treated as unknown.")
    if shape[0] == 1 or not known:
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        affine[:3, 2] /= lengths[2]
        affine[:3, :2] /= 1.0 if known else lengths[:2]
    return Geometry.from_xyz(shape, affine, (known and shape[0] > 1, known, known)), warnings


def _text_header(path: Path) -> str:
    """The text in front of the voxels of NRRD and MetaImage files, else nothing."""
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    end = b"\n\n" if head.startswith(b"NRRD") else b"ElementDataFile"
    if end not in head and not head.startswith((b"NRRD", b"ObjectType", b"NDims")):
        return ""
    return head.split(end)[0].decode("utf-8", errors="replace")


def _refuse_words(path: Path, text: str) -> None:
    """ITK takes the digits in front of anything else for the number, and leaves out lines that it does not know.

    Raises:
        ReadError: A line of a MetaImage header has no name and value, or holds text where a number belongs.
    """
    for line in text.split("\n") if text and not text.startswith("NRRD") else ():
        name, parted, value = (part.strip() for part in re.split("([=:]|$)", line, maxsplit=1))
        words = _NUMBER if name in _NUMBERS else _ORIENTATION if name == "AnatomicalOrientation" else ".*"
        if line.strip() and not (
            parted and re.fullmatch(r"[\w ./-]+", name) and all(re.fullmatch(words, w) for w in value.split())
        ):
            hint = "Correct the header, or copy the file again."
            raise ReadError("A line of the header cannot be understood.", got=line[:200], where=path, hint=hint)


def _grid_text(text: str) -> dict[str, str]:
    """The lines of an NRRD header that place the grid, verbatim: ITK's own numbers differ in the last bit."""
    lines = [line.partition(": ") for line in text.splitlines() if text.startswith("NRRD")]
    return {name: value.strip() for name, _, value in lines if name in _GRID}


def _states_spacing(text: str) -> bool:
    if not text:
        return True
    if f"{_MARK}:=unknown" in text or f"{_MARK} = unknown" in text:
        return False
    words = ("space directions:", "spacings:", "ElementSpacing", "ElementSize", "TransformMatrix")
    stated = [word for word in words if word in text]
    return bool(stated) and stated != ["TransformMatrix"]


def _unit(text: str) -> tuple[float, tuple[str, ...]]:
    line = next((line for line in text.splitlines() if line.startswith("space units:")), "")
    names = {part for part in line.partition(":")[2].replace('"', " ").split() if part not in {"none", "???"}}
    if not names or names <= {"mm", "millimeter", "millimetre"}:
        return 1.0, ()
    if len(names) == 1 and (name := next(iter(names))) in _UNITS:
        return _UNITS[name], ()
    return 1.0, (f"The length unit {sorted(names)} is not understood; millimetres are assumed.",)


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store `array` `(C, z, y, x)`; with `like`, its origin, spacing and direction bit for bit."""
    known = same_format(like, "itk")
    flat = known["ndim"] == 2 if known else _is_flat(geometry)
    voxels = np.moveaxis(array, 0, -1) if array.shape[0] > 1 else array[0]
    image = sitk.GetImageFromArray(voxels[0] if flat else voxels, isVector=array.shape[0] > 1)
    if known:
        m = known["ndim"]
        n = len(known["spacing"])
        image.SetSpacing(known["spacing"][:m])
        image.SetOrigin(known["origin"][:m])
        image.SetDirection(np.array(known["direction"]).reshape(n, n)[:m, :m].ravel().tolist())
    else:
        _place(image, geometry, 2 if flat else 3)
    if not any(geometry.known):
        image.SetMetaData(_MARK, "unknown")
    _save(image, path, known.get("grid_text", {}) if suffix_of(path) in {".nrrd", ".nhdr"} else {})


def _restore_text(path: Path, grid: dict[str, str]) -> None:
    """Put a source's own grid lines into an NRRD file that ITK wrote for the same grid."""
    head, blank, voxels = path.read_bytes().partition(b"\n\n")
    lines = head.decode().rstrip("\n").split("\n")
    kept = [line for line in lines if line.partition(":")[0] not in _GRID]
    ours = next((line for line in lines if line.startswith("space directions:")), "")
    lists = ["none"] * ours.split().count("none")
    for name, value in grid.items():
        vectors = [part for part in value.replace(", ", ",").split() if part not in {"none", "nan", "NaN"}]
        per_axis = name in {"space directions", "spacings", "thicknesses"}
        gap = lists if name == "space directions" else ["nan"] * len(lists)
        kept.append(f"{name}: {' '.join([*gap, *vectors]) if per_axis else value}")
    path.write_bytes("\n".join(kept).encode() + (blank or b"\n\n") + voxels)


def _is_flat(geometry: Geometry) -> bool:
    """Whether a grid is one upright plane at z = 0, which a 2-D file places without loss."""
    plain = np.zeros((4, 4))
    plain[[0, 1, 2], [2, 1, 0]] = geometry.lengths[::-1]
    plain[:2, 3], plain[3, 3] = geometry.affine[:2, 3], 1.0
    return geometry.shape[0] == 1 and bool(np.array_equal(plain, geometry.affine))


def _place(image: Any, geometry: Geometry, m: int) -> None:
    affine = geometry.affine_xyz
    columns = (_LPS @ affine[:3, :3])[:m, :m]
    lengths = np.linalg.norm(columns, axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetOrigin((_LPS @ affine[:3, 3])[:m].tolist())
    image.SetDirection((columns / lengths).ravel().tolist())


def _save(image: Any, path: Path, grid: dict[str, str]) -> None:
    """Write under final names: a detached header names its voxel file."""
    with atomic_group(path) as folder:
        sitk.WriteImage(image, str(folder / path.name), useCompression=True)
        if grid:
            _restore_text(folder / path.name, grid)


FORMAT: Final = Format(
    "itk",
    read,
    write,
    writes=(".nrrd", ".nhdr", ".mha", ".mhd"),
)
