"""Sends the folds of a fit, and the measurements that size them, to workers on this machine or of a cluster."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwright.api import planning
from segwright.api.events import Event, Listen, silent, stage
from segwright.api.folds import Terms, train_fold
from segwright.api.prepared import prepare_cases
from segwright.api.room import needed_by
from segwright.api.run import Run
from segwright.api.watch import Watch
from segwright.core.disk import told_when_full
from segwright.core.errors import SegwrightError, TrainingError, UsageError
from segwright.core.plan import NetSpec, Plan, Triple
from segwright.core.words import amount
from segwright.planning.machine import Machine
from segwright.prediction.large.workers import Cluster, hired, place, share_of_cores, still_wanted

if TYPE_CHECKING:
    import torch

    from segwright.train.measure import Measurement

#: A worker trains one fold at a time, however many threads it was given.
_ONE_AT_A_TIME = threading.Lock()


class AbandonedError(Exception):
    """Nobody waits for this fold any more."""


@contextmanager
def mustered(workers: int, scheduler: str | None) -> Iterator[Crew | None]:
    """A crew for the time of a block of code; `None` where folds are trained in this process.

    Raises:
        UsageError: Of `hired`.
    """
    with hired(workers, scheduler) as found:
        yield Crew(found, found.neighbours) if isinstance(found, Cluster) else None


@dataclass(frozen=True)
class Crew:
    """Workers that train folds side by side, each with its share of the cores.

    Attributes:
        cluster: The workers.
        neighbours: Most of them that share a machine.
    """

    cluster: Cluster
    neighbours: int

    def at_once(self, folds: int) -> int:
        """How many of so many folds are trained side by side."""
        return max(1, min(folds, len(self.cluster.addresses)))

    def device(self, asked: str) -> torch.device:
        """What the workers train on.

        Raises:
            UsageError: Some do not have what was asked for, or have different kinds.
        """
        import torch

        kinds = {str(found["device"]) for found in self._each(partial(_device, asked), len(self.cluster.addresses))}
        if len(kinds) > 1:
            raise UsageError(
                "The workers have different devices.",
                expected="one kind, so that all folds are trained alike",
                got=", ".join(sorted(kinds)),
                hint="Use --device cpu, or workers of one kind.",
            )
        return torch.device(kinds.pop())

    def machine(self, device: torch.device) -> Machine:
        """What the least of the workers has for itself."""
        work = partial(_machine, device.type, self.neighbours)
        found: list[Machine] = [one["machine"] for one in self._each(work, len(self.cluster.addresses))]
        graphics = [one.gpu_memory for one in found if one.gpu_memory is not None]
        return found[0].model_copy(
            update={
                "cores": min(one.cores for one in found),
                "memory": min(one.memory for one in found),
                "gpu_memory": min(graphics) if graphics else None,
                "bfloat16": all(one.bfloat16 for one in found),
            }
        )

    def timer(self, device: torch.device, at_once: int) -> Callable[[NetSpec, Triple, int], float]:
        """A function that times a training step on all workers at once: what counts is the slowest."""

        def seconds(spec: NetSpec, patch: Triple, batch: int) -> float:
            work = partial(_time, (spec, patch, batch), str(device), self.neighbours)
            return max(float(one["seconds"]) for one in self._each(work, at_once))

        return seconds

    def measure(self, plan: Plan, device: torch.device, at_once: int, **limits: Any) -> Any:
        """The measurement of the slowest worker while all of them measure, within the limits of `train.measure`."""
        work = partial(_measure, plan, str(device), self.neighbours, limits)
        found: list[Measurement] = [one["found"] for one in self._each(work, at_once)]
        return max(found, key=lambda one: one.step_seconds)

    def train(self, run: Run, folds: Sequence[int], device: str, *, resume: bool, listen: Listen) -> dict[int, str]:
        """Train folds side by side; returns the error of each that failed.

        Raises:
            UsageError: A worker does not see the run's folder.
        """
        self.cluster.refuse_unseen(run.folder)
        stage(listen, f"Training {amount(len(folds), 'fold')} on {amount(self.at_once(len(folds)), 'worker')}")
        if not resume:
            for fold in folds:  # workers go on from checkpoints, because a worker may take over from one that died
                for member in range(run.plan.train.members):
                    (run.member_folder(fold, member) / "last.ckpt").unlink(missing_ok=True)
        watch = Watch(run, folds, listen)
        work = partial(_train, str(run.folder.resolve()), device, self.neighbours)
        failed = {}
        for fold, answer in self.cluster.map(work, folds, ahead=1, idle=watch.look):
            watch.look()
            for text in answer.get("notes", ()):
                listen({"kind": "note", "text": f"Fold {fold}: {text}"})
            if "error" in answer:
                failed[fold] = str(answer["error"])
                listen({"kind": "note", "text": f"Fold {fold} failed: {failed[fold]}"})
        return failed

    def _each(self, work: Callable[[int], dict[str, Any]], most: int) -> list[dict[str, Any]]:
        answers = self.cluster.each(work, most)
        for answer in answers:
            if "error" in answer:
                raise answer.get("raised") or TrainingError("A worker failed while measuring.", got=answer["error"])
        return answers


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


def _answered(action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Errors as an answer, so that they reach the person in words."""
    from segwright.io.protocol import reason

    try:
        return action()
    except SegwrightError as error:
        return {"error": str(error), "raised": error}
    except Exception as error:
        return {"error": reason(error)}


