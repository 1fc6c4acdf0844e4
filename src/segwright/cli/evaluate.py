"""`segwright evaluate`: predictions against references, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import Json, Quiet

Reference = Annotated[
    Path, typer.Argument(help="Dataset (folder or dataset.yaml), labels alone, or one volume of ids.")
]
Prediction = Annotated[Path, typer.Argument(help="Predictions in any form of labels, or one volume of ids.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="Write .json, .csv or .html.", show_default=False)]
Metrics = Annotated[
    list[str] | None,
    typer.Option("-m", "--metric", help="Score only this, e.g. dice; may be repeated.", show_default=False),
]
Tolerance = Annotated[
    float | None, typer.Option("--tolerance", help="Of surface Dice, in mm; default: 1, or two of the smallest pixels.")
]

Instances = Annotated[bool, typer.Option("--instances", help="Values number objects: score objects found.")]


def evaluate(
    reference: Reference,
    prediction: Prediction,
    out: Out = None,
    instances: Instances = False,
    metrics: Metrics = None,
    tolerance: Tolerance = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score predictions against references: per case and structure, in mm, with 95 % intervals."""
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen("Pairing the labels", quiet=quiet) as screen:
        report = segwright.evaluate(
            reference,
            prediction,
            space="instances" if instances else None,
            metrics=metrics or (),
            tolerance=tolerance,
            out=out,
            listen=screen.listen,
        )
    from segwright.report.text import objects_table, of_objects, score_table

    written = f"\n\nReport   {out}" if out is not None else ""
    table = objects_table(report) if of_objects(report) else score_table(report)
    emit(report, table + written, as_json=as_json)
