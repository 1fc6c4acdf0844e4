"""Makes one model out of several runs: weights chosen out of fold, an honest estimate of the gain, one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from segwright.api.ensemble_runs import JointCase, Team
from segwright.api.finalize import dice
from segwright.api.instances import choose_decoder, mixed_objects
from segwright.api.lock import locked_beside
from segwright.core.disk import told_when_full
from segwright.core.document import Document, Part
from segwright.core.errors import UsageError
from segwright.core.events import Listen, Stage, silent
from segwright.core.model import Combination, EnsemblePart, Manifest
from segwright.core.plan import Plan
from segwright.core.report import Report
from segwright.core.words import amount
from segwright.evaluation.aggregate import MEAN
from segwright.evaluation.compare import compare, difference_range
from segwright.evaluation.interval import mean_interval
from segwright.evaluation.score import LabelPair, evaluate_pairs
from segwright.export.bundle import write_ensemble
from segwright.postprocess.chain import Chain, apply_to_scores
from segwright.postprocess.ensemble import Scores, Weighed, Weighing, blend, equal_weights, weigh
from segwright.postprocess.search import Postprocess, search
from segwright.prediction.objects import find_objects, usual_chain

Weights = Literal["auto", "equal"]


class PartGain(Part):
    """What the ensemble reaches less what something else does, paired by case; the interval is over patients.

    Attributes:
        over: What it is compared with.
        mean: Mean difference (mean over structures).
        low, high: 95 % interval; `None` for a single patient.
        measure: What is counted.
    """

    over: str
    mean: float
    low: float | None
    high: float | None
    measure: str = "Dice"


class Ensembled(Document):
    """What making an ensemble found; written as `weighing.json` into its folder.

    Attributes:
        out: Model folder.
        combination: Parts and weights.
        cases: Cases judged out of fold by every part.
        structures: How each structure is put together, and Dice without post-processing.
        why: Why these weights.
        gains: Out-of-fold gain with weights chosen without the fold judged: over equal weights and each part alone.
        finished: The ensemble with its post-processing less each run with its own.
        postprocess: Post-processing of the ensemble in words.
        notes: What was assumed.
    """

    filename: ClassVar[str] = "weighing.json"
    out: str
    combination: Combination
    cases: int
    structures: tuple[Weighed, ...] = ()
    why: str = ""
    gains: tuple[PartGain, ...] = ()
    finished: tuple[PartGain, ...] = ()
    postprocess: str = "nothing"
    notes: tuple[str, ...] = ()


@dataclass
class BlendedCase:
    """A joint case with its opinions mixed."""

    joint: JointCase
    weights: NDArray[np.float64]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.joint, name)

    def scores(self) -> Scores:
        """Mixed scores `(K, z, y, x)`."""
        return blend(self.joint.opinions(), self.weights, votes=self.joint.votes)


def ensemble(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    weights: Weights = "auto",
    vote: bool = False,
    device: str = "auto",
    listen: Listen = silent,
) -> Ensembled:
    """One model folder out of several runs on the same cases and structures.

    Args:
        runs: Folders of fits; they may differ in recipe, size, patch and network.
        out: Model folder to write; `segwright predict` takes it like any other.
        weights: `auto` chooses the share of each part for each structure on out-of-fold predictions and keeps equal
            ones unless others are better; `equal` leaves them equal.
        vote: The parts vote with their final labels, instead of averaging scores.
        device: Where missing out-of-fold predictions are made.
        listen: Progress events.

    Raises:
        UsageError: Fewer than two runs, or a folder that holds something else.
        DataError: The runs differ in structures, channels or data, or some case was not judged out of fold by all.
    """
    team = Team.open(runs)
    place = Path(out)
    with locked_beside(place), told_when_full(place.parent, lambda: None, hint="Then run the same command again."):
        _refuse_other_folder(place)
        return _made(team, place, (weights, vote), device, listen)


def _made(team: Team, out: Path, wish: tuple[Weights, bool], device: str, listen: Listen) -> Ensembled:
    """The ensemble of runs that were opened."""
    weights, vote = wish
    team.check(vote=vote)
    notes = []
    cases = team.cases(vote, device, listen)
    left = team.unjudged(cases)
    if left and weights == "auto":
        raise left
    if left:
        notes.append(f"Judged on {amount(len(cases), 'case')}, which every run predicted out of fold. {left.got}")
    space = team.space
    if not cases:
        return _write(team, out, equal_weights(len(team.runs), len(space.names)), vote, notes=tuple(notes))
    notes += team.notes()
    listen(Stage(f"Weighing {amount(len(team.runs), 'model')} on {amount(len(cases), 'out-of-fold case')}"))
    plan = team.runs[0].plan
    found = weigh(cases, space, search=weights == "auto", values_of=mixed_objects(plan) if space.instances else None)
    blended = [BlendedCase(case, found.weights) for case in cases]
    chosen = Postprocess(chain=usual_chain(plan.target))
    if not vote and all(run.plan.postprocess for run in team.runs):
        listen(Stage("postprocess", cases=len(blended)))
        objects = space.instances
        chosen = choose_decoder(blended, plan, listen=listen) if objects else search(blended, space, score=dice)
    listen(Stage("report"))
    report = evaluate_pairs(
        (_pair(case, chosen.chain) for case in blended),
        space,
        tolerance=plan.tolerance,
        title=f"Ensemble of {', '.join(team.names)}",
    )
    return _write(team, out, found.weights, vote, Judgement(found, report, chosen, cases), tuple(notes))


@dataclass(frozen=True)
class Judgement:
    """What out-of-fold predictions say of an ensemble."""

    weighing: Weighing
    report: Report
    postprocess: Postprocess
    cases: list[JointCase]

    def gains(self, names: Sequence[str]) -> tuple[PartGain, ...]:
        """Over equal weights, and over each part alone; all without post-processing."""
        found, groups = self.weighing, [case.group for case in self.cases]
        rows = [("equal weights", found.equal), *zip(names, found.alone, strict=True)]
        measure = "object F1" if self.cases[0].judged[0].run.plan.labels.instances else "Dice"
        return tuple(_gain(name, found.honest - values, groups, measure) for name, values in rows)


def _refuse_other_folder(out: Path) -> None:
    """Only an earlier ensemble may be replaced."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / Combination.filename).exists())):
        raise UsageError("The folder holds something else.", where=out, hint="Choose another folder with -o.")


