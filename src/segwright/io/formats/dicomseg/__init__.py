"""DICOM SEG: masks of segments, frame by frame, laid onto the grid of the series they were drawn on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray

from segwright.core.errors import GeometryError, ReadError
from segwright.core.geometry import Geometry
from segwright.io.drawn import Drawn, Entry, Form
from segwright.io.grids import has_place, turn_between
from segwright.io.protocol import decoding

_CLASSES = (b"1.2.840.10008.5.1.4.1.1.66.4\0", b"1.2.840.10008.5.1.4.1.1.66.7\0")
#: Frames further than this from a plane of the series, in voxels, do not belong to it.
_NEAR = 0.1
_RAS = np.diag([-1.0, -1.0, 1.0])


class Reference(NamedTuple):
    """What a DICOM label says about the images it was drawn on; empty where it says nothing.

    Attributes:
        series: Identifiers of series.
        images: Identifiers of files.
        patient: PatientID.
        frame: Frame of reference, the space that it shares with its images.
    """

    series: tuple[str, ...]
    images: tuple[str, ...]
    patient: str
    frame: str = ""


def known(path: Path) -> bool:
    """Whether a file is a DICOM segmentation, by the class its head names."""
    return has_class(path, _CLASSES)


def has_class(path: Path, classes: Sequence[bytes]) -> bool:
    """Whether the head of a DICOM file names one of some object classes."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(2048)
    return head[128:132] == b"DICM" and any(name in head or name[:-1] + b"\x02\0" in head for name in classes)


def entries(path: Path) -> tuple[Entry, ...]:
    """The one series of the file, and its segments."""
    head = opened(path, pixels=False)
    return (Entry("", None, (int(head.Rows), int(head.Columns)), tuple(_names(head, []).values())),)


def opened(path: Path, *, pixels: bool = True) -> Any:
    """The data set of a DICOM file."""
    with decoding(path, "DICOM"):
        return pydicom.dcmread(path, stop_before_pixels=not pixels)


def reference(path: Path) -> Reference:
    """The series and images a segmentation names, as a whole or frame by frame."""
    head = opened(path, pixels=False)
    series = head.get("ReferencedSeriesSequence") or []
    images = [str(i.ReferencedSOPInstanceUID) for s in series for i in s.get("ReferencedInstanceSequence") or []]
    named = tuple(str(s.SeriesInstanceUID) for s in series if s.get("SeriesInstanceUID"))
    groups = [head, *(head.get("SharedFunctionalGroupsSequence") or [])]
    groups += head.get("PerFrameFunctionalGroupsSequence") or []
    images += [uid for group in groups for uid in _sources(group)]
    patient, frame = (str(head.get(tag, "") or "") for tag in ("PatientID", "FrameOfReferenceUID"))
    return Reference(named, tuple(dict.fromkeys(images)), patient, frame)


