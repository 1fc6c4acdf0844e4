"""DICOM SEG as another reader sees it: frames lie where their planes lie and name the image they were drawn on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

import segwright
from segwright import io
from segwright.api.convert import convert
from segwright.core.errors import WriteError
from segwright.io.dataset import open_dataset
from segwright.io.formats import dicomseg
from segwright.io.formats.dicomseg import write as dicomsegout
from segwright.io.load import load_label, read_label

SHAPE = (6, 10, 12)
ROW, COLUMN = (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)  # sagittal
STEP = np.array([-2.5, 0.0, 0.0])


def head(kind: str, number: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = kind
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[kind, str(number)])
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = "1.2.9", "1.2.3", "1.2.5"
    ds.PatientID, ds.PatientName, ds.Modality, ds.InstanceNumber = "P7", "Doe^Jane", "MR", number
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.Rows, ds.Columns = SHAPE[1:]
    return ds


def voxels(skip: tuple[int, ...] = ()) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 999, SHAPE, dtype=np.uint16)[[z for z in range(SHAPE[0]) if z not in skip]]


def position(z: int) -> list[float]:
    return [float(v) for v in np.array((40.0, -30.5, 70.25)) + z * STEP]


def classic(folder: Path, skip: tuple[int, ...] = ()) -> Path:
    folder.mkdir(parents=True)
    rest = [z for z in range(SHAPE[0]) if z not in skip]
    for z, plane in zip(rest, voxels(skip), strict=True):
        ds = head(CTImageStorage, z)
        ds.ImagePositionPatient, ds.ImageOrientationPatient = position(z), [*ROW, *COLUMN]
        ds.PixelSpacing, ds.SliceThickness = [0.8, 0.5], 2.5
        ds.PixelData = plane.tobytes()
        ds.save_as(folder / f"im{99 - z}.dcm", enforce_file_format=True)
    return folder


def group(**fields: object) -> Dataset:
    """A functional group: `PlanePosition=("ImagePositionPatient", value)`."""
    out = Dataset()
    for name, (tag, value) in fields.items():
        inner = Dataset()
        setattr(inner, tag, value)
        setattr(out, f"{name}Sequence", Sequence([inner]))
    return out


def enhanced(path: Path, order: tuple[int, ...], *, shared: bool = True) -> Path:
    """One file whose frames are not in the order of their positions; orientation and spacing once, or at each frame."""
    places = {
        "PlaneOrientation": ("ImageOrientationPatient", [*ROW, *COLUMN]),
        "PixelMeasures": ("PixelSpacing", [0.8, 0.5]),
    }
    ds = head(EnhancedMRImageStorage, 1)
    ds.NumberOfFrames = len(order)
    ds.SharedFunctionalGroupsSequence = Sequence([group(**(places if shared else {}))])
    own = {} if shared else places
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        [group(PlanePosition=("ImagePositionPatient", position(z)), **own) for z in order]
    )
    ds.PixelData = voxels()[list(order)].tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def masks(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Two structures that share voxels, and one that is nowhere."""
    rng = np.random.default_rng(2)
    one, other = rng.random(shape) > 0.6, np.zeros(shape, bool)
    other[1:4, 2:7, 3:9] = True
    return {"one": one, "other": other, "none": np.zeros(shape, bool)}


