"""Predicts one scan that is larger than memory, or shared among workers, into a folder that says how far it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwright.api.lock import locked
from segwright.core.case import Case, Dataset
from segwright.core.disk import atomic_path, move_durably
from segwright.core.errors import DataError, SegwrightError, UsageError
from segwright.core.events import Listen
from segwright.core.words import agree, amount, size
from segwright.io.omezarr import receipt_of, sweep

if TYPE_CHECKING:
    from segwright.prediction.large.job import Job
    from segwright.prediction.large.plan import Wish
    from segwright.prediction.model import Model


@dataclass(frozen=True)
class LargeResult:
    """What became of a scan.

    Attributes:
        files: Stores and tables.
        notes: What was assumed, left out or repaired.
        outside: In what it is unlike the training scans.
        provenance: Facts for the receipt.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    outside: tuple[str, ...]
    provenance: dict[str, Any]


def split_wish(options: dict[str, Any]) -> tuple[Wish, dict[str, Any]]:
    """What options say about large volumes, and the other options.

    Raises:
        UsageError: Scores in another type than uint8 or float32.
    """
    from segwright.prediction.large.plan import Wish

    own = {field.name for field in fields(Wish)} & set(options)
    wish = Wish(**{name: options[name] for name in own})
    if wish.scores not in {"", "uint8", "float32"}:
        raise UsageError("Unknown type of scores.", expected="uint8 or float32", got=wish.scores)
    return wish, {name: value for name, value in options.items() if name not in own}


def informed(wish: Wish) -> Wish:
    """The wish with what its scheduler says: how many blocks are done at once, and how much memory there is for them.

    Raises:
        UsageError: The scheduler does not answer, has no worker, or has workers of other versions.
    """
    from segwright.prediction.large.plan import SHARE
    from segwright.prediction.large.workers import Cluster, hired

    if not wish.scheduler:
        return wish
    with hired(wish.workers, wish.scheduler) as found:
        assert isinstance(found, Cluster)
        limit = found.memory
        memory = wish.memory if wish.memory is not None or limit is None else SHARE * limit
        return replace(wish, hands=found.hands, memory=memory)


def by_blocks(model: Model, dataset: Dataset, case: Case, wish: Wish, suffix: str | None) -> bool:
    """Whether a scan goes block by block: because that was asked, or because it would not fit in memory.

    Raises:
        UsageError: It does, but results were asked for in a format that is not written by blocks.
    """
    from segwright.io.load import load_image
    from segwright.prediction.large.plan import refusal, too_large

    if not wish.asked:
        try:
            volume = load_image(dataset, case)
        except SegwrightError:
            return False  # reading it will say what is wrong
        if refusal(model) or not too_large(volume, model.plan, wish.budget):
            return False
    elif reason := refusal(model):
        raise UsageError(
            "This model cannot work block by block.",
            got=reason,
            hint="Leave out --workers, --scheduler, --scores and --instances.",
        )
    if suffix not in {None, ".zarr", ".ome.zarr"}:
        raise UsageError(
            f"Case {case.id!r} is predicted block by block, and blocks are written as OME-Zarr.",
            got=suffix,
            hint="Leave --format out.",
        )
    return True


def segment_large(
    model: Model, dataset: Dataset, case: Case, folder: Path, *, wish: Wish, listen: Listen
) -> LargeResult:
    """Predict a scan by blocks into `folder`; goes on where an earlier call for the same scan and model stopped.

    While it is under way, everything lies in `folder/<case>.incomplete`.

    Raises:
        UsageError: Results of another model or volume are in the way.
        DataError: Some blocks failed; the others are there, and calling again tries only those that failed.
        WriteError: The disk is full.
    """
    from segwright.prediction.large.plan import plan_job

    job = plan_job(model, dataset, case, wish)
    there = _finished(job, folder)
    if there:
        return LargeResult(there, ("the result was there already",), job.outside, {"kept": True, **_provenance(job)})
    work = folder / f"{case.id}.incomplete"
    with locked(work):
        job = _agreed(job, work)
        notes = _notes(job)
        if not (work / _MOVING).exists():
            notes += _carry_out(work, job, wish, listen)
        files = _move(work, job, folder)
    return LargeResult(files, notes, job.outside, _provenance(job))


#: Marks a folder whose results are whole and only need their final names.
_MOVING = "whole.json"


def _names(job: Job) -> dict[str, str]:
    """Final names of what the folder of a job holds."""
    names = {"labels.zarr": f"{job.case}.zarr", "scores.zarr": f"{job.case}.scores.zarr"}
    if job.instances:
        alone = job.instances == "decoder"
        names["instances.zarr"] = f"{job.case}.zarr" if alone else f"{job.case}.instances.zarr"
        names["instances.csv"] = f"{job.case}.instances.csv"
    wanted = ["labels"] * (job.instances != "decoder") + ["scores"] * bool(job.scores) + ["instances"]
    return {name: final for name, final in names.items() if name.partition(".")[0] in wanted}


