"""A watched prediction is the same prediction; what is counted is what whole masks have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from segwright.core.model import EARLIER, earlier_files
from segwright.nets.weights import read_checked, save_weights
from segwright.prediction.ensemble import member
from segwright.prediction.witness import Witness
from segwright.quality.signals import EARLIER_SHARE


def dice(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    axes = (0, 2, 3, 4)
    return 2 * (one * other).sum(axes) / (one.sum(axes) + other.sum(axes))


@pytest.mark.parametrize("axes", [(), (1,), (0, 2)])
def test_watching_changes_nothing_and_counts_what_copies_share(axes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    now, then = torch.nn.Conv3d(1, 2, 3, padding=1), torch.nn.Conv3d(1, 2, 3, padding=1)
    batch = torch.randn(3, 1, 4, 6, 8)
    witness = Witness(lambda scores: scores)
    earlier = [member(then, torch.sigmoid)]
    with torch.inference_mode():
        plain = member(now, torch.sigmoid, axes)(batch)
        watched = member(now, torch.sigmoid, axes, None, witness.member(0, earlier))(batch)
        first, old = (torch.sigmoid(net(batch)).numpy() for net in (now, then))
    assert torch.equal(plain, watched)
    found = witness.signals.agreement()
    assert ("mirrored" in found) == bool(axes)
    np.testing.assert_allclose(found["earlier"], dice(first >= 0.5, old >= 0.5), rtol=1e-6)
    np.testing.assert_allclose(found["scores"], dice(plain.numpy(), plain.numpy() >= 0.5), rtol=1e-6)
    if axes == (1,):
        flipped = torch.sigmoid(now(batch.flip(3)).flip(3)).detach().numpy()
        np.testing.assert_allclose(found["mirrored"], dice(first >= 0.5, flipped >= 0.5), rtol=1e-6)


def test_earlier_weights_are_asked_in_turn_and_for_a_share_of_the_passes() -> None:
    asked: list[int] = []

    def earlier(number: int) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda batch: asked.append(number) or torch.ones_like(batch)  # type: ignore[func-returns-value]

    witness = Witness(lambda scores: scores)
    forward = member(torch.ones_like, torch.sigmoid, (1,), None, witness.member(0, [earlier(0), earlier(1)]))
    for _ in range(50):
        forward(torch.ones(1, 1, 2, 2, 2))
    assert len(asked) == pytest.approx(1 + EARLIER_SHARE * 100, abs=1) and abs(asked.count(0) - asked.count(1)) <= 1
    witness.begin()
    empty = member(lambda batch: batch - 9, torch.sigmoid, (), None, witness.member(0, [earlier(2)]))
    empty(torch.zeros(1, 1, 2, 2, 2))
    assert 2 not in asked and np.isnan(witness.signals.agreement()["scores"]).sum() == 0


def test_earlier_weights_take_half_the_space_and_are_nearly_the_same(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv3d(8, 64, 3), torch.nn.BatchNorm3d(64))
    net[1].running_var.fill_(1e6)  # which float16 cannot hold
    for name, small in (("whole", False), ("half", True)):
        save_weights(net, tmp_path / name, small=small)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "whole").stat().st_size
    half = read_checked(tmp_path / "half")
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(half[name].to(tensor.dtype), tensor, rtol=1e-3, atol=1e-6)
    assert len(earlier_files(tmp_path / "half")) == len(EARLIER)
