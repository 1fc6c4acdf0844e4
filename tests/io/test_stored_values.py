"""Stored numbers are the label and shown ones the image; transparency is a drawing only where a format has it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from segwright import io
from segwright.core.errors import ReadError
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label
from segwright.io.masks import values_of
from segwright.io.scans import open_images

RNG = np.random.default_rng(8)
SHAPE = (40, 52)


def drawing(case: int) -> np.ndarray:
    """0, and 1 and 2 in boxes of 96 and 45 pixels."""
    out = np.zeros(SHAPE, np.uint8)
    out[4 + case : 12 + case, 6:18] = 1
    out[22:27, 30 - case : 39 - case] = 2
    return out


def counts(folder) -> list[list[int]]:
    """Voxels of each structure in each case, as the product learns them."""
    dataset = open_dataset(folder)
    found = []
    for case in dataset.cases:
        geometry = load_image(dataset, case).geometry
        labels = load_label(dataset, case, geometry)
        found.append([int(dataset.labels.mask(labels, i).sum()) for i in range(len(dataset.labels.names))])
    return found


def write_set(folder, image, label, suffixes=(".png", ".png"), count=4):
    """A data set whose files `image(path, drawing)` and `label(path, drawing)` write."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for case, name in zip(range(count), ("oak", "elm", "fir", "yew"), strict=False):
        image(folder / "images" / f"{name}{suffixes[0]}", drawing(case))
        label(folder / "masks" / f"{name}{suffixes[1]}", drawing(case))
    return folder


def grey(path, mask):
    Image.fromarray((RNG.integers(60, 90, SHAPE) + 70 * mask).astype(np.uint8)).save(path)


def one(value: int, **how):
    def write(path, mask):
        tifffile.imwrite(path, (mask == 1).astype(np.uint16 if value > 255 else np.uint8) * value, **how)

    return write


@pytest.mark.parametrize("value", [1, 255, 65535])
def test_white_is_zero_never_turns_a_mask_round(tmp_path, value):
    folder = write_set(tmp_path, grey, one(value, photometric="miniswhite", metadata=None), (".png", ".tif"))
    assert counts(folder) == [[96]] * 4


def test_one_bit_masks_keep_their_bits(tmp_path):
    def write(path, mask):
        tifffile.imwrite(path, mask == 1, photometric="miniswhite", metadata=None)

    assert counts(write_set(tmp_path, grey, write, (".png", ".tif"))) == [[96]] * 4


def test_white_is_zero_turns_an_image_round(tmp_path):
    for bits, kind in ((8, np.uint8), (16, np.uint16)):
        stored = RNG.integers(0, 1 << bits, SHAPE).astype(kind)
        tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", metadata=None)
        assert np.array_equal(io.read(tmp_path / "a.tif").array()[0, 0], (1 << bits) - 1 - stored.astype(np.int64))
        assert np.array_equal(io.read_label(tmp_path / "a.tif").array()[0, 0], stored)


def test_a_palette_with_the_colours_turned_round_is_no_inversion_of_a_label(tmp_path):
    def write(path, mask):
        picture = Image.fromarray((mask == 1).astype(np.uint8)).convert("P")
        picture.putpalette([255, 255, 255, 0, 0, 0])
        picture.save(path)

    assert counts(write_set(tmp_path, grey, write)) == [[96]] * 4


def quantized(path, mask):
    where = (mask > 0)[..., None]
    picture = np.where(where, (210, 80, 30), (30, 110, 190)) + RNG.integers(-9, 9, (*SHAPE, 3))
    whole = Image.fromarray(picture.astype(np.uint8))
    if path.suffix == ".tif":
        small = whole.quantize(48)
        table = np.array(small.getpalette()[: 48 * 3] + [0] * (256 - 48) * 3, np.uint16).reshape(256, 3).T * 257
        tifffile.imwrite(path, np.asarray(small), photometric="palette", colormap=table, metadata=None)
    else:
        (whole.quantize(48) if path.suffix != ".jpg" else whole).save(path)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".bmp", ".tif"])
def test_photographs_with_a_palette_are_colour_when_learning_and_predicting(tmp_path, suffix):
    folder = write_set(tmp_path, quantized, one(255, metadata=None), (suffix, ".tif"))
    dataset = open_dataset(folder)
    assert dataset.channels == ("red", "green", "blue") and counts(folder) == [[96]] * 4
    again = open_images(folder / "images", dataset.channels)
    for whole in (dataset, again):
        for case, other in zip(whole.cases, dataset.cases, strict=True):
            image = load_image(whole, case)
            under = image.array()[:, load_label(dataset, other, image.geometry)[0] == 1].mean(axis=1)
            assert under[0] > 190 and under[2] < 60


def test_palette_and_true_colour_in_one_folder_read_alike(tmp_path):
    folder = write_set(tmp_path, quantized, one(255, metadata=None), (".png", ".tif"))
    quantized(folder / "images" / "yew.jpg", drawing(3))
    (folder / "images" / "yew.png").unlink()
    dataset = open_dataset(folder)
    reds = [load_image(dataset, case).array()[0].mean() for case in dataset.cases]
    assert len(dataset.channels) == 3 and np.ptp(reds) < 5


def test_a_tiff_with_a_palette_keeps_the_numbers_of_a_label(tmp_path):
    table = RNG.integers(0, 65536, (3, 256)).astype(np.uint16)

    def write(path, mask):
        tifffile.imwrite(path, mask, photometric="palette", colormap=table, metadata=None)

    assert counts(write_set(tmp_path, grey, write, (".png", ".tif"))) == [[96, 45]] * 4


