"""Slicer segmentations: names, values, layers, colours and parts of a scan; slicerio reads and writes them as well."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import SimpleITK
import slicerio

from segwright import io
from segwright.core.errors import GeometryError, LabelError
from segwright.core.geometry import Geometry
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label

SHAPE = (12, 20, 16)
SPACING, ORIGIN = (1.5, 0.8, 2.0), (10.0, -20.0, 5.0)


def label(case: int = 0) -> np.ndarray:
    """Organ 1 of 300, duct 2 of 60, in one layer `(z, y, x)`."""
    out = np.zeros(SHAPE, np.uint8)
    out[2:7, 3 + case : 13 + case, 4:10] = 1
    out[8:11, 3:7, 10:15] = 2
    return out


def lesion(case: int = 0) -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    out[3:5, 5 + case : 8 + case, 5:8] = 1
    return out


def nrrd(path, layers, segments, *, origin=ORIGIN, steps=SPACING, extra=()):
    """As Slicer writes it; `segments` are (name, layer, value, colour)."""
    flat = len(layers) == 1
    array = layers[0] if flat else np.stack(layers, axis=-1)
    space = " ".join("(" + ",".join(str(s if i == k else 0) for i in range(3)) + ")" for k, s in enumerate(steps))
    lines = [
        "NRRD0004", "type: unsigned char", f"dimension: {array.ndim}", "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, array.shape[::-1])), f"space directions: {'' if flat else 'none '}{space}",
        f"kinds: {'' if flat else 'list '}domain domain domain", "endian: little", "encoding: gzip",
        "space origin: (" + ",".join(map(str, origin)) + ")",
    ]  # fmt: skip
    for k, (name, layer, value, colour) in enumerate(segments):
        told = {"ID": f"Segment_{k}", "Name": name, "LabelValue": value, "Layer": layer, "Color": colour}
        lines += [f"Segment{k}_{key}:={told[key]}" for key in told]
    lines += list(extra)
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + gzip.compress(np.ascontiguousarray(array).tobytes()))
    return path


SEGMENTS = [("Organ", 0, 1, "0.5 0.6 0.4"), ("Duct", 0, 2, "1 0 0"), ("Lesion", 1, 1, "0 0 1")]


def scan(path, case=0):
    image = SimpleITK.GetImageFromArray((100 * (label(case) > 0)).astype(np.int16))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    SimpleITK.WriteImage(image, str(path))


def masks(path, like=None):
    form = io.form_of(path)
    assert form is not None and form.name == "segnrrd"
    return form.read(path, None, like or form.grid(path)).masks


def test_layers_values_and_names(tmp_path):
    found = masks(nrrd(tmp_path / "a.seg.nrrd", [label(), lesion()], SEGMENTS))
    np.testing.assert_array_equal(found["Organ"], label() == 1)
    np.testing.assert_array_equal(found["Duct"], label() == 2)
    np.testing.assert_array_equal(found["Lesion"], lesion() == 1)


def test_as_slicerio_reads_it(tmp_path):
    """An independent reader of Slicer's own project: the same names, layers, values and voxels."""
    path = nrrd(tmp_path / "a.seg.nrrd", [label(), lesion()], SEGMENTS)
    theirs, ours = slicerio.read_segmentation(str(path)), masks(path)
    assert [segment["name"] for segment in theirs["segments"]] == list(ours)
    for segment in theirs["segments"]:
        layer = theirs["voxels"][segment.get("layer", 0)]  # (layer, x, y, z)
        np.testing.assert_array_equal(ours[segment["name"]], (layer == segment["labelValue"]).transpose(2, 1, 0))


