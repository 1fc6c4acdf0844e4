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
    host: Annotated[str, typer.Option("--host", help="0.0.0.0 opens it to the network.")] = "127.0.0.1",
    token: Annotated[
        bool, typer.Option("--token/--no-token", help="Ask every visitor for the token in the printed address.")
    ] = True,
    tls: Annotated[
        tuple[Path, Path] | None, typer.Option("--tls", metavar="CERT KEY", help="Certificate and key (PEM) for https.")
    ] = None,
    case: Annotated[str, typer.Option("--case", help="Case to open first.")] = "",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser.")] = True,
    as_json: Json = False,
) -> None:
    """Look at scans, labels and results in the browser; nothing is changed, nothing leaves this machine."""
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen(f"Opening {source}"):
        from segwright.view.launch import Address, make_viewer

        address = Address(host, port, token, tls)
        viewer = make_viewer(source, labels=label or (), results=result or (), address=address, case=case)
    subject = viewer.session.opened
    count = len(viewer.session.cases)
    told = {
        "url": viewer.url, "urls": list(viewer.urls), "title": subject.title, "kind": subject.kind, "cases": count,
    }  # fmt: skip
    lines = "\n".join(f"  {url}" for url in viewer.urls)
    text = f"{subject.title}: {amount(count, 'case')} at\n\n{lines}\n\nStop with Ctrl+C."
    emit(told, text, as_json=as_json)
    viewer.run(browser=browser)
