"""How run-length tables count is found in the table and the images, for every way of counting there is."""

from __future__ import annotations

import csv
import itertools

import numpy as np
import pycocotools.mask
import pytest
from PIL import Image

from segwright import evaluate
from segwright.core.errors import LabelError, UsageError
from segwright.core.runs import Runs
from segwright.io.dataset import open_dataset
from segwright.io.drawing import read_drawn
from segwright.io.formats.rle.counting import Counting, Sample, find_counting
from segwright.io.load import load_image

WAYS = [Counting(down, first, relative) for down in (0, 1) for first, relative in ((0, 0), (1, 0), (0, 1))]


def mask_of(rng, size, *, edge="") -> np.ndarray:
    """A slanted blob; with `edge` (y or x), one that touches that border of the image."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    y, x = rng.integers(12, size[0] - 12), rng.integers(12, size[1] - 12)
    y, x = 0 if edge == "y" else y, 0 if edge == "x" else x
    return ((rows - y) ** 2 / 80 + (columns - x + (rows - y) / 2) ** 2 / 30) < 1


def text_of(mask: np.ndarray, way: Counting) -> str:
    """Run lengths by their definition, pixel by pixel."""
    flat = (mask.T if way.down else mask).reshape(-1)
    out, last, here = [], 0, 0
    for value, group in itertools.groupby(flat):
        length = len(list(group))
        if value:
            out += [here - (last if way.relative else 0) + way.first, length]
            last = here + length
        here += length
    return " ".join(map(str, out))


def write(folder, way, size, *, count=6, empty=None, header=("ImageId", "EncodedPixels"), edge=False, objects=1):
    rng = np.random.default_rng(3)
    (folder / "train_images").mkdir(parents=True)
    rows, truth = [], {}
    for i in range(count):
        parts = [mask_of(rng, size, edge="yx"[i % 2] if edge else "") for _ in range(objects)]
        whole = np.any(parts, axis=0) & (i != count - 1 or empty is None)
        name = f"{rng.integers(1 << 30):08x}"
        grey = rng.integers(60, 90, size) + 90 * whole
        Image.fromarray(grey.astype(np.uint8)).save(folder / "train_images" / f"{name}.png")
        truth[name] = whole
        if not whole.any():
            rows.append((f"{name}.png", empty))
        else:
            rows += [(f"{name}.png", text_of(part, way)) for part in parts]
    with (folder / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return truth


def found(dataset):
    return {
        case.id: read_drawn(dataset, case, load_image(dataset, case).geometry).mask("foreground")[0]
        for case in dataset.cases
    }


def same(dataset, truth):
    masks = found(dataset)
    return masks.keys() == truth.keys() and all(np.array_equal(masks[name], truth[name]) for name in truth)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(("size", "empty"), [((48, 80), "-1"), ((90, 40), ""), ((64, 64), "-1")])
def test_every_way_is_found(tmp_path, way, size, empty):
    """Wide, tall and square images, the last of which only the images themselves tell; objects at the border."""
    truth = write(tmp_path, way, size, empty=empty, edge=True)
    dataset = open_dataset(tmp_path)
    assert dataset.run_lengths == str(way) and same(dataset, truth)
    assert any("'run_lengths'" in note for note in dataset.notes)


def test_a_stated_way_is_taken_as_it_is(tmp_path):
    truth = write(tmp_path, Counting(down=True, first=0), (48, 80))
    dataset = open_dataset(tmp_path)
    dataset.save(tmp_path / "dataset.yaml")
    text = (tmp_path / "dataset.yaml").read_text()
    wrong = text.replace(f"run_lengths: {dataset.run_lengths}", "run_lengths: columns from 0")
    (tmp_path / "dataset.yaml").write_text(wrong)
    assert same(open_dataset(tmp_path / "dataset.yaml"), truth)
    (tmp_path / "dataset.yaml").write_text(wrong.replace("columns from 0", "spirals from 0"))
    with pytest.raises(UsageError, match="not understood"):
        found(open_dataset(tmp_path / "dataset.yaml"))


def test_what_cannot_be_told_is_refused(tmp_path):
    """Square masks on images that show nothing: either order is as good."""
    write(tmp_path, Counting(down=True), (64, 64))
    for path in (tmp_path / "train_images").iterdir():
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)).save(path)
    with pytest.raises(LabelError, match="rows or down columns"):
        open_dataset(tmp_path)


def test_tables_as_written_here_count_along_rows(tmp_path):
    truth = write(tmp_path, Counting(), (64, 64), header=("image_name", "rle"))
    for path in (tmp_path / "train_images").iterdir():
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)).save(path)
    with (tmp_path / "train.csv").open() as stream:
        rows = list(csv.reader(stream))
    with (tmp_path / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("image_name", "class", "rle"), *((a, "foreground", b) for a, b in rows[1:])])
    dataset = open_dataset(tmp_path)
    assert dataset.run_lengths == "rows from 1" and same(dataset, truth)


def test_several_rows_of_an_image_are_its_objects(tmp_path):
    truth = write(tmp_path, Counting(down=True), (60, 96), objects=3)
    assert same(open_dataset(tmp_path), truth)


def test_one_row_beyond_its_image_does_not_change_the_others(tmp_path):
    truth = write(tmp_path, Counting(down=True), (48, 80))
    with (tmp_path / "train.csv").open("a") as stream:
        stream.write("gone.png,4000 20\n")
    dataset = open_dataset(tmp_path)
    assert dataset.run_lengths == "columns from 1" and set(truth) <= {case.id for case in dataset.cases}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_random_masks_come_back(way):
    rng = np.random.default_rng(5)
    for size in ((7, 11), (11, 7), (1, 9), (9, 9)):
        mask = rng.random(size) > 0.5
        np.testing.assert_array_equal(way.mask(text_of(mask, way), size), mask)
        assert Counting.parse(str(way)) == way


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_counts_down_columns_are_those_of_coco():
    """pycocotools counts the same pixels in the same order."""
    mask = np.random.default_rng(6).random((13, 9)) > 0.6
    theirs = pycocotools.mask.frPyObjects(
        {"size": list(mask.shape), "counts": _alternating(mask.T.reshape(-1))}, *mask.shape
    )
    ours = Counting(down=True).mask(text_of(mask, Counting(down=True)), mask.shape)
    np.testing.assert_array_equal(pycocotools.mask.decode(theirs).astype(bool), ours)


def _alternating(flat):
    out = [len(list(group)) for _, group in itertools.groupby(flat)]
    return [0, *out] if flat[0] else out


def test_nothing_here_and_relative_starts():
    assert Runs.parse("-1").area == 0 and Runs.parse("0 0").area == 0
    assert Runs.parse("3 2 1 4", first=0, relative=True) == Runs(np.array([3, 6]), np.array([2, 4]))
    assert Runs.parse("4 2 2 4", first=1, relative=True) == Runs(np.array([3, 6]), np.array([2, 4]))
    with pytest.raises(LabelError, match="at least 1"):
        Runs.parse("0 3")
    assert find_counting([Sample("-1", (5, 5), lambda: np.zeros((1, 1, 5, 5)))]).sure


@pytest.mark.parametrize("way", [Counting(), Counting(down=True), Counting(down=True, first=0, relative=True)], ids=str)
def test_predictions_are_scored_as_they_count(tmp_path, way):
    """Reference down the columns; a submission may count in another way and is as good."""
    write(tmp_path / "reference", Counting(down=True), (48, 80), edge=True)
    write(tmp_path / "other", way, (48, 80), edge=True)
    (tmp_path / "other" / "train.csv").rename(tmp_path / "submission.csv")
    report = evaluate(open_dataset(tmp_path / "reference"), tmp_path / "submission.csv")
    assert report.aggregate("mean", "dice").mean == 1.0
