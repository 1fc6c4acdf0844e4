"""Real files open, or say in one sentence what is wrong with them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from segwright import io
from segwright.core.errors import ReadError

DATA = Path(os.environ.get("SEGWRIGHT_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
ODD = sorted(path for path in (DATA / "odd").rglob("*") if path.is_file()) if DATA.exists() else []
#: Of a long series every file is alike.
ODD = [path for i, path in enumerate(ODD) if not path.parent.name.startswith("dicom-") or i % 9 == 0]


@pytest.mark.parametrize("path", ODD, ids=lambda path: f"{path.parent.name}/{path.name[-24:]}")
def test_odd_files_open_or_explain_themselves(path):
    refused = path.parent.name == "tiff" or path.name in {"liver.dcm", "partial_overlaps.dcm"} or "rt.dcm" in path.name
    if refused:
        with pytest.raises(ReadError) as caught:
            io.read(path).array()
        assert caught.value.hint and caught.value.where == str(path)
        return
    volume = io.read(path)
    array = volume.array()
    assert array.shape == volume.data.shape and array.dtype == volume.dtype


def test_dicom_series_and_its_label_share_a_place(shared_data):
    """The label is stored flipped along y: turned to the series' orientation, the grids agree."""
    scan = io.read(shared_data("odd") / "dicom-series")
    label = io.read(shared_data("odd") / "dicom-series-label.nii.gz")
    order, flips = label.geometry.path_to(scan.geometry.orientation)
    assert flips == (1,)
    turned = label.geometry.permute(order).flip(flips)
    assert turned.aligned_with(scan.geometry, 1e-4)
    bone = scan.array()[0] > 200
    inside = np.flip(label.array()[0], flips) > 0
    assert scan.header["modality"] == "CT" and bone[inside].size > 0


def test_missing_slice_is_found(shared_data):
    volume = io.read(shared_data("odd") / "dicom-missing-slice")
    assert volume.header["gaps"] == ((12, 1),)
    assert "1-07.dcm" in volume.header["warnings"][0] and "1-05.dcm" in volume.header["warnings"][0]


def test_structure_sets_beside_a_series_are_left_out(shared_data):
    volume = io.read(shared_data("odd") / "rtstruct")
    assert volume.geometry.shape == (2, 512, 512)
    assert "RT structure set" in volume.header["warnings"][0]


def test_dicom_x_rays_and_matlab_labels(shared_data):
    folder = shared_data("spine-dicom")
    for path in itertools.islice(sorted((folder / "dataset").glob("*.dcm")), 0, 12, 3):
        image = io.read(path)
        label = io.read_planes(folder / "label" / f"{path.stem}.mat")
        assert label.data.shape == (7, *image.data.shape[1:])
        assert image.header["patient_id"]
        assert image.geometry.spacing[0] is None


def test_monochrome1_x_rays_look_like_the_others(shared_data):
    """After inversion the border of an X-ray (air) is darker than the spine, whatever was stored."""
    import pydicom

    paths = sorted((shared_data("spine-dicom") / "dataset").glob("*.dcm"))
    heads = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in paths[:24]}
    white = [path for path, head in heads.items() if head.PhotometricInterpretation == "MONOCHROME1"]
    assert white
    for path in white[:2]:
        array = io.read(path).array()
        assert array.max() < 4096
        stored = pydicom.dcmread(path).pixel_array
        assert np.array_equal(array[0, 0].astype(int), 4095 - stored.astype(int))


@pytest.mark.parametrize(
    ("name", "pattern", "shape"),
    [
        ("hippocampus", "imagesTr/*.nii.gz", None),
        ("em-neurons", "*.h5", (50, 100, 200)),
        ("em-mitochondria", "raw", (14, 1024, 1024)),
        ("abdomen-mri", "labelsTr/*.nii.gz", None),
        ("chest", "masks/heart/*.png", (1, 512, 512)),
        ("spine-masks", "images/*.jpg", None),
    ],
)
def test_folders_of_every_kind(shared_data, name, pattern, shape):
    for path in itertools.islice(sorted(shared_data(name).glob(pattern)), 2):
        volume = io.read(path)
        assert volume.array().size == np.prod(volume.data.shape)
        assert shape is None or volume.geometry.shape == shape


def test_matlab_volumes(shared_data):
    path = shared_data("vertebrae-mr") / "01.mat"
    with pytest.raises(ReadError, match="several arrays"):
        io.read(path)
    assert io.read(path, key="I").data.shape == (1, 77, 224, 224)
    label = io.read(path, key="GT")
    planes = [(plane != 0).any() for plane in label.array()[0]]
    assert 0 < sum(planes) < 77
