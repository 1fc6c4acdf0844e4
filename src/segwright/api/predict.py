"""Predicts a folder of new scans back onto their own grids, and lists what was done with each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwright.api.events import Listen, silent, stage, tracked
from segwright.api.large import by_blocks, informed, segment_large, split_wish
from segwright.api.lock import writable
from segwright.api.restored import for_prediction
from segwright.core.case import Case, Dataset
from segwright.core.errors import DataError, ModelError, SegwrightError, UsageError
from segwright.core.plan import Plan
from segwright.core.prediction import Predicted, Prediction, Predictions
from segwright.core.room import is_full, told_when_full
from segwright.core.words import amount
from segwright.io.scans import open_images
from segwright.io.writers import Writer, known_form, notes_of, open_writer
from segwright.io.writers.fit import names_of

if TYPE_CHECKING:
    from segwright.prediction.large.plan import Wish
    from segwright.prediction.model import Model


def predict(  # noqa: C901, PLR0913, PLR0915  # the flags of a command
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
        suffix: Format such as `.nii.gz`, or a form of labels (`png`, `structures`, `npy`, `rle`, `labelme`, `coco`,
            `dicomseg`); each scan's own format by default.
        device: Used when `model` is a path.
        folds: Members to use when `model` is a path.
        resume: Keep results that are there already.
        listen: Progress events.
        options: `tta`, `combine`; `strict` refuses scans that are unlike those of training; for volumes larger than
            memory, or to share one among workers: `workers`, `scheduler`, `memory` (bytes), `scores`, `instances` (see
            `segwright.api.large.Wish`).

    Raises:
        UsageError: Results would lie among the scans, or no label can be stored as `suffix`.
        ModelError: `strict`, and the model does not know what it learnt from.
        DataError: Some scans failed; the others are written, and all are listed in `predictions.json`.
    """
    from segwright.prediction.model import Model

    suffix = known_form(suffix)
    wish, options = split_wish(options)
    if not isinstance(model, Model):
        model = Model.load(model, device=device, folds=folds, **options)
    dataset = open_images(images, model.plan.channels, flat=model.plan.flat, upright=model.plan.upright)
    folder = Path(out)
    _refuse_overwriting(dataset, folder)
    wish = informed(wish)
    writable(folder)
    writer = open_writer(suffix, folder, model.plan.labels, names_of(dataset, dataset.cases), resume=resume)
    _tell_unrecorded(model, wish, listen)
    model.forward  # noqa: B018 - damaged members are found before any scan is read
    seen: Dataset = dataset
    mended: dict[str, tuple[str, ...]] = {}
    if model.plan.restore_sections:
        seen, mended = for_prediction(
            dataset, folder, large=lambda case: by_blocks(model, dataset, case, wish, suffix), listen=listen
        )
    stage(listen, "predict", cases=len(dataset.cases))
    rows: list[Predicted] = []
    with told_when_full(folder, lambda: _needed(rows, folder, len(dataset.cases)), cure=_GO_ON):
        for case in tracked(dataset.cases, listen, "predict"):
            try:
                if by_blocks(model, dataset, case, wish, suffix):
                    row = _predict_blocks(model, dataset, case, folder, wish=wish, listen=listen)
                else:
                    done = writer.kept(case.id) if resume else ()
                    given = seen.case(case.id)
                    row = _kept(case, done, folder) if done else _predict_whole(model, seen, given, writer, wish)
                told = {"image": _place(dataset, case), "notes": (*row.notes, *mended.get(case.id, ()))}
                row = row.model_copy(update=told)
                if row.outside:
                    why = "; ".join(row.outside)
                    listen({"kind": "note", "text": f"{case.id}: unlike the scans of training: {why}"})
                for note in row.notes:
                    listen({"kind": "note", "text": f"{case.id}: {note}"})
                rows.append(row)
            except UsageError:
                raise
            except SegwrightError as error:
                if is_full(error):
                    raise
                rows.append(Predicted(case=case.id, error=str(error)))
                listen({"kind": "note", "text": f"{case.id}: {error}"})
        writer.close()
        for note in notes_of(writer):
            listen({"kind": "note", "text": note})
        result = Predictions(cases=tuple(rows))
        result.save(folder / Predictions.filename)
    _refuse_failures(result, folder)
    return result


_GO_ON = "Then run the same command with --resume: results that are there are kept."


def _place(dataset: Dataset, case: Case) -> str:
    return dataset.path(case.images[0]).resolve().as_posix()


