"""Schedules, averages, clock and log, against hand-computed values."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segwright.core.events import Step
from segwright.sample.case import SampleCase
from segwright.sample.patches import Patches
from segwright.train import SCHEDULES
from segwright.train.log import EventLog, read_events
from segwright.train.optim import Clock, parameter_groups, with_warmup
from segwright.train.parts import Ahead
from segwright.train.state import WeightAverage


@pytest.mark.parametrize(
    ("name", "params", "progress", "step", "expected"),
    [
        ("cosine", {"floor": 0.0}, 0.5, 0, 0.5),
        ("cosine", {"floor": 0.1}, 1.0, 0, 0.1),
        ("poly", {"power": 0.9}, 0.25, 0, 0.75**0.9),
        ("poly", {}, 1.0, 0, 0.0),
        ("step", {"at": [0.5, 0.75], "factor": 0.1}, 0.6, 0, 0.1),
        ("step", {"at": [0.5, 0.75], "factor": 0.1}, 0.8, 0, 0.01),
        ("halve", {"every": 10}, 0.0, 25, 0.25),
        ("constant", {}, 0.9, 9, 1.0),
    ],
)
def test_schedules_by_hand(name: str, params: dict[str, object], progress: float, step: int, expected: float) -> None:
    assert SCHEDULES.load(name)(**params)(progress, step) == pytest.approx(expected, abs=1e-12)


def test_warm_up_rises_then_follows_the_schedule_over_the_rest() -> None:
    rate = with_warmup(SCHEDULES.load("cosine")(), 0.2)
    assert [rate(p, 0) for p in (0.1, 0.2, 1.0)] == pytest.approx([0.5, 1.0, 0.0])
    assert rate(0.6, 0) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.5)))


def test_the_average_follows_the_formula() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 0.0)
    average = WeightAverage(net, share=0.03)
    nn.init.constant_(net.weight, 1.0)
    average.update(net, step=10_000, planned=10_000)
    keep = 1 - 1 / 300
    assert average.net.weight.item() == pytest.approx(1 - keep, rel=1e-5)


def test_early_averages_forget_the_random_start() -> None:
    average = WeightAverage(nn.Linear(1, 1), share=0.03)
    assert average.decay(0, 1000) == pytest.approx(0.1)
    assert average.decay(10**6, 10**9) == 0.9995
    assert average.decay(10**6, 100) == 0.98


def test_without_averaging_the_shadow_is_a_copy_with_its_statistics() -> None:
    net = nn.BatchNorm1d(2)
    average = WeightAverage(net, share=0.0)
    net(torch.randn(8, 2))
    average.update(net, 1, 10)
    for mine, theirs in zip(average.net.state_dict().values(), net.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_batches_cut_ahead_are_those_asked_for() -> None:
    image = np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4)
    patches = Patches([SampleCase(image, (image > 30).astype(np.int16))], patch=(2, 2, 2), policy="uniform")
    with Ahead(patches, torch.device("meta")) as ahead:
        for step in (0, 1, 2, 7, 8, 3):
            assert torch.equal(ahead.at(step).image, patches.at(step).image)
    assert threading.active_count() == 1 or all(t.name != "prefetch" for t in threading.enumerate())


def test_biases_and_norms_do_not_decay() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    decayed, plain = parameter_groups(net, 0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert [p.ndim for p in decayed["params"]] == [4]
    assert len(plain["params"]) == 3


def test_a_clock_carries_what_was_spent() -> None:
    clock = Clock(seconds=100.0, spent=50.0)
    assert 0.5 <= clock.progress(3) < 0.51
    assert clock.planned_steps(50) == pytest.approx(100, rel=0.02)
    assert Clock(steps=10).planned_steps(3) == 10


def test_a_log_drops_what_will_be_repeated_and_a_cut_line(tmp_path: Path) -> None:
    log = EventLog(tmp_path, tensorboard=False)
    for step in range(1, 6):
        log.write(Step(0, step))
    log.close()
    path = tmp_path / "log.jsonl"
    path.write_text(path.read_text()[:-5])
    assert len(read_events(path)) == 4
    again = EventLog(tmp_path, resume_step=2, tensorboard=False)
    again.write(Step(0, 3))
    again.close()
    assert [event.step for event in read_events(path)] == [1, 2, 3]