def drawn(ink, *, clear=(0, 0, 0), high=255, soft=False, only=True):
    """A writer of RGBA labels: 1 (and 2, in green) opaque in `ink`, the rest clear over a hidden colour."""

    def write(path, mask):
        shape = mask == 1 if only else mask > 0
        out = np.empty((*SHAPE, 4), np.uint8)
        out[..., :3] = clear
        out[shape, :3] = ink
        out[mask == 2, :3] = (0, 200, 0) if not only else clear
        out[..., 3] = high * shape
        if soft:
            ring = np.zeros_like(shape)
            ring[1:, :] |= shape[:-1, :]
            ring[:-1, :] |= shape[1:, :]
            out[ring & ~shape, 3] = high // 4
            out[ring & ~shape, :3] = ink
        Image.fromarray(out).save(path)

    return write


@pytest.mark.parametrize(
    "write",
    [
        drawn((255, 0, 0), clear=(255, 0, 0)),
        drawn((0, 0, 0)),
        drawn((255, 255, 255), clear=(255, 255, 255)),
        drawn((0, 0, 0), clear=(255, 255, 255)),
        drawn((40, 90, 250), high=128),
        drawn((0, 0, 0), soft=True),
        drawn((9, 9, 9), clear=(9, 9, 9), soft=True),
    ],
    ids=["red", "black", "white", "black over hidden white", "half opaque", "soft black", "soft grey"],
)
def test_what_is_drawn_as_opacity_is_the_label(tmp_path, write):
    assert counts(write_set(tmp_path, grey, write)) == [[96]] * 4


def test_two_colours_on_a_clear_ground_are_two_structures(tmp_path):
    folder = write_set(tmp_path, grey, drawn((200, 0, 0), clear=(255, 255, 255), only=False))
    assert sorted(counts(folder)[0]) == [45, 96]


def test_a_case_without_anything_drawn_is_empty(tmp_path):
    folder = write_set(tmp_path, grey, drawn((255, 0, 0), clear=(255, 0, 0)))
    Image.fromarray(np.full((*SHAPE, 4), (255, 0, 0, 0), np.uint8)).save(folder / "masks" / "yew.png")
    assert sorted(counts(folder)) == [[0], [96], [96], [96]]


def test_grey_and_alpha(tmp_path):
    def write(path, mask):
        Image.fromarray(np.stack([np.zeros(SHAPE, np.uint8), (mask == 1) * np.uint8(255)], axis=-1)).save(path)

    assert counts(write_set(tmp_path, grey, write)) == [[96]] * 4


def test_opaque_labels_with_an_alpha_plane_are_read_by_colour(tmp_path):
    def write(path, mask):
        Image.fromarray(np.stack([(mask == 1) * np.uint8(255), np.full(SHAPE, 255, np.uint8)], axis=-1)).save(path)

    assert counts(write_set(tmp_path, grey, write)) == [[96]] * 4


def test_black_beside_colours_and_clear_pixels_is_refused(tmp_path):
    out = np.zeros((*SHAPE, 4), np.uint8)
    out[:20, :, 3] = 255
    out[5:9, 5:9, 0] = 255
    Image.fromarray(out).save(tmp_path / "a.png")
    with pytest.raises(ReadError, match="clear and some are black"):
        io.read_label(tmp_path / "a.png").array()


def planes(mask, *boxes):
    stack = np.stack([(mask == 1), (mask == 2), *[np.zeros(SHAPE, bool) for _ in boxes]]).astype(np.uint8) * 255
    for i, (rows, columns) in enumerate(boxes, start=2):
        stack[i][rows, columns] = 255
    return stack


@pytest.mark.parametrize("axes", ["CYX", "pages", "YXS", "imagej"])
@pytest.mark.parametrize("boxes", [(), ((slice(5, 9), slice(8, 12)),), ((slice(5, 9), slice(8, 12)),) * 2])
def test_structures_as_planes_of_a_tiff(tmp_path, axes, boxes):
    """Two, three or four planes, the third on the first and the fourth moved: no format fact calls them colours."""

    def write(path, mask):
        stack = planes(mask, *boxes)
        if len(boxes) > 1:
            stack[3] = np.roll(stack[3], 1, axis=0)
        if axes == "YXS":
            tifffile.imwrite(path, np.moveaxis(stack, 0, -1), photometric="minisblack", planarconfig="contig")
        elif axes == "imagej":
            tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "CYX"})
        elif axes == "pages":
            with tifffile.TiffWriter(path) as tif:
                for page in stack:
                    tif.write(page, contiguous=False, metadata=None, photometric="minisblack")
        else:
            tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "CYX"})

    folder = write_set(tmp_path, grey, write, (".png", ".ome.tif" if axes == "CYX" else ".tif"))
    assert counts(folder) == [[96, 45, *[16] * len(boxes)]] * 4


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_what_a_tiff_calls_so(tmp_path, kind):
    def write(path, mask):
        both = np.stack([(mask == 1) * np.uint8(255), np.full(SHAPE, 255, np.uint8)], axis=-1)
        tifffile.imwrite(path, both, photometric="minisblack", planarconfig="contig", extrasamples=[kind])

    assert counts(write_set(tmp_path, grey, write, (".png", ".tif"))) == [[96]] * 4
    label = io.read_label(tmp_path / "masks" / "oak.tif")
    assert label.data.shape[0] == 1 and io.read(tmp_path / "masks" / "oak.tif").data.shape[0] == 1


def test_colours_are_what_a_format_calls_so(tmp_path):
    colour = np.zeros((*SHAPE, 3), np.uint8)
    colour[3:9, 3:9] = (255, 0, 10)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    Image.fromarray(colour).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        values = values_of(io.read_label(tmp_path / name), where=name)
        assert set(np.unique(values)) == {0, 0xFF000A}
