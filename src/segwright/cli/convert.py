"""`segwright convert`: labels of any form into any other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segwright.cli.options import Json, Quiet, Resume
from segwright.core.words import amount

if TYPE_CHECKING:
    from segwright.api.convert import Conversion

Labels = Annotated[
    Path, typer.Argument(help="Dataset folder, dataset.yaml, or labels alone: masks, polygons, COCO, run-length CSV.")
]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for the results; of rle and coco also the file.")]
To = Annotated[
    str,
    typer.Option(
        "--to", help="png, structures, npy, npy-background, rle, labelme, coco, dicomseg, or a suffix such as .nii.gz."
    ),
]
Images = Annotated[
    Path | None,
    typer.Option("-i", "--images", help="Folder of the images, if labels lie elsewhere.", show_default=False),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", help="Of a run-length table; default: image_name,class,rle.", show_default=False),
]


def convert(
    labels: Labels,
    out: Out,
    to: To,
    images: Images = None,
    columns: Columns = None,
    resume: Resume = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write labels in another form: masks, polygons, COCO, run lengths, arrays, DICOM SEG."""
    import segwright
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen("Finding the labels", quiet=quiet) as screen:
        names = columns.split(",") if columns else None
        done = segwright.convert(labels, out, to=to, images=images, columns=names, resume=resume, listen=screen.listen)
    emit(done, _summary(done), as_json=as_json)


def _summary(done: Conversion) -> str:
    repaired = sum(bool(case.notes) for case in done.cases)
    lines = [f"{amount(len(done.cases), 'label')} written to {done.out} as {done.form}"]
    if repaired:
        lines.append(f"Repaired: {amount(repaired, 'label')}; conversion.json lists what.")
    if done.dataset:
        lines.append(f"To inspect or learn from them: segwright inspect {done.dataset}")
    return "\n".join(lines)
