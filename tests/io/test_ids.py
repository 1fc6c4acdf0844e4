"""A file has one id wherever it is met: learnt from, listed, predicted from any folder above it, and evaluated."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import roifile
import zarr
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

from segwright.core.case import Dataset
from segwright.core.prediction import Predicted, Prediction, Predictions
from segwright.evaluation.folders import match_folders
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images
from segwright.io.writers import names_of, open_writer

ROWS, COLUMNS, PLANES = 28, 32, 6
NAMES = ("cow", "fox 2", "hen_7", "owl")


def rng(*seed: object) -> np.random.Generator:
    return np.random.default_rng(sum(map(ord, str(seed))))


def drawing(name: str) -> np.ndarray:
    out = np.zeros((ROWS, COLUMNS), np.uint8)
    at = rng(name).integers(3, 10)
    out[at : at + 9, at + 2 : at + 12] = 1
    return out


def picture(name: str, channel: int = 0) -> np.ndarray:
    noise = rng(name, channel).normal(60, 12, (ROWS, COLUMNS))
    return np.clip(noise + 110 * drawing(name) * (-1 if channel else 1) + 60 * channel, 0, 255).astype(np.uint8)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def volume(name: str, channel: int = 0) -> np.ndarray:
    planes = ndimage.gaussian_filter(rng(name, channel).normal(0, 60, (PLANES, ROWS, COLUMNS)), 1)
    return (100 + planes + 80 * solid(name)).astype(np.int16)


def solid(name: str) -> np.ndarray:
    out = np.zeros((PLANES, ROWS, COLUMNS), np.uint8)
    out[1:4] = drawing(name)
    return out


def nii(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), np.diag([1.5, 1.5, 3, 1])), path)


def series(folder: Path, name: str, *, patient: str, ends: str = ".dcm") -> str:
    """A DICOM series of its own, one file a slice; returns its identifier."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = f"1.2.826.{sum(map(ord, name))}.{len(name)}"
    for z, plane in enumerate(volume(name)):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name, str(z)])
        d = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        d.PatientID, d.Modality, d.SeriesInstanceUID, d.SeriesDescription = patient, "CT", uid, "chest"
        d.StudyInstanceUID, d.FrameOfReferenceUID, d.InstanceNumber = f"{uid}.1", f"{uid}.2", z + 1
        d.ImageType, d.PixelSpacing = ["ORIGINAL", "PRIMARY", "AXIAL"], [1.5, 1.5]
        d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0, 3.0 * z], [1, 0, 0, 0, 1, 0]
        d.Rows, d.Columns = plane.shape
        d.SamplesPerPixel, d.PhotometricInterpretation, d.RescaleSlope, d.RescaleIntercept = 1, "MONOCHROME2", 1, 0
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 1
        d.PixelData = plane.astype("<i2").tobytes()
        d.save_as(folder / f"{name}_{z:03d}{ends}", enforce_file_format=True)
    return uid


def dicom_label(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(solid(name).transpose(2, 1, 0), np.diag([-1.5, -1.5, 3, 1])), path)


def ring(name: str) -> list[list[float]]:
    rows, columns = np.nonzero(drawing(name))
    top, left, low, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return [[float(x), float(y)] for x, y in ((left, top), (right, top), (right, low), (left, low))]


# one writer an arrangement


def pairs(root: Path) -> None:
    for name in NAMES:
        save(root / "images" / f"{name}.png", picture(name))
        save(root / "masks" / f"{name}.png", drawing(name) * 255)


def pairs_with_words(root: Path) -> None:
    for name in NAMES:
        nii(root / "scans" / f"{name}_scan.nii.gz", volume(name))
        nii(root / "segs" / f"{name}_seg.nii.gz", solid(name))


def channel_folders(root: Path) -> None:
    for name in NAMES:
        for channel in (0, 1):
            nii(root / f"t{channel + 1}" / f"{name}.nii.gz", volume(name, channel))
        nii(root / "masks" / f"{name}.nii.gz", solid(name))


