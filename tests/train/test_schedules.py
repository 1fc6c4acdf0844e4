"""Schedules of published systems step by step; losses and patches that change in the middle of a fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from segwright.core.errors import RecipeError
from segwright.core.events import Step
from segwright.core.plan import Plan
from segwright.core.recipe import PartChoice
from segwright.sample.case import SampleCase
from segwright.train import SCHEDULES
from segwright.train import fold as fold_module
from segwright.train.fold import FoldRun
from segwright.train.log import read_events
from segwright.train.optim import with_warmup
from segwright.train.parts import FoldData


def rates(name: str, total: int, warmup: float = 0.0, **params: object) -> list[float]:
    schedule = with_warmup(SCHEDULES.load(name)(**params), warmup)
    return [schedule(step / total, step) for step in range(total)]


def test_halving_every_5000_of_40000_steps_by_count_and_by_share() -> None:
    """Eight plateaus of the liver tumour study; shares do the same on any budget."""
    expected = [0.5 ** (step // 5000) for step in range(40_000)]
    assert rates("halve", 40_000, every=5000) == expected
    assert rates("halve", 40_000, share=0.125) == expected
    assert rates("halve", 400, share=0.125) == expected[::100]


def test_tenths_every_20000_of_100000_steps() -> None:
    at = [0.2, 0.4, 0.6, 0.8]
    got = rates("step", 1000, at=at, factor=0.1)
    assert got == pytest.approx([0.1 ** (step // 200) for step in range(1000)])


def test_a_rise_of_1000_of_200000_steps_then_constant() -> None:
    got = rates("constant", 200_000, warmup=0.005)
    assert got[500] == pytest.approx(0.5)
    assert got[1000:] == [1.0] * 199_000
    assert got[:1000] == sorted(got[:1000])


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_rates_never_rise_after_the_warm_up_and_stay_within_one(name: str, warmup: float) -> None:
    got = rates(name, 500, warmup)
    after = got[int(500 * warmup) :]
    assert all(0 <= rate <= 1 for rate in got)
    assert after == sorted(after, reverse=True) and after[0] == 1


def test_halving_twice_over_is_refused() -> None:
    for wrong in ({"every": 10, "share": 0.1}, {"every": 0}, {"share": 0.0}):
        with pytest.raises(RecipeError, match="halves"):
            SCHEDULES.load("halve")(**wrong)


def test_a_fold_follows_its_loss_through_the_switch(plan: Plan, cases: list[SampleCase], tmp_path: Path) -> None:
    """The second loss is a hundred times the first, so the log shows at which step it took over."""
    switch = {"before": "dice", "after": {"name": "dice_ce", "dice_weight": 100.0}, "step": 4}
    loss = PartChoice(name="switch", params=switch)
    changed = plan.model_copy(update={"train": plan.train.model_copy(update={"steps": 8, "loss": loss})})
    FoldRun(changed, 0, tmp_path, torch.device("cpu")).run(FoldData(cases[:4], cases[4:]))
    told = [event.loss for event in read_events(tmp_path / "log.jsonl") if isinstance(event, Step)]
    assert max(told[:4]) <= 1 < 10 < min(told[4:])


def staged(plan: Plan) -> Plan:
    """Twelve steps: patches of 8 voxels for the first half, of 16 for the second."""
    sample = plan.sample.model_copy(update={"stages": ((0.5, (8, 8, 8)),)})
    return plan.model_copy(update={"sample": sample, "train": plan.train.model_copy(update={"steps": 12})})


def test_patches_grow_and_weights_carry_over(
    plan: Plan, cases: list[SampleCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes follow the stages, one schedule spans them, and a run broken in either stage ends at the same weights."""
    seen: list[int] = []
    patches_of = fold_module.patches_of

    def watched(plan: Plan, cases: Any, fold: int, patch: Any, attempt: int) -> Any:
        seen.append(patch[0])
        return patches_of(plan, cases, fold, patch, attempt)

    monkeypatch.setattr(fold_module, "patches_of", watched)
    monkeypatch.setattr(fold_module, "CHECKPOINT_EVERY", 0.0)
    data, changed = FoldData(cases[:4], cases[4:]), staged(plan)
    FoldRun(changed, 0, tmp_path / "whole", torch.device("cpu")).run(data)
    assert seen == [8, 16]
    steps = [event for event in read_events(tmp_path / "whole" / "log.jsonl") if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 13))
    rates = [event.lr for event in steps]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    whole = load_file(tmp_path / "whole" / "weights.safetensors")
    for stop, expected in ((4, [8, 8, 16]), (6, [8, 16, 16]), (9, [8, 16, 16])):
        seen.clear()

        def listen(event: dict[str, Any], stop: int = stop) -> None:
            if getattr(event, "step", None) == stop + 1:
                raise InterruptedError

        folder = tmp_path / f"broken-{stop}"
        with pytest.raises(InterruptedError):
            FoldRun(changed, 0, folder, torch.device("cpu"), listen=listen).run(data)
        FoldRun(changed, 0, folder, torch.device("cpu"), resume=True).run(data)
        assert seen == expected
        again = load_file(folder / "weights.safetensors")
        assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())
