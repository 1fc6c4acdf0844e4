"""DICOM images: one file, an enhanced multi-frame file, or a folder with a series, sorted by geometry."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
import pydicom.config
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from segwright.core.errors import ReadError
from segwright.core.volume import Index, LazyArray, Volume
from segwright.core.words import amount
from segwright.io.dicomheads import CUT, Files, head_of, is_scout, owner_of
from segwright.io.formats import sniff
from segwright.io.frames import Frame, Stack, stack
from segwright.io.protocol import MENDED, Format, Stored, decoding, lazy, make_header, reason

# Odd values in header fields that are not needed must not stop or delay reading.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_RGB = ("red", "green", "blue")


def read(path: Path, key: str | None = None) -> Volume:
    """Open a file or the one series of a folder (`key` chooses among several by series UID).

    Voxels are rescaled to modality units; MONOCHROME1 is inverted within the stored bits first. Spacing comes
    from slice positions, never from slice thickness.
    """
    with decoding(path, "DICOM"):
        files, warnings = _series(path, key) if path.is_dir() else ([(path, head_of(path))], [])
        made = stack([frame for file, head in files for frame in _frames(file, head)], path)
        first = files[0][1]
        if len({(head.get("PhotometricInterpretation"), head.get("BitsAllocated")) for _, head in files}) > 1:
            raise ReadError(
                "Slices of one series store pixels in different ways.", where=path, hint="Export the series again."
            )
        data = _lazy(made, first, path)
        colour = _components(first) == 3
        header = make_header(
            "dicom",
            path,
            **_identity(first),
            frame_uids=tuple(frame.uid for row in made.frames for frame in row),
            slices=tuple((frame.path.name, frame.index or 0, frame.rank[3]) for frame in made.frames[0]),
            plane_positions=tuple(frame.position for frame in made.frames[0]),
            gaps=made.gaps,
            warnings=(*warnings, *made.warnings, *_oddities(first, made)),
        )
        return Volume(data, made.geometry, _RGB if colour and len(made.frames) == 1 else (), header)


def _identity(head: Any) -> dict[str, str]:
    fields = {"patient_id": "PatientID", "study_uid": "StudyInstanceUID", "series_uid": "SeriesInstanceUID"}
    fields |= {"frame_of_reference": "FrameOfReferenceUID", "modality": "Modality", "body_part": "BodyPartExamined"}
    return {name: str(head.get(tag, "") or "").strip() for name, tag in fields.items()}


def _series(folder: Path, key: str | None) -> tuple[Files, list[str]]:
    """Files of the one series in a folder, and what was left out."""
    groups, names, skipped = _grouped(folder)
    chosen = _one_series(folder, groups, names, key)
    owner = owner_of(chosen)
    others = [u for u, f in groups.items() if f is not chosen and owner_of(f) == owner]
    left = [f"series {names[u]} ({amount(len(groups[u]), 'file')})" for u in others]
    left += [f"{amount(n, 'file')}: {kind}" for kind, n in sorted(skipped.items())]
    return chosen, [f"Left out of the folder: {'; '.join(left)}."] if left else []


def _grouped(folder: Path) -> tuple[dict[str, Files], dict[str, str], Counter[str]]:
    """Image files of a folder by series, what each series is called, and what else there is."""
    groups: dict[str, Files] = defaultdict(list)
    names: dict[str, str] = {}
    skipped: Counter[str] = Counter()
    for file in sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")):
        if file.stat().st_size == 0:
            raise ReadError("A file of the series is empty (0 bytes).", where=file, hint=MENDED)
        if sniff(file) != "dicom":
            skipped["not DICOM"] += 1
            continue
        try:
            head = head_of(file)
        except ReadError as error:
            if error.got in (None, CUT) or error.what != "The file holds no image.":
                raise
            skipped[error.got] += 1
            continue
        uid = str(head.get("SeriesInstanceUID", "") or "")
        groups[uid].append((file, head))
        kind = "scout" if is_scout([(file, head)]) else ""
        told = (str(head.get("Modality", "")), kind, str(head.get("SeriesDescription", "") or ""))
        names[uid] = " ".join(part for part in told if part)
    return groups, names, skipped


def _one_series(folder: Path, groups: dict[str, Files], names: dict[str, str], key: str | None) -> Files:
    listing = "; ".join(f"{uid} ({len(files)} files, {names[uid]})" for uid, files in groups.items())
    if key is not None:
        if key not in groups:
            raise ReadError(f"The folder has no series {key}.", got=listing, where=folder, hint="Use one listed.")
        return groups[key]
    if not groups:
        raise ReadError("The folder holds no DICOM image.", where=folder, hint="Point to the folder of the series.")
    scans = volumes_among(groups)
    if len(scans) != 1:
        hint = f"Point to a folder with one series, or choose with 'key: {next(iter(groups))}'."
        raise ReadError("The folder holds several series.", got=listing, where=folder, hint=hint)
    return groups[scans[0]]


def volumes_among(groups: Mapping[str, Files]) -> list[str]:
    """The series that can be a scan: scouts are none, and neither are one or two pictures beside a stack of slices."""
    scans = [uid for uid, files in groups.items() if not is_scout(files)] or list(groups)
    stacks = [uid for uid in scans if len(groups[uid]) > 2 or int(groups[uid][0][1].get("NumberOfFrames", 1) or 1) > 2]
    return stacks or scans


def series_in(folder: Path) -> dict[str, str]:
    """The series of a folder that can be a scan, by identifier, with what each is called; reads all headers.

    Raises:
        ReadError: A file of a series is empty or cut off.
    """
    groups, names, _ = _grouped(folder)
    return {uid: names[uid] for uid in volumes_among(groups)}


def _frames(path: Path, head: Any) -> list[Frame]:
    """The frames of a file; an enhanced one describes each frame in functional groups."""
    count = int(head.get("NumberOfFrames", 1) or 1)
    if count == 1 and "PerFrameFunctionalGroupsSequence" not in head:
        return [_frame(path, head, [head], None)]
    shared = head.get("SharedFunctionalGroupsSequence") or [{}]
    own = head.get("PerFrameFunctionalGroupsSequence") or []
    single = {"FrameContentSequence": [head]} if not own else {}
    groups = [own[i] if i < len(own) else single for i in range(count)]
    return [_frame(path, head, [group, shared[0], head], i) for i, group in enumerate(groups)]


_PLACES = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}


def _look(places: Sequence[Any], tag: str) -> Any:
    """A value from the frame's own groups, the shared ones or the root, whichever has it first."""
    for place in places:
        inner = place.get(_PLACES.get(tag, ""), None)
        value = inner[0].get(tag) if inner else place.get(tag, None)
        if value is not None and value != "":
            return value
    return None