def suffix(root: Path) -> None:
    for name in NAMES:
        save(root / f"{name}.png", picture(name))
        save(root / f"{name}_mask.png", drawing(name) * 255)


def suffix_in_folders(root: Path) -> None:
    for i in range(3):
        for name in NAMES:
            save(root / f"p{i}" / f"{name}{i}.png", picture(f"{name}{i}"))
            save(root / f"p{i}" / f"{name}{i}_mask.png", drawing(f"{name}{i}") * 255)


def folder_a_case(root: Path) -> None:
    for name in NAMES:
        nii(root / name / "image.nii.gz", volume(name))
        nii(root / name / "label.nii.gz", solid(name))


def folder_a_patient(root: Path) -> None:
    for patient in NAMES:
        for visit in ("base", "later"):
            nii(root / patient / visit / "flair.nii.gz", volume(patient + visit))
            nii(root / patient / visit / "t1c.nii.gz", volume(patient + visit, 1))
            nii(root / patient / visit / "tumour_seg.nii.gz", solid(patient + visit))


def folder_of_masks(root: Path) -> None:
    for name in NAMES:
        nii(root / name / "ct.nii.gz", volume(name))
        nii(root / name / "segmentations" / "liver.nii.gz", solid(name))


def sites(root: Path) -> None:
    for site in ("siteA", "siteB"):
        for name in NAMES:
            save(root / site / "images" / f"{name}.png", picture(site + name))
            save(root / site / "masks" / f"{name}.png", drawing(site + name) * 255)


def splits(root: Path) -> None:
    for split in ("train", "val", "test"):
        for name in NAMES:
            save(root / split / "images" / f"{name}.png", picture(split + name))
            save(root / split / "masks" / f"{name}.png", drawing(split + name) * 255)


def splits_inside(root: Path) -> None:
    for split in ("train", "val"):
        for name in NAMES:
            save(root / "images" / split / f"{name}.png", picture(split + name))
            save(root / "masks" / split / f"{name}.png", drawing(split + name) * 255)


def split_folders(root: Path) -> None:
    for split in ("train", "test"):
        for name in NAMES:
            save(root / f"{split}_images" / f"{split}{name}.png", picture(split + name))
            save(root / f"{split}_masks" / f"{split}{name}.png", drawing(split + name) * 255)


def dicom_tree(root: Path) -> None:
    for name in NAMES:
        series(root / name / "scan", "slice" + name, patient=name)
        dicom_label(root / name / "label.nii.gz", "slice" + name)


def dicom_pairs(root: Path) -> None:
    for name in NAMES:
        series(root / "dicom" / name, "slice" + name, patient=name)
        dicom_label(root / "labels" / f"{name}.nii.gz", "slice" + name)


def nnunet(root: Path) -> None:
    for name in NAMES:
        for channel in (0, 1):
            nii(root / "imagesTr" / f"{name}_{channel:04d}.nii.gz", volume(name, channel))
        nii(root / "labelsTr" / f"{name}.nii.gz", solid(name))
    facts = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "tumour": 1}, "numTraining": 4}
    (root / "dataset.json").write_text(json.dumps(facts))


def decathlon(root: Path) -> None:
    for name in NAMES:
        nii(root / "imagesTr" / f"{name}.nii.gz", volume(name))
        nii(root / "labelsTr" / f"{name}.nii.gz", solid(name))
    rows = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in NAMES]
    facts = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "spleen"}, "training": rows, "test": []}
    (root / "dataset.json").write_text(json.dumps(facts))


def bids(root: Path) -> None:
    for number in range(1, 5):
        for session in ("1", "2"):
            name = f"sub-{number:02d}_ses-{session}"
            nii(root / f"sub-{number:02d}/ses-{session}/anat/{name}_T1w.nii.gz", volume(name))
            nii(root / f"derivatives/drawn/sub-{number:02d}/ses-{session}/anat/{name}_dseg.nii.gz", solid(name))
    (root / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.8.0"}))


def table(root: Path) -> None:
    rows = []
    for number, name in enumerate(NAMES):
        save(root / "a" / f"{name}.png", picture(name))
        save(root / "b" / f"m{number}.png", drawing(name) * 255)
        rows.append([f"case {number}", f"a/{name}.png", f"b/m{number}.png", f"p{number}"])
    with (root / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "image", "label", "group"], *rows])


