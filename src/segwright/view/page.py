"""The page's own files, and the page with what it would ask for first already inside: one answer instead of five."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from segwright.view.wire import as_json

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
#: Where the page's head takes in what is told.
_MARK = b"<!-- told -->"


def page_files() -> dict[str, tuple[bytes, str]]:
    """The page's files by name, read once; nothing else can be asked for."""
    folder = files("segwright.view").joinpath("static")
    found = [entry for entry in folder.iterdir() if Path(entry.name).suffix in _TYPES]
    return {entry.name: (entry.read_bytes(), _TYPES[Path(entry.name).suffix]) for entry in found}


def filled(html: bytes, scripts: list[str], told: dict[str, Any]) -> bytes:
    r"""The page with all scripts named in its head, so that they are fetched side by side, and data it starts from.

    Args:
        html: The page as it lies in the package.
        scripts: Names of its modules.
        told: Answers that the page would ask for next; text of a visitor's files cannot end the element it stands in.

    Example:
        >>> filled(b"<!-- told -->", ["a.js"], {"title": "</script>"}).decode().splitlines()[1]
        '<script type="application/json" id="told">{"title":"\\u003c/script>"}</script>'
    """
    links = [f'<link rel="modulepreload" href="/static/{name}">' for name in scripts]
    text = as_json(told).replace("<", "\\u003c")
    lines = [*links, f'<script type="application/json" id="told">{text}</script>']
    return html.replace(_MARK, "\n".join(lines).encode(errors="replace"), 1)
