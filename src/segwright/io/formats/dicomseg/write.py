"""Writes DICOM SEG: one segment a structure, with the patient, study and grid of the images it was made from."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
from highdicom import AlgorithmIdentificationSequence, CoordinateSystemNames, PlanePositionSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from segwright.core.case import LabelSource
from segwright.core.disk import atomic_path
from segwright.core.errors import WriteError
from segwright.core.labels import Code, LabelSpace, Terms
from segwright.core.prediction import Prediction
from segwright.core.volume import Volume
from segwright.io.labeltable import FILENAME, told_codes, write_table
from segwright.io.protocol import encoding
from segwright.io.terms import terms_of
from segwright.io.writers import FileEach, masks_of

#: Attributes a segmentation copies from its images and that older exports leave out; the standard lets them be empty.
_MAY_LACK = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
             "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator")  # fmt: skip
_CURE = "Write another format, such as .nii.gz or png."


class DicomSegWriter(FileEach):
    """`<case>.dcm` with a segment a structure; scans must be DICOM."""

    suffix = ".dcm"

    def __init__(self, folder: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(folder, space, names)
        self.colours = [space.colour(index) for index in range(len(space.structures))]
        self.terms = [terms_of(structure) for structure in space.structures]
        self.notes = tuple(told_codes(space))

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case."""
        path = self.file(item.case)
        told = item.provenance  # labels that were converted have none
        model = f"{told.get('segwright', '')} {told.get('plan', '')}".strip() or "unnamed" if told else ""
        write(path, masks_of(item), item.source, self.colours, self.terms, model=model)
        return (LabelSource(path=path.name),)

    def close(self) -> tuple[Path, ...]:
        """What the segments are, with their codes, as a table to correct."""
        return (write_table(self.space, self.folder / FILENAME),)


