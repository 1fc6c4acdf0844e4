"""Several runs on the same cases: what they must share, and the cases that each of them judged out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segwright.api.finalize import final_chain
from segwright.api.inputs import Inputs
from segwright.api.out_of_fold import JudgedCase, Shelf, predict_out_of_fold
from segwright.api.run import Run
from segwright.core.errors import DataError, UsageError
from segwright.core.events import Listen
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.model import Combination, Manifest
from segwright.core.plan import Plan
from segwright.core.words import listed
from segwright.postprocess.ensemble import Scores, votes_of
from segwright.postprocess.search import OutOfFold
from segwright.targets import TARGETS, target_info


@dataclass
class JointCase:
    """A case judged by one run after the other, each by the member that had not seen it.

    Attributes:
        judged: One a run.
        votes: Opinions are final labels, not scores.
    """

    judged: tuple[JudgedCase, ...]
    votes: bool = False

    @property
    def case(self) -> str:
        """Case id."""
        return self.judged[0].case

    @property
    def group(self) -> str:
        """Patient."""
        return self.judged[0].group

    @property
    def fold(self) -> int | None:
        """Fold of the first run."""
        return self.judged[0].fold

    @property
    def orientation(self) -> str | None:
        """Axis codes on which the networks saw the scan."""
        return self.judged[0].orientation

    @property
    def geometry(self) -> Geometry:
        """The scan's own grid; for objects that of the scores, which are decoded there."""
        return self._mixed[0].geometry

    @property
    def _mixed(self) -> Sequence[OutOfFold]:
        """The runs' cases on the grid where their scores are mixed."""
        objects = self.judged[0].run.plan.labels.instances
        return [one.at_scale() for one in self.judged] if objects else self.judged

    def opinions(self) -> list[Scores]:
        """Scores of each run, or its final labels as votes."""
        if not self.votes:
            return [one.scores() for one in self._mixed]
        return [votes_of(one.predicted(final_chain(one.run)), one.run.plan.labels) for one in self.judged]

    def reference(self) -> NDArray[Any]:
        """Canonical labels."""
        return self._mixed[0].reference()


