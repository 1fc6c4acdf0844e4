"""DICOM folders as scanners leave them: scouts, several series, phases, files that are cut; two places in a header."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from segwright import io
from segwright.core.errors import LayoutError, ReadError, SegwrightError
from segwright.io.dataset import open_dataset
from segwright.io.formats import dicomseg
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images

SHAPE = (8, 30, 34)


def write(
    folder: Path,
    scan: np.ndarray,
    name: str,
    *,
    step: float = 3.0,
    kind: str = "AXIAL",
    patient: str = "P",
    study: str = "1.2.3",
) -> str:
    """A series of axial slices, files called after it; returns its identifier."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid()
    for z, plane in enumerate(scan):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        d = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        d.PatientID, d.Modality, d.SeriesInstanceUID, d.SeriesDescription = patient, "CT", uid, name
        d.StudyInstanceUID, d.FrameOfReferenceUID = study, "1.2.4"
        d.ImageType, d.InstanceNumber, d.PixelSpacing = ["ORIGINAL", "PRIMARY", kind], z + 1, [1.5, 1.5]
        d.ImagePositionPatient, d.ImageOrientationPatient = [-30, -30, step * z], [1, 0, 0, 0, 1, 0]
        d.Rows, d.Columns = plane.shape
        d.SamplesPerPixel, d.PhotometricInterpretation, d.RescaleSlope, d.RescaleIntercept = 1, "MONOCHROME2", 1, 0
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 1
        d.PixelData = plane.astype("<i2").tobytes()
        d.save_as(folder / f"{name}{z:03d}.dcm", enforce_file_format=True)
    return uid


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:5, 6 + seed : 12 + seed, 8:18] = 1
    return rng.normal(0, 9, SHAPE) + 200 * mask, mask


def nifti(path: Path, mask: np.ndarray, step: float = 3.0) -> None:
    affine = np.diag([-1.5, -1.5, step, 1.0])
    affine[:3, 3] = 30, 30, 0
    nib.save(nib.Nifti1Image(mask.transpose(2, 1, 0), affine), path)


def right(root: Path, channels: int = 1) -> None:
    dataset = open_dataset(root)
    assert len(dataset.channels) == channels
    for case in dataset.labelled:
        image = load_image(dataset, case)
        label = load_label(dataset, case, image.geometry)
        assert (label > 0).sum() == 180
        assert image.array()[0][label[0] > 0].mean() > 150


@pytest.mark.parametrize("beside", ["scout", "single", "doses"])
def test_what_is_no_scan_is_left_aside_and_told(tmp_path, beside):
    for p in range(3):
        scan, mask = scene(p)
        folder = tmp_path / f"pat{p}"
        write(folder, scan, "m", patient=f"P{p}")
        count, kind = {"scout": (3, "LOCALIZER"), "single": (1, "SCREEN"), "doses": (2, "OTHER")}[beside]
        write(folder, np.zeros((count, 50, 34)), "a", kind=kind, patient=f"P{p}")
        nifti(folder / "label.nii.gz", mask)
    right(tmp_path)
    dataset = open_dataset(tmp_path)
    told = load_image(dataset, dataset.cases[0]).header["warnings"]
    assert any("Left out of the folder: series CT" in text for text in told)
    predicted = open_images(tmp_path / "pat0", ("ct",))
    assert load_image(predicted, predicted.cases[0]).geometry.shape == SHAPE


def test_of_two_stacks_that_of_the_labels_grid_is_read(tmp_path):
    for p in range(3):
        scan, mask = scene(p)
        folder = tmp_path / f"pat{p}"
        write(folder, np.zeros((16, 30, 34)), "thin", step=1.5)
        write(folder, scan, "thick")
        nifti(folder / "label.nii.gz", mask)
    right(tmp_path)
    assert any("on whose grid the label lies" in note for note in open_dataset(tmp_path).notes)
    with pytest.raises(ReadError, match="several series"):
        io.read(tmp_path / "pat0")


def phases(root: Path, *, labels: bool = True) -> None:
    for p in range(3):
        scan, mask = scene(p)
        for name in ("venous", "arterial"):
            write(root / f"pat{p}", scan + 10 * (name == "venous"), name)
        if labels:
            nifti(root / f"pat{p}" / "label.nii.gz", mask)


