"""Opens FreeSurfer, MINC and PAR/REC volumes with nibabel: values scaled as their headers say, on their grid in mm."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, Volume
from segwright.io.axes import Axes
from segwright.io.companions import companion
from segwright.io.hdf5 import refuse_links, refuse_overlong_chunks
from segwright.io.protocol import Format, decoding, lazy_stored, make_header

_FAMILIES = {".mgz": "FreeSurfer MGZ", ".mgh": "FreeSurfer MGH", ".mnc": "MINC", ".par": "PAR/REC"}


def read(path: Path, key: str | None = None) -> Volume:
    """Open a volume; a fourth axis becomes channels. Whole numbers that no header scales keep their type.

    Raises:
        ReadError: It is none of these, its `.rec` is missing, or it has no usable shape.
    """
    family = _FAMILIES.get(path.suffix.lower(), "a volume")
    with decoding(path, family):
        image, told = _opened(path)
        shape = tuple(int(n) for n in image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) not in (3, 4) or min(shape) < 1:
            raise ReadError("The voxel array has no usable shape.", expected="3 or 4 axes", got=shape, where=path)
        affine = np.array(image.affine, dtype=np.float64)
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise ReadError("The header's grid is not finite or singular.", where=path, hint="Save the volume again.")
        axes, dtype = Axes("xyzc"[: len(shape)]), _type(image)
        _close(image)

    def part(index: Index) -> NDArray[Any]:
        if _is_hdf5(path):
            refuse_overlong_chunks(path)
        again, _ = _opened(path)
        extra = (0,) * (len(again.shape) - len(shape))
        voxels = np.asarray(again.dataobj[(*index, *extra)]).astype(dtype, copy=False)
        _close(again)
        return voxels

    data = lazy_stored(axes, shape, dtype, part, path=path, family=family)
    known = (shape[2] > 1, True, True)
    geometry = Geometry.from_xyz(axes.shape(shape)[1:], affine, known)
    return Volume(data, geometry, header=make_header("neuro", path, warnings=told))


def _opened(path: Path) -> tuple[Any, tuple[str, ...]]:
    """nibabel's image, and what it warns of."""
    suffix = path.suffix.lower()
    if suffix == ".par":
        for voxels in path.parent.glob(f"{path.stem}.[rR][eE][cC]"):
            companion(path, voxels.name)
    if _is_hdf5(path):
        refuse_links(path)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        options = {"strict_sort": True} if suffix == ".par" else {}
        image: Any = nib.load(path, **options)
    kept = [str(w.message).strip() for w in heard if issubclass(w.category, UserWarning)]
    return image, tuple(dict.fromkeys(text.rstrip(".") + "." for text in kept))


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x89HDF"


def _close(image: Any) -> None:
    """Close the voxel file of PAR/REC, which nibabel holds open."""
    held: Any = getattr(image.dataobj, "file_like", None)
    if hasattr(held, "close_if_mine"):
        held.close_if_mine()


def _type(image: Any) -> np.dtype[Any]:
    """Stored type of FreeSurfer volumes, which have no scale; others are scaled to real numbers."""
    kind = np.dtype(image.get_data_dtype()).newbyteorder("=")
    if isinstance(image, nib.MGHImage) and kind.kind in "iuf":
        return kind
    return np.dtype(np.float32)


FORMAT: Final = Format("neuro", read)
