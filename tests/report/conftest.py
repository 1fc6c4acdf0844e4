"""Runs made of drawn shapes: any number of dimensions and structures, with the awkward values real runs have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from segwright.core.case import Case, Dataset, Fold, LabelSource, Source, Split
from segwright.core.events import Restart, Step, TrainEvent
from segwright.core.inspection import CaseFacts, Finding, Inspection
from segwright.core.labels import LabelSpace
from segwright.core.plan import (
    AugmentPlan,
    NetSpec,
    Normalisation,
    Plan,
    PreparePlan,
    SamplePlan,
    TrainPlan,
    WindowPlan,
)
from segwright.core.recipe import PartChoice
from segwright.core.report import Aggregate, Report, Score
from segwright.postprocess.chain import Chain, ChainStep
from segwright.postprocess.search import Candidate, Postprocess
from segwright.report.content import RunContent, WorstCase

METRICS = ("dice", "iou", "precision", "recall", "hd95", "assd", "surface_dice", "volume_error")


def space_of(names: Sequence[str], kind: str = "exclusive") -> LabelSpace:
    return LabelSpace(structures=[{"name": n, "values": (i + 1,)} for i, n in enumerate(names)], kind=kind)


def report_of(names: Sequence[str], cases: int, *, folds: int = 2, missing: bool = True) -> Report:
    """Scores that vary by case; the last case has no distances for the first structure."""
    rng = np.random.default_rng(0)
    scores = []
    for c in range(cases):
        for name in names:
            for metric in METRICS:
                value: float | None = float(rng.uniform(0.5, 1.0))
                gone = missing and c == cases - 1 and name == names[0] and metric in ("hd95", "assd")
                scores.append(
                    Score(
                        case=f"case_{c:03d}",
                        group=f"patient_{c // 2}",
                        structure=name,
                        metric=metric,
                        value=None if gone else value,
                        note="prediction empty" if gone else "",
                        fold=c % folds if folds else None,
                    )
                )
    return Report(title="drawn", scores=scores, aggregates=_aggregates(scores, names), notes=("Empty masks: a note.",))


def _aggregates(scores: Sequence[Score], names: Sequence[str]) -> list[Aggregate]:
    rows = []
    kept: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        kept.setdefault((score.structure, score.metric), []).append(score)
        kept.setdefault(("mean", score.metric), []).append(score)
    for structure in ("mean", *names):
        for metric in METRICS:
            chosen = kept[structure, metric]
            values = [s.value for s in chosen if s.value is not None]
            mean = float(np.mean(values)) if values else None
            rows.append(
                Aggregate(
                    structure=structure,
                    metric=metric,
                    mean=mean,
                    median=mean,
                    low=None if mean is None else mean - 0.02,
                    high=None if mean is None else mean + 0.02,
                    std=0.1,
                    cases=len(values),
                    groups=3,
                    missing=len(chosen) - len(values),
                )
            )
    return rows


def plan_of(labels: LabelSpace, folds: int = 2) -> Plan:
    choice = PartChoice(name="dice_ce", params={"squared": True})
    return Plan(
        channels=("image",),
        labels=labels,
        prepare=PreparePlan(orientation="SPR", spacing=(2.0, 1.0, 1.0), normalise=(Normalisation(),)),
        net=NetSpec(
            in_channels=1,
            out_channels=3,
            widths=(8, 16),
            strides=((1, 1, 1), (2, 2, 2)),
            kernels=((3, 3, 3), (3, 3, 3)),
            encoder_blocks=(2, 2),
            decoder_blocks=(2,),
        ),
        target="classes",
        sample=SamplePlan(policy=PartChoice(name="foreground"), patch=(8, 16, 16)),
        augment=AugmentPlan(steps=(PartChoice(name="mirror"),)),
        train=TrainPlan(
            batch=2, seconds=60, loss=choice, optimiser=choice, schedule=choice, lr=1e-3, weight_decay=1e-2
        ),
        window=WindowPlan(size=(8, 16, 16)),
        folds=folds,
        why={"train.lr": "a reason for the rate", "train.loss": "a reason for the loss", "gone.field": "an orphan"},
        memory={"train": 3 * 2**30},
    )


def drawn_case(name: str, labels: LabelSpace, shape: tuple[int, int, int]) -> WorstCase:
    """Discs of each structure, and a prediction that is shifted by two pixels; the last structure is empty."""
    z, y, x = np.indices(shape)
    masks, moved = [], []
    for i in range(len(labels.structures)):
        centre = (shape[1] * (0.3 + 0.4 * (i % 2)), shape[2] * (0.3 + 0.1 * (i % 5)))
        last = i == len(labels.structures) - 1 and i > 0
        for out, shift in ((masks, 0), (moved, 2)):
            inside = (y - centre[0]) ** 2 + (x - centre[1] - shift) ** 2 < (min(shape[1:]) * 0.15) ** 2
            out.append(inside & (z == shape[0] // 2) & (not last))
    image = 100 * labels.from_masks(masks)[0].astype(float) + x
    spacing = (None, None, None) if shape[0] == 1 else (2.0, 1.0, 0.5)
    scores = {n: 0.5 + 0.01 * i for i, n in enumerate(labels.names)}
    scores[labels.names[-1]] = None
    reference, prediction = labels.from_masks(masks), labels.from_masks(moved)
    return WorstCase(name, f"patient of {name}", 0, scores, image, reference, prediction, spacing)


def log_of(folds: int, names: Sequence[str]) -> dict[int, list[TrainEvent]]:
    events: dict[int, list[TrainEvent]] = {fold: [] for fold in range(folds)}
    for fold in range(folds):
        for step in range(50):
            loss = math.nan if step == 7 else 1 / (step + 1)
            dice = {} if step % 10 else dict.fromkeys(names, 0.5)
            events[fold].append(Step(fold, step, elapsed=step * 2.0, loss=loss, lr=1e-3, pseudo_dice=dice))
    events[0].insert(20, Restart(0, 20, elapsed=40.0, restarted="the loss stayed flat"))
    return events


def chosen_for(structure: str) -> Postprocess:
    kept = Candidate(
        structure=structure, change="keep largest", gain=0.01, error=0.001, changed=4, improved=3, nested=0.008,
        accepted=True, reason="gain holds",
    )  # fmt: skip
    other = Candidate(
        structure="all", change="fill holes", gain=0.02, error=None, changed=0, improved=0, reason="noise"
    )
    return Postprocess(
        chain=Chain(thresholds={structure: 0.4}, steps=(ChainStep(name="keep_largest", structures=(structure,)),)),
        candidates=(other, kept),
        before={structure: 0.8},
        after={structure: 0.81},
        notes=("The rule of choice.",),
    )


@pytest.fixture
def make_run() -> Callable[..., RunContent]:
    """A function from structure names to the content of a page."""

    def make(
        names: Sequence[str] = ("liver", "spleen"),
        *,
        kind: str = "exclusive",
        shape: tuple[int, int, int] = (5, 32, 24),
        cases: int = 6,
        finished: bool = True,
    ) -> RunContent:
        labels = space_of(names, kind)
        ids = [f"case_{c:03d}" for c in range(cases)]
        sources = [Source(path=f"{i}.nii.gz") for i in ids]
        made = [
            Case(id=i, images=(s,), label=(LabelSource(path=s.path),), group=f"patient_{n // 2}")
            for n, (i, s) in enumerate(zip(ids, sources, strict=True))
        ]
        facts = [
            CaseFacts(
                case=i, group=c.group, shape=shape, spacing=(2.0, 1.0, 0.5) if shape[0] > 1 else (None, None, None),
                orientation="SPR", image_type="int16", percentiles=((0, 1, 2, 3, 4),), mean=(0.0,), std=(1.0,),
                zero_share=0.1, content=shape, volumes={n: 40 * k for k, n in enumerate(names)},
            )
            for i, c in zip(ids, made, strict=True)
        ]  # fmt: skip
        finding = Finding(level="note", code="values", what="Values were mapped.")
        warnings = [Finding(level="warning", code="axes", what="Odd axes.", where=i, hint="Look.") for i in ids[:3]]
        folds = (Fold(train=tuple(ids[1::2]), validation=tuple(ids[::2])), Fold(train=(), validation=tuple(ids[1::2])))
        return RunContent(
            title="a run",
            dataset=Dataset(root="scans", layout="pairs", channels=("image",), labels=labels, cases=tuple(made)),
            inspection=Inspection(findings=(finding, *warnings), facts=tuple(facts)),
            plan=plan_of(labels),
            split=Split(folds=folds, groups={}, rule="two folds"),
            report=report_of(names, cases) if finished else Report(scores=(), aggregates=()),
            log=log_of(2, names) if finished else {},
            comparison=[{"run": "a", "dice": 0.9}, {"run": "b", "dice": None}] if finished else (),
            postprocess=chosen_for(names[0]) if finished else None,
            worst=[drawn_case(i, labels, shape) for i in ids[:2]] if finished else (),
            commands={"Predict:": "segwright predict run/model -i new -o out"} if finished else {},
            receipt={"seed": 0, "versions": {"torch": "2.6"}, "durations": {"fit": 125.0}},
        )

    return make
