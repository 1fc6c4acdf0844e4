"""Predicts a folder of new scans back onto their own grids, and lists what was done with each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from segwright.api.large import by_blocks, informed, segment_large, split_wish
from segwright.api.lock import locked
from segwright.api.restored import for_prediction
from segwright.api.results import Results
from segwright.core.case import Case, Dataset
from segwright.core.disk import is_full, told_when_full
from segwright.core.errors import DataError, ModelError, SegwrightError, UsageError
from segwright.core.events import Listen, Note, Stage, silent, tracked
from segwright.core.plan import Plan, Triple
from segwright.core.prediction import Predicted, Prediction, Predictions
from segwright.core.words import amount
from segwright.io.scans import open_images
from segwright.io.writers import Writer, known_form, names_of, notes_of, open_writer

if TYPE_CHECKING:
    from segwright.prediction.large.plan import Wish
    from segwright.prediction.model import Model


class PredictOptions(TypedDict, total=False):
    """Options of `predict` as keywords.

    Attributes:
        tta: Mirror each scan as training did, and average; as planned by default.
        combine: How members are put together: a row of the table of combinations.
        strict: Refuse scans that are unlike those the model learnt from.
        refuse_flagged: Keep results that a person should look at in a folder of their own, `flagged/`.
        workers: Processes on this machine that share a large scan.
        scheduler: Address of a running dask scheduler whose workers share it.
        memory: Bytes for all workers together; a share of what is free, if not given.
        scores: Keep scores of large scans as well, in this type.
        instances: Number the connected components of the labels of large scans.
        block: Voxels `(z, y, x)` a block, instead of what memory allows.
        hands: Blocks that workers do at once, found by asking the scheduler.
    """

    tta: bool | None
    combine: str
    strict: bool
    refuse_flagged: bool
    workers: int
    scheduler: str | None
    memory: float | None
    scores: Literal["", "uint8", "float32"]
    instances: bool
    block: Triple | None
    hands: int


def predict(  # noqa: PLR0913  # the flags of a command
    model: Model | str | Path,
    images: str | Path,
    out: str | Path,
    *,
    suffix: str | None = None,
    device: str = "auto",
    folds: Sequence[int] | None = None,
    resume: bool = False,
    listen: Listen = silent,
    **options: Unpack[PredictOptions],
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
        resume: Keep results of an earlier call that are whole and were made from the same scans by the same model and
            options; it is told which are made again, and why.
        listen: Progress events.
        options: `tta`, `combine`; `strict` refuses scans that are unlike those of training, `refuse_flagged` keeps
            results that a person should look at in `flagged/`; for volumes larger than
            memory, or to share one among workers: `workers`, `scheduler`, `memory` (bytes), `scores`, `instances`; all
            are explained with `PredictOptions`.

    Raises:
        UsageError: Results would lie among the scans, or no label can be stored as `suffix`.
        ModelError: `strict`, and the model does not know what it learnt from.
        DataError: Some scans failed; the others are written, and all are listed in `predictions.json`.
    """
    from segwright.prediction.model import Model

    suffix = known_form(suffix)
    wish, others = split_wish(dict(options))
    if not isinstance(model, Model):
        model = Model.load(model, device=device, folds=folds, **others)
    dataset = open_images(images, model.plan.channels, flat=model.plan.flat, upright=model.plan.upright)
    folder = Path(out)
    _refuse_overwriting(dataset, folder)
    wish = informed(wish)
    with locked(folder):
        writer = open_writer(suffix, folder, model.plan.labels, names_of(dataset, dataset.cases), resume=resume)
        _tell_unrecorded(model, wish, listen)
        model.forward  # noqa: B018 - damaged members are found before any scan is read
        made = {"format": suffix, "tta": model.tta, "combine": model.combine}
        made |= {"scores": wish.scores, "instances": wish.instances}
        results = Results[Predicted](folder, dataset, writer, model.identity, made)
        results.begin(Predictions, Predicted, resume=resume)
        kept = results.kept(dataset.cases, listen, refused=partial(_unwanted, wish)) if resume else {}
        call = Call(model, dataset, results, wish, suffix, listen, kept)
        with told_when_full(folder, call.needed, hint=_GO_ON):
            result = call.run()
    _refuse_failures(result, folder)
    return result


_GO_ON = "Then run the same command with --resume: results that are there are kept."


#: Folder of results that a person should look at, where these are kept apart.
FLAGGED = "flagged"


def _unwanted(wish: Wish, row: Predicted) -> str:
    """Why an earlier result is not wanted though it holds."""
    if wish.strict and row.outside:
        return "--strict refuses scans unlike those of training"
    apart = any(name.startswith(f"{FLAGGED}/") for name in row.files)
    return "flagged results lie elsewhere now" if apart != (wish.refuse_flagged and row.flagged) else ""


