"""Predicts a folder of new scans back onto their own grids, and lists what was done with each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from segwright import io
from segwright.api.events import Listen, silent, stage, tracked
from segwright.api.large import by_blocks, segment_large, split_wish
from segwright.api.lock import writable
from segwright.core.case import Case, Dataset
from segwright.core.document import Document, Part
from segwright.core.errors import DataError, SegwrightError, UsageError
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.prediction import Prediction
from segwright.core.volume import Volume
from segwright.io.dataset import open_images
from segwright.io.layouts.scan import stem_of, visible

if TYPE_CHECKING:
    from segwright.prediction.large.plan import Wish
    from segwright.prediction.model import Model


class Predicted(Part):
    """One case: the files written, or why there are none; `notes` tell what was assumed or repaired."""

    case: str
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = Field(default_factory=dict)


class Predictions(Document):
    """All cases of a call; written as `predictions.json` beside the results."""

    filename: ClassVar[str] = "predictions.json"
    cases: tuple[Predicted, ...]

    @property
    def failed(self) -> tuple[Predicted, ...]:
        """Cases without a result."""
        return tuple(case for case in self.cases if case.error)


def predict(
    model: Model | str | Path,
    images: str | Path,
    out: str | Path,
    *,
    suffix: str | None = None,
    device: str = "auto",
    folds: Sequence[int] | None = None,
    resume: bool = False,
    listen: Listen = silent,
    **options: Any,
) -> Predictions:
    """Segment every scan of a folder (or one file).

    Exclusive structures go to `out/<case><suffix>`, overlapping ones to `out/<structure>/<case><suffix>`, on the
    scan's own grid and, in its own format, with its own header.

    Args:
        model: A model, its folder, or a run's folder.
        images: Scans in any layout.
        out: Folder for the results.
        suffix: Format such as `.nii.gz`; each scan's own by default.
        device: Used when `model` is a path.
        folds: Members to use when `model` is a path.
        resume: Keep results that are there already.
        listen: Progress events.
        options: `tta`, `combine`; for volumes larger than memory, or to share one among workers: `workers`,
            `scheduler`, `memory` (bytes), `scores`, `instances` (see `segwright.api.large.Wish`).

    Raises:
        UsageError: Results would lie among the scans, or no label can be stored as `suffix`.
        DataError: Some scans failed; the others are written, and all are listed in `predictions.json`.
    """
    from segwright.prediction.model import Model

    suffix = _known(suffix)
    wish, options = split_wish(options)
    if not isinstance(model, Model):
        model = Model.load(model, device=device, folds=folds, **options)
    dataset = open_images(images, model.plan.channels, flat=model.plan.flat)
    folder = Path(out)
    _refuse_overwriting(dataset, folder)
    writable(folder)
    model.forward  # noqa: B018 - damaged members are found before any scan is read
    stage(listen, "predict", cases=len(dataset.cases))
    rows = []
    for case in tracked(dataset.cases, listen, "predict"):
        try:
            if by_blocks(model, dataset, case, wish, suffix):
                row = _predict_blocks(model, dataset, case, folder, wish=wish, listen=listen)
            else:
                done = _existing(folder, case.id, model.plan.labels) if resume else ()
                row = _kept(case, done, folder) if done else _predict_whole(model, dataset, case, folder, suffix)
            for note in row.notes:
                listen({"kind": "note", "text": f"{case.id}: {note}"})
            rows.append(row)
        except UsageError:
            raise
        except SegwrightError as error:
            rows.append(Predicted(case=case.id, error=str(error)))
            listen({"kind": "note", "text": f"{case.id}: {error}"})
    result = Predictions(cases=tuple(rows))
    result.save(folder / Predictions.filename)
    _refuse_failures(result, folder)
    return result


def _predict_whole(model: Model, dataset: Dataset, case: Case, folder: Path, suffix: str | None) -> Predicted:
    """One scan in memory."""
    start = time.perf_counter()
    prediction = model.segment(dataset, case)
    files = write_prediction(prediction, folder, suffix=suffix)
    notes, told = _notes(prediction, model.plan), prediction.provenance
    return _row(case, files, folder, seconds=time.perf_counter() - start, notes=notes, provenance=told)


def _predict_blocks(
    model: Model, dataset: Dataset, case: Case, folder: Path, *, wish: Wish, listen: Listen
) -> Predicted:
    """One scan block by block."""
    start = time.perf_counter()
    done = segment_large(model, dataset, case, folder, wish=wish, listen=listen)
    seconds = time.perf_counter() - start
    return _row(case, done.files, folder, seconds=seconds, notes=done.notes, provenance=done.provenance)


def _kept(case: Case, files: tuple[Path, ...], folder: Path) -> Predicted:
    return _row(case, files, folder, provenance={"kept": True})


def _row(case: Case, files: tuple[Path, ...], folder: Path, **told: Any) -> Predicted:
    return Predicted(case=case.id, files=tuple(str(path.relative_to(folder)) for path in files), **told)


def _notes(prediction: Prediction, plan: Plan) -> tuple[str, ...]:
    """What a person should know before trusting a result."""
    header, depth = prediction.source.header, prediction.geometry.shape[0]
    notes = [str(text) for text in (*header.get("warnings", ()), *header.get("adapted", ()))]
    repaired = prediction.provenance.get("repaired_voxels", 0)
    if repaired:
        notes.append(f"{repaired} voxels were NaN or infinite and were replaced")
    if plan.net.slab == 0 and depth == 1:
        notes.append("the scan is a single plane, but the model learnt from volumes: do not rely on the result")
    if plan.prepare.orientation is None and depth > 1:
        notes.append(f"the model learnt from single planes: each of the {depth} slices was segmented on its own")
    return tuple(notes)


def _known(suffix: str | None) -> str | None:
    """The suffix with its dot, if labels can be stored under it."""
    if suffix is None:
        return None
    suffix = f".{suffix.lstrip('.').lower()}"
    known = io.label_suffixes()
    if suffix not in known:
        raise UsageError(
            "Labels cannot be written in this format.",
            expected=", ".join(known),
            came=suffix,
            cure="Use --format .nii.gz or .png.",
        )
    return suffix


def _refuse_overwriting(dataset: Dataset, folder: Path) -> None:
    """Results take the names of their scans, so a common folder would lose the scans."""
    scans = [dataset.path(source) for case in dataset.cases for source in case.images]
    if any(folder.resolve() in (path.resolve(), path.resolve().parent) for path in scans):
        raise UsageError(
            "The results would lie among the scans and replace them.",
            where=folder,
            cure="Give another folder with -o.",
        )


def write_prediction(prediction: Prediction, folder: Path, *, suffix: str | None = None) -> tuple[Path, ...]:
    """Write one prediction; returns the files."""
    suffix = io.output_suffix(prediction.source) if suffix is None else suffix
    space, geometry = prediction.space, prediction.geometry
    if space.exclusive:
        values = space.to_values(prediction.labels)
        path = folder / f"{prediction.case}{suffix}"
        return (io.write(Volume.of(values, geometry), path, like=prediction.source),)
    paths = []
    for index, name in enumerate(space.names):
        mask = space.mask(prediction.labels, index).astype("uint8") * _mask_value(suffix)
        path = folder / name / f"{prediction.case}{suffix}"
        paths.append(io.write(Volume.of(mask, geometry), path, like=prediction.source))
    return tuple(paths)


def _mask_value(suffix: str) -> int:
    """Pictures show a mask as white; volumes store 1."""
    return 255 if suffix in {".png", ".bmp", ".tif", ".tiff"} else 1


def _existing(folder: Path, case: str, space: LabelSpace) -> tuple[Path, ...]:
    """Files of a case that a former call has written completely."""
    places = [folder] if space.exclusive else [folder / name for name in space.names]
    found = [next((p for p in visible(place) if stem_of(p) == case and io.is_readable(p)), None) for place in places]
    return tuple(path for path in found if path) if all(found) else ()


def _refuse_failures(result: Predictions, folder: Path) -> None:
    failed = result.failed
    if failed:
        raise DataError(
            f"{len(failed)} of {len(result.cases)} scans could not be predicted.",
            came=f"{failed[0].case}: {failed[0].error}",
            where=folder / Predictions.filename,
            cure="Mend the scans listed there and run again with --resume.",
        )
