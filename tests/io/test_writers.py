"""Every form of labels that is written reads back as the same canonical labels: one contract for all rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from segwright import io
from segwright.api.convert import convert
from segwright.core.case import Case, LabelSource, Source
from segwright.core.case import Dataset as Cases
from segwright.core.errors import DataError, UsageError, WriteError
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.io.dataset import open_dataset
from segwright.io.load import load_label
from segwright.io.writers import WRITERS, known_form, open_writer

FORMS = [*WRITERS, ".nii.gz", ".nrrd", ".tif"]
NAMES = ("left lung", "heart", "tooth/11")


def dicom(path: Path, pixels: np.ndarray) -> Path:
    """A projection as detectors write it: no position, no frame of reference."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.PatientID = f"1.2.{len(path.name)}", "1.2.3", path.stem
    ds.Modality, ds.SamplesPerPixel, ds.PhotometricInterpretation = "DX", 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.ImagerPixelSpacing = [0.2, 0.2]
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def picture(folder: Path, name: str, shape: tuple[int, int], form: str) -> Path:
    pixels = np.random.default_rng(len(name)).integers(1, 255, shape, dtype=np.uint8)
    if form == "dicomseg":
        return dicom(folder / f"{name}.dcm", pixels)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder / f"{name}.png"


def masks(kind: str) -> dict[str, np.ndarray]:
    """Label arrays `(K, rows, columns)` of every awkward sort; disjoint where `kind` is exclusive."""
    rng = np.random.default_rng(4)
    noise = rng.random((3, 9, 14)) < 0.4
    some = {
        "noise": noise,
        "pixel": np.stack([np.eye(1, 126, 37).reshape(9, 14), np.eye(1, 126, 125).reshape(9, 14), np.zeros((9, 14))]),
        "empty": np.zeros((3, 9, 14)),
        "full": np.stack([np.ones((9, 14)), np.zeros((9, 14)), np.zeros((9, 14))]),
        "row": np.stack([np.arange(23) % 3 == 0, np.arange(23) > 18, np.zeros(23, bool)])[:, None, :],
        "column": np.stack([np.arange(17) % 2 == 0, np.arange(17) < 1, np.arange(17) == 16])[:, :, None],
    }
    hole = np.zeros((3, 9, 14), bool)
    hole[0, :, :] = True
    hole[0, 2:5, 3:9] = False
    hole[1, 3, 4:6] = True
    some["hole"] = hole
    out = {}
    for name, planes in some.items():
        planes = np.asarray(planes) != 0
        if kind == "exclusive":
            planes = planes & (np.cumsum(planes, axis=0) == 1)
        out[name] = planes
    return out


def dataset(root: Path, kind: str, form: str) -> Cases:
    """Cases whose labels are `.npz` planes."""
    space = LabelSpace.model_validate({"structures": [{"name": name} for name in NAMES], "kind": kind})
    cases = []
    for name, planes in masks(kind).items():
        image = picture(root / "images", name, planes.shape[1:], form)
        np.savez(root / f"{name}.npz", label=np.moveaxis(planes, 0, -1).astype(np.uint8))
        label = tuple(LabelSource(path=f"{name}.npz", plane=i, structure=s) for i, s in enumerate(NAMES))
        cases.append(Case(id=name, images=(Source(path=f"images/{image.name}"),), label=label, group=name))
    return Cases(root=str(root), layout="made", channels=("grey",), modality="xray", labels=space, cases=tuple(cases))


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_reads_back_as_the_same_labels(tmp_path, form, kind):
    source = dataset(tmp_path / "in", kind, form)
    done = convert(source, tmp_path / "out", to=form)
    back = open_dataset(done.dataset)
    assert back.labels.names == NAMES
    assert back.labels.kind == kind
    for case in source.cases:
        like = io.read(source.path(case.images[0])).geometry
        first, second = load_label(source, case, like), load_label(back, back.case(case.id), like)
        np.testing.assert_array_equal(first, second)
        assert first.dtype == second.dtype
    assert not [path for path in (tmp_path / "out").rglob(".*") if path.is_file()]


