"""`segwright ensemble`: the vote of run-length tables, or one model out of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segwright.cli.options import Device, Json, Quiet
from segwright.core.words import amount

if TYPE_CHECKING:
    from segwright.api.ensemble import Ensembled, PartGain
    from segwright.api.voting import Voted

Inputs = Annotated[list[Path], typer.Argument(help="Folders of runs; or CSV tables of run-length masks.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Model folder, or table (.csv), to write.")]
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
Weights = Annotated[
    str | None,
    typer.Option("--weights", help="Runs: 'auto' chooses them out of fold, or 'equal'.", show_default="auto"),
]
Vote = Annotated[bool, typer.Option("--vote", help="Runs: vote with final labels instead of averaging scores.")]


def ensemble(
    inputs: Inputs,
    out: Out,
    threshold: Thresholds = None,
    columns: Columns = None,
    weights: Weights = None,
    vote: Vote = False,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """One model out of several runs; or the vote of several tables of masks."""
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen
    from segwright.core.errors import UsageError

    tables = [path for path in inputs if not path.is_dir()]
    if tables and len(tables) < len(inputs):
        raise UsageError(
            "Runs and tables cannot be mixed.",
            expected="folders of runs, or CSV tables",
            got=", ".join(map(str, inputs)),
            hint="Predict with the run first, then let the tables vote.",
        )
    _refuse_foreign(tables, {"--threshold": threshold, "--columns": columns}, {"--weights": weights, "--vote": vote})
    with Screen("Opening the tables" if tables else "Opening the runs", quiet=quiet) as screen:
        if tables:
            from segwright.api.voting import vote_tables

            default, classes = thresholds(threshold or [])
            named = [name.strip() for name in columns.split(",")] if columns else None
            voted = vote_tables(tables, out, threshold=default, classes=classes, columns=named, listen=screen.listen)
        else:
            from segwright.api.ensemble import ensemble as combine_runs

            if weights not in {None, "auto", "equal"}:
                raise UsageError("Unknown --weights.", expected="auto or equal", got=weights)
            wish: Literal["auto", "equal"] = "equal" if weights == "equal" else "auto"
            made = combine_runs(inputs, out, weights=wish, vote=vote, device=device, listen=screen.listen)
    if tables:
        emit(voted, vote_summary(voted), as_json=as_json)
    else:
        emit(made, ensemble_summary(made), as_json=as_json)


def _refuse_foreign(tables: list[Path], of_tables: dict[str, object], of_runs: dict[str, object]) -> None:
    """Flags of the other kind of ensemble would be passed over in silence."""
    from segwright.core.errors import UsageError

    wrong = [flag for flag, value in (of_runs if tables else of_tables).items() if value]
    if wrong:
        kinds = ("tables", "runs") if tables else ("runs", "tables")
        raise UsageError(
            f"{wrong[0]} is for {kinds[1]}, but {kinds[0]} were given.", got=wrong[0], hint="Leave it out."
        )


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
            "Two thresholds for all classes.", got=" and ".join(default), hint="Name the class: --threshold ulna=2."
        )
    return (default or ["1"])[0], classes


def _from_yaml(path: Path) -> dict[str, str]:
    """Class names to thresholds."""
    from segwright.core.errors import ReadError
    from segwright.core.parse import LARGEST_YAML, parse_yaml, text_of

    data = parse_yaml(text_of(path, largest=LARGEST_YAML), path)
    if not isinstance(data, dict) or any(isinstance(value, dict | list) for value in data.values()):
        raise ReadError(
            "The file holds no thresholds.", expected="lines such as 'ulna: 2', and 'default: 50%'", where=path
        )
    return {str(name): str(value) for name, value in data.items()}


def vote_summary(done: Voted) -> str:
    """What a person should know of a vote."""
    lines = [
        f"{amount(done.rows, 'row')} from {amount(len(done.tables), 'table')}, {done.empty} of them empty: {done.out}"
    ]
    for name, votes in done.more_than.items():
        whom = "pixels" if name == "default" else f"pixels of {name}"
        lines.append(f"  {whom} stay with more than {votes:g} votes")
    for one in done.missing:
        few = "; ".join(" ".join(key) for key in one.rows[:3])
        more = f"; and {len(one.rows) - 3} more" if len(one.rows) > 3 else ""
        lines.append(f"  missing   {one.table} lacks {amount(len(one.rows), 'row')}, which count as empty: {few}{more}")
    lines += [f"  mended    {text}" for text in done.repaired[:10]]
    if len(done.repaired) > 10:
        lines.append(f"  mended    {len(done.repaired) - 10} more rows; --json lists all")
    return "\n".join([*lines, *(f"  note      {text}" for text in done.notes)])


def ensemble_summary(made: Ensembled) -> str:
    """Weights, Dice of each structure, and what the ensemble gains."""
    parts = made.combination.parts
    how = "mean of scores" if made.combination.combine == "mean" else "vote of labels"
    members = ", ".join(f"{part.name} ({part.members})" for part in parts)
    lines = [f"Ensemble of {len(parts)} runs by {how}: {members}"]
    if made.structures:
        lines += ["", *_dice_table(made)]
        lines += ["", f"Weights: {made.why}. {amount(made.cases, 'case')}, before post-processing:"]
        lines += [f"  {_gain_text(row)}" for row in made.gains]
        lines += ["Finished ensemble against finished runs:"]
        lines += [f"  {_gain_text(row)}" for row in made.finished]
    lines += [f"Note: {note}" for note in made.notes]
    return "\n".join([*lines, "", f"Model    {made.out}", f"Predict  segwright predict {made.out} -i new/ -o out/"])


def _dice_table(made: Ensembled) -> list[str]:
    """Dice (of objects F1) of each structure by each run, by equal weights, and the weights taken; then why."""
    from segwright.report.text import aligned, wrapped

    measure = made.gains[0].measure if made.gains else "Dice"
    head = [f"{measure} out of fold", *(part.name for part in made.combination.parts), "equal", "weights"]
    rows = [
        [row.structure, *(f"{value:.4f}" for value in (*row.alone, row.equal)), _shares(row.weights)]
        for row in made.structures
    ]
    reasons: dict[str, list[str]] = {}
    for row in made.structures:
        reasons.setdefault(row.reason, []).append(row.structure)
    told = [line for why, names in reasons.items() for line in wrapped(f"{', '.join(names)}: {why}", start=2, hang=4)]
    return [*aligned([head, *rows]), *told]


def _shares(weights: Sequence[float]) -> str:
    return " : ".join(f"{weight:.2f}" for weight in weights)


def _gain_text(row: PartGain) -> str:
    known = row.low is not None and row.high is not None
    interval = f"  (95 %: {row.low:+.4f} to {row.high:+.4f})" if known else ""
    return f"{row.mean:+.4f} mean {row.measure} over {row.over}{interval}"