def _sources(group: Any) -> list[str]:
    """Images that a frame was derived from."""
    derived = [group, *(group.get("DerivationImageSequence") or [])]
    sources = [image for one in derived for image in one.get("SourceImageSequence") or []]
    return [str(image.ReferencedSOPInstanceUID) for image in sources if image.get("ReferencedSOPInstanceUID")]


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Each segment a mask; fractional ones are set from one half on.

    Raises:
        GeometryError: A frame lies on no plane of the series.
        ReadError: The pixels cannot be decoded.
    """
    data = opened(path)
    drawn = Drawn(like.shape)
    names = _names(data, drawn.repairs)
    for name in names.values():
        drawn.mask(name)
    with decoding(path, "a DICOM segmentation"):
        frames = np.asarray(data.pixel_array).reshape(-1, int(data.Rows), int(data.Columns))
    kind = str(data.get("SegmentationType", "BINARY"))
    if kind == "FRACTIONAL":
        frames = frames * 2 >= int(data.get("MaximumFractionalValue", 255))
        drawn.repairs.append("Fractional segments are set from one half on.")
    shared = (data.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    own = data.get("PerFrameFunctionalGroupsSequence") or [pydicom.Dataset()] * len(frames)
    _refuse_stack([group for group in own if group], shared, like, path)
    for index, (frame, group) in enumerate(zip(frames, own, strict=False)):
        place = _place((group, shared, data), frame.shape, like)
        part, box = _onto(frame, place, like, index, path)
        if kind == "LABELMAP":
            for number, name in names.items():
                drawn.mask(name)[box] |= part == number
        else:
            drawn.mask(names[_segment((group, shared), names, path)])[box] |= part != 0
    return drawn


def _names(data: Any, repairs: list[str]) -> dict[int, str]:
    """Segment number to name; a name that comes twice takes its number along."""
    found = {int(s.SegmentNumber): str(s.get("SegmentLabel") or "").strip() for s in data.get("SegmentSequence") or []}
    found = {number: name or f"segment_{number}" for number, name in found.items()}
    found = {number: name for number, name in found.items() if number > 0}
    counts = Counter(found.values())
    doubled = sorted(name for name, count in counts.items() if count > 1)
    if doubled:
        repairs.append(f"Several segments are called {doubled[0]!r}; their numbers are added to the name.")
    return {number: f"{name} {number}" if counts[name] > 1 else name for number, name in found.items()}


def _first(groups: Sequence[Any], sequence: str, tag: str) -> Any:
    """A value from the first of some groups that has it."""
    for group in groups:
        inner = group.get(sequence)
        if inner and inner[0].get(tag) is not None:
            return inner[0].get(tag)
    return None


def _segment(groups: Sequence[Any], names: dict[int, str], path: Path) -> int:
    number = _first(groups, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    if number is None and len(names) == 1:
        return next(iter(names))
    if number is None or int(number) not in names:
        raise ReadError(
            "A frame names a segment that is not described.",
            expected=", ".join(f"{n} ({name})" for n, name in names.items()),
            got=number,
            where=path,
            hint="Export the segmentation again.",
        )
    return int(number)


def _place(groups: Sequence[Any], size: tuple[int, ...], like: Geometry) -> Geometry | None:
    """The grid of one frame; `None` where the file does not say where it lies."""
    position = _first(groups, "PlanePositionSequence", "ImagePositionPatient")
    directions = _first(groups, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = _first(groups, "PixelMeasuresSequence", "PixelSpacing")
    if position is None or directions is None or spacing is None or not has_place(like) or not like.known[0]:
        return None
    along, down = np.array(directions, dtype=np.float64).reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0] = np.cross(along, down) * like.lengths[0]
    affine[:3, 1] = down * float(spacing[0])
    affine[:3, 2] = along * float(spacing[1])
    affine[:3, :3] = _RAS @ affine[:3, :3]
    affine[:3, 3] = _RAS @ np.array(position, dtype=np.float64)
    return Geometry((1, size[0], size[1]), affine)


def _refuse_stack(groups: Sequence[Any], shared: Any, like: Geometry, path: Path) -> None:
    """Frames of several planes do not belong to one projection, even if rows and columns agree."""
    told = {str(_first((group, shared), "PlanePositionSequence", "ImagePositionPatient")) for group in groups}
    if not like.known[0] and len(told) > 1:
        raise GeometryError(
            "The segmentation has several planes, but the image is a single one.",
            got=f"{len(told)} planes",
            where=path,
            hint="Give the whole series the segmentation was drawn on.",
        )


def _onto(
    frame: NDArray[Any], place: Geometry | None, like: Geometry, index: int, path: Path
) -> tuple[NDArray[Any], tuple[slice, ...]]:
    """A frame turned as the series lies, and the box of the series it fills."""
    if place is None:
        if like.shape == (1, *frame.shape):
            return frame[None], (slice(0, 1), slice(0, frame.shape[0]), slice(0, frame.shape[1]))
        raise _lost(index, f"no position, {frame.shape[0]} x {frame.shape[1]} pixels", like, path)
    step = turn_between(place, like)
    if step is None:
        raise _lost(index, "a plane across those of the series", like, path)
    order, flips = step
    turned = place.permute(order).flip(flips)
    ends = like.to_index(turned.to_world(np.array([[0, 0, 0], np.array(turned.shape) - 1])))
    start = np.rint(ends[0]).astype(int)
    stop = start + turned.shape
    fits = np.abs(ends - np.stack([start, stop - 1])).max() <= _NEAR
    if not fits or (start < 0).any() or (stop > like.shape).any():
        told = ", ".join(f"{value:.2f}" for value in ends[0])
        raise _lost(index, f"first voxel at index ({told}) (z, y, x) of the series", like, path)
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return np.flip(frame[None].transpose(order), flips), box


def _lost(index: int, got: str, like: Geometry, path: Path) -> GeometryError:
    return GeometryError(
        f"Frame {index + 1} of the segmentation lies on no plane of the image.",
        expected=f"a plane of the grid {like.shape} (z, y, x)",
        got=got,
        where=path,
        hint="Give the whole series the segmentation was drawn on, or resample the segmentation to it.",
    )


FORM: Final = Form("dicomseg", entries, read, known)
