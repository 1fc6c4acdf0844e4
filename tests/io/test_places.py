"""Labels without a place in the world come to lie as they were drawn, or are refused with what can be stated."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from segwright.core.case import Dataset
from segwright.core.errors import ChoiceError, GeometryError
from segwright.io.dataset import open_dataset
from segwright.io.layouts import overlays
from segwright.io.lie import planes_for
from segwright.io.load import load_image, load_label

SHAPE = (10, 30, 34)


def scene(seed: int, contrast: float = 200.0) -> tuple[np.ndarray, np.ndarray]:
    """A scan in the order its planes lie in the patient, and a mask low in it and off its centre."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, np.uint8)
    y, x = rng.integers(3, 8, 2)
    mask[1:4, y : y + 7, x : x + 9] = 1
    return np.rint(rng.normal(0, 9, SHAPE) + contrast * mask).astype("<i2"), mask


def series(folder: Path, scan: np.ndarray, *, files: list[str], numbers: list[int]) -> None:
    """Slice z at height 3 z, called `files[z]` and with InstanceNumber `numbers[z]`."""
    folder.mkdir(parents=True)
    uid, study = generate_uid(), generate_uid()
    for z, plane in enumerate(scan):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        d = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        d.PatientID, d.Modality, d.SeriesInstanceUID, d.StudyInstanceUID = folder.parent.name, "CT", uid, study
        d.InstanceNumber, d.Rows, d.Columns, d.PixelSpacing = numbers[z], *plane.shape, [1.5, 1.5]
        d.ImagePositionPatient, d.ImageOrientationPatient = [-30, -30, 3.0 * z], [1, 0, 0, 0, 1, 0]
        d.SamplesPerPixel, d.PhotometricInterpretation, d.RescaleSlope, d.RescaleIntercept = 1, "MONOCHROME2", 1, 0
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 1
        d.PixelData = plane.tobytes()
        d.save_as(folder / files[z], enforce_file_format=True)


DOWN = [f"s{SHAPE[0] - z:03d}.dcm" for z in range(SHAPE[0])]  # files run from the top of the patient to its feet
UP = [f"s{z + 1:03d}.dcm" for z in range(SHAPE[0])]
TURNED = list(range(SHAPE[0], 0, -1))
COUNTED = list(range(1, SHAPE[0] + 1))


def right(dataset: Dataset) -> bool:
    """Whether every label lies on the bright box of its scan."""
    for case in dataset.labelled:
        image = load_image(dataset, case)
        label = load_label(dataset, case, image.geometry)
        if image.array()[0][label[0] > 0].mean() < 150 or (label > 0).sum() != scene(0)[1].sum():
            return False
    return True


def pictures(folder: Path, mask: np.ndarray, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for plane, name in zip(mask, names, strict=True):
        Image.fromarray(255 * plane).save(folder / name)


def numpy_stack(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, mask)


def tiff_stack(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, 255 * mask)


def matlab(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"label": mask.transpose(1, 2, 0)})


STACKS = {".npy": numpy_stack, ".tif": tiff_stack, ".mat": matlab}


@pytest.mark.parametrize("cases", [1, 5])
@pytest.mark.parametrize("suffix", list(STACKS))
@pytest.mark.parametrize("order", ["file", "position", "number"])
def test_a_stack_made_in_any_order_of_a_series_is_laid_by_the_image(tmp_path, suffix, order, cases):
    files, numbers = (DOWN, COUNTED) if order == "file" else (UP, TURNED)
    for p in range(cases):
        scan, mask = scene(p)
        series(tmp_path / f"p{p}" / "DICOM", scan, files=files, numbers=numbers)
        STACKS[suffix](tmp_path / f"p{p}" / f"label{suffix}", mask if order == "position" else mask[::-1])
    dataset = open_dataset(tmp_path)
    assert right(dataset)
    assert {case.label[0].order for case in dataset.labelled} == {order}
    assert any("border contrast" in note for note in dataset.notes)


@pytest.mark.parametrize("names", [[f"m_{k:02d}.png" for k in range(10)], [f"{k + 1}.png" for k in range(10)]])
@pytest.mark.parametrize("contrast", [0.0, 200.0])
def test_a_picture_a_slice_follows_the_files_it_is_numbered_as(tmp_path, names, contrast):
    """Where the images show nothing, equal numbers tell; numbers that are not equal are refused."""
    for p in range(5):
        scan, mask = scene(p, contrast)
        series(tmp_path / f"p{p}" / "DICOM", scan, files=DOWN, numbers=TURNED)
        pictures(tmp_path / f"p{p}" / "masks", mask[::-1], names)
    if contrast:
        assert right(open_dataset(tmp_path))
    elif names[0] == "1.png":
        dataset = open_dataset(tmp_path)
        label = load_label(dataset, dataset.cases[0], load_image(dataset, dataset.cases[0]).geometry)
        assert np.array_equal(label[0] > 0, scene(0)[1] > 0)
        assert any("the images do not tell" in note for note in dataset.notes)
    else:
        with pytest.raises(ChoiceError, match="fit their scans in 2 ways; the images do not tell which"):
            open_dataset(tmp_path)