@pytest.mark.parametrize("told", [["CT venous"], ["CT arterial"], ["CT venous", "CT arterial"]])
def test_phases_are_asked_about_and_read_as_told(tmp_path, told):
    """The line that the error gives decides, for learning and for predicting; channels come in the order stated."""
    phases(tmp_path)
    with pytest.raises(LayoutError, match="2 DICOM series on the grid of the label") as error:
        open_dataset(tmp_path)
    assert "channels: [CT arterial, CT venous]" in error.value.hint
    (tmp_path / "dataset.yaml").write_text(f"channels: [{', '.join(told)}]\n")
    right(tmp_path, channels=len(told))
    dataset = open_dataset(tmp_path)
    assert dataset.channels == tuple(told)
    phases(tmp_path / "new", labels=False)
    for read in (dataset, open_images(tmp_path, dataset.channels), open_images(tmp_path / "new", dataset.channels)):
        for case in read.cases:
            means = load_image(read, case).array().mean(axis=(1, 2, 3))
            base = scene(int(case.id[-1]))[0].mean()
            wanted = [base + 10 * (name == "CT venous") for name in told]
            assert means == pytest.approx(wanted, abs=0.6)


@pytest.mark.parametrize("identity", ["patient", "stripped", "same"])
@pytest.mark.parametrize("where", ["dicom", "."])
def test_stacks_of_several_patients_in_one_folder_are_told_apart_by_headers(tmp_path, identity, where):
    """Each label lies on the scan of its patient, whose files lie between those of others."""
    for p in range(3):
        scan, mask = scene(p)
        folder = tmp_path / "one"
        patient = {"patient": f"P{p}", "stripped": "", "same": "ANON"}[identity]
        write(folder, scan, f"s{p}_", patient=patient, study=f"1.2.{p + 1}")
        for z, path in enumerate(sorted(folder.iterdir())):
            target = tmp_path / where / (f"IM{3 * z + p:05d}" if identity == "patient" else path.name)
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
        label = f"P{p}" if identity == "patient" else f"s{p}"
        (tmp_path / "labels").mkdir(exist_ok=True)
        nifti(tmp_path / ("labels" if where == "dicom" else ".") / f"{label}_seg.nii.gz", mask)
    (tmp_path / "one").rmdir()
    if where == ".":
        (tmp_path / "labels").rmdir()
    right(tmp_path)
    dataset = open_dataset(tmp_path)
    assert len(dataset.labelled) == 3
    assert {case.id for case in open_images(tmp_path, dataset.channels).cases} == {c.id for c in dataset.cases}
    assert len({case.group for case in dataset.cases}) == 3
    assert not any("series" in told for told in load_image(dataset, dataset.cases[0]).header["warnings"])


@pytest.mark.parametrize("backwards", [False, True])
def test_a_file_of_many_frames_is_a_volume_laid_by_the_positions_of_its_frames(tmp_path, backwards):
    for p in range(3):
        scan, mask = scene(p)
        write(tmp_path / "one", scan, "s", patient=f"P{p}")
        slices = [dcmread(path) for path in sorted((tmp_path / "one").iterdir())]
        whole = slices[0]
        order = range(len(slices))[:: -1 if backwards else 1]
        whole.SharedFunctionalGroupsSequence = [shared()]
        whole.PerFrameFunctionalGroupsSequence = [at(slices[z].ImagePositionPatient) for z in order]
        whole.NumberOfFrames, whole.PixelData = len(slices), b"".join(slices[z].PixelData for z in order)
        del whole.ImagePositionPatient, whole.ImageOrientationPatient, whole.PixelSpacing
        for folder in ("scans", "labels"):
            (tmp_path / folder).mkdir(exist_ok=True)
        whole.save_as(tmp_path / "scans" / f"p{p}.dcm")
        nifti(tmp_path / "labels" / f"p{p}.nii.gz", mask)
        shutil.rmtree(tmp_path / "one")
    right(tmp_path)
    assert len(open_dataset(tmp_path).labelled) == 3


def shared() -> Dataset:
    measures, plane, groups = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = [1.5, 1.5], [1, 0, 0, 0, 1, 0]
    groups.PixelMeasuresSequence, groups.PlaneOrientationSequence = [measures], [plane]
    return groups


