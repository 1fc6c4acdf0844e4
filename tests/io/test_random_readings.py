"""Random truths in random forms are read as they were drawn, and what such draws once got wrong, at its smallest."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from segwright.core.errors import LabelError, LayoutError
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
Plane = NDArray[np.uint8]


@pytest.fixture(scope="module")
def readings():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("readings")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("part", range(6))
def test_a_reading_is_right_or_says_what_is_not(readings, part: int) -> None:
    """A slice of `benchmarks/readings.py`: ten draws and three damaged folders."""
    found = readings.run(10, 3, 5000 + 10 * part)
    assert [(r.seed, r.form, r.layout, r.why) for r in found if r.outcome == "different"] == []
    assert any(r.outcome == "equal" for r in found)


def test_the_comparison_sees_a_wrong_reading(readings, tmp_path: Path) -> None:
    """One voxel, one case or one name that is wrong is noticed."""
    rng = np.random.default_rng(3)
    truth = readings.draw(rng, "classes", flat=True)
    out = readings.FORMS["masks"].write(readings.Writer(truth, tmp_path, rng, set()), "folders")
    assert readings.judged(tmp_path, truth, out, {})[0] == "equal"
    first = next(iter(truth.labelled.values()))
    first.masks[0][0, 20, 30] ^= True
    assert readings.judged(tmp_path, truth, out, {})[0] == "different"
    first.masks[0][0, 20, 30] ^= True
    truth.names = (*truth.names[:-1], "brain")
    assert readings.judged(tmp_path, truth, out, {})[0] == "different"


def save(path: Path, plane: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, plane)
    else:
        Image.fromarray(plane).save(path)


def picture(seed: int, *masks: NDArray[np.bool_]) -> Plane:
    noise = np.random.default_rng(seed).integers(50, 70, (48, 64)).astype(np.uint8)
    return noise + sum(np.uint8(50) * mask for mask in masks)


def box(y: int, x: int, height: int = 12, width: int = 16) -> NDArray[np.bool_]:
    mask = np.zeros((48, 64), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def masks_of(place: Path) -> list[list[NDArray[np.bool_]]]:
    dataset = open_dataset(place)
    out = []
    for case in dataset.labelled:
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        out.append([dataset.labels.mask(label, i)[0] for i in range(len(dataset.labels.structures))])
    return out


class TestPlanes:
    """Three planes of 0 and 255 in an array file: structures that share voxels, or pure colours."""

    def test_structures_that_share_voxels(self, tmp_path: Path) -> None:
        truth = [(box(4, 4 + i), box(10, 12 + i), box(30, 40)) for i in range(4)]
        for i, masks in enumerate(truth):
            save(tmp_path / f"images/c{i}.png", picture(i, *masks))
            save(tmp_path / f"masks/c{i}.npy", np.stack(masks, -1) * np.uint8(255))
        found = masks_of(tmp_path)
        assert all(np.array_equal(np.stack(a), np.stack(b)) for a, b in zip(found, truth, strict=True))

    def test_a_colour_that_mixes_two_others_is_one_of_its_own(self, tmp_path: Path) -> None:
        for i in range(4):
            red, yellow = box(4, 4 + i), box(30, 40 - i)
            save(tmp_path / f"images/c{i}.png", picture(i, red, yellow))
            save(tmp_path / f"masks/c{i}.npy", np.stack([red | yellow, yellow, box(4, 40)], -1) * np.uint8(255))
        names = open_dataset(tmp_path).labels.names
        assert names == ("colour_0000FF", "colour_FF0000", "colour_FFFF00")


class TestWhatLooksLikeALabel:
    """Labels are told from images by content though they are thin or smeared."""

    def test_thin_borders_that_count_nowhere(self, tmp_path: Path) -> None:
        for i in range(4):
            outer, inner = box(9, 9 + i, 14, 18), box(10, 10 + i)
            save(tmp_path / f"c{i}.jpg", picture(i, inner))
            save(tmp_path / f"c{i}.png", np.where(inner, 1, np.where(outer, 255, 0)).astype(np.uint8))
        dataset = open_dataset(tmp_path)
        assert len(dataset.labelled) == 4 and dataset.labels.ignore == 255

    def test_blurred_masks_are_no_channel(self, tmp_path: Path) -> None:
        for i in range(4):
            mask = box(10, 10 + i)
            save(tmp_path / f"x/{'abcd'[i]}.png", picture(i, mask))
            soft = Image.fromarray(mask * np.uint8(255)).filter(ImageFilter.GaussianBlur(0.8))
            save(tmp_path / f"y/{'abcd'[i]}.png", np.asarray(soft))
        dataset = open_dataset(tmp_path)
        assert len(dataset.channels) == 1 and len(dataset.labelled) == 4
        assert np.array_equal(masks_of(tmp_path)[0][0], box(10, 10))

    def test_jpeg_does_not_keep_neighbouring_numbers(self, tmp_path: Path) -> None:
        for i in range(4):
            mask = box(10, 11 + i) * np.uint8(1) + box(30, 30 + i) * np.uint8(2)
            save(tmp_path / f"images/c{i}.png", picture(i, mask > 0))
            save(tmp_path / f"masks/c{i}.jpg", mask)
        with pytest.raises(LabelError, match="JPEG"):
            open_dataset(tmp_path)


class TestStrayFiles:
    """A picture that belongs to no case does not change how the others are read."""

    def test_beside_folders_of_patients(self, tmp_path: Path) -> None:
        for i in range(4):
            save(tmp_path / f"p{i}/image.png", picture(i, box(10, 10)))
            save(tmp_path / f"p{i}/label.png", box(10, 10).astype(np.uint8))
        save(tmp_path / "overview.png", picture(9))
        dataset = open_dataset(tmp_path)
        assert [case.id for case in dataset.labelled] == ["p0", "p1", "p2", "p3"]
        assert [aside.path for aside in dataset.aside] == ["overview.png"]

    @pytest.mark.parametrize("suffix", [".png", ".bmp"])
    def test_beside_labels_with_another_suffix(self, tmp_path: Path, suffix: str) -> None:
        for i in range(4):
            save(tmp_path / f"c{i}.jpg", picture(i, box(10, 10)))
            save(tmp_path / f"c{i}.png", box(10, 10) * np.uint8(255))
        save(tmp_path / f"overview{suffix}", picture(9))
        dataset = open_dataset(tmp_path)
        assert [case.id for case in dataset.labelled] == ["c0", "c1", "c2", "c3"]
        assert all(case.images for case in dataset.cases)


def test_a_lone_label_of_another_name_is_not_laid_on_a_lone_image(tmp_path: Path) -> None:
    for site, names in {"siteA": "abc", "siteB": "de"}.items():
        for name in names:
            save(tmp_path / site / f"images/{name}.png", picture(ord(name), box(10, 10)))
            save(tmp_path / site / f"masks/{name}.png", box(10, 10) * np.uint8(255))
    (tmp_path / "siteB/images/d.png").unlink()
    (tmp_path / "siteB/masks/e.png").unlink()
    with pytest.raises(LayoutError, match="not understood"):
        open_dataset(tmp_path)


def test_a_structure_without_a_file_is_told(tmp_path: Path) -> None:
    for i in range(4):
        save(tmp_path / f"images/p{i}.png", picture(i, box(10, 10)))
        for name in ("heart", "lung") if i else ("heart",):
            save(tmp_path / f"masks/{name}/p{i}.png", box(10, 10 if name == "lung" else 40) * np.uint8(255))
    notes = " ".join(open_dataset(tmp_path).notes)
    assert "absent in 1 place: lung in p0." in notes


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("at", [(35, 20), (0, 20), (20, 20)])
def test_images_tell_the_number_of_the_first_pixel(tmp_path: Path, first: int, at: tuple[int, int]) -> None:
    """Masks one pixel from the image's edge, at it, and away from it."""
    rows = ["ImageId,EncodedPixels"]
    truth = [box(at[0], at[1] + i) for i in range(6)]
    for i, mask in enumerate(truth):
        save(tmp_path / f"images/c{i}.png", picture(i, mask))
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel().astype(int), [0]])))
        rows.append(f"c{i}.png," + " ".join(f"{a + first} {b - a}" for a, b in edges.reshape(-1, 2)))
    (tmp_path / "train.csv").write_text("\n".join(rows))
    assert all(np.array_equal(found[0], mask) for found, mask in zip(masks_of(tmp_path), truth, strict=True))