def test_ways_that_cannot_be_told_are_shown_each_with_the_line_that_states_it(tmp_path, monkeypatch):
    (tmp_path / "drawn").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "drawn"))
    place = tmp_path / "scans"
    for p in range(3):
        scan, mask = scene(p, 0.0)
        series(place / f"p{p}" / "DICOM", scan, files=DOWN, numbers=COUNTED)
        numpy_stack(place / f"p{p}" / "label.npy", mask)
    with pytest.raises(ChoiceError) as caught:
        open_dataset(place)
    pictures = sorted((tmp_path / "drawn").rglob("*.png"))
    assert [path.name for path in pictures] == ["1-position.png", "2-file.png"]
    assert all(str(path) in str(caught.value) for path in pictures)
    shown = [np.asarray(Image.open(path)) for path in pictures]
    assert all((page == (255, 40, 40)).all(axis=2).any() for page in shown)
    slices = [np.where((page == (255, 40, 40)).all(axis=2)[..., None], 0, page)[40:, :500] for page in shown]
    assert not np.array_equal(*slices)
    for reading, z in zip(caught.value.readings, (1, SHAPE[0] - 4), strict=True):
        (place / "dataset.yaml").write_text(reading.text)
        dataset = open_dataset(place)
        label = load_label(dataset, dataset.cases[0], load_image(dataset, dataset.cases[0]).geometry)
        assert np.flatnonzero(label[0].any(axis=(1, 2))).tolist() == [z, z + 1, z + 2]
    assert not list((tmp_path / "drawn").iterdir())  # the question is answered


def test_pictures_of_earlier_questions_do_not_stay(tmp_path, monkeypatch):
    """Those that the last message points to do; so do recent ones of other data sets."""
    drawn = tmp_path / "drawn"
    monkeypatch.setattr(tempfile, "tempdir", str(drawn))
    for name, age in (("old", 8), ("new", 1)):
        (drawn / f"segwright-ways-{name}").mkdir(parents=True)
        os.utime(drawn / f"segwright-ways-{name}", (time.time() - age * 24 * 3600,) * 2)
    scan, mask = scene(0, 0.0)
    series(tmp_path / "scans/p0/DICOM", scan, files=DOWN, numbers=COUNTED)
    numpy_stack(tmp_path / "scans/p0/label.npy", mask)
    for _ in range(2):
        with pytest.raises(ChoiceError) as caught:
            open_dataset(tmp_path / "scans")
    folders = sorted(path.name for path in drawn.iterdir())
    assert len(folders) == 2 and "segwright-ways-new" in folders
    assert all(str(path) in str(caught.value) for path in drawn.rglob("*.png"))
    assert len(list(drawn.rglob("*.png"))) == 2
    (drawn / next(name for name in folders if "new" not in name) / "1-position.png").unlink()
    places = overlays.pictures(str(tmp_path / "scans"), ["a"], [["a"]], iter(()))
    assert places == [None] and [path.name for path in drawn.iterdir()] == ["segwright-ways-new"]


def test_axes_of_a_cube_that_cannot_be_told_are_asked_for(tmp_path):
    for p in range(3):
        rng = np.random.default_rng(p)
        (tmp_path / "images").mkdir(exist_ok=True)
        scan = rng.normal(0, 9, (20, 20, 20)).astype("<i2")
        nib.save(nib.Nifti1Image(scan.transpose(2, 1, 0), np.diag([1.5, 1.5, 3, 1])), tmp_path / f"images/p{p}.nii.gz")
        mask = np.zeros((20, 20, 20), np.uint8)
        mask[2:5, 4:11, 7:19] = 1
        numpy_stack(tmp_path / "labels" / f"p{p}.npy", mask)
    with pytest.raises(ChoiceError) as caught:
        open_dataset(tmp_path)
    texts = [reading.text for reading in caught.value.readings]
    assert "label_axes: zyx\n" in texts and "label_axes: xyz\n" in texts
    (tmp_path / "dataset.yaml").write_text("label_axes: xyz\n")
    dataset = open_dataset(tmp_path)
    label = load_label(dataset, dataset.cases[0], load_image(dataset, dataset.cases[0]).geometry)
    assert np.array_equal(label[0], mask.transpose(2, 1, 0))


def test_a_stated_flip_is_laid_without_a_look(tmp_path):
    scan, mask = scene(0)
    (tmp_path / "images").mkdir()
    nib.save(nib.Nifti1Image(scan.transpose(2, 1, 0), np.diag([1.5, 1.5, 3, 1])), tmp_path / "images" / "a.nii.gz")
    numpy_stack(tmp_path / "labels" / "a.npy", mask)
    (tmp_path / "dataset.yaml").write_text("images: images\nlabels: labels\nlabel_flip: zx\n")
    dataset = open_dataset(tmp_path)
    label = load_label(dataset, dataset.cases[0], load_image(dataset, dataset.cases[0]).geometry)
    assert np.array_equal(label[0], mask[::-1, :, ::-1])


