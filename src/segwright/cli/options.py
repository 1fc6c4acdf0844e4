"""Options that several verbs share, and the small languages they are written in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results.")]
Resume = Annotated[bool, typer.Option("--resume", help="Keep results that still match what they were made from.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Data = Annotated[
    Path | None, typer.Argument(help="Folder of scans, a dataset.yaml, or a CSV table.", show_default=False)
]
DataFlag = Annotated[Path | None, typer.Option("-d", "--data", help="The same as a flag.", show_default=False)]
RecipeName = Annotated[str, typer.Option("-r", "--recipe", help="Recipe name (see 'segwright recipes') or YAML file.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Recipe fields as key=value, e.g. width=24.", show_default=False)
]
Budget = Annotated[
    str | None, typer.Option("--time-budget", "-t", help="Time for everything: 20m, 2h, 90s.", show_default=False)
]
Folds = Annotated[
    int | None, typer.Option("--folds", help="Number of folds; 0 trains on all cases.", show_default=False)
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of everything random.", show_default=False)]

Workers = Annotated[int, typer.Option("--workers", help="Train folds side by side in N processes here.")]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="Or on a running dask cluster: tcp://host:8786.", show_default=False),
]

_UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0, "d": 1440.0}


def minutes(text: str) -> float:
    """`20m`, `2h`, `90s`, `1h30m` or a bare number of minutes.

    Example:
        >>> minutes("1h30m"), minutes("90s"), minutes("20")
        (90.0, 1.5, 20.0)
    """
    from segwright.core.errors import UsageError

    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise UsageError(
            f"Cannot read the time {text!r}.", expected="20m, 2h, 90s or 1h30m", hint="Give number and unit."
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def data_folder(data: Path | None, flag: Path | None, overrides: list[str] | None) -> tuple[Path, list[str]]:
    """The data folder, given as argument or with `-d`; with `-d`, the first argument is an override already."""
    from segwright.core.errors import UsageError

    words = list(overrides or [])
    if flag is not None:
        return flag, ([str(data)] if data is not None else []) + words
    if data is None:
        raise UsageError("No data folder was given.", expected="a folder of scans", hint="segwright VERB scans/ ...")
    return data, words


def fold_numbers(texts: list[str] | None) -> list[int] | None:
    """`-f 0 -f 1`, `-f 0,1`: numbers of folds; `None` for every fold."""
    from segwright.core.errors import UsageError

    if not texts:
        return None
    try:
        return [int(part) for text in texts for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"Cannot read the folds {texts}.", expected="numbers as in -f 0 or -f 0,1") from error


def recipe_fields(words: list[str], budget: str | None, folds: int | None, seed: int | None) -> dict[str, Any]:
    """Overrides from `key=value` words and from flags."""
    from segwright.planning.recipe_book import parse_overrides

    fields: dict[str, object] = dict(parse_overrides(words))
    if budget is not None:
        fields["minutes"] = minutes(budget)
    if folds is not None:
        fields["folds"] = folds
    if seed is not None:
        fields["seed"] = seed
    return fields


def number_of_bytes(text: str | None) -> float | None:
    """`3G`, `800M`, `2.5 GB` as bytes (a bare number means gigabytes); `None` stays.

    Example:
        >>> number_of_bytes("2.5GB") == 2.5 * 2**30, number_of_bytes("800M") == 800 * 2**20
        (True, True)
    """
    from segwright.core.errors import UsageError

    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MGT]?)I?B?", text.strip().upper())
    if found is None or float(found[1]) <= 0:
        raise UsageError(
            f"Cannot read the memory {text!r}.", expected="3G, 800M or 2.5GB", hint="Give number and unit."
        )
    return float(found[1]) * {"M": 2**20, "G": 2**30, "T": 2**40, "": 2**30}[found[2]]
