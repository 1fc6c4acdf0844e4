"""`segwright fit`: from labelled scans to a validated model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from segwright.cli.options import (
    Budget,
    Data,
    DataFlag,
    Device,
    Folds,
    Json,
    Overrides,
    Quiet,
    RecipeName,
    Scheduler,
    Seed,
    Workers,
    data_folder,
    fold_numbers,
    recipe_fields,
)

Out = Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.")]
Only = Annotated[
    list[str] | None,
    typer.Option("-f", "--fold", help="Train these folds only; 'all' trains on all cases.", show_default=False),
]
Devices = Annotated[
    int, typer.Option("--devices", min=1, help="Train each network on N GPUs together (on a CPU: N processes).")
]
InitFrom = Annotated[
    str | None,
    typer.Option(
        "--init-from", help="Start from the weights of a run, a model folder or a file; freeze=0.2 keeps its encoder."
    ),
]
PlanFile = Annotated[
    Path | None,
    typer.Option("--plan", help="Train this plan.json as it stands; 'segwright plan -o plan.json' makes one to edit."),
]

#: Exit code of a fit whose model is not shown to be better than a constant prediction.
USELESS = 3


def fit(
    data: Data = None,
    overrides: Overrides = None,
    data_flag: DataFlag = None,
    out: Out = Path("run"),
    recipe: RecipeName = "default",
    budget: Budget = None,
    folds: Folds = None,
    only: Only = None,
    seed: Seed = None,
    init_from: InitFrom = None,
    plan: PlanFile = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    workers: Workers = 0,
    scheduler: Scheduler = None,
    devices: Devices = 1,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train, validate and bundle a segmenter from a folder of labelled scans."""
    began = time.perf_counter()
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    everything = only == ["all"]
    with Screen("Opening the data", quiet=quiet) as screen:
        folder, words = data_folder(data, data_flag, overrides)
        fields = recipe_fields(words, budget, 0 if everything else folds, seed)
        if init_from is not None:
            fields["init_from"] = init_from
        run = segwright.fit(
            folder,
            recipe,
            out=out,
            only=None if everything else fold_numbers(only),
            device=device,
            resume=resume,
            listen=screen.listen,
            workers=workers,
            scheduler=scheduler,
            devices=devices,
            began=began,
            plan=plan,
            **fields,
        )
    from segwright.report.text import doubts_line, fold_table, score_table

    report = run.report
    text = f"{fold_table(report, run.log())}\n\n{score_table(report)}\n\n{doubts_line(report)}"
    text += f"Report   {run.page}\nModel    {run.model_folder}\n"
    text += f"Predict  segwright predict {run.model_folder} -i new/ -o out/"
    document: dict[str, Any] = {
        "run": str(run.folder),
        "model": str(run.model_folder),
        "report": str(run.page),
        "aggregates": [row.model_dump(mode="json") for row in report.aggregates],
        "notes": list(report.notes),
        "findings": [finding.model_dump(mode="json") for finding in report.findings],
    }
    document["floor"] = None if report.floor is None else report.floor.model_dump(mode="json")
    emit(document, text, as_json=as_json)
    if report.floor is not None and not report.floor.passed:
        _tell_useless(data, run.folder)
        raise typer.Exit(USELESS)


def _tell_useless(data: Path | None, run: Path) -> None:
    """What to do with a model that has learnt nothing, on standard error."""
    typer.echo(
        "\nThis model is not shown to do better than one and the same mask for every scan (see the notes above), so do "
        "not use its masks. The run is complete and can be looked at.\n"
        f"  Do images and labels belong together?   segwright inspect {data or 'DATA'}\n"
        f"  What does it predict?                   segwright view {run}\n"
        f"  Train longer, or with more scans:       segwright fit {data or 'DATA'} -t 20m -o {run}-2",
        err=True,
    )