def stated(root: Path) -> None:
    for name in NAMES:
        save(root / "deep/a" / f"{name}.png", picture(name))
        save(root / "deep/b" / f"{name}.png", drawing(name) * 255)
        save(root / "deep/c" / f"{name}.png", drawing(name + "x") * 255)
    (root / "dataset.yaml").write_text("images: deep/a\nlabels: deep/b\n")


def stated_channels(root: Path) -> None:
    channel_folders(root / "deep")
    (root / "dataset.yaml").write_text("images: [deep/t2, deep/t1]\nlabels: deep/masks\n")


def folder_in_folder(root: Path) -> None:
    pairs(root / "inner")


def channels_by_name(root: Path) -> None:
    for name in NAMES:
        for channel, word in enumerate(("t1", "t2")):
            nii(root / f"{name}_{word}.nii.gz", volume(name, channel))
        nii(root / f"{name}_seg.nii.gz", solid(name))


def tracking(root: Path) -> None:
    for film in ("01", "02"):
        for frame in range(4):
            save(root / film / f"t{frame:03d}.tif", picture(f"{film} {frame}"))
            save(root / f"{film}_GT/SEG/man_seg{frame:03d}.tif", drawing(f"{film} {frame}").astype(np.uint16))


def hdf5(root: Path) -> None:
    root.mkdir(exist_ok=True)
    for name in NAMES:
        with h5py.File(root / f"{name}.h5", "w") as file:
            file["raw"], file["label"] = volume(name), solid(name)


def npz(root: Path) -> None:
    root.mkdir(exist_ok=True)
    for name in NAMES:
        np.savez(root / f"{name}.npz", image=picture(name), mask=drawing(name))


def zarrs(root: Path) -> None:
    for name in NAMES:
        group = zarr.open_group(str(root / f"{name}.zarr"), mode="w")
        group.create_array("raw", data=volume(name))
        group.create_array("label", data=solid(name))


def one_file(root: Path) -> None:
    root.mkdir(exist_ok=True)
    names = [f"film {i}" for i in range(12)]
    np.savez(
        root / "data.npz",
        images=np.stack([picture(name) for name in names]),
        masks=np.stack([drawing(name) for name in names]),
    )


def outlines(root: Path, write: Callable[[Path, str], None], folder: str = "labels") -> None:
    (root / folder).mkdir(parents=True)
    for name in NAMES:
        save(root / "images" / f"{name}.png", picture(name))
        write(root / folder, name)


def coco(root: Path) -> None:
    images = [{"id": i, "file_name": f"{n}.png", "height": ROWS, "width": COLUMNS} for i, n in enumerate(NAMES)]
    flat = [[value for point in ring(name) for value in point] for name in NAMES]
    objects = [{"id": i, "image_id": i, "category_id": 1, "segmentation": [r]} for i, r in enumerate(flat)]
    text = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cell"}]}
    outlines(root, lambda *_: None, "annotations")
    (root / "annotations" / "instances.json").write_text(json.dumps(text))


def coco_splits(root: Path) -> None:
    for split in ("train", "valid"):
        coco(root / split / "x")
        for path in (root / split / "x").rglob("*.*"):
            path.rename(root / split / path.name.replace("instances", "_annotations.coco"))
        for folder in ("images", "annotations", ""):
            (root / split / "x" / folder).rmdir()


def labelme(root: Path) -> None:
    def write(folder: Path, name: str) -> None:
        shape = {"label": "cell", "points": ring(name), "shape_type": "polygon"}
        head = {"imagePath": f"../images/{name}.png", "imageHeight": ROWS, "imageWidth": COLUMNS, "imageData": None}
        (folder / f"{name}.json").write_text(json.dumps({"version": "5.2", "flags": {}, "shapes": [shape], **head}))

    outlines(root, write)


