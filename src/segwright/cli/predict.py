"""`segwright predict`: new scans back onto their own grids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segwright.cli.options import Device, Json, Quiet, fold_numbers

Model = Annotated[Path, typer.Argument(help="Model folder, or the folder of a run.")]
Images = Annotated[Path, typer.Option("-i", "--images", help="Scan, or folder of scans.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")]
Only = Annotated[list[str] | None, typer.Option("-f", "--fold", help="Use these members only.", show_default=False)]
Suffix = Annotated[str | None, typer.Option("--format", help="Write as e.g. .nii.gz; default: each scan's own.")]


def predict(
    model: Model,
    images: Images,
    out: Out,
    only: Only = None,
    suffix: Suffix = None,
    device: Device = "auto",
    tta: Annotated[bool, typer.Option("--tta/--no-tta", help="Average over mirrored copies.")] = True,
    combine: Annotated[str, typer.Option("--combine", help="Members by 'mean' of scores or 'vote'.")] = "mean",
    resume: Annotated[bool, typer.Option("--resume", help="Keep results that are there already.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Segment scans with a trained model."""
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen(as_json=as_json, quiet=quiet) as screen:
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
            combine=combine,
        )
    emit(done, f"{len(done.cases)} scan(s) segmented into {out}", as_json=as_json)
