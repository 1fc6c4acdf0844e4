"""Labels of any form on either side give the scores that plain masks give; what does not match is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import scipy.io
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

import segwright
from segwright.api.convert import convert
from segwright.core.errors import LabelError, LayoutError
from segwright.core.report import Report
from segwright.io.writers import WRITERS

SHAPE = (24, 32)
NAMES = ("heart", "left_lung", "right_lung")
CASES = ("ann_1", "ann_2", "bob_1")


def dicom(path: Path, number: int) -> None:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.PatientID = f"1.2.{number + 4}", "1.2.3", path.stem[:3]
    ds.Modality, ds.SamplesPerPixel, ds.PhotometricInterpretation = "DX", 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.ImagerPixelSpacing = [0.5, 0.5]
    ds.Rows, ds.Columns = SHAPE
    ds.PixelData = np.random.default_rng(number).integers(1, 255, SHAPE, dtype=np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def masks(number: int, moved: int) -> dict[str, np.ndarray]:
    """Overlapping boxes; the heart of the last case is missing in the predictions."""
    found = {name: np.zeros(SHAPE, bool) for name in NAMES}
    found["heart"][8:18, 10 + number + moved : 20 + moved] = not (number == 2 and moved)
    found["left_lung"][4:20, 18:28] = True
    found["right_lung"][4 + moved : 20, 3:12] = True
    return found


def folder(root: Path, moved: int, *, form: str = ".dcm") -> Path:
    for number, case in enumerate(CASES):
        if form == ".dcm":
            dicom(root / "images" / f"{case}.dcm", number)
        else:
            (root / "images").mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full(SHAPE, 40 * number + 9, np.uint8)).save(root / "images" / f"{case}.png")
        for name, mask in masks(number, moved).items():
            (root / "masks" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / name / f"{case}.png")
    return root


def dice() -> dict[tuple[str, str], float]:
    """By hand."""
    out = {}
    for number, case in enumerate(CASES):
        for name in NAMES:
            a, b = masks(number, 0)[name], masks(number, 2)[name]
            out[case, name] = 2 * (a & b).sum() / (a.sum() + b.sum())
    return out


def found(report: Report) -> dict[tuple[str, str], float]:
    rows = [row for row in report.scores if row.metric == "dice" and row.structure in NAMES]
    return {(row.case, row.structure): pytest.approx(row.value) for row in rows}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both sides in every form there is."""
    root = tmp_path_factory.mktemp("forms")
    out = {"scans": folder(root / "scans", 0)}
    for side, moved in (("reference", 0), ("predicted", 2)):
        own = folder(root / f"{side}-scans", moved)
        for form in WRITERS:
            convert(own, root / side / form, to=form)
            out[f"{side} {form}"] = root / side / form
    return out


@pytest.mark.parametrize("form", WRITERS)
def test_predictions_of_any_form_score_as_masks(places: dict[str, Path], form: str) -> None:
    report = segwright.evaluate(places["scans"], places[f"predicted {form}"])
    assert found(report) == dice()
    assert report.aggregate("heart", "dice").groups == 2  # patients come from the images
    assert report.aggregate("heart", "hd95").missing == 1


@pytest.mark.parametrize("form", WRITERS)
def test_references_of_any_form_score_as_masks(places: dict[str, Path], form: str) -> None:
    """The interpretation that conversion leaves beside the labels is a dataset."""
    report = segwright.evaluate(places[f"reference {form}"] / "dataset.yaml", places["predicted rle"])
    assert found(report) == dice()


@pytest.mark.parametrize("form", ["labelme", "coco", "rle"])
@pytest.mark.parametrize("other", ["structures", "labelme", "coco", "rle", "npy"])
def test_labels_without_images(places: dict[str, Path], tmp_path: Path, form: str, other: str) -> None:
    """Polygons state their size; run lengths take that of the other side."""
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in places[f"reference {form}"].iterdir():
        if path.name not in {"dataset.yaml", "conversion.json"}:
            (alone / path.name).write_bytes(path.read_bytes())
    if (form, other) == ("rle", "rle"):
        with pytest.raises(LabelError, match=r"how large.*reference as a dataset"):
            segwright.evaluate(alone, places["predicted rle"])
        return
    assert found(segwright.evaluate(alone, places[f"predicted {other}"])) == dice()


def test_masks_alone_against_a_table(places: dict[str, Path]) -> None:
    report = segwright.evaluate(places["reference structures"], places["predicted rle"] / "labels.csv")
    assert found(report) == dice()


