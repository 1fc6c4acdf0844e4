"""`segwright view`: scans, labels and results in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import Json
from segwright.core.words import amount


def view(
    source: Annotated[Path, typer.Argument(help="Folder of scans or of a run, a dataset.yaml, or a scan.")],
    label: Annotated[
        list[Path] | None, typer.Option("--label", "-l", help="Label of a single scan; may be repeated.")
    ] = None,
    result: Annotated[
        list[Path] | None,
        typer.Option("--result", help="Result to compare: folder, run, RLE table or label; may be repeated."),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free port.")] = 0,
    host: Annotated[str, typer.Option("--host", help="Other than this machine alone, a token is asked for.")] = (
        "127.0.0.1"
    ),
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser.")] = True,
    as_json: Json = False,
) -> None:
    """Look at scans, labels and results in the browser; nothing is changed, nothing leaves this machine."""
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen("Opening the data"):
        from segwright.view.launch import make_viewer

        viewer = make_viewer(source, labels=label or (), results=result or (), host=host, port=port)
    subject = viewer.desk.subject
    told = {"url": viewer.url, "title": subject.title, "kind": subject.kind, "cases": len(viewer.desk.cases)}
    text = f"{subject.title}: {amount(len(viewer.desk.cases), 'case')} at\n\n  {viewer.url}\n\nStop with Ctrl+C."
    emit(told, text, as_json=as_json)
    viewer.run(browser=browser)