def _needed(rows: Sequence[Predicted], folder: Path, cases: int) -> float | None:
    """Bytes all results will take, judged by those that are there."""
    sizes = [sum((folder / name).stat().st_size for name in row.files if (folder / name).is_file()) for row in rows]
    return sum(sizes) / len(sizes) * cases if any(sizes) else None


def _predict_whole(model: Model, dataset: Dataset, case: Case, writer: Writer, wish: Wish) -> Predicted:
    """One scan in memory."""
    start = time.perf_counter()
    prediction = model.segment(dataset, case, strict=wish.strict)
    files = tuple(dict.fromkeys(source.path for source in writer.add(prediction)))
    notes, told = _notes(prediction, model.plan), dict(prediction.provenance)
    outside, seconds = tuple(told.pop("outside")), time.perf_counter() - start
    return Predicted(case=case.id, files=files, seconds=seconds, outside=outside, notes=notes, provenance=told)


def _predict_blocks(
    model: Model, dataset: Dataset, case: Case, folder: Path, *, wish: Wish, listen: Listen
) -> Predicted:
    """One scan block by block."""
    start = time.perf_counter()
    done = segment_large(model, dataset, case, folder, wish=wish, listen=listen)
    seconds = time.perf_counter() - start
    told = {"outside": done.outside, "notes": done.notes, "provenance": done.provenance}
    return _row(case, done.files, folder, seconds=seconds, **told)


def _kept(case: Case, files: tuple[Path, ...], folder: Path) -> Predicted:
    """A result of an earlier call, with what that call told of it."""
    earlier = folder / Predictions.filename
    rows = Predictions.load(earlier).cases if earlier.exists() else ()
    told = next(({"outside": row.outside, "notes": row.notes} for row in rows if row.case == case.id), {})
    return _row(case, files, folder, provenance={"kept": True}, **told)


def _row(case: Case, files: tuple[Path, ...], folder: Path, **told: Any) -> Predicted:
    return Predicted(case=case.id, files=tuple(str(path.relative_to(folder)) for path in files), **told)


def _notes(prediction: Prediction, plan: Plan) -> tuple[str, ...]:
    """What a person should know before trusting a result."""
    header, depth = prediction.source.header, prediction.geometry.shape[0]
    notes = [str(text) for text in (*header.get("warnings", ()), *header.get("adapted", ()))]
    repaired = prediction.provenance.get("repaired_voxels", 0)
    if repaired:
        notes.append(f"{amount(repaired, 'voxel')} NaN or infinite, replaced by finite values")
    if plan.prepare.orientation is None and depth > 1:
        notes.append(f"the model learnt from single planes: each of the {depth} slices was segmented on its own")
    return (*notes, *_doubts(prediction.provenance.get("ordered")))


#: Nats by which the next best naming of a row must be dearer for it to count as sure: e times less likely.
SURE = 1.0


def _doubts(ordered: dict[str, Any] | None) -> tuple[str, ...]:
    """What to look at where structures were named by their order along a row."""
    if ordered is None:
        return ()
    notes = []
    if ordered["missing"]:
        notes.append(f"not found: {', '.join(ordered['missing'])}")
    if ordered["margin"] is not None and ordered["margin"] < SURE and ordered["found"]:
        notes.append("another naming of the row is nearly as likely: check which is which")
    return tuple(notes)


def _tell_unrecorded(model: Model, wish: Wish, listen: Listen) -> None:
    """Models of earlier versions do not know what they learnt from."""
    if model.records:
        return
    what = "The model does not say what it learnt from, as it was made by an earlier version"
    again = "'segwright report RUN' writes it anew with that record"
    if wish.strict:
        raise ModelError(f"{what}, and --strict needs that.", cure=f"Leave out --strict. {again}.")
    listen({"kind": "note", "text": f"{what}: scans are not compared with those of training. {again}."})


def _refuse_overwriting(dataset: Dataset, folder: Path) -> None:
    """Results take the names of their scans, so a common folder would lose the scans."""
    scans = [dataset.path(source) for case in dataset.cases for source in case.images]
    if any(folder.resolve() in (path.resolve(), path.resolve().parent) for path in scans):
        raise UsageError(
            "The results would lie among the scans and replace them.",
            where=folder,
            cure="Give another folder with -o.",
        )


def _refuse_failures(result: Predictions, folder: Path) -> None:
    failed = result.failed
    if failed:
        raise DataError(
            f"{len(failed)} of {amount(len(result.cases), 'scan')} could not be predicted.",
            came=f"{failed[0].case}: {failed[0].error}",
            where=folder / Predictions.filename,
            cure="Mend the scans listed there and run again with --resume.",
        )
