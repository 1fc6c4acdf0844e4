"""A fold learns, survives a kill with the same result, restarts a collapse, and guards against NaN."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from segwright.core.errors import TrainingError
from segwright.core.events import End, Note, Restart, Step
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import PartChoice
from segwright.sample.case import SampleCase
from segwright.train import collapse
from segwright.train import fold as fold_module
from segwright.train import parts as parts_module
from segwright.train.fold import FoldRun
from segwright.train.log import read_events
from segwright.train.parts import FoldData

CPU = torch.device("cpu")


def with_train(plan: Plan, **fields: Any) -> Plan:
    return plan.model_copy(update={"train": plan.train.model_copy(update=fields)})


def run(plan: Plan, folder: Path, cases: list[SampleCase], **options: Any) -> End:
    return FoldRun(plan, 0, folder, CPU, **options).run(FoldData(cases[:4], cases[4:]))


def test_a_fold_learns_and_leaves_its_files(plan: Plan, cases: list[SampleCase], tmp_path: Path) -> None:
    end = run(plan, tmp_path, cases)
    assert end.best_pseudo_dice > 0.8
    names = {path.name for path in tmp_path.iterdir()}
    assert {"weights.safetensors", "best.safetensors", "last.ckpt", "log.jsonl", "tensorboard"} <= names
    events = read_events(tmp_path / "log.jsonl")
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 41))
    assert steps[-1].loss < steps[0].loss
    assert steps[-1].lr < 1e-3 < max(event.lr for event in steps)


@pytest.mark.parametrize("keep", ["last", "best"])
def test_the_plan_says_which_weights_are_kept(
    plan: Plan, cases: list[SampleCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    values = iter([0.5, 0.9, *[0.3] * 50])
    monkeypatch.setattr(fold_module.PseudoDice, "score", lambda self, net: {"ball": next(values)})
    end = run(with_train(plan, keep=keep), tmp_path, cases)
    steps = [event for event in read_events(tmp_path / "log.jsonl") if getattr(event, "pseudo_dice", None)]
    assert end.kept == keep and end.best_step == steps[1].step < steps[-1].step
    final, best = (load_file(tmp_path / f"{name}.safetensors") for name in ("weights", "best"))
    assert all(torch.equal(tensor, final[name]) for name, tensor in best.items()) == (keep == "best")


def test_objects_choose_the_best_weights_where_they_are_learnt(
    plan: Plan, cases: list[SampleCase], tmp_path: Path
) -> None:
    space = LabelSpace(structures=[{"name": "ball"}], kind="instances")
    loss = PartChoice(name="weighted_bce")
    plan = with_train(plan, loss=loss).model_copy(update={"labels": space, "target": "boundary"})
    end = run(plan, tmp_path, cases)
    checks = [
        event
        for event in read_events(tmp_path / "log.jsonl")
        if isinstance(event, Step) and event.pseudo_ap is not None
    ]
    assert len(checks) > 10 and all(0 <= event.pseudo_ap <= 1 for event in checks)
    assert end.best_pseudo_ap == max(event.pseudo_ap for event in checks) and end.best_pseudo_dice is None


class StoppedError(Exception):
    """Stands for a kill between two steps."""


def test_resuming_ends_at_the_weights_of_an_unbroken_run(
    plan: Plan, cases: list[SampleCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "CHECKPOINT_EVERY", 0.0)
    run(plan, tmp_path / "whole", cases)

    def stop(event: Any) -> None:
        if getattr(event, "step", None) == 17:
            raise StoppedError

    with pytest.raises(StoppedError):
        run(plan, tmp_path / "broken", cases, listen=stop)
    assert not (tmp_path / "broken" / "weights.safetensors").exists()
    run(plan, tmp_path / "broken", cases, resume=True)
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "broken"))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    steps = [event.step for event in read_events(tmp_path / "broken" / "log.jsonl") if isinstance(event, Step)]
    assert steps == list(range(1, 41))


def test_resuming_after_kill_9(plan: Plan, tmp_path: Path) -> None:
    """A child is killed in the middle; a second one resumes, and a third runs unbroken."""
    (tmp_path / "plan.json").write_text(plan.to_json())
    script = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from conftest import ball_case
        import torch
        from segwright.core.plan import Plan
        from segwright.train import fold
        fold.CHECKPOINT_EVERY = 0.0
        plan = Plan.load({str(tmp_path / "plan.json")!r})
        cases = [ball_case(i) for i in range(6)]
        def listen(event):
            print(event.step, flush=True)
        run = fold.FoldRun(plan, 0, Path(sys.argv[1]), torch.device("cpu"), resume=True, listen=listen)
        run.run(fold.FoldData(cases[:4], cases[4:]))
        """
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    broken, whole = str(tmp_path / "broken"), str(tmp_path / "whole")
    child = subprocess.Popen([*command, broken], stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "15":
            os.kill(child.pid, signal.SIGKILL)
            break
    child.wait()
    child.stdout.close()
    assert child.returncode == -signal.SIGKILL
    for folder in (broken, whole):
        subprocess.run([*command, folder], check=True, stdout=subprocess.DEVNULL, env=environment)
    first, second = (load_file(Path(folder) / "weights.safetensors") for folder in (whole, broken))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def blind(monkeypatch: pytest.MonkeyPatch, losses: Callable[[int], float]) -> None:
    """Checks find no structure, and the loss of each call is as told; it still has a gradient."""
    calls = itertools.count()

    def loss(logits: torch.Tensor, target: torch.Tensor, *, weight: Any = None) -> torch.Tensor:
        return logits.mean() * 1e-9 + losses(next(calls))

    monkeypatch.setattr(fold_module.PseudoDice, "score", lambda self, net: {"ball": 0.0})
    monkeypatch.setattr(parts_module, "bind_loss", lambda *a, **k: loss)
    monkeypatch.setattr(collapse, "LEAST_STEPS", 6)


@pytest.mark.parametrize(("losses", "rate"), [(lambda call: 1.0, 1.0), (lambda call: 1 + call / 30, 0.5)])
def test_a_member_that_stopped_learning_is_restarted_once(
    plan: Plan,
    cases: list[SampleCase],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    losses: Callable[[int], float],
    rate: float,
) -> None:
    """Only a loss that rose is a sign of too high a rate."""
    blind(monkeypatch, losses)
    seen: list[Any] = []
    end = run(with_train(plan, steps=30), tmp_path, cases, listen=seen.append)
    restarts = [event for event in seen if isinstance(event, Restart)]
    assert len(restarts) == 1 == end.restarts and restarts[0].rate == rate
    logged = [event for event in read_events(tmp_path / "log.jsonl") if getattr(event, "restarted", None)]
    assert len(logged) == 1 and logged[0].step and logged[0].elapsed  # what the page's curves need to mark it
    after = [event for event in seen if isinstance(event, Step)][restarts[0].step :]
    assert max(event.lr for event in after) == pytest.approx(rate * plan.train.lr, rel=0.15)


def test_a_member_that_is_only_slow_goes_on_and_is_told_of_once(
    plan: Plan, cases: list[SampleCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind(monkeypatch, lambda call: 1 - call / 60)
    seen: list[Any] = []
    assert run(with_train(plan, steps=30), tmp_path, cases, listen=seen.append).restarts == 0
    assert len([event for event in seen if isinstance(event, Note)]) == 1


def test_nothing_is_judged_before_learning_could_begin(
    plan: Plan, cases: list[SampleCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind(monkeypatch, lambda call: 1.0)
    monkeypatch.setattr(collapse, "LEAST_STEPS", 100)
    seen: list[Any] = []
    assert run(with_train(plan, steps=20), tmp_path, cases, listen=seen.append).restarts == 0
    assert {type(event) for event in seen} == {Step, End}


def test_steps_that_are_not_finite_are_skipped_and_told(
    plan: Plan, cases: list[SampleCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1000))

    def sometimes_nan(logits: torch.Tensor, target: torch.Tensor, *, weight: Any = None) -> torch.Tensor:
        value = (logits - target).square().mean()
        return value * float("nan") if next(calls) in (3, 4) else value

    monkeypatch.setattr(parts_module, "bind_loss", lambda *a, **k: sometimes_nan)
    run(with_train(plan, steps=8), tmp_path, cases)
    skipped = [event.step for event in read_events(tmp_path / "log.jsonl") if getattr(event, "skipped", None)]
    assert skipped == [4, 5]
    weights = load_file(tmp_path / "weights.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_loss_that_stays_nan_stops_with_a_hint(
    plan: Plan, cases: list[SampleCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "bind_loss", lambda *a, **k: lambda x, t, weight=None: x.sum() * float("nan"))
    with pytest.raises(TrainingError, match="precision=float32"):
        run(plan, tmp_path, cases)
    assert not (tmp_path / "weights.safetensors").exists()


def test_the_clock_ends_a_fold(plan: Plan, cases: list[SampleCase], tmp_path: Path) -> None:
    end = run(with_train(plan, steps=None, seconds=2.0), tmp_path, cases)
    steps = [event for event in read_events(tmp_path / "log.jsonl") if isinstance(event, Step)]
    assert steps[-1].progress == 1.0
    assert end.step == len(steps) > 1


@pytest.mark.parametrize("choice", ["sgd", "adamw"])
def test_accumulation_and_optimisers(plan: Plan, cases: list[SampleCase], tmp_path: Path, choice: str) -> None:
    changed = with_train(plan, accumulate=2, steps=4, optimiser=PartChoice(name=choice))
    assert run(changed, tmp_path, cases).step == 4
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])["step"] == 1
