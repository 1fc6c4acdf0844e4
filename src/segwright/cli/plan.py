"""`segwright plan`: what will be done, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import (
    Budget,
    Data,
    DataFlag,
    Folds,
    Json,
    Overrides,
    Quiet,
    RecipeName,
    Seed,
    data_folder,
    recipe_fields,
)


def plan(
    data: Data = None,
    overrides: Overrides = None,
    data_flag: DataFlag = None,
    recipe: RecipeName = "default",
    budget: Budget = None,
    folds: Folds = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write plan.json here.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every number with its reason, and the limits.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what would be done with a folder, and with --all why; trains nothing."""
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen("Opening the data", quiet=quiet) as screen:
        from segwright.api.planning import plan as make
        from segwright.api.planning import resolve_recipe

        folder, words = data_folder(data, data_flag, overrides)
        chosen = resolve_recipe(recipe, recipe_fields(words, budget, folds, seed))
        made = make(segwright.open_dataset(folder), chosen, listen=screen.listen)
    from segwright.report.text import limits_table, plan_summary, plan_table

    file = None if out is None else made.save(out / "plan.json" if not out.suffix else out)
    more = f"Edit {file}, then: segwright fit {folder} --plan {file}" if file else "Every number and its reason: --all"
    text = f"{plan_table(made)}\n\n{limits_table(made)}" if everything else f"{plan_summary(made)}\n\n{more}"
    emit(made, text, as_json=as_json)
