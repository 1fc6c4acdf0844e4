"""Trains one fold to its end, wherever that is: in the process of a fit, or on a worker beside others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from segwright.api.events import Listen
from segwright.api.fold_job import fold_data, fold_run
from segwright.api.lock import locked
from segwright.api.members import Members
from segwright.api.outoffold import predict_out_of_fold
from segwright.api.run import Run
from segwright.api.together import train_together

if TYPE_CHECKING:
    import torch

    from segwright.sample.case import SampleCase


def train_fold(
    run: Run, fold: int, cases: Mapping[str, SampleCase], device: torch.device, *, resume: bool, listen: Listen
) -> None:
    """Train a fold that is not finished, and predict its validation cases.

    Args:
        run: With plan and split.
        fold: Which.
        cases: Prepared cases by id.
        device: Where to train.
        resume: Go on from its last checkpoint, if there is one.
        listen: Progress events.

    Raises:
        UsageError: Another process trains this fold.
        TrainingError: It did not learn, or its loss is no number.
    """
    if not run.trained(fold):
        with locked(run.fold_folder(fold)):
            _train_members(run, fold, cases, device, resume=resume, listen=listen)
    predict_out_of_fold(run, fold, device=str(device), listen=listen)


def _train_members(
    run: Run, fold: int, cases: Mapping[str, SampleCase], device: torch.device, *, resume: bool, listen: Listen
) -> None:
    """Train the networks of a fold that are not finished, one after another."""
    from segwright.train.log import read_events

    told = Members(run.plan.train.members, listen)
    for member, weights in enumerate(run.weights(fold)):
        if weights.exists():
            told.passed_over(read_events(weights.parent / "log.jsonl"))
        elif run.plan.train.devices > 1:
            train_together(run, fold, member, device, resume=resume, listen=told.hear)
        else:
            job = fold_run(run, fold, member, device, resume=resume, listen=told.hear)
            job.run(fold_data(run, fold, cases))