@dataclass(frozen=True)
class Team:
    """The runs of an ensemble."""

    runs: tuple[Run, ...]

    @classmethod
    def open(cls, runs: Sequence[str | Path]) -> Team:
        """The runs of these folders; a model folder inside a run stands for it.

        Raises:
            UsageError: Fewer than two, one named twice, or one that is no run.
        """
        return cls(tuple(_opened(runs)))

    @property
    def space(self) -> LabelSpace:
        """Structures of the first run, which are those of all."""
        return self.runs[0].plan.labels

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Short names of the runs, told apart by number where they are the same."""
        short = [run.folder.resolve().name for run in self.runs]
        return tuple(f"{name}-{i}" if short.count(name) > 1 else name for i, name in enumerate(short))

    def check(self, *, vote: bool) -> None:
        """Refuse runs that cannot be mixed."""
        first = self.runs[0]
        if vote and self.space.instances:
            raise UsageError(
                "Objects cannot be voted on: their numbers mean nothing to another run.",
                hint="Leave out --vote; the scores that objects are decoded from are averaged then.",
            )
        for run, name in zip(self.runs, self.names, strict=True):
            if not run.plan.labels.instances and not target_info(run.plan.target).per_structure:
                raise DataError(
                    f"Run {name} cannot be part of an ensemble: its network does not give one score a structure.",
                    expected=" or ".join(name for name in TARGETS if target_info(name).per_structure),
                    got=run.plan.target,
                    where=run.folder,
                )
            _refuse_difference("structures", first, run, lambda r: (r.plan.labels.kind, *r.plan.labels.names))
            _refuse_difference("channels", first, run, lambda r: r.plan.channels)
            if self.space.instances:
                _refuse_difference("target, so their scores do not mean the same", first, run, lambda r: r.plan.target)
                _refuse_difference("working grid, on which objects are found", first, run, _working_grid)
            _refuse_difference("kind of scan", first, run, lambda r: "planes" if r.plan.flat else "volumes")
            if not (run.model_folder / Manifest.filename).exists():
                raise UsageError(
                    "The run has no model yet.", where=run.folder, hint=f"segwright fit DATA -o {run.folder} --resume"
                )

    def cases(self, vote: bool, device: str, listen: Listen) -> list[JointCase]:
        """Cases that each run predicted out of fold, in the order of the first."""
        places = []
        for run in self.runs:
            for fold in run.finished:
                predict_out_of_fold(run, fold, device=device, listen=listen)
            places.append({case: fold for fold in run.finished for case in run.split.folds[fold].validation})
        shared = [case for case in places[0] if all(case in place for place in places)]
        for case in shared:
            for run in self.runs[1:]:
                _refuse_difference(
                    "data", self.runs[0], run, lambda r, case=case: r.dataset.case(case).model_dump(exclude={"group"})
                )
        for run in self.runs[1:]:
            _refuse_other_content(self.runs[0], run, shared)
        seats = [(run, place, Shelf(run.folder)) for run, place in zip(self.runs, places, strict=True)]
        return [
            JointCase(tuple(JudgedCase(run, case, place[case], shelf) for run, place, shelf in seats), vote)
            for case in shared
        ]

    def unjudged(self, cases: Sequence[JointCase]) -> DataError | None:
        """What to say of labelled cases that some run trained on but never judged; they could leak into the choice."""
        judged = {case.case for case in cases}
        for run, name in zip(self.runs, self.names, strict=True):
            known = {c for fold in run.split.folds for c in (*fold.train, *fold.validation) if not _only_learnt(run, c)}
            own = {case for fold in run.finished for case in run.split.folds[fold].validation}
            missing = sorted((known | {c for r in self.runs for c in _validated(r)}) - own)
            if missing and (set(missing) - judged):
                few = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
                return DataError(
                    "Some cases have no out-of-fold prediction in every run, so weights chosen on them would leak.",
                    expected="every case judged by a member that did not train on it, in each run",
                    got=f"{name} lacks {few}",
                    where=run.folder,
                    hint="Finish the folds with 'segwright fit DATA -o RUN --resume', or use --weights equal.",
                )
        return None

    def notes(self) -> list[str]:
        """What a reader should know of splits and places."""
        first = self.runs[0]
        found = []
        if any(run.split.folds != first.split.folds for run in self.runs):
            found.append("The runs were split differently; every case is still judged by members that had not seen it.")
        roots = {run.dataset.root for run in self.runs}
        if len(roots) > 1:
            found.append(f"The runs name different data folders: {', '.join(sorted(roots))}; the first is read.")
        return found


def _only_learnt(run: Run, case: str) -> bool:
    """Whether a case is some sections of a stack that train a fold; each of them is judged as part of another case."""
    return run.dataset.case(case).sections is not None and all(case not in f.validation for f in run.split.folds)


def _validated(run: Run) -> set[str]:
    return {case for fold in run.finished for case in run.split.folds[fold].validation}


def _opened(runs: Sequence[str | Path]) -> list[Run]:
    """The runs; a model folder inside a run stands for it."""
    if len(runs) < 2:
        raise UsageError("An ensemble needs at least two runs.", got=", ".join(map(str, runs)), hint="Name more runs.")
    found = []
    for place in map(Path, runs):
        if (place / Combination.filename).exists():
            raise UsageError("This is an ensemble already.", where=place, hint="Name the runs it was made of.")
        inside = place.name == "model" and (place.parent / Plan.filename).exists()
        found.append(Run.open(place.parent if inside else place))
    places = [run.folder.resolve() for run in found]
    twice = next((str(place) for place in places if places.count(place) > 1), None)
    if twice:
        raise UsageError("A run is named twice.", got=twice, hint="Name each run once; weights are chosen for you.")
    return found


def _refuse_other_content(first: Run, other: Run, shared: Sequence[str]) -> None:
    """Runs are mixed by what each says of a case, so it has to be the same case to its last byte.

    Runs of earlier versions kept no content; nothing is compared with them.

    Raises:
        DataError: Names the cases.
    """
    files = [run.folder / Inputs.filename for run in (first, other)]
    if not all(file.exists() for file in files):
        return
    one, two = (Inputs.load(file).cases for file in files)
    unlike = [case for case in shared if case in one and case in two and not one[case].same(two[case])]
    if unlike:
        raise DataError(
            "The runs learnt from different data: files of one name hold something else.",
            expected=f"the content that {first.folder} was begun with",
            got=f"other images or labels of {listed(unlike)}",
            where=other.folder,
            hint="Make an ensemble of runs on the same data.",
        )


def _working_grid(run: Run) -> dict[str, Any]:
    """What decides the grid that a run's networks see a scan on."""
    return run.plan.prepare.model_dump(include={"orientation", "crop", "spacing", "kept", "voxel", "fit"})


def _refuse_difference(what: str, first: Run, other: Run, of: Any) -> None:
    if of(first) != of(other):
        raise DataError(
            f"The runs differ in {what}.",
            expected=f"{of(first)} as in {first.folder}"[:400],
            got=str(of(other))[:400],
            where=other.folder,
            hint="Make an ensemble of runs on the same data.",
        )
