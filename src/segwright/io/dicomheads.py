"""What the headers of DICOM files say: which are images, of which series, patient and study."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pydicom

from segwright.core.errors import ReadError
from segwright.core.words import amount
from segwright.io.protocol import MENDED, decoding

#: Files with their headers.
Files = list[tuple[Path, Any]]
_NOT_IMAGES = {
    "SEG": "a DICOM segmentation",
    "RTSTRUCT": "an RT structure set (contours)",
    "RTPLAN": "a treatment plan",
    "RTDOSE": "a dose grid",
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a key object selection",
    "REG": "a registration",
    "DOC": "a document",
    "ECG": "a waveform",
}
#: What a file that is none is called.
CUT = "not DICOM or cut off"
#: Transfer syntaxes whose pixels are as long as the header says; a packed frame takes at least `_LEAST` bytes.
_UNPACKED = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"})
_LEAST = 8
#: The head of the pixels with their length, explicit or implicit, and how far it is looked for.
_PIXELS = re.compile(rb"\xe0\x7f[\x08-\x10]\x00(?:O[WBFD]\x00\x00)?(.{4})", re.DOTALL)
_LONGEST = 1 << 14
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "Modality"),
    *("PatientID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", "InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier", "EchoNumbers"),
    *("FrameOfReferenceUID", "ImageType", "TotalPixelMatrixColumns"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "BodyPartExamined"),
]


def head_of(path: Path) -> Any:
    """Header of an image file, without pixels.

    Raises:
        ReadError: It is DICOM, but not an image; says what it is.
    """
    with decoding(path, "DICOM"):
        head = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
    modality = str(head.get("Modality", "") or "")
    _demand_pixels(path, head)
    if modality in _NOT_IMAGES or "Rows" not in head or "Columns" not in head:
        other = f"DICOM of modality {modality!r}" if modality and not _is_image(head) else CUT
        kind = _NOT_IMAGES.get(modality, other)
        hint = "Remove it from the dataset."
        if modality in {"SEG", "RTSTRUCT"}:
            hint = "Give the folder that holds its scan too: labels are read together with their images."
        raise ReadError("The file holds no image.", expected="a DICOM image", got=kind, where=path, hint=hint)
    if "TotalPixelMatrixColumns" in head and int(head.get("NumberOfFrames", 1) or 1) > 1:
        raise ReadError(
            "The file is a whole-slide image in tiles, which is not read.",
            expected="one plane, or slices of a volume",
            got=f"{head.NumberOfFrames} tiles of {head.Rows} x {head.Columns} pixels",
            where=path,
            hint="Export the level you need as TIFF, PNG or OME-Zarr, e.g. with 'vips' or QuPath.",
        )
    return head


def _is_image(head: Any) -> bool:
    """Whether a file says that it holds an image, though it may have lost it."""
    uid = head.get("SOPClassUID") or getattr(head, "file_meta", {}).get("MediaStorageSOPClassUID")
    return uid is None or "Image Storage" in pydicom.uid.UID(str(uid)).name


def _demand_pixels(path: Path, head: Any) -> None:
    """Refuse a file that is too short for the frames that its header claims.

    Raises:
        ReadError: Says both lengths.
    """
    if "Rows" not in head or "Columns" not in head:
        return
    frames, held = _count(head, path), path.stat().st_size
    bits = int(head.get("BitsAllocated", 8) or 8) * int(head.get("SamplesPerPixel", 1) or 1)
    plain = str(getattr(head, "file_meta", {}).get("TransferSyntaxUID", "")) in _UNPACKED
    needed = frames * int(head.Rows) * int(head.Columns) * bits // 8 if plain else frames * _LEAST
    if held < needed or (plain and _ends_early(path, held, needed)):
        raise ReadError(
            "The file is cut off, or claims more pixels than it holds.",
            expected=f"{needed} bytes for {amount(frames, 'frame')} of {head.Rows} x {head.Columns} pixels",
            got=f"{held} bytes",
            where=path,
            hint=MENDED,
        )


def _ends_early(path: Path, held: int, needed: int) -> bool:
    """Whether the pixels begin so late that they cannot all be there; behind a long header the size says too little."""
    start = max(held - needed - 11, 0) if held > _LONGEST else 0
    with path.open("rb") as stream:
        stream.seek(start)
        found = _PIXELS.search(stream.read(_LONGEST))
    if found is None:
        return held <= _LONGEST
    return int.from_bytes(found[1], "little") - needed in {0, 1} and start + found.end() + needed > held


def _count(head: Any, path: Path) -> int:
    """Frames of a file.

    Raises:
        ReadError: Their number is none.
    """
    stated = head.get("NumberOfFrames", 1) or 1
    if int(stated) < 1 or min(int(head.Rows), int(head.Columns)) < 1:
        got = f"{stated} frames of {head.Rows} x {head.Columns}"
        raise ReadError("The header claims an impossible size.", got=got, where=path, hint=MENDED)
    return int(stated)


def is_scout(files: Files) -> bool:
    """Whether some of the files are pictures to plan scans by."""
    return any("LOCALIZER" in (str(kind).upper() for kind in head.get("ImageType") or ()) for _, head in files)


def owner_of(files: Files) -> tuple[str, ...]:
    """Patient and study of a series."""
    return tuple(str(files[0][1].get(tag, "") or "") for tag in ("PatientID", "StudyInstanceUID"))


class Series(NamedTuple):
    """The files of one series, and what their headers say of it.

    Attributes:
        patient: PatientID; empty where files were stripped of it.
        study: StudyInstanceUID.
        name: What it is called.
        files: In the order given.
        scout: Whether it is a picture to plan scans by.
    """

    patient: str
    study: str
    name: str
    files: tuple[Path, ...]
    scout: bool


def series_of(files: Sequence[Path]) -> dict[str, Series]:
    """Some image files by the identifier of their series; reads all headers.

    Raises:
        ReadError: A file is no image.
    """
    groups: dict[str, Files] = defaultdict(list)
    for file in files:
        head = head_of(file)
        groups[str(head.get("SeriesInstanceUID", "") or "")].append((file, head))
    found = {}
    for uid, inside in groups.items():
        first = inside[0][1]
        tags = ("PatientID", "StudyInstanceUID", "SeriesDescription")
        patient, study, name = (str(first.get(tag, "") or "") for tag in tags)
        found[uid] = Series(patient, study, name, tuple(file for file, _ in inside), is_scout(inside))
    return found
