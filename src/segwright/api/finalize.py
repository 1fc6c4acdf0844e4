"""What a fit ends with: post-processing, out-of-fold scores, the page, and the model folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.api.instances import choose_decoder
from segwright.api.out_of_fold import JudgedCase, Shelf, predict_out_of_fold
from segwright.api.report_context import calibrate, content, title_of
from segwright.api.run import Run
from segwright.core.deadline import Deadline
from segwright.core.document import Document
from segwright.core.errors import UsageError
from segwright.core.events import Listen, Stage, tracked
from segwright.core.inspection import Finding
from segwright.core.report import Report
from segwright.evaluation.aggregate import MEAN
from segwright.evaluation.compare import filled, floor_of, told
from segwright.evaluation.score import LabelPair, evaluate_pairs
from segwright.evaluation.second_look import Judged, doubts
from segwright.export.bundle import write_bundle
from segwright.io.load import load_image
from segwright.metrics.table import score_case
from segwright.planning.domain import domain_of
from segwright.postprocess.chain import Chain
from segwright.postprocess.search import Postprocess, search
from segwright.prediction.objects import usual_chain
from segwright.quality.judgement import Judgement, unit_of, volumes_of
from segwright.quality.learn import Known, learn
from segwright.quality.signals import Signals
from segwright.report.content import WorstCase
from segwright.report.html import write

#: Worst cases drawn on the page.
WORST = 12


def conclude(run: Run, *, listen: Listen, device: str, deadline: Deadline | None = None) -> Run:
    """Judge all finished folds and leave `postprocess.json`, `report/` and `model/`.

    May be called again after more folds have finished. The search of post-processing stops at the deadline.

    Raises:
        UsageError: No fold has finished.
    """
    if not run.finished:
        raise UsageError(
            "No fold of this run has finished.",
            where=run.folder,
            hint="Go on with 'segwright fit DATA -o RUN --resume'.",
        )
    for fold in run.finished:
        predict_out_of_fold(run, fold, device=device, listen=listen)
    shelf = Shelf(run.folder)
    cases = [JudgedCase(run, case, fold, shelf) for fold in run.finished for case in run.split.folds[fold].validation]
    chosen = _search(run, cases, listen, deadline)
    listen(Stage("report"))
    report = _score(run, cases, chosen.chain)
    report = _beside_constant(report, run, cases)
    report = report.model_copy(update={"findings": tuple(second_looks(run, cases, chosen.chain, report))})
    report.save(run.report_file)
    weights = {fold: run.weights(fold) for fold in run.finished}
    beside: list[Document] = [domain_of(run.plan, run.dataset, run.inspection.facts)]
    beside += [chosen.chain] if chosen.chain != Chain() else []
    judgement = _learn_quality(run, cases, chosen.chain, report)
    beside += [judgement] if judgement else []
    name = title_of(run)
    write_bundle(run.model_folder, plan=run.plan, weights=weights, report=report, beside=beside, name=name)
    calibrate(run, cases)
    write(content(run, report, chosen, _worst(cases, report, chosen.chain, listen)), run.page)
    shelf.close()
    return run


def dice(reference: NDArray[np.bool_], prediction: NDArray[np.bool_], *, spacing: Any = None) -> float | None:
    """Dice of two masks, `None` where both are empty; counts directly, as the search asks for it thousands of times.

    Example:
        >>> dice(np.array([True, True]), np.array([True, False])) == 2 / 3
        True
    """
    total = int(np.count_nonzero(reference)) + int(np.count_nonzero(prediction))
    return 2 * int(np.count_nonzero(reference & prediction)) / total if total else None


def _search(run: Run, cases: list[JudgedCase], listen: Listen, deadline: Deadline | None) -> Postprocess:
    if not cases or not run.plan.postprocess:
        return Postprocess(chain=usual_chain(run.plan.target), notes=("Post-processing was not searched.",))
    listen(Stage("postprocess", cases=len(cases)))
    if run.plan.labels.instances:
        chosen = choose_decoder([case.at_scale() for case in cases], run.plan, listen=listen, deadline=deadline)
        chosen.save(run.postprocess_file)
        return chosen
    chosen = search(cases, run.plan.labels, score=dice, deadline=deadline)
    chosen.save(run.postprocess_file)
    return chosen


def _score(run: Run, cases: list[JudgedCase], chain: Chain) -> Report:
    if not cases:
        return Report(title=run.folder.name, scores=(), aggregates=(), notes=("No fold kept validation cases.",))
    space = run.plan.labels
    return evaluate_pairs(_pairs(cases, chain), space, tolerance=run.plan.tolerance, title=run.folder.name)


def _beside_constant(report: Report, run: Run, cases: list[JudgedCase]) -> Report:
    """The report with what a constant prediction scores on the same cases."""
    references = [filled(case.case, case.group, case.fold, case.reference(), run.plan.labels) for case in cases]
    reached = {
        row.case: row.value
        for row in report.scores
        if (row.structure, row.metric) == (MEAN, "dice") and row.value is not None
    }
    floor = floor_of(references, reached)
    if floor is None:
        return report
    return report.model_copy(update={"floor": floor, "notes": (*report.notes, told(floor))})


def _pairs(cases: list[JudgedCase], chain: Chain) -> Iterator[LabelPair]:
    for case in cases:
        yield LabelPair(
            case.case, case.group, case.geometry.spacing, case.reference(), case.predicted(chain), case.fold
        )


def _learn_quality(run: Run, cases: list[JudgedCase], chain: Chain, report: Report) -> Judgement | None:
    """What signals of doubt meant for these cases; `None` in runs of earlier versions, which looked for none."""
    signals = {case: rows for fold in run.finished for case, rows in run.signals(fold).items()}
    if not cases or not all(signals.get(case.case) for case in cases):
        return None
    space, unit = run.plan.labels, unit_of([case.geometry for case in cases])
    dice = {(row.case, row.structure): row.value for row in report.scores if row.metric == "dice"}
    known = []
    for case in cases:
        volumes = (
            volumes_of(labels, space, case.geometry, unit) for labels in (case.predicted(chain), case.reference())
        )
        scores = {name: dice.get((case.case, name)) for name in space.names}
        known.append(Known(case.group, Signals.from_data(signals[case.case]), scores, *volumes))
    return learn(known, space.names, unit)


def second_looks(run: Run, cases: list[JudgedCase], chain: Chain, report: Report) -> Iterator[Finding]:
    """Labels that are worth a second look, case by case; none by a model that a constant prediction equals."""
    if report.floor is not None and not report.floor.passed:
        return
    space, facts = run.plan.labels, run.inspection.facts
    shares = {
        name: [fact.volumes[name] / math.prod(fact.shape) for fact in facts if fact.volumes.get(name)]
        for name in space.names
    }
    usual = {name: float(np.median(found)) for name, found in shares.items() if found}
    rows = {row.structure: row.median for row in report.aggregates if row.metric == "dice"}
    known = {name: median for name, median in rows.items() if median is not None}
    for case in cases:
        judged = Judged(case.case, case.reference(), case.predicted(chain), case.scores())
        yield from doubts(judged, space, usual=usual, known=known)


def _worst(cases: list[JudgedCase], report: Report, chain: Chain, listen: Listen) -> Iterator[WorstCase]:
    """The cases with the lowest mean Dice, one in memory at a time; those it is undefined for come first."""
    means = {row.case: row.value for row in report.scores if row.structure == MEAN and row.metric == "dice"}
    order = sorted(cases, key=lambda case: -1.0 if means.get(case.case) is None else means[case.case] or 0.0)
    return (drawn_case(case, chain) for case in tracked(order[:WORST], listen, "report"))


def final_chain(run: Run) -> Chain:
    """The post-processing a run ended with."""
    if run.postprocess_file.exists():
        return Postprocess.load(run.postprocess_file).chain
    return usual_chain(run.plan.target)


def drawn_case(case: JudgedCase, chain: Chain) -> WorstCase:
    """A judged case with what is needed to draw it."""
    run = case.run
    space = run.plan.labels
    prediction = case.predicted(chain)
    reference = case.reference()
    rows = score_case(space, reference, prediction, metrics=["dice"])
    image = load_image(run.dataset, run.dataset.case(case.case))
    return WorstCase(
        case=case.case,
        group=case.group,
        fold=case.fold,
        scores={row.structure: row.value for row in rows},
        image=image.array()[0],
        reference=reference,
        prediction=prediction,
        spacing=case.geometry.spacing,
        orientation=case.geometry.orientation if all(case.geometry.known) else "",
    )
