"""The pages of a run and of a bare evaluation: one HTML file that needs no network, no scripts and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

import segwright
from segwright.core.disk import atomic_path
from segwright.core.events import Note
from segwright.core.labels import LabelSpace
from segwright.core.plan import NetSpec
from segwright.core.report import Report
from segwright.core.words import amount, duration
from segwright.report import plots, tables
from segwright.report.content import RunContent, WorstCase
from segwright.report.explored import explored_page
from segwright.report.pictures import drawn
from segwright.report.plots import reliability, unmeasured
from segwright.report.tables import gaps
from segwright.report.wording import (
    MISSING,
    Column,
    colour,
    columns_of,
    interval,
    number,
    plain,
    shape,
    short,
)

#: Metrics whose distribution is drawn at once; those of the others unfold.
_DRAWN_FIRST = ("dice", "hd95", "accuracy_75")
#: Structures beyond which one plot is long enough.
_MOST_STRIPS = 12


def render(content: RunContent) -> str:
    """The page as text; every text in `content` is escaped.

    Nothing is left out silently: tables and plots that would be too large say what they omit.
    """
    return template("run.html").render(**_context(content))


def write(content: RunContent, path: str | Path) -> Path:
    """Render to `path`; the file appears only when whole."""
    return write_text(render(content), path)


def write_text(text: str, path: str | Path) -> Path:
    """Write a finished page; the file appears only when whole."""
    path = Path(path)
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(shape=shape, plain=plain, short=short)
    return environment


def template(name: str) -> jinja2.Template:
    """A page template; an unknown variable in it is an error, not a blank."""
    return _environment().get_template(name)


def score_context(report: Report, columns: Sequence[Column], colours: Mapping[str, str]) -> dict[str, Any]:
    """What the score sections need: table, distributions and cases; shared by all pages."""
    drawn = [plot for plot in (plots.strip_plot(report, item) for item in columns) if plot is not None]
    few = bool(drawn) and len(drawn[0].strips) <= _MOST_STRIPS
    first = [plot for plot in drawn if few and plot.column.name in _DRAWN_FIRST] or drawn[:1]
    return {
        "version": segwright.__version__,
        "colours": colours,
        "notes": report.notes,
        "scores": tables.score_table(report, columns),
        "cases": tables.case_table(report, columns),
        "strips_first": first,
        "strips_more": [plot for plot in drawn if plot not in first],
        "gaps": gaps(report),
    }


def headline(report: Report, columns: Sequence[Column]) -> dict[str, Any] | None:
    """The one number: mean foreground Dice, or the first metric there is; `None` without scores."""
    for shown in sorted(columns, key=lambda item: item.name != "dice"):
        row = report.aggregate("mean", shown.name)
        if row is not None and row.mean is not None:
            return {
                "column": shown,
                "value": number(row.mean, shown.digits),
                "interval": interval(row.low, row.high, shown.digits),
                "row": row,
                "bar": (row.low, row.mean, row.high) if shown.limit == 1.0 and row.low is not None else None,
            }
    return None


def _context(content: RunContent) -> dict[str, Any]:
    columns = columns_of(content.report)
    labels = content.plan.labels
    colours = {name: colour(labels, i) for i, name in enumerate(labels.names)}
    return {
        **score_context(content.report, columns, colours),
        "title": content.title,
        "headline": headline(content.report, columns),
        "tiles": _tiles(content),
        "worst": [drawn(item, labels) for item in content.worst],
        "structure_count": len(labels.structures),
        "compared": True,
        "viewer": content.viewer,
        "case_count": 0,
        "explored": None if content.exploration is None else explored_page(content.exploration),
        "reliability": reliability(content.calibration, colours),
        "unmeasured": unmeasured(content.calibration),
        "comparison": list(content.comparison),
        "curves": plots.curve_plots(content.log),
        "dataset": content.dataset,
        "data": tables.data_table(content.inspection.facts, labels.names, _validated_in(content)),
        "rule": content.split.rule,
        "findings": tables.finding_groups(content.inspection.findings),
        "doubts": content.report.findings,
        "plan": tables.plan_sections(content.plan),
        "choice": None if content.postprocess is None else tables.choice(content.postprocess),
        "commands": content.commands,
        "receipt": tables.receipt_rows(content.receipt),
    }


def _validated_in(content: RunContent) -> dict[str, int]:
    return {case: index for index, fold in enumerate(content.split.folds) for case in fold.validation}


def _tiles(content: RunContent) -> list[tuple[str, str, str]]:
    """Label, value and detail of the facts beside the headline."""
    dataset, plan = content.dataset, content.plan
    scored = {score.case for score in content.report.scores}
    folds = {score.fold for score in content.report.scores if score.fold is not None}
    groups = len({case.group for case in dataset.labelled})
    seconds = [
        max((event.elapsed for event in events if not isinstance(event, Note)), default=0.0)
        for events in content.log.values()
    ]
    grouped = f", {amount(groups, 'group')}" if groups != len(dataset.labelled) else ""
    return [
        ("cases", str(len(dataset.labelled)), f"{len(scored)} scored out of fold{grouped}"),
        ("structures", str(len(plan.labels.structures)), plan.labels.kind),
        ("folds", f"{len(folds)} of {plan.folds}" if plan.folds else "none", "finished"),
        ("training", duration(sum(seconds)) if seconds else MISSING, "all folds together"),
        ("model", plan.net.name, model_line(plan.net, plan.sample.patch)),
    ]


def model_line(net: NetSpec, patch: Sequence[int]) -> str:
    """A network in a few words."""
    sees = {0: "3-D", 1: "2-D"}.get(net.slab, f"2.5-D, {net.slab} slices")
    return f"{sees}, {len(net.widths)} levels, {net.widths[0]}–{max(net.widths)} channels, patch {shape(patch)}"


def render_evaluation(
    report: Report,
    *,
    labels: LabelSpace | None = None,
    worst: Iterable[WorstCase] = (),
    receipt: Mapping[str, Any] | None = None,
    viewer: str = "",
) -> str:
    """Score table, distributions and all cases as one page in the style of a run's page.

    Args:
        report: What to show; its title is the heading.
        labels: Gives the structures their colours.
        worst: Cases to draw, worst first; taken one by one. Needs `labels`.
        receipt: Versions, command and the like; may nest one level.
        viewer: Command that opens references and predictions in the viewer; `--case` is added.
    """
    columns = columns_of(report)
    colours = {} if labels is None else {name: colour(labels, i) for i, name in enumerate(labels.names)}
    groups = {score.group for score in report.scores}
    pictures = [drawn(case, labels) for case in worst] if labels is not None else []
    return template("evaluation.html").render(
        **score_context(report, columns, colours),
        title=report.title or "Evaluation",
        headline=headline(report, columns),
        tiles=[
            ("cases", _counted(report), amount(len(groups), "group")),
            ("structures", str(len({s.structure for s in report.scores} - {"mean"})), "scored"),
            ("metrics", str(len(columns)), "each case and structure"),
        ],
        worst=pictures,
        compared=True,
        viewer=viewer,
        structure_count=0 if labels is None else len(labels.structures),
        receipt=tables.receipt_rows(receipt or {}),
    )


def write_evaluation(report: Report, path: str | Path, **content: Any) -> Path:
    """Render to `path`, with what `render_evaluation` takes; the file appears only when whole."""
    return write_text(render_evaluation(report, **content), path)


def _counted(report: Report) -> str:
    """How many cases were scored, of how many."""
    every = {score.case for score in report.scores}
    scored = {score.case for score in report.scores if score.value is not None}
    return str(len(every)) if scored == every else f"{len(scored)} of {len(every)}"
