"""A budget binds the whole command: what passed counts, what follows is kept as measured, too little is told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import segwright
from segwright.api import budget as budget_module
from segwright.api import fit as fit_module
from segwright.api.budget import FEW_STEPS, LEAST_STEPS, SLACK, Budget, Work, asked, network_seconds
from segwright.api.instances import arranged
from segwright.api.rehearsal import Rehearsal, rehearse
from segwright.cli.app import app
from segwright.core.errors import BudgetError
from segwright.core.events import Progress, Stage, Step
from segwright.core.plan import PreparePlan, WindowPlan
from segwright.core.recipe import Recipe
from segwright.phantoms.write import write_dataset
from segwright.planning.check import inspect


def measured(step: float = 0.5, quiet: float | None = None) -> SimpleNamespace:
    table = {"usual": step if quiet is None else quiet}
    return SimpleNamespace(step_seconds=step, forward_seconds=0.1, chosen="usual", table=table)


def plan(members: int = 1, seconds: float | None = None) -> Any:
    return SimpleNamespace(
        train=SimpleNamespace(seconds=seconds, members=members),
        window=SimpleNamespace(mirror=(1,), size=(1, 64, 64), overlap=0.5),
        prepare=PreparePlan(normalise=()),
        sample=SimpleNamespace(patch=(1, 32, 64)),
    )


def after(passed: float, total: float = 1000.0) -> Budget:
    """A budget of which so many seconds have passed."""
    return Budget(total, started=100.0, clock=lambda: 100.0 + passed)


WORK = Work((10, 10, 10, 10), predict=1.0, search=0.5, judge=0.25, draw=0.5, closing=8.0)


def test_what_one_case_took_is_kept_for_all_of_them() -> None:
    found = after(200).allot(plan(), measured(0.1), WORK)
    kept = 40 * (1.0 + 0.5 + 0.25) + 12 * 0.5 + 8.0 + SLACK * 1000
    assert found.seconds == pytest.approx((1000 - 200 - kept) / 4, abs=0.1)
    assert found.folds == 4 and found.warning == "" and f"{kept:.0f} s are kept" in found.reason


def test_networks_share_the_seconds_of_a_fold() -> None:
    one, three = (after(200).allot(plan(members), measured(0.1), WORK).seconds for members in (1, 3))
    assert one is not None and three == pytest.approx(one / 3, abs=0.1)


def test_the_search_gets_no_more_than_its_share() -> None:
    slow = Work((10, 10), search=100.0, closing=0.0)
    assert after(0).allot(plan(), measured(0.1), slow).seconds == pytest.approx((1 - 0.15 - SLACK) * 1000 / 2)


def test_fewer_folds_are_trained_where_all_would_be_trained_badly_and_that_is_told() -> None:
    found = after(200).allot(plan(), measured(2.5), WORK)
    assert found.seconds is not None and found.seconds >= FEW_STEPS * 2.5
    assert found.folds == 2 and "2 of the 4 folds" in found.warning and "--resume" in found.warning
    proposed = re.search(r"(\d+) minutes", found.warning)
    assert proposed is not None
    whole = after(200, 60.0 * int(proposed[1])).allot(plan(), measured(2.5), WORK)
    assert whole.folds == 4  # the budget that is proposed would do


@pytest.mark.parametrize("passed", [995.0, 1400.0])
def test_too_little_for_the_smallest_sensible_run_is_refused_with_a_budget_that_would_do(passed: float) -> None:
    with pytest.raises(BudgetError) as caught:
        after(passed).allot(plan(), measured(0.5), WORK)
    proposed = [60.0 * int(found) for found in re.findall(r"minutes=(\d+)", caught.value.hint or "")]
    assert len(proposed) == 2 and proposed[0] <= proposed[1]
    least, whole = (after(passed, total).allot(plan(), measured(0.5), WORK) for total in proposed)
    assert least.seconds is not None and least.seconds >= LEAST_STEPS * 0.5 and whole.folds == 4
    with pytest.raises(BudgetError):
        after(passed, 0.7 * proposed[0]).allot(plan(), measured(0.5), WORK)  # nor is it far too much


def test_a_network_gets_thirty_steps_or_none() -> None:
    """Of 1000 s, 80.5 are kept for ten cases; a step takes half a second."""
    work = replace(WORK, cases=(10,))
    assert after(902).allot(plan(), measured(0.5), work).seconds == pytest.approx(17.5)
    with pytest.raises(BudgetError, match="too short"):
        after(906).allot(plan(), measured(0.5), work)  # 27 steps are left


def test_a_late_fold_gets_what_is_left() -> None:
    first = after(200).allot(plan(), measured(0.1), WORK).seconds
    planned = plan(seconds=first)
    assert after(200).of_network(WORK, planned, 0) == pytest.approx(first, abs=0.1)
    on_time = 200 + 2 * (first or 0) + 20 * WORK.predict
    assert after(on_time).of_network(WORK, planned, 2) == pytest.approx(first, abs=0.1)
    late = after(on_time + 100).of_network(WORK, planned, 2)
    assert late == pytest.approx((first or 0) - 50, abs=0.1)
    assert after(5000).of_network(WORK, planned, 3) == pytest.approx(0.2 * (first or 0))


def test_counted_steps_have_no_budget() -> None:
    assert Budget(None, 0.0).allot(plan(), measured(), WORK).seconds is None
    assert Budget(None, 0.0).of_network(WORK, plan(), 0) is None
    assert Budget(None, 0.0).search_until(WORK).admits()


def test_the_search_ends_before_the_scores_have_to_begin() -> None:
    end = 1000 * (1 - SLACK / 2) - WORK.verdict(4)
    assert after(end - 1).search_until(WORK).admits()
    assert not after(end + 1).search_until(WORK).admits()


def test_windows_and_mirrored_copies_of_a_large_case() -> None:
    facts: Any = SimpleNamespace(shape_large=(10.0, 64.0, 256.0), spacing=(None, None, None))
    windows = 10 * 1 * 7
    passes = (1 + windows) * 2  # and of earlier weights a first one and a tenth of these
    assert network_seconds(plan(), facts, measured()) == pytest.approx((passes + 1 + 0.1 * passes) * 0.1 * 2)


def test_a_busy_machine_takes_longer_over_the_page() -> None:
    facts: Any = SimpleNamespace(shape_large=(1.0, 64.0, 64.0), spacing=(None, None, None))
    one = Rehearsal(1.0, 2.0, 3.0, 4.0)
    quiet, busy = (Work.of(plan(), facts, [5], measured=measured(0.5, q), one=one) for q in (0.5, 0.1))
    assert busy.closing == pytest.approx(5 * quiet.closing)
    assert (quiet.search, quiet.judge, quiet.draw) == (2.0, 3.0, 4.0) and quiet.predict > 1.0


@pytest.mark.parametrize(("stage", "share"), [("inspect", 0.4), ("prepare", 0.7)])
def test_reading_that_will_not_end_in_its_share_is_refused_early(stage: str, share: float) -> None:
    now = [0.0]
    budget = Budget(100.0, 0.0, clock=lambda: now[0])
    heard: list[Any] = []
    listen = budget.watching(heard.append)
    listen(Stage(stage))
    now[0] = 4.0
    listen(Progress(name=stage, done=1, total=100, remaining=400.0))  # too early to tell
    now[0] = 6.0
    listen(Progress(name=stage, done=5, total=100, remaining=100 * share - 7))
    with pytest.raises(BudgetError, match=r"takes .* or more of it") as caught:
        listen(Progress(name=stage, done=5, total=100, remaining=100 * share - 5))
    assert "minutes=" in (caught.value.hint or "") and len(heard) == 4


@pytest.mark.parametrize(("stage", "share"), [("plan", 0.5), ("speed", 0.6), ("prepare", 0.7), ("rehearse", 0.7)])
def test_a_stage_before_training_that_begins_too_late_is_refused(stage: str, share: float) -> None:
    after(1000 * share - 1).watching(lambda event: None)(Stage(stage))
    with pytest.raises(BudgetError, match="what comes before training"):
        after(1000 * share + 1).watching(lambda event: None)(Stage(stage))


def test_a_late_piece_of_a_stage_that_tells_nothing_is_refused_before_it_begins() -> None:
    done, now = [], [49.0]
    budget = Budget(100.0, 0.0, clock=lambda: now[0])
    work = budget.in_time("plan", lambda spec: done.append(spec) or 2.0)
    assert work("a") == 2.0
    now[0] = 51.0
    with pytest.raises(BudgetError, match="what comes before training"):
        work("b")
    assert done == ["a"]
    assert Budget(None, 0.0, clock=lambda: 1e9).in_time("plan", lambda spec: 2.0)("c") == 2.0


def test_what_passed_before_a_fit_was_called_counts(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    """A command has libraries to load first, which takes half a minute where ten processes share two cores."""
    with pytest.raises(BudgetError, match="reading the files"):
        segwright.fit(make_folder(), out=tmp_path / "run", minutes=5, began=time.perf_counter() - 140)


def test_the_command_tells_when_it_began(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before, told = time.perf_counter(), {}

    def fake(*args: object, **options: object) -> None:
        told.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(segwright, "fit", fake)
    CliRunner().invoke(app, ["fit", str(tmp_path), "-t", "3m", "-o", str(tmp_path / "run")])
    assert before < told["began"] < time.perf_counter()


def test_other_work_and_counted_steps_are_not_watched() -> None:
    late = Progress(name="inspect", done=1, total=9, remaining=1e6)
    Budget(None, 0.0).watching(lambda event: None)(late)
    after(900).watching(lambda event: None)(replace(late, name="validate"))


def test_budgets_to_type_are_rounded_up() -> None:
    assert [asked(seconds) for seconds in (1, 60, 61, 1199, 1201)] == [1, 1, 2, 20, 25]


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_rehearsal_does_all_of_it_with_one_case(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, kind: str, dims: int
) -> None:
    dataset = segwright.open_dataset(make_folder(kind, dims))
    made = segwright.plan(dataset, steps=3, width=4, levels=2)
    found = rehearse(dataset, made, inspect(dataset).facts)
    assert min(found.predict, found.search, found.judge, found.draw) > 0


def test_a_fit_on_a_machine_too_slow_is_told_before_training(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One case takes an hour here: the fit ends before its first step, and what it prepared is kept."""
    monkeypatch.setattr(fit_module, "rehearse", lambda *args: Rehearsal(3600.0, 0.0, 0.0, 0.0))
    heard: list[Any] = []
    options = {"width": 4, "levels": 2, "folds": 2, "device": "cpu", "minutes": 5, "listen": heard.append}
    with pytest.raises(BudgetError, match="smallest sensible run"):
        segwright.fit(make_folder(), out=tmp_path / "run", **options)
    assert not any(isinstance(event, Step) for event in heard)
    assert not (tmp_path / "run" / "plan.json").exists() and any((tmp_path / "run" / "cache").iterdir())


