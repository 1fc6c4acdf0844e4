"""`segwright inspect`: how each file was understood, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import Data, DataFlag, Json, Quiet, data_folder

Out = Annotated[Path | None, typer.Option("-o", "--out", help="Where to write dataset.yaml.", show_default=False)]


def inspect(
    data: Data = None,
    data_flag: DataFlag = None,
    out: Out = None,
    layout: Annotated[str | None, typer.Option("--layout", help="Read the folder as this layout.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how a folder is understood, and what is wrong with it; writes an editable dataset.yaml with -o."""
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen
    from segwright.cli.summary import describe_dataset
    from segwright.report.text import findings_table

    folder, _ = data_folder(data, data_flag, None)
    dataset = segwright.open_dataset(folder, layout=layout)
    with Screen(as_json=as_json, quiet=quiet) as screen:
        found = segwright.inspect(dataset, listen=screen.listen)
    if out is not None:
        target = out / "dataset.yaml" if out.is_dir() or not out.suffix else out
        dataset.save(target)
    text = f"{describe_dataset(dataset, found)}\n\n{findings_table(found.findings)}"
    document = {"dataset": dataset.model_dump(mode="json"), "inspection": found.model_dump(mode="json")}
    emit(document, text, as_json=as_json)
    if found.errors:
        raise typer.Exit(1)
