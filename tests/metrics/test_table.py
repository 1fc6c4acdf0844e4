"""A case is scored as its structures one by one, for both kinds of label space, regions and ignored voxels."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.errors import GeometryError
from segwright.core.labels import IGNORE, LabelSpace
from segwright.metrics import DEFAULT_METRICS
from segwright.metrics.table import load_metric, score_case, scored_names

STRUCTURES = [{"name": "core", "values": [1]}, {"name": "oedema", "values": [2]}, {"name": "cyst", "values": [3]}]
REGIONS = {"tumour": ("core", "oedema")}
EXCLUSIVE = LabelSpace(structures=STRUCTURES, regions=REGIONS)
OVERLAPPING = LabelSpace(structures=STRUCTURES, regions=REGIONS, kind="overlapping")
SPACING = (3.0, 0.5, 0.8)


def labels(space: LabelSpace, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    inner = rng.integers(0, 3 if space.exclusive else 2, (space.planes, 4, 8, 7))
    return np.pad(inner, ((0, 0), (1, 2), (3, 0), (0, 4))).astype(space.dtype)


def union(space: LabelSpace, array: np.ndarray, name: str) -> np.ndarray:
    parts = space.regions.get(name, (name,))
    return np.any([space.mask(array, space.names.index(part)) for part in parts], axis=0)


@pytest.mark.parametrize("space", [EXCLUSIVE, OVERLAPPING], ids=["exclusive", "overlapping"])
def test_case_equals_its_structures_one_by_one(space: LabelSpace) -> None:
    reference, prediction = labels(space, 0), labels(space, 1)
    rows = score_case(space, reference, prediction, spacing=SPACING, tolerance=1.0)
    assert [(r.structure, r.metric) for r in rows] == [(s, m) for s in scored_names(space) for m in DEFAULT_METRICS]
    for row in rows:
        masks = [union(space, array, row.structure) for array in (reference, prediction)]
        assert row.value == load_metric(row.metric)(*masks, spacing=SPACING, tolerance=1.0), row


@pytest.mark.parametrize("space", [EXCLUSIVE, OVERLAPPING], ids=["exclusive", "overlapping"])
def test_ignored_voxels_count_nowhere(space: LabelSpace) -> None:
    reference, prediction = labels(space, 0), labels(space, 1)
    reference[:, 2] = IGNORE
    cleared = [array.copy() for array in (reference, prediction)]
    for array in cleared:
        array[:, 2] = 0
    assert score_case(space, reference, prediction) == score_case(space, *cleared)


def test_absent_structures_are_noted_not_scored() -> None:
    reference, prediction = np.zeros((2, 1, 2, 4, 4), np.int16)
    reference[0, 0, 1, 1] = 1
    prediction[0, 1, 2, 2] = 2
    rows = {(r.structure, r.metric): (r.value, r.note) for r in score_case(EXCLUSIVE, reference, prediction)}
    assert rows["core", "dice"] == (0.0, "prediction empty")
    assert rows["core", "hd95"] == (None, "prediction empty")
    assert rows["oedema", "dice"] == (0.0, "reference empty")
    assert rows["cyst", "dice"] == (None, "both empty")
    assert [rows[name, "presence"][0] for name in ("core", "oedema", "cyst", "tumour")] == [0, 0, 1, 1]


def test_one_slice_of_a_scan_is_not_a_plane() -> None:
    reference = np.zeros((1, 5, 9, 9), np.int16)
    reference[0, 2, 2:7, 2:7] = 1
    prediction = reference.copy()
    prediction[0, 2, 4, 4] = 0  # all 25 voxels of a one-slice sheet are surface, so a missing one is 1 mm off
    value = {r.metric: r.value for r in score_case(EXCLUSIVE, reference, prediction, spacing=(1, 1, 1), tolerance=0.5)}
    assert value["surface_dice"] == pytest.approx(48 / 49)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GeometryError, match="canonical"):
        score_case(EXCLUSIVE, np.zeros((1, 2, 3, 4), np.int16), np.zeros((1, 2, 3, 5), np.int16))
    with pytest.raises(GeometryError, match="planes"):
        score_case(OVERLAPPING, np.zeros((1, 2, 3, 4), np.int8), np.zeros((1, 2, 3, 4), np.int8))