@pytest.mark.parametrize("form", ["labelme", "coco", "rle", "dicomseg"])
def test_named_forms_are_recognised_without_an_interpretation(tmp_path, form):
    """Beside their images, the files alone are enough; classes that no image shows cannot be known."""
    source = dataset(tmp_path / "in", "overlapping", form)
    convert(source, tmp_path / "out", to=form)
    (tmp_path / "out" / "dataset.yaml").unlink()
    (tmp_path / "in" / "images").rename(tmp_path / "out" / "images")
    back = open_dataset(tmp_path / "out")
    assert back.layout == form
    assert set(back.labels.names) == set(NAMES)
    for case in source.cases:
        like = io.read(back.path(back.case(case.id).images[0])).geometry
        labels = load_label(back, back.case(case.id), like)
        for index, name in enumerate(NAMES):
            found = back.labels.mask(labels, back.labels.names.index(name))[0]
            np.testing.assert_array_equal(found, masks("overlapping")[case.id][index])


@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", ["labelme", "coco", "rle", "npy", "structures"])
def test_any_form_converts_to_any_other(tmp_path, first, second):
    source = dataset(tmp_path / "in", "overlapping", first)
    one = convert(source, tmp_path / "one", to=first)
    two = convert(one.dataset, tmp_path / "two", to=second)
    back = open_dataset(two.dataset)
    for case in source.cases:
        like = io.read(source.path(case.images[0])).geometry
        np.testing.assert_array_equal(load_label(source, case, like), load_label(back, back.case(case.id), like))


def item(labels: np.ndarray, kind: str = "exclusive", **space) -> Prediction:
    structures = [{"name": name} for name in NAMES]
    known = LabelSpace.model_validate({"structures": structures, "kind": kind, **space})
    from segwright.core.geometry import Geometry
    from segwright.core.volume import Volume

    image = Volume.of(np.zeros(labels.shape[1:]), Geometry.from_spacing(labels.shape[1:]))
    return Prediction("a", labels, known, image)


@pytest.mark.parametrize("form", ["npy", "rle", "labelme", "coco"])
def test_volumes_are_refused_where_planes_are_meant(tmp_path, form):
    one = item(np.zeros((1, 2, 4, 4), np.int16))
    with pytest.raises(WriteError, match=r"2 planes.*\.nii\.gz"):
        open_writer(form, tmp_path, one.space).add(one)


def test_arrays_have_a_background_plane_that_is_the_complement_of_all_structures(tmp_path):
    """As in a set of six vertebrae: (rows, columns, 7), the last plane 1 where none of them is."""
    planes = np.zeros((3, 1, 5, 6), np.int8)
    planes[0, 0, 1:3, 1:3], planes[1, 0, 2:4, 2:4] = 1, 1
    one = item(planes, kind="overlapping")
    open_writer("npy-background", tmp_path, one.space).add(one)
    written = np.load(tmp_path / "a.npy")
    assert written.shape == (5, 6, 4) and written.dtype == np.uint8
    np.testing.assert_array_equal(written[..., :3], np.moveaxis(planes[:, 0], 0, -1))
    np.testing.assert_array_equal(written[..., 3], ~planes[:, 0].any(axis=0))


@pytest.mark.parametrize("form", [name for name in WRITERS if name != "png"])
def test_voxels_that_count_nowhere_are_not_lost(tmp_path, form):
    labels = np.zeros((1, 1, 4, 4), np.int16)
    labels[0, 0, 0, 0] = -1
    one = item(labels, ignore=255)
    with pytest.raises(WriteError):
        open_writer(form, tmp_path, one.space).add(one)
    writer = open_writer("png", tmp_path, one.space)
    writer.add(one)
    assert np.asarray(Image.open(tmp_path / "a.png"))[0, 0] == 255


def test_dicom_seg_needs_dicom(tmp_path):
    one = item(np.ones((1, 1, 4, 4), np.int16))
    with pytest.raises(WriteError, match=r"needs the DICOM images.*Hint: Segment the DICOM files"):
        open_writer("dicomseg", tmp_path, one.space).add(one)