def test_files_in_no_order_of_space_are_followed(tmp_path):
    """File names that jump about in the patient, as archives give them."""
    shuffle = np.random.default_rng(5).permutation(SHAPE[0])
    files = [f"im{shuffle[z]:03d}.dcm" for z in range(SHAPE[0])]
    for p in range(5):
        scan, mask = scene(p)
        series(tmp_path / f"p{p}" / "DICOM", scan, files=files, numbers=COUNTED)
        numpy_stack(tmp_path / f"p{p}" / "label.npy", mask[np.argsort(shuffle)])
    dataset = open_dataset(tmp_path)
    assert right(dataset)
    assert dataset.labelled[0].label[0].order == "file"


def test_slices_without_the_object_may_be_left_out(tmp_path):
    for p in range(5):
        scan, mask = scene(p)
        series(tmp_path / f"p{p}" / "DICOM", scan, files=DOWN, numbers=TURNED)
        kept = [z for z in range(SHAPE[0]) if 1 <= z <= 5]
        pictures(tmp_path / f"p{p}" / "masks", mask[kept], [f"m{int(DOWN[z][1:4]):03d}.png" for z in kept])
    assert right(open_dataset(tmp_path))


@pytest.mark.parametrize("flip", ["y", "z", "zy"])
def test_an_array_that_runs_backwards_on_its_scan_is_turned(tmp_path, flip):
    axes = tuple("zyx".index(axis) for axis in flip)
    for p in range(5):
        scan, mask = scene(p)
        image = nib.Nifti1Image(scan.transpose(2, 1, 0), np.diag([1.5, 1.5, 3, 1]))
        (tmp_path / "images").mkdir(exist_ok=True)
        nib.save(image, tmp_path / "images" / f"p{p}.nii.gz")
        numpy_stack(tmp_path / "labels" / f"p{p}.npy", np.flip(mask, axes))
    dataset = open_dataset(tmp_path)
    assert right(dataset)
    assert {case.label[0].flip for case in dataset.labelled} == {flip}


@pytest.mark.parametrize("axes", ["xyz", "yxz", "zyx"])
@pytest.mark.parametrize("cube", [False, True])
def test_axes_of_an_array_are_found_by_its_shape_or_by_the_image(tmp_path, axes, cube):
    for p in range(5):
        scan, mask = scene(p)
        if cube:
            scan, mask = (np.pad(a, ((0, 20), (0, 0), (0, 0)))[:, :, :30] for a in (scan, mask))
        (tmp_path / "images").mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(scan.transpose(2, 1, 0), np.diag([1.5, 1.5, 3, 1])), tmp_path / f"images/p{p}.nii.gz")
        numpy_stack(tmp_path / "labels" / f"p{p}.npy", mask.transpose(["zyx".index(axis) for axis in axes]))
    assert right(open_dataset(tmp_path))


def test_what_is_stated_is_not_judged(tmp_path):
    for p in range(3):
        scan, mask = scene(p)
        series(tmp_path / f"p{p}" / "DICOM", scan, files=DOWN, numbers=COUNTED)
        numpy_stack(tmp_path / f"p{p}" / "label.npy", mask[::-1])
    dataset = open_dataset(tmp_path)
    stated = tmp_path / "dataset.yaml"
    dataset.save(stated)
    stated.write_text(stated.read_text().replace("order: file", "order: position"))
    again = open_dataset(stated)
    case = again.labelled[0]
    label = load_label(again, case, load_image(again, case).geometry)
    assert np.array_equal(label[0] > 0, scene(0)[1][::-1] > 0)


def test_a_label_with_a_place_takes_no_order(tmp_path):
    scan, mask = scene(0)
    for name, array in (("images", scan), ("labels", mask)):
        (tmp_path / name).mkdir()
        nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), np.diag([1.5, 1.5, 3, 1])), tmp_path / name / "a.nii.gz")
    dataset = open_dataset(tmp_path)
    case = dataset.cases[0]
    turned = case.model_copy(update={"label": (case.label[0].model_copy(update={"flip": "z"}),)})
    with pytest.raises(GeometryError, match="says itself where it lies"):
        load_label(dataset, turned, load_image(dataset, case).geometry)


def test_orders_of_planes_are_counted_by_hand():
    planes = (("b.dcm", 0, 3.0), ("a.dcm", 0, 1.0), ("c.dcm", 0, 2.0))
    header = {"slices": planes}
    assert planes_for("position", header, 3).tolist() == [0, 1, 2]
    assert planes_for("file", header, 3).tolist() == [1, 0, 2]
    assert planes_for("number", header, 3).tolist() == [1, 2, 0]
    assert planes_for("number", header, 2, ("m1.png", "m3.png")).tolist() == [1, 0]
    assert planes_for("number", header, 2, ("m1.png", "m4.png")) is None
    assert planes_for("position", header, 2) is None
    assert planes_for("number", {"slices": (("a", 0, 0.0), ("b", 0, 0.0))}, 2) is None