def test_as_slicerio_writes_it(tmp_path):
    affine = np.diag([-1.5, -0.8, 2.0, 1.0])
    segments = [{"name": n, "labelValue": v, "id": n, "color": [0.1, 0.2, 0.3]} for n, v in (("Organ", 1), ("Duct", 7))]
    voxels = np.where(label() == 2, 7, label()).transpose(2, 1, 0)
    whole = {"voxels": voxels, "ijkToLPS": np.diag([1.5, 0.8, 2.0, 1.0]), "encoding": "gzip", "segments": segments,
             "containedRepresentationNames": ["Binary labelmap"]}  # fmt: skip
    slicerio.write_segmentation(str(tmp_path / "a.seg.nrrd"), whole)
    found = masks(tmp_path / "a.seg.nrrd", Geometry.from_xyz(SHAPE, affine))
    np.testing.assert_array_equal(found["Duct"], label() == 2)
    np.testing.assert_array_equal(found["Organ"], label() == 1)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_folder_of_them_is_a_data_set(tmp_path, layers):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for case in range(4):
        scan(tmp_path / "images" / f"pat{case}.nrrd", case)
        planes = [label(case), lesion(case)][:layers]
        nrrd(tmp_path / "labels" / f"pat{case}.seg.nrrd", planes, SEGMENTS[: layers + 1])
    dataset = open_dataset(tmp_path)
    wanted = {"Organ": 300, "Duct": 60, "Lesion": 18}
    assert set(dataset.labels.names) == {name for name, layer, *_ in SEGMENTS if layer < layers}
    colours = {s.name: s.colour for s in dataset.labels.structures}
    assert colours["Duct"] == "#FF0000" and colours["Organ"] == "#809966"
    if layers == 1:
        assert {s.name: s.values for s in dataset.labels.structures} == {"Organ": (1,), "Duct": (2,)}
    for case in dataset.cases:
        labels = load_label(dataset, case, load_image(dataset, case).geometry)
        found = {n: int(dataset.labels.mask(labels, i).sum()) for i, n in enumerate(dataset.labels.names)}
        assert found == {name: wanted[name] for name in found}


def test_a_part_of_the_scan_lies_where_its_origin_says(tmp_path):
    """Slicer stores the box around what was drawn; a part that reaches out of the scan is told."""
    scan(tmp_path / "a.nrrd")
    like = io.read(tmp_path / "a.nrrd").geometry
    box = (slice(2, 11), slice(3, 13), slice(4, 16))
    origin = tuple(o + s * b.start for o, s, b in zip(ORIGIN, SPACING, box[::-1], strict=True))
    offset = "Segmentation_ReferenceImageExtentOffset:=4 3 2"
    path = nrrd(
        tmp_path / "b.seg.nrrd", [np.ascontiguousarray(label()[box])], SEGMENTS[:2], origin=origin, extra=[offset]
    )
    found = masks(path, like)
    np.testing.assert_array_equal(found["Organ"], label() == 1)
    np.testing.assert_array_equal(found["Duct"], label() == 2)
    moved = tuple(o - s * 6 * (k == 0) for k, (o, s) in enumerate(zip(ORIGIN, SPACING, strict=True)))
    drawn = io.form_of(path).read(nrrd(tmp_path / "c.seg.nrrd", [label()], SEGMENTS[:2], origin=moved), None, like)
    assert int(drawn.masks["Organ"].sum()) == 200 and "100 voxels" in drawn.repairs[0]
    away = tuple(o + 90 * s for o, s in zip(ORIGIN, SPACING, strict=True))
    far = nrrd(tmp_path / "d.seg.nrrd", [label()], SEGMENTS[:2], origin=away)
    with pytest.raises(GeometryError, match="beside"):
        masks(far, like)


def test_an_offset_that_denies_the_origin_is_refused(tmp_path):
    scan(tmp_path / "a.nrrd")
    part = np.ascontiguousarray(label()[2:11, 3:13, 4:16])
    offset = "Segmentation_ReferenceImageExtentOffset:=4 3 2"
    path = nrrd(tmp_path / "b.seg.nrrd", [part], SEGMENTS[:2], extra=[offset])
    with pytest.raises(GeometryError, match="two ways"):
        masks(path, io.read(tmp_path / "a.nrrd").geometry)


def test_voxels_between_those_of_the_scan_are_refused(tmp_path):
    scan(tmp_path / "a.nrrd")
    half = tuple(o + s / 2 for o, s in zip(ORIGIN, SPACING, strict=True))
    path = nrrd(tmp_path / "b.seg.nrrd", [label()], SEGMENTS[:2], origin=half)
    with pytest.raises(GeometryError):
        masks(path, io.read(tmp_path / "a.nrrd").geometry)


def test_values_and_layers_that_are_no_segments_are_refused(tmp_path):
    with pytest.raises(LabelError, match="Value 2"):
        masks(nrrd(tmp_path / "a.seg.nrrd", [label()], SEGMENTS[:1]))
    with pytest.raises(LabelError, match="layer"):
        masks(nrrd(tmp_path / "b.seg.nrrd", [label()], SEGMENTS))


def test_a_nrrd_without_segments_is_a_plain_label(tmp_path):
    assert io.form_of(nrrd(tmp_path / "a.seg.nrrd", [label()], [])) is None
    assert np.array_equal(io.read_label(tmp_path / "a.seg.nrrd").array()[0], label())
