"""NIfTI headers: which affine wins, units, odd voxel types, damage that is repaired aloud or refused."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.volume import Volume

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2.5, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])


def voxels(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def save(path, array=None, edit=None):
    image = nib.Nifti1Image(voxels(3, 4, 5) if array is None else array, AFFINE)
    image.header.set_qform(AFFINE, 1)
    image.header.set_sform(AFFINE, 1)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    if edit:
        block = bytearray(path.read_bytes())
        header = nib.Nifti1Header(bytes(block[:348]), check=False)
        edit(header)
        path.write_bytes(header.binaryblock + block[348:])
    return path


def put(name, value):
    def edit(header):
        header[name] = value

    return edit


def test_values_axes_and_laziness(tmp_path):
    volume = io.read(save(tmp_path / "a.nii.gz"))
    assert volume.data.shape == (1, 5, 4, 3)
    assert volume.dtype == np.int16
    part = volume.data[(slice(0, 1), slice(1, 3), slice(0, 2), slice(2, 3))]
    assert np.array_equal(part[0], voxels(3, 4, 5).T[1:3, 0:2, 2:3])


def test_header_travels_bit_for_bit(tmp_path):
    """Codes, quaternion, pixdim, units and the sform survive with odd contents, in either byte order."""
    for order in "<>":
        image = nib.Nifti1Image(voxels(3, 4, 5), None, nib.Nifti1Header(endianness=order))
        header = image.header
        header.set_qform(AFFINE, 2)
        header["srow_x"] = (-2.0000123, 1e-7, 0.1, 90)
        header["srow_y"], header["srow_z"] = (0, 2.5, 0, -126), (0, 0, 3, -72)
        header["sform_code"], header["pixdim"][4] = 4, 1.7
        header.set_xyzt_units("micron", "msec")
        nib.save(image, tmp_path / "a.nii")
        source = io.read(tmp_path / "a.nii")
        label = Volume.of((source.array() > 9).astype(np.int16), source.geometry)
        out = nib.load(io.write(label, tmp_path / "out.nii", like=source)).header
        kept = nib.load(tmp_path / "a.nii").header
        for field in ("pixdim", "sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "xyzt_units"):
            assert out[field].tobytes() == kept[field].tobytes()
        for field in ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"):
            assert out[field].tobytes() == kept[field].tobytes()
        assert out.get_data_dtype().newbyteorder("=") == np.uint8


def test_scaling_and_label_of_a_scaled_image(tmp_path):
    def edit(header):
        header["scl_slope"], header["scl_inter"] = 0.5, -10

    source = io.read(save(tmp_path / "a.nii", edit=edit))
    assert source.dtype == np.float32
    assert np.allclose(source.array()[0], voxels(3, 4, 5).T * 0.5 - 10)
    label = Volume.of(np.ones((1, 5, 4, 3), np.uint8), source.geometry)
    assert set(np.unique(io.read(io.write(label, tmp_path / "b.nii", like=source)).array())) == {1}


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1.0)])
def test_units_become_millimetres(tmp_path, unit, factor):
    volume = io.read(save(tmp_path / "a.nii", edit=lambda header: header.set_xyzt_units(unit)))
    assert np.allclose(volume.geometry.spacing, np.array((3, 2.5, 2)) * factor)
    assert bool(volume.header["warnings"]) == (unit == "meter")


def test_channels_from_time_and_vectors(tmp_path):
    four, five = voxels(3, 4, 5, 2), voxels(3, 4, 5, 2, 3)
    assert np.array_equal(io.read(save(tmp_path / "a.nii", four)).array(), four.transpose(3, 2, 1, 0))
    volume = io.read(save(tmp_path / "b.nii", five))
    assert np.array_equal(volume.array(), five.transpose(3, 4, 2, 1, 0).reshape(6, 5, 4, 3))
    assert np.array_equal(
        volume.data[(slice(1, 5), slice(0, 5), slice(1, 2), slice(0, 3))], volume.array()[1:5, :, 1:2]
    )
    assert io.read(save(tmp_path / "c.nii", voxels(3, 4, 5, 1))).data.shape == (1, 5, 4, 3)
    assert io.read(save(tmp_path / "d.nii", voxels(3, 4, 5, 1, 3))).data.shape == (3, 5, 4, 3)


def test_complex_and_rgb(tmp_path):
    volume = io.read(save(tmp_path / "a.nii", np.full((2, 2, 2), 3 + 4j, np.complex64)))
    assert np.allclose(volume.array(), 5) and "complex" in volume.header["warnings"][0]
    rgb = np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["G"] = 7
    colour = io.read(save(tmp_path / "b.nii", rgb))
    assert colour.data.shape == (3, 4, 3, 2)
    assert colour.array()[1].min() == 7 and colour.array()[0].max() == 0


def test_plane_has_no_depth(tmp_path):
    for shape in ((3, 4), (3, 4, 1)):
        volume = io.read(save(tmp_path / "a.nii", voxels(*shape)))
        assert volume.data.shape == (1, 1, 4, 3)
        assert volume.geometry.spacing == (None, 2.5, 2.0)
        out = io.write(Volume.of(volume.array(), volume.geometry), tmp_path / "b.nii", like=volume)
        assert nib.load(out).shape == shape


def test_damaged_sform_gives_way_to_the_qform_aloud(tmp_path):
    volume = io.read(save(tmp_path / "a.nii", edit=put("srow_x", (np.nan, 0, 0, 0))))
    assert np.allclose(volume.geometry.affine_xyz, AFFINE, atol=1e-5)
    assert "sform is damaged" in volume.header["warnings"][0]


def test_no_orientation_is_what_nibabel_assumes_and_said(tmp_path):
    def edit(header):
        header["sform_code"] = header["qform_code"] = 0

    path = save(tmp_path / "a.nii", edit=edit)
    volume = io.read(path)
    assert np.allclose(volume.geometry.affine_xyz, nib.load(path).affine)
    assert "assumed" in volume.header["warnings"][0]


def test_zero_voxel_size_is_unknown_not_one(tmp_path):
    def edit(header):
        header["sform_code"] = header["qform_code"] = 0
        header["pixdim"][3] = 0

    volume = io.read(save(tmp_path / "a.nii", edit=edit))
    assert volume.geometry.spacing == (None, 2.5, 2.0)
    assert any("along z" in text for text in volume.header["warnings"])


def test_forms_that_disagree_are_reported(tmp_path):
    volume = io.read(save(tmp_path / "a.nii", edit=put("qoffset_x", 50)))
    assert "apart; the sform is used" in volume.header["warnings"][0]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (put("datatype", 77), "NIfTI"),
        (put("dim", (3, 0, 4, 5, 1, 1, 1, 1)), "usable shape"),
        (put("dim", (3, 300, 4, 5, 1, 1, 1, 1)), "cut off"),
    ],
)
def test_damage_is_refused(tmp_path, edit, said):
    with pytest.raises(ReadError, match=said) as caught:
        io.read(save(tmp_path / "a.nii", edit=edit)).array()
    assert caught.value.where == str(tmp_path / "a.nii")


def test_infinite_slope_is_ignored_aloud(tmp_path):
    volume = io.read(save(tmp_path / "a.nii", edit=put("scl_slope", np.inf)))
    assert volume.dtype == np.int16
    assert "infinite" in volume.header["warnings"][0]


def test_misnamed_compression(tmp_path):
    plain = save(tmp_path / "a.nii")
    (tmp_path / "b.nii.gz").write_bytes(plain.read_bytes())
    (tmp_path / "c.nii").write_bytes(gzip.compress(plain.read_bytes()))
    for name, hint in (("b.nii.gz", "'.nii'"), ("c.nii", "'.nii.gz'")):
        with pytest.raises(ReadError, match="name says otherwise") as caught:
            io.read(tmp_path / name)
        assert hint in str(caught.value.hint)


def test_half_a_pair(tmp_path):
    nib.save(nib.Nifti1Pair(voxels(3, 4, 5), AFFINE), tmp_path / "a.hdr")
    assert np.array_equal(io.read(tmp_path / "a.img").array()[0], voxels(3, 4, 5).T)
    (tmp_path / "a.img").unlink()
    with pytest.raises(ReadError, match="half"):
        io.read(tmp_path / "a.hdr")


def test_version_two(tmp_path):
    nib.save(nib.Nifti2Image(voxels(3, 4, 5), AFFINE), tmp_path / "a.nii.gz")
    source = io.read(tmp_path / "a.nii.gz")
    out = nib.load(io.write(Volume.of(source.array(), source.geometry), tmp_path / "b.nii.gz", like=source))
    assert isinstance(out, nib.Nifti2Image) and np.array_equal(out.affine, AFFINE)
