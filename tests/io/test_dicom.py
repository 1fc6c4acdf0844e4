"""DICOM series, single files and enhanced files: order, spacing, values, gaps, tilt, and what is not an image."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.volume import Volume

SHAPE = (4, 5, 6)
TURNS = [
    (np.eye(3)[list(order)] * np.array(signs)[:, None])
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def base(series: str, number: int = 1, **fields) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(number)])
    ds.SeriesInstanceUID, ds.StudyInstanceUID = series, "1.2.3"
    ds.PatientID, ds.Modality, ds.InstanceNumber = "P7", "CT", number
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    for name, value in fields.items():
        setattr(ds, name, value)
    return ds


def pixels(ds: Dataset, array: np.ndarray) -> Dataset:
    ds.Rows, ds.Columns = array.shape[-2:]
    ds.PixelData = np.ascontiguousarray(array).tobytes()
    return ds


def save(ds: Dataset, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def series(folder, *, row=(1, 0, 0), column=(0, 1, 0), step=(0, 0, 2.5), skip=(), uid="1.2.3.4", **fields):
    """Slices whose pixel values are unique; file names run against the geometry."""
    values = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    for z in range(SHAPE[0]):
        if z in skip:
            continue
        ds = base(uid, z + 1, **fields)
        ds.ImagePositionPatient = [float(v) for v in np.array((-20.5, 7.25, 100.0)) + z * np.array(step)]
        ds.ImageOrientationPatient = [float(v) for v in (*row, *column)]
        ds.PixelSpacing = [0.8, 0.5]
        ds.SliceThickness = 9.0
        save(pixels(ds, values[z]), folder / f"im{99 - z}.dcm")
    return values


def world(values, row, column, step):
    """RAS position of each voxel value, computed by the formula of the standard (C.7.6.2.1.1)."""
    z, y, x = np.unravel_index(np.arange(values.size), values.shape)
    lps = np.array((-20.5, 7.25, 100.0)) + np.outer(z, step) + np.outer(y, column) * 0.8 + np.outer(x, row) * 0.5
    return lps * (-1, -1, 1)


@pytest.mark.parametrize("turn", range(48))
@pytest.mark.parametrize("oblique", [False, True])
def test_every_orientation(tmp_path, turn, oblique):
    """Each value sits where the standard says, whatever the direction of rows, columns and slices."""
    matrix = TURNS[turn]
    if oblique:
        matrix = np.array(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.15).GetMatrix()).reshape(3, 3) @ matrix
    row, column, step = matrix[:, 0], matrix[:, 1], matrix[:, 2] * 3.3
    values = series(tmp_path, row=row, column=column, step=step)
    volume = io.read(tmp_path)
    index = np.argwhere(volume.array()[0] >= 0)
    order = np.argsort(volume.array()[0].ravel())
    assert np.allclose(volume.geometry.to_world(index)[order], world(values, row, column, step), atol=1e-4)
    assert np.allclose(volume.geometry.spacing, (3.3, 0.8, 0.5), atol=1e-6)
    assert not volume.header["warnings"]
    label = Volume.of((volume.array() == 50).astype(np.int16), volume.geometry)
    path = io.write(label, tmp_path / "out" / f"label{io.output_suffix(volume)}", like=volume)
    other = nib.load(path)
    assert np.allclose(
        nib.affines.apply_affine(other.affine, np.argwhere(np.asarray(other.dataobj)).mean(axis=0)),
        world(values, row, column, step)[50],
        atol=1e-3,
    )
    assert io.read(path).geometry.corner_distance(volume.geometry) < 1e-4


def test_oracle_reads_the_same(tmp_path):
    series(tmp_path, row=(0.8, 0.6, 0), column=(-0.6, 0.8, 0))
    volume = io.read(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(image), volume.array()[0])
    for index in itertools.product((0, 3), (0, 4), (0, 5)):
        lps = np.array(image.TransformIndexToPhysicalPoint([index[2], index[1], index[0]]))
        assert np.allclose(lps * (-1, -1, 1), volume.geometry.to_world(index), atol=1e-4)


def test_header_and_lazy_slices(tmp_path):
    values = series(tmp_path)
    volume = io.read(tmp_path)
    assert volume.header["patient_id"] == "P7" and volume.header["modality"] == "CT"
    assert volume.header["series_uid"] == "1.2.3.4" and len(volume.header["frame_uids"]) == 4
    assert np.array_equal(volume.data[(slice(0, 1), slice(1, 3), slice(2, 4), slice(0, 2))][0], values[1:3, 2:4, :2])
    assert io.output_suffix(volume) == ".nii.gz"


def test_gap_is_named_and_step_is_the_usual_one(tmp_path):
    series(tmp_path, skip=(2,))
    volume = io.read(tmp_path)
    assert volume.header["gaps"] == ((1, 1),)
    assert "missing between planes 2 (im98.dcm) and 3 (im96.dcm)" in volume.header["warnings"][0]
    series(tmp_path / "b", skip=())
    assert io.read(tmp_path / "b").header["gaps"] == ()


def test_gantry_tilt_shears_the_grid(tmp_path):
    values = series(tmp_path, step=(0, 0.5, 2.5))
    volume = io.read(tmp_path)
    assert "gantry tilt" in volume.header["warnings"][0] and "11.31 degrees" in volume.header["warnings"][0]
    index = np.argwhere(volume.array()[0] >= 0)
    assert np.allclose(volume.geometry.to_world(index), world(values, (1, 0, 0), (0, 1, 0), (0, 0.5, 2.5)))


def test_rescaling_keeps_whole_numbers_whole(tmp_path):
    values = series(tmp_path, RescaleSlope=2, RescaleIntercept=-1024)
    volume = io.read(tmp_path)
    assert volume.dtype.kind == "i"
    assert np.array_equal(volume.array()[0], values.astype(int) * 2 - 1024)
    series(tmp_path / "b", RescaleSlope=0.5, RescaleIntercept=0)
    assert np.allclose(io.read(tmp_path / "b").array()[0], values * 0.5)


def test_slopes_that_differ_are_applied_and_reported(tmp_path):
    values = series(tmp_path)
    path = tmp_path / "im99.dcm"
    ds = pydicom.dcmread(path)
    ds.RescaleSlope, ds.RescaleIntercept = 3, 1
    ds.save_as(path)
    volume = io.read(tmp_path)
    assert np.array_equal(volume.array()[0, 0], values[0] * 3 + 1)
    assert "differs between slices" in volume.header["warnings"][0]


@pytest.mark.parametrize("signed", [False, True])
def test_monochrome1_is_inverted_within_the_stored_bits(tmp_path, signed):
    stored = np.array([[0, 5], [2047, -3 if signed else 4095]], np.int16)
    ds = base("1.2", PhotometricInterpretation="MONOCHROME1", PixelRepresentation=int(signed), PixelSpacing=[0.2, 0.1])
    path = save(pixels(ds, stored), tmp_path / "a.dcm")
    volume = io.read(path)
    expected = -1 - stored if signed else 4095 - stored
    assert np.array_equal(volume.array()[0, 0], expected)
    assert volume.geometry.spacing == (None, 0.2, 0.1)
    assert io.output_suffix(volume) == ".png"


def test_detector_spacing_and_none(tmp_path):
    array = np.zeros((2, 3), np.uint16)
    a = io.read(save(pixels(base("1.2", ImagerPixelSpacing=[0.3, 0.2]), array), tmp_path / "a.dcm"))
    assert a.geometry.spacing == (None, 0.3, 0.2) and "detector" in a.header["warnings"][0]
    b = io.read(save(pixels(base("1.2"), array), tmp_path / "b.dcm"))
    assert b.geometry.spacing == (None, None, None)
    c = io.read(save(pixels(base("1.2", PixelSpacing=[0, 0]), array), tmp_path / "c.dcm"))
    assert c.geometry.spacing == (None, None, None)


def test_colour(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    ds = base("1.2", SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.Rows, ds.Columns, ds.PixelData = 2, 4, array.tobytes()
    volume = io.read(save(ds, tmp_path / "a.dcm"))
    assert volume.channels == ("red", "green", "blue")
    assert np.array_equal(volume.array()[:, 0], np.moveaxis(array, -1, 0))


def enhanced(positions, order) -> Dataset:
    ds = base("1.2", NumberOfFrames=len(order))
    shared, measures, plane, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = [0.8, 0.5], [1, 0, 0, 0, 1, 0]
    values.RescaleSlope, values.RescaleIntercept = 1, -10
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    shared.PixelValueTransformationSequence = Sequence([values])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for i in order:
        frame, where = Dataset(), Dataset()
        where.ImagePositionPatient = [0, 0, positions[i]]
        frame.PlanePositionSequence = Sequence([where])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return pixels(ds, np.stack([np.full((2, 3), 100 + i, np.uint16) for i in order]))


def test_enhanced_multiframe_is_sorted_by_frame_position(tmp_path):
    volume = io.read(save(enhanced([0.0, 4.0, 8.0], (2, 0, 1)), tmp_path / "a.dcm"))
    assert volume.array()[0, :, 0, 0].tolist() == [90, 91, 92]
    assert volume.geometry.spacing == (4.0, 0.8, 0.5)
    twice = io.read(save(enhanced([0.0, 4.0, 0.0, 4.0], (0, 1, 2, 3)), tmp_path / "b.dcm"))
    assert twice.array()[:, :, 0, 0].tolist() == [[90, 91], [92, 93]]
    assert "channels" in twice.header["warnings"][0]


def test_plain_multiframe_has_no_depth(tmp_path):
    ds = base("1.2", NumberOfFrames=3)
    volume = io.read(save(pixels(ds, np.arange(18, dtype=np.uint16).reshape(3, 2, 3)), tmp_path / "a.dcm"))
    assert volume.geometry.spacing[0] is None and volume.data.shape == (1, 3, 2, 3)
    assert "no positions" in volume.header["warnings"][0]


def test_several_series_are_listed_and_chosen(tmp_path):
    series(tmp_path, uid="1.2.3.4")
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name("a" + path.name))
    series(tmp_path, uid="1.2.3.5")
    with pytest.raises(ReadError, match="several series") as caught:
        io.read(tmp_path)
    assert "1.2.3.4 (4 files" in str(caught.value.got) and "key: 1.2.3" in str(caught.value.hint)
    assert io.read(tmp_path, key="1.2.3.5").header["series_uid"] == "1.2.3.5"
    with pytest.raises(ReadError, match="no series"):
        io.read(tmp_path, key="9")


def test_odd_slices_are_named(tmp_path):
    series(tmp_path)
    path = tmp_path / "im97.dcm"
    ds = pydicom.dcmread(path)
    ds.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
    ds.save_as(path)
    with pytest.raises(ReadError, match="differ in orientation") as caught:
        io.read(tmp_path)
    assert caught.value.where == str(path)
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [-20.5, 7.25, 100.0]
    ds.save_as(path)
    with pytest.raises(ReadError, match="repeat unevenly"):
        io.read(tmp_path)


def test_copies_and_strangers_are_left_out_aloud(tmp_path):
    series(tmp_path)
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "im99.dcm").read_bytes())
    (tmp_path / "notes.txt").write_text("x")
    volume = io.read(tmp_path)
    assert volume.geometry.shape == SHAPE
    assert "1 copy of other slices left out." in volume.header["warnings"]
    assert any("not DICOM" in text for text in volume.header["warnings"])


@pytest.mark.parametrize("modality", ["SEG", "RTSTRUCT", "SR"])
def test_not_an_image_says_what_it_is(tmp_path, modality):
    with pytest.raises(ReadError, match="holds no image") as caught:
        io.read(save(base("1.2", Modality=modality), tmp_path / "a.dcm"))
    assert caught.value.hint and caught.value.got


def test_compressed_and_without_preamble(tmp_path):
    series(tmp_path)
    path = tmp_path / "im99.dcm"
    ds = pydicom.dcmread(path)
    array = ds.pixel_array
    ds.compress(pydicom.uid.RLELossless)
    ds.save_as(tmp_path / "rle.dcm")
    assert np.array_equal(io.read(tmp_path / "rle.dcm").array()[0, 0], array)
    plain = pydicom.dcmread(path)
    bare = Dataset({tag: plain[tag] for tag in plain.keys()})  # noqa: SIM118
    pydicom.dcmwrite(tmp_path / "bare.dcm", bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert np.array_equal(io.read(tmp_path / "bare.dcm").array()[0, 0], array)


def test_truncated_and_undecodable(tmp_path):
    series(tmp_path)
    path = tmp_path / "im99.dcm"
    whole = path.read_bytes()
    for length in (10, 200, 500, len(whole) - 8):
        path.write_bytes(whole[:length])
        with pytest.raises(ReadError):
            io.read(path).array()
    path.write_bytes(whole[:-8])
    with pytest.raises(ReadError) as caught:
        io.read(tmp_path).array()
    assert caught.value.where == str(path)


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless", "JPEGLSLossless"])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_twelve_bits_survive_lossless_compression(tmp_path, syntax, kind):
    """Of MONOCHROME1 the values are mirrored within the stored bits, compressed or not."""
    stored = np.random.default_rng(0).integers(0, 1 << 12, (64, 96), dtype=np.uint16)
    ds = pixels(base("1.2", PhotometricInterpretation=kind), stored)
    plugin = {"RLELossless": "pydicom", "JPEG2000Lossless": "pylibjpeg", "JPEGLSLossless": "pyjpegls"}[syntax]
    try:
        ds.compress(getattr(pydicom.uid, syntax), encoding_plugin=plugin, generate_instance_uid=False)
    except (RuntimeError, ValueError) as error:
        pytest.skip(f"no encoder here: {error}")
    found = io.read(save(ds, tmp_path / "a.dcm")).array()[0, 0]
    assert np.array_equal(found, stored if kind == "MONOCHROME2" else 4095 - stored)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.45, 0.6, 0.9, 0.99])
def test_a_slice_that_is_cut_is_named_wherever_it_ends(tmp_path, share):
    """None is left out as something other than an image, and none is found out only once voxels are read."""
    series(tmp_path)
    data = (tmp_path / "im97.dcm").read_bytes()
    (tmp_path / "im97.dcm").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ReadError) as caught:
        io.read(tmp_path)
    assert caught.value.where.endswith("im97.dcm")


def test_a_series_that_lost_its_first_slices_is_told(tmp_path):
    series(tmp_path, skip=(0,))
    assert "1 slice in front may be missing" in " ".join(io.read(tmp_path).header["warnings"])
    series(tmp_path / "b", skip=())
    assert io.read(tmp_path / "b").header["warnings"] == ()


def test_numbers_that_jump_are_told_where_positions_do_not(tmp_path):
    for z, number in enumerate((1, 2, 4, 5)):
        ds = base("1.2.3", number, ImagePositionPatient=[0, 0, z], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        ds.PixelSpacing = [1, 1]
        save(pixels(ds, np.full((4, 5), z, np.uint16)), tmp_path / f"{z}.dcm")
    assert "jump after 2: 1 slice may be missing" in " ".join(io.read(tmp_path).header["warnings"])


def test_a_slope_of_zero_is_refused(tmp_path):
    ds = base("1.2.3", 1, RescaleSlope=0, RescaleIntercept=0)
    with pytest.raises(ReadError, match="rescaling"):
        io.read(save(pixels(ds, np.ones((4, 5), np.uint16)), tmp_path / "a.dcm"))


def test_frames_beyond_what_a_file_can_hold_are_refused_at_once(tmp_path):
    ds = base("1.2.3", 1, NumberOfFrames=1_000_000_000)
    with pytest.raises(ReadError, match="claims more pixels"):
        io.read(save(pixels(ds, np.ones((4, 5), np.uint16)), tmp_path / "a.dcm"))
