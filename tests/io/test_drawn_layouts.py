"""Folders of images with drawn labels open without a hand, and what is wrong in them is a finding or an error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset as Attributes
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from scipy.io import savemat

from segwright import io
from segwright.core.errors import GeometryError, LabelError, LayoutError
from segwright.io.dataset import open_dataset, open_labels
from segwright.io.grids import onto_grid
from segwright.io.load import load_image, load_label
from segwright.planning.check import inspect

Find = Callable[[str], Path]
SHAPE = (24, 30)


def png(path: Path, shape: tuple[int, int] = SHAPE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(path.name.encode())
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)).save(path)
    return path


def document(path: Path, image: str, *shapes, size=SHAPE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [{"label": name, "points": points} for name, points in shapes]
    head = {"imagePath": image, "imageHeight": size[0], "imageWidth": size[1]}
    path.write_text(json.dumps({"shapes": listed, **head}))


def square(x: float, y: float, side: float = 6) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def findings(dataset, code: str) -> list[str]:
    return [f"{f.level} {f.where}: {f.what}" for f in inspect(dataset).findings if f.code == code]


class TestLabelMe:
    @pytest.mark.parametrize("where", ["beside", "parallel", "renamed"])
    def test_wherever_the_files_lie(self, tmp_path, where):
        for i in range(6):
            folder = tmp_path / ("images" if where != "parallel" else f"DCM/ID{i:03d}")
            png(folder / f"x{i}.png")
            labels = {"beside": folder / f"x{i}.json", "parallel": tmp_path / f"outputs_json/ID{i:03d}/x{i}.json",
                      "renamed": tmp_path / f"polygons/x{i}_labels.json"}[where]  # fmt: skip
            document(
                labels, "" if where == "renamed" else f"x{i}.png", ("heart", square(i, 3)), ("lung", square(i + 3, 3))
            )
        dataset = open_dataset(tmp_path)
        assert dataset.layout == "labelme"
        assert dataset.labels.names == ("heart", "lung")
        assert dataset.labels.kind == "overlapping"
        assert len(dataset.labelled) == len(dataset.cases) == 6
        for i, case in enumerate(dataset.cases):
            label = load_label(dataset, case, load_image(dataset, case).geometry)
            assert np.argwhere(label[0, 0])[0].tolist() == [3, i]
            assert (label[0] & label[1]).sum() == 18
        if where == "parallel":
            assert dataset.group_rule == "the folder of the image"
            assert {case.group for case in dataset.cases} == {f"ID{i:03d}" for i in range(6)}

    def test_apart_means_exclusive(self, tmp_path):
        for i in range(3):
            png(tmp_path / f"x{i}.png")
            document(tmp_path / f"x{i}.json", f"x{i}.png", ("a", square(0, 0)), ("b", square(6, 0)))
        dataset = open_dataset(tmp_path)
        assert dataset.labels.kind == "exclusive"
        assert any("share no pixels" in note for note in dataset.notes)

    def test_repairs_appear_in_the_inspection(self, tmp_path):
        for i in range(4):
            png(tmp_path / f"x{i}.png")
            odd = {0: square(-2, 4), 1: [[2, 2], [8, 8], [8, 2], [2, 8]], 2: [[1, 1], [5, 5]]}.get(i, square(1, 1))
            document(tmp_path / f"x{i}.json", f"x{i}.png", ("heart", odd), ("heart", square(12, 12)))
        told = findings(open_dataset(tmp_path), "label-repaired")
        assert len(told) == 3
        assert "warning x0: Shape 1 ('heart') reaches 2 pixels out of the image; it is clipped." in told
        assert "warning x1: Shape 1 ('heart') crosses itself; it is filled by the even-odd rule." in told
        assert "warning x2: Shape 1 ('heart') has 2 points and encloses nothing; it is left out." in told

    def test_sizes_and_strangers_are_errors_of_their_case(self, tmp_path):
        for i in range(5):
            png(tmp_path / f"x{i}.png")
            document(tmp_path / f"x{i}.json", f"x{i}.png", ("heart", square(1, 1)), size=(99, 99) if i == 2 else SHAPE)
        (told,) = findings(open_dataset(tmp_path), "label-values")
        assert told.startswith("error x2: The label was drawn on an image of another size.")
        dataset = open_dataset(tmp_path)
        dataset.save(tmp_path / "dataset.yaml")
        document(tmp_path / "x4.json", "x4.png", ("haert", square(1, 1)))
        (told, _) = findings(open_dataset(tmp_path / "dataset.yaml"), "label-values")[::-1]
        found = inspect(open_dataset(tmp_path / "dataset.yaml")).findings
        stranger = next(f for f in found if "haert" in f.what)
        assert stranger.level == "error"
        assert stranger.where == "x4"
        assert "Did you mean 'heart'?" in stranger.hint

    def test_lone_files_and_lone_images_are_told(self, tmp_path):
        for i in range(5):
            png(tmp_path / f"images/x{i}.png")
            document(tmp_path / f"labels/x{i}.json", f"x{i}.png", ("heart", square(1, 1)))
        (tmp_path / "images/x1.png").unlink()
        (tmp_path / "labels/x2.json").unlink()
        dataset = open_dataset(tmp_path)
        assert [f.where for f in inspect(dataset).findings if f.code == "no-image"] == ["x1"]
        assert [f.where for f in inspect(dataset).findings if f.code == "no-label"] == ["x2"]

    def test_sidecars_of_scans_are_not_taken_for_labels(self, tmp_path):
        for i in range(3):
            png(tmp_path / f"images/x{i}.png")
            (tmp_path / f"images/x{i}.json").write_text('{"ExposureTime": 3}')
        dataset = open_dataset(tmp_path)
        assert (dataset.layout, len(dataset.labelled)) == ("unlabelled", 0)
        assert [(a.path, a.count) for a in dataset.aside] == [("./ (.json)", 3)]


class TestCoco:
    def folder(self, root: Path, *, prefix: str = "") -> Path:
        images, objects = [], []
        for i in range(4):
            png(root / f"images/{prefix}x{i}.png")
            images.append({"id": i, "file_name": f"{prefix}x{i}.png", "height": SHAPE[0], "width": SHAPE[1]})
            flat = [v for p in square(i, 2) for v in p]
            objects.append({"id": i, "image_id": i, "category_id": 1, "segmentation": [flat]})
        text = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "heart"}]}
        (root / "annotations").mkdir(parents=True)
        (root / "annotations/instances.json").write_text(json.dumps(text))
        return root

    @pytest.mark.parametrize("prefix", ["", "sub/"])
    def test_one_file_for_a_folder(self, tmp_path, prefix):
        dataset = open_dataset(self.folder(tmp_path, prefix=prefix))
        assert dataset.layout == "coco"
        assert len(dataset.labelled) == 4
        case = dataset.case("x2")
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        assert np.argwhere(label[0, 0])[0].tolist() == [2, 2]

    def test_the_file_itself_can_be_given(self, tmp_path):
        root = self.folder(tmp_path)
        shutil.move(root / "annotations/instances.json", root / "images/instances.json")
        assert len(open_dataset(root / "images/instances.json").labelled) == 4


class TestRuns:
    def test_a_table_beside_images(self, tmp_path):
        for i in range(4):
            png(tmp_path / f"train/ID{i}/x{i}.png")
        rows = [f"x{i}.png,{name},{i + 1} 3" for i in range(3) for name in ("radius", "ulna")]
        (tmp_path / "train.csv").write_text("\n".join(["image_name,class,rle", *rows, "gone.png,ulna,1 1"]) + "\n")
        dataset = open_dataset(tmp_path)
        assert dataset.layout == "rle"
        assert dataset.labels.names == ("radius", "ulna")
        assert dataset.labels.kind == "overlapping"
        assert {case.id for case in dataset.labelled} == {"ID0_x0", "ID1_x1", "ID2_x2", "gone"}
        assert findings(dataset, "no-image") == ["error gone: There is a label and no image."]
        case = dataset.case("ID1_x1")
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        assert np.argwhere(label[0, 0]).tolist() == [[0, 1], [0, 2], [0, 3]]

    def test_runs_beyond_one_image_are_its_error(self, tmp_path):
        for i in range(3):
            png(tmp_path / f"x{i}.png")
        (tmp_path / "t.csv").write_text("image_name,class,rle\nx0.png,a,1 5\nx1.png,a,719 9\nx2.png,a,3 3\n")
        (told,) = findings(open_dataset(tmp_path), "label-values")
        assert told.startswith("error x1: A run reaches beyond the image.")
        assert "line 3" in told


class TestMatlab:
    def folder(self, root: Path, odd: dict[str, np.ndarray]) -> Path:
        planes = np.zeros((*SHAPE, 3), np.uint8)
        planes[2:6, 3:9, 0] = planes[10:14, 3:9, 1] = 1
        planes[..., 2] = planes[..., :2].max(axis=-1) == 0
        for i in range(5):
            png(root / f"dataset/x{i}.png")
            (root / "label").mkdir(exist_ok=True)
            savemat(root / f"label/x{i}.mat", odd if i == 3 else {"label_separated": planes, "colours": np.eye(4)})
        return root

    def test_a_file_without_the_array_names_those_it_has(self, tmp_path):
        other = np.zeros((*SHAPE, 3), np.uint8)
        dataset = open_dataset(self.folder(tmp_path, {"label_seperated": other, "colours": np.eye(4)}))
        assert len(dataset.labels.names) == 2
        assert any("'label_separated' is the label" in note for note in dataset.notes)
        (told,) = findings(dataset, "unreadable-label")
        assert told.startswith("error x3: The file has no array 'label_separated'.")
        assert "label_seperated (24, 30, 3) uint8" in told

    def test_files_that_agree_need_no_key(self, tmp_path):
        for i in range(3):
            png(tmp_path / f"dataset/x{i}.png")
            (tmp_path / "label").mkdir(exist_ok=True)
            savemat(tmp_path / f"label/x{i}.mat", {"mask": np.eye(*SHAPE, dtype=np.uint8)})
        assert {s.key for case in open_dataset(tmp_path).cases for s in case.label} == {None}


def ct(folder: Path, *, planes: int = 3, uid: str = "1.2.77") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for z in range(planes):
        ds = Attributes()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{z + 1}"
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.PatientID, ds.Modality = uid, "1.2.3", "P", "CT"
        ds.FrameOfReferenceUID = "1.2.9"
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored = 1, "MONOCHROME2", 16, 16
        ds.HighBit, ds.PixelRepresentation, ds.InstanceNumber = 15, 0, z + 1
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-20.0, -30.0, 5.0 * z]
        ds.PixelSpacing, ds.SliceThickness = [2.0, 0.5], 5.0
        ds.Rows, ds.Columns = 10, 12
        ds.PixelData = np.arange(120, dtype=np.uint16).tobytes()
        ds.save_as(folder / f"{z}.dcm", enforce_file_format=True)
    return folder


def rtstruct(
    path: Path, regions: dict[str, list[tuple[float, list]]], *, uid: str | None = "1.2.77", kind="CLOSED_PLANAR"
):
    """Contours `(z mm, [(x mm, y mm), ...])` of each region."""
    ds = Attributes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    ds.Modality, ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "RTSTRUCT", "P", "1.2.3", "1.2.78"
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(regions.items(), start=1):
        roi, drawn = Attributes(), Attributes()
        roi.ROINumber, roi.ROIName, drawn.ReferencedROINumber, drawn.ContourSequence = number, name, number, []
        for z, points in contours:
            contour = Attributes()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [v for x, y in points for v in (x, y, z)]
            drawn.ContourSequence.append(contour)
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(drawn)
    frame, study, series = Attributes(), Attributes(), Attributes()
    if uid is not None:
        series.SeriesInstanceUID = uid
        study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [series], [study]
    frame.FrameOfReferenceUID = "1.2.9"
    ds.ReferencedFrameOfReferenceSequence = [frame]
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


class TestStructureSets:
    """Positions: columns are 0.5 mm from x = -20, rows 2 mm from y = -30; pixel centres lie on those numbers."""

    def test_contours_fill_the_planes_they_lie_on(self, tmp_path):
        ct(tmp_path / "series")
        outer, inner = rectangle(-20.25, -31, -17.25, -21), rectangle(-19.25, -29, -18.25, -25)
        rtstruct(tmp_path / "plan.dcm", {"bladder": [(5.0, outer), (5.0, inner), (10.0, outer)], "dot": [(0.0, inner)]})
        dataset = open_dataset(tmp_path)
        assert (dataset.layout, len(dataset.cases)) == ("dicomseg", 1)
        volume = load_image(dataset, dataset.cases[0])
        label = load_label(dataset, dataset.cases[0], volume.geometry)
        expected = np.zeros((3, 10, 12), bool)
        expected[1:, 0:5, 0:6] = True
        expected[1, 1:3, 2:4] = False
        np.testing.assert_array_equal(dataset.labels.mask(label, 0), expected)
        assert dataset.labels.names == ("bladder", "dot")

    def test_planes_that_are_missing_are_named(self, tmp_path):
        ct(tmp_path / "series")
        rtstruct(tmp_path / "plan.dcm", {"bladder": [(20.0, rectangle(-19, -29, -17, -20))]})
        dataset = open_dataset(tmp_path)
        with pytest.raises(GeometryError, match=r"planes from z = 0 to 10 mm.*bladder at z = 20 mm"):
            load_label(dataset, dataset.cases[0], load_image(dataset, dataset.cases[0]).geometry)

    def test_a_set_without_series_is_refused(self, tmp_path):
        ct(tmp_path / "series")
        rtstruct(tmp_path / "plan.dcm", {"bladder": [(5.0, rectangle(-19, -29, -17, -20))]}, uid=None)
        dataset = open_dataset(tmp_path)
        with pytest.raises(LabelError, match=r"which series.*RTReferencedStudySequence is missing"):
            load_label(dataset, dataset.cases[0], load_image(dataset, dataset.cases[0]).geometry)

    def test_points_and_open_lines_are_told(self, tmp_path):
        ct(tmp_path / "series")
        good = {"bladder": [(5.0, rectangle(-19, -29, -17, -20))]}
        path = rtstruct(tmp_path / "plan.dcm", {**good, "mark": [(5.0, [(-19, -29)])]})
        data = pydicom.dcmread(path)
        data.ROIContourSequence[1].ContourSequence[0].ContourGeometricType = "POINT"
        data.save_as(path)
        dataset = open_dataset(tmp_path)
        (told,) = findings(dataset, "label-repaired")
        assert "'mark'" in told
        assert "1 of kind POINT" in told

    def test_two_series_find_their_own_labels(self, tmp_path):
        for name, uid in (("one", "1.2.77"), ("two", "1.2.88")):
            ct(tmp_path / name / "scan", uid=uid)
            rtstruct(tmp_path / f"labels/{name}.dcm", {name: [(5.0, rectangle(-19, -29, -17, -20))]}, uid=uid)
        dataset = open_dataset(tmp_path)
        pairs = {case.images[0].path: case.label[0].path for case in dataset.cases}
        assert pairs == {"one/scan": "labels/one.dcm", "two/scan": "labels/two.dcm"}


class TestReal:
    def test_segmentations_agree_with_another_reader(self, shared_data: Find):
        """NRRD files that dcmqi made from the same objects."""
        folder = shared_data("odd") / "dicom-seg"
        dataset = open_dataset(folder)
        volume = load_image(dataset, dataset.cases[0])
        label = load_label(dataset, dataset.cases[0], volume.geometry)
        assert not dataset.labels.exclusive
        liver = io.read(folder / "liver_seg.nrrd")
        expected = onto_grid(liver.array()[0], liver.geometry, volume.geometry, where="") > 0
        np.testing.assert_array_equal(dataset.labels.mask(label, dataset.labels.names.index("Liver")), expected)
        numbers = {"GREEN": (1, 1), "LIGHT_BLUE": (1, 4), "DARK_BLUE": (1, 5), "ORANGE": (2, 2), "PURPLE": (3, 3)}
        for name, (file, value) in numbers.items():
            stored = io.read(folder / f"partial_overlaps-{file}.nrrd")
            part = onto_grid(stored.array()[0], stored.geometry, volume.geometry, where="") == value
            np.testing.assert_array_equal(dataset.labels.mask(label, dataset.labels.names.index(name)), part)

    def test_structure_sets_good_and_broken(self, shared_data: Find):
        folder = shared_data("odd") / "rtstruct"
        geometry = io.read(folder).geometry
        read = io.form_of(folder / "rt.dcm").read
        good = read(folder / "rt.dcm", None, geometry)
        assert good.masks["ROI-1"].sum(axis=(1, 2)).tolist() == [1443, 0]
        with pytest.raises(GeometryError, match=r"z = 70 mm"):
            read(folder / "invalid_reference_rt.dcm", None, geometry)
        with pytest.raises(LabelError, match="RTReferencedStudySequence is missing"):
            read(folder / "non_existent_reference_rt.dcm", None, geometry)

    def test_teeth_have_their_classes_and_patients(self, shared_data: Find):
        dataset = open_dataset(shared_data("teeth"))
        assert len(dataset.labels.names) == 32
        case = dataset.cases[0]
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        names = {s["label"] for s in json.loads(dataset.path(case.label[0]).read_text())["annotations"]}
        present = {n for i, n in enumerate(dataset.labels.names) if label[i].any()}
        assert present == names


def test_labels_with_images_elsewhere(tmp_path):
    for i in range(3):
        png(tmp_path / f"scans/x{i}.png")
        document(tmp_path / f"polygons/x{i}.json", f"x{i}.png", ("a", square(i, 0)))
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.eye(*SHAPE, k=i, dtype=np.uint8) * 255).save(tmp_path / f"masks/x{i}.png")
    for name in ("polygons", "masks"):
        dataset = open_labels(tmp_path / name, tmp_path / "scans")
        assert len(dataset.labelled) == 3
        assert load_label(dataset, dataset.case("x1"), load_image(dataset, dataset.case("x1")).geometry).any()
    with pytest.raises(LayoutError, match="No label"):
        open_labels(tmp_path / "scans", tmp_path / "polygons")


def test_labels_without_images(tmp_path):
    for i in range(3):
        document(tmp_path / f"polygons/x{i}.json", f"x{i}.png", ("a", square(i, 0)))
        (tmp_path / "masks/heart").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(*SHAPE, k=i, dtype=np.uint8) * 255).save(tmp_path / f"masks/heart/x{i}.png")
    assert len(open_labels(tmp_path / "polygons").labelled) == 3
    assert open_labels(tmp_path / "masks").labels.names == ("heart",)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(LayoutError, match="No labels were found"):
        open_labels(tmp_path / "nothing")


@pytest.mark.parametrize("named", [True, False])
def test_images_of_one_name_belong_to_the_labels_of_their_folder(tmp_path, named):
    """`images/p1/left.png` and `images/p2/left.png` with `json/p1/left.json` and `json/p2/left.json`."""
    for patient, side in (("p1", 6), ("p2", 9)):
        png(tmp_path / "images" / patient / "left.png")
        document(tmp_path / "json" / patient / "left.json", "left.png" if named else "", ("heart", square(2, 2, side)))
    dataset = open_dataset(tmp_path)
    assert [(case.id, len(case.images), len(case.label)) for case in dataset.cases] == [
        ("p1_left", 1, 1),
        ("p2_left", 1, 1),
    ]
    assert [case.label[0].path for case in dataset.cases] == ["json/p1/left.json", "json/p2/left.json"]


def test_a_broken_document_of_an_image_is_told(tmp_path):
    """It is not taken for a file beside the point, which would leave its image unlabelled without a word."""
    for name in "abcdef":
        png(tmp_path / "images" / f"{name}.png")
        document(tmp_path / "json" / f"{name}.json", f"{name}.png", ("heart", square(2, 2)))
    (tmp_path / "json" / "b.json").write_text('{"shapes": [')
    (tmp_path / "json" / "settings.json").write_text("{broken")
    dataset = open_dataset(tmp_path)
    assert any("b:" in told and "not valid JSON" in told for told in findings(dataset, "unreadable-label"))
    assert any("settings.json" in note for note in dataset.notes)


def test_structures_drawn_twice_and_slips_of_names_are_told(tmp_path):
    for name in ("a", "b", "c"):
        png(tmp_path / "images" / f"{name}.png")
        shapes = [("tooth-1", square(1, 1)), ("tooth-2", square(9, 1))]
        if name == "b":
            shapes[1] = ("tooth-1", square(9, 1))
        if name == "c":
            shapes[1] = ("Tooth_2", square(9, 1))
        document(tmp_path / "json" / f"{name}.json", f"{name}.png", *shapes)
    dataset = open_dataset(tmp_path)
    assert any("united, in 1 case: tooth-1 (2 outlines) in b" in note for note in dataset.notes)
    assert "differ in case and signs only" in findings(dataset, "structure-names")[0]


def test_one_odd_matlab_label_does_not_decide_for_the_others(tmp_path):
    """Most files hold three planes; those that hold fewer or more, or other arrays, are errors of their case."""
    (tmp_path / "masks").mkdir()
    for number in range(7):
        png(tmp_path / "images" / f"p{number}.png")
        planes = np.zeros((*SHAPE, 3), np.uint8)
        planes[2:6, 2:6, 0] = planes[2:6, 8:12, 1] = planes[4:9, 3:9, 2] = 1
        odd = {0: {"other": np.zeros((3, 3))}, 1: {"label": planes[..., :2]}, 2: {"label": planes[..., [0, 1, 2, 2]]}}
        savemat(tmp_path / "masks" / f"p{number}.mat", odd.get(number, {"label": planes}))
    dataset = open_dataset(tmp_path)
    assert len(dataset.labels.names) == 3
    wrong = [f for f in inspect(dataset).findings if f.level == "error"]
    assert sorted(f.where for f in wrong) == ["p0", "p1", "p2"]
    assert "no array 'label'" in next(f.what for f in wrong if f.where == "p0")
