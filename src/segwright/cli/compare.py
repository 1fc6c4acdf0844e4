"""`segwright compare`: is the difference between two runs or reports real?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import Json

First = Annotated[Path, typer.Argument(help="Run folder or report.json.")]
Second = Annotated[Path, typer.Argument(help="The one it is compared with.")]


def compare(
    first: First,
    second: Second,
    metric: Annotated[str, typer.Option("--metric", help="Shown in the table.")] = "dice",
    as_json: Json = False,
) -> None:
    """Compare two runs case by case: mean difference, interval and significance."""
    import segwright
    from segwright.cli.output import emit

    found = segwright.compare(first, second)
    lines = [f"{'structure':24} {'second-first':>12}  {'95 % interval':>20}  {'p':>7}  better/worse"]
    for row in found.rows:
        if row.metric == metric:
            interval = "–" if row.low is None or row.high is None else f"{row.low:+.4f} to {row.high:+.4f}"
            mean = "–" if row.mean is None else f"{row.mean:+.4f}"
            p = "–" if row.p is None else f"{row.p:.4f}"
            lines.append(f"{row.structure[:24]:24} {mean:>12}  {interval:>20}  {p:>7}  {row.wins}/{row.losses}")
    emit(found, "\n".join([*lines, "", *found.notes]), as_json=as_json)
