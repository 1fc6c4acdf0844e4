"""`segwright restore-sections`: finds and mends spoiled sections of a stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segwright.cli.options import Json, Quiet, minutes
from segwright.core.words import amount

if TYPE_CHECKING:
    from segwright.restoration.record import RestorationRecord, SectionRow

Stack = Annotated[Path, typer.Argument(help="A folder of sections, or a volume file.")]
Out = Annotated[
    Path | None, typer.Option("-o", "--out", help="New folder; without it nothing is written.", show_default=False)
]
Budget = Annotated[str, typer.Option("--time-budget", "-t", help="Time for training.")]
Seed = Annotated[int, typer.Option("--seed", help="Of everything random.")]


def restore_sections(
    stack: Stack, out: Out = None, budget: Budget = "2m", seed: Seed = 0, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Find noisy, blurred, dark, shifted or missing sections of a stack, and mend those and no others."""
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen("Opening the stack", quiet=quiet) as screen:
        from segwright.api.restore_sections import restore_sections as restore

        record = restore(stack, out, minutes=minutes(budget), seed=seed, listen=screen.listen)
    emit(record, _text(record, out), as_json=as_json)


def _text(record: RestorationRecord, out: Path | None) -> str:
    if not record.rows:
        lines = [f"{amount(record.sections, 'section')}, none spoiled."]
    else:
        lines = [
            f"Spoiled: {len(record.rows)} of {amount(record.sections, 'section')}",
            "",
        ]
        lines += [f"  {'section':>7}  {'fault':8} {'score':>6}  {'likeness':>14}  {'change':>6}  done"]
        lines += [_line(row) for row in record.rows]
        lines += ["", f"Clean neighbours resemble one another by {record.usual_likeness:.2f} (correlation)."]
    if record.method:
        errors = (
            "" if record.error is None else f" (error {record.error:.3f} against {record.error_mean:.3f} of the mean)"
        )
        lines.append(f"Made anew with: {record.method}{errors}.")
    lines += list(record.notes)
    lines.append(f"Written to {out}." if out else "Nothing was written; give -o FOLDER to mend them.")
    return "\n".join(lines)


def _line(row: SectionRow) -> str:
    likeness = f"{row.likeness_before:.2f} -> {row.likeness_after:.2f}" if row.neighbours else "-"
    done = row.action + (f": {row.why}" if row.why else "")
    return f"  {row.section:7d}  {row.kind:8} {row.score:6.1f}  {likeness:>14}  {row.change:6.2f}  {done}"
