"""`segwright measure`: angles, ratios, areas and lengths of segmented structures, as a table and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segwright.cli.hints import typed
from segwright.cli.options import Json, Quiet

if TYPE_CHECKING:
    from segwright.core.measurements import Measurements

Source = Annotated[Path, typer.Argument(help="Folder of masks or predictions, a dataset, or the folder of a run.")]
Measures = Annotated[
    list[str] | None,
    typer.Option("--measure", "-m", help="size, axes, cobb or cardiothoracic; all that fit by default."),
]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="Write .csv or .json, and pictures beside it.")]
Images = Annotated[Path | None, typer.Option("-i", "--images", help="Scans of the same names, to draw on.")]
Labels = Annotated[Path | None, typer.Option("--labels", help="dataset.yaml that says what label values mean.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Option of a measure, e.g. heart=cor or lungs=a,b.")]
#: Rows shown in the terminal; the table has all of them.
SHOWN = 40


def measure(
    context: typer.Context,
    source: Source,
    measures: Measures = None,
    out: Out = None,
    images: Images = None,
    labels: Labels = None,
    options: Set = None,
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays", help="Draw a picture a case.")] = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure structures: Cobb angles, cardiothoracic ratio, area or volume, length and width."""
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen("Finding the masks", quiet=quiet) as screen:
        from segwright.api.measure import measure as measure_folder
        from segwright.core.case import Dataset

        found = measure_folder(
            source,
            [name for text in measures or () for name in text.split(",")],
            out=out,
            images=images,
            overlays=overlays,
            options=_options(options or []),
            space=Dataset.load(labels).labels if labels is not None else None,
            listen=screen.listen,
        )
    emit(found, _told(found, out, context.command), as_json=as_json)


def _options(words: list[str]) -> dict[str, object]:
    """`heart=cor` and `lungs=left,right` as options."""
    from segwright.core.errors import UsageError

    given: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"Cannot read the option {word!r}.", expected="name=value", hint="E.g. --set heart=cor.")
        given[name] = value.split(",") if name in {"structures", "lungs"} else value
    return given


def _plain(value: float) -> str:
    """Four digits, and never a power of ten for large areas.

    Example:
        >>> _plain(24283.0), _plain(0.47301), _plain(184.26), _plain(0.0)
        ('24,283', '0.473', '184.3', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _told(found: Measurements, out: Path | None, verb: Any) -> str:
    """The first readings as a table, and everything that should be known about them."""
    widths = [max(len(row.case) for row in found.readings), max(len(row.structure) for row in found.readings)]
    lines = []
    for row in found.readings[:SHOWN]:
        value = "-" if row.value is None else _plain(row.value)
        head = f"{row.case:{widths[0]}}  {row.structure:{widths[1]}}  {row.quantity:24}"
        lines.append(f"{head} {value:>10} {row.unit:7} {row.note}".rstrip())
    if len(found.readings) > SHOWN:
        lines.append(f"... {len(found.readings) - SHOWN} more readings" + ("" if out else "; write all with -o"))
    for finding in found.findings:
        where = f"{finding.where}: " if finding.where else ""
        lines.append(f"{finding.level.capitalize()}: {where}{typed(finding.what, verb)}")
    if out is not None:
        lines.append(f"Table    {out}")
    if out is not None and found.overlays:
        lines.append(f"Pictures {out.with_name(found.overlays[0].partition('/')[0])}")
    return "\n".join(lines)
