"""Each side's values are understood over all its files and by the task: masks of any value, JPEG, objects, classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import segwright
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import LabelError
from segwright.core.labels import LabelSpace
from segwright.core.report import Report
from segwright.evaluation.sides import as_written, infer_space

Values = NDArray[np.uint8]
CASES = 6
CELLS = LabelSpace(structures=[{"name": "cell", "values": [255]}], kind="instances")


def discs(case: int) -> Values:
    """Three to six discs of equal size, numbered from 1 in the order of rows."""
    rng = np.random.default_rng(case)
    places = rng.permutation(9)[: 3 + case % 4]
    rows, columns = np.mgrid[:96, :96]
    out = np.zeros((96, 96), np.uint8)
    for number, place in enumerate(sorted(places.tolist()), start=1):
        centre = 16 + 32 * (place // 3), 16 + 32 * (place % 3)
        out[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < 120] = number
    return out


def mask(value: int) -> Callable[[int], Values]:
    return lambda case: np.where(discs(case) > 0, value, 0).astype(np.uint8)


def classes(low: int, high: int) -> Callable[[int], Values]:
    """Upper halves of discs are one structure, lower ones another; parted by a gap."""

    def draw(case: int) -> Values:
        labels = mask(low)(case)
        labels[(np.arange(96) % 32 >= 16)[:, None] & (labels > 0)] = high
        labels[np.isin(np.arange(96) % 32, (15, 16))] = 0
        return labels

    return draw


def written(folder: Path, draw: Callable[[int], Values], suffix: str = ".png", quality: int = 85) -> Path:
    folder.mkdir()
    for case in range(CASES):
        options = {"quality": quality} if suffix == ".jpg" else {}
        Image.fromarray(draw(case)).save(folder / f"c{case}{suffix}", **options)
    return folder


def dice(report: Report, structure: str = "foreground") -> float:
    row = report.aggregate(structure, "dice")
    assert row is not None and row.cases == CASES and row.missing == 0, report.notes
    return float(row.mean or 0)


@pytest.mark.parametrize("reference", [1, 2, 255])
@pytest.mark.parametrize("predicted", [(1, ".png"), (200, ".png"), (255, ".jpg"), (128, ".jpg")], ids=str)
def test_masks_of_any_value_and_form_are_one_structure(
    tmp_path: Path, reference: int, predicted: tuple[int, str]
) -> None:
    ours, theirs = written(tmp_path / "a", mask(reference)), written(tmp_path / "b", mask(predicted[0]), predicted[1])
    assert dice(segwright.evaluate(ours, theirs)) > (0.98 if predicted[1] == ".jpg" else 0.9999)
    told = " ".join(segwright.evaluate(ours, theirs).notes)
    assert ("smeared" in told) == (predicted[1] == ".jpg")


def test_references_may_be_jpeg_too(tmp_path: Path) -> None:
    ours, theirs = written(tmp_path / "a", mask(255), ".jpg", 60), written(tmp_path / "b", mask(1))
    assert dice(segwright.evaluate(ours, theirs)) > 0.98


def test_smeared_classes_take_the_levels_of_the_reference(tmp_path: Path) -> None:
    ours, theirs = written(tmp_path / "a", classes(100, 255)), written(tmp_path / "b", classes(100, 255), ".jpg", 90)
    report = segwright.evaluate(ours, theirs)
    assert dice(report, "100") > 0.95 and dice(report, "255") > 0.95


def test_classes_of_other_values_are_refused_and_not_scored_as_zero(tmp_path: Path) -> None:
    ours, theirs = written(tmp_path / "a", classes(1, 2)), written(tmp_path / "b", classes(100, 200))
    with pytest.raises(LabelError, match="No case could be scored"):
        segwright.evaluate(ours, theirs)


@pytest.mark.parametrize("reference", [1, 255])
@pytest.mark.parametrize("form", ["ids", "ids from 7", "mask", "jpeg"])
@pytest.mark.parametrize("space", ["instances", CELLS], ids=["asked", "of a model"])
def test_objects_of_masks_are_their_pieces(tmp_path: Path, reference: int, form: str, space: object) -> None:
    ours = written(tmp_path / "a", mask(reference))
    draw = {"ids": discs, "ids from 7": lambda case: np.where(discs(case) > 0, discs(case) + 6, 0).astype(np.uint8)}
    theirs = written(tmp_path / "b", draw.get(form, mask(255)), ".jpg" if form == "jpeg" else ".png")
    report = segwright.evaluate(ours, theirs, space=space)
    name = "object" if space == "instances" else "cell"
    assert report.aggregate(name, "f1_50").mean == 1 and report.aggregate(name, "f1_50").cases == CASES
    counts = [ndimage.label(mask(1)(case), np.ones((3, 3)))[1] for case in range(CASES)]
    assert counts == [discs(case).max() for case in range(CASES)]  # the pieces are the discs


@pytest.mark.parametrize("form", [".png", ".jpg"])
def test_masks_are_parted_where_references_number_objects(tmp_path: Path, form: str) -> None:
    ours, theirs = written(tmp_path / "a", discs), written(tmp_path / "b", mask(255), form)
    assert segwright.evaluate(ours, theirs, space="instances").aggregate("object", "f1_50").mean == 1


@pytest.mark.parametrize("reference", [1, 255])
def test_predictions_that_number_objects_are_scored_as_objects_unasked(tmp_path: Path, reference: int) -> None:
    ours, theirs = written(tmp_path / "a", mask(reference)), written(tmp_path / "b", discs)
    report = segwright.evaluate(ours, theirs)
    assert report.aggregate("foreground", "pq").mean == 1
    assert any("Predictions number objects" in note for note in report.notes)


def test_a_dataset_of_masks_is_parted_where_predictions_number_objects(tmp_path: Path) -> None:
    ours, theirs = written(tmp_path / "a", mask(255)), written(tmp_path / "b", discs)
    cases = tuple(
        Case(id=f"c{i}", images=(Source(path=f"c{i}.png"),), label=(LabelSource(path=f"c{i}.png"),), group=f"p{i}")
        for i in range(CASES)
    )
    space = LabelSpace(structures=[{"name": "cell", "values": [255]}])
    data = Dataset(root=str(ours), layout="pairs", channels=("film",), labels=space, cases=cases)
    assert segwright.evaluate(data, theirs).aggregate("cell", "pq").mean == 1
    assert dice(segwright.evaluate(data, written(tmp_path / "d", mask(255), ".jpg")), "cell") > 0.98


def test_a_further_class_is_a_class_and_no_object(tmp_path: Path) -> None:
    """References show structure 1 alone; predictions have 1 and, outside of it, 2."""

    def both(case: int) -> Values:
        labels = mask(1)(case)
        labels[92:, : 20 + case] = 2
        return labels

    report = segwright.evaluate(written(tmp_path / "a", mask(1)), written(tmp_path / "b", both))
    assert dice(report, "1") == 1 and report.aggregate("2", "dice").mean == 0


def test_two_volumes_are_parted_when_asked(tmp_path: Path) -> None:
    ours, theirs = written(tmp_path / "a", mask(255)) / "c2.png", written(tmp_path / "b", discs) / "c2.png"
    whole = segwright.evaluate(ours, theirs)
    assert whole.aggregate("objects", "object_recall").mean == 0
    assert any("a single id" in note and "--instances" in note for note in whole.notes)
    report = segwright.evaluate(ours, theirs, space="instances")
    assert report.aggregate("object", "pq").mean == 1


def test_scores_of_a_few_cases_are_no_answer(tmp_path: Path) -> None:
    """A mean over the minority that could be read would look like the whole."""
    ours, theirs = written(tmp_path / "a", classes(1, 2)), written(tmp_path / "b", classes(1, 2))
    for case in range(4):
        Image.fromarray(np.zeros((50, 50), np.uint8)).save(theirs / f"c{case}.png")
    with pytest.raises(LabelError, match="4 of 6 predictions could not be scored"):
        segwright.evaluate(ours, theirs)
    Image.fromarray(classes(1, 2)(3)).save(theirs / "c3.png")
    assert segwright.evaluate(ours, theirs).aggregate("1", "dice").missing == 3


def test_what_a_side_means_is_told() -> None:
    notes: list[str] = []
    assert as_written(CELLS, {}, notes) == CELLS and not notes
    assert infer_space({}, {}, notes).names == ("foreground",)
    assert notes == ["Neither references nor predictions hold a structure."]
