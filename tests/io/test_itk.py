"""NRRD and MetaImage: vectors, fourth axes, missing spacing, units, and headers that come back unchanged."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.volume import Volume


def text(path) -> list[str]:
    return path.read_bytes()[:1500].split(b"\n\n")[0].split(b"ElementDataFile")[0].decode("latin1").splitlines()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_grid_text_is_the_same_after_a_label_went_back(tmp_path, suffix):
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    image.SetSpacing((0.1, 1 / 3, 2.7182818))
    image.SetOrigin((1 / 7, -2e-5 / 3, -512.123456789))
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.3, 0.1, -0.2).GetMatrix())
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    source = io.read(tmp_path / f"a{suffix}")
    out = io.write(Volume.of(source.array() % 3, source.geometry), tmp_path / f"b{suffix}", like=source)
    names = ("space", "Offset", "TransformMatrix", "ElementSpacing")
    grid = [line for line in text(tmp_path / f"a{suffix}") if line.startswith(names)]
    assert len(grid) >= 3
    assert grid == [line for line in text(out) if line.startswith(names)]


def test_vector_and_fourth_axis_are_channels(tmp_path):
    array = np.arange(120, dtype=np.int16).reshape(3, 4, 5, 2)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / "a.nrrd"))
    volume = io.read(tmp_path / "a.nrrd")
    assert np.array_equal(volume.array(), np.moveaxis(array, -1, 0))
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / "b.nrrd"))
    four = io.read(tmp_path / "b.nrrd")
    assert np.array_equal(four.array(), array)
    part = four.data[(slice(1, 3), slice(1, 3), slice(2, 4), slice(0, 1))]
    assert np.array_equal(part, array[1:3, 1:3, 2:4, :1])


def nrrd(path, *fields: str):
    head = ["NRRD0004", "type: uint8", "dimension: 3", "sizes: 2 2 2", "encoding: raw", *fields]
    path.write_bytes("\n".join(head).encode() + b"\n\n" + bytes(range(8)))
    return path


def test_missing_spacing_is_unknown(tmp_path):
    volume = io.read(nrrd(tmp_path / "a.nrrd"))
    assert volume.geometry.spacing == (None, None, None)
    assert "no spacing" in volume.header["warnings"][0]
    stated = io.read(nrrd(tmp_path / "b.nrrd", "spacings: 0.5 1 2"))
    assert stated.geometry.spacing == (2.0, 1.0, 0.5)


def test_ras_space_and_units(tmp_path):
    fields = ("space: right-anterior-superior", "space directions: (500,0,0) (0,500,0) (0,0,1000)")
    volume = io.read(
        nrrd(tmp_path / "a.nrrd", *fields, 'space units: "um" "um" "um"', "space origin: (1000,2000,3000)")
    )
    assert np.allclose(volume.geometry.affine_xyz, [[0.5, 0, 0, 1], [0, 0.5, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])


@pytest.mark.parametrize("content", [b"NRRD0004\ntype: uint8\n\n", b"NRRD0004\n", b"ObjectType = Image\n"])
def test_damage(tmp_path, content):
    for name in ("a.nrrd", "a.mha"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadError, match=name):
            io.read(tmp_path / name).array()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ElementSpacing = 1 1 2.5", "ElementSpacing = 1 1 2.A5"),
        ("ElementSpacing", "\x01\x02ElementSpacing"),
        ("RAI\nElementSpacing", "RAIElementSpacing"),
        ("ElementSpacing = 1 1 2.5", "a line without a value"),
    ],
)
def test_lines_that_itk_would_pass_over_are_refused(tmp_path, old, new):
    text = "NDims = 3\nAnatomicalOrientation = RAI\nElementSpacing = 1 1 2.5\nDimSize = 2 2 2\n"
    text += "ElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (tmp_path / "a.raw").write_bytes(bytes(8))
    (tmp_path / "a.mhd").write_text(text)
    assert io.read(tmp_path / "a.mhd").geometry.spacing == (2.5, 1, 1)
    (tmp_path / "a.mhd").write_text(text.replace(old, new))
    with pytest.raises(ReadError, match="cannot be understood"):
        io.read(tmp_path / "a.mhd")
