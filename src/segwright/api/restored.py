"""Mends spoiled sections of stacks before anything is learnt from them or predicted; the originals stay untouched."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import SegwrightError, UsageError
from segwright.core.events import Listen, Note
from segwright.core.identity import identify
from segwright.core.recipe import Recipe
from segwright.core.seed import derive_seed
from segwright.core.words import byte_size
from segwright.io.blocks import whole
from segwright.io.companions import files_of_case
from segwright.io.load import load_image
from segwright.planning.machine import this_machine
from segwright.restoration.record import RestorationRecord, RestoredStack, RestoredStacks

if TYPE_CHECKING:
    from segwright.api.restore_sections import Effort

#: Folder of mended stacks in a run, and (hidden, for results are looked for there) among predictions.
IN_RUN, AMONG_RESULTS = "restored", ".restored"
#: Share of a fit's time for the training on each stack, the most minutes, and steps where results must be repeatable.
SHARE, MOST_MINUTES, STEPS = 0.05, 2.0, 200

#: Copies of a stack that mending holds at once.
COPIES = 3

Sources = tuple[Source, ...]


def for_run(dataset: Dataset, recipe: Recipe, folder: Path, *, listen: Listen) -> Dataset:
    """The dataset of a fit with its labelled stacks mended where the recipe asks for it.

    Args:
        dataset: Original data; single planes and scans in colour are left alone.
        recipe: With `restore_sections`.
        folder: Of the run; what was made there by an interrupted call is found again.
        listen: Told which sections were mended, and by how much.
    """
    if not recipe.restore_sections:
        shutil.rmtree(folder / IN_RUN, ignore_errors=True)  # of a call that was stopped before it had a plan
        return dataset
    from segwright.api.restore_sections import Effort

    minutes = min(MOST_MINUTES, SHARE * (recipe.minutes or MOST_MINUTES / SHARE))
    effort = Effort(minutes, steps=STEPS if recipe.steps else None, seed=recipe.seed)
    found = mend(dataset, dataset.labelled, folder / IN_RUN, effort, listen=listen)
    for told in dict.fromkeys(record.told for record in found.values() if record.rows):
        listen(Note(f"{told}."))
    return redirected(dataset, folder / IN_RUN)


def for_prediction(
    dataset: Dataset, folder: Path, *, large: Callable[[Case], bool], listen: Listen
) -> tuple[Dataset, dict[str, tuple[str, ...]]]:
    """Scans to predict with spoiled sections mended, as the model's own training data were; and notes on each case.

    Args:
        dataset: New scans.
        folder: Of the results; mended copies are kept in a hidden folder of it.
        large: Whether a scan is predicted block by block, because it does not fit in memory; it stays as it is.
        listen: Progress events.
    """
    from segwright.api.restore_sections import Effort

    apart = {case.id for case in dataset.cases if _asked(large, case)}
    small = [case for case in dataset.cases if case.id not in apart]
    found = mend(dataset, small, folder / AMONG_RESULTS, Effort(steps=STEPS), listen=listen)
    notes: dict[str, tuple[str, ...]] = {name: (record.told,) for name, record in found.items() if record.rows}
    for case in dataset.cases:
        if case.id in apart:
            path = dataset.path(case.images[0])
            notes[case.id] = (
                "the model learnt from mended sections, but a scan predicted block by block is taken as it is: "
                f"mend it first with 'segwright restore-sections {path} -o NEW'",
            )
    return redirected(dataset, folder / AMONG_RESULTS), notes


def _asked(large: Callable[[Case], bool], case: Case) -> bool:
    """Scans that cannot be read are told of when their turn comes."""
    try:
        return large(case)
    except UsageError:
        raise
    except SegwrightError:
        return False


def mend(
    dataset: Dataset, cases: Iterable[Case], place: Path, effort: Effort, *, listen: Listen
) -> dict[str, RestorationRecord]:
    """Look at the stacks of some cases once each, and mend those with spoiled sections into `place`.

    Returns:
        What was found, by case; scans that cannot be read, or are no stacks of grey sections, are not among them.
    """
    table = place / RestoredStacks.filename
    known = {one.images: one for one in RestoredStacks.load(table).stacks} if table.exists() else {}
    found: dict[str, RestorationRecord] = {}
    for case in (case for case in cases if case.images):
        mark = _mark(dataset, case)
        one = known.get(case.images)
        if one is None or one.record.mark != mark:
            one = _looked_at(dataset, case, place, replace(effort, seed=derive_seed(effort.seed, mark) % 2**31), listen)
            if one is None:
                continue
            known[case.images] = one
            RestoredStacks(stacks=tuple(known.values())).save(table)
        found[case.id] = one.record
    return found


def _looked_at(dataset: Dataset, case: Case, place: Path, effort: Effort, listen: Listen) -> RestoredStack | None:
    """One stack, mended where it has to be; `None` for scans that are no stack of grey sections."""
    from segwright.api.restore_sections import Stack, restore_stack

    try:
        volume = load_image(dataset, whole(case))
    except SegwrightError:
        return None  # whoever reads it next says so, with all other findings
    if volume.data.shape[0] != 1 or volume.data.shape[1] < 3:
        return None
    path, mark = dataset.path(case.images[0]), _mark(dataset, case)
    needed = COPIES * math.prod(volume.data.shape) * volume.data.dtype.itemsize
    if needed > this_machine().memory:
        told = f"{path.name}: its sections were not looked at, for that takes {byte_size(needed)} of memory."
        listen(Note(told))
        return None
    name = f"{re.sub(r'[^A-Za-z0-9_-]+', '_', path.name.split('.')[0])}-{mark[:8]}"
    out = place / name
    if out.exists():  # made by a call that was cut short before it could say so
        shutil.rmtree(out)
    stack = Stack.of(volume, path, mark)
    record = restore_stack(stack, out, effort, listen=listen, idle_copy=False)
    if not record.mended:
        return RestoredStack(images=case.images, record=record)
    return RestoredStack(images=case.images, folder=name, stack=stack.stored_name, record=record)


def redirected(dataset: Dataset, place: Path) -> Dataset:
    """The dataset with the mended copies that lie in `place` instead of their originals, and a note on each.

    Example:
        >>> from pathlib import Path
        >>> nothing = Dataset(root=".", layout="none", channels=("grey",), cases=())
        >>> redirected(nothing, Path("no/such/folder")) == nothing
        True
    """
    table = place / RestoredStacks.filename
    if not table.exists():
        return dataset
    stacks = RestoredStacks.load(table).stacks
    mended = {one.images: (_copy(one, place),) for one in stacks if one.folder}
    notes = tuple(f"{one.record.told}." for one in stacks if one.record.rows)
    cases = tuple(_instead(case, mended) for case in dataset.cases)
    return dataset.model_copy(update={"cases": cases, "notes": (*dataset.notes, *notes)})


def reason(place: Path) -> str:
    """What was mended, for a plan."""
    table = place / RestoredStacks.filename
    stacks = RestoredStacks.load(table).stacks if table.exists() else ()
    return "asked for in the recipe: " + ("; ".join(one.record.told for one in stacks) or "there is no stack")


def _copy(one: RestoredStack, place: Path) -> Source:
    return Source(path=(place / one.folder / one.stack).resolve().as_posix())


def _instead(case: Case, mended: Mapping[Sources, Sources]) -> Case:
    return case.model_copy(update={"images": mended[case.images]}) if case.images in mended else case


def _mark(dataset: Dataset, case: Case) -> str:
    """A name for the scan of a case that changes with what its files hold, and with nothing else."""
    told = [source.model_dump_json() for source in case.images]
    try:
        files = identify(files_of_case(dataset, case))
        told.append(files.content or files.stamp)
    except OSError:
        told.append("unreadable")  # whoever reads it next says so
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
