"""Pictures: every mode's values, palettes, transparency, turn, and what a picture cannot hold."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segwright import io
from segwright.core.errors import ReadError, WriteError
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def save(picture, path, **options):
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_grey_and_colour(tmp_path, suffix):
    volume = io.read(save(Image.fromarray(GREY), tmp_path / f"a{suffix}"))
    assert volume.data.shape == (1, 1, 3, 4) and np.array_equal(volume.array()[0, 0], GREY)
    assert volume.geometry.spacing == (None, None, None)
    colour = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)
    rgb = io.read(save(Image.fromarray(colour), tmp_path / f"b{suffix}"))
    assert rgb.channels == ("red", "green", "blue")
    assert np.array_equal(rgb.array()[:, 0], np.moveaxis(colour, -1, 0))
    part = rgb.data[(slice(1, 2), slice(0, 1), slice(1, 3), slice(2, 4))]
    assert np.array_equal(part[0, 0], colour[1:3, 2:4, 1])


def test_sixteen_bits_and_one_bit(tmp_path):
    deep = GREY.astype(np.uint16) * 257
    volume = io.read(save(Image.fromarray(deep), tmp_path / "a.png"))
    assert volume.dtype == np.uint16 and np.array_equal(volume.array()[0, 0], deep)
    mask = io.read(save(Image.fromarray(GREY > 100), tmp_path / "b.png"))
    assert np.array_equal(mask.array()[0, 0], (GREY > 100).astype(np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".gif", ".bmp"])
def test_a_palette_is_shown_of_an_image_and_numbers_a_label(tmp_path, suffix):
    picture = Image.fromarray(GREY // 20, mode=None).convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255] + [9, 8, 7] * 20)
    path = save(picture, tmp_path / f"a{suffix}")
    shown = io.read(path)
    assert shown.channels == ("red", "green", "blue") and not shown.header["warnings"]
    assert np.array_equal(np.moveaxis(shown.array()[:, 0], 0, -1), np.asarray(picture.convert("RGB")))
    assert np.array_equal(io.read_label(path).array()[0, 0], GREY // 20)
    picture.putpalette([value for i in range(30) for value in (3 * i + 1,) * 3])
    path = save(picture, tmp_path / f"b{suffix}")
    assert np.array_equal(io.read(path).array()[:, 0], [GREY // 20 * 3 + 1])
    assert np.array_equal(io.read_label(path).array()[:, 0], [GREY // 20])


def test_transparency_is_dropped_aloud_if_it_says_something(tmp_path):
    rgba = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    volume = io.read(save(Image.fromarray(rgba), tmp_path / "a.png"))
    assert volume.data.shape[0] == 3 and not volume.header["warnings"]
    rgba[0, 0, 3] = 0
    assert "transparency" in io.read(save(Image.fromarray(rgba), tmp_path / "b.png")).header["warnings"][0]
    volume = io.read(save(Image.fromarray(rgba[..., [0, 3]], mode=None), tmp_path / "c.png"))
    assert np.array_equal(volume.array()[0, 0], GREY)


def test_camera_turn_is_ignored_aloud(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    volume = io.read(save(Image.fromarray(GREY), tmp_path / "a.jpg", exif=exif, quality=100))
    assert volume.geometry.shape == (1, 3, 4) and "turn" in volume.header["warnings"][0]


def test_jpeg_labels_go_back_as_png(tmp_path):
    source = io.read(save(Image.fromarray(GREY), tmp_path / "a.jpg"))
    assert io.output_suffix(source) == ".png"
    label = Volume.of(np.array([[[0, 1, 2, 300]] * 3]), source.geometry)
    back = io.read(io.write(label, tmp_path / "out.png", like=source))
    assert back.dtype == np.uint16 and np.array_equal(back.array(), label.array())
    with pytest.raises(WriteError, match=r"not written as \.jpg"):
        io.write(label, tmp_path / "out.jpg", like=source)
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize(
    "array", [np.zeros((2, 1, 3, 4), np.uint8), np.zeros((1, 2, 3, 4), np.uint8), np.full((1, 1, 3, 4), 70000)]
)
def test_what_a_picture_cannot_hold(tmp_path, array):
    with pytest.raises(WriteError, match="one plane"):
        io.write(Volume.of(array, Geometry.from_spacing(array.shape[1:])), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_damage(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    for suffix in (".png", ".jpg", ".bmp"):
        path = save(Image.fromarray(noise), tmp_path / f"a{suffix}")
        whole = path.read_bytes()
        for length in (20, len(whole) // 2):
            path.write_bytes(whole[:length])
            with pytest.raises(ReadError, match=f"a{suffix}"):
                io.read(path).array()
