"""PNG, JPEG, GIF, BMP and other 2-D pictures: as images with their colours as shown, as labels with stored numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segwright.core.disk import atomic_path
from segwright.core.errors import ReadError, WriteError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, LazyArray, Volume
from segwright.io.alpha import flattened
from segwright.io.claims import admit
from segwright.io.formats import suffix_of
from segwright.io.protocol import RGB, Format, Stored, decoding, lazy, make_header
from segwright.io.turns import IGNORED

_DTYPES: dict[str, type] = {"1": np.uint8, "L": np.uint8, "P": np.uint8, "I": np.int32, "F": np.float32}
_ALPHA = {"RGBA": "RGB", "LA": "L", "PA": "P", "RGBa": "RGB", "La": "L"}
_WITH_ALPHA = frozenset({"RGBA", "LA"})
_OPAQUE = 255
_ORIENTATION = 0x0112


def read(path: Path, key: str | None = None) -> Volume:
    """Open a picture with its values as shown, as one plane with unknown spacing (dots an inch describe a screen).

    A palette gives colours, or grey values where all its colours are grey; transparency is dropped. Pixels stay where
    they are stored; a camera's turn is kept as `header["turn"]`.
    """
    with decoding(path, "an image"):
        with _open(path) as picture:
            mode = _shown_mode(picture)
            warnings = _oddities(picture, mode)
            size, turn = picture.size, _turn(picture)
        volume = _volume(path, size, mode, lambda again: _shown(again, mode), warnings)
        return volume if turn == 1 else replace(volume, header={**volume.header, "turn": turn})


def labels(path: Path, key: str | None = None) -> Volume:
    """Open a label with the numbers that are stored: indices of a palette, colours; what is clear is background.

    The colours of a palette are kept as `header["palette"]`: red, green and blue of every index, in one row.
    """
    with decoding(path, "an image"):
        with _open(path) as picture:
            mode = _stored_mode(picture)
            size = picture.size
            palette = picture.getpalette("RGB") if mode == "P" else None
            clear = picture.mode in _WITH_ALPHA and bool((np.asarray(picture.getchannel("A")) < _OPAQUE).any())
        told = ["The label has a transparency channel; clear pixels are read as background."] if clear else []
        volume = _volume(path, size, mode, lambda again: _stored(again, mode), told)
        return volume if palette is None else replace(volume, header={**volume.header, "palette": tuple(palette)})


def _volume(
    path: Path, size: tuple[int, int], mode: str, decode: Callable[[Image.Image], NDArray[Any]], warnings: Sequence[str]
) -> Volume:
    """A lazy plane of `size` (columns, rows) that is decoded anew for each read."""
    shape = (3 if mode == "RGB" else 1, 1, size[1], size[0])
    dtype = np.dtype(np.uint16 if mode.startswith("I;16") else _DTYPES.get(mode, np.uint8))

    def part(index: Index) -> NDArray[Any]:
        with _open(path) as again:
            array = decode(again).astype(dtype, copy=False).reshape(*shape[2:], shape[0])
        return np.moveaxis(array[index[2], index[3], index[0]], -1, 0)[:, None][:, index[1]]

    data: LazyArray = lazy(shape, dtype, part, path=path, family="an image", stored=Stored(path, whole=True))
    warnings = [*warnings, *_length(path)]
    header = make_header("image", path, mode=mode, warnings=warnings)
    return Volume(data, Geometry.from_spacing(shape[1:]), RGB if mode == "RGB" else (), header)


def decoded(data: bytes) -> NDArray[Any]:
    """Values `(rows, columns)` of a small picture held in memory, as label files embed them.

    Raises:
        ReadError: The bytes are no picture.
    """
    with decoding("a picture inside a file", "an image"), Image.open(BytesIO(data)) as picture:
        admit(Path("a picture inside a file"), picture.width * picture.height, stored=lambda: len(data))
        return np.asarray(picture if picture.mode in _DTYPES else picture.convert("L"))


def encoded(pixels: NDArray[np.uint8], *, size: tuple[int, int] | None = None, quality: int | None = None) -> bytes:
    """A picture for a page: PNG, or JPEG of a quality up to 95.

    Args:
        pixels: `(rows, columns)` grey, or `(rows, columns, 3)` colours.
        size: Rows and columns it is averaged to; as it is by default.
        quality: Of JPEG; without, PNG loses nothing.

    Example:
        >>> encoded(np.zeros((2, 3), np.uint8))[:4], encoded(np.zeros((8, 8), np.uint8), quality=80)[:2]
        (b'\\x89PNG', b'\\xff\\xd8')
    """
    picture, buffer = Image.fromarray(pixels), BytesIO()
    if size is not None:
        picture = picture.resize(size[::-1], Image.Resampling.BOX)
    kind: dict[str, Any] = {"format": "png"} if quality is None else {"format": "jpeg", "quality": quality}
    picture.save(buffer, optimize=True, **kind)
    return buffer.getvalue()


def _open(path: Path) -> Image.Image:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        picture = Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    pixels = picture.width * picture.height
    try:
        admit(path, pixels * len(picture.getbands()), voxels=pixels, stored=lambda: path.stat().st_size)
    except ReadError:
        picture.close()
        raise
    return picture


def _length(path: Path) -> tuple[str, ...]:
    """Whether a BMP is as long as its header says; other pictures do not say."""
    with path.open("rb") as stream:
        head = stream.read(6)
    if head[:2] != b"BM" or int.from_bytes(head[2:], "little") in {0, path.stat().st_size}:
        return ()
    return ("The file has another length than its header states; if bytes were lost or added, pixels are shifted.",)


def _stored_mode(picture: Image.Image) -> str:
    """The mode that a label is decoded to: alpha apart, every other colour space turned into RGB."""
    mode = _ALPHA.get(picture.mode, picture.mode)
    return mode if mode in _DTYPES or mode.startswith("I;16") else "RGB"


def _shown_mode(picture: Image.Image) -> str:
    """The mode that an image is decoded to: as for a label, but a palette gives grey or colour."""
    mode = _stored_mode(picture)
    if mode != "P":
        return mode
    colours = np.array(picture.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    return "L" if (colours == colours[:, :1]).all() else "RGB"


def _shown(picture: Image.Image, mode: str) -> NDArray[Any]:
    if picture.mode in {"P", "PA"}:
        return np.asarray(picture.convert("RGB"))[..., : len(mode)]
    return _without_alpha(picture, mode)[0]


def _stored(picture: Image.Image, mode: str) -> NDArray[Any]:
    colour, alpha = _without_alpha(picture, mode)
    return colour if alpha is None or mode == "P" else flattened(colour, alpha)


def _without_alpha(picture: Image.Image, mode: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Samples of a mode, and the opacity beside them."""
    if picture.mode in _ALPHA:
        plain = picture.convert({"RGBa": "RGBA", "La": "LA"}.get(picture.mode, picture.mode))
        samples = np.asarray(plain)
        return samples[..., : len(mode)], samples[..., -1]
    return np.asarray(picture if picture.mode == mode else picture.convert(mode)), None