def _finished(job: Job, folder: Path) -> tuple[Path, ...]:
    """Results of this very job; none if there are none.

    Raises:
        UsageError: Something else is in the way.
    """
    finals = [folder / name for name in _names(job).values()]
    if (folder / f"{job.case}.incomplete" / _MOVING).exists():
        return ()
    for path in finals:
        told = receipt_of(path) if path.suffix == ".zarr" and path.is_dir() else {}
        if path.suffix == ".zarr" and path.exists() and told.get("model") != job.model_mark:
            raise _foreign(path, "another model, or the same with other options" if told else "something else")
        other = told.get("volume") != job.volume_mark or told.get("inputs", job.inputs_mark) != job.inputs_mark
        if told and other and not job.survey.unreadable:
            raise _foreign(path, "another volume")
    return tuple(finals) if all(path.exists() for path in finals) else ()


def _agreed(job: Job, work: Path) -> Job:
    """The job of the folder: the one found there if it is the same, with its blocks and intensities, or this one."""
    from segwright.prediction.large.job import Job, Record

    file = work / Job.filename
    if not file.exists():
        job.save(file)
        return job
    found = Job.load(file)
    if found.model_mark != job.model_mark:
        raise _foreign(work, "another model, or the same with other options")
    if not found.same_volume(job, mended=Record(work).has_failed):
        raise _foreign(work, "another volume")
    same = {"block": found.block, "chunk": found.chunk, "levels": found.levels, "survey": found.survey}
    agreed = job.model_copy(update=same)
    if agreed != found:
        agreed.save(file)
    return agreed


def _foreign(path: Path, what: str) -> UsageError:
    return UsageError(
        f"Results of {what} are in the way.",
        where=path,
        hint="Give another folder with -o, or remove what is there.",
    )


def _carry_out(work: Path, job: Job, wish: Wish, listen: Listen) -> tuple[str, ...]:
    """All blocks of all steps; what is to be told about them."""
    from segwright.prediction.large.bench import opened
    from segwright.prediction.large.objects import write_table
    from segwright.prediction.large.run import carry_out
    from segwright.prediction.large.workers import Cluster, hired

    with hired(wish.workers, wish.scheduler) as workers:
        if isinstance(workers, Cluster):
            workers.refuse_unseen(work)
        outcome = carry_out(work, workers, listen)
    notes = [f"predicted in {amount(outcome.done + outcome.kept, 'block')} of {size(job.block)}"]
    if outcome.kept:
        notes.append(f"{amount(outcome.kept, 'block')} {agree(outcome.kept, 'was', 'were')} finished by an earlier run")
    broken = sum("repaired" in facts for facts in opened(work).record.facts("predict"))
    if broken:
        notes.append(f"{amount(broken, 'block')} held voxels that were NaN or infinite and were replaced")
    if job.instances:
        rows = write_table(opened(work), work / "instances.csv")
        notes.append(amount(rows, "object") if rows else "no object was found")
    if not outcome.complete:
        raise DataError(
            f"The result is incomplete: {amount(len(outcome.failed), 'block')} failed, the others are done.",
            got=outcome.reasons,
            where=work,
            hint="Mend the parts named and run the same command with --resume: only these blocks are done anew.",
        )
    for name in _names(job):
        sweep(work / name)
    with atomic_path(work / _MOVING) as partial:
        partial.write_text(json.dumps({"case": job.case}), encoding="utf-8")
    return tuple(notes)


def _move(work: Path, job: Job, folder: Path) -> tuple[Path, ...]:
    """Give whole results their final names; can be cut short and called again."""
    names = _names(job)
    for name, final in names.items():
        if (work / name).exists():
            move_durably(work / name, folder / final)
    shutil.rmtree(work, ignore_errors=True)
    return tuple(folder / final for final in names.values())


def _notes(job: Job) -> tuple[str, ...]:
    """What is to be known of the scan and of how blocks treat it."""
    from segwright.io.load import load_image
    from segwright.prepare.pipeline import seen_grid, target_shape

    volume = load_image(job.dataset, job.dataset.cases[0])
    header, prepare = volume.header, job.plan.prepare
    grid = seen_grid(volume.geometry, prepare)
    notes = [str(text) for text in (*header.get("warnings", ()), *header.get("adapted", ()))]
    if any(rule.scheme == "case" for rule in prepare.normalise):
        notes.append(f"{job.survey}, the same for every block")
    if job.survey.unreadable:
        notes.append(f"while sampling, {amount(len(job.survey.unreadable), 'box')} could not be read")
    if job.instances == "decoder" and prepare.kept and target_shape(grid, prepare) != grid.shape:
        notes.append(
            "voxels are of another size than in training, and by blocks objects are told apart on the scan's own"
        )
    if prepare.crop:
        notes.append("empty borders were not cut away")
    if job.chain is not None and job.chain.steps:
        steps = ", ".join(step.name for step in job.chain.steps)
        notes.append(f"post-processing that needs the whole volume was left out: {steps}")
    return tuple(notes)


def _provenance(job: Job) -> dict[str, Any]:
    return {
        "plan": job.plan.content_hash(),
        "members": [Path(path).name for path in job.weights],
        "mirror": list(job.plan.window.mirror) if job.tta else [],
        "block": list(job.block),
        "intensities": [channel.model_dump() for channel in job.survey.channels],
        "model_mark": job.model_mark,
        "volume_mark": job.volume_mark,
    }