def at(position) -> Dataset:
    place, groups = Dataset(), Dataset()
    place.ImagePositionPatient = position
    groups.PlanePositionSequence = [place]
    return groups


def test_many_pictures_of_series_of_their_own_stay_pictures(tmp_path):
    for i in range(6):
        write(tmp_path / "images", scene(0)[0][:1], f"x{i}", patient=f"P{i}")
    assert len(open_images(tmp_path / "images", ("ct",)).cases) == 6


@pytest.mark.parametrize("damage", ["empty", "cut", "short"])
def test_a_damaged_file_of_a_series_is_named(tmp_path, damage):
    write(tmp_path / "a", scene(0)[0], "s")
    victim = tmp_path / "a" / "s004.dcm"
    data = victim.read_bytes()
    victim.write_bytes({"empty": b"", "cut": data[:140], "short": data[:-900]}[damage])
    with pytest.raises(SegwrightError, match=r"s004\.dcm"):
        io.read(tmp_path / "a").array()


def test_whole_slide_tiles_are_refused_by_name(tmp_path):
    write(tmp_path, scene(0)[0][:1], "s")
    from pydicom import dcmread

    d = dcmread(tmp_path / "s000.dcm")
    d.NumberOfFrames, d.TotalPixelMatrixColumns, d.TotalPixelMatrixRows = 4, 68, 60
    d.PixelData = d.PixelData * 4
    d.save_as(tmp_path / "s000.dcm", enforce_file_format=True)
    with pytest.raises(ReadError, match="whole-slide image in tiles"):
        io.read(tmp_path / "s000.dcm")


def test_images_named_by_frames_are_found(tmp_path):
    """In per-frame and in shared groups, and beside a list of the whole."""

    def named(*uids: str) -> Dataset:
        source, derived = [Dataset() for _ in uids], Dataset()
        for one, uid in zip(source, uids, strict=True):
            one.ReferencedSOPInstanceUID = uid
        derived.SourceImageSequence = source
        group = Dataset()
        group.DerivationImageSequence = [derived]
        return group

    head = FileDataset("x", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    head.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    head.file_meta.MediaStorageSOPClassUID = head.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    head.file_meta.MediaStorageSOPInstanceUID = head.SOPInstanceUID = generate_uid()
    head.FrameOfReferenceUID, head.PatientID = "1.2.4", "P"
    head.SharedFunctionalGroupsSequence = [named("1.1")]
    head.PerFrameFunctionalGroupsSequence = [named("1.2", "1.3"), Dataset(), named("1.2")]
    head.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    told = dicomseg.reference(tmp_path / "seg.dcm")
    assert told == dicomseg.Reference((), ("1.1", "1.2", "1.3"), "P", "1.2.4")


@pytest.mark.parametrize("which", ["image", "label", "both"])
def test_the_place_on_which_image_and_label_lie_together_is_used(tmp_path, which):
    scanner = np.diag([1.5, 1.5, 3.0, 1.0])
    template = np.diag([1.6, 1.4, 3.1, 1.0])
    template[:3, 3] = 4, -7, 9
    for p in range(3):
        scan, mask = scene(p)
        for folder, array, two in (("images", scan, which != "label"), ("labels", mask, which != "image")):
            (tmp_path / folder).mkdir(exist_ok=True)
            stored = nib.Nifti1Image(array.transpose(2, 1, 0), None)
            stored.set_qform(scanner, 1)
            other = template if folder == "images" else template @ np.diag([1.1, 1, 1, 1])
            stored.set_sform(other if two else scanner, 4 if two else 1)
            nib.save(stored, tmp_path / folder / f"p{p}.nii.gz")
    right(tmp_path)
    dataset = open_dataset(tmp_path)
    assert any("sform and qform" in note for note in dataset.notes)
    case = dataset.cases[0]
    assert (case.images[0].grid, case.label[0].grid) == {
        "image": ("qform", None), "label": (None, "qform"), "both": ("qform", "qform")
    }[which]  # fmt: skip
    assert not any("sform" in text for text in load_image(dataset, case).header["warnings"]) or which == "label"


def test_a_header_with_one_place_states_no_other(tmp_path):
    nifti(tmp_path / "a.nii.gz", scene(0)[1])
    assert io.read(tmp_path / "a.nii.gz").header["grids"] == {}
