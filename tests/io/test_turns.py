"""A camera's turn: image and label are turned alike or neither is, whatever tool drew the label; against Pillow."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from segwright import io
from segwright.core.errors import GeometryError, LabelError
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume
from segwright.io.dataset import open_dataset
from segwright.io.drawn import refuse_size
from segwright.io.grids import onto_grid
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images
from segwright.io.turns import IGNORED, shown, stored, turned_size, upright

#: Rows and columns upright; the wound lies at rows 6 to 14, columns 10 to 30.
SIZE = (48, 36)
TURNS = range(1, 9)


def exif(turn: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = turn
    return found


def photograph(path, turn, case, *, size=SIZE):
    """A photograph that a viewer shows with the dark wound where `ring` says; returns the wound upright."""
    rng = np.random.default_rng(case)
    wound = np.zeros(size, bool)
    wound[6 + case : 14 + case, 10:30] = True
    grey = np.where(wound, rng.integers(50, 60, size), rng.integers(160, 180, size)).astype(np.uint8)
    pixels = np.moveaxis(stored(np.repeat(grey[None], 3, axis=0), turn), 0, -1)
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        path, exif=exif(turn), **({"quality": 98} if path.suffix == ".jpg" else {})
    )
    return wound


def ring(mask):
    rows, columns = np.nonzero(mask)
    y0, x0, y1, x1 = int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def labelme(path, mask, *, size=None):
    shape = {"label": "wound", "points": ring(mask), "shape_type": "polygon"}
    stated = mask.shape if size is None else size
    path.write_text(json.dumps({"shapes": [shape], "imagePath": f"{path.stem}.jpg", "imageHeight": stated[0],
                                "imageWidth": stated[1], "imageData": None}))  # fmt: skip


def darkness(dataset):
    """Mean of the image under each label, and how many pixels it has."""
    found = []
    for case in dataset.cases:
        image = load_image(dataset, case)
        mask = dataset.labels.mask(load_label(dataset, case, image.geometry), 0)
        found.append((float(image.array()[0][mask].mean()), int(mask.sum())))
    return found


def right(dataset):
    return all(mean < 80 and count == 160 for mean, count in darkness(dataset))


@pytest.mark.parametrize("turn", TURNS)
def test_as_pillow_turns(turn, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif(turn))
    with Image.open(tmp_path / "a.png") as picture:
        wanted = np.moveaxis(np.asarray(ImageOps.exif_transpose(picture)), -1, 0)
    volume = shown(io.read(tmp_path / "a.png"))
    assert np.array_equal(volume.array()[:, 0], wanted) and volume.geometry.shape[1:] == turned_size((5, 7), turn)
    part = volume.data[(slice(1, 3), slice(0, 1), slice(1, 4), slice(2, 5))]
    assert np.array_equal(part[:, 0], wanted[1:3, 1:4, 2:5])
    assert np.array_equal(stored(upright(pixels[..., 0], turn), turn), pixels[..., 0])
    assert IGNORED not in volume.header["warnings"] and (turn == 1) == (
        not io.read(tmp_path / "a.png").header["warnings"]
    )


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_polygons_drawn_upright(tmp_path, turn, suffix):
    for case in range(4):
        labelme(tmp_path / f"f{case}.json", photograph(tmp_path / f"f{case}{suffix}", turn, case))
    dataset = open_dataset(tmp_path)
    assert right(dataset) and dataset.upright == (turn != 1)
    assert sum("EXIF" in note for note in dataset.notes) == (turn != 1)
    image = load_image(dataset, dataset.cases[0])
    assert image.geometry.shape[1:] == SIZE
    again = open_images(tmp_path, dataset.channels, upright=dataset.upright)
    assert np.array_equal(load_image(again, again.cases[0]).array(), image.array())


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_polygons_drawn_on_pixels_as_stored(tmp_path, turn):
    """The size that the document states tells that its tool ignored the turn."""
    for case in range(4):
        wound = photograph(tmp_path / f"f{case}.jpg", turn, case)
        labelme(tmp_path / f"f{case}.json", stored(wound, turn))
    dataset = open_dataset(tmp_path)
    assert right(dataset) and not dataset.upright and "ignored" in " ".join(dataset.notes)


def test_both_kinds_in_one_folder(tmp_path):
    for case in range(5):
        wound = photograph(tmp_path / f"f{case}.jpg", 6, case)
        labelme(tmp_path / f"f{case}.json", wound if case else stored(wound, 6))
    dataset = open_dataset(tmp_path)
    assert dataset.upright and right(dataset)


def test_photographs_with_and_without_a_turn(tmp_path):
    for case, turn in enumerate((1, 6, 8, 3, 1)):
        labelme(tmp_path / f"f{case}.json", photograph(tmp_path / f"f{case}.jpg", turn, case))
    assert right(open_dataset(tmp_path))


def test_square_photographs_by_what_the_tool_does(tmp_path):
    for case in range(4):
        wound = photograph(tmp_path / f"f{case}.jpg", 6, case, size=(40, 40))
        labelme(tmp_path / f"f{case}.json", wound)
    dataset = open_dataset(tmp_path)
    assert dataset.upright and right(dataset) and "as their tools do it" in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("turn", "kind"), [(3, "stored"), (6, "stored"), (8, "stored"), (6, "upright"), (8, "upright")]
)
def test_masks_by_their_size(tmp_path, kind, turn):
    """Masks of the stored size (a half turn keeps it) lie on stored pixels, of the upright size on them as shown."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for case, tree in enumerate(("oak", "elm", "fir", "yew")):
        wound = photograph(tmp_path / "images" / f"{tree}.jpg", turn, case)
        mask = wound if kind == "upright" else stored(wound, turn)
        Image.fromarray(np.ascontiguousarray(mask).astype(np.uint8) * 255).save(tmp_path / "masks" / f"{tree}.png")
    dataset = open_dataset(tmp_path)
    assert dataset.upright == (kind == "upright") and right(dataset)


def test_yolo_and_via_show_pictures_upright_and_qupath_does_not(tmp_path):
    for tool in ("yolo", "geojson"):
        folder = tmp_path / tool
        folder.mkdir()
        for case in range(4):
            wound = photograph(folder / f"f{case}.jpg", 6, case)
            drawn = wound if tool == "yolo" else stored(wound, 6)
            corners = np.array(ring(drawn), float)
            if tool == "yolo":
                shares = (corners / [drawn.shape[1], drawn.shape[0]]).reshape(-1)
                (folder / f"f{case}.txt").write_text("0 " + " ".join(f"{share:.6f}" for share in shares))
            else:
                feature = {
                    "type": "Feature",
                    "properties": {},
                    "geometry": {"type": "Polygon", "coordinates": [corners.tolist()]},
                }
                (folder / f"f{case}.geojson").write_text(json.dumps(feature))
        dataset = open_dataset(folder)
        assert dataset.upright == (tool == "yolo") and right(dataset)


def test_the_cure_for_exchanged_sides_says_rotate(tmp_path):
    like = Geometry.from_spacing((1, 20, 30))
    with pytest.raises(LabelError, match="rotate"):
        refuse_size((30, 20), like, "a.json")
    label = Volume.of(np.zeros((30, 20), np.uint8), Geometry.from_spacing((1, 30, 20)))
    with pytest.raises(GeometryError, match="rotate"):
        onto_grid(label.array()[0], label.geometry, like, where="a.png")
