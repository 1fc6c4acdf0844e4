"""Who trains the folds of a fit and measures what sizes them: this process, or workers of a dask scheduler."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from segwright.api import planning
from segwright.api.disk_space import needed_by
from segwright.api.fold import FoldTask, prepare_cases
from segwright.api.follow import Follower
from segwright.api.run import Run
from segwright.core.disk import told_when_full
from segwright.core.errors import SegwrightError, TrainingError, UsageError
from segwright.core.events import Event, Note, Stage, silent
from segwright.core.plan import NetSpec, Plan, Triple
from segwright.core.words import amount
from segwright.planning.machine import Machine
from segwright.planning.pace import StepTimer
from segwright.prediction.large.workers import Cluster, hired, place, share_of_cores, still_wanted

if TYPE_CHECKING:
    import torch

    from segwright.train.measure import Measurement

#: A worker trains one fold at a time, however many threads it was given.
_ONE_AT_A_TIME = threading.Lock()

#: Trains a fold as a task says.
TrainFold = Callable[[FoldTask, int], None]


class Executor(Protocol):
    """Where folds are trained."""

    def at_once(self, folds: int) -> int:
        """How many of so many folds are trained side by side."""
        ...

    def device(self, asked: str) -> torch.device:
        """What is trained on."""
        ...

    def machine(self, device: torch.device, devices: int) -> Machine:
        """What each training has for itself."""
        ...

    def timer(self, device: torch.device, at_once: int) -> StepTimer:
        """A function that times a training step while as many others run."""
        ...

    def measure(self, plan: Plan, device: torch.device, at_once: int, **limits: Any) -> Measurement:
        """What a step costs and how it is best done, within the limits of `train.measure`."""
        ...

    def map(self, train: TrainFold, task: FoldTask, folds: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Train folds; yields those that failed and why, where that does not end the others."""
        ...


class Serial:
    """This process, one fold after the other; the error of a fold is raised."""

    def at_once(self, folds: int) -> int:
        """One."""
        return 1

    def device(self, asked: str) -> torch.device:
        """See `nets.device.resolve_device`."""
        from segwright.nets.execution import resolve_device

        return resolve_device(asked)

    def machine(self, device: torch.device, devices: int) -> Machine:
        """All of this machine."""
        return planning.machine_with_gpu(device.type).model_copy(update={"devices": devices})

    def timer(self, device: torch.device, at_once: int) -> StepTimer:
        """See `planning.step_timer`."""
        return planning.step_timer(device)

    def measure(self, plan: Plan, device: torch.device, at_once: int, **limits: Any) -> Measurement:
        """See `train.measure.measure`."""
        from segwright.train.measure import measure

        return measure(plan, device, **limits)

    def map(self, train: TrainFold, task: FoldTask, folds: Sequence[int]) -> Iterator[tuple[int, str]]:
        """By the builtin `map`, so that nothing of ours stands between a fit and its fold."""
        return filter(None, map(partial(train, task), folds))


