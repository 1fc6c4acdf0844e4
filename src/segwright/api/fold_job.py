"""What trains a network of a fold, and on which cases, from the documents of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from segwright.api import transfer
from segwright.api.events import Listen
from segwright.api.run import Run
from segwright.planning.views import member_plan

if TYPE_CHECKING:
    import torch

    from segwright.sample.case import SampleCase
    from segwright.train.fold import FoldData, FoldRun


def fold_run(run: Run, fold: int, member: int, device: torch.device, *, resume: bool, listen: Listen) -> FoldRun:
    """A network of a fold, ready to be trained for the seconds or steps of its plan."""
    from segwright.train.fold import FoldRun

    folder = run.member_folder(fold, member)
    job = FoldRun(member_plan(run.plan_of(fold), member), fold, folder, device, resume=resume, listen=listen)
    job.initial = transfer.initial_weights(run, fold)
    return job


def fold_data(run: Run, fold: int, cases: Mapping[str, SampleCase]) -> FoldData:
    """The cases that a fold learns from, and those it is judged on."""
    from segwright.train.fold import FoldData

    part = run.split.folds[fold]
    return FoldData([cases[c] for c in part.train], [cases[c] for c in part.validation])
