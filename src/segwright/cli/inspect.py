"""`segwright inspect`: how each file was understood, what the data hold, and what is wrong with them."""

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
Page = Annotated[
    Path | None, typer.Option("--report", help="Also write a page with plots and pictures.", show_default=False)
]


def inspect(
    data: Data = None,
    data_flag: DataFlag = None,
    out: Out = None,
    page: Page = None,
    layout: Annotated[str | None, typer.Option("--layout", help="Read the folder as this layout.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how a folder is understood, what is in it, and what is wrong with it; writes an editable dataset.yaml."""
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    _refuse_other_page(page)
    folder, _ = data_folder(data, data_flag, None)
    with Screen("Opening the data", quiet=quiet) as screen:
        from segwright.api.explore import explore, write_page

        dataset = segwright.open_dataset(folder, layout=layout)
        explored = explore(dataset, listen=screen.listen, thumbs=page is not None)
        if page is not None:
            write_page(explored, dataset, page, listen=screen.listen)
    from segwright.cli.summary import describe_dataset
    from segwright.core.case import UNLABELLED
    from segwright.report.text import exploration_text, findings_table

    found = explored.inspection
    kept = _keep(dataset, out) + (f"\nPage written to {page}." if page is not None else "")
    parts = [describe_dataset(dataset, found), exploration_text(explored.exploration), findings_table(found.findings)]
    document = {
        "dataset": dataset.model_dump(mode="json"),
        "inspection": found.model_dump(mode="json"),
        "exploration": explored.exploration.model_dump(mode="json"),
    }
    emit(document, "\n\n".join(part for part in [*parts, kept] if part), as_json=as_json)
    if any(finding.code != "no-labels" or dataset.layout != UNLABELLED for finding in found.errors):
        raise typer.Exit(1)  # scans without labels are nothing wrong: there is nothing to learn from yet


def _refuse_other_page(page: Path | None) -> None:
    """Nothing is read before the name of the page is known to be one."""
    from segwright.core.errors import UsageError

    if page is not None and page.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(
            "The page is HTML.", expected="a name that ends in .html", got=page.name, hint="--report page.html"
        )


def _keep(dataset: Dataset, out: Path | None) -> str:
    """Write the interpretation; an existing file, which a person may have edited, is only replaced when named."""
    target = Path(dataset.filename) if out is None else out
    target = target / dataset.filename if target.is_dir() or not target.suffix else target
    if out is None and target.exists():
        return f"{target} is there already and was left as it is; name it with -o to replace it."
    dataset.save(target)
    return f"Interpretation written to {target}: edit it and give it instead of the folder."