def test_planes_of_matlab_files(tmp_path: Path) -> None:
    """`(R, C, K)` in the order of the structures; with a background plane too, where it is what others leave free."""
    scans = folder(tmp_path / "scans", 0)
    for background in (False, True):
        out = tmp_path / f"mat-{background}"
        out.mkdir()
        for number, case in enumerate(CASES):
            planes = np.stack(list(masks(number, 2).values()), axis=-1)
            if background:
                planes = np.concatenate([planes, ~planes.any(-1, keepdims=True)], axis=-1)
            scipy.io.savemat(out / f"{case}.mat", {"label": planes.astype(np.uint8), "note": np.zeros((1, 2))})
        report = segwright.evaluate(scans, out)
        assert found(report) == dice()
        assert any("heart, left_lung, right_lung in this order" in note for note in report.notes)


def test_names_that_differ_are_matched_and_told(tmp_path: Path) -> None:
    scans = folder(tmp_path / "scans", 0, form=".png")
    rows = ["ImageId,Structure,EncodedPixels"]
    rows += [f"{case}.png,{name},1 3" for case in CASES[:2] for name in ("Heart", "Left-Lung", "liver")]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\nnobody.png,Heart,\n")
    report = segwright.evaluate(scans, tmp_path / "labels.csv")
    told = " ".join(report.notes)
    assert "'Heart' is 'heart', 'Left-Lung' is 'left_lung'" in told
    assert "does not have, left out: liver" in told
    assert "No prediction names right_lung" in told
    assert "No prediction for 1 of 3 cases: bob_1" in told
    assert "1 prediction without a reference left out: nobody" in told
    assert report.aggregate("right_lung", "dice").mean == 0 and report.aggregate("right_lung", "dice").missing == 1


def test_structures_that_share_pixels_are_not_painted_over(tmp_path: Path) -> None:
    """Where the reference's structures exclude one another, predictions may overlap all the same."""
    (tmp_path / "scans" / "images").mkdir(parents=True)
    (tmp_path / "scans" / "masks").mkdir()
    values = np.zeros(SHAPE, np.uint8)
    values[4:12, 4:12], values[4:12, 12:20] = 1, 2
    for case in CASES:
        Image.fromarray(np.full(SHAPE, 99, np.uint8)).save(tmp_path / "scans" / "images" / f"{case}.png")
        Image.fromarray(values).save(tmp_path / "scans" / "masks" / f"{case}.png")
        for name in ("structure_1", "structure_2"):
            (tmp_path / "out" / name).mkdir(parents=True, exist_ok=True)
            mask = np.zeros(SHAPE, np.uint8)
            mask[4:12, slice(4, 16) if name == "structure_1" else slice(8, 20)] = 255
            Image.fromarray(mask).save(tmp_path / "out" / name / f"{case}.png")
    expected = 2 * 64 / (64 + 96)
    convert(tmp_path / "out", tmp_path / "rle", to="rle")
    for place in (tmp_path / "out", tmp_path / "rle"):
        report = segwright.evaluate(tmp_path / "scans", place)
        assert report.aggregate("structure_1", "dice").mean == pytest.approx(expected)
        assert report.aggregate("structure_2", "dice").mean == pytest.approx(expected)
        assert any("each is scored by itself" in note for note in report.notes)


def test_values_are_matched_with_classes_of_a_table(tmp_path: Path) -> None:
    """Classes that are numbers mean the values of label files."""
    (tmp_path / "scans" / "images").mkdir(parents=True)
    (tmp_path / "scans" / "masks").mkdir()
    values = np.zeros(SHAPE, np.uint8)
    values[0, :4], values[1, :4] = 7, 9
    for case in CASES:
        Image.fromarray(np.full(SHAPE, 99, np.uint8)).save(tmp_path / "scans" / "images" / f"{case}.png")
        Image.fromarray(values).save(tmp_path / "scans" / "masks" / f"{case}.png")
    rows = ["image_name,class,rle"] + [f"{case},7,1 4" for case in CASES] + [f"{case},9,33 2" for case in CASES]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    report = segwright.evaluate(tmp_path / "scans", tmp_path / "labels.csv")
    assert report.aggregate("structure_7", "dice").mean == 1
    assert report.aggregate("structure_9", "dice").mean == pytest.approx(4 / 6)


