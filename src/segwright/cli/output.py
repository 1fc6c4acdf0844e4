"""Results on standard output: text for people, one JSON document for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel


def emit(document: BaseModel | dict[str, Any] | list[Any], text: str, *, as_json: bool) -> None:
    """Print `text`, or `document` as JSON."""
    if not as_json:
        typer.echo(text)
        return
    data = document if isinstance(document, (dict, list)) else document.model_dump(mode="json")
    typer.echo(json.dumps(data, indent=1, default=str))
