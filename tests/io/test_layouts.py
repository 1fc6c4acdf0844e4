"""Every arrangement people keep scans in is read as it is, on files made here and on real folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from segwright import io
from segwright.api.instances import arranged
from segwright.core.case import Dataset
from segwright.core.errors import LayoutError, UnknownNameError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.recipe import Recipe
from segwright.core.volume import Volume
from segwright.io.dataset import open_dataset
from segwright.io.layouts import LAYOUTS, content, fits
from segwright.io.layouts.groups import guess_groups
from segwright.io.layouts.names import match
from segwright.io.layouts.scan import Item, numbered
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images

Find = Callable[[str], Path]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def nii(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 2, 3, 1]) if affine is None else affine), path)


def picture(seed: int = 0, shape: tuple[int, ...] = (24, 20)) -> np.ndarray:
    return rng(seed).integers(0, 255, shape, dtype=np.uint8)


def mask(value: int = 255, shape: tuple[int, int] = (24, 20), at: int = 5) -> np.ndarray:
    out = np.zeros(shape, np.uint8)
    out[at : at + 8, 4:12] = value
    return out


def scan3(seed: int = 0) -> np.ndarray:
    return rng(seed).normal(100, 20, (8, 9, 6)).astype(np.float32).clip(0)


def label3(*values: int) -> np.ndarray:
    out = np.zeros((8, 9, 6), np.uint8)
    for i, value in enumerate(values):
        out[2 * i : 2 * i + 2, 2:6, 1:5] = value
    return out


def loads(dataset: Dataset) -> None:
    """Every case's image and label can be loaded, with the planes the label space names."""
    for case in dataset.cases:
        volume = load_image(dataset, case)
        assert volume.array().shape == (len(dataset.channels), *volume.geometry.shape)
        if case.label:
            label = load_label(dataset, case, volume.geometry)
            assert label.shape == (dataset.labels.planes, *volume.geometry.shape)
            assert label.dtype == dataset.labels.dtype
            assert (label > 0).any()


@pytest.mark.parametrize(
    ("images", "labels", "image_name", "label_name"),
    [
        ("images", "masks", "{}", "{}"),
        ("image", "label", "{}", "{}_label"),
        ("imgs", "gt", "img_{}", "gt_{}"),
        ("Images", "GroundTruth", "{}", "{}_segmentation"),
        ("CXR_png", "ManualMask", "{}", "{}"),
        ("x", "y", "{}", "{}"),
        ("imagesTr", "labelsTr", "{}_0000", "{}"),
        ("data", "target", "volume-{}", "segmentation-{}"),
        ("photos", "contours", "{}_training", "{}_manual1"),
    ],
)
def test_paired_folders_of_any_name(tmp_path: Path, images: str, labels: str, image_name: str, label_name: str) -> None:
    for i, name in enumerate(["a12", "b7", "c103"]):
        png(tmp_path / images / (image_name.format(name) + ".png"), picture(i))
        png(tmp_path / labels / (label_name.format(name) + ".png"), mask())
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "pairs"
    assert len(dataset.labelled) == 3
    for case in dataset.cases:
        key = next(name for name in ("a12", "b7", "c103") if name in case.images[0].path)
        assert key in case.label[0].path
    assert dataset.labels.names == ("foreground",)
    loads(dataset)