def test_files_are_found_by_the_name_of_their_image(tmp_path: Path) -> None:
    """Case ids hold a folder that predictions need not repeat; one that two cases have means neither."""
    square = [[2, 2], [9, 2], [9, 9], [2, 9]]
    for patient, image in (("p1", "a"), ("p2", "b"), ("p3", "same"), ("p4", "same")):
        for kind in ("images", "json"):
            (tmp_path / "scans" / kind / patient).mkdir(parents=True)
        Image.fromarray(np.full(SHAPE, 99, np.uint8)).save(tmp_path / "scans" / "images" / patient / f"{image}.png")
        document = {"annotations": [{"label": "heart", "points": square}]}
        (tmp_path / "scans" / "json" / patient / f"{image}.json").write_text(json.dumps(document))
    (tmp_path / "out").mkdir()
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:9, 2:9] = 255
    for name in ("a", "b", "same"):
        Image.fromarray(mask).save(tmp_path / "out" / f"{name}.png")
    report = segwright.evaluate(tmp_path / "scans", tmp_path / "out")
    assert report.aggregate("heart", "dice").mean == 1
    assert report.aggregate("heart", "dice").missing == 2
    assert any("left out: same" in note for note in report.notes)
    convert(tmp_path / "out", tmp_path / "rle", to="rle")
    renamed = (tmp_path / "rle" / "labels.csv").read_text().replace("foreground", "heart")
    (tmp_path / "labels.csv").write_text(renamed)
    convert(tmp_path / "scans", tmp_path / "alone", to="structures")  # files are called as cases: p1_a.png
    report = segwright.evaluate(tmp_path / "alone", tmp_path / "labels.csv")
    assert report.aggregate("heart", "dice").mean == 1 and report.aggregate("heart", "dice").missing == 2
    Image.fromarray(mask).save(tmp_path / "out" / "p1_a.png")
    with pytest.raises(LayoutError, match="Two predictions"):
        segwright.evaluate(tmp_path / "scans", tmp_path / "out")


def test_repairs_of_predictions_are_told(tmp_path: Path) -> None:
    scans = folder(tmp_path / "scans", 0, form=".png")
    (tmp_path / "out").mkdir()
    for case in CASES:
        document = {"annotations": [{"label": "heart", "points": [[2, 2], [90, 2], [90, 9], [2, 9]]}]}
        (tmp_path / "out" / f"{case}.json").write_text(json.dumps(document))
    report = segwright.evaluate(scans, tmp_path / "out")
    assert any("ann_1" in note and "reaches 58 pixels out of the image" in note for note in report.notes)


def test_a_broken_prediction_costs_its_case_only(tmp_path: Path) -> None:
    scans = folder(tmp_path / "scans", 0, form=".png")
    (tmp_path / "labels.csv").write_text(
        "image_name,class,rle\nann_1,heart,1 9999\nann_2,heart,1 3 5\nbob_1,heart,1 4\n"
    )
    with pytest.raises(LabelError, match="line 3"):
        segwright.evaluate(scans, tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("image_name,class,rle\nann_1,heart,1 9999\nbob_1,heart,1 4\n")
    report = segwright.evaluate(scans, tmp_path / "labels.csv")
    assert report.aggregate("heart", "dice").missing == 2
    assert any("ann_1" in note and "line 2" in note for note in report.notes)


def test_segmentations_of_series_find_their_scans(shared_data) -> None:
    """A SEG with overlapping segments against itself, found by the series it names whatever it is called."""
    odd = shared_data("odd")
    files = [path for path in odd.rglob("*.dcm") if pydicom.dcmread(path, stop_before_pixels=True).Modality == "SEG"]
    if not files:
        pytest.skip("no DICOM SEG here")
    report = segwright.evaluate(files[0].parent, files[0].parent)
    assert report.aggregate("mean", "dice").mean == 1


def test_labels_beside_their_images_are_the_reference(tmp_path: Path) -> None:
    """Names tell them apart, as when learning; the images are not taken for labels."""
    (tmp_path / "data").mkdir()
    (tmp_path / "out").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        mask = np.zeros((20, 24), np.uint8)
        mask[4 + number : 12, 6:16] = 255
        image = (mask // 3 + rng.integers(0, 60, mask.shape)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "data" / f"film{number}.png")
        Image.fromarray(mask).save(tmp_path / "data" / f"film{number}_mask.png")
        Image.fromarray(mask).save(tmp_path / "out" / f"film{number}.png")
    report = segwright.evaluate(tmp_path / "data", tmp_path / "out", metrics=["dice"])
    mean = report.aggregate("mean", "dice")
    assert (mean.cases, mean.missing, mean.mean) == (3, 0, 1.0)
