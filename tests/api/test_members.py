"""Several networks a fold: averaged out of fold and in the model, told as one training, and resumed one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

import segwright
from segwright.api.follow import FoldProgress, joined
from segwright.core.events import End, Step
from segwright.prediction.model import Model

QUICK = {"steps": 3, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2, "postprocess": False}


@pytest.fixture
def run(make_folder: Callable[..., Path], tmp_path: Path) -> segwright.Run:
    return segwright.fit(make_folder("exclusive", 2), out=tmp_path / "run", members=2, **QUICK)


def test_a_fold_is_the_mean_of_its_networks(run: segwright.Run) -> None:
    one, other = (load_file(path) for path in run.weights(0))
    assert any((one[name] != other[name]).any() for name in one if one[name].is_floating_point())
    assert [member.weights for member in run.model.manifest.members] == [
        "member-0.safetensors",
        "member-0-1.safetensors",
        "member-1.safetensors",
        "member-1-1.safetensors",
    ]
    assert len(Model.load(run.folder, folds=[1]).weights) == 2
    case = run.split.folds[0].validation[0]
    kept = np.load(run.scores_file(case)).astype(float) / 255
    each = [
        Model(run.plan, [path], device="cpu").segment(run.dataset, run.dataset.case(case), keep_scores=True).scores
        for path in run.weights(0)
    ]
    mean = sum(np.asarray(scores, dtype=float) / 255 for scores in each) / 2
    assert np.abs(kept - mean).max() < 1.5 / 255
    assert np.abs(np.asarray(each[0], dtype=float) - each[1]).max() > 3


def test_the_first_network_is_the_one_a_run_with_one_would_have(
    run: segwright.Run, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    alone = segwright.fit(make_folder("exclusive", 2, name="same"), out=tmp_path / "alone", only=[0], **QUICK)
    one, other = load_file(run.weights(0)[0]), load_file(alone.weights(0)[0])
    assert all((one[name] == other[name]).all() for name in one)


def test_only_what_is_missing_is_trained_again(
    run: segwright.Run, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = run.weights(0)
    before, repeated = first.stat().st_mtime_ns, second.read_bytes()
    second.unlink()
    for case in run.split.folds[0].validation:
        run.scores_file(case).unlink()
    assert not run.trained(0) and run.finished == (1,)
    heard: list[Any] = []
    data = run.dataset.root
    again = segwright.fit(data, out=run.folder, resume=True, listen=heard.append, device="cpu")
    assert again.finished == (0, 1)
    assert first.stat().st_mtime_ns == before and second.read_bytes() == repeated
    steps = [event for event in heard if isinstance(event, Step)]
    assert all(event.progress >= 0.5 for event in steps)


def test_logs_of_a_fold_are_one(run: segwright.Run) -> None:
    for events in run.log().values():
        steps = [event for event in events if isinstance(event, Step)]
        assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
        elapsed = [event.elapsed for event in steps]
        assert elapsed == sorted(elapsed)
        assert [type(event) for event in events].count(End) == 1 and events[-1].step == 6


def test_progress_and_time_left_count_all_networks() -> None:
    told: list[Any] = []
    fold = FoldProgress(3, told.append)
    fold.hear(Step(0, 5, progress=0.5, elapsed=10.0, remaining=10.0))
    fold.hear(End(0, 10, elapsed=20.0))
    fold.hear(Step(0, 1, progress=0.1, elapsed=2.0, remaining=18.0))
    assert told[0].remaining == 10.0 + 2 * 20.0 and told[0].progress == pytest.approx(0.5 / 3)
    assert len(told) == 2  # the end of a network is not the end of a fold
    assert told[1].step == 11 and told[1].elapsed == 22.0 and told[1].progress == pytest.approx(1.1 / 3)
    assert told[1].remaining == pytest.approx(18.0 + 20.0)


def test_a_log_that_was_cut_off_stays_as_far_as_it_goes() -> None:
    whole = [Step(0, 1, progress=1.0), End(0, 1)]
    assert [event.step for event in joined([whole, whole[:1]], 3)] == [1, 2]
    assert joined([], 2) == []
