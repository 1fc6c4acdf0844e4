"""Datasets on disk look as people keep them, and hold what was drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segwright.core.errors import UnknownNameError, UsageError
from segwright.io import read
from segwright.io.dataset import open_dataset
from segwright.io.instances import as_instances
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images
from segwright.phantoms import PHANTOMS
from segwright.phantoms.layouts import STYLES
from segwright.phantoms.spine import spine_xray
from segwright.phantoms.tumour import tumour_mri
from segwright.phantoms.write import _views, write_dataset


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_radiographs_are_pairs_with_views(tmp_path):
    folder = write_dataset("spine-xray", tmp_path / "x", cases=6, seed=2, held_out=2)
    images, masks = names(folder / "scans" / "images"), names(folder / "scans" / "masks")
    assert images == masks and len(images) == 6
    patients = {name.split("_")[0] for name in images}
    assert len(patients) == 4 and "p000_a.png" in images
    assert not patients & {name.split("_")[0] for name in names(folder / "held-out" / "images")}
    drawn = spine_xray(2, 0)
    assert np.array_equal(read(folder / "scans" / "images" / "p000_a.png").array(), drawn.image)
    mask = read(folder / "scans" / "masks" / "p000_a.png").array()
    assert np.array_equal(mask, drawn.label * 255)


def test_volumes_are_in_nnunet_layout(tmp_path):
    folder = write_dataset("tumour-mri", tmp_path / "m", cases=2, seed=1, held_out=1)
    assert names(folder / "scans") == ["dataset.json", "imagesTr", "labelsTr"]
    assert names(folder / "scans" / "imagesTr") == ["m000_0000.nii.gz", "m001_0000.nii.gz"]
    facts = json.loads((folder / "scans" / "dataset.json").read_text())
    assert facts["labels"] == {"background": 0, "organ": 1, "tumour": 2} and facts["numTraining"] == 2
    volume, drawn = read(folder / "scans" / "imagesTr" / "m001_0000.nii.gz"), tumour_mri(1, 1)
    assert np.array_equal(volume.array(), drawn.image)
    assert volume.geometry.aligned_with(drawn.geometry)
    assert names(folder / "held-out" / "labels") == ["m002.nii.gz"]


@pytest.mark.parametrize(("cases", "share", "patients"), [(10, 0.7, 7), (10, 1.0, 10), (10, 0.0, 4), (1, 0.1, 1)])
def test_views_are_dealt_to_patients(cases, share, patients):
    counts = _views(cases, share, seed=0)
    assert sum(counts) == cases and len(counts) == patients and max(counts) <= 3


def test_wrong_requests_are_explained(tmp_path):
    with pytest.raises(UnknownNameError, match="spine-xray"):
        write_dataset("spine-xrey", tmp_path, cases=1)
    with pytest.raises(UsageError, match="at least one"):
        write_dataset("spine-xray", tmp_path, cases=0)


LAYOUTS = {
    "spine-xray": "pairs", "vertebrae-xray": "pairs", "tumour-mri": "nnunet", "prostate-mri": "decathlon",
    "mitochondria-em": "pairs", "lobes-ct": "totalsegmentator", "hand-xray": "pairs", "liver-mri": "patients",
    "nuclei": "pairs",
}  # fmt: skip
MODALITIES = {"xray": "xray", "mri": "mr", "em": "em", "ct": "ct"}


def test_every_phantom_has_an_arrangement_of_its_own_kind():
    assert set(LAYOUTS) == set(STYLES) == set(PHANTOMS)


@pytest.mark.parametrize("name", sorted(set(PHANTOMS) - {"nuclei"}))
def test_what_was_written_is_read_back_as_it_was_drawn(name, tmp_path):
    """Grid, grey values, names and every voxel of every structure, through the layout a person would use."""
    folder = write_dataset(name, tmp_path, cases=2, seed=4, held_out=1, patients_share=1.0)
    dataset, drawn = open_dataset(folder / "scans"), PHANTOMS.load(name)(4, 1)
    assert dataset.layout == LAYOUTS[name] and dataset.modality == MODALITIES[name.rpartition("-")[2]]
    assert len(dataset.cases) == 2 and len({case.group for case in dataset.cases}) == 2
    case = dataset.cases[1]
    volume = load_image(dataset, case)
    assert volume.geometry.aligned_with(drawn.geometry)
    order = [drawn.channels.index(channel) for channel in dataset.channels] if drawn.channels else [0]
    assert np.array_equal(volume.array(), drawn.image[order])
    label = load_label(dataset, case, volume.geometry)
    assert dataset.labels.exclusive == drawn.space.exclusive
    names = [each.replace("-", "_") for each in drawn.space.names]
    for index, structure in enumerate(dataset.labels.names):
        known = names.index(structure) if structure in names else index  # files without names keep their order
        assert np.array_equal(dataset.labels.mask(label, index), drawn.space.mask(drawn.label, known)), structure
    assert (
        len(open_images(folder / "held-out" / "images", dataset.channels, flat=dataset.modality == "xray").cases) == 1
    )


def test_numbered_objects_are_read_back_as_they_were_drawn(tmp_path):
    folder = write_dataset("nuclei", tmp_path, cases=2, seed=4, patients_share=1.0)
    dataset = as_instances(open_dataset(folder / "scans"), True)
    for patient, case in enumerate(dataset.cases):
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        assert np.array_equal(label, PHANTOMS.load("nuclei")(4, patient).label)


def test_objects_of_a_stack_lie_beside_it(tmp_path):
    folder = write_dataset("mitochondria-em", tmp_path, cases=1, seed=4)
    drawn = PHANTOMS.load("mitochondria-em")(4, 0)
    assert np.array_equal(read(folder / "objects" / "s000.tif").array()[0], drawn.objects)
