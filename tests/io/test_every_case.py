"""Decisions over a data set hold for its last case too: where that differs, it is told or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import segwright
from segwright.core.errors import LabelError, SegwrightError
from segwright.io.dataset import open_dataset
from segwright.io.instances import as_instances
from segwright.io.load import load_image, load_label

CASES, LAST = 12, 11


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def box(case: int, *, rows: int = 40, columns: int = 48) -> np.ndarray:
    """A mask whose place differs from case to case."""
    mask = np.zeros((rows, columns), bool)
    y, x = 4 + (7 * case) % 14, 5 + (5 * case) % 20
    mask[y : y + 13, x : x + 16] = True
    return mask


def picture(case: int, mask: np.ndarray) -> np.ndarray:
    return np.clip(np.random.default_rng(case).normal(70, 8, mask.shape) + 90 * mask, 0, 255)


def volume(path: Path, array: np.ndarray, spacing: tuple[float, float, float] | None = (3, 1.5, 1.5)) -> None:
    """A NIfTI file, which has a place, or an array without one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if spacing is None:
        np.save(path.with_suffix(".npy"), array)
        return
    import nibabel as nib

    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), np.diag([*spacing[::-1], 1])), f"{path}.nii.gz")


def scene(case: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((10, 30, 34), np.uint8)
    y, x = np.random.default_rng(case).integers(3, 8, 2)
    mask[1:4, y : y + 7, x : x + 9] = 1
    return np.rint(np.random.default_rng(case).normal(0, 9, mask.shape) + 200.0 * mask).astype("<i2"), mask


def test_a_label_laid_otherwise_than_the_others_is_refused_by_name(tmp_path: Path) -> None:
    for i in range(CASES):
        scan, mask = scene(i)
        volume(tmp_path / f"images/c{i:02d}", scan)
        volume(tmp_path / f"labels/c{i:02d}", mask[::-1] if i == LAST else mask, None)
    with pytest.raises(LabelError, match="'c11' lies otherwise on its scan") as caught:
        open_dataset(tmp_path)
    assert "flipped in z" in str(caught.value)


@pytest.mark.parametrize("placed", [True, False])
def test_one_label_with_a_place_among_others_without(tmp_path: Path, placed: bool) -> None:
    """And one without a place among others that have one: each lies on its scan."""
    for i in range(CASES):
        scan, mask = scene(i)
        volume(tmp_path / f"images/c{i:02d}", scan)
        odd = i == LAST
        volume(
            tmp_path / f"labels/c{i:02d}",
            mask if odd is placed else mask[::-1],
            (3, 1.5, 1.5) if odd is placed else None,
        )
    dataset = open_dataset(tmp_path)
    for case in dataset.labelled:
        image = load_image(dataset, case)
        label = load_label(dataset, case, image.geometry)
        assert image.array()[0][label[0] > 0].mean() > 150, case.id


def test_one_picture_in_colour_is_not_lost(tmp_path: Path) -> None:
    for i in range(CASES):
        grey = picture(i, box(i))
        colours = np.stack([grey, grey if i < LAST else 255 - grey, grey], axis=-1)
        save(tmp_path / f"images/c{i:02d}.png", colours)
        save(tmp_path / f"masks/c{i:02d}.png", 255 * box(i))
    assert open_dataset(tmp_path).channels == ("red", "green", "blue")


def test_one_image_of_more_channels_decides_nothing_and_is_refused(tmp_path: Path) -> None:
    for i in range(CASES):
        plane = picture(i, box(i)).astype(np.float32)
        (tmp_path / "images").mkdir(exist_ok=True)
        stack = np.stack([plane] * 4) if i == LAST else plane
        tifffile.imwrite(
            tmp_path / f"images/c{i:02d}.tif",
            stack,
            photometric="minisblack",
            metadata={"axes": "CYX" if i == LAST else "YX"},
        )
        save(tmp_path / f"masks/c{i:02d}.png", 255 * box(i))
    dataset = open_dataset(tmp_path)
    assert dataset.channels == ("grey",)
    with pytest.raises(SegwrightError, match="4 channels"):
        load_image(dataset, dataset.cases[LAST])


@pytest.mark.parametrize("usual", ["ct", "mr"])
def test_a_volume_that_contradicts_the_guessed_scanner_is_told(tmp_path: Path, usual: str) -> None:
    for i in range(CASES):
        scan, mask = scene(i)
        values = np.abs(scan) - 1000 * ((i == LAST) is (usual == "mr"))
        volume(tmp_path / f"images/c{i:02d}", values.astype("<i2"))
        volume(tmp_path / f"labels/c{i:02d}", mask)
    dataset = open_dataset(tmp_path)
    assert dataset.modality == usual
    assert [f.where for f in segwright.inspect(dataset).findings if f.code == "modality"] == ["c11"]


def test_a_case_whose_channels_show_different_things_is_told(tmp_path: Path) -> None:
    for i in range(CASES):
        for name in ("first", "second"):
            stranger = i == LAST and name == "second"
            save(tmp_path / name / f"c{i:02d}.png", picture(i, box(i + 3 if stranger else i)))
        save(tmp_path / f"masks/c{i:02d}.png", 255 * box(i))
    dataset = open_dataset(tmp_path)
    assert all(len(case.images) == 2 for case in dataset.cases)
    assert any("show the same edges in most cases, but not in c11" in note for note in dataset.notes)


def test_an_image_folder_that_is_a_copy_but_for_one_file_is_not_dropped(tmp_path: Path) -> None:
    for i in range(CASES):
        for name in ("first", "second"):
            stranger = i == LAST and name == "second"
            save(tmp_path / name / f"c{i:02d}.png", picture(i + 100 * stranger, box(i)))
        save(tmp_path / f"masks/c{i:02d}.png", 255 * box(i))
    assert all(len(case.images) == 2 for case in open_dataset(tmp_path).cases)


def test_a_field_of_view_that_is_none_in_one_case_is_refused_by_name(tmp_path: Path) -> None:
    field = np.zeros((40, 48), bool)
    field[2:38, 2:46] = True
    for i in range(CASES):
        save(tmp_path / f"images/c{i:02d}.png", picture(i, box(i)))
        save(tmp_path / f"vessel/c{i:02d}.png", 255 * box(i))
        save(tmp_path / f"window/c{i:02d}.png", 255 * (box(i + 5) if i == LAST else field))
    with pytest.raises(LabelError, match="a field of view in most cases, but not in case 'c11'"):
        open_dataset(tmp_path)


def test_readers_by_what_they_drew_who_are_none_in_one_case_are_refused_by_name(tmp_path: Path) -> None:
    for i in range(CASES):
        save(tmp_path / f"images/c{i:02d}.png", picture(i, box(i)))
        save(tmp_path / f"smith/c{i:02d}.png", 255 * box(i))
        save(tmp_path / f"jones/c{i:02d}.png", 255 * (box(i + 1) if i == LAST else np.roll(box(i), 1, 0)))
    with pytest.raises(LabelError, match="in most cases, but not in case 'c11'") as caught:
        open_dataset(tmp_path)
    (tmp_path / "dataset.yaml").write_text("readers: [smith, jones]\n")
    assert "readers: [" in str(caught.value)
    assert open_dataset(tmp_path).readers == ("smith", "jones")


def test_agreement_of_readers_is_that_of_all_cases(tmp_path: Path) -> None:
    for i in range(CASES):
        save(tmp_path / f"images/c{i:02d}.png", picture(i, box(i)))
        save(tmp_path / f"reader1/c{i:02d}.png", 255 * box(i))
        save(tmp_path / f"reader2/c{i:02d}.png", 255 * (box(i + 9) if i == LAST else np.roll(box(i), 1, 0)))
    dataset = open_dataset(tmp_path)
    assert dataset.readers == ("reader1", "reader2")
    both = box(LAST) & box(LAST + 9)
    lowest = 2 * both.sum() / (2 * box(0).sum())
    assert f"[{lowest:.2f} to 0.92]" in " ".join(dataset.notes)


@pytest.mark.parametrize("odd", ["three planes", "colours"])
def test_a_label_of_other_planes_than_the_others_is_refused(tmp_path: Path, odd: str) -> None:
    for i in range(CASES):
        stack = np.stack([box(i), np.roll(box(i), 5, 1)]).astype(np.uint8)
        if i == LAST:
            stack = (
                np.concatenate([stack, stack[:1]])
                if odd == "three planes"
                else stack * np.array([7, 200])[:, None, None]
            )
        save(tmp_path / f"images/c{i:02d}.png", picture(i, box(i)))
        (tmp_path / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(
            tmp_path / f"masks/c{i:02d}.tif", stack.astype(np.uint8), photometric="minisblack", metadata={"axes": "CYX"}
        )
    dataset = open_dataset(tmp_path)
    assert len(dataset.labels.structures) == 2
    like = load_image(dataset, dataset.cases[0]).geometry
    assert load_label(dataset, dataset.cases[0], like).any()
    with pytest.raises(SegwrightError):
        load_label(dataset, dataset.cases[LAST], like)


def test_one_label_of_several_planes_among_plain_ones_is_refused(tmp_path: Path) -> None:
    for i in range(CASES):
        stack = np.stack([box(i), np.roll(box(i), 5, 1)]).astype(np.uint8)
        save(tmp_path / f"images/c{i:02d}.png", picture(i, box(i)))
        (tmp_path / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"masks/c{i:02d}.tif", stack if i == LAST else stack[0])
    dataset = open_dataset(tmp_path)
    like = load_image(dataset, dataset.cases[0]).geometry
    assert load_label(dataset, dataset.cases[0], like).any()
    with pytest.raises(SegwrightError):
        load_label(dataset, dataset.cases[LAST], like)


def test_background_is_a_plane_that_is_what_others_leave_free_in_every_case(tmp_path: Path) -> None:
    for i in range(CASES):
        first, second = box(i), np.roll(box(i), 16, 1) & ~box(i)
        rest = ~(first | second) if i < LAST else box(i + 1)
        save(tmp_path / f"images/c{i:02d}.png", picture(i, box(i)))
        (tmp_path / "masks").mkdir(exist_ok=True)
        stack = np.stack([first, second, rest]).astype(np.uint8)
        tifffile.imwrite(tmp_path / f"masks/c{i:02d}.tif", stack, photometric="minisblack", metadata={"axes": "CYX"})
    assert len(open_dataset(tmp_path).labels.structures) == 3


def test_one_label_of_ids_among_masks_means_ids(tmp_path: Path) -> None:
    """Ids read as a mask would lose all objects but the first."""
    for i in range(CASES):
        mask = box(i).astype(np.uint8)
        if i == LAST:
            mask[30:36, 2:8] = 2
        save(tmp_path / f"images/c{i:02d}.png", picture(i, box(i)))
        save(tmp_path / f"masks/c{i:02d}.png", mask)
    dataset = as_instances(open_dataset(tmp_path), True)
    case = dataset.cases[LAST]
    label = load_label(dataset, case, load_image(dataset, case).geometry)
    assert sorted(np.unique(label)) == [0, 1, 2]