def _oddities(picture: Image.Image, mode: str) -> list[str]:
    found = []
    if picture.mode in _ALPHA:
        alpha = np.asarray(picture)[..., -1]
        if alpha.min() != alpha.max():
            found.append("The transparency channel varies and is dropped.")
    elif picture.mode != mode and picture.mode != "P":
        found.append(f"Colours are stored as {picture.mode} and converted to RGB.")
    if _deep_colour(picture):
        found.append("Colours of 16 bits a channel are read as 8 bits.")
    if getattr(picture, "is_animated", False):  # the count would take a walk through all of them
        found.append("The file holds several pictures; the first is used.")
    if _turn(picture) != 1:
        found.append(IGNORED)
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


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store one plane: uint8 or uint16 values, or three uint8 channels as RGB."""
    fits = array.dtype == np.uint8 or (array.dtype == np.uint16 and suffix_of(path) == ".png" and len(array) == 1)
    if array.shape[1] != 1 or array.shape[0] not in (1, 3) or not fits:
        raise WriteError(
            "A picture holds one plane of small whole numbers.",
            expected="(1, 1, y, x) of at most 65535 (255 in BMP), or three channels of at most 255",
            got=f"{array.shape} {array.dtype}",
            where=path,
            hint="Write '.nii.gz', or one file a structure.",
        )
    with atomic_path(path) as partial:
        Image.fromarray(array[0, 0] if array.shape[0] == 1 else np.moveaxis(array[:, 0], 0, -1)).save(partial)


def write_captioned(path: Path, picture: NDArray[np.uint8], captions: Sequence[str]) -> None:
    """Store a picture `(y, x, 3)` as PNG below lines of text."""
    height, width = picture.shape[:2]
    wide = max(width, *(int(ImageDraw.Draw(Image.new("L", (1, 1))).textlength(line)) + 8 for line in captions))
    page = Image.new("RGB", (wide, height + 16 * len(captions) + 4))
    for row, line in enumerate(captions):
        ImageDraw.Draw(page).text((4, 16 * row + 2), line, fill=(255, 255, 255))
    page.paste(Image.fromarray(picture), (0, 16 * len(captions) + 4))
    with atomic_path(path) as partial:
        page.save(partial, "PNG")


FORMAT: Final = Format(
    "image",
    read,
    write,
    writes=(".png", ".bmp"),
    labels=labels,
)
