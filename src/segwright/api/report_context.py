"""Gathers what the page of a run shows: its documents, its calibration, its receipt, and what to type next."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.api.out_of_fold import JudgedCase
from segwright.api.provenance import describe_machine
from segwright.api.run import Run
from segwright.api.transfer import transfer_receipt
from segwright.core.report import Report
from segwright.metrics.calibration import Calibration, ScoredVoxels, calibration
from segwright.postprocess.search import Postprocess
from segwright.report.content import RunContent, WorstCase
from segwright.targets import build_target, target_info


def calibrate(run: Run, cases: Sequence[JudgedCase]) -> Calibration:
    """Count out-of-fold scores against references, one case at a time, and keep the counts beside the report.

    Of numbered objects the score that a voxel belongs to any of them is judged, where the target has one.
    """
    space, target = run.plan.labels, build_target(run.plan.target, run.plan.labels)
    if not target_info(run.plan.target).probable:
        found = Calibration(cases=0, structures=(), notes=(_NO_CHANCE,))
    else:
        scores: Callable[[NDArray[Any]], NDArray[Any]] = target.structure_scores if space.instances else np.asarray
        voxels = (ScoredVoxels(case.case, scores(case.scores()), case.reference()) for case in cases)
        found = calibration(voxels, space)
        note = _OBJECTS if space.instances else _SETTLED if target_info(run.plan.target).ordered else ""
        found = found.model_copy(update={"notes": (*found.notes, *([note] if note else []))})
    found.save(run.calibration_file)
    return found


_NO_CHANCE = "The network tells how deep inside its object a voxel lies, not how likely it belongs to one."
_OBJECTS = "Judged is whether a voxel belongs to any object; object scores above tell how well objects are kept apart."
_SETTLED = (
    "Scores are those after each instance got one label of the row, so labels and outlines are judged together: an "
    "instance under the wrong name counts as wrong, however good its outline."
)


def content(run: Run, report: Report, chosen: Postprocess, worst: Iterable[WorstCase]) -> RunContent:
    """Everything the page of a run shows; `worst` may be a generator."""
    return RunContent(
        title=title_of(run),
        dataset=run.dataset,
        inspection=run.inspection,
        plan=run.plan,
        split=run.split,
        report=report,
        log=run.log(),
        postprocess=chosen if chosen.candidates else None,
        worst=worst,
        commands=_commands(run),
        receipt=_receipt(run),
        calibration=Calibration.load(run.calibration_file) if run.calibration_file.exists() else None,
        exploration=run.exploration,
        viewer=f"segwright view {shlex.quote(str(run.folder))}",
    )


def title_of(run: Run) -> str:
    """The folder's name; the one above it where it is just called `run`."""
    folder = run.folder.resolve()
    return folder.parent.name if folder.name == "run" else folder.name


def _commands(run: Run) -> dict[str, str]:
    """Sentences and the commands that do what they say; paths with blanks are quoted."""
    folder, data, model = (shlex.quote(str(path)) for path in (run.folder, run.dataset.root, run.model_folder))
    recipe = shlex.quote(str(run.folder / "recipe.yaml"))
    again = shlex.quote(str(run.folder) + "-again")
    return {
        "Segment new scans": f"segwright predict {model} -i new/ -o out/",
        "Score them against references": "segwright evaluate reference/ out/ -o report.html",
        "Continue or add folds": f"segwright fit {data} -o {folder} --resume",
        "Reproduce this run": f"segwright fit {data} -r {recipe} -o {again}",
    }


def _receipt(run: Run) -> dict[str, Any]:
    weights = {fold: run.weights(fold) for fold in run.finished}
    files = {f"weights of fold {fold}": ", ".join(map(file_hash, files)) for fold, files in weights.items()}
    return {
        "command": typed_command(),
        "seed": run.plan.seed,
        "fingerprints": {
            "plan": run.plan.content_hash(),
            "data": run.dataset.content_hash(),
            "folds": run.split.content_hash(),
            **files,
        },
        **transfer_receipt(run),
        "machine": describe_machine(),
    }


def typed_command() -> str:
    """The command that led here; calls from Python have none."""
    from_shell = Path(sys.argv[0]).stem in {"segwright", "__main__"}
    return shlex.join(["segwright", *sys.argv[1:]]) if from_shell else "called from Python"


def file_hash(path: Path) -> str:
    """The first twelve hexadecimal digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