@dataclass(frozen=True)
class Dask:
    """Workers of a dask scheduler, each with its share of the cores; the other folds go on when one fails."""

    cluster: Cluster

    def at_once(self, folds: int) -> int:
        """As many as there are workers."""
        return max(1, min(folds, len(self.cluster.addresses)))

    def device(self, asked: str) -> torch.device:
        """What the workers train on.

        Raises:
            UsageError: Some do not have what was asked for, or have different kinds.
        """
        import torch

        kinds = set(self._each(partial(_device, asked), len(self.cluster.addresses)))
        if len(kinds) > 1:
            raise UsageError(
                "The workers have different devices.",
                expected="one kind, so that all folds are trained alike",
                got=", ".join(sorted(kinds)),
                hint="Use --device cpu, or workers of one kind.",
            )
        return torch.device(kinds.pop())

    def machine(self, device: torch.device, devices: int) -> Machine:
        """What the least of the workers has for itself."""
        work = partial(_machine, device.type, self.cluster.neighbours)
        found: list[Machine] = self._each(work, len(self.cluster.addresses))
        graphics = [one.gpu_memory for one in found if one.gpu_memory is not None]
        least: dict[str, Any] = {name: min(getattr(one, name) for one in found) for name in ("cores", "memory")}
        least |= {"gpu_memory": min(graphics, default=None), "bfloat16": all(one.bfloat16 for one in found)}
        return found[0].model_copy(update=least)

    def timer(self, device: torch.device, at_once: int) -> StepTimer:
        """Times a step on all workers at once: what counts is the slowest."""

        def seconds(spec: NetSpec, patch: Triple, batch: int) -> float:
            work = partial(_time, (spec, patch, batch), str(device), self.cluster.neighbours)
            return float(max(self._each(work, at_once)))

        return seconds

    def measure(self, plan: Plan, device: torch.device, at_once: int, **limits: Any) -> Measurement:
        """The measurement of the slowest worker while all of them measure."""
        work = partial(_measure, plan, str(device), self.cluster.neighbours, limits)
        found: list[Measurement] = self._each(work, at_once)
        return max(found, key=lambda one: one.step_seconds)

    def map(self, train: TrainFold, task: FoldTask, folds: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Side by side; workers go on from checkpoints, because one may take over from another that died.

        Raises:
            UsageError: A worker does not see the run's folder.
        """
        if not folds:
            return
        run, listen = task.run, task.listen
        self.cluster.refuse_unseen(run.folder)
        listen(Stage(f"Training {amount(len(folds), 'fold')} on {amount(self.at_once(len(folds)), 'worker')}"))
        if not task.resume:
            for weights in (file for fold in folds for file in run.weights(fold)):
                weights.with_name("last.ckpt").unlink(missing_ok=True)
        follower = Follower(run, folds, listen)
        work = partial(_train, train, str(run.folder.resolve()), str(task.device), self.cluster.neighbours)
        for fold, answer in self.cluster.map(work, folds, ahead=1, idle=follower.look):
            follower.look()
            if "error" in answer:
                listen(Note(f"Fold {fold} failed: {answer['error']}", fold))
                yield fold, str(answer["error"])

    def _each(self, work: Callable[[int], dict[str, Any]], most: int) -> list[Any]:
        answers = self.cluster.each(work, most)
        for answer in answers:
            if "error" in answer:
                raise answer.get("raised") or TrainingError("A worker failed while measuring.", got=answer["error"])
        return [answer["found"] for answer in answers]


@contextmanager
def executor(workers: int, scheduler: str | None) -> Iterator[Executor]:
    """Who trains, for the time of a block of code: this process where neither workers nor a scheduler are named.

    Raises:
        UsageError: Of `hired`.
    """
    with hired(workers, scheduler) as found:
        yield Dask(found) if isinstance(found, Cluster) else Serial()


def refuse_failed(run: Run, failed: dict[int, str]) -> None:
    """Some folds failed; what the others gave is there.

    Raises:
        TrainingError: There are such folds.
    """
    if failed:
        told = "; ".join(f"fold {fold}: {error}" for fold, error in sorted(failed.items()))
        kept = "the run and its model hold the others" if run.finished else "no other is finished"
        raise TrainingError(
            f"{amount(len(failed), 'fold')} could not be trained; {kept}.",
            got=told,
            where=run.folder,
            hint="Mend the cause and run the same command with --resume: only these folds are trained.",
        )


def _answer(action: Callable[[], Any]) -> dict[str, Any]:
    """What a worker found; errors as an answer, so that they reach the person in words."""
    from segwright.io.protocol import reason

    try:
        return {"found": action()}
    except SegwrightError as error:
        return {"error": str(error), "raised": error}
    except Exception as error:
        return {"error": reason(error)}


def _device(asked: str, number: int) -> dict[str, Any]:
    return _answer(lambda: str(Serial().device(asked)))


def _machine(kind: str, neighbours: int, number: int) -> dict[str, Any]:
    """This worker's part of its machine."""
    import torch

    machine = planning.machine_with_gpu(kind)
    each = math.ceil(neighbours / max(1, torch.cuda.device_count()))
    graphics = None if machine.gpu_memory is None else machine.gpu_memory // each
    part = {"cores": share_of_cores(neighbours), "memory": machine.memory // neighbours, "gpu_memory": graphics}
    return {"found": machine.model_copy(update=part)}


def _time(work: tuple[NetSpec, Triple, int], device: str, neighbours: int, number: int) -> dict[str, Any]:
    return _answer(lambda: planning.step_timer(_settle(device, neighbours))(*work))


def _measure(plan: Plan, device: str, neighbours: int, limits: dict[str, Any], number: int) -> dict[str, Any]:
    return _answer(lambda: Serial().measure(plan, _settle(device, neighbours), 1, **limits))


class AbandonedError(Exception):
    """Nobody waits for this fold any more."""


def _train(train: TrainFold, folder: str, device: str, neighbours: int, fold: int) -> dict[str, Any]:
    """One fold on this worker; how far it is stands in its log, which whoever waits for it follows."""

    def listen(event: Event) -> None:
        if not still_wanted():
            raise AbandonedError("the command that asked for this fold has ended")

    def work() -> None:
        run, where = Run(Path(folder)), _settle(device, neighbours)
        cases = prepare_cases(run.dataset, run.plan, run.folder / "cache", listen=silent)
        with told_when_full(run.folder, lambda: needed_by(run.folder), hint="Then go on with --resume."):
            train(FoldTask(run, where, cases, resume=True, listen=listen), fold)

    with _ONE_AT_A_TIME:
        return _answer(work)


def _settle(device: str, neighbours: int) -> torch.device:
    """Take this worker's share of the cores, or the graphics card whose turn it is."""
    import torch

    from segwright.nets.execution import resolve_device

    torch.set_num_threads(share_of_cores(neighbours))
    found = resolve_device(device)
    if found.type == "cuda" and found.index is None and torch.cuda.device_count() > 1:
        return torch.device("cuda", place() % torch.cuda.device_count())
    return found
