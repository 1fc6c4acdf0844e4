"""Regions of ImageJ: a `.roi` file, or a `.zip` of the ROI manager, for one image or stack."""

from __future__ import annotations

import re
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import roifile

from segwright.core.errors import GeometryError, LabelError
from segwright.core.geometry import Geometry
from segwright.io.drawn import Drawn, Entry, Form, usable

#: Structure of regions that have no name but their place.
UNNAMED = "foreground"
_AREAS = {
    roifile.ROI_TYPE.POLYGON,
    roifile.ROI_TYPE.RECT,
    roifile.ROI_TYPE.OVAL,
    roifile.ROI_TYPE.FREEHAND,
    roifile.ROI_TYPE.TRACED,
}
_MARK = b"Iout"


def known(path: Path) -> bool:
    """Whether a file is a region, or an archive of nothing but regions."""
    suffix = path.suffix.lower()
    if suffix not in {".roi", ".zip"} or not path.is_file():
        return False
    if suffix == ".roi":
        with path.open("rb") as stream:
            return stream.read(4) == _MARK
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
    except (zipfile.BadZipFile, OSError):
        return False
    return bool(names) and all(name.lower().endswith(".roi") for name in names)


@lru_cache(maxsize=8)
def _loaded(path: Path, changed: int, size: int) -> tuple[roifile.ImagejRoi, ...]:
    found = roifile.ImagejRoi.fromfile(path)
    return tuple(found) if isinstance(found, list) else (found,)


def _regions(path: Path) -> tuple[roifile.ImagejRoi, ...]:
    stat = path.stat()
    return _loaded(path, stat.st_mtime_ns, stat.st_size)


def structure_of(name: str) -> str:
    """The structure that a region's name speaks of: words without running numbers.

    Example:
        >>> structure_of("nucleus-12"), structure_of("0012-0034-0056"), structure_of("left lung")
        ('nucleus', 'foreground', 'left lung')
    """
    word = re.sub(r"[\s_\-.#(]*\d[\d\s_\-.)]*$", "", name.strip()).strip(" _-.")
    return word if re.search(r"[^\W\d_]", word) else UNNAMED


def entries(path: Path) -> tuple[Entry, ...]:
    """The one image of the file, which has its name (without `RoiSet`)."""
    image = re.sub(r"(?i)^roi[_ -]?set[_ -]*|[_ -]*roi[_ -]?set$|[_ -]rois?$", "", path.stem) or path.stem
    return (Entry(image, None, None, tuple(dict.fromkeys(structure_of(roi.name or "") for roi in _regions(path)))),)


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Regions of one image, those of a structure united; on the slice that each names, if the image is a stack.

    Raises:
        LabelError: A region of a stack that names no slice.
        GeometryError: A region on a slice that the stack lacks.
    """
    drawn = Drawn(like.shape)
    for index, roi in enumerate(_regions(path)):
        name = structure_of(roi.name or "")
        told = f"Region {index + 1} ({roi.name or 'no name'})"
        if roi.roitype not in _AREAS:
            drawn.mask(name)
            drawn.repairs.append(f"{told} is a {roi.roitype.name.lower()}, which encloses nothing; it is left out.")
            continue
        rings = [np.asarray(ring, dtype=np.float64) for ring in roi.coordinates(multi=True)]
        if not all(usable(ring) for ring in rings):
            raise LabelError(f"{told} has corners that are no numbers.", where=path, hint="Save the region again.")
        drawn.add_area(name, rings, told, _plane(roi, like, told, path))
    return drawn


def _plane(roi: roifile.ImagejRoi, like: Geometry, told: str, path: Path) -> int:
    """The slice of a region, from 0."""
    if like.shape[0] == 1:
        return 0
    position = int(roi.z_position or roi.position or 0)
    if position < 1:
        raise LabelError(
            f"{told} names no slice of the stack.",
            where=path,
            hint="Save regions with their position (ROI Manager, Properties), or convert them to a mask in ImageJ: "
            "Edit, Selection, Create Mask.",
        )
    if position > like.shape[0]:
        raise GeometryError(
            f"{told} lies on slice {position}, which the image does not have.",
            expected=f"1 to {like.shape[0]}",
            got=position,
            where=path,
            hint="Give the stack that the regions were drawn on.",
        )
    return position - 1


FORM: Final = Form("imagej", entries, read, known, paired=True)