def test_mixed_formats_and_orphans_are_kept_visible(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(picture(i)).save(tmp_path / f"images/p{i}.jpg")
    for i in range(2):
        png(tmp_path / f"masks/p{i}.png", mask())
    png(tmp_path / "masks/p9.png", mask())
    dataset = open_dataset(tmp_path)
    assert [(c.id, len(c.images), len(c.label)) for c in dataset.cases] == [
        ("p0", 1, 1), ("p1", 1, 1), ("p2", 1, 0), ("p9", 0, 1),
    ]  # fmt: skip


def test_one_mask_folder_a_structure_keeps_overlap(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / f"images/c{i}.png", picture(i))
        png(tmp_path / f"masks/heart/c{i}.png", mask(at=4))
        png(tmp_path / f"masks/lung/c{i}.png", mask(at=8))
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("heart", "lung")
    assert dataset.labels.kind == "overlapping"
    case = dataset.cases[0]
    label = load_label(dataset, case, load_image(dataset, case).geometry)
    assert label.sum(axis=0).max() == 2


def test_structure_folders_beside_the_images(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / f"img/c{i}.png", picture(i))
        png(tmp_path / f"leftMask/c{i}.png", mask(at=4))
        png(tmp_path / f"rightMask/c{i}.png", mask(at=14))
    assert open_dataset(tmp_path).labels.names == ("left", "right")


def test_mask_folder_a_case(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / f"images/c{i}.png", picture(i))
        png(tmp_path / f"masks/c{i}/heart.png", mask(at=4))
        png(tmp_path / f"masks/c{i}/lung.png", mask(at=8))
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("heart", "lung")
    loads(dataset)


def test_structures_named_in_the_files_of_the_label_folder(tmp_path: Path) -> None:
    for i in range(4):
        png(tmp_path / f"scans/J{i}.png", picture(i))
        png(tmp_path / f"annotations/J{i}_heart.png", mask(at=4))
        png(tmp_path / f"annotations/J{i}_lung.png", mask(at=14))
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("heart", "lung")
    loads(dataset)


def test_several_frames_a_patient_folder_are_cases_of_one_group(tmp_path: Path) -> None:
    for i in range(7):
        name = f"patient{i:03d}"
        nii(tmp_path / f"{name}/{name}_4d.nii.gz", np.stack([scan3(i)] * 3, axis=-1))
        for frame in (1, 7 + i % 3):
            nii(tmp_path / f"{name}/{name}_frame{frame:02d}.nii.gz", scan3(i))
            nii(tmp_path / f"{name}/{name}_frame{frame:02d}_gt.nii.gz", label3(1, 2))
    dataset = open_dataset(tmp_path)
    assert len(dataset.labelled) == 14
    assert dataset.channels == ("grey",)
    assert len({case.group for case in dataset.cases}) == 7


def test_one_mask_file_an_object_is_united(tmp_path: Path) -> None:
    for i in range(6):
        png(tmp_path / f"h{i}/images/h{i}.png", picture(i))
        for k in range(5):
            png(tmp_path / f"h{i}/masks/{hash((i, k)):x}.png", mask(at=2 * k))
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("foreground",)
    loads(dataset)


def test_series_with_sections_as_label(tmp_path: Path, shared_data: Find) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "DICOM_anon").symlink_to(shared_data("odd") / "dicom-series")
        for z in range(20):
            png(tmp_path / name / f"Ground/IMG-{z:03d}.png", np.pad(mask(63), ((0, 488), (0, 492))))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, len(dataset.labelled), dataset.modality) == ("patients", 2, "ct")
    loads(dataset)


def test_train_and_test_parts_are_put_together_and_told(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for i in range(2):
            png(tmp_path / f"{part}/images/c{i}.png", picture(i))
            png(tmp_path / f"{part}/masks/c{i}.png", mask())
    dataset = open_dataset(tmp_path)
    assert {c.id for c in dataset.cases} == {"train_c0", "train_c1", "test_c0", "test_c1"}
    assert any("put together" in note for note in dataset.notes)


def test_channel_folders(tmp_path: Path) -> None:
    for i in range(3):
        nii(tmp_path / f"CT/c{i}.nii.gz", scan3(i))
        nii(tmp_path / f"PET/c{i}.nii.gz", scan3(i + 10))
        nii(tmp_path / f"seg/c{i}.nii.gz", label3(1, 2))
    dataset = open_dataset(tmp_path)
    assert dataset.channels == ("CT", "PET")
    loads(dataset)


def test_suffix_in_one_folder(tmp_path: Path) -> None:
    for i in range(4):
        png(tmp_path / f"case{i}.png", picture(i))
        png(tmp_path / f"case{i}_mask.png", mask())
    dataset = open_dataset(tmp_path)
    assert len(dataset.labelled) == 4
    loads(dataset)


def test_suffix_in_folders_of_patients(tmp_path: Path) -> None:
    for patient in range(7):
        for i in range(1, 3):
            png(tmp_path / f"TCGA_{patient:03d}/TCGA_{patient:03d}_{i}.png", picture(i, (24, 20, 3)))
            png(tmp_path / f"TCGA_{patient:03d}/TCGA_{patient:03d}_{i}_mask.png", mask())
    dataset = open_dataset(tmp_path)
    assert len(dataset.labelled) == 14
    assert len({case.group for case in dataset.cases}) == 7
    assert dataset.channels == ("red", "green", "blue")


def test_suffix_names_structures(tmp_path: Path) -> None:
    for i in range(3):
        nii(tmp_path / f"p{i}.nii.gz", scan3(i))
        nii(tmp_path / f"p{i}_liver_seg.nii.gz", label3(1))
        nii(tmp_path / f"p{i}_spleen_seg.nii.gz", label3(0, 1))
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("liver", "spleen")
    loads(dataset)


def test_nnunet_two_with_regions_and_ignore(tmp_path: Path) -> None:
    table = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "T2"}, "labels": table}))
    for i in range(2):
        nii(tmp_path / f"imagesTr/c_{i}_0000.nii.gz", scan3(i))
        nii(tmp_path / f"imagesTr/c_{i}_0001.nii.gz", scan3(i + 5))
        nii(tmp_path / f"labelsTr/c_{i}.nii.gz", label3(1, 2, 3))
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "nnunet"
    assert (dataset.channels, dataset.modality) == (("T1", "T2"), "mr")
    assert dataset.labels.kind == "overlapping"
    label = load_label(dataset, dataset.cases[0], load_image(dataset, dataset.cases[0]).geometry)
    raw = label3(1, 2, 3).transpose(2, 1, 0)
    np.testing.assert_array_equal(label[0], np.where(raw == 3, -1, (raw > 0).astype(int)))
    np.testing.assert_array_equal(label[1], np.where(raw == 3, -1, (raw == 2).astype(int)))