def test_dicom_seg_takes_patient_and_references_along(tmp_path):
    source = dataset(tmp_path / "in", "overlapping", "dicomseg")
    convert(source, tmp_path / "out", to="dicomseg")
    seg = pydicom.dcmread(tmp_path / "out" / "hole.dcm")
    image = pydicom.dcmread(tmp_path / "in" / "images" / "hole.dcm")
    assert (seg.PatientID, seg.StudyInstanceUID) == (image.PatientID, image.StudyInstanceUID)
    assert (
        seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    )
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == list(NAMES)
    again = dataset(tmp_path / "in", "overlapping", "dicomseg")
    convert(again, tmp_path / "more", to="dicomseg")
    assert pydicom.dcmread(tmp_path / "more" / "hole.dcm").SOPInstanceUID == seg.SOPInstanceUID


def test_joint_files_name_images_apart(tmp_path):
    """Images of one name in two folders keep their folders in the table."""
    for folder, at in (("p1", 0), ("p2", 5)):
        picture(tmp_path / "in" / "images" / folder, "x", (6, 8), "rle")
        label = np.zeros((6, 8), np.uint8)
        label[at, 2:5] = 255
        (tmp_path / "in" / "masks" / folder).mkdir(parents=True)
        Image.fromarray(label).save(tmp_path / "in" / "masks" / folder / "x.png")
    done = convert(tmp_path / "in", tmp_path / "out", to="rle")
    text = (tmp_path / "out" / "labels.csv").read_text()
    assert "p1/x.png" in text
    assert "p2/x.png" in text
    back = open_dataset(done.dataset)
    rows = [np.argwhere(load_label(back, c, io.read(back.path(c.images[0])).geometry)[0, 0])[0, 0] for c in back.cases]
    assert rows == [0, 5]


def test_run_length_tables_are_ready_for_submission(tmp_path):
    source = dataset(tmp_path / "in", "overlapping", "rle")
    convert(source, tmp_path / "sub" / "mine.csv", to="rle")
    lines = (tmp_path / "sub" / "mine.csv").read_text().splitlines()
    assert lines[0] == "image_name,class,rle"
    assert len(lines) == 1 + len(source.cases) * len(NAMES)
    assert "full.png,left lung,1 126" in lines
    assert "full.png,heart," in lines


def test_labelme_files_open_beside_their_images(tmp_path):
    """The path in the file leads to the image, as the LabelMe program needs it."""
    source = dataset(tmp_path / "in", "overlapping", "labelme")
    convert(source, tmp_path / "out", to="labelme")
    document = json.loads((tmp_path / "out" / "hole.json").read_text())
    assert (tmp_path / "out" / document["imagePath"]).resolve() == (tmp_path / "in" / "images" / "hole.png").resolve()
    assert {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"} == set(document)
    assert all(shape["shape_type"] == "polygon" for shape in document["shapes"])


def test_coco_boxes_and_areas(tmp_path):
    source = dataset(tmp_path / "in", "overlapping", "coco")
    convert(source, tmp_path / "out", to="coco")
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    names = {image["id"]: image["file_name"] for image in document["images"]}
    objects = {(names[o["image_id"]], NAMES[o["category_id"] - 1]): o for o in document["annotations"]}
    assert objects["pixel.png", "left lung"]["bbox"] == [9, 2, 1, 1]
    assert objects["hole.png", "left lung"]["area"] == 126 - 18
    assert ("empty.png", "heart") not in objects


def test_unknown_forms_are_refused_with_all_known(tmp_path):
    with pytest.raises(UsageError, match=r"labelme.*\.nii\.gz"):
        known_form("jpeg2000")
    assert known_form("PNG") == "png"
    assert known_form("nii.gz") == ".nii.gz"


def test_one_bad_case_does_not_stop_the_others(tmp_path):
    source = dataset(tmp_path / "in", "overlapping", "png")
    (tmp_path / "in" / "noise.npz").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(DataError, match="1 of 7 labels could not be converted"):
        convert(source, tmp_path / "out", to="coco")
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert len(document["images"]) == 6
    listed = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert [case["case"] for case in listed["cases"] if case["error"]] == ["noise"]


def test_sources_are_never_replaced(tmp_path):
    source = dataset(tmp_path / "in", "overlapping", "png")
    with pytest.raises(UsageError, match="among the sources"):
        convert(source, tmp_path / "in" / "images", to="labelme")
