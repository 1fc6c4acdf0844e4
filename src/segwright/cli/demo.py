"""`segwright demo`: the whole job on phantoms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import Device, Json, Quiet

Names = Annotated[list[str] | None, typer.Argument(help="Phantoms; all by default.", show_default=False)]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder to work in.")]


def demo(
    names: Names = None,
    out: Out = Path("demo"),
    minutes: Annotated[float, typer.Option("--minutes", help="Minutes for each fit.")] = 1.8,
    seed: Annotated[int, typer.Option("--seed", help="Of the phantoms.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw phantoms, fit three folds, predict held-out ones, and show scores and report."""
    from segwright.api.demo import demo as run_demo
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen
    from segwright.phantoms import PHANTOMS
    from segwright.report.text import score_table

    done = []
    for name in names or list(PHANTOMS):
        with Screen(as_json=as_json, quiet=quiet) as screen:
            result = run_demo(name, out / name, minutes=minutes, seed=seed, device=device, listen=screen.listen)
        done.append({"name": name, "run": str(result.run.folder), "held_out": result.held_out.model_dump(mode="json")})
        text = f"\n{name}: out of fold\n{score_table(result.run.report)}\n\n{name}: held-out phantoms\n"
        text += f"{score_table(result.held_out)}\n\nReport   {result.run.page}\nModel    {result.run.model_folder}\n"
        if not as_json:
            emit({}, text, as_json=False)
    if as_json:
        emit(done, "", as_json=True)
