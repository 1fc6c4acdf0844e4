"""The measurement chooses among candidates, and the self-test finds a convolution that goes wrong in bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segwright.core.plan import Plan
from segwright.nets import build
from segwright.nets.keep import keep_float32
from segwright.train import measure as measure_module
from segwright.train.measure import measure
from segwright.train.selftest import failing_convolutions

CPU = torch.device("cpu")


def test_the_fastest_candidate_is_chosen(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = {"precision": "auto", "steps": None, "seconds": 60.0}
    auto = plan.model_copy(update={"train": plan.train.model_copy(update=timed)})
    monkeypatch.setattr(measure_module, "supports_bfloat16", lambda device: True)
    costs = {("bfloat16", True): 0.3, ("bfloat16", False): 0.2, ("float32", True): 0.5, ("float32", False): 0.6}
    monkeypatch.setattr(measure_module, "step_seconds", lambda load, c, best: costs[c.precision, c.channels_last])
    found = measure(auto, CPU, seconds=1000)
    assert (found.chosen.precision, found.chosen.channels_last) == ("bfloat16", False)
    assert len(found.table) == 4
    assert "200 ms" in found.why


def test_timing_decides_nothing_in_a_run_of_counted_steps(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    auto = plan.model_copy(update={"train": plan.train.model_copy(update={"precision": "auto"})})
    monkeypatch.setattr(measure_module, "supports_bfloat16", lambda device: True)
    chosen = []
    for quick in (True, False):
        seconds = {quick: 0.1, not quick: 0.9}
        monkeypatch.setattr(measure_module, "step_seconds", lambda load, c, best, s=seconds: s[c.channels_last])
        chosen.append(measure(auto, CPU, seconds=1000).chosen)
    assert chosen[0] == chosen[1]


def test_measuring_runs_for_real_and_respects_what_is_fixed(plan: Plan) -> None:
    found = measure(plan, CPU, seconds=5)
    assert found.chosen.precision == "float32"
    assert found.step_seconds > 0 < found.forward_seconds


def test_sound_convolutions_pass(plan: Plan) -> None:
    assert failing_convolutions(build(plan.net), torch.randn(1, 1, 16, 16, 16), CPU) == ()


class Wrong(nn.Conv3d):
    """Wrong by a tenth in bfloat16 only, as some processors have been for small shapes."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        result = super().forward(input)
        return result * 1.1 if torch.is_autocast_enabled("cpu") else result


def test_a_faulty_convolution_is_named_and_kept_in_float32() -> None:
    net = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), Wrong(2, 2, 3, padding=1))
    image = torch.randn(1, 1, 6, 6, 6)
    assert failing_convolutions(net, image, CPU) == ("1",)
    keep_float32(net, ("1",))
    with torch.autocast("cpu", torch.bfloat16):
        inner = net[0](image)
        kept = net[1](inner)
    expected = nn.functional.conv3d(inner.float(), net[1].weight, net[1].bias, padding=1)
    assert kept.dtype == torch.float32
    torch.testing.assert_close(kept, expected)