def yolo(root: Path) -> None:
    def write(folder: Path, name: str) -> None:
        corners = " ".join(f"{x / COLUMNS:.6f} {y / ROWS:.6f}" for x, y in ring(name))
        (folder / f"{name}.txt").write_text(f"0 {corners}\n")

    outlines(root, write)
    (root / "data.yaml").write_text("names: [cell]\nnc: 1\n")


def yolo_splits(root: Path) -> None:
    for split in ("train", "val"):
        yolo(root / split)


def via(root: Path) -> None:
    outlines(root, lambda *_: None, "images")
    areas = {}
    for name in NAMES:
        corners = ring(name)
        shape = {"name": "polygon", "all_points_x": [x for x, _ in corners], "all_points_y": [y for _, y in corners]}
        region = {"shape_attributes": shape, "region_attributes": {"class": "cell"}}
        areas[f"{name}.png9"] = {"filename": f"{name}.png", "size": 9, "regions": [region]}
    (root / "via_project.json").write_text(json.dumps({"_via_settings": {}, "_via_img_metadata": areas}))


def geojson(root: Path) -> None:
    def write(folder: Path, name: str) -> None:
        shape = {"type": "Polygon", "coordinates": [[*ring(name), ring(name)[0]]]}
        told = {"objectType": "annotation", "classification": {"name": "cell"}}
        feature = {"type": "Feature", "geometry": shape, "properties": told}
        (folder / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))

    outlines(root, write)


def imagej(root: Path) -> None:
    def write(folder: Path, name: str) -> None:
        roi = roifile.ImagejRoi.frompoints(np.array(ring(name)), name="cell-1")
        roifile.roiwrite(folder / f"{name}.zip", [roi], mode="w")

    outlines(root, write)


def cvat(root: Path) -> None:
    outlines(root, lambda *_: None, "images")
    rows = ""
    for name in NAMES:
        points = ";".join(f"{x},{y}" for x, y in ring(name))
        rows += f'<image id="0" name="{name}.png" width="{COLUMNS}" height="{ROWS}">'
        rows += f'<polygon label="cell" points="{points}" z_order="0"/></image>'
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{rows}</annotations>")


