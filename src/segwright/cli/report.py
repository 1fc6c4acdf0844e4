"""`segwright report`: the page of a run, written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import Device, Json, Quiet


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score the finished folds again and write the report and the model of a run."""
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen("Opening the run", quiet=quiet) as screen:
        from segwright.api.finalize import conclude
        from segwright.api.lock import locked
        from segwright.api.run import Run

        with locked(Run.open(run).folder):
            done = conclude(Run.open(run), listen=screen.listen, device=device)
    from segwright.report.text import score_table

    emit(done.report, f"{score_table(done.report)}\n\nReport   {done.page}", as_json=as_json)
