"""Objects of volumes scored box by box: the same numbers as on whole arrays, whatever the storage."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from scipy import ndimage
from skimage.metrics import adapted_rand_error

from segwright import io
from segwright.core.errors import GeometryError, LabelError
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume
from segwright.evaluation import volumes
from segwright.evaluation.volumes import count_overlaps, evaluate_volumes
from segwright.metrics import OBJECT_METRICS
from segwright.metrics.contingency import Contingency

SHAPE = (12, 70, 66)


@pytest.fixture(scope="module")
def ids() -> tuple[np.ndarray, np.ndarray]:
    """Objects, and the same ones shifted, with ids beyond 32 bits."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), (1, 3, 3))
    reference = ndimage.label(noise > noise.std())[0].astype(np.uint64)
    prediction = np.roll(reference, 1, axis=2)
    return reference, np.where(prediction > 0, prediction + np.uint64(2**40), 0).astype(np.uint64)


def stored(array: np.ndarray, path: Path) -> Path:
    if path.suffix == ".zarr":
        item = zarr.create_array(str(path), shape=array.shape, chunks=(5, 16, 32), dtype=array.dtype, zarr_format=2)
        item[...] = array
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("ids", data=array, chunks=(4, 32, 16))
    else:
        io.write(Volume.of(array, Geometry.from_spacing(array.shape)), path)
    return path


@pytest.mark.parametrize("suffix", [".zarr", ".h5", ".npy"])
def test_boxes_sum_to_the_whole(ids, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(volumes, "AT_ONCE", 9000)
    reference, prediction = ids
    paths = stored(reference, tmp_path / f"a{suffix}"), stored(prediction, tmp_path / "b.zarr")
    counted = count_overlaps(*map(io.read, paths))
    whole = Contingency.from_arrays(reference, prediction)
    assert counted.boxes > 4
    assert np.array_equal(counted.table.pairs, whole.pairs) and np.array_equal(counted.table.counts, whole.counts)


def test_scores_equal_scikit_image(ids, tmp_path):
    reference, prediction = ids
    report = evaluate_volumes(stored(reference, tmp_path / "a.zarr"), stored(prediction, tmp_path / "b.zarr"))
    values = {row.metric: row.value for row in report.scores}
    small = np.where(prediction > 0, prediction - np.uint64(2**40), 0).astype(int)
    error, _, _ = adapted_rand_error(reference.astype(int), small)
    assert values["rand_error"] == pytest.approx(error)
    mask = reference > 0, prediction > 0
    assert values["iou"] == pytest.approx((mask[0] & mask[1]).sum() / (mask[0] | mask[1]).sum())
    assert values["accuracy_50"] >= values["accuracy_75"]
    assert set(values) == {*OBJECT_METRICS, "iou"}, "the names that cases are scored by"
    assert report.aggregate("objects", "f1_50").mean == values["f1_50"]


def test_values_that_are_few_are_scored_one_by_one(tmp_path):
    reference, prediction = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    reference[2:6, 10:20, 10:20], prediction[2:6, 10:20, 10:25] = 7, 7
    report = evaluate_volumes(stored(reference, tmp_path / "a.zarr"), stored(prediction, tmp_path / "b.zarr"))
    row = next(r for r in report.scores if (r.structure, r.metric) == ("value 7", "dice"))
    assert row.value == pytest.approx(2 * 400 / 1000)


def test_odd_ids_are_understood_or_refused(ids, tmp_path):
    reference, prediction = ids
    signed = reference.astype(np.int64)
    signed[0] = -1
    counted = count_overlaps(
        io.read(stored(signed, tmp_path / "a.zarr")), io.read(stored(prediction, tmp_path / "b.zarr"))
    )
    assert counted.table.voxels == reference[1:].size
    assert f"{reference[0].size:,} voxels of the reference ignored, because negative" in counted.notes[0]
    floats = stored(reference.astype(np.float32), tmp_path / "c.zarr")
    assert count_overlaps(io.read(floats), io.read(floats)).table.voxels == reference.size
    half = io.read(stored(reference.astype(np.float32) + 0.5, tmp_path / "d.zarr"))
    with pytest.raises(LabelError, match="whole numbers"):
        count_overlaps(half, half)
    with pytest.raises(GeometryError, match="one shape"):
        evaluate_volumes(tmp_path / "a.zarr", stored(reference[1:], tmp_path / "e.zarr"))
    empty = stored(np.zeros(SHAPE, np.uint8), tmp_path / "f.zarr")
    assert any("no object" in note for note in evaluate_volumes(empty, tmp_path / "b.zarr").notes)
