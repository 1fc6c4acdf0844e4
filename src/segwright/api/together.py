"""Trains one network on several devices of this machine at once: each has its batch, gradients are averaged."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwright.api.events import Event, Listen, silent
from segwright.api.fold_job import fold_data, fold_run
from segwright.api.prepared import prepare_cases
from segwright.api.run import Run
from segwright.core.errors import SegwrightError, TrainingError, UsageError

if TYPE_CHECKING:
    import torch

    from segwright.train.fabric import Group


@dataclass(frozen=True)
class Share:
    """What each process is told.

    Attributes:
        folder: Of the run.
        fold: Which.
        member: Which of its networks.
        device: Kind of device.
        resume: Go on from the last checkpoint.
        events: Queue of progress events, and of the error that ended a process.
    """

    folder: str
    fold: int
    member: int
    device: str
    resume: bool
    events: Any


def check_devices(count: int, device: torch.device, *, crew: bool = False) -> None:
    """Refuse more devices than there are, and several for each worker of a crew.

    Raises:
        UsageError: There are fewer, the kind cannot train together, or workers train on one each.
    """
    import torch

    if count == 1:
        return
    if crew:
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


def train_together(run: Run, fold: int, member: int, device: torch.device, *, resume: bool, listen: Listen) -> None:
    """Train a network of a fold on as many devices as the plan says, in a process each.

    Raises:
        TrainingError: A process ended before the others.
        SegwrightError: What one of them raised.
    """
    from torch.multiprocessing import get_context
    from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

    from segwright.train.fabric import launch

    train = run.plan.train
    check_devices(train.devices, device)
    events = get_context("spawn").Queue()
    share = Share(str(run.folder.resolve()), fold, member, device.type, resume, events)
    with _relayed(events, listen) as errors:
        try:
            work = partial(_train, share=share)
            launch(work, device, train.precision, devices=train.devices, partly=train.freeze > 0)
            return
        except (ProcessRaisedException, ProcessExitedException) as error:
            failure = error
    if errors:
        raise errors[0]
    raise TrainingError(
        f"One of {train.devices} processes that train together has ended.",
        got=str(failure).strip().splitlines()[-1],
        where=run.fold_folder(fold),
        hint="Go on with --resume, or train on one device with --devices 1 in a new run.",
    ) from failure


@contextmanager
def _relayed(events: Any, listen: Listen) -> Iterator[list[SegwrightError]]:
    """Tell what comes by the queue while a block of code waits for the processes; yields the errors among it."""
    errors: list[SegwrightError] = []

    def relay() -> None:
        while (event := events.get()) is not None:
            if isinstance(event, SegwrightError):
                errors.append(event)
            else:
                listen(event)

    thread = threading.Thread(target=relay, name="events", daemon=True)
    thread.start()
    try:
        yield errors
    finally:
        events.put(None)
        thread.join()
        events.close()


def _train(group: Group, share: Share) -> None:
    """The part of one process."""
    run = Run(Path(share.folder))

    def listen(event: Event) -> None:
        if group.is_global_zero:
            share.events.put(event)

    try:
        cases = prepare_cases(run.dataset, run.plan, run.folder / "cache", listen=silent)
        job = fold_run(run, share.fold, share.member, group.device, resume=share.resume, listen=listen)
        job.group = group
        job.run(fold_data(run, share.fold, cases))
    except SegwrightError as error:
        share.events.put(error)
        share.events.close()
        share.events.join_thread()  # it has to be out before this process is gone
        raise
