"""FreeSurfer, MINC and PAR/REC volumes as nibabel has them, and formats inside HDF5 that are refused by name."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from nibabel.testing import data_path

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label

AFFINE = np.array([[-1.0, 0, 0, 90], [0, 0, 1.5, -60], [0, -2.0, 0, 70], [0, 0, 0, 1]])
#: Files that nibabel's own tests are run on.
THEIRS = ["tiny.mnc", "small.mnc", "minc1_1_scale.mnc", "minc1_4d.mnc", "minc2_1_scale.mnc", "minc2_4d.mnc", "test.mgz"]


def theirs(name: str) -> Path:
    path = Path(str(data_path), name)
    if not path.exists():
        pytest.skip("nibabel was installed without its test data")
    return path


def same_place(volume, image) -> bool:
    """Whether voxels lie where nibabel puts them: every corner, by index."""
    for corner in np.ndindex(2, 2, 2):
        index = np.array(corner) * (np.array(image.shape[:3]) - 1)
        wanted = nib.affines.apply_affine(image.affine, index)
        if not np.allclose(volume.geometry.to_world(index[::-1]), wanted, atol=1e-4):
            return False
    return True


@pytest.mark.parametrize("name", THEIRS)
def test_values_and_places_are_nibabels(name):
    path = theirs(name)
    image, volume = nib.load(path), io.read(path)
    wanted = np.asarray(image.dataobj)
    wanted = wanted.reshape(*wanted.shape[:3], -1).transpose(3, 2, 1, 0)
    np.testing.assert_allclose(volume.array(), wanted, rtol=1e-5)
    assert same_place(volume, image)
    part = (slice(0, 1), slice(1, 3), slice(2, 4), slice(0, 2))
    np.testing.assert_allclose(volume.data[part], wanted[part], rtol=1e-5)


def test_philips_volumes_are_scaled_and_placed(tmp_path):
    """A header of a scanner with random voxels behind it; without them it is told what is missing."""
    head = theirs("Phantom_EPI_3mm_cor_SENSE_8_1.PAR")
    (tmp_path / "a.PAR").write_bytes(head.read_bytes())
    with pytest.raises(ReadError, match="REC"):
        io.read(tmp_path / "a.PAR")
    with head.open() as stream:
        shape = nib.parrec.PARRECHeader.from_fileobj(stream).get_data_shape()
    voxels = np.random.default_rng(3).integers(0, 4000, int(np.prod(shape))).astype("<i2")
    (tmp_path / "a.REC").write_bytes(voxels.tobytes())
    image, volume = nib.load(tmp_path / "a.PAR", strict_sort=True), io.read(tmp_path / "a.PAR")
    wanted = np.asarray(image.dataobj).reshape(*shape[:3], -1).transpose(3, 2, 1, 0)
    image.dataobj.file_like.close_if_mine()
    np.testing.assert_allclose(volume.array(), wanted, rtol=1e-5)
    assert same_place(volume, image) and wanted.max() != voxels.max()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
def test_freesurfer_keeps_types_and_axes(tmp_path, kind, suffix):
    voxels = np.random.default_rng(2).integers(0, 120, (5, 7, 9)).astype(kind)
    nib.save(nib.MGHImage(voxels, AFFINE), tmp_path / f"a{suffix}")
    volume = io.read(tmp_path / f"a{suffix}")
    assert volume.dtype == kind and np.array_equal(volume.array()[0], voxels.transpose(2, 1, 0))
    grid = Geometry.from_xyz((9, 7, 5), AFFINE)
    assert volume.geometry.aligned_with(grid, 1e-3) and all(volume.geometry.known)
    assert io.output_suffix(volume) == ".nii.gz"


def test_a_folder_of_freesurfer_scans_with_scattered_values(tmp_path):
    """Labels keep their numbers, on a scan whose axes run another way."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for case in ("anna", "bert", "cleo", "dora"):
        label = np.zeros((10, 12, 8), np.int32)
        label[2:6, 3:7, 2:6], label[7:9, 8:11, 1:4] = 17, 2035
        scan = (50 + label // 10).astype(np.float32)
        nib.save(nib.MGHImage(scan, AFFINE), tmp_path / "images" / f"{case}.mgz")
        turned = nib.MGHImage(label, AFFINE).as_reoriented([[0, -1], [1, 1], [2, 1]])
        nib.save(turned, tmp_path / "labels" / f"{case}.mgz")
    dataset = open_dataset(tmp_path)
    assert [s.values for s in dataset.labels.structures] == [(17,), (2035,)]
    for case in dataset.cases:
        image = load_image(dataset, case)
        labels = load_label(dataset, case, image.geometry)
        for i, (count, grey) in enumerate(((64, 51), (18, 253))):
            mask = dataset.labels.mask(labels, i)
            assert int(mask.sum()) == count and set(image.array()[0][mask]) == {grey}


def test_damage_is_told(tmp_path):
    nib.save(nib.MGHImage(np.zeros((5, 7, 9), np.int16), AFFINE), tmp_path / "a.mgh")
    whole = (tmp_path / "a.mgh").read_bytes()
    (tmp_path / "a.mgh").write_bytes(whole[:300])
    with pytest.raises(ReadError, match=r"a\.mgh"):
        io.read(tmp_path / "a.mgh").array()
    (tmp_path / "b.mnc").write_bytes(b"nothing")
    with pytest.raises(ReadError, match=r"b\.mnc"):
        io.read(tmp_path / "b.mnc")


def _imaris(store):
    store.create_group("DataSetInfo")
    store.create_dataset("DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data", data=np.zeros((4, 5, 6), np.uint8))


def _viewer(store):
    store.create_dataset("s00/resolutions", data=np.ones((1, 3)))
    store.create_dataset("t00000/s00/0/cells", data=np.zeros((4, 5, 6), np.int16))


def _netcdf(store):
    store.create_dataset("intensity", data=np.zeros((4, 5, 6), np.int16))
    store["intensity"].attrs["_Netcdf4Dimid"] = 0


def _nwb(store):
    store.attrs["nwb_version"] = "2.5"
    store.create_dataset("acquisition/data", data=np.zeros((4, 5, 6), np.int16))


def _raw(store):
    store.create_dataset("kspace", data=np.zeros((4, 5, 6), np.float32))
    store.create_dataset("ismrmrd_header", data=b"<xml/>")


def _minc(store):
    store.create_dataset("minc-2.0/image/0/image", data=np.zeros((4, 5, 6), np.int16))


@pytest.mark.parametrize(
    ("fill", "name"),
    [
        (_imaris, "Imaris"),
        (_viewer, "BigDataViewer"),
        (_netcdf, "NetCDF"),
        (_nwb, "NWB"),
        (_raw, "ISMRMRD"),
        (_minc, "MINC"),
    ],
)
def test_formats_inside_hdf5_are_refused_by_name(tmp_path, fill, name):
    with h5py.File(tmp_path / "a.h5", "w") as store:
        fill(store)
    with pytest.raises(ReadError, match=name) as told:
        io.read(tmp_path / "a.h5")
    assert told.value.hint


def test_plain_hdf5_is_read_as_before(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as store:
        store.create_dataset("dataset/raw", data=np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    assert io.read(tmp_path / "a.h5").data.shape == (1, 4, 5, 6)
