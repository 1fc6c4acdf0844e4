"""PNG, JPEG, BMP and other 2-D pictures; palette images keep their indices, because most are labels."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segwright.core.atomic import atomic_path
from segwright.core.errors import ReadError, WriteError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, LazyArray, Volume
from segwright.io.protocol import Format, decoding, lazy, make_header
from segwright.io.sniff import suffix_of

_RGB = ("red", "green", "blue")
_DTYPES: dict[str, type] = {"1": np.uint8, "L": np.uint8, "P": np.uint8, "I": np.int32, "F": np.float32}
_ALPHA = {"RGBA": "RGB", "LA": "L", "PA": "P", "RGBa": "RGB", "La": "L"}
_ORIENTATION = 0x0112
#: A header may claim any size; larger than this is taken for damage.
_LARGEST = 1 << 31


def read(path: Path, key: str | None = None) -> Volume:
    """Open a picture as one plane with unknown spacing (dots an inch describe a screen, not a patient)."""
    with decoding(path, "an image"):
        with _open(path) as picture:
            mode = _mode(picture)
            shape = (3 if mode == "RGB" else 1, 1, picture.height, picture.width)
            warnings = _oddities(picture, mode)
        dtype = np.dtype(np.uint16 if mode.startswith("I;16") else _DTYPES.get(mode, np.uint8))

        def part(index: Index) -> NDArray[Any]:
            with _open(path) as again:
                array = _decode(again, mode).astype(dtype, copy=False).reshape(*shape[2:], shape[0])
            return np.moveaxis(array[index[2], index[3], index[0]], -1, 0)[:, None][:, index[1]]

        data: LazyArray = lazy(shape, dtype, part, path=path, family="an image")
        geometry = Geometry.from_spacing(shape[1:])
        header = make_header("image", path, mode=mode, warnings=warnings)
        return Volume(data, geometry, _RGB if mode == "RGB" else (), header)


def decoded(data: bytes) -> NDArray[Any]:
    """Values `(rows, columns)` of a small picture held in memory, as label files embed them.

    Raises:
        ReadError: The bytes are no picture.
    """
    with decoding("a picture inside a file", "an image"), Image.open(BytesIO(data)) as picture:
        return np.asarray(picture if picture.mode in _DTYPES else picture.convert("L"))


def _open(path: Path) -> Image.Image:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        picture = Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if picture.width * picture.height > _LARGEST:
        size = f"{picture.width} x {picture.height}"
        picture.close()
        raise ReadError("The picture claims an impossible size.", came=size, where=path, cure="Replace the file.")
    return picture


def _mode(picture: Image.Image) -> str:
    """The mode that is decoded to: alpha dropped, every other colour space turned into RGB."""
    mode = _ALPHA.get(picture.mode, picture.mode)
    return mode if mode in _DTYPES or mode.startswith("I;16") else "RGB"


def _decode(picture: Image.Image, mode: str) -> NDArray[Any]:
    if picture.mode in {"RGBA", "RGBa", "LA", "La", "PA"}:
        return np.asarray(picture)[..., : len(mode)]
    return np.asarray(picture if picture.mode == mode else picture.convert(mode))


def _oddities(picture: Image.Image, mode: str) -> list[str]:
    found = []
    if picture.mode in _ALPHA:
        alpha = np.asarray(picture)[..., -1]
        if alpha.min() != alpha.max():
            found.append("The transparency channel varies and is dropped.")
    elif picture.mode != mode:
        found.append(f"Colours are stored as {picture.mode} and converted to RGB.")
    if _deep_colour(picture):
        found.append("Colours of 16 bits a channel are read as 8 bits.")
    if getattr(picture, "n_frames", 1) > 1:
        found.append(f"The file holds {getattr(picture, 'n_frames', 1)} pictures; the first is used.")
    if _turn(picture) != 1:
        found.append("The camera's turn (EXIF orientation) is ignored: pixels are read as stored, as labels are.")
    if mode == "P" and _grey_ramp_differs(picture):
        found.append("Grey values come from a palette; the indices are read. For an image, save it without a palette.")
    return found


def _turn(picture: Image.Image) -> int:
    """The camera's turn; of a PNG only what stands before its pixels, for else all of them would be decoded to look."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1
    return int(picture.getexif().get(_ORIENTATION, 1))


def _deep_colour(picture: Image.Image) -> bool:
    """Whether a PNG holds 16-bit colour, which Pillow reduces without a word."""
    if picture.format != "PNG":
        return False
    with open(getattr(picture, "filename", ""), "rb") as stream:
        head = stream.read(26)
    return head[24] == 16 and head[25] in {2, 4, 6}


def _grey_ramp_differs(picture: Image.Image) -> bool:
    """Whether the palette is grey (so the file may be an image, not a label) but not the identity."""
    colours = np.array(picture.getpalette() or [], dtype=np.int64).reshape(-1, 3)
    used = colours[: max(int(np.asarray(picture).max(initial=0)) + 1, 1)] if len(colours) else colours
    grey = len(used) > 2 and bool((used == used[:, :1]).all())
    return grey and not np.array_equal(used[:, 0], np.arange(len(used)))


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store one plane: uint8 or uint16 values, or three uint8 channels as RGB."""
    fits = array.dtype == np.uint8 or (array.dtype == np.uint16 and suffix_of(path) == ".png" and len(array) == 1)
    if array.shape[1] != 1 or array.shape[0] not in (1, 3) or not fits:
        raise WriteError(
            "A picture holds one plane of small whole numbers.",
            expected="(1, 1, y, x) of at most 65535 (255 in BMP), or three channels of at most 255",
            came=f"{array.shape} {array.dtype}",
            where=path,
            cure="Write '.nii.gz', or one file a structure.",
        )
    with atomic_path(path) as partial:
        Image.fromarray(array[0, 0] if array.shape[0] == 1 else np.moveaxis(array[:, 0], 0, -1)).save(partial)


FORMAT: Final = Format(
    "image",
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm"),
    read,
    write,
    writes=(".png", ".bmp"),
)