def _pair(case: BlendedCase, chain: Chain) -> LabelPair:
    first = case.joint.judged[0]
    plan, scores = first.run.plan, case.scores()
    if plan.labels.instances:
        labels = find_objects(chain, scores, plan, first.place)
    else:
        labels = apply_to_scores(chain, scores, plan.labels, geometry=first.geometry)
    return LabelPair(case.case, case.group, first.geometry.spacing, first.reference(), labels, case.fold)


def _gain(over: str, change: NDArray[np.float64], groups: Sequence[str], measure: str) -> PartGain:
    """Mean with its interval over patients."""
    low, high = mean_interval(change, groups, bounds=difference_range("dice"))
    several = len(set(groups)) > 1
    ends = {"low": low, "high": high} if several else {"low": None, "high": None}
    return PartGain(over=over, mean=float(change.mean()), **ends, measure=measure)


def _finished(team: Team, report: Report) -> tuple[PartGain, ...]:
    """The finished ensemble against each finished run."""
    rows = []
    metric, measure = ("pq", "PQ") if team.space.instances else ("dice", "Dice")
    for run, name in zip(team.runs, team.names, strict=True):
        row = compare(run.report, report, only_common=True).row(MEAN, metric)
        if row is not None and row.mean is not None:
            rows.append(PartGain(over=name, mean=row.mean, low=row.low, high=row.high, measure=measure))
    return tuple(rows)


def _write(
    team: Team,
    out: Path,
    weights: NDArray[np.float64],
    vote: bool,
    judged: Judgement | None = None,
    notes: tuple[str, ...] = (),
) -> Ensembled:
    """The model folder with what was found."""
    from segwright.report.html import write_evaluation

    parts = tuple(
        EnsemblePart(
            name=name,
            folder=f"parts/{i}-{name}",
            recipe=run.plan.recipe,
            plan=Plan.stored_hash(run.model_folder / Plan.filename),
            members=len(Manifest.load(run.model_folder / Manifest.filename).members),
        )
        for i, (run, name) in enumerate(zip(team.runs, team.names, strict=True))
    )
    shares = dict(zip(team.space.names, map(tuple, np.round(weights.T, 6).tolist()), strict=True))
    combination = Combination(combine="vote" if vote else "mean", parts=parts, weights=shares)
    chain = judged.postprocess.chain if judged and judged.postprocess.chain != Chain() else None
    report = judged.report if judged else None
    models = [run.model_folder for run in team.runs]
    write_ensemble(out, combination=combination, models=models, report=report, chain=chain, name=out.resolve().name)
    if judged is None:
        notes = (*notes, "No case was judged out of fold: the ensemble has no scores.")
    finished = _finished(team, judged.report) if judged else ()
    notes = (*notes, *(f"{row.over} alone scores higher than the ensemble." for row in finished if row.mean < 0))
    found = Ensembled(
        out=str(out),
        combination=combination,
        cases=len(judged.cases) if judged else 0,
        structures=judged.weighing.rows if judged else (),
        why=judged.weighing.why if judged else "equal weights",
        gains=judged.gains(team.names) if judged else (),
        finished=finished,
        postprocess=str(chain) if chain else "nothing",
        notes=notes,
    )
    found.save(out / Ensembled.filename)
    if report is not None:
        receipt = {"parts": {part.name: part.plan for part in parts}, "weights": found.why}
        write_evaluation(report, out / "report.html", labels=team.space, receipt=receipt)
    return found
