"""`segwright compare`: is the difference between recipes, runs or reports real?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import (
    Budget,
    Device,
    Folds,
    Json,
    Quiet,
    Scheduler,
    Seed,
    Workers,
    fold_numbers,
    recipe_fields,
)

Words = Annotated[
    list[str], typer.Argument(help="Runs or report.json files; or, with -r, a data folder and key=value overrides.")
]
Recipes = Annotated[
    list[str] | None, typer.Option("-r", "--recipe", help="Fit this recipe; give it twice or more.", show_default=False)
]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for runs, table and page.")]
Only = Annotated[list[str] | None, typer.Option("-f", "--fold", help="Train these folds only.", show_default=False)]


def compare(
    words: Words,
    recipe: Recipes = None,
    out: Out = Path("comparison"),
    budget: Budget = None,
    folds: Folds = None,
    only: Only = None,
    seed: Seed = None,
    device: Device = "auto",
    metric: Annotated[str, typer.Option("--metric", help="Shown when two reports are compared.")] = "dice",
    only_common: Annotated[
        bool, typer.Option("--only-common", help="Two reports: compare the cases that both hold, and leave out others.")
    ] = False,
    workers: Workers = 0,
    scheduler: Scheduler = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare recipes on the same folds, finished runs, or two reports: differences with intervals, case by case."""
    from segwright.cli.output import emit

    if recipe:
        from segwright.cli.screen import Screen

        with Screen("Opening the data", quiet=quiet) as screen:
            from segwright.api.compare_recipes import contest

            fields = recipe_fields(words[1:], budget, folds, seed)
            found = contest(
                words[0],
                recipe,
                out=out,
                only=fold_numbers(only),
                device=device,
                listen=screen.listen,
                workers=workers,
                scheduler=scheduler,
                **fields,
            )
        from segwright.report.comparison import contest_table

        emit(found, f"{contest_table(found)}\n\nPage     {out / 'contest.html'}", as_json=as_json)
    elif all((Path(word) / "plan.json").exists() for word in words) and len(words) > 1:
        from segwright.api.compare_recipes import compare_runs
        from segwright.api.run import Run

        names = [Path(word).name for word in words]
        clear = len(set(names)) == len(words)
        runs = {name if clear else word: Run.open(word) for name, word in zip(names, words, strict=True)}
        found = compare_runs(runs, out)
        from segwright.report.comparison import contest_table

        emit(found, f"{contest_table(found)}\n\nPage     {out / 'contest.html'}", as_json=as_json)
    else:
        _two_reports(words, metric, only_common, as_json)


def _two_reports(words: list[str], metric: str, only_common: bool, as_json: bool) -> None:
    """Paired differences of two reports."""
    import segwright
    from segwright.cli.output import emit
    from segwright.core.errors import UsageError
    from segwright.report.text import aligned

    if len(words) != 2:
        raise UsageError(
            "Cannot tell what to compare.",
            expected="two report.json files, two or more runs, or a data folder with -r given twice",
            got=", ".join(words),
            hint="segwright compare scans/ -r default -r resenc -o comparison",
        )
    found = segwright.compare(*words, only_common=only_common)
    rows = [["structure", "second-first", "95 % interval", "p", "better/worse"]]
    for row in found.rows:
        if row.metric == metric:
            interval = "–" if row.low is None or row.high is None else f"{row.low:+.4f} to {row.high:+.4f}"
            mean = "–" if row.mean is None else f"{row.mean:+.4f}"
            p = "–" if row.p is None else f"{row.p:.4f}"
            rows.append([row.structure, mean, interval, p, f"{row.wins}/{row.losses}"])
    emit(found, "\n".join([*aligned(rows), "", *found.notes]), as_json=as_json)
