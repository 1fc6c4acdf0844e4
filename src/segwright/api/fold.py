"""One network of a fold, from the documents of a run: trained in this process, or by several on a device each (DDP)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwright.api import transfer
from segwright.api.follow import followed
from segwright.api.run import Run
from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError, TrainingError, UsageError
from segwright.core.events import Listen, ListenTraining, Note, Stage, silent, tracked
from segwright.core.plan import Plan
from segwright.core.words import amount
from segwright.io.load import load_image, load_label
from segwright.planning.views import member_plan
from segwright.prepare.cache import Cache, PreparedCase
from segwright.prepare.pipeline import prepare_image, prepare_label

if TYPE_CHECKING:
    import torch

    from segwright.sample.case import SampleCase
    from segwright.train.fabric import Group
    from segwright.train.fold import FoldRun
    from segwright.train.parts import FoldData


@dataclass(frozen=True)
class FoldTask:
    """How folds of a run are trained, beside what its documents say.

    Attributes:
        run: With plan and split.
        device: Where to train.
        cases: Prepared cases by id.
        resume: Go on from the last checkpoint, if there is one.
        listen: Told of progress.
        seconds: Of each network of a fold, where those of the plan are no longer there.
        wanted: All folds of the command, in order.
    """

    run: Run
    device: torch.device
    cases: Mapping[str, SampleCase]
    resume: bool = False
    listen: Listen = silent
    seconds: Callable[[int], float | None] = lambda fold: None
    wanted: Sequence[int] = ()

    def begins(self, fold: int, seconds: float | None) -> Stage:
        """The training of a fold, as it is told."""
        wanted = self.wanted or (fold,)
        whole = seconds and seconds * self.run.plan.train.members
        return Stage("train", fold=fold, turn=wanted.index(fold) + 1, turns=len(wanted), seconds=whole)

    def network(self, fold: int, member: int, seconds: float | None, listen: ListenTraining) -> FoldRun:
        """One of the networks of a fold, ready to be trained; all but the first have random streams of their own."""
        from segwright.train.fold import FoldRun

        plan = member_plan(self.run.plan_of(fold), member)
        folder = self.run.member_folder(fold, member)
        job = FoldRun(plan, fold, folder, self.device, resume=self.resume, listen=listen)
        job.initial, job.seconds = transfer.initial_weights(self.run, fold), seconds
        return job

    def data(self, fold: int) -> FoldData:
        """The cases that a fold learns from, and those it is judged on."""
        from segwright.train.parts import FoldData

        part = self.run.split.folds[fold]
        return FoldData([self.cases[c] for c in part.train], [self.cases[c] for c in part.validation])


def check_devices(count: int, device: torch.device, *, workers: bool = False) -> None:
    """Refuse more devices than there are, and several for each worker.

    Raises:
        UsageError: There are fewer, the kind cannot train together, or workers train on one each.
    """
    import torch

    if count == 1:
        return
    if workers:
        what = "Workers train a fold on one device each."
        raise UsageError(what, got=f"{count} devices", hint="Leave out --devices, or --workers and --scheduler.")
    if device.type == "mps" or device.index is not None:
        hint = "Use --devices 1, or name the kind alone: --device cuda."
        raise UsageError("Devices that train together are counted, not named.", got=str(device), hint=hint)
    there = torch.cuda.device_count() if device.type == "cuda" else os.cpu_count() or 1
    if not 1 <= count <= there:
        raise UsageError(
            f"There are not {count} devices to train on.",
            expected=f"1 to {there} ({device.type})",
            got=count,
            hint="Choose with --devices.",
        )


def drop_damaged(run: Run, folds: Sequence[int], listen: Listen) -> None:
    """Weights that are not what was written are made again, from the last checkpoint of their training."""
    from segwright.nets.weights import is_whole

    files = [file for fold in folds for file in run.weights(fold) if file.exists()]
    for file in (file for file in files if not is_whole(file)):
        listen(Note(f"{file} is damaged and made again, from the last checkpoint."))
        file.unlink()


def train_on_devices(task: FoldTask, fold: int, member: int, listen: ListenTraining) -> None:
    """Train a network on as many devices as the plan says, in a process each; gradients are averaged.

    Raises:
        TrainingError: A process ended before the others.
        SegwrightError: What one of them raised.
    """
    from torch.multiprocessing import get_context
    from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

    from segwright.train.fabric import launch

    run, train = task.run, task.run.plan.train
    check_devices(train.devices, task.device)
    errors = get_context("spawn").Queue()
    share = _Share(str(run.folder.resolve()), fold, member, resume=task.resume, errors=errors)
    with followed(run.member_folder(fold, member) / "log.jsonl", listen):
        try:
            work = partial(_train_share, share=share)
            launch(work, task.device, train.precision, devices=train.devices, partly=train.freeze > 0)
            return
        except (ProcessRaisedException, ProcessExitedException) as error:
            failure = error
    if not errors.empty():
        raise errors.get()
    raise TrainingError(
        f"One of {train.devices} processes that train together has ended.",
        got=str(failure).strip().splitlines()[-1],
        where=run.fold_folder(fold),
        hint="Go on with --resume, or train on one device with --devices 1 in a new run.",
    ) from failure


@dataclass(frozen=True)
class _Share:
    """What each process is told; `errors` is a queue for what ended one of them."""

    folder: str
    fold: int
    member: int
    resume: bool
    errors: Any


def _train_share(group: Group, share: _Share) -> None:
    """The part of one process; the first of them keeps the log that the others follow."""
    run = Run(Path(share.folder))
    try:
        cases = prepare_cases(run.dataset, run.plan, run.folder / "cache", listen=silent)
        task = FoldTask(run, group.device, cases, resume=share.resume)
        job = task.network(share.fold, share.member, None, silent)
        job.group = group
        job.run(task.data(share.fold))
    except SegwrightError as error:
        share.errors.put(error)
        share.errors.close()
        share.errors.join_thread()  # it has to be out before this process is gone
        raise


def prepare_cases(dataset: Dataset, plan: Plan, folder: Path, *, listen: Listen) -> dict[str, SampleCase]:
    """Every labelled case, ready to sample from, by id; prepared arrays stay on disk and are mapped.

    Voxels that were not finite are repaired; how many is reported as a `note` event.
    """
    from segwright.sample.case import SampleCase

    listen(Stage("prepare", cases=len(dataset.labelled)))
    cache = Cache(folder, space=dataset.labels)
    cases = {}
    for case in tracked(dataset.labelled, listen, "prepare"):
        found = _prepared(cache, dataset, case, plan)
        if found.repaired:
            listen(Note(f"{case.id}: {amount(found.repaired, 'voxel')} without a finite value repaired."))
        spots = dict(enumerate(found.foreground))
        cases[case.id] = SampleCase(found.image, found.label, spots, case.id, found.spacing)
    return cases


def _prepared(cache: Cache, dataset: Dataset, case: Case, plan: Plan) -> PreparedCase:
    def make():  # type: ignore[no-untyped-def]
        volume = load_image(dataset, case)
        prepared = prepare_image(volume, plan.prepare)
        label = load_label(dataset, case, volume.geometry)
        return prepared, prepare_label(label, prepared.trail, dataset.labels)

    return cache.get(cache.key(dataset, case, plan.prepare), make)
