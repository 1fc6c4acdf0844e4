"""Trains one fold to its end, wherever that is: in the process of a fit, or on a worker beside others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from segwright.api import transfer
from segwright.api.events import Listen
from segwright.api.lock import locked
from segwright.api.members import Members, member_plan
from segwright.api.outoffold import predict_out_of_fold
from segwright.api.run import Run

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
    from segwright.train.fold import FoldData, FoldRun
    from segwright.train.log import read_events

    if not run.trained(fold):
        with locked(run.fold_folder(fold)):
            part = run.split.folds[fold]
            data = FoldData([cases[c] for c in part.train], [cases[c] for c in part.validation])
            told = Members(run.plan.train.members, listen)
            for member, weights in enumerate(run.weights(fold)):
                if weights.exists():
                    told.passed_over(read_events(weights.parent / "log.jsonl"))
                    continue
                plan = member_plan(run.plan, member)
                job = FoldRun(plan, fold, weights.parent, device, resume=resume, listen=told.hear)
                job.initial = transfer.initial_weights(run, fold)
                job.run(data)
    predict_out_of_fold(run, fold, device=str(device), listen=listen)
