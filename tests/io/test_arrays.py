"""Arrays that do not name their axes: the label's shape tells them; one file may hold all cases; labels in OME-Zarr."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import zarr
from PIL import Image

from segwright.io.dataset import open_dataset
from segwright.io.layouts.arrays import Stored, _together
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images

FLAT = (40, 52)


def scene(seed: int, channels: int = 1, structures: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Channels `(C, y, x)`, bright in the second (or only) one where the first structure is; masks `(K, y, x)`."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((structures, *FLAT), np.uint8)
    for k in range(structures):
        masks[k, 4 + 10 * k : 10 + 10 * k, 8 + seed : 20 + seed + k] = 1
    scan = rng.normal(100, 5, (channels, *FLAT))
    scan[min(1, channels - 1)] += 300.0 * masks[0]
    return scan.astype(np.float32), masks


def check(root: Path, *, cases: int, channels: int, pixels: tuple[int, ...]) -> None:
    """Flat cases of so many channels, structures of so many pixels, and the scan bright under the first."""
    dataset = open_dataset(root)
    assert len(dataset.labelled) == cases
    assert len(dataset.channels) == channels
    assert len(dataset.labels.structures) == len(pixels)
    for case in dataset.labelled:
        image = load_image(dataset, case)
        label = load_label(dataset, case, image.geometry)
        assert image.geometry.shape == (1, *FLAT)
        masks = [label[0] == i + 1 if len(label) == 1 else label[i] > 0 for i in range(len(pixels))]
        assert tuple(int(mask.sum()) for mask in masks) == pixels
        assert image.array()[min(1, channels - 1)][masks[0]].mean() > 300


@pytest.mark.parametrize("axes", ["yxc", "cyx"])
@pytest.mark.parametrize("channels", [2, 4, 6])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_the_shape_of_a_flat_mask_tells_that_an_axis_counts_channels(tmp_path, suffix, channels, axes):
    for i in range(5):
        scan, mask = scene(i, channels)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        stored = scan if axes == "cyx" else np.moveaxis(scan, 0, -1)
        if suffix == ".npy":
            np.save(tmp_path / f"images/a{i}.npy", stored)
        else:
            tifffile.imwrite(tmp_path / f"images/a{i}.tif", stored, photometric="minisblack", metadata=None)
        Image.fromarray(255 * mask[0]).save(tmp_path / f"masks/a{i}.png")
    check(tmp_path, cases=5, channels=channels, pixels=(72,))
    predicted = open_images(tmp_path / "images", tuple("abcdef"[:channels]), flat=True)
    assert load_image(predicted, predicted.cases[0]).data.shape == (channels, 1, *FLAT)


@pytest.mark.parametrize(("channels", "axes"), [(1, "yxc"), (3, "yxc"), (4, "yxc"), (1, "cyx"), (4, "cyx")])
def test_slices_in_hdf5_with_a_structure_a_plane(tmp_path, channels, axes):
    for v in range(1, 7):
        for s in range(2):
            scan, masks = scene(v, channels, 3)
            with h5py.File(tmp_path / f"volume_{v}_slice_{s}.h5", "w") as file:
                order = (1, 2, 0) if axes == "yxc" else (0, 1, 2)
                file["image"] = scan[0] if channels == 1 else scan.transpose(order)
                file["mask"] = masks.transpose(order)
    check(tmp_path, cases=12, channels=channels, pixels=(72, 78, 84))
    assert len({case.group for case in open_dataset(tmp_path).cases}) == 6


@pytest.mark.parametrize("kind", ["npz", "h5", "mat"])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_file_of_all_pictures_and_one_of_all_masks(tmp_path, kind, channels):
    scans, masks = zip(*(scene(5 * i % 9, channels) for i in range(12)), strict=True)
    images = np.moveaxis(np.stack(scans), 1, -1) if channels > 1 else np.stack(scans)[:, 0]
    labels = np.stack(masks)[:, 0]
    rng = np.random.default_rng(0)
    images = images + rng.normal(0, 40, (12, *FLAT, channels)).reshape(images.shape)
    if kind == "npz":
        np.savez_compressed(tmp_path / "all.npz", images=images, masks=labels)
    elif kind == "h5":
        with h5py.File(tmp_path / "all.h5", "w") as file:
            file["images"], file["masks"] = images, labels
    else:
        last = {name: np.moveaxis(array, 0, -1) for name, array in (("images", images), ("masks", labels))}
        scipy.io.savemat(tmp_path / "all.mat", last)
    check(tmp_path, cases=12, channels=channels, pixels=(72,))
    ids = [case.id for case in open_dataset(tmp_path).cases]
    assert [case.id for case in open_images(tmp_path, tuple("abc"[:channels]), flat=True).cases] == ids


def test_one_npz_with_a_pair_of_arrays_a_case(tmp_path):
    arrays = {}
    for i in range(5):
        scan, mask = scene(i)
        arrays |= {f"image_{i}": scan[0], f"label_{i}": mask[0]}
    np.savez(tmp_path / "all.npz", **arrays)
    check(tmp_path, cases=5, channels=1, pixels=(72,))


def test_parts_of_a_dataset_in_one_npz(tmp_path):
    arrays = {}
    rng = np.random.default_rng(1)
    for part, count in (("train", 12), ("val", 4), ("test", 5)):
        scans, masks = zip(*(scene(5 * i % 9) for i in range(count)), strict=True)
        arrays[f"{part}_images"] = np.stack(scans)[:, 0] + rng.normal(0, 40, (count, *FLAT))
        arrays[f"{part}_masks"] = np.stack(masks)[:, 0]
    np.savez(tmp_path / "all.npz", **arrays)
    check(tmp_path, cases=21, channels=1, pixels=(72,))


def test_a_volume_in_one_npz_stays_a_volume(tmp_path):
    rng = np.random.default_rng(0)
    volume = np.cumsum(rng.normal(0, 1, (12, *FLAT)), axis=0).astype(np.float32)
    label = np.zeros(volume.shape, np.uint8)
    label[3:7, 5:20, 5:20] = 1
    np.savez(tmp_path / "a.npz", image=volume, label=label)
    dataset = open_dataset(tmp_path)
    assert [case.sections for case in dataset.cases] == [None]
    assert load_image(dataset, dataset.cases[0]).geometry.shape == volume.shape


def pyramid(path: Path, scan: np.ndarray, label: np.ndarray, axes: str, version: int, name: str) -> None:
    """An OME-Zarr image of two levels with a label group."""
    named = [{"name": a, "type": {"t": "time", "c": "channel"}.get(a, "space")} for a in axes]
    named = [{**a, "unit": "micrometer"} if a["type"] == "space" else a for a in named]

    def scales() -> dict:
        sets = []
        for level in range(2):
            step = [0.5 * 2**level if a in "yx" else 1.0 for a in axes]
            sets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": step}]})
        record = {"multiscales": [{"version": "0.4", "axes": named, "datasets": sets}]}
        return record if version == 2 else {"ome": {"version": "0.5", **record}}

    root = zarr.open_group(str(path), mode="w", zarr_format=version)
    root.attrs.update(scales())
    inner = root.create_group("labels").create_group(name)
    inner.attrs.update(scales())
    for group, array in ((root, scan), (inner, label)):
        for level in range(2):
            part = array[..., :: 2**level, :: 2**level]
            group.create_array(str(level), shape=part.shape, dtype=part.dtype, chunks=part.shape)[...] = part


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", ["tczyx", "tcyx", "zyx", "cyx"])
def test_labels_inside_ome_zarr(tmp_path, axes, version):
    sizes = {"t": 1, "c": 2, "z": 6, "y": 40, "x": 44}
    for i in range(3):
        shape = [sizes[a] for a in axes]
        label = np.zeros([1 if a == "c" else sizes[a] for a in axes], np.uint16)
        label[..., 10 + i : 18 + i, 12:21] = 1
        scan = np.random.default_rng(i).integers(90, 140, shape).astype(np.uint16)
        scan = scan + (500 * np.broadcast_to(label, shape)).astype(np.uint16)
        pyramid(tmp_path / f"emb{i}.zarr", scan, label, axes, version, "nuclei")
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("nuclei",)
    assert len(dataset.channels) == (2 if "c" in axes else 1)
    for case in dataset.labelled:
        image = load_image(dataset, case)
        label = load_label(dataset, case, image.geometry)
        assert (label > 0).sum() == 72 * (6 if "z" in axes else 1)
        assert image.array()[0][label[0] > 0].mean() > 500
        assert image.geometry.spacing[1:] == pytest.approx((0.0005, 0.0005))


def test_axes_are_chosen_by_hand_counted_shapes():
    def pair(image: tuple[int, ...], label: tuple[int, ...]) -> tuple[Stored, Stored]:
        letters = {2: "yx", 3: "zyx", 4: "czyx"}
        return tuple(Stored(shape, letters[len(shape)], True) for shape in (image, label))

    assert _together([pair((4, 72, 88), (72, 88))]) == ("cyx", "yx")
    assert _together([pair((72, 88, 4), (72, 88))]) == ("yxc", "yx")
    assert _together([pair((10, 72, 88), (10, 72, 88))]) is None
    assert _together([pair((48, 48, 4), (48, 48, 3))]) == ("yxc", "yxc")
    assert _together([pair((5, 30, 72, 88), (30, 72, 88))]) is None
    assert _together([pair((30, 5, 72, 88), (30, 72, 88))]) == ("zcyx", "zyx")
    assert _together([pair((40, 72, 88), (72, 88))]) is None  # forty pages are slices, and one mask is none of them
    assert _together([pair((4, 72, 88), (72, 88)), pair((5, 72, 88), (72, 88))]) is None
    assert _together([pair((4, 72, 88), (72, 80))]) is None