def test_a_fit_trains_the_folds_that_fit_and_says_so(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that stands still: one second is there, whatever else the machine does."""
    monkeypatch.setattr(budget_module, "FEW_STEPS", 10**6)
    monkeypatch.setattr(budget_module, "LEAST_STEPS", 0)
    monkeypatch.setattr(budget_module, "CLOSING", 0.0)
    monkeypatch.setattr(fit_module, "rehearse", lambda *args: Rehearsal(0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(fit_module.Budget, "of", lambda *args, **options: Budget(1.0, 0.0, clock=lambda: 0.0))
    monkeypatch.setattr(budget_module, "network_seconds", lambda *args: 0.0)
    heard: list[Any] = []
    options = {"width": 4, "levels": 2, "folds": 3, "device": "cpu", "minutes": 0.05, "listen": heard.append}
    run = segwright.fit(make_folder(), out=tmp_path / "run", **options)
    assert run.finished == (0,)
    assert any("1 of the 3 folds" in getattr(event, "text", "") for event in heard)
    assert run.plan.train.seconds == pytest.approx(1 - SLACK, abs=0.1)
    again = segwright.fit(run.dataset, out=tmp_path / "run", resume=True, **{**options, "minutes": 0.05})
    assert again.finished == (0, 1, 2)


@pytest.mark.parametrize("target", ["boundary", "boundary_seed", "affinities", "distance", "flow"])
def test_a_rehearsal_decodes_objects_of_every_target(tmp_path: Path, target: str) -> None:
    folder = write_dataset("nuclei", tmp_path, cases=3, seed=1) / "scans"
    recipe = Recipe(instances=True, target=target, steps=2, width=4, levels=2, folds=0)
    dataset, _ = arranged(segwright.open_dataset(folder), recipe)
    found = rehearse(dataset, segwright.plan(dataset, recipe), inspect(dataset).facts)
    assert min(found.predict, found.search, found.judge, found.draw) > 0


@pytest.mark.parametrize("target", ["chain", "shares"])
def test_a_rehearsal_knows_the_other_targets(make_folder: Callable[..., Path], target: str) -> None:
    dataset = segwright.open_dataset(make_folder("exclusive", 2))
    made = segwright.plan(dataset, steps=2, width=4, levels=2, **({"ordered": True} if target == "chain" else {}))
    if target == "shares":
        made = made.model_copy(update={"target": "shares"})
    found = rehearse(dataset, made, inspect(dataset).facts)
    assert made.target == target and found.predict > 0


@pytest.mark.parametrize(
    ("predict", "axes"), [(1.0, (0, 1, 2)), (4.0, (0, 1, 2)), (8.0, (1, 2)), (16.0, (2,)), (33.0, ()), (900.0, ())]
)
def test_mirrored_copies_go_where_they_would_take_a_quarter_of_the_time(predict: float, axes: tuple[int, ...]) -> None:
    """Ten validation cases in 200 s; each axis that is mirrored doubles what one takes."""
    draft = WindowPlan(size=(1, 64, 64), mirror=(0, 1, 2))
    whole: Any = SimpleNamespace(window=draft, model_copy=lambda update: SimpleNamespace(window=update["window"]))
    work = lambda one: replace(WORK, cases=(10,), predict=predict * 2 ** len(one.window.mirror) / 8)  # noqa: E731
    kept, why = after(0, total=200.0).affordable(whole, work)
    assert kept == axes
    assert bool(why) == (axes != (0, 1, 2))
    assert Budget(None, 0.0).affordable(whole, work) == ((0, 1, 2), "")
