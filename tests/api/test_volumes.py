"""`segwright evaluate` on two volumes: recognised as such, written as numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

import segwright
from segwright.core.errors import UsageError
from segwright.report.text import objects_table


def volume(path: Path, shift: int) -> Path:
    ids = np.zeros((4, 20, 40), np.uint32)
    ids[:, 2:10, 2 + shift : 12 + shift], ids[:, 12:18, 20:30] = 70_000, 5
    item = zarr.create_array(str(path), shape=ids.shape, chunks=(2, 8, 8), dtype=ids.dtype, zarr_format=3)
    item[...] = ids
    return path


def test_two_volumes_are_scored_by_their_objects(tmp_path):
    one, two = volume(tmp_path / "reference.zarr", 0), volume(tmp_path / "prediction.zarr", 2)
    report = segwright.evaluate(one, two, out=tmp_path / "scores.json")
    values = {row.metric: row.value for row in report.scores if row.structure == "objects"}
    assert values["f1_50"] == 1.0 and values["f1_75"] == 0.5  # one object has an IoU of 8/12
    assert json.loads((tmp_path / "scores.json").read_text())["title"] == "prediction"
    segwright.evaluate(one, two, out=tmp_path / "scores.csv")
    assert "accuracy_75" in (tmp_path / "scores.csv").read_text()
    text = objects_table(report)
    assert "0.75" in text and "adapted Rand error" in text and "value 70000" in text
    assert "PQ" in text and "–" not in text
    with pytest.raises(UsageError, match="numbers"):
        segwright.evaluate(one, two, out=tmp_path / "page.html")