def test_decathlon_and_data_lists(tmp_path: Path) -> None:
    rows = [{"image": f"./imagesTr/c{i}.nii.gz", "label": f"./labelsTr/c{i}.nii.gz"} for i in range(2)]
    facts = {"modality": {"0": "FLAIR", "1": "T1"}, "labels": {"0": "background", "1": "tumour"}, "training": rows}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    for i in range(2):
        nii(tmp_path / f"imagesTr/c{i}.nii.gz", np.stack([scan3(i), scan3(i + 5)], axis=-1))
        nii(tmp_path / f"labelsTr/c{i}.nii.gz", label3(1))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.channels) == ("decathlon", ("FLAIR", "T1"))
    loads(dataset)


@pytest.mark.parametrize(("overlap", "kind"), [(False, "exclusive"), (True, "overlapping")])
def test_totalsegmentator(tmp_path: Path, overlap: bool, kind: str) -> None:
    for i in range(3):
        nii(tmp_path / f"s{i:04d}/ct.nii.gz", scan3(i))
        nii(tmp_path / f"s{i:04d}/segmentations/liver.nii.gz", label3(1))
        if i != 2:
            nii(tmp_path / f"s{i:04d}/segmentations/spleen.nii.gz", label3(1) if overlap else label3(0, 1))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.modality, dataset.labels.kind) == ("totalsegmentator", "ct", kind)
    assert dataset.labels.names == ("liver", "spleen")
    loads(dataset)


@pytest.mark.parametrize("prefixed", [False, True])
def test_folder_a_patient(tmp_path: Path, prefixed: bool) -> None:
    for i in range(3):
        head = f"BraTS_{i:03d}_" if prefixed else ""
        for j, name in enumerate(("flair", "t1c")):
            nii(tmp_path / f"BraTS_{i:03d}/{head}{name}.nii.gz", scan3(3 * i + j))
        nii(tmp_path / f"BraTS_{i:03d}/{head}seg.nii.gz", label3(1, 4))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.channels, dataset.modality) == ("patients", ("flair", "t1c"), "mr")
    assert [s.values for s in dataset.labels.structures] == [(1,), (4,)]
    assert {case.group for case in dataset.cases} == {f"BraTS_{i:03d}" for i in range(3)}
    loads(dataset)


def test_folder_a_patient_with_visits_groups_by_patient(tmp_path: Path) -> None:
    for i in range(6):
        for visit in ("v1", "v2"):
            nii(tmp_path / f"p{i}/{visit}/image.nii.gz", scan3(i))
            nii(tmp_path / f"p{i}/{visit}/label.nii.gz", label3(1))
    dataset = open_dataset(tmp_path)
    assert len(dataset.cases) == 12
    assert {case.group for case in dataset.cases} == {f"p{i}" for i in range(6)}


