"""The disk foreseen for a run is what the run takes: every network of every fold, counted on its own graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

import segwright
from segwright.api import disk_space
from segwright.api.disk_space import fit_bytes

QUICK = {"steps": 2, "batch": 2, "device": "cpu", "folds": 2}


@pytest.mark.parametrize(
    "wishes",
    [
        {"width": 24, "levels": 3},
        {"width": 24, "levels": 3, "members": 2},
        {"net": "vnet", "patch": [16, 32, 32], "width": 8, "levels": 4},
    ],
    ids=["one network", "two networks", "a network without a formula"],
)
def test_a_run_takes_what_was_foreseen(
    make_folder: Callable[..., Path], tmp_path: Path, wishes: dict[str, object]
) -> None:
    run = segwright.fit(make_folder(cases=4), out=tmp_path / "run", **QUICK, **wishes)
    taken = sum(file.stat().st_size for file in run.folder.rglob("*") if file.is_file())
    kept = sum(4 * math.prod(fact.shape) for fact in run.inspection.facts)  # held only while it concludes
    checkpoint = 4 * (disk_space.BEFORE + 2) * disk_space._parameters(run.plan)  # the one before, while it trains
    foreseen = fit_bytes(run.plan, run.inspection, run.split)
    assert 0.8 < (foreseen - kept - checkpoint) / taken < 1.2
