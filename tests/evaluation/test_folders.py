"""Folders are paired by name over formats; what is missing, unreadable or misplaced is a counted row."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

import segwright
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import LabelError, LayoutError
from segwright.core.labels import LabelSpace
from segwright.core.report import Report
from segwright.evaluation.folders import match_folders, score_jobs
from segwright.evaluation.score import Judge

AFFINE = np.diag([0.5, 0.8, 2.0, 1.0])


def nifti(path: Path, seed: int, *, flip: bool = False, shift: float = 0.0, shape: tuple = (9, 10, 6)) -> None:
    array = np.zeros(shape, np.uint8)
    start = 2 + seed % 2
    array[start : start + 4, 3:7, 1:4], array[start : start + 4, 7:9, 1:4] = 63, 126
    affine = AFFINE.copy()
    affine[0, 3] = shift
    if flip:
        array = array[::-1]
        affine[0] = [-0.5, 0, 0, 0.5 * (shape[0] - 1) + shift]
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    for i in range(4):
        nifti(tmp_path / "ref" / f"case{i}.nii.gz", i)
        nifti(tmp_path / "out" / f"case{i}.nii", i + 1)
    return tmp_path / "ref", tmp_path / "out"


def test_values_become_structures_and_formats_may_differ(sides: tuple[Path, Path]) -> None:
    report = segwright.evaluate(*sides)
    assert {row.structure for row in report.aggregates} == {"63", "126", "mean"}
    dice = report.aggregate("mean", "dice")
    assert dice.cases == 4 and dice.missing == 0 and dice.mean == pytest.approx(0.75)
    assert report.aggregate("63", "hausdorff") is None
    assert report.aggregate("63", "hd95").mean == pytest.approx(0.5)  # moved by one voxel of 0.5 mm
    assert any("values found" in note for note in report.notes)


def test_processes_change_nothing(sides: tuple[Path, Path]) -> None:
    task = match_folders(*sides)
    assert score_jobs(task.jobs, Judge(task.space), 2) == score_jobs(task.jobs, Judge(task.space), 1)


def test_a_flipped_file_is_turned_onto_the_reference(sides: tuple[Path, Path]) -> None:
    before = segwright.evaluate(*sides, metrics=["dice"])
    nifti(sides[1] / "case0.nii", 1, flip=True)
    assert segwright.evaluate(*sides, metrics=["dice"]).scores == before.scores


def scored(reference: Path, prediction: Path) -> Report:
    """A report also where so much is wrong that `segwright.evaluate` refuses."""
    task = match_folders(reference, prediction)
    judge = Judge(task.space, ("dice",))
    return judge.report(score_jobs(task.jobs, judge), notes=task.told())


def test_missing_misplaced_misshaped_and_broken_predictions_are_counted(sides: tuple[Path, Path]) -> None:
    (sides[1] / "case0.nii").unlink()
    nifti(sides[1] / "case1.nii", 0, shift=30.0)
    nifti(sides[1] / "case2.nii", 0, shape=(9, 10, 7))
    report = scored(*sides)
    assert (report.aggregate("63", "dice").cases, report.aggregate("63", "dice").missing) == (1, 3)
    notes = {s.case: s.note for s in report.scores if s.structure == "63"}
    assert "no prediction" in notes["case0"]
    assert "places in the world" in notes["case1"]
    assert "7 x 10 x 9 voxels" in notes["case2"]
    (sides[1] / "case3.nii").write_bytes(b"not an image")
    (sides[1] / "extra.nii").write_bytes((sides[1] / "case1.nii").read_bytes())
    report = scored(*sides)
    assert report.aggregate("mean", "dice").missing == 4
    assert any("4 of 4 cases could not be scored" in note for note in report.notes)
    assert any("without a reference" in note and "extra" in note for note in report.notes)


def test_black_and_white_masks_need_no_table(tmp_path: Path) -> None:
    for folder, white in (("ref", 255), ("out", 1)):
        (tmp_path / folder).mkdir()
        mask = np.zeros((12, 10), np.uint8)
        mask[3:8, 2:7] = white
        Image.fromarray(mask).save(tmp_path / folder / "a.png")
    report = segwright.evaluate(tmp_path / "ref", tmp_path / "out")
    assert report.aggregate("foreground", "dice").mean == 1
    assert report.aggregate("foreground", "hd95").mean == 0
    assert any("voxels" in note for note in report.notes)


def test_a_folder_a_structure_may_overlap(tmp_path: Path) -> None:
    for folder in ("ref", "out"):
        for name, width in (("heart", 8), ("lung", 5)):
            (tmp_path / folder / name).mkdir(parents=True)
            mask = np.zeros((12, 10), bool)
            mask[2:9, 1:width] = True
            Image.fromarray(mask).save(tmp_path / folder / name / "a.png")
    (tmp_path / "out" / "lung" / "a.png").unlink()
    report = segwright.evaluate(tmp_path / "ref", tmp_path / "out", metrics=["dice", "hd95"])
    assert report.aggregate("heart", "dice").mean == 1
    assert report.aggregate("lung", "dice").mean == 0  # a missing mask of a predicted case is an empty one
    assert report.aggregate("lung", "hd95").missing == 1


def test_a_dataset_brings_groups_and_meaning(sides: tuple[Path, Path]) -> None:
    cases = tuple(
        Case(
            id=f"case{i}",
            images=(Source(path=f"case{i}.nii.gz"),),
            label=(LabelSource(path=f"case{i}.nii.gz"),),
            group=f"p{i // 2}",
        )
        for i in range(4)
    )
    space = LabelSpace(structures=[{"name": "liver", "values": [63]}, {"name": "spleen", "values": [126]}])
    data = Dataset(root=str(sides[0]), layout="pairs", channels=("mr",), labels=space, cases=cases)
    report = segwright.evaluate(data, sides[1])
    assert report.aggregate("liver", "dice").groups == 2
    assert {row.group for row in report.scores} == {"p0", "p1"}


def test_folders_that_do_not_fit_are_explained(sides: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no such folder"):
        segwright.evaluate(sides[0], tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match="no label files"):
        segwright.evaluate(sides[0], tmp_path / "empty")
    nifti(tmp_path / "other" / "x.nii", 0)
    with pytest.raises(LayoutError, match=r"case0.*Got: x"):
        segwright.evaluate(sides[0], tmp_path / "other")
    nifti(sides[1] / "case0.nii.gz", 0)
    with pytest.raises(LayoutError, match="but for their suffix"):
        segwright.evaluate(*sides)


def test_images_are_no_labels(tmp_path: Path) -> None:
    for folder in ("ref", "out"):
        (tmp_path / folder).mkdir()
        array = np.arange(2000, dtype=np.int16).reshape(10, 10, 20)
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), tmp_path / folder / "a.nii")
    with pytest.raises(LabelError, match="look like labels"):
        segwright.evaluate(tmp_path / "ref", tmp_path / "out")


def test_real_labels_are_perfect_against_themselves(shared_data) -> None:
    folder = shared_data("abdomen-mri") / "labelsTr"
    report = segwright.evaluate(folder, folder, metrics=["dice", "hd95"])
    assert report.aggregate("mean", "dice").mean == 1 and report.aggregate("mean", "hd95").mean == 0
