"""`segwright nets`: which networks there are, where they come from, and how large they are."""

from __future__ import annotations

from textwrap import indent, wrap
from typing import Annotated, Any

import typer

from segwright.cli.options import Json, Quiet


def nets(
    name: Annotated[str | None, typer.Argument(help="Show this network in full.", show_default=False)] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List networks with source, dimensions and trainable parameters, or show one in full."""
    from segwright.cli.output import emit
    from segwright.nets import NETS
    from segwright.nets.describe import details, summary

    if name is not None:
        facts = details(name)
        emit(facts, _page(facts), as_json=as_json)
        return
    found = {each: summary(each) for each in NETS}
    emit(found, "\n".join(_entry(each, facts) for each, facts in found.items()), as_json=as_json)


def _entry(name: str, facts: dict[str, Any]) -> str:
    head = f"{name:24} {_dimensions(facts):9} {_count(facts):>12}"
    return "\n".join([head, *_paragraph(facts["about"]), *_paragraph(facts["source"]), *_paragraph(facts.get("note"))])


def _page(facts: dict[str, Any]) -> str:
    lines = [_entry(facts["name"], facts)]
    if facts["spec"]:
        lines += ["", "Setting of the source", f"  input (z, y, x): {' x '.join(map(str, facts['size']))}"]
        lines += [f"  {key}: {value}" for key, value in facts["spec"].items()]
    lines += ["", "Own parameters", *(f"  {key}: {value!r}" for key, value in facts["settings"].items())]
    return "\n".join([*lines, "", indent(facts["help"] or "", "  ")])


def _paragraph(text: str | None) -> list[str]:
    return wrap(text or "", 110, initial_indent="    ", subsequent_indent="    ")


def _dimensions(facts: dict[str, Any]) -> str:
    return ", ".join(f"{each}-D" for each in facts["dims"] or ())


def _count(facts: dict[str, Any]) -> str:
    return "" if facts["parameters"] is None else f"{facts['parameters']:,}"
