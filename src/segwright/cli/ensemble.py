"""`segwright ensemble`: the vote of run-length tables, or one model out of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segwright.cli.options import Json, Quiet

if TYPE_CHECKING:
    from segwright.api.voting import Voted

Inputs = Annotated[list[Path], typer.Argument(help="CSV tables of run-length masks.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Table (.csv) to write.")]
Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        help="Tables: keep pixels with strictly more votes than this (1), or than a share (50%); "
        "CLASS=VALUE for one class; or a YAML file of them.",
        show_default="1",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", help="Tables: key columns, then the run-length column.", show_default=False),
]


def ensemble(
    inputs: Inputs,
    out: Out,
    threshold: Thresholds = None,
    columns: Columns = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let several tables of masks vote."""
    from segwright.api.voting import vote_tables
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    default, classes = thresholds(threshold or [])
    named = [name.strip() for name in columns.split(",")] if columns else None
    with Screen(as_json=as_json, quiet=quiet) as screen:
        done = vote_tables(inputs, out, threshold=default, classes=classes, columns=named, listen=screen.listen)
    emit(done, vote_summary(done), as_json=as_json)


def thresholds(texts: list[str]) -> tuple[str, dict[str, str]]:
    """The default threshold, and those of single classes.

    Example:
        >>> thresholds(["50%", "ulna=2"])
        ('50%', {'ulna': '2'})
    """
    from segwright.core.errors import UsageError

    default: list[str] = []
    classes: dict[str, str] = {}
    for text in texts:
        if Path(text).suffix.lower() in {".yaml", ".yml"}:
            for name, value in _from_yaml(Path(text)).items():
                if name == "default":
                    default.append(value)
                else:
                    classes[name] = value
        elif "=" in text:
            name, _, value = text.rpartition("=")
            classes[name.strip()] = value
        else:
            default.append(text)
    if len(default) > 1:
        raise UsageError(
            "Two thresholds for all classes.", came=" and ".join(default), cure="Name the class: --threshold ulna=2."
        )
    return (default or ["1"])[0], classes


def _from_yaml(path: Path) -> dict[str, str]:
    """Class names to thresholds."""
    import yaml

    from segwright.core.errors import ReadError

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReadError("Cannot read the thresholds.", came=str(error), where=path, cure="Check the file.") from error
    if not isinstance(data, dict) or any(isinstance(value, dict | list) for value in data.values()):
        raise ReadError(
            "The file holds no thresholds.", expected="lines such as 'ulna: 2', and 'default: 50%'", where=path
        )
    return {str(name): str(value) for name, value in data.items()}


def vote_summary(done: Voted) -> str:
    """What a person should know of a vote."""
    lines = [f"{done.rows} rows from {len(done.tables)} tables, {done.empty} of them empty: {done.out}"]
    for name, votes in done.more_than.items():
        whom = "pixels" if name == "default" else f"pixels of {name}"
        lines.append(f"  {whom} stay with more than {votes:g} votes")
    for one in done.missing:
        few = "; ".join(" ".join(key) for key in one.rows[:3])
        more = f"; and {len(one.rows) - 3} more" if len(one.rows) > 3 else ""
        lines.append(f"  missing   {one.table} lacks {len(one.rows)} row(s), which count as empty: {few}{more}")
    lines += [f"  mended    {text}" for text in done.repaired[:10]]
    if len(done.repaired) > 10:
        lines.append(f"  mended    {len(done.repaired) - 10} more rows; --json lists all")
    return "\n".join([*lines, *(f"  note      {text}" for text in done.notes)])
