"""`segwright inspect`: how each file was understood, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segwright.cli.options import Data, DataFlag, Json, Quiet, data_folder

if TYPE_CHECKING:
    from segwright.core.case import Dataset

Out = Annotated[
    Path | None, typer.Option("-o", "--out", help="Where to write dataset.yaml; default: here.", show_default=False)
]


def inspect(
    data: Data = None,
    data_flag: DataFlag = None,
    out: Out = None,
    layout: Annotated[str | None, typer.Option("--layout", help="Read the folder as this layout.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how a folder is understood, and what is wrong with it; writes an editable dataset.yaml."""
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen
    from segwright.cli.summary import describe_dataset
    from segwright.report.text import findings_table

    folder, _ = data_folder(data, data_flag, None)
    dataset = segwright.open_dataset(folder, layout=layout)
    with Screen(as_json=as_json, quiet=quiet) as screen:
        found = segwright.inspect(dataset, listen=screen.listen)
    text = f"{describe_dataset(dataset, found)}\n\n{findings_table(found.findings)}\n{_keep(dataset, out)}"
    document = {"dataset": dataset.model_dump(mode="json"), "inspection": found.model_dump(mode="json")}
    emit(document, text, as_json=as_json)
    if found.errors:
        raise typer.Exit(1)


def _keep(dataset: Dataset, out: Path | None) -> str:
    """Write the interpretation; an existing file, which a person may have edited, is only replaced when named."""
    target = Path(dataset.filename) if out is None else out
    target = target / dataset.filename if target.is_dir() or not target.suffix else target
    if out is None and target.exists():
        return f"{target} is there already and was left as it is; name it with -o to replace it."
    dataset.save(target)
    return f"Interpretation written to {target}: edit it and give it instead of the folder."