def _frame(path: Path, head: Any, places: Sequence[Any], index: int | None) -> Frame:
    position = _numbers(_look(places, "ImagePositionPatient"), 3)
    if index is not None and "PerFrameFunctionalGroupsSequence" not in head:
        position = None  # a plain multi-frame file gives the first frame's position only
    directions = _numbers(_look(places, "ImageOrientationPatient"), 6)
    if directions is not None and min(np.linalg.norm(np.reshape(directions, (2, 3)), axis=1)) < 1e-6:
        directions = None
    slope, intercept = _look(places, "RescaleSlope"), _look(places, "RescaleIntercept")
    ranks = ("TemporalPositionIdentifier", "AcquisitionNumber", "EchoNumbers", "InstanceNumber")
    return Frame(
        path=path,
        index=index,
        uid=str(head.get("SOPInstanceUID", "") or ""),
        size=(int(head.Rows), int(head.Columns)),
        position=position,
        directions=directions,
        spacing=_pixel_spacing(places),
        slope=_scale(slope, 1.0, path),
        intercept=_scale(intercept, 0.0, path),
        rank=(*(_number(head.get(tag)) for tag in ranks), float(index or 0)),
    )


def _scale(value: Any, default: float, path: Path) -> float:
    """A part of the rescaling.

    Raises:
        ReadError: It is no finite number, or a slope of 0, with which all voxels are one.
    """
    found = default if value is None else float(value)
    if not np.isfinite(found) or (default == 1.0 and found == 0):
        raise ReadError("The rescaling of voxels is no number or 0.", got=value, where=path, hint=MENDED)
    return found


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or nothing."""
    try:
        numbers = tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _pixel_spacing(places: Sequence[Any]) -> tuple[float, float] | None:
    """mm between rows and columns: in the patient, else at the detector or the scanned film."""
    for tag in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = _numbers(_look(places, tag), 2)
        if spacing is not None and min(spacing) > 0:
            return spacing[0], spacing[1]
    return None


def _components(head: Any) -> int:
    palette = str(head.get("PhotometricInterpretation", "")).startswith("PALETTE")
    return 3 if palette or int(head.get("SamplesPerPixel", 1) or 1) > 1 else 1


def _oddities(head: Any, made: Stack) -> list[str]:
    found = []
    frames = [frame for row in made.frames for frame in row]
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if len(scales) > 1:
        found.append(f"Rescale slope or intercept differs between slices ({len(scales)} pairs); each is applied.")
    if "ModalityLUTSequence" in head:
        found.append("A modality lookup table is present and not applied; values are as stored.")
    plain = frames[0].spacing is not None and "PixelSpacing" not in head
    if plain and "ImagerPixelSpacing" in head:
        found.append("The pixel spacing is that of the detector; structures are magnified by the projection.")
    return found


def _lazy(made: Stack, head: Any, path: Path) -> LazyArray:
    """Voxels `(C, z, y, x)`, decoded file by file when sliced."""
    parts = _components(head)
    shape = (len(made.frames) * parts, *made.geometry.shape)
    dtype = _dtype(made, head)

    def part(index: Index) -> NDArray[Any]:
        out = np.empty((shape[0], *(s.stop - s.start for s in index[1:])), dtype)
        cache: dict[Path, Any] = {}
        for channel, row in enumerate(made.frames):
            for z, frame in enumerate(row[index[1]]):
                pixels = _pixels(frame, cache, dtype).reshape(*frame.size, parts)[index[2], index[3]]
                out[channel * parts : (channel + 1) * parts, z] = np.moveaxis(pixels, -1, 0)
        return out[index[0]]

    files = {frame.path for row in made.frames for frame in row}
    how = Stored(None, size=lambda: sum(file.stat().st_size for file in files))
    return lazy(shape, dtype, part, path=path, family="DICOM", stored=how)


def _dtype(made: Stack, head: Any) -> np.dtype[Any]:
    """The stored integer type, a wider one if whole-number rescaling needs it, else float32."""
    bits = int(head.get("BitsAllocated", 16) or 16)
    if bits > 16 or "PixelRepresentation" not in head:
        return np.dtype(np.float32)
    if _components(head) == 3:
        return np.dtype(np.uint8 if bits <= 8 else np.uint16)
    signed = int(head.PixelRepresentation) == 1
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    frames = [frame for row in made.frames for frame in row]
    if any(frame.slope % 1 or frame.intercept % 1 for frame in frames):
        return np.dtype(np.float32)
    ends = [end * frame.slope + frame.intercept for frame in frames for end in (low, high)]
    return np.result_type(np.min_scalar_type(int(min(ends))), np.min_scalar_type(int(max(ends))))


def _pixels(frame: Frame, cache: dict[Path, Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """One frame in modality units, `(y, x)` or `(y, x, 3)`."""
    if frame.path not in cache:
        cache.clear()
        cache[frame.path] = _open_pixels(frame.path)
    full = cache[frame.path]
    try:
        pixels = pixel_array(full, index=frame.index)
    except Exception as error:
        raise ReadError(
            "The pixels cannot be decoded.",
            got=reason(error),
            where=frame.path,
            hint="Export the scan again, uncompressed if the codec is named above.",
        ) from error
    kind = str(full.PhotometricInterpretation)
    if kind.startswith("PALETTE"):
        colour = apply_color_lut(pixels, full)
        return np.asarray(colour >> 8 if dtype.itemsize == 1 and colour.dtype.itemsize > 1 else colour).astype(dtype)
    if kind == "MONOCHROME1":
        pixels = _inverted(pixels, int(full.BitsStored), bool(full.PixelRepresentation))
    if frame.slope == 1 and frame.intercept == 0:
        return np.asarray(pixels).astype(dtype, copy=False)
    return (pixels.astype(np.float64) * frame.slope + frame.intercept).astype(dtype)


def _open_pixels(path: Path) -> Any:
    full = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in full.file_meta:
        implicit, little = full.original_encoding
        explicit = pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian
        full.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if implicit else explicit
    return full


def _inverted(pixels: NDArray[Any], bits: int, signed: bool) -> NDArray[Any]:
    """Stored values mirrored within their bit range; unsigned bits above the range do not count."""
    if signed:
        return -1 - pixels
    top = (1 << bits) - 1
    return top - (pixels & top)


FORMAT: Final = Format("dicom", read)