def _device(asked: str, number: int) -> dict[str, Any]:
    from segwright.nets.execution import resolve_device

    return _answered(lambda: {"device": str(resolve_device(asked))})


def _machine(kind: str, neighbours: int, number: int) -> dict[str, Any]:
    """This worker's part of its machine."""
    import torch

    machine = planning.machine_with_gpu(kind)
    each = math.ceil(neighbours / max(1, torch.cuda.device_count()))
    graphics = None if machine.gpu_memory is None else machine.gpu_memory // each
    part = {"cores": share_of_cores(neighbours), "memory": machine.memory // neighbours, "gpu_memory": graphics}
    return {"machine": machine.model_copy(update=part)}


def _time(work: tuple[NetSpec, Triple, int], device: str, neighbours: int, number: int) -> dict[str, Any]:
    return _answered(lambda: {"seconds": planning.step_timer(_settle(device, neighbours))(*work)})


def _measure(plan: Plan, device: str, neighbours: int, limits: dict[str, Any], number: int) -> dict[str, Any]:
    from segwright.train.measure import measure

    return _answered(lambda: {"found": measure(plan, _settle(device, neighbours), **limits)})


def _train(folder: str, device: str, neighbours: int, fold: int) -> dict[str, Any]:
    """One fold on this worker; goes on from a checkpoint of whoever began it."""
    notes: list[str] = []

    def listen(event: Event) -> None:
        if not still_wanted():
            raise AbandonedError("the command that asked for this fold has ended")
        if event["kind"] == "note":
            notes.append(event["text"])

    def train() -> dict[str, Any]:
        run = Run(Path(folder))
        where = _settle(device, neighbours)
        cases = prepare_cases(run.dataset, run.plan, run.folder / "cache", listen=silent)
        with told_when_full(run.folder, lambda: needed_by(run.folder), hint="Then go on with --resume."):
            train_fold(run, fold, cases, where, terms=Terms(resume=True), listen=listen)
        return {}

    with _ONE_AT_A_TIME:
        return {**_answered(train), "notes": notes}


def _settle(device: str, neighbours: int) -> torch.device:
    """Take this worker's share of the cores, or the graphics card whose turn it is."""
    import torch

    from segwright.nets.execution import resolve_device

    torch.set_num_threads(share_of_cores(neighbours))
    found = resolve_device(device)
    if found.type == "cuda" and found.index is None and torch.cuda.device_count() > 1:
        return torch.device("cuda", place() % torch.cuda.device_count())
    return found