@dataclass
class Call:
    """A call in progress: the scans of a folder, one after the other."""

    model: Model
    dataset: Dataset
    results: Results[Predicted]
    wish: Wish
    suffix: str | None
    listen: Listen
    kept: Mapping[str, Predicted]
    seen: Dataset = field(init=False)
    mended: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: list[Predicted] = field(default_factory=list)

    def run(self) -> Predictions:
        """Predict every case, and list what was done with each."""
        self.seen, writer, folder = self.dataset, self.results.writer, self.results.folder
        if self.model.plan.restore_sections:
            self.seen, self.mended = for_prediction(self.dataset, folder, large=self._by_blocks, listen=self.listen)
        self.listen(Stage("predict", cases=len(self.dataset.cases)))
        for case in tracked(self.dataset.cases, self.listen, "predict"):
            self.rows.append(self._one(case))
        for one in (writer, *([self.apart] if "apart" in vars(self) else [])):
            one.close()
            for note in notes_of(one):
                self.listen(Note(note))
        result = Predictions(cases=self.results.finish(self.rows))
        result.save(folder / Predictions.filename)
        self.results.end()
        return result

    def _one(self, case: Case) -> Predicted:
        """One case: as it was kept, or predicted, or the reason why it cannot be."""
        image = self.dataset.path(case.images[0]).resolve().as_posix()
        if case.id in self.kept:
            row = self.kept[case.id]
            row = row.model_copy(update={"image": image, "provenance": {**row.provenance, "kept": True}})
            self._tell(row)
            return row
        origin = self.results.made_from(case)
        try:
            row = self._blocks(case) if self._by_blocks(case) else self._whole(self.seen.case(case.id))
            row = row.model_copy(update={"image": image, "notes": (*row.notes, *self.mended.get(case.id, ()))})
        except UsageError:
            raise
        except SegwrightError as error:
            if is_full(error):
                raise
            row = Predicted(case=case.id, error=str(error))
        self._tell(row)
        return self.results.note(row, origin)

    @cached_property
    def apart(self) -> Writer:
        """Stores results that a person should look at, where these are kept apart."""
        space, names = self.model.plan.labels, names_of(self.dataset, self.dataset.cases)
        return open_writer(self.suffix, self.results.folder / FLAGGED, space, names)

    def _whole(self, case: Case) -> Predicted:
        """One scan in memory."""
        start = time.perf_counter()
        prediction = self.model.segment(self.seen, case, strict=self.wish.strict)
        notes, told = _notes(prediction, self.model.plan), dict(prediction.provenance)
        known: dict[str, Any] = {"outside": tuple(told.pop("outside")), "quality": prediction.quality, "notes": notes}
        row = Predicted(case=case.id, provenance=told, **known)
        apart = self.wish.refuse_flagged and row.flagged
        writer, place = (self.apart, f"{FLAGGED}/") if apart else (self.results.writer, "")
        files = tuple(dict.fromkeys(place + source.path for source in writer.add(prediction)))
        return row.model_copy(update={"files": files, "seconds": time.perf_counter() - start})

    def _tell(self, row: Predicted) -> None:
        told = [f"unlike the scans of training: {'; '.join(row.outside)}"] if row.outside else []
        told += [f"look at it: {'; '.join(row.doubts)}"] if row.doubts else []
        for text in (*told, *row.notes, *([row.error] if row.error else [])):
            self.listen(Note(f"{row.case}: {text}"))

    def _by_blocks(self, case: Case) -> bool:
        return by_blocks(self.model, self.dataset, case, self.wish, self.suffix)

    def _blocks(self, case: Case) -> Predicted:
        """One scan block by block."""
        start, folder = time.perf_counter(), self.results.folder
        done = segment_large(self.model, self.dataset, case, folder, wish=self.wish, listen=self.listen)
        files = tuple(str(path.relative_to(folder)) for path in done.files)
        return Predicted(
            case=case.id,
            files=files,
            seconds=time.perf_counter() - start,
            outside=done.outside,
            notes=done.notes,
            provenance=done.provenance,
        )

    def needed(self) -> float | None:
        """Bytes all results will take, judged by those that are there."""
        places = [[self.results.folder / name for name in row.files] for row in self.rows]
        sizes = [sum(place.stat().st_size for place in some if place.is_file()) for some in places]
        return sum(sizes) / len(sizes) * len(self.dataset.cases) if any(sizes) else None


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
    """Models of earlier versions do not know what they learnt from, nor whether they were changed."""
    if not model.sealed:
        text = "The model was written by an earlier version, without digests: changes to its plan cannot be seen."
        listen(Note(text))
    if model.judgement is None:
        why = "it was made by an earlier version or without folds, or combines several models"
        listen(Note(f"The model does not know what its masks are worth, so no Dice to expect is told: {why}."))
    if model.records:
        return
    what = "The model does not say what it learnt from, as it was made by an earlier version"
    again = "'segwright report RUN' writes it anew with that record"
    if wish.strict:
        raise ModelError(f"{what}, and --strict needs that.", hint=f"Leave out --strict. {again}.")
    listen(Note(f"{what}: scans are not compared with those of training. {again}."))


def _refuse_overwriting(dataset: Dataset, folder: Path) -> None:
    """Results take the names of their scans, so a common folder would lose the scans."""
    scans = [dataset.path(source) for case in dataset.cases for source in case.images]
    if any(folder.resolve() in (path.resolve(), path.resolve().parent) for path in scans):
        raise UsageError(
            "The results would lie among the scans and replace them.",
            where=folder,
            hint="Give another folder with -o.",
        )


def _refuse_failures(result: Predictions, folder: Path) -> None:
    failed = result.failed
    if failed:
        raise DataError(
            f"{len(failed)} of {amount(len(result.cases), 'scan')} could not be predicted.",
            got=f"{failed[0].case}: {failed[0].error}",
            where=folder / Predictions.filename,
            hint="Mend the scans listed there and run again with --resume.",
        )
