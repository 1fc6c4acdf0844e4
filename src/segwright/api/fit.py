"""From a folder of labelled scans to a validated model: inspect, plan, measure, prepare, train, judge, bundle."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from segwright.api import planning, transfer
from segwright.api.budget import Budget, Work
from segwright.api.disk_space import fit_bytes, needed_by
from segwright.api.executors import Executor, Serial, executor, refuse_failed
from segwright.api.explore import Explored, explore
from segwright.api.finalize import conclude
from segwright.api.fold import FoldTask, check_devices, drop_damaged, prepare_cases, train_on_devices
from segwright.api.follow import FoldProgress
from segwright.api.inputs import Inputs, refuse_other_data
from segwright.api.instances import arranged
from segwright.api.lock import locked
from segwright.api.out_of_fold import predict_out_of_fold
from segwright.api.rehearsal import rehearse
from segwright.api.restored import IN_RUN, for_run, reason, redirected
from segwright.api.run import Run
from segwright.core.case import Dataset, Split
from segwright.core.disk import free_bytes, told_when_full
from segwright.core.errors import UsageError
from segwright.core.events import Listen, Note, Stage, silent
from segwright.core.inspection import Inspection
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe, RecipeFields
from segwright.core.words import amount, byte_size
from segwright.planning.edited import taken
from segwright.planning.exploration import Exploration
from segwright.planning.fingerprint import Fingerprint, fingerprint
from segwright.planning.forecast import fitting_precisions
from segwright.planning.pace import Pace, StepTimer, budget_seconds
from segwright.planning.pipeline import Allotted, Context, Measured, advance, plan_of
from segwright.planning.planner import RULES
from segwright.planning.split import check_split, make_split
from segwright.planning.views import with_mirror

if TYPE_CHECKING:
    import torch

    from segwright.sample.case import SampleCase
    from segwright.train.measure import Measurement

#: Share of the budget for timing the networks that planning thinks of.
PLAN_SHARE = 0.04
#: Seconds of measuring the planned one, as a share of the budget and at most.
MEASURE_SHARE, MEASURE_MOST = 0.03, 60.0
#: What to do once a disk has space again.
GO_ON = "Then run the same command with --resume."
#: The recipe of a run.
RECIPE_FILE = "recipe.yaml"


def fit(  # noqa: PLR0913  # the flags of a command
    data: Dataset | str | Path,
    recipe: str | Path | Recipe = "default",
    *,
    out: str | Path,
    only: Sequence[int] | None = None,
    device: str = "auto",
    resume: bool = False,
    listen: Listen = silent,
    workers: int = 0,
    scheduler: str | None = None,
    devices: int = 1,
    began: float | None = None,
    plan: str | Path | Plan | None = None,
    **overrides: Unpack[RecipeFields],
) -> Run:
    """Train, validate and bundle a segmenter.

    Args:
        data: A dataset, a folder in any layout, or a `dataset.yaml`.
        recipe: Name, YAML file, or recipe.
        out: Folder of the run.
        only: Folds to train now; all by default. Others can follow later in the same folder.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        resume: Continue a run that was interrupted, with its own plan.
        listen: Called with progress events.
        workers: Processes on this machine that train folds side by side; 0 trains them here, one after the other.
        scheduler: Address of a running dask scheduler, whose workers train folds instead.
        devices: GPUs of this machine (or processes on a CPU) that train each network together.
        began: Value of `time.perf_counter` from which the time budget counts, for a command that had libraries to load;
            now, if not given.
        plan: A plan to train as it stands, from `segwright.plan(...).save("plan.json")` and then edited; instead of a
            recipe and its fields.
        overrides: Recipe fields, e.g. `minutes=20, width=16`.

    Returns:
        The run: `run.model`, `run.report`, `run.page`.

    Raises:
        IntegrityError: The data have errors.
        BudgetError: The time budget is too short for the smallest sensible run; told before training.
        UsageError: The folder holds another run, a fold does not exist, or the scheduler does not answer.
        PlanError: The plan does not fit the data or the machine.
        TrainingError: On workers, some folds failed; the others are in the run and its model.
    """
    started = time.perf_counter() if began is None else began
    from segwright.io.dataset import open_dataset

    chosen, given = planning.resolve_plan(plan, recipe, overrides)
    run = Run(Path(out))
    _refuse_clash(run, only, resume, given)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    with executor(workers, scheduler) as crew, locked(run.folder):
        where = crew.device(device)
        check_devices(devices, where, workers=bool(workers or scheduler))
        known = _refuse_clash(run, only, resume)  # another fit may have ended in the meantime
        known_notes = set(dataset.notes)
        dataset, blocks = arranged(dataset, Recipe.load(run.folder / RECIPE_FILE) if known else chosen)
        for note in dataset.notes:
            if note not in known_notes:
                listen(Note(note))
        budget = Budget.of(chosen, started, where, known=known or given is not None)
        heard = budget.watching(listen)
        job = Fit(run, dataset, chosen, where, only, heard, blocks, crew, devices, budget, given=given)
        with told_when_full(run.folder, lambda: job.room, hint="Then run the same command again."):
            if known:
                job.reopen(asked=overrides if recipe == "default" else Recipe.model_fields)
            else:
                job.begin()
        with told_when_full(run.folder, lambda: needed_by(run.folder), hint=GO_ON):
            failed = dict(crew.map(train_fold, job.task(resume=known), job.waiting))
            if job.run.finished or not failed:
                conclude(job.run, listen=listen, device=device, deadline=job.budget.search_until(job.work))
        refuse_failed(job.run, failed)
        return job.run


def train_fold(task: FoldTask, fold: int) -> None:
    """Train the networks of a fold that are not finished, one after another, and predict its validation cases.

    Raises:
        UsageError: Another process trains this fold.
        TrainingError: It did not learn, or its loss is no number.
    """
    from segwright.train.log import read_events

    run, seconds = task.run, task.seconds(fold)
    if not run.trained(fold):
        task.listen(task.begins(fold, seconds))
        progress = FoldProgress(run.plan.train.members, task.listen)
        with locked(run.fold_folder(fold)):
            for member, weights in enumerate(run.weights(fold)):
                if weights.exists():
                    progress.passed_over(read_events(weights.with_name("log.jsonl")))
                elif run.plan.train.devices > 1:
                    train_on_devices(task, fold, member, progress.hear)
                else:
                    task.network(fold, member, seconds, progress.hear).run(task.data(fold))
    predict_out_of_fold(run, fold, device=str(task.device), listen=task.listen)


def _refuse_clash(run: Run, only: Sequence[int] | None, resume: bool, given: Plan | None = None) -> bool:
    """Whether the folder holds a run, which is then only touched to resume it or to add folds."""
    known = (run.folder / Plan.filename).exists()
    if known and given is not None:
        hint = "Leave the plan out to go on with this run, or choose another folder with -o."
        raise UsageError("A run keeps the plan that it began with.", where=run.folder, hint=hint)
    if known and not resume and (only is None or set(only) & set(run.finished)):
        raise UsageError(
            "The folder already holds a run.",
            got=f"finished folds: {', '.join(map(str, run.finished)) or 'none'}",
            where=run.folder,
            hint="Use --resume to go on with it, -f to add folds, or another folder with -o.",
        )
    if resume and not known:
        raise UsageError(
            "There is no run to continue in this folder.",
            expected=Plan.filename,
            got="a folder without one" if run.folder.exists() else "a folder that does not exist",
            where=run.folder,
            hint="Leave --resume out to begin a run here, or name the run's folder with -o.",
        )
    return known


@dataclass
class Fit:
    """A fit in progress."""

    run: Run
    dataset: Dataset
    recipe: Recipe
    device: torch.device
    only: Sequence[int] | None
    listen: Listen
    blocks: Split | None = None
    executor: Executor = field(default_factory=Serial)
    devices: int = 1
    budget: Budget = field(default_factory=lambda: Budget(None, 0.0))
    work: Work | None = None
    given: Plan | None = None
    cases: dict[str, SampleCase] = field(default_factory=dict)
    room: float | None = None
    original: Dataset = field(init=False)

    def begin(self) -> None:  # noqa: PLR0915
        """Inspect, plan, measure, prepare; leaves the documents of the run."""
        source = transfer.opened(self.recipe)
        wishes = source.adopt(self.recipe)[0] if source else self.recipe
        self._mend(self.recipe)
        explored = explore(self.dataset, listen=self.listen)
        inspection = explored.inspection
        planning.refuse_errors(inspection, self.dataset.root)
        self._tell(planning.doubts(self.dataset, inspection))
        facts = fingerprint(self.dataset, inspection)
        split = self.blocks or make_split(self.dataset, inspection.facts, self._fold_count(facts), self.recipe.seed)
        wanted = self._wanted(split)
        at_once = self.executor.at_once(len(wanted))
        self.listen(Stage("plan"))
        machine = self.executor.machine(self.device, self.devices).within(self.recipe.memory)
        context = planning.known(
            wishes.model_copy(update={"folds": len(split.folds)}) if self.blocks else wishes,
            facts,
            machine,
            folds_trained=math.ceil(len(wanted) / at_once),
            timer=self._timer(at_once) if wishes.width is None and not wishes.steps else None,
        )
        context = advance(context, RULES, "before measuring") if self.given is None else taken(self.given, context)
        context, measured = self._measure(context, at_once)
        if source:
            context = self._start_from(source, context, split, inspection)
        context = advance(context, RULES, "measured")
        plan = plan_of(context)
        self._tell(f"Warning: {text}." for text in plan.warnings)
        self._look_for_room(fit_bytes(plan, inspection, split))
        self._keep_documents(explored, facts, split)
        self.cases = prepare_cases(self.dataset, plan, self.run.folder / "cache", listen=self.listen)
        cases = sorted((len(split.folds[fold].validation) for fold in wanted), reverse=True)[::at_once]
        if self.budget.total is not None:
            self.listen(Stage("rehearse"))
            one = rehearse(self.dataset, plan, inspection.facts)
            work = partial(Work.of, facts=facts, cases=cases, measured=measured, one=one)
            mirror = self.budget.affordable(plan, work, free=self.recipe.tta is None and self.given is None)
            self.work = work(with_mirror(plan, mirror[0]))
            context = replace(context, allotted=replace(self._allot(plan, measured, wanted, at_once), mirror=mirror))
        if plan.restore_sections:
            context = replace(context, allotted=replace(context.allotted, mended=reason(self.run.folder / IN_RUN)))
        final = plan_of(advance(context, RULES, "budget"))
        self._tell(f"Warning: {text}." for text in final.warnings if text not in plan.warnings)
        final.save(self.run.folder / Plan.filename)

    def _allot(self, plan: Plan, measured: Measurement, wanted: Sequence[int], at_once: int) -> Allotted:
        """Seconds of each network; fewer folds than wanted are trained if not all fit the budget."""
        assert self.work is not None
        found = self.budget.allot(plan, measured, self.work, at_once=at_once)
        if found.warning:
            self.only = wanted[: found.folds * at_once]
            self.work = replace(self.work, cases=self.work.cases[: found.folds])
        return Allotted(found.seconds, found.reason, found.warning)

    def reopen(self, *, asked: Iterable[str]) -> None:
        """Go on with the documents of an earlier call; `asked` are recipe fields that must still be the same."""
        run = self.run
        self._refuse_other_recipe(asked)
        refuse_other_data(run, redirected(self.dataset, run.folder / IN_RUN), self.dataset, self.listen)
        if run.dataset.root != self.dataset.root:
            self._note(f"The data have moved from {run.dataset.root} to {self.dataset.root}.")
            self.dataset.save(run.folder / Dataset.filename)
            self.run = run = Run(run.folder)
        check_split(run.split)
        self._wanted(run.split)
        planned = run.plan.train.devices
        if self.devices not in {1, planned}:
            self._note(f"The run was planned for {amount(planned, 'device')} and keeps to that, not {self.devices}.")
        self._mend(Recipe.load(run.folder / RECIPE_FILE))
        self.cases = prepare_cases(self.dataset, run.plan, run.folder / "cache", listen=self.listen)

    def _mend(self, recipe: Recipe) -> None:
        """Learn from mended copies of stacks with spoiled sections, where the recipe asks for it."""
        self.original = self.dataset
        self.dataset = for_run(self.dataset, recipe, self.run.folder, listen=self.listen)

    def _refuse_other_recipe(self, asked: Iterable[str]) -> None:
        """A run keeps its plan, so that its members stay comparable; other wishes are refused, not left aside."""
        kept = Recipe.load(self.run.folder / RECIPE_FILE)
        names = {name.partition(".")[0] for name in asked} - {"name", "about"}
        other = sorted(name for name in names if getattr(kept, name) != getattr(self.recipe, name))
        if other:
            raise UsageError(
                "The run in this folder was planned otherwise, and a run keeps its plan.",
                expected=", ".join(f"{name}={getattr(kept, name)}" for name in other),
                got=", ".join(f"{name}={getattr(self.recipe, name)}" for name in other),
                where=self.run.folder,
                hint="Leave these settings out to go on, or choose another folder with -o.",
            )

    @property
    def waiting(self) -> list[int]:
        """Wanted folds that are not finished, or whose validation cases are not predicted."""
        return [fold for fold in self._wanted(self.run.split) if not self.run.judged(fold)]

    def task(self, *, resume: bool) -> FoldTask:
        """How the folds are trained."""
        run, wanted = self.run, self._wanted(self.run.split)
        if resume:
            drop_damaged(run, wanted, self.listen)
        return FoldTask(
            run,
            self.device,
            self.cases,
            resume=resume,
            listen=self.listen,
            seconds=lambda fold: self.budget.of_network(self.work, run.plan, wanted.index(fold)),
            wanted=wanted,
        )

    def _note(self, text: str) -> None:
        self.listen(Note(text))

    def _tell(self, notes: Iterable[str]) -> None:
        for text in notes:
            self._note(text)

    def _look_for_room(self, needed: float) -> None:
        """A disk that is too small is told before hours are spent."""
        self.room, free = needed, free_bytes(self.run.folder)
        if free < needed:
            self._note(
                f"Warning: the run takes about {byte_size(needed)} of disk, and {byte_size(free)} are free at "
                f"{self.run.folder}. Free some space, or choose another folder with -o."
            )

    def _fold_count(self, facts: Fingerprint) -> int:
        folds = min(self.recipe.folds, facts.groups)
        folds = folds if folds > 1 else 0
        if folds != self.recipe.folds:
            asked, patients = amount(self.recipe.folds, "fold"), amount(facts.groups, "patient")
            instead = f"{folds} folds are made" if folds else "all cases train and none validates: there are no scores"
            self._note(f"Asked for {asked}; with {patients} {instead}.")
        return folds

    def _wanted(self, split: Split) -> list[int]:
        every = range(len(split.folds))
        if self.only is None:
            return list(every)
        only = tuple(dict.fromkeys(self.only))
        beyond = [fold for fold in only if fold not in every]
        if beyond:
            there = f"0 to {len(every) - 1}"
            raise UsageError(f"There is no fold {beyond[0]}.", expected=there, got=beyond[0], hint="Choose with -f.")
        return list(only)

    def _timer(self, at_once: int) -> StepTimer:
        """Times steps of the networks that planning thinks of, within its share of the budget."""
        time_step = self.executor.timer(self.device, at_once)
        return Pace(self.budget.in_time("plan", time_step), PLAN_SHARE * self._seconds)

    @property
    def _seconds(self) -> float:
        """Seconds of the whole fit, or what they would be by default where steps are counted."""
        return budget_seconds(self.recipe, gpu=self.device.type != "cpu")

    def _measure(self, context: Context, at_once: int) -> tuple[Context, Measurement]:
        """Find the fastest precision, layout and norm of those that are left open, on this machine."""
        draft = plan_of(context)
        self.listen(Stage("speed"))
        seconds = min(MEASURE_MOST, MEASURE_SHARE * self._seconds)
        norms = (draft.net.norm,) if self.given else planning.open_norms(self.recipe, draft, self.device.type)
        precisions = fitting_precisions(draft, context.machine, context.trace)
        open_ways = {"norms": norms, "precisions": precisions}
        found = self.executor.measure(draft, self.device, at_once, seconds=seconds, **open_ways)
        way: Any = found.chosen  # precision and norm are words of the plan that was measured
        failed = found.float32_layers
        chosen = Measured(way.precision, way.channels_last, way.norm, failed, found.why)
        return replace(context, measured=chosen), found

    def _start_from(self, source: transfer.Source, context: Context, split: Split, inspection: Inspection) -> Context:
        """Bring in trained weights, and tell what came over and what did not."""
        plan = plan_of(context)
        init, found = transfer.install(
            source, self.recipe, plan, folder=self.run.folder, split=split, inspection=inspection
        )
        self._tell(f"{text.rstrip('.')}." for text in found.told_notes)
        assert context.measured is not None
        return replace(context, measured=replace(context.measured, init=init, taken=found.told))

    def _keep_documents(self, explored: Explored, facts: Fingerprint, split: Split) -> None:
        folder = self.run.folder
        folder.mkdir(parents=True, exist_ok=True)
        self.recipe.save(folder / RECIPE_FILE)
        self.original.save(folder / Dataset.filename)
        explored.inspection.save(folder / Inspection.filename)
        explored.exploration.save(folder / Exploration.filename)
        facts.save(folder / Fingerprint.filename)
        split.save(folder / Split.filename)
        Inputs.of(self.original).save(folder / Inputs.filename)