@pytest.mark.parametrize(("masks", "label", "opened"), [("mmmm", True, 3), ("iiii", False, 2), ("imim", False, 3)])
def test_no_more_files_are_opened_than_tell_labels_from_images(tmp_path, monkeypatch, masks, label, opened) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (1, 16, 16)).astype(np.uint8)
    looked: list[Path] = []
    looks = content.is_label
    monkeypatch.setattr(content, "is_label", lambda path: [looked.append(path), looks(path)][1])
    items = []
    for i, kind in enumerate(masks):
        array = picture if kind == "i" else np.where(picture > 99, 7, 2).astype(np.uint8)
        io.write(Volume.of(array, Geometry.from_spacing(array.shape)), tmp_path / f"{i}.png")
        items.append(Item(tmp_path / f"{i}.png", str(i)))
    assert content.mostly_labels(items, 4) is label and len(looked) == opened


def test_label_is_told_by_its_content_where_no_name_tells(tmp_path: Path) -> None:
    for i in range(3):
        nii(tmp_path / f"{i:04d}/image.nii.gz", scan3(i))
        nii(tmp_path / f"{i:04d}/lobes.nii.gz", label3(1, 2, 3))
    dataset = open_dataset(tmp_path)
    assert dataset.cases[0].label[0].path == "0000/lobes.nii.gz"


def test_single_pair_in_one_folder(tmp_path: Path) -> None:
    nii(tmp_path / "example_ct.nii.gz", scan3())
    nii(tmp_path / "labels.nii.gz", label3(1, 2))
    dataset = open_dataset(tmp_path)
    assert [case.id for case in dataset.cases] == ["example_ct"]
    loads(dataset)


def smooth_stack(count: int = 10) -> np.ndarray:
    """Sections that change slowly from one to the next."""
    noise = rng(3).normal(size=(count + 12, 40, 40))
    walk = np.stack([noise[i : i + 6].mean(axis=0) for i in range(count)])
    return ((walk - walk.min()) / np.ptp(walk) * 255).astype(np.uint8)


def test_sections_are_one_stack(tmp_path: Path) -> None:
    for i, plane in enumerate(smooth_stack()):
        png(tmp_path / f"raw/p{i:02d}.png", plane)
        png(tmp_path / f"mito/p{i:02d}.png", mask(shape=(40, 40)))
        png(tmp_path / f"membranes/p{i:02d}.png", mask(shape=(40, 40), at=10))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, len(dataset.cases), dataset.modality) == ("sections", 1, "em")
    assert dataset.modality_told == "em, a guess", "nothing says so, and it decides how intensities are treated"
    (note,) = (note for note in dataset.notes if "single stack of grey pictures" in note)
    assert "a guess" in note and "modality=NAME" in note
    assert load_image(dataset, dataset.cases[0]).geometry.shape == (10, 40, 40)
    assert dataset.labels.names == ("membranes", "mito")
    stated, blocks = arranged(dataset, Recipe(modality="mr"))
    assert stated.modality == "mr" and blocks is None, "a recipe may know better"
    assert stated.modality_told == "mr"
    loads(dataset)


def test_numbered_images_of_different_patients_are_not_a_stack(tmp_path: Path) -> None:
    for i in range(10):
        png(tmp_path / f"images/{i:03d}.png", picture(i, (40, 40)))
        png(tmp_path / f"masks/{i:03d}.png", mask(shape=(40, 40)))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, len(dataset.cases)) == ("pairs", 10)


def test_table(tmp_path: Path) -> None:
    lines = ["id;image_t1;image_t2;label_a;label_b;group"]
    for i in range(2):
        for name in ("t1", "t2"):
            nii(tmp_path / f"f/{name}{i}.nii.gz", scan3(i))
        nii(tmp_path / f"f/a{i}.nii.gz", label3(1))
        nii(tmp_path / f"f/b{i}.nii.gz", label3(1, 1))
        lines.append(f"c{i};f/t1{i}.nii.gz;f/t2{i}.nii.gz;f/a{i}.nii.gz;f/b{i}.nii.gz;g")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    for place in (tmp_path, tmp_path / "cases.csv"):
        dataset = open_dataset(place)
        assert (dataset.layout, dataset.channels) == ("table", ("t1", "t2"))
        assert dataset.labels.kind == "overlapping"
        assert {case.group for case in dataset.cases} == {"g"}
        loads(dataset)