def run_lengths(root: Path) -> None:
    rows = [["image_name", "class", "rle"]]
    for name in NAMES:
        save(root / "images" / f"{name}.png", picture(name))
        flat = np.concatenate([[0], drawing(name).ravel(), [0]])
        edges = np.flatnonzero(np.diff(flat)) + 1
        runs = " ".join(f"{a} {b - a}" for a, b in zip(edges[::2], edges[1::2], strict=True))
        rows.append([f"{name}.png", "cell", runs])
    with (root / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


@dataclass(frozen=True)
class Arranged:
    """An arrangement, as what it is read, and folders of it whose scans alone may be meant.

    Attributes:
        build: Writes it.
        layout: As what it is read.
        cases: How many.
        alone: Folders whose scans have the same ids when they are given alone.
        below: Folders whose scans have shorter ids; `evaluate` knows them by their images.
        tests: Folder of the test part, whose scans alone are predicted where the whole is given.
    """

    build: Callable[[Path], None]
    layout: str
    cases: int = len(NAMES)
    alone: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    tests: str = ""


EVERY = [
    Arranged(pairs, "pairs", alone=("images",)),
    Arranged(pairs_with_words, "pairs", alone=("scans",)),
    Arranged(channel_folders, "pairs"),
    Arranged(suffix, "suffix"),
    Arranged(suffix_in_folders, "suffix", 12),
    Arranged(folder_a_case, "patients"),
    Arranged(folder_a_patient, "patients", 8),
    Arranged(folder_of_masks, "totalsegmentator"),
    Arranged(sites, "parts", 8, below=("siteA/images",)),
    Arranged(splits, "parts", 12, below=("test", "test/images")),
    Arranged(splits_inside, "pairs", 8, alone=("images",), below=("images/train",)),
    Arranged(split_folders, "pairs", 8, tests="test_images"),
    Arranged(dicom_tree, "patients"),
    Arranged(dicom_pairs, "pairs", alone=("dicom",)),
    Arranged(channels_by_name, "suffix"),
    Arranged(nnunet, "nnunet", alone=("imagesTr",)),
    Arranged(decathlon, "decathlon", alone=("imagesTr",)),
    Arranged(bids, "bids", 8),
    Arranged(table, "table", alone=("cases.csv",)),
    Arranged(stated, "pairs", alone=("dataset.yaml", "deep/a")),
    Arranged(stated_channels, "pairs", alone=("dataset.yaml",)),
    Arranged(folder_in_folder, "pairs", alone=("inner", "inner/images")),
    Arranged(tracking, "tracking", 8, below=("01",)),
    Arranged(hdf5, "container"),
    Arranged(npz, "container"),
    Arranged(zarrs, "container"),
    Arranged(one_file, "stacked", 12),
    Arranged(coco, "coco", alone=("images",)),
    Arranged(coco_splits, "coco", 8, below=("valid",)),
    Arranged(labelme, "labelme", alone=("images",)),
    Arranged(yolo, "outlines", alone=("images",)),
    Arranged(yolo_splits, "outlines", 8, below=("val/images",)),
    Arranged(via, "outlines", alone=("images",)),
    Arranged(geojson, "outlines", alone=("images",)),
    Arranged(imagej, "outlines", alone=("images",)),
    Arranged(cvat, "outlines", alone=("images",)),
    Arranged(run_lengths, "rle", alone=("images",)),
]


def files_of(dataset: Dataset) -> dict[str, list[tuple[str, tuple[int, int] | None]]]:
    """Where the image of each case lies, and which planes of it it has."""
    return {c.id: [(str(dataset.path(s).resolve()), c.sections) for s in c.images] for c in dataset.cases}


def answered(scans: Dataset, truth: Dataset, out: Path) -> None:
    """Predictions of some scans, each as its own reference says, called as `predict` calls them."""
    writer = open_writer(None, out, truth.labels, names_of(scans, scans.cases))
    owner = {str(where): case for case, where in files_of(truth).items()}
    for case in scans.cases:
        source = truth.case(owner[str(files_of(scans)[case.id])])
        labels = load_label(truth, source, load_image(truth, source).geometry)
        writer.add(Prediction(case.id, labels, truth.labels, load_image(scans, case)))
    writer.close()
    rows = [Predicted(case=c.id, image=scans.path(c.images[0]).resolve().as_posix()) for c in scans.cases]
    Predictions(cases=tuple(rows)).save(out / Predictions.filename)


@pytest.mark.parametrize("arranged", EVERY, ids=lambda one: one.build.__name__)
def test_a_file_has_one_id_wherever_it_is_met(arranged: Arranged, tmp_path: Path) -> None:
    root = tmp_path / "data"
    arranged.build(root)
    learnt = open_dataset(root)
    assert (learnt.layout, len(learnt.labelled)) == (arranged.layout, arranged.cases)
    learnt.save(tmp_path / "kept.yaml")
    assert ": null" not in (tmp_path / "kept.yaml").read_text()
    assert open_dataset(tmp_path / "kept.yaml") == learnt
    for place in (".", *arranged.alone):
        scans = open_images(root / place, learnt.channels)
        wanted = {c: at for c, at in files_of(learnt).items() if not arranged.tests or arranged.tests in at[0][0]}
        assert files_of(scans) == wanted, place
    for place in (".", *arranged.alone, *arranged.below):
        scans = open_images(root / place, learnt.channels)
        assert scans.cases
        out = tmp_path / "out" / place.replace("/", "_")
        answered(scans, learnt, out)
        matched = match_folders(learnt, out)
        assert sum(job.predicted for job in matched.jobs) == len(scans.cases), place
        for job in matched.jobs:
            if job.predicted:
                pair = job.load(matched.space)
                assert not pair.error
                assert (np.asarray(pair.reference) == pair.prediction).all()
