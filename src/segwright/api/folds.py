"""Trains one fold to its end, wherever that is: in the process of a fit, or on a worker beside others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Terms:
    """What a plan does not say of how a fold is trained.

    Attributes:
        resume: Go on from its last checkpoint, if there is one.
        seconds: Of each network, where those of the plan are no longer there.
    """

    resume: bool = False
    seconds: float | None = None


def train_fold(
    run: Run, fold: int, cases: Mapping[str, SampleCase], device: torch.device, *, terms: Terms, listen: Listen
) -> None:
    """Train a fold that is not finished, and predict its validation cases.

    Args:
        run: With plan and split.
        fold: Which.
        cases: Prepared cases by id.
        device: Where to train.
        terms: How it is trained beside its plan.
        listen: Progress events.

    Raises:
        UsageError: Another process trains this fold.
        TrainingError: It did not learn, or its loss is no number.
    """
    if not run.trained(fold):
        with locked(run.fold_folder(fold)):
            _train_members(run, fold, cases, device, terms=terms, listen=listen)
    predict_out_of_fold(run, fold, device=str(device), listen=listen)


def _train_members(
    run: Run, fold: int, cases: Mapping[str, SampleCase], device: torch.device, *, terms: Terms, listen: Listen
) -> None:
    """Train the networks of a fold that are not finished, one after another."""
    from segwright.train.log import read_events

    told = Members(run.plan.train.members, listen)
    for member, weights in enumerate(run.weights(fold)):
        if weights.exists():
            told.passed_over(read_events(weights.parent / "log.jsonl"))
        elif run.plan.train.devices > 1:
            train_together(run, fold, member, device, resume=terms.resume, listen=told.hear)
        else:
            job = fold_run(run, fold, member, device, resume=terms.resume, listen=told.hear)
            job.seconds = terms.seconds
            job.run(fold_data(run, fold, cases))
