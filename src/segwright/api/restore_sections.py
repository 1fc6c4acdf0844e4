"""Finds and mends spoiled sections of an electron microscope's stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import DataError, UsageError
from segwright.core.events import Listen, Stage, counted, silent
from segwright.core.volume import Volume
from segwright.core.words import amount
from segwright.io import output_suffix, read, write
from segwright.ops.section_faults import Fault, faults
from segwright.ops.sections import SectionFacts, correlation, measure

if TYPE_CHECKING:
    from segwright.restoration.learn import Interpolation
    from segwright.restoration.mend import Mended
    from segwright.restoration.record import RestorationRecord, SectionRow

Plane = NDArray[np.float32]


def restore_sections(
    source: str | Path,
    out: str | Path | None = None,
    *,
    minutes: float = 2.0,
    seed: int = 0,
    listen: Listen = silent,
) -> RestorationRecord:
    """Replace the noisy, blurred, dark, shifted or missing sections of a stack, and nothing else.

    Sections are made anew by a network that was trained on the clean triples of the same stack, unless the plain mean
    of both neighbours does better on triples kept back; dark and bright ones are lit again, shifted ones moved back.

    Args:
        source: Stack: a folder of sections, or any volume the readers open; it is held in memory.
        out: New folder for the mended stack (in the source's own form), `restoration.json` and pictures before and
            after; `None` only looks.
        minutes: Time for training.
        seed: Of everything random.
        listen: Progress events.

    Raises:
        DataError: The stack has several channels, or fewer than three sections.
        UsageError: `out` exists already.
    """
    if out is not None and Path(out).exists():
        raise UsageError("The output exists already.", where=out, hint="Name a new folder.")
    target = None if out is None else Path(out)
    return restore_stack(Stack.of(read(source), Path(source)), target, Effort(minutes, seed=seed), listen=listen)


@dataclass(frozen=True, slots=True)
class Effort:
    """What making sections anew may take: minutes of training, or so many steps, which can be repeated exactly."""

    minutes: float = 2.0
    steps: int | None = None
    seed: int = 0


def restore_stack(
    stack: Stack, out: Path | None, effort: Effort, *, listen: Listen = silent, idle_copy: bool = True
) -> RestorationRecord:
    """`restore_sections` of a stack in memory.

    Args:
        stack: From `Stack.of`.
        out: New folder, or `None` to look only.
        effort: Time or steps, and seed.
        listen: Progress events.
        idle_copy: Write the folder even where no section changes.
    """
    listen(Stage("restore-look", cases=stack.count))
    facts = measure(stack.count, stack.plane)
    found = faults(facts)
    if out is None or not found:
        record = _record(stack, facts, [_row(stack, _looked(fault), facts) for fault in found], None)
        mended: list[Mended] = []
    else:
        learnt = _learn(stack, found, effort, listen=listen)
        mended = list(_mend(stack, found, learnt))
        record = _record(stack, facts, [_row(stack, one, facts) for one in mended], learnt)
    if out is not None and (idle_copy or record.mended):
        _save(stack, mended, record, out)
    return record


@dataclass(frozen=True)
class Stack:
    """A stack in memory, with the grey values of single sections; `mark` goes into its record."""

    path: Path
    volume: Volume
    array: NDArray[Any]
    mark: str = ""

    @classmethod
    def of(cls, volume: Volume, path: Path, mark: str = "") -> Stack:
        """A volume's sections.

        Raises:
            DataError: It has several channels, or fewer than three sections.
        """
        channels, count = volume.data.shape[:2]
        if channels != 1 or count < 3:
            raise DataError(
                "This is no stack of grey sections.",
                expected="one channel and three sections at least",
                got=f"{amount(channels, 'channel')}, {amount(count, 'section')}",
                where=path,
                hint="Point to the folder or volume that holds the whole stack.",
            )
        return cls(path, volume, volume.array(), mark)

    @property
    def count(self) -> int:
        return int(self.array.shape[1])

    def plane(self, z: int) -> Plane:
        plane: Plane = self.array[0, z].astype(np.float32)
        return plane

    @property
    def stored_name(self) -> str:
        """Name under which the stack goes back in its own form."""
        if self.volume.header.get("format") == "sections":
            return self.path.name
        return self.path.name.split(".")[0] + output_suffix(self.volume)

    def name(self, z: int) -> str:
        files = self.volume.header.get("files", ())
        return str(files[z]) if z < len(files) else ""

    def stored(self, plane: Plane) -> NDArray[Any]:
        """Grey values in the type of the stack."""
        if self.array.dtype.kind in "iu":
            limits = np.iinfo(self.array.dtype)
            plane = np.clip(np.rint(plane), limits.min, limits.max)
        return plane.astype(self.array.dtype)


def _learn(stack: Stack, found: Sequence[Fault], effort: Effort, *, listen: Listen) -> Interpolation:
    from segwright.restoration.learn import clean_triples, learn

    triples = clean_triples(stack.count, [fault.section for fault in found])
    anew = any(fault.kind not in {"dark", "bright"} for fault in found)
    seconds, steps = (60 * effort.minutes, effort.steps) if anew else (0.0, None)
    listen(Stage("restore-learn", seconds=None if steps else seconds))
    show = counted(listen, "restore-learn")

    def tell(share: float) -> None:
        show(round(share * 100), 100)

    return learn(_standard(stack, found), triples, seconds=seconds, seed=effort.seed, tell=tell, steps=steps)


def _scale(stack: Stack, found: Sequence[Fault]) -> tuple[float, float]:
    """Mean and standard deviation of the clean sections."""
    bad = {fault.section for fault in found}
    clean = [z for z in range(stack.count) if z not in bad] or list(range(stack.count))
    planes = stack.array[0, clean]
    return float(planes.mean()), max(float(planes.std()), 1e-6)


def _standard(stack: Stack, found: Sequence[Fault]) -> Callable[[int], Plane]:
    """Sections with the stack's mean at 0 and its contrast 1; the latest few are remembered."""
    mean, deviation = _scale(stack, found)

    @lru_cache(maxsize=24)
    def plane(z: int) -> Plane:
        return (stack.plane(z) - mean) / deviation

    return plane


def _mend(stack: Stack, found: Sequence[Fault], learnt: Interpolation) -> Iterator[Mended]:
    from segwright.restoration.learn import between_sections
    from segwright.restoration.mend import mend

    mean, deviation = _scale(stack, found)

    def between(before: Plane, after: Plane) -> Plane:
        if not _by_network(learnt):
            return (before + after) * np.float32(0.5)
        made = between_sections(learnt.network, (before - mean) / deviation, (after - mean) / deviation)
        return (made * deviation + mean).astype(np.float32)

    error = deviation * (learnt.error if _by_network(learnt) else learnt.error_mean)
    return mend(stack.count, stack.plane, found, between, error=error, contrast=deviation)


def _by_network(learnt: Interpolation) -> bool:
    return learnt.steps > 0 and learnt.error <= learnt.error_mean


def _looked(fault: Fault) -> Mended:
    from segwright.restoration.mend import Mended

    return Mended(fault, "left as it is", None, (), "nothing was asked to be changed")


def _row(stack: Stack, mended: Mended, facts: SectionFacts) -> SectionRow:
    from segwright.restoration.record import SectionRow

    fault, before = mended.fault, stack.plane(mended.fault.section)
    after = before if mended.plane is None else mended.plane
    near = [stack.plane(z) for z in mended.neighbours]

    def likeness(plane: Plane) -> float:
        return float(np.mean([correlation(plane, other) for other in near])) if near else 0.0

    return SectionRow(
        section=fault.section,
        name=stack.name(fault.section),
        kind=fault.kind,
        score=round(fault.score, 2),
        action=mended.action,
        why=mended.why,
        neighbours=mended.neighbours,
        likeness_before=round(likeness(before), 4),
        likeness_after=round(likeness(after), 4),
        change=round(float(np.abs(after - before).mean() / max(np.median(facts.deviation), 1e-9)), 4),
    )


def _record(
    stack: Stack, facts: SectionFacts, rows: Sequence[SectionRow], learnt: Interpolation | None
) -> RestorationRecord:
    from segwright.restoration.record import RestorationRecord

    bad = {row.section for row in rows}
    clean = [i for i in range(stack.count - 1) if not bad & {i, i + 1}]
    judged = learnt is not None and not math.isnan(learnt.error)
    return RestorationRecord(
        source=stack.path.name,
        sections=stack.count,
        rows=tuple(rows),
        method="" if learnt is None else "network" if _by_network(learnt) else "mean of both neighbours",
        error=round(learnt.error, 4) if learnt is not None and judged else None,
        error_mean=round(learnt.error_mean, 4) if learnt is not None and judged else None,
        usual_likeness=round(float(np.median(facts.likeness[clean])), 4) if clean else 0.0,
        triples=learnt.triples if learnt is not None else (0, 0),
        steps=learnt.steps if learnt is not None else 0,
        notes=tuple(stack.volume.header.get("warnings", ())),
        mark=stack.mark,
    )


def _save(stack: Stack, mended: Sequence[Mended], record: RestorationRecord, out: Path) -> None:
    """The mended stack under its own name, the record, and pictures; the folder appears when all is written."""
    from segwright.core.disk import atomic_path

    array = stack.array.copy()
    pictures: dict[int, NDArray[Any]] = {}
    for one in mended:
        if one.plane is None:
            continue
        z = one.fault.section
        after = stack.stored(one.plane)
        pictures[z] = np.concatenate([array[0, z], after], axis=1)
        array[0, z] = after
    with atomic_path(out) as partial:
        partial.mkdir(parents=True)
        name = stack.stored_name
        fresh = Volume.of(array, stack.volume.geometry, channels=stack.volume.channels, header=stack.volume.header)
        write(fresh, partial / name, like=stack.volume)
        record.save(partial / record.filename)
        for z, picture in pictures.items():
            _picture(picture, partial / "before-after" / f"section-{z:04d}.png")


def _picture(pair: NDArray[Any], path: Path) -> None:
    """Before and after, side by side, in 8 bits."""
    from segwright.core.geometry import Geometry

    path.parent.mkdir(exist_ok=True)
    low, high = float(pair.min()), float(pair.max())
    grey = ((pair - low) * (255.0 / max(high - low, 1e-9))).astype(np.uint8)[None, None]
    write(Volume.of(grey, Geometry.from_spacing(grey.shape[1:], (None, None, None))), path)