@pytest.mark.parametrize(("image", "label"), [("I", "GT"), ("raw", "label"), ("volumes/raw", "volumes/labels/mito")])
def test_image_and_label_in_one_file(tmp_path: Path, image: str, label: str) -> None:
    for i in range(2):
        if "/" in image:
            with h5py.File(tmp_path / f"c{i}.h5", "w") as store:
                store[image], store[label] = scan3(i), label3(1)
        else:
            savemat(tmp_path / f"c{i}.mat", {image: scan3(i), label: label3(1)})
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "container"
    assert (dataset.cases[0].images[0].key, dataset.cases[0].label[0].key) == (image, label)
    loads(dataset)


def test_planes_of_a_matlab_label_are_structures_and_the_complement_is_background(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / f"dataset/c{i}.png", picture(i))
        a, b = mask(1, at=2), mask(1, at=12)
        savemat_to = tmp_path / "label"
        savemat_to.mkdir(exist_ok=True)
        savemat(savemat_to / f"c{i}.mat", {"label_separated": np.stack([a, b, 1 - (a | b)], axis=-1)})
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("structure_1", "structure_2")
    assert dataset.labels.kind == "exclusive"
    label = load_label(dataset, dataset.cases[0], load_image(dataset, dataset.cases[0]).geometry)
    np.testing.assert_array_equal(label[0, 0], mask(1, at=2) + 2 * mask(1, at=12))


def test_bids(tmp_path: Path) -> None:
    for i in range(3):
        for name in ("T1w", "FLAIR"):
            nii(tmp_path / f"sub-{i:02d}/ses-1/anat/sub-{i:02d}_ses-1_{name}.nii.gz", scan3(i))
        nii(tmp_path / f"derivatives/manual/sub-{i:02d}/ses-1/anat/sub-{i:02d}_ses-1_dseg.nii.gz", label3(1))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.channels) == ("bids", ("FLAIR", "T1w"))
    assert {case.group for case in dataset.cases} == {"sub-00", "sub-01", "sub-02"}
    loads(dataset)