def cells(seed: int, numbers: NDArray[np.integer]) -> NDArray[np.uint16]:
    """Objects of three sizes at random places `(48, 64)` with these numbers."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((48, 64), np.uint16)
    for number, place in zip(numbers, rng.permutation(20)[: len(numbers)], strict=True):
        y, x, side = 2 + 12 * (place // 5), 2 + 12 * (place % 5), int(rng.integers(5, 9))
        plane[y : y + side, x : x + side] = number
    return plane


class TestNumberedObjects:
    """Files of object numbers, alone and beside other drawings of the same objects."""

    @pytest.fixture
    def planes(self) -> list[NDArray[np.uint16]]:
        rng = np.random.default_rng(7)
        return [cells(i, rng.permutation(60000)[: 8 + i] + 1) for i in range(5)]

    @staticmethod
    def write(root: Path, planes: list[NDArray[np.uint16]]) -> None:
        for i, plane in enumerate(planes):
            save(root / f"images/c{i}.png", picture(i, plane > 0))
            save(root / f"labels/c{i}.npy", plane)

    def right(self, root: Path, planes: list[NDArray[np.uint16]]) -> bool:
        found = masks_of(root)
        return all(len(a) == 1 and np.array_equal(a[0], b > 0) for a, b in zip(found, planes, strict=True))

    def test_a_painted_copy_of_numbers_in_colours_that_come_back(self, tmp_path: Path, planes) -> None:
        self.write(tmp_path, planes)
        paint = np.random.default_rng(5).integers(30, 255, (64, 3)).astype(np.uint8)
        for i, plane in enumerate(planes):
            rank = np.searchsorted(np.unique(plane), plane)
            save(tmp_path / f"labels_color/c{i}.png", np.where(rank[..., None], paint[rank], np.uint8(0)))
        assert self.right(tmp_path, planes)

    def test_another_reader_beside_labels_without_a_name(self, tmp_path: Path, planes) -> None:
        self.write(tmp_path, planes)
        for i, plane in enumerate(planes):
            save(tmp_path / f"labels_reader2/c{i}.npy", np.roll(plane, 1, axis=1))
        assert self.right(tmp_path, planes)
        assert open_dataset(tmp_path).readers == ("labels", "reader2")

    def test_one_to_n_where_n_is_nearly_equal(self, tmp_path: Path) -> None:
        planes = [cells(i, np.arange(1, n + 1)) for i, n in enumerate((5, 5, 8, 5))]
        self.write(tmp_path, planes)
        assert self.right(tmp_path, planes)

    def test_voxels_that_count_nowhere(self, tmp_path: Path, planes) -> None:
        void = [np.where(np.arange(48)[:, None] > 46, np.uint16(65535), plane) for plane in planes]
        self.write(tmp_path, void)
        dataset = open_dataset(tmp_path)
        assert dataset.labels.ignore == 65535
        case = dataset.labelled[0]
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        assert np.array_equal(dataset.labels.ignored(label)[0], void[0] == 65535)
        assert np.array_equal(dataset.labels.mask(label, 0)[0], (void[0] > 0) & (void[0] < 65535))

    def test_a_person_decides_where_two_readings_are_possible(self, tmp_path: Path) -> None:
        planes = [cells(i, np.arange(1, 3)) for i in range(5)]
        self.write(tmp_path, planes)
        dataset = open_dataset(tmp_path)
        assert dataset.labels.names == ("structure_1", "structure_2")
        assert any("may number objects" in note for note in dataset.notes)
        (tmp_path / "dataset.yaml").write_text("label_values: objects\n")
        assert self.right(tmp_path, planes)


def test_folders_of_patients_are_no_pairs_of_folders(tmp_path: Path) -> None:
    """Two scans a patient, one without a label: `P1/mask.png` is no image of the label `P2/mask.png`."""
    for name in ("P25_1", "P25_2", "P26_1", "P26_2", "P27_1"):
        mask = box(10, 10 + len(name))
        save(tmp_path / f"{name}/ct.npy", picture(ord(name[1]), mask))
        if name != "P27_1":
            save(tmp_path / f"{name}/seg.png", mask * np.uint8(255))
    dataset = open_dataset(tmp_path)
    assert [case.id for case in dataset.labelled] == ["P25_1", "P25_2", "P26_1", "P26_2"]
    assert dataset.labels.names == ("foreground",)


def test_a_folder_of_which_most_is_left_aside_is_not_read_unasked(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"images/a{i}.png", picture(i, box(10, 10)))
        save(tmp_path / f"masks/a{i}.png", box(10, 10) * np.uint8(255))
    for i in range(20):
        save(tmp_path / f"more/deep/x{i}.png", picture(50 + i))
    with pytest.raises(LayoutError, match="more than half") as caught:
        open_dataset(tmp_path)
    assert "3 pairs" in str(caught.value) and "layout: pairs" in str(caught.value)
    (tmp_path / "dataset.yaml").write_text("layout: pairs\n")
    assert len(open_dataset(tmp_path).labelled) == 3


class TestCopies:
    """A second label file of an image is a copy, a mask of its own, or one too many."""

    @staticmethod
    def write(root: Path) -> list[Plane]:
        planes = []
        for i, name in enumerate("abcd"):
            planes.append(box(4, 4 + i) * np.uint8(1) + box(30, 30 + i) * np.uint8(2))
            save(root / f"{name}.png", picture(i, planes[-1] > 0))
            save(root / f"{name}_seg.png", planes[-1])
        return planes

    def test_an_equal_copy_is_set_aside(self, tmp_path: Path) -> None:
        planes = self.write(tmp_path)
        (tmp_path / "b_seg (1).png").write_bytes((tmp_path / "b_seg.png").read_bytes())
        found = masks_of(tmp_path)
        assert all(np.array_equal(a[1], b == 2) for a, b in zip(found, planes, strict=True))
        assert [line.path for line in open_dataset(tmp_path).aside] == ["b_seg (1).png"]

    def test_another_map_of_classes_is_refused(self, tmp_path: Path) -> None:
        planes = self.write(tmp_path)
        save(tmp_path / "b_seg (1).png", np.roll(planes[1], 1, axis=0))
        with pytest.raises(LabelError, match="several values"):
            open_dataset(tmp_path)


class TestFilesOfStructures:
    """What the values in the files of one structure mean."""

    def test_a_value_that_counts_nowhere(self, tmp_path: Path) -> None:
        for i, name in enumerate("abcd"):
            save(tmp_path / f"images/{name}.png", picture(i, box(8, 8), box(30, 40)))
            for told, inner, outer in (
                ("heart", box(8, 8), box(6, 6, 16, 20)),
                ("lung", box(30, 40), box(28, 38, 16, 20)),
            ):
                save(
                    tmp_path / f"masks/{told}/{name}.png", np.where(inner, 1, np.where(outer, 255, 0)).astype(np.uint8)
                )
        dataset = open_dataset(tmp_path)
        assert dataset.labels.ignore == 255
        case = dataset.labelled[0]
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        assert np.array_equal(dataset.labels.mask(label, 0)[0], box(8, 8))
        assert np.array_equal(dataset.labels.mask(label, 1)[0], box(30, 40))
        ring = box(6, 6, 16, 20) & ~box(8, 8) | box(28, 38, 16, 20) & ~box(30, 40)
        assert np.array_equal(dataset.labels.ignored(label)[0], ring)

    def test_several_values_are_united_and_told(self, tmp_path: Path) -> None:
        for i, name in enumerate("abcd"):
            save(tmp_path / f"images/{name}.png", picture(i, box(8, 8)))
            for k in range(14):  # so many are not compared with each other
                plane = box(4, 2 + 4 * k, 4, 3) * np.uint8(1)
                plane[20:24, 2 + 4 * k : 5 + 4 * k] = 2 if k == 3 else 0
                save(tmp_path / f"masks/organ{'abcdefghijklmn'[k]}/{name}.png", plane)
        notes = [note for note in open_dataset(tmp_path).notes if "united" in note]
        assert notes == ["Files of 'organd' hold values 1, 2, which are united."]


class TestPalettes:
    """One colour is one number."""

    @staticmethod
    def write(root: Path, palettes: list[list[int]]) -> None:
        for i, palette in enumerate(palettes):
            name = "abcd"[i]
            save(root / f"images/{name}.png", picture(i, box(8, 8 + i), box(30, 40 - i)))
            red, green = (1, 2) if palette[3] == 255 else (2, 1)
            label = Image.fromarray(box(8, 8 + i) * np.uint8(red) + box(30, 40 - i) * np.uint8(green))
            label.putpalette(palette + [0] * (768 - len(palette)))
            (root / "masks").mkdir(exist_ok=True)
            label.save(root / f"masks/{name}.png")

    def test_contradictions_are_refused(self, tmp_path: Path) -> None:
        one, other = [0, 0, 0, 255, 0, 0, 0, 255, 0], [0, 0, 0, 0, 255, 0, 255, 0, 0]
        self.write(tmp_path, [one, one, other, one])
        with pytest.raises(LabelError, match="contradict") as caught:
            open_dataset(tmp_path)
        assert "#00FF00 is value 2 in a.png and value 1 in c.png" in str(caught.value)

    def test_paint_that_has_nothing_in_common_says_nothing(self, tmp_path: Path) -> None:
        self.write(tmp_path, [[0, 0, 0, 255, 3 * i, 9, 20 * i + 1, 0, 7] for i in range(4)])
        assert [s.values for s in open_dataset(tmp_path).labels.structures] == [(1,), (2,)]


@pytest.mark.parametrize(
    ("scale", "values"),
    [(0.5, (0, 1)), (1 / 255, (0, 1, 2)), (0.998039, (0, 1, 2)), (1.0, (0, 1, 2))],
    ids=["a mask of any level", "bytes divided by 255", "stored in bytes with a slope", "floats"],
)
def test_labels_that_a_program_scaled(tmp_path: Path, scale: float, values: tuple[int, ...]) -> None:
    truth = [box(8, 8 + i) * np.uint8(1) + box(30, 40 - i) * np.uint8(values[-1]) for i in range(4)]
    for i, plane in enumerate(truth):
        save(tmp_path / f"images/{'abcd'[i]}.png", picture(i, plane > 0))
        (tmp_path / "masks").mkdir(exist_ok=True)
        np.save(tmp_path / f"masks/{'abcd'[i]}.npy", plane.astype(np.float32) * np.float32(scale))
    for found, plane in zip(masks_of(tmp_path), truth, strict=True):
        assert all(np.array_equal(mask, plane == value) for mask, value in zip(found, values[1:], strict=True))


def test_shares_between_whole_numbers_are_refused(tmp_path: Path) -> None:
    for name in "abcd":
        save(tmp_path / f"images/{name}.png", picture(1, box(8, 8)))
        (tmp_path / "masks").mkdir(exist_ok=True)
        np.save(tmp_path / f"masks/{name}.npy", box(8, 8) * np.float32(0.3) + box(30, 40) * np.float32(0.7))
    with pytest.raises(LabelError, match="whole numbers"):
        masks_of(tmp_path)
