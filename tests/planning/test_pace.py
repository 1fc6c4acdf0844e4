"""Steps are timed once each and within their time; what is not timed follows from the operations of what was."""

from __future__ import annotations

import pytest

from segwright.core.plan import NetSpec
from segwright.planning.memory import step_flops
from segwright.planning.pace import Pace


def net(width: int) -> NetSpec:
    levels = {"strides": ((1, 1, 1), (2, 2, 2)), "kernels": ((3, 3, 3),) * 2}
    blocks = {"encoder_blocks": (2, 2), "decoder_blocks": (1,)}
    return NetSpec(in_channels=1, out_channels=2, widths=(width, 2 * width), **levels, **blocks)


class Machine:
    """Every step of a network takes so many seconds; a timing takes two of them."""

    def __init__(self, step: float) -> None:
        self.step, self.now = step, 0.0
        self.timed: list[int] = []

    def time_step(self, spec: NetSpec, patch: tuple[int, int, int], batch: int) -> float:
        self.timed.append(spec.widths[0])
        self.now += 2 * self.step * spec.widths[0]
        return self.step * spec.widths[0]


def test_each_network_is_timed_once() -> None:
    machine = Machine(0.1)
    pace = Pace(machine.time_step, seconds=1000, clock=lambda: machine.now)
    for width in (8, 16, 8, 16):
        assert pace(net(width), (8, 8, 8), 2) == pytest.approx(0.1 * width)
    assert machine.timed == [8, 16]


@pytest.mark.parametrize("seconds", [0.0, 5.0, 20.0])
def test_a_slow_machine_times_the_first_network_only(seconds: float) -> None:
    """A step of the narrowest takes 16 s here; planning went on timing for minutes."""
    machine = Machine(2.0)
    pace = Pace(machine.time_step, seconds=seconds, clock=lambda: machine.now)
    patch = (16, 16, 16)
    first, second = pace(net(8), patch, 2), pace(net(16), patch, 2)
    assert machine.timed == [8]
    assert second == pytest.approx(first * step_flops(net(16), patch, 2) / step_flops(net(8), patch, 2))


def test_the_nearest_network_that_was_timed_stands_for_another() -> None:
    machine = Machine(1.0)
    pace = Pace(machine.time_step, seconds=1000, clock=lambda: machine.now)
    patch = (16, 16, 16)
    for width in (4, 32):
        pace(net(width), patch, 1)
    pace.seconds = 0.0
    assert pace(net(24), patch, 1) == pytest.approx(32 * step_flops(net(24), patch, 1) / step_flops(net(32), patch, 1))


def test_a_busy_machine_counts_what_a_timing_took_by_the_clock() -> None:
    """Steps of 0.01 s of work that wait ten seconds for their turn: the second network is not timed within 15 s."""
    now = [0.0]
    timed: list[int] = []

    def time_step(spec: NetSpec, patch: tuple[int, int, int], batch: int) -> float:
        timed.append(spec.widths[0])
        now[0] += 10.0
        return 0.01

    pace = Pace(time_step, seconds=15.0, clock=lambda: now[0])
    for width in (8, 12, 16):
        pace(net(width), (16, 16, 16), 2)
    assert timed == [8]