def write(
    path: Path,
    masks: Mapping[str, NDArray[Any]],
    source: Volume,
    colours: Sequence[str] = (),
    terms: Sequence[Terms] = (),
    *,
    model: str = "",
) -> Path:
    """Store masks `(z, y, x)` of structures, which may overlap, as binary segments.

    Args:
        path: The file.
        masks: Mask of each structure; empty ones are described and have no frame.
        source: The image as it was read from DICOM; its files are read again for their headers.
        colours: `#RRGGBB` of each structure, shown by viewers.
        terms: What each structure is, in coded terms; without them each is some tissue.
        model: What identifies the model that drew the masks; empty where people drew them.

    Raises:
        WriteError: The source is not DICOM, or its headers do not suffice.
    """
    images = _images(source)
    stack = np.stack([np.asarray(mask) != 0 for mask in masks.values()], axis=-1).astype(np.uint8)
    shown, known = [*colours, *[""] * len(masks)], [*terms, *[Terms()] * len(masks)]
    segments = [_segment(i, name, shown[i - 1], known[i - 1], model) for i, name in enumerate(masks, start=1)]
    uid = _uid(source, stack)
    with encoding(path, "a DICOM segmentation"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names without '^' and the like, copied from the images as they are
        data = highdicom.seg.Segmentation(
            source_images=images,
            pixel_array=stack,
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=uid + ".1",
            series_number=900,
            sop_instance_uid=uid + ".2",
            instance_number=1,
            manufacturer="segwright",
            manufacturer_model_name="segwright",
            software_versions="1",
            device_serial_number="0",
            content_label="SEGMENTATION",
            series_description="Segmentation",
            plane_positions=_positions(images, source),
        )
        with atomic_path(path) as partial:
            data.save_as(partial)
    return path


def _images(source: Volume) -> list[Any]:
    """The image's files in the order of its planes; an enhanced multi-frame file is one.

    Raises:
        WriteError: It was not read from DICOM, or its planes cannot be told apart.
    """
    if source.header.get("format") != "dicom":
        raise WriteError(
            "A DICOM segmentation needs the DICOM images it was made from.",
            expected="scans read from DICOM",
            got=f"a scan read from {source.header.get('format') or 'no file'}",
            where=str(source.header.get("path", "")) or None,
            hint=f"Segment the DICOM files themselves. {_CURE}",
        )
    place = Path(str(source.header["path"]))
    files = [place] if place.is_file() else sorted(entry for entry in place.iterdir() if entry.is_file())
    by_uid = {}
    for file in files:
        head = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        by_uid[str(head.get("SOPInstanceUID", ""))] = head
    wanted = list(source.header.get("frame_uids", ()))
    planes = [by_uid[uid] for uid in wanted if uid in by_uid]
    if planes and len(set(wanted)) == 1 and "PerFrameFunctionalGroupsSequence" in planes[0]:
        return [_enhanced(_completed(planes[0]), place)]
    if len(planes) != source.geometry.shape[0] or len(set(wanted)) != len(wanted) or not all(wanted):
        raise WriteError(
            "A DICOM segmentation needs one DICOM file a plane, or an enhanced file that says where each frame lies.",
            expected=f"{source.geometry.shape[0]} files with identifiers of their own",
            got=f"{len(set(wanted) & set(by_uid))}",
            where=place,
            hint=_CURE,
        )
    return [_placed(_completed(head)) for head in planes]


def _positions(images: Sequence[Any], source: Volume) -> list[PlanePositionSequence] | None:
    """Where the planes of a multi-frame image lie, in our order, which need not be that of its frames."""
    if "PerFrameFunctionalGroupsSequence" not in images[0]:
        return None
    known = source.header.get("plane_positions", ())
    return [PlanePositionSequence(CoordinateSystemNames.PATIENT, position) for position in known]


def _enhanced(head: Any, where: Path) -> Any:
    """A multi-frame header that states for all frames what it may state for each: orientation and pixel spacing.

    Raises:
        WriteError: Some frame has no position, orientation or spacing.
    """
    shared = (head.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    own = head.PerFrameFunctionalGroupsSequence
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence", "PlanePositionSequence"):
        if not all(group.get(name) or shared.get(name) for group in own):
            raise WriteError(f"The image lacks {name} of a frame.", where=where, hint=_CURE)
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if not shared.get(name):  # the reader refused frames that differ
            shared[name] = own[0][name]
    for group in own:
        if not group.get("PlanePositionSequence"):
            group.PlanePositionSequence = shared.PlanePositionSequence
    head.SharedFunctionalGroupsSequence = [shared]
    return head


def _completed(head: Any) -> Any:
    """A header with the attributes that a segmentation must copy; what an image leaves out stays empty."""
    head.decode()
    head.SpecificCharacterSet = "ISO_IR 192"  # UTF-8 holds whatever character set the images use
    for name in _MAY_LACK:
        if name not in head:
            setattr(head, name, "")
    if "FrameOfReferenceUID" not in head:
        head.FrameOfReferenceUID = str(head.SOPInstanceUID)[:60] + ".9"
    return head


def _placed(head: Any) -> Any:
    """A single plane with a place.

    Projections often have neither frame of reference nor position. Theirs is a plane of their own at the origin, which
    the segmentation shares with no other image.
    """
    if "ImagePositionPatient" not in head:
        head.ImagePositionPatient = [0.0, 0.0, 0.0]
        head.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    if "PixelSpacing" not in head:
        head.PixelSpacing = head.get("ImagerPixelSpacing") or head.get("NominalScannedPixelSpacing") or [1.0, 1.0]
    if "SliceThickness" not in head or head.SliceThickness in (None, ""):
        head.SliceThickness = 1.0
    return head


def _segment(number: int, name: str, colour: str, terms: Terms, model: str) -> Any:
    """The description of a segment; readers have to know whether a person or a program drew it."""
    kind = SegmentAlgorithmTypeValues.AUTOMATIC if model else SegmentAlgorithmTypeValues.MANUAL
    family = codes.DCM.ArtificialIntelligence
    made = SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=_coded(terms.category),
        segmented_property_type=_coded(terms.type),
        algorithm_type=kind,
        algorithm_identification=AlgorithmIdentificationSequence("segwright", family, model[:64]) if model else None,
        display_color=CIELabColor.from_rgb(*(int(colour[i : i + 2], 16) for i in (1, 3, 5))) if colour else None,
    )
    if terms.modifier is not None:  # which the library has no argument for
        typed = made.SegmentedPropertyTypeCodeSequence[0]
        typed.SegmentedPropertyTypeModifierCodeSequence = [_coded(terms.modifier)]
    return made


def _coded(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.meaning)


def _uid(source: Volume, stack: NDArray[Any]) -> str:
    """An identifier that follows from the images and the masks, so that the same result is the same object."""
    state = hashlib.sha256(repr(source.header.get("frame_uids")).encode())
    state.update(np.packbits(stack).tobytes())
    return f"2.25.{int.from_bytes(state.digest()[:15], 'big')}"
