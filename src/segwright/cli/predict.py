"""`segwright predict`: new scans back onto their own grids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segwright.cli.options import Device, Json, Quiet, Resume, fold_numbers, number_of_bytes
from segwright.core.words import amount

if TYPE_CHECKING:
    from segwright.core.prediction import Predicted, Predictions

Model = Annotated[Path, typer.Argument(help="Model folder, or the folder of a run.")]
Images = Annotated[Path, typer.Option("-i", "--images", help="Scan, or folder of scans.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")]
Only = Annotated[list[str] | None, typer.Option("-f", "--fold", help="Use these members only.", show_default=False)]
Suffix = Annotated[
    str | None,
    typer.Option(
        "--format",
        help=".nii.gz and the like, png, structures, npy, npy-background, rle, labelme, coco or dicomseg; "
        "default: each scan's own.",
    ),
]
Workers = Annotated[int, typer.Option("--workers", help="Share large volumes among N processes here.")]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="Or among a running dask cluster: tcp://host:8786.", show_default=False),
]
Memory = Annotated[
    str | None, typer.Option("--memory", help="For all workers together, e.g. 3G; default: most.", show_default=False)
]
Scores = Annotated[str, typer.Option("--scores", help="Keep scores too: uint8 or float32.", show_default=False)]


Strict = Annotated[bool, typer.Option("--strict", help="Refuse scans that are unlike those of training.")]
Refuse = Annotated[
    bool, typer.Option("--refuse-flagged", help="Keep results to look at in flagged/, and end with exit code 3.")
]


def predict(
    model: Model,
    images: Images,
    out: Out,
    only: Only = None,
    suffix: Suffix = None,
    device: Device = "auto",
    tta: Annotated[bool, typer.Option("--tta/--no-tta", help="Average over mirrored copies.")] = True,
    combine: Annotated[str, typer.Option("--combine", help="Members by 'mean' of scores or 'vote'.")] = "mean",
    vote: Annotated[bool, typer.Option("--vote", help="The same as --combine vote: the majority of members.")] = False,
    resume: Resume = False,
    strict: Strict = False,
    refuse_flagged: Refuse = False,
    workers: Workers = 0,
    scheduler: Scheduler = None,
    memory: Memory = None,
    scores: Scores = "",
    instances: Annotated[bool, typer.Option("--instances", help="Number connected objects and list them.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Segment scans with a trained model."""
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen("Loading the model", quiet=quiet) as screen:
        done = segwright.predict(
            model,
            images,
            out,
            suffix=suffix,
            device=device,
            folds=fold_numbers(only),
            resume=resume,
            listen=screen.listen,
            tta=tta,
            strict=strict,
            refuse_flagged=refuse_flagged,
            combine="vote" if vote else combine,
            workers=workers,
            scheduler=scheduler,
            memory=number_of_bytes(memory),
            scores=scores,  # type: ignore[arg-type]  # what is no type of scores is refused there
            instances=instances,
        )
    emit(done, _closing(done, out), as_json=as_json)
    if refuse_flagged and any(row.flagged for row in done.cases):
        raise typer.Exit(3)


#: Scans listed at the end, the most doubtful first.
_ROWS = 10


def _closing(done: Predictions, out: Path) -> str:
    flagged = [row for row in done.cases if row.flagged]
    told = f"; {len(flagged)} to look at: see {Path(out, done.filename)}" if flagged else ""
    lines = [f"{amount(len(done.cases), 'scan')} segmented into {out}{told}"]
    known = sorted((row for row in done.cases if row.quality), key=lambda row: (not row.flagged, row.expected))
    if known:
        lines += ["", "Dice to expect, and what it exceeds in 9 of 10 scans; the most doubtful first:"]
        lines += [f"  {_expected(row)}" for row in known[:_ROWS]]
    return "\n".join(lines)


def _expected(row: Predicted) -> str:
    quality = row.quality
    bounds = [one.lower for one in quality.structures.values() if one.lower is not None] if quality else []
    dice = f"{row.expected:.2f}" if quality and quality.expected_dice is not None else "unknown"
    least = f", at least {min(bounds):.2f}" if bounds else ""
    look = f"  look at it: {'; '.join(quality.reasons)}" if quality and quality.reasons else ""
    return f"{row.case}  {dice}{least}{look}"
