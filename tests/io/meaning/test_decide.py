"""What label values mean, decided over all files: each reading, what it needs, and what rules it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from segwright.core.labels import LabelSpace
from segwright.io.layouts.values import space_of
from segwright.io.masks import as_colours, is_coloured, one_plane, settle
from segwright.io.meaning.decide import Meaning, decide
from segwright.io.meaning.facts import facts_of

Plane = NDArray[np.uint8]
Files = Mapping[str, NDArray[np.generic]]


def meaning_of(files: Files, *, dense: bool = False) -> Meaning:
    """Files as `(y, x)` values or `(y, x, 3)` colours."""
    stacks = {name: np.moveaxis(a, -1, 0)[:, None] if a.ndim == 3 else a[None, None] for name, a in files.items()}
    colour = any(is_coloured(stack) for stack in stacks.values())
    raws = {name: one_plane(stack, where=name) for name, stack in stacks.items()}
    raws = {name: as_colours(raw) if colour else raw for name, raw in raws.items()}
    return decide({name: facts_of(raw, colour=colour) for name, raw in raws.items()}, raws.__getitem__, dense=dense)


def boxes(seed: int, values: tuple[int, ...], shape: tuple[int, int] = (72, 96), side: int = 12) -> Plane:
    """A square of each value, in a row each, somewhere along it."""
    rng = np.random.default_rng(seed)
    plane = np.zeros(shape, np.uint16 if max(values) > 255 else np.uint8)
    for rank, value in enumerate(values):
        y, x = 4 + rank * (side + 6), int(rng.integers(2, shape[1] - side - 2))
        plane[y : y + side, x : x + side] = value
    return plane


def jpeg(plane: Plane, quality: int) -> Plane:
    held = BytesIO()
    Image.fromarray(plane).save(held, "jpeg", quality=quality)
    return np.asarray(Image.open(held))


def blurred(plane: Plane, sigma: float = 1.0) -> Plane:
    return np.asarray(Image.fromarray(plane).filter(ImageFilter.GaussianBlur(sigma)))


def doubled(plane: Plane) -> Plane:
    return np.asarray(
        Image.fromarray(plane).resize((plane.shape[1] * 2, plane.shape[0] * 2), Image.Resampling.BILINEAR)
    )


class TestMasks:
    def test_zero_one_and_zero_255_are_one_structure(self) -> None:
        found = meaning_of({"a": boxes(0, (255,)), "b": boxes(1, (1,))})
        assert (found.kind, set(found.values)) == ("mask", {1, 255})

    @pytest.mark.parametrize("value", [1, 2, 7, 128, 255, 1000])
    def test_any_single_value_is_a_mask(self, value: int) -> None:
        found = meaning_of({str(i): boxes(i, (value,)) for i in range(3)})
        assert (found.kind, found.values, found.ignore) == ("mask", (value,), None)

    @pytest.mark.parametrize("spoil", [lambda p: jpeg(p, 60), lambda p: jpeg(p, 95), blurred, doubled])
    def test_soft_edges_are_a_mask_in_every_form(self, spoil: Callable[[Plane], Plane]) -> None:
        found = meaning_of({str(i): spoil(boxes(i, (255,))) for i in range(4)})
        assert (found.kind, found.values, found.smeared) == ("mask", (255,), True)

    def test_few_grey_edge_values_are_soft_edges_only_between_black_and_white(self) -> None:
        soft = boxes(0, (255,))
        soft[3, :] = np.where(soft[4] == 255, 128, 0)
        assert meaning_of({"a": soft}).smeared
        line = boxes(0, (255,))
        line[50:52, :60] = 128  # far from the square: a structure of its own
        assert meaning_of({"a": line}).values == (128, 255)

    def test_one_and_two_without_zero_are_background_and_object(self) -> None:
        found = meaning_of({str(i): boxes(i, (1,)) + 1 for i in range(3)})
        assert (found.kind, found.values, found.background) == ("mask", (2,), (1,))
        assert "background" in found.notes[0]


class TestIgnore:
    @pytest.mark.parametrize(("classes", "mark"), [((1, 2), 255), ((1,), 255), ((1, 2, 3), 254), ((1, 2), 65535)])
    def test_the_usual_marks_above_classes_count_nowhere(self, classes: tuple[int, ...], mark: int) -> None:
        def file(seed: int) -> Plane:
            plane = boxes(seed, classes).astype(np.uint16 if mark > 255 else np.uint8)
            edge = np.roll(plane, 2, axis=1) > 0
            plane[edge & (plane == 0)] = mark
            return plane

        found = meaning_of({str(i): file(i) for i in range(4)})
        assert (found.values, found.ignore, found.smeared) == (classes, mark, False)
        assert str(mark) in found.notes[0]

    def test_a_border_one_pixel_wide_round_classes_with_gaps(self) -> None:
        plane = np.zeros((64, 80), np.uint8)
        plane[9:21, 9:21], plane[40:52, 40:52] = 255, 255
        plane[10:20, 10:20], plane[41:51, 41:51] = 1, 15
        found = meaning_of({"a": plane, "b": plane[::-1].copy()})
        assert (found.values, found.ignore) == ((1, 15), 255)

    @pytest.mark.parametrize("mark", [-1, -100])
    def test_a_negative_value(self, mark: int) -> None:
        plane = boxes(0, (1, 2)).astype(np.int16)
        plane[60:70, 5:20] = mark
        assert meaning_of({"a": plane}).ignore == mark

    def test_255_alone_or_among_grey_levels_is_a_structure(self) -> None:
        assert meaning_of({"a": boxes(0, (128, 255))}).values == (128, 255)
        assert meaning_of({"a": boxes(0, (63, 126, 255))}).ignore is None

    def test_a_thin_unusual_mark_is_a_guess_that_is_told(self) -> None:
        plane = boxes(0, (1, 2))
        edge = (np.roll(plane, 1, axis=0) > 0) & (plane == 0)
        plane[edge] = 99
        found = meaning_of({"a": plane, "b": plane})
        assert found.ignore == 99 and "guess" in found.notes[0]
        solid = boxes(0, (1, 2, 99))
        assert meaning_of({"a": solid}).ignore is None


class TestClasses:
    @pytest.mark.parametrize("values", [(63, 126, 252), (2, 1001, 2035), (11, 12, 13, 14)])
    def test_any_integers(self, values: tuple[int, ...]) -> None:
        found = meaning_of({str(i): boxes(i, values) for i in range(3)})
        assert (found.kind, found.values) == ("classes", values)

    def test_sixty_scattered_values_that_come_back(self) -> None:
        values = [*range(2, 50, 2), *range(1001, 1019), *range(2001, 2019)]
        planes = {}
        for i in range(4):
            plane = np.zeros((90, 100), np.uint16)
            for rank, value in enumerate(values):
                y, x = 4 + 10 * (rank // 9), 2 + i + 10 * (rank % 9)
                plane[y : y + 6, x : x + 6] = value
            planes[str(i)] = plane
        assert len(meaning_of(planes).values) == 60

    def test_vertebrae_numbered_from_the_top_are_classes(self) -> None:
        planes = {}
        for i in range(6):
            plane = np.zeros((260, 40), np.uint8)
            for number in range(1, 22 + i % 4):
                plane[2 + 10 * (number - 1) : 9 + 10 * (number - 1), 14 + i % 2 : 26] = number
            planes[str(i)] = plane
        assert meaning_of(planes).kind == "classes"

    def test_classes_absent_from_some_cases(self) -> None:
        assert meaning_of({"a": boxes(0, (1,)), "b": boxes(1, (1, 2)), "c": boxes(2, (1, 2, 3))}).values == (1, 2, 3)

    def test_thin_vessels_beside_large_organs_are_no_smear(self) -> None:
        planes = {}
        for i in range(3):
            plane = boxes(i, (100, 200), side=20)
            plane[60:62, 5:80], plane[66:67, 5:80], plane[8:9, :] = 50, 51, 52
            planes[str(i)] = plane
        assert meaning_of(planes).values == (50, 51, 52, 100, 200)


class TestObjects:
    @staticmethod
    def cells(seed: int, count: int, first: int = 1) -> NDArray[np.uint16]:
        rng = np.random.default_rng(seed)
        plane = np.zeros((160, 160), np.uint16)
        places = rng.permutation(256)[:count]
        for number, place in enumerate(places):
            y, x = 10 * (place // 16), 10 * (place % 16)
            plane[y + 1 : y + 8, x + 1 : x + 8] = first + number
        return plane

    def test_one_to_n_anywhere(self) -> None:
        assert meaning_of({str(i): self.cells(i, 30 + i) for i in range(4)}).kind == "objects"
        assert meaning_of({str(i): self.cells(i, 6 + i) for i in range(5)}).kind == "objects"

    def test_numbers_that_run_on_through_the_files(self) -> None:
        assert meaning_of({str(i): self.cells(i, 9, first=1 + 9 * i) for i in range(4)}).kind == "objects"

    def test_a_single_file_of_hundreds(self) -> None:
        assert meaning_of({"a": self.cells(0, 200)}).kind == "objects"

    def test_dense_files_have_a_lower_bar(self) -> None:
        assert meaning_of({"a": self.cells(0, 25)}).kind == "classes"
        assert meaning_of({"a": self.cells(0, 25)}, dense=True).kind == "objects"


class TestSmeared:
    @pytest.mark.parametrize("quality", [30, 60, 75, 95])
    def test_grey_levels_as_jpeg(self, quality: int) -> None:
        truth = {str(i): boxes(i, (128, 255), side=20) for i in range(4)}
        files = {name: jpeg(plane, quality) for name, plane in truth.items()}
        found = meaning_of(files)
        assert (found.values, found.smeared) == ((128, 255), True)
        self.settled(files, truth, found)

    @pytest.mark.parametrize("quality", [75, 90])
    def test_colours_as_jpeg(self, quality: int) -> None:
        paint = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 255, 0), 3: (30, 60, 220)}
        truth = {str(i): boxes(i, (1, 2, 3), side=16) for i in range(4)}
        table = np.array([paint[i] for i in range(4)], np.uint8)
        found = meaning_of({name: jpeg(table[plane], quality) for name, plane in truth.items()})
        assert len(found.values) == 3 and found.smeared

    @staticmethod
    def settled(files: Files, truth: Files, found: Meaning) -> None:
        space: LabelSpace = space_of(found)
        for name, plane in files.items():
            values = settle(plane[None], space, where=name)[0]
            assert np.mean(values != truth[name]) < 0.002

    def test_the_ramp_leaves_no_rim_of_the_level_between(self) -> None:
        truth = {str(i): boxes(i, (128, 255), side=20) for i in range(3)}
        files = {name: doubled(plane) for name, plane in truth.items()}
        found = meaning_of(files)
        assert found.smeared
        for name, plane in files.items():
            values = settle(plane[None], space_of(found), where=name)[0]
            area = int((values == 128).sum())
            assert area == pytest.approx(4 * 400, rel=0.03)

    def test_beyond_repair_is_no_label(self) -> None:
        found = meaning_of({str(i): blurred(boxes(i, (128, 255), side=14), 4) for i in range(3)})
        assert found.kind == "image"

    def test_pictures_are_no_labels(self) -> None:
        rng = np.random.default_rng(0)
        files = {str(i): rng.integers(0, 256, (64, 64)).astype(np.uint8) for i in range(3)}
        assert meaning_of(files).kind == "image"


class TestOddities:
    """What slips into label files: a stray voxel, interpolated class numbers, a mark that is the mask itself."""

    @pytest.mark.parametrize("stray", [7, 1])
    def test_a_stray_voxel_beside_a_mask_of_255_does_not_make_it_count_nowhere(self, stray: int) -> None:
        files = {str(i): boxes(i, (255,)) for i in range(5)}
        files["2"][60, 60] = stray
        found = meaning_of(files)
        assert found.ignore is None and 255 in found.values
        assert any(f"Value {stray} is 1 voxel of case 2" in note for note in found.notes)

    def test_interpolated_class_numbers_are_told(self) -> None:
        files = {}
        for i in range(4):
            plane = boxes(i, (2, 5))
            rim = (np.roll(plane, 1, axis=1) != plane) & (plane > 0)
            files[str(i)] = np.where(rim, plane // 2 + 1, plane).astype(np.uint8)
            files[str(i)][rim & (plane == 2)] = 1
        found = meaning_of(files)
        assert found.values == (1, 2, 3, 5)
        assert any("Value 1, Value 3 are only lines" in note for note in found.notes)

    def test_thin_lines_with_background_on_both_sides_are_no_rims(self) -> None:
        files = {}
        for i in range(4):
            files[str(i)] = boxes(i, (2, 5))
            files[str(i)][50, 5:80] = 1
        assert meaning_of(files).notes == ()

    @pytest.mark.parametrize("values", [(255, 128), (1, 3), (200, 50)])
    def test_a_band_along_a_structure_may_be_unsure_and_that_is_told(self, values: tuple[int, int]) -> None:
        files = {}
        for i in range(4):
            plane = boxes(i, (values[0],), side=20)
            grown = (
                np.pad(plane, 2)[1:-3, 2:-2]
                | np.pad(plane, 2)[3:-1, 2:-2]
                | np.roll(plane, 2, 1)
                | np.roll(plane, -2, 1)
            )
            files[str(i)] = np.where((grown > 0) & (plane == 0), np.uint8(values[1]), plane)
        found = meaning_of(files)
        assert found.values == tuple(sorted(values))
        assert [f"'ignore: {values[1]}'" in note for note in found.notes] == [True]

    def test_the_value_that_fills_the_frame_is_background_where_there_is_no_zero(self) -> None:
        files = {str(i): boxes(i, (1, 2, 4)) + np.uint8(1) for i in range(4)}
        found = meaning_of(files)
        assert (found.kind, found.values, found.background) == ("classes", (2, 3, 5), (1,))

    def test_a_mask_that_fills_the_frame_may_be_inverted(self) -> None:
        found = meaning_of({str(i): 255 - boxes(i, (255,)) for i in range(4)})
        assert found.values == (255,) and "values: [0]" in found.notes[0]

    def test_the_same_classes_on_two_scales(self) -> None:
        files = {str(i): boxes(i, (1, 2)) * np.uint8(1 if i % 2 else 127) for i in range(4)}
        found = meaning_of(files)
        assert any("1, 2 and 127, 254" in note for note in found.notes)
        assert not any("never of both" in n for n in meaning_of({str(i): boxes(i, (1, 2)) for i in range(4)}).notes)