def by_hand(path: Path) -> dict[tuple[str, tuple[float, ...]], np.ndarray]:
    """Pixels by segment and position of the frame's first pixel, from the attributes that the standard names."""
    seg = pydicom.dcmread(path)
    names = {int(s.SegmentNumber): str(s.SegmentLabel) for s in seg.SegmentSequence}
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient] == [*ROW, *COLUMN]
    assert [float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing] == [0.8, 0.5]
    assert seg.FrameOfReferenceUID == "1.2.5" and seg.PatientName == "Doe^Jane"
    out = {}
    for frame, own in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        told = own if "SegmentIdentificationSequence" in own else shared
        number = int(told.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        place = tuple(float(v) for v in own.PlanePositionSequence[0].ImagePositionPatient)
        out[names[number], place] = frame != 0
    return out


def expected(found: Mapping[str, np.ndarray], stored: np.ndarray, kept: list[int]) -> dict:
    """What a mask on our planes means at each position; planes are told apart by their pixels."""
    out = {}
    for index, plane in enumerate(stored):
        z = next(z for z in kept if np.array_equal(voxels()[z], plane))
        out |= {(name, tuple(position(z))): mask[index] for name, mask in found.items() if mask[index].any()}
    return out


def same(a: Mapping, b: Mapping) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("skip", [(), (2,), (1, 2, 4)])
def test_frames_of_a_series_lie_where_its_slices_lie(tmp_path: Path, skip: tuple[int, ...]) -> None:
    volume = io.read(classic(tmp_path / "series", skip))
    drawn = masks(volume.geometry.shape)
    path = dicomsegout.write(tmp_path / "seg.dcm", drawn, volume)
    kept = [z for z in range(SHAPE[0]) if z not in skip]
    assert same(by_hand(path), expected(drawn, volume.array()[0], kept))
    seg = pydicom.dcmread(path)
    uids = {tuple(position(z)): head(CTImageStorage, z).SOPInstanceUID for z in kept}
    for own in seg.PerFrameFunctionalGroupsSequence:
        place = tuple(float(v) for v in own.PlanePositionSequence[0].ImagePositionPatient)
        assert own.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID == uids[place]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (3, 0, 5, 1, 4, 2)])
@pytest.mark.parametrize("shared", [True, False])
def test_frames_of_an_enhanced_file_lie_where_its_frames_lie(
    tmp_path: Path, order: tuple[int, ...], shared: bool
) -> None:
    volume = io.read(enhanced(tmp_path / "mr.dcm", order, shared=shared))
    drawn = masks(SHAPE)
    path = dicomsegout.write(tmp_path / "seg.dcm", drawn, volume)
    assert same(by_hand(path), expected(drawn, volume.array()[0], list(order)))
    seg = pydicom.dcmread(path)
    for own in seg.PerFrameFunctionalGroupsSequence:
        told = own.DerivationImageSequence[0].SourceImageSequence[0]
        place = [float(v) for v in own.PlanePositionSequence[0].ImagePositionPatient]
        assert place == position(order[int(told.ReferencedFrameNumber) - 1])
    back = dicomseg.read(path, None, volume.geometry)
    assert all(np.array_equal(back.masks[name], mask) for name, mask in drawn.items())


def test_a_multiframe_file_without_places_is_refused(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "mr.dcm", (0, 1, 2, 3, 4, 5))
    ds = pydicom.dcmread(path)
    del ds.PerFrameFunctionalGroupsSequence
    ds.save_as(path)
    with pytest.raises(WriteError, match="enhanced file that says where each frame lies"):
        dicomsegout.write(tmp_path / "seg.dcm", masks(SHAPE), io.read(path))


@pytest.mark.parametrize("skip", [(2,), (2, 3)])
def test_labels_of_a_series_with_missing_slices_stay_on_their_slices(tmp_path: Path, skip: tuple[int, ...]) -> None:
    """Behind a gap the grid is too short; frames go by the planes that are there, and back again."""
    classic(tmp_path / "whole" / "series")
    whole = io.read(tmp_path / "whole" / "series")
    drawn = masks(SHAPE)
    dicomsegout.write(tmp_path / "whole" / "seg.dcm", drawn, whole)
    (tmp_path / "gap").mkdir()
    classic(tmp_path / "gap" / "series", skip)
    (tmp_path / "gap" / "seg.dcm").write_bytes((tmp_path / "whole" / "seg.dcm").read_bytes())
    dataset = open_dataset(tmp_path / "gap")
    like = io.read(tmp_path / "gap" / "series")
    found = read_label(dataset, dataset.cases[0], like.geometry)
    stored = [next(z for z, p in enumerate(whole.array()[0]) if np.array_equal(p, plane)) for plane in like.array()[0]]
    for index, name in enumerate(dataset.labels.names):
        assert np.array_equal(dataset.labels.mask(found.labels, index), drawn[name][stored]), name
    assert any("slices that the series lacks is left out" in text for text in found.repairs)
    convert(dataset, tmp_path / "again", to="dicomseg")
    back = open_dataset(tmp_path / "again" / "dataset.yaml")
    again = load_label(back, back.cases[0], like.geometry)
    assert np.array_equal(again, found.labels)