def test_errors_say_what_was_seen_and_what_would_fit(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / f"things/a{i}.png", picture(i))
        png(tmp_path / f"masks/z{'xyw'[i]}.png", mask())
    with pytest.raises(LayoutError) as caught:
        open_dataset(tmp_path)
    told = str(caught.value)
    assert "things/  3 .png" in told and "images in things/ beside labels in masks/; 0 of 3 names match" in told
    assert "images: things" in told and "labels: masks" in told
    with pytest.raises(LayoutError, match="no such folder"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(UnknownNameError, match="layout"):
        open_dataset(tmp_path, layout="pair")
    with pytest.raises(LayoutError, match="not arranged"):
        open_dataset(tmp_path, layout="bids")


def test_edited_interpretation_is_taken_as_it_is(tmp_path: Path) -> None:
    for i in range(2):
        png(tmp_path / f"images/c{i}.png", picture(i))
        png(tmp_path / f"masks/c{i}.png", mask())
    dataset = open_dataset(tmp_path).model_copy(update={"root": ".", "modality": "other"})
    dataset.save(tmp_path / "dataset.yaml")
    again = open_dataset(tmp_path / "dataset.yaml")
    assert again == dataset.model_copy(update={"root": str(tmp_path.resolve())})
    doubled = dataset.model_copy(update={"cases": dataset.cases[:1] * 2})
    doubled.save(tmp_path / "dataset.yaml")
    with pytest.raises(UsageError, match="Two cases"):
        open_dataset(tmp_path / "dataset.yaml")


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_each_layout_keeps_the_contract(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS.load(name)
    assert layout.looks_like
    assert fits(layout, tmp_path) is False
    (tmp_path / "dataset.json").write_text("{broken")
    (tmp_path / "x.png").write_bytes(b"no picture")
    (tmp_path / "sub-1").mkdir()
    assert fits(layout, tmp_path) is False


class TestValues:
    def test_lossy_masks_are_repaired_and_told(self, tmp_path: Path) -> None:
        for i in range(3):
            png(tmp_path / f"images/c{i}.png", picture(i, (64, 64)))
            (tmp_path / "masks").mkdir(exist_ok=True)
            big = np.kron(mask(), np.ones((8, 8), np.uint8))[3:67, 5:69]
            Image.fromarray(big).save(tmp_path / f"masks/c{i}.jpg", quality=80)
        dataset = open_dataset(tmp_path)
        assert dataset.labels.names == ("foreground",)
        assert any("smeared" in note for note in dataset.notes)
        loads(dataset)


class TestGroups:
    def test_views_of_a_patient(self) -> None:
        ids = [f"sp-1th-{d}-Jan-{n}_{v}_AP" for d, n in ((3, 16), (5, 7), (6, 8), (7, 1), (8, 2), (9, 3)) for v in "AB"]
        found = guess_groups(ids)
        assert found is not None
        assert len(set(found[0].values())) == 6
        assert found[0]["sp-1th-3-Jan-16_A_AP"] == "sp-1th-3-Jan-16"

    @pytest.mark.parametrize("template", ["hippocampus_{:03d}", "JPCLN{:03d}", "{:04d}", "BraTS20_Training_{:03d}"])
    def test_plain_numbers_are_no_groups(self, template: str) -> None:
        assert guess_groups([template.format(i) for i in range(60)]) is None

    @pytest.mark.parametrize(
        "template", ["patient{:03d}_frame{:02d}", "slide_{}_tile_{}", "P{:03d}-{}", "TCGA_CS_{:04d}_199609_{}"]
    )
    def test_prefixes(self, template: str) -> None:
        found = guess_groups([template.format(p, i) for p in range(9) for i in range(1, 4)])
        assert found is not None
        assert len(set(found[0].values())) == 9

    def test_left_and_right_first(self) -> None:
        found = guess_groups([f"{side}_{i:03d}" for i in range(10) for side in ("left", "right")])
        assert found is not None
        assert found[0]["left_004"] == found[0]["right_004"]


class TestPrediction:
    def test_single_file_and_folder(self, tmp_path: Path) -> None:
        for name in ("b", "a"):
            nii(tmp_path / f"{name}.nii.gz", scan3())
        assert [c.id for c in open_images(tmp_path / "a.nii.gz", ("ct",)).cases] == ["a"]
        dataset = open_images(tmp_path, ("ct",))
        assert [c.id for c in dataset.cases] == ["a", "b"]
        assert load_image(dataset, dataset.cases[0]).channels == ("ct",)

    def test_numbered_channels(self, tmp_path: Path) -> None:
        for name in ("p_1", "p_2"):
            for channel in range(2):
                nii(tmp_path / f"{name}_{channel:04d}.nii.gz", scan3())
        dataset = open_images(tmp_path, ("t1", "t2"))
        assert [(c.id, len(c.images)) for c in dataset.cases] == [("p_1", 2), ("p_2", 2)]
        one = tmp_path / "one"
        nii(one / "p_0000.nii.gz", scan3())
        assert [c.id for c in open_images(one, ("t1",)).cases] == ["p"]

    def test_folder_a_patient_takes_channels_by_name(self, tmp_path: Path) -> None:
        for i in range(2):
            for name in ("flair", "t1c", "label"):
                nii(tmp_path / f"p{i}/{name}.nii.gz", scan3())
        dataset = open_images(tmp_path, ("t1c", "flair"))
        assert [s.path for s in dataset.cases[0].images] == ["p0/t1c.nii.gz", "p0/flair.nii.gz"]

    def test_labels_of_a_training_folder_are_left_aside(self, tmp_path: Path) -> None:
        for i in range(3):
            png(tmp_path / f"images/c{i}.png", picture(i))
            png(tmp_path / f"masks/c{i}.png", mask())
        dataset = open_images(tmp_path, ("grey",))
        assert next((c.id, c.images[0].path, c.label) for c in dataset.cases) == ("c0", "images/c0.png", ())

    def test_image_beside_its_label_in_one_file(self, tmp_path: Path) -> None:
        savemat(tmp_path / "c.mat", {"I": scan3(), "GT": label3(1)})
        for place in (tmp_path, tmp_path / "c.mat"):
            dataset = open_images(place, ("grey",))
            assert [(s.path, s.key) for s in dataset.cases[0].images] == [("c.mat", "I")]
            assert load_image(dataset, dataset.cases[0]).geometry.shape == (6, 8, 9)

    def test_sections_are_one_scan(self, tmp_path: Path) -> None:
        for i, plane in enumerate(smooth_stack()):
            png(tmp_path / f"raw/p{i:02d}.png", plane)
        dataset = open_images(tmp_path / "raw", ("grey",))
        assert len(dataset.cases) == 1
        assert load_image(dataset, dataset.cases[0]).geometry.shape == (10, 40, 40)

    def test_nothing_to_predict(self, tmp_path: Path) -> None:
        with pytest.raises(LayoutError, match="No scans"):
            open_images(tmp_path, ("ct",))

    def test_series(self, shared_data: Find) -> None:
        dataset = open_images(shared_data("odd") / "dicom-series", ("ct",))
        assert [c.id for c in dataset.cases] == ["dicom-series"]
        assert load_image(dataset, dataset.cases[0]).geometry.shape[0] == 20


REAL = {
    "hippocampus": ("decathlon", 200, "mr", "exclusive", 2, 200),
    "spine-masks": ("pairs", 60, "xray", "exclusive", 1, None),
    "spine-dicom": ("pairs", 60, "xray", "overlapping", 6, None),
    "chest": ("pairs", 120, "xray", "overlapping", 5, 120),
    "abdomen-mri": ("nnunet", 9, "mr", "exclusive", 4, 9),
    "tumour-mri": ("patients", 4, "mr", "exclusive", 4, 4),
    "em-mitochondria": ("sections", 1, "em", "overlapping", 2, 1),
    "em-neurons": ("patients", 1, "em", "exclusive", 1, 1),
    "lung-lobes": ("patients", 4, "mr", "exclusive", 5, 4),
    "ct-organs": ("patients", 1, "ct", "exclusive", 61, 1),
    "vertebrae-mr": ("container", 5, "mr", "exclusive", 5, 5),
}


@pytest.mark.parametrize("name", REAL)
def test_real_folders(name: str, shared_data: Find) -> None:
    layout, cases, modality, kind, structures, groups = REAL[name]
    dataset = open_dataset(shared_data(name))
    assert (dataset.layout, len(dataset.labelled), dataset.modality) == (layout, cases, modality)
    assert (dataset.labels.kind, len(dataset.labels.structures)) == (kind, structures)
    found = len({case.group for case in dataset.cases})
    assert found == groups if groups else 10 < found < cases
    case = dataset.cases[0]
    volume = load_image(dataset, case)
    assert load_label(dataset, case, volume.geometry).shape[1:] == volume.geometry.shape


def test_real_polygons(shared_data: Find) -> None:
    dataset = open_dataset(shared_data("teeth"))
    assert dataset.layout == "labelme"
    assert dataset.labels.names[0] == "tooth-11"
    assert not dataset.labels.exclusive
    assert len({case.group for case in dataset.cases}) == len(dataset.cases)


def test_matching_is_one_to_one() -> None:
    assert match(["a_1", "a_10"], ["a_10_seg", "a_1_seg"]) == {"a_1": "a_1_seg", "a_10": "a_10_seg"}
    assert match(["x", "y"], ["p", "q"]) == {}
    assert numbered(["z1", "z2", "z3"])
    assert io.suffix_of("a.nii.gz") == ".nii.gz"


def test_a_model_of_single_planes_never_takes_numbered_pictures_for_a_stack(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(tmp_path / f"slice_{number:02d}.png")
    names = [f"slice_{number:02d}" for number in range(6)]
    assert [case.id for case in open_images(tmp_path, ("grey",), flat=True).cases] == names
    assert len(open_images(tmp_path, ("grey",)).cases) == 1


NAMES = ("anna", "bert", "carl", "dora", "emil")
#: Where the image and the label of a case lie, in folders as people have them.
ODD = {
    "images here, labels below": ("{n}.png", "labels/{n}.png"),
    "images here, labels in a folder called after a structure": ("{n}.png", "lesions/{n}.png"),
    "images here, folders of structures below labels": ("{n}.png", "labels/heart/{n}.png"),
    "images here with another suffix": ("{n}.jpg", "masks/{n}_mask.png"),
    "numbered images here, which are no sections": ("{i}.png", "labels/{i}.png"),
    "labels here, images below": ("images/{n}.png", "{n}.png"),
    "volumes here, labels below": ("{n}.nii.gz", "labels/{n}.nii.gz"),
    "images in parts, all labels together": ("{part}/{n}.png", "labels/{n}.png"),
    "parts of images with labels below": ("{part}/{n}.png", "{part}/labels/{n}.png"),
    "images by site, all labels together": ("images/site{part}/{n}.png", "labels/{n}.png"),
    "patients with pictures, labels below": ("P{i}/{n}.png", "P{i}/mask/{n}.png"),
    "one folder inside another": ("export 3/Bilder/{n}.png", "export 3/Masken/{n}.png"),
}


def odd_folder(place: Path, image: str, label: str) -> None:
    """Five cases with a bright box each; patients have two pictures."""
    for i, name in enumerate(NAMES):
        for n in (name, f"{name}x") if "P{i}" in image else (name,):
            rng = np.random.default_rng([i, len(n)])
            mask = np.zeros((40, 48), np.uint8)
            y, x = rng.integers(4, 20, 2)
            mask[y : y + 12, x : x + 15] = 1
            scan = np.clip(rng.normal(90, 9, mask.shape) + 70.0 * mask, 0, 255).astype(np.uint8)
            for form, plane in ((image, scan), (label, 255 * mask)):
                path = place / form.format(n=n, i=i + 1, part="train" if i < 3 else "val")
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.name.endswith(".nii.gz"):
                    nib.save(nib.Nifti1Image(np.stack([plane] * 4).transpose(2, 1, 0), np.eye(4)), path)
                else:
                    Image.fromarray(plane).save(path)


@pytest.mark.parametrize("kind", list(ODD))
def test_folders_as_people_have_them_are_read(tmp_path: Path, kind: str) -> None:
    odd_folder(tmp_path, *ODD[kind])
    dataset = open_dataset(tmp_path)
    assert len(dataset.labelled) == len(dataset.cases) == (10 if kind.startswith("patients") else 5)
    assert not dataset.aside
    for case in dataset.cases:
        image = load_image(dataset, case)
        inside = load_label(dataset, case, image.geometry)[0] > 0
        assert image.array()[0][inside].min() > 110 > image.array()[0][~inside].mean()


def test_what_was_made_of_the_images_is_no_channel_of_them(tmp_path: Path) -> None:
    odd_folder(tmp_path / "data", "{n}.png", "labels/{n}.png")
    odd_folder(tmp_path / "data" / "preview", "{n}.png", "../../elsewhere/{n}.png")
    shutil.rmtree(tmp_path / "elsewhere")
    dataset = open_dataset(tmp_path)
    assert {case.images[0].path for case in dataset.cases} == {f"{name}.png" for name in NAMES}
    assert [(one.path, one.count) for one in dataset.aside] == [("preview/ (.png)", 5)]


def test_labels_below_that_match_no_image_are_refused_with_what_is_nearest(tmp_path: Path) -> None:
    odd_folder(tmp_path, "{n}.png", "labels/{n}.png")
    for path, name in zip(sorted((tmp_path / "labels").iterdir()), "vwxyz", strict=True):
        path.rename(path.with_name(f"{name}k.png"))
    with pytest.raises(LayoutError) as caught:
        open_dataset(tmp_path)
    told = str(caught.value)
    assert "images here beside labels in labels/; 0 of 5 names match (anna and vk)" in told
    assert "images: .\n    labels: labels" in told and "labels/  5 .png" in told


def test_the_folder_itself_can_be_stated_as_that_of_the_images(tmp_path: Path) -> None:
    odd_folder(tmp_path, "{n}.png", "labels/{n}.png")
    odd_folder(tmp_path, "{n}.png", "others/{n}.png")
    (tmp_path / "dataset.yaml").write_text("images: .\nlabels: labels\n")
    dataset = open_dataset(tmp_path)
    assert [(case.images[0].path, case.label[0].path) for case in dataset.cases] == [
        (f"{name}.png", f"labels/{name}.png") for name in NAMES
    ]


def test_results_beside_pairs_are_no_labels_of_them(tmp_path: Path) -> None:
    odd_folder(tmp_path, "{n}.png", "{n}_mask.png")
    odd_folder(tmp_path, "results/{n}.png", "results/{n}_mask.png")
    for path in (tmp_path / "results").glob("*_mask.png"):
        path.replace(path.with_name(path.name.replace("_mask", "")))
    dataset = open_dataset(tmp_path)
    assert {case.label[0].path for case in dataset.labelled} == {f"{name}_mask.png" for name in NAMES}
