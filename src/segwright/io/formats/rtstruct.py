"""RT structure sets: contours in millimetres, filled on the planes of the series they were drawn on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import GeometryError, LabelError
from segwright.core.geometry import Geometry
from segwright.io.drawn import Drawn, Entry, Form
from segwright.io.formats.dicomseg import Reference, has_class, opened
from segwright.io.grids import has_place
from segwright.io.polygon import fill

_CLASSES = (b"1.2.840.10008.5.1.4.1.1.481.3\0",)
#: Contours further than this from a plane of the series, in voxels, do not lie on it.
_NEAR = 0.25
_RAS = np.array([-1.0, -1.0, 1.0])


def known(path: Path) -> bool:
    """Whether a file is an RT structure set, by the class its head names."""
    return has_class(path, _CLASSES)


def entries(path: Path) -> tuple[Entry, ...]:
    """The one series of the file, and its regions."""
    return (Entry("", None, None, tuple(dict.fromkeys(_names(opened(path)).values()))),)


def _names(data: Any) -> dict[str, str]:
    rois = data.get("StructureSetROISequence") or []
    return {str(roi.ROINumber): str(roi.get("ROIName") or f"roi_{roi.ROINumber}").strip() for roi in rois}


def _series(data: Any) -> Iterator[Any]:
    """Descriptions of the series the contours were drawn on."""
    for frame in data.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            yield from study.get("RTReferencedSeriesSequence") or []


def reference(path: Path) -> Reference:
    """The series and images a structure set names."""
    data = opened(path)
    series = list(_series(data))
    images = [str(i.ReferencedSOPInstanceUID) for s in series for i in s.get("ContourImageSequence") or []]
    named = tuple(str(s.SeriesInstanceUID) for s in series if s.get("SeriesInstanceUID"))
    contours = [c for region in data.get("ROIContourSequence") or [] for c in region.get("ContourSequence") or []]
    images += [str(i.ReferencedSOPInstanceUID) for c in contours for i in c.get("ContourImageSequence") or []]
    frames = [str(f.get("FrameOfReferenceUID", "")) for f in data.get("ReferencedFrameOfReferenceSequence") or []]
    frame = frames[0] if len(frames) == 1 else ""
    return Reference(named, tuple(dict.fromkeys(images)), str(data.get("PatientID", "") or ""), frame)


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Each region a mask: closed contours on one plane are filled together, so that inner ones are holes (even-odd).

    Raises:
        LabelError: The set does not say which series it belongs to, or holds no contours.
        GeometryError: Contours lie on planes that the series lacks; says which.
    """
    data = opened(path)
    _refuse_unreferenced(data, path)
    if not has_place(like):
        raise GeometryError(
            "Contours are in millimetres, but the image has no place in the world.",
            where=path,
            hint="Give the DICOM series the contours were drawn on.",
        )
    names = _names(data)
    drawn = Drawn(like.shape)
    lost: dict[str, list[float]] = defaultdict(list)
    for region in data.get("ROIContourSequence") or []:
        number = str(region.get("ReferencedROINumber"))
        name = names.get(number, f"roi_{number}")
        _add(drawn, name, region.get("ContourSequence") or [], like, lost)
    if lost:
        raise _missing_planes(lost, like, path)
    if not any(mask.any() for mask in drawn.masks.values()):
        raise LabelError(
            "The structure set holds no contour that encloses anything.", where=path, hint="Export it again."
        )
    return drawn


def _refuse_unreferenced(data: Any, path: Path) -> None:
    """A set that names no series could be laid on any."""
    lacking = "ReferencedFrameOfReferenceSequence"
    for frame in data.get(lacking) or []:
        lacking = "RTReferencedStudySequence"
        for study in frame.get(lacking) or []:
            lacking = "RTReferencedSeriesSequence"
            if any(series.get("SeriesInstanceUID") for series in study.get(lacking) or []):
                return
    raise LabelError(
        "The structure set does not say which series it was drawn on.",
        expected="a referenced series with its SeriesInstanceUID",
        got=f"{lacking} is missing or empty",
        where=path,
        hint="Export it again together with its series, or take it out of the dataset.",
    )


def _add(drawn: Drawn, name: str, contours: Any, like: Geometry, lost: dict[str, list[float]]) -> None:
    """Fill the contours of one region, plane by plane."""
    mask = drawn.mask(name)
    planes: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    skipped: dict[str, int] = defaultdict(int)
    for contour in contours:
        kind = str(contour.get("ContourGeometricType", ""))
        world = np.array(contour.get("ContourData") or [], dtype=np.float64).reshape(-1, 3)
        if not kind.startswith("CLOSED") or len(np.unique(world, axis=0)) < 3:
            skipped[kind if not kind.startswith("CLOSED") else "CLOSED_PLANAR with fewer than 3 points"] += 1
            continue
        index = like.to_index(world * _RAS)
        plane = float(index[:, 0].mean())
        on = np.ptp(index[:, 0]) <= _NEAR and abs(plane - round(plane)) <= _NEAR and 0 <= round(plane) < like.shape[0]
        if not on:
            lost[name].append(float(world[0, 2]))
            continue
        planes[round(plane)].append(index[:, [2, 1]] + 0.5)
    told = [f"{count} of kind {kind or 'unknown'}" for kind, count in skipped.items()]
    if told:
        drawn.repairs.append(f"Contours of {name!r} that enclose nothing are left out: {', '.join(told)}.")
    size = (like.shape[1], like.shape[2])
    beyond = [np.concatenate(rings) for rings in planes.values()]
    if any((ring < 0).any() or (ring > size[::-1]).any() for ring in beyond):
        drawn.repairs.append(f"Contours of {name!r} reach out of the image; they are clipped.")
    for plane_index, rings in planes.items():
        mask[plane_index] |= fill(rings, size)


def _missing_planes(lost: dict[str, list[float]], like: Geometry, path: Path) -> GeometryError:
    heights = sorted({value for values in lost.values() for value in values})
    low, high = sorted((float(like.to_world((0, 0, 0))[2]), float(like.to_world((like.shape[0] - 1, 0, 0))[2])))
    got = f"{sum(map(len, lost.values()))} contours of {', '.join(lost)}"
    return GeometryError(
        "Contours lie on planes that the series does not have: images are missing.",
        expected=f"planes from z = {low:g} to {high:g} mm ({like.shape[0]} images)",
        got=f"{got} at z = {', '.join(f'{h:g}' for h in heights[:6])} mm",
        where=path,
        hint="Add the missing images of the series, or take the structure set out of the dataset.",
    )


FORM: Final = Form("rtstruct", entries, read, known)