def test_a_series_with_missing_slices_is_predicted_with_a_note(tmp_path: Path) -> None:
    """The answer lies on the slices that are there; every file says that some are missing."""
    for name in ("a", "b"):
        classic(tmp_path / "scans" / name / "series")
        volume = io.read(tmp_path / "scans" / name / "series")
        dicomsegout.write(tmp_path / "scans" / name / "seg.dcm", {"one": masks(SHAPE)["other"]}, volume)
        for file in (tmp_path / "scans" / name).rglob("*.dcm"):
            ds = pydicom.dcmread(file)
            ds.PatientID, ds.SeriesInstanceUID = name, f"1.2.{ord(name)}"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.{ord(name)}"
            if "SegmentSequence" not in ds:
                ds.PixelData = (ds.pixel_array + np.uint16(ord(name))).tobytes()
            for told in ds.get("ReferencedSeriesSequence", []):
                told.SeriesInstanceUID = f"1.2.{ord(name)}"
                for one in told.ReferencedInstanceSequence:
                    one.ReferencedSOPInstanceUID += f".{ord(name)}"
            ds.save_as(file)
    wishes = {"steps": 2, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2, "postprocess": False}
    run = segwright.fit(tmp_path / "scans", out=tmp_path / "run", **wishes)
    classic(tmp_path / "new" / "gap", (2,))
    done = segwright.predict(run.model, tmp_path / "new" / "gap", tmp_path / "out", suffix="dicomseg")
    assert any("1 slice missing between planes" in note for note in done.cases[0].notes)
    segment = pydicom.dcmread(tmp_path / "out" / done.cases[0].files[0]).SegmentSequence[0]
    assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == ("AUTOMATIC", "segwright")
    drawn = pydicom.dcmread(tmp_path / "scans" / "a" / "seg.dcm").SegmentSequence[0]
    assert drawn.SegmentAlgorithmType == "MANUAL"
    places = {place for _, place in by_hand(tmp_path / "out" / done.cases[0].files[0])}
    assert places <= {tuple(position(z)) for z in (0, 1, 3, 4, 5)}


@pytest.mark.parametrize("named", ["each frame", "all frames together", "one frame only"])
def test_images_named_by_frames_alone_are_found_beside_another_series(tmp_path: Path, named: str) -> None:
    """Without a list of the series; the other series of the study lies on the same grid."""
    drawn = masks(SHAPE)
    for patient in ("a", "b"):
        for kind in ("adc", "t2"):
            for path in classic(tmp_path / patient / kind).iterdir():
                ds = pydicom.dcmread(path)
                ds.PatientID = ds.FrameOfReferenceUID = ds.StudyInstanceUID = f"1.7.{ord(patient)}"
                ds.SeriesInstanceUID = f"{ds.StudyInstanceUID}.{len(kind)}"
                ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SeriesInstanceUID}.{path.stem[2:]}"
                ds.save_as(path)
        path = dicomsegout.write(tmp_path / patient / "seg" / "seg.dcm", drawn, io.read(tmp_path / patient / "t2"))
        seg = pydicom.dcmread(path)
        del seg.ReferencedSeriesSequence
        frames = seg.PerFrameFunctionalGroupsSequence
        if named == "all frames together":
            seg.SharedFunctionalGroupsSequence[0].DerivationImageSequence = frames[0].DerivationImageSequence
        for frame in frames[0 if named == "all frames together" else 1 :] if named != "each frame" else ():
            del frame.DerivationImageSequence
        seg.save_as(path)
    dataset = open_dataset(tmp_path)
    assert [c.images[0].path for c in dataset.labelled] == ["a/t2", "b/t2"] and len(dataset.cases) == 4
    for case in dataset.labelled:
        label = load_label(dataset, case, io.read(tmp_path / case.images[0].path).geometry)
        found = {s.name: dataset.labels.mask(label, i) for i, s in enumerate(dataset.labels.structures)}
        assert {name: int(mask.sum()) for name, mask in found.items()} == {n: int(m.sum()) for n, m in drawn.items()}
