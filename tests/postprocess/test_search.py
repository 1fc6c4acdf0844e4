"""The search finds what was planted, keeps its hands off what is right, and tells why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from segwright.core.deadline import Deadline
from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import IGNORE, LabelSpace
from segwright.metrics.overlap import dice
from segwright.postprocess.chain import apply_to_scores
from segwright.postprocess.search import CUT, Postprocess, search
from segwright.postprocess.trial import Trial, run_trials

STRUCTURES = [{"name": "a", "values": [1]}, {"name": "b", "values": [2]}]
EXCLUSIVE = LabelSpace(structures=STRUCTURES)
OVERLAPPING = LabelSpace(structures=STRUCTURES, kind="overlapping")
GRID = Geometry.from_spacing((6, 20, 24), (2.0, 1.0, 1.0))


@dataclass
class Planted:
    """A case with two blocks, scores that are nearly right, and planted faults."""

    case: str
    space: LabelSpace
    number: int
    stray: bool = False
    timid: bool = False
    bold: bool = False
    hole: bool = False
    fold: int | None = 0
    geometry: Geometry = GRID

    @property
    def group(self) -> str:
        return self.case

    def masks(self) -> np.ndarray:
        masks = np.zeros((2, *GRID.shape), bool)
        start = 3 + self.number % 3
        masks[0, 1:5, start : start + 8, 2:10] = True
        masks[1, 1:5, start : start + 9, 12:19] = True
        return masks

    def reference(self) -> np.ndarray:
        return self.space.from_masks(list(self.masks()))

    def scores(self) -> np.ndarray:
        rng = np.random.default_rng(self.number)
        scores = np.where(self.masks(), 235, 8).astype(np.int16) + rng.integers(-8, 9, (2, *GRID.shape))
        rim = self.masks() & ~np.roll(self.masks(), 1, axis=2)
        if self.timid:
            scores[1][rim[1]] = 95 + rng.integers(0, 5, rim[1].sum())
        if self.bold:
            beyond = np.roll(self.masks()[1], -1, axis=2) & ~self.masks()[1]
            scores[1][beyond] = 150 + rng.integers(0, 5, beyond.sum())
        if self.stray:
            scores[0, 2, 17:20, 20 : 22 + self.number % 3] = 220
        if self.hole:
            scores[1, 2:4, 8:10, 14 : 16 + self.number % 2] = 10
        return scores.clip(0, 255).astype(np.uint8)


def planted(space: LabelSpace, count: int = 12, folds: int = 3, **faults: bool) -> list[Planted]:
    return [Planted(f"c{i}", space, i, fold=i % folds, **faults) for i in range(count)]


def accepted(found: Postprocess) -> set[tuple[str, str]]:
    return {(c.structure, c.change.partition("(")[0]) for c in found.candidates if c.accepted}


@pytest.mark.parametrize("space", [EXCLUSIVE, OVERLAPPING], ids=["exclusive", "overlapping"])
def test_perfect_predictions_are_left_alone(space: LabelSpace) -> None:
    found = search(planted(space), space, score=dice)
    assert str(found.chain) == "nothing" and found.before == found.after
    assert found.candidates and not accepted(found)
    assert {c.reason for c in found.candidates} <= {"changes no score", "does not help"}


@pytest.mark.parametrize("space", [EXCLUSIVE, OVERLAPPING], ids=["exclusive", "overlapping"])
def test_strays_are_removed_from_the_structure_that_has_them(space: LabelSpace) -> None:
    cases = planted(space, stray=True)
    found = search(cases, space, score=dice, steps=["keep_largest", "drop_small", "fill_holes"])
    assert {s for s, _ in accepted(found)} == {"a"}
    assert found.after["a"] > found.before["a"] and found.after["b"] == found.before["b"]
    for case in cases:
        labels = apply_to_scores(found.chain, case.scores(), space, geometry=GRID)
        assert np.array_equal(labels, case.reference())
    best = next(c for c in found.candidates if c.accepted)
    assert best.nested == pytest.approx(best.gain) and "remains on folds left out" in best.reason


def test_faults_of_two_kinds_need_two_steps() -> None:
    found = search(
        planted(EXCLUSIVE, stray=True, hole=True), EXCLUSIVE, score=dice, steps=["keep_largest", "fill_holes"]
    )
    assert accepted(found) == {("a", "keep_largest"), ("b", "fill_holes")}
    assert min(found.after.values()) == 1.0


def test_timid_scores_get_a_lower_threshold() -> None:
    found = search(planted(OVERLAPPING, timid=True), OVERLAPPING, score=dice)
    assert set(found.chain.thresholds) == {"b"} and found.chain.thresholds["b"] < 0.38
    assert found.after["b"] == 1.0
    exclusive = search(planted(EXCLUSIVE, timid=True), EXCLUSIVE, score=dice)
    assert exclusive.chain.foreground is not None and exclusive.chain.foreground < 0.38


def test_a_gain_that_vanishes_out_of_fold_is_refused() -> None:
    """One fold is timid, the other bold: what helps one does nothing for the other, so no cut is chosen rightly."""
    cases = [Planted(f"c{i}", OVERLAPPING, i, timid=i % 2 == 0, bold=i % 2 == 1, fold=i % 2) for i in range(12)]
    found = search(cases, OVERLAPPING, score=dice, steps=[])
    ((best,),) = [[c for c in found.candidates if c.nested is not None]]
    assert best.structure == "b" and best.gain > best.error and best.nested == 0.0
    assert best.reason == f"only +0.0000 of {best.gain:+.4f} remains on folds left out"
    assert not best.accepted and found.chain.thresholds == {}
    # the same cases in folds of both kinds: the gain holds, and the cut is taken
    mixed = [Planted(c.case, OVERLAPPING, c.number, timid=c.timid, bold=c.bold, fold=c.number // 2 % 2) for c in cases]
    kept = search(mixed, OVERLAPPING, score=dice, steps=[])
    assert kept.chain.thresholds.keys() == {"b"} and next(c.nested for c in kept.candidates if c.accepted) > 0


def test_an_effect_on_one_case_of_many_is_not_enough() -> None:
    cases = planted(EXCLUSIVE)
    cases[3].stray = True
    found = search(cases, EXCLUSIVE, score=dice, steps=["keep_largest"])
    assert not accepted(found)
    assert "gain within one standard error" in {c.reason for c in found.candidates}


def test_a_false_detection_removed_is_a_gain() -> None:
    """Where the structure is absent, Dice is undefined without the false detection and must count as a success."""

    class Absent(Planted):
        def masks(self) -> np.ndarray:
            masks = super().masks()
            if self.number % 2:
                masks[0] = False
            return masks

    cases = [Absent(f"c{i}", EXCLUSIVE, i, stray=bool(i % 2), fold=i % 3) for i in range(12)]
    found = search(cases, EXCLUSIVE, score=dice, steps=["drop_small"])
    assert accepted(found) == {("a", "drop_small")}
    assert found.before["a"] == pytest.approx(0.5) and found.after["a"] == 1


def test_ignored_voxels_do_not_count() -> None:
    class Ignored(Planted):
        def reference(self) -> np.ndarray:
            labels = super().reference()
            labels[:, :, 16:, 19:] = IGNORE
            return labels

    cases = [Ignored(f"c{i}", EXCLUSIVE, i, stray=True, fold=i % 3) for i in range(9)]
    assert not accepted(search(cases, EXCLUSIVE, score=dice, steps=["keep_largest"]))


def test_one_fold_is_told() -> None:
    found = search(planted(EXCLUSIVE, folds=1, stray=True), EXCLUSIVE, score=dice, steps=["keep_largest"])
    best = next(c for c in found.candidates if c.accepted)
    assert best.nested is None and "could not be confirmed" in best.reason


def test_result_travels_through_a_file(tmp_path: Path) -> None:
    found = search(planted(EXCLUSIVE, stray=True), EXCLUSIVE, score=dice, steps=["keep_largest"])
    assert Postprocess.load(found.save(tmp_path / Postprocess.filename)) == found
    assert found.notes[0] == "Searched on 12 out-of-fold cases of 3 folds."


def test_trials_in_a_box_equal_trials_on_the_whole() -> None:
    for space in (EXCLUSIVE, OVERLAPPING):
        cases = planted(space, 4, stray=True, hole=True, timid=True)
        found = search(cases, space, score=dice, steps=["keep_largest", "fill_holes"])
        spared = run_trials(cases, space, found.chain, [], dice).base
        for j, case in enumerate(cases):
            labels = apply_to_scores(found.chain, case.scores(), space, geometry=GRID)
            for i in range(2):
                assert spared[i, j] == dice(space.mask(case.reference(), i), space.mask(labels, i))
        for name in ("keep_largest", "fill_holes"):
            for i, structure in enumerate(space.names):
                trial = _trial(name, structure)
                values = run_trials(cases, space, found.chain, [((structure,), [trial])], dice)
                labels = apply_to_scores(trial.extend(found.chain), cases[1].scores(), space, geometry=GRID)
                whole = dice(space.mask(cases[1].reference(), i), space.mask(labels, i))
                assert values.base[i, 1] + values.gains[0][0, 1] == pytest.approx(whole)


def _trial(name: str, structure: str) -> Trial:
    from segwright.postprocess.chain import ChainStep

    return Trial(step=ChainStep(name=name, structures=(structure,)))


def test_nothing_to_search_is_refused() -> None:
    with pytest.raises(UsageError):
        search([], EXCLUSIVE, score=dice)


def test_a_search_out_of_time_keeps_what_it_found_and_says_so() -> None:
    space, cases = EXCLUSIVE, planted(EXCLUSIVE, stray=True)
    now = [0.0]

    def score(*masks: np.ndarray, spacing: object = None) -> float | None:
        now[0] += 1.0
        return dice(*masks, spacing=None)

    whole = search(cases, space, score=score)
    rounds = now[0]
    assert accepted(whole) and CUT not in whole.notes
    now[0] = 0.0
    none = search(cases, space, score=score, deadline=Deadline(-1.0, clock=lambda: now[0]))
    assert none.candidates == () and CUT in none.notes and none.before == none.after == whole.before
    now[0] = 0.0
    some = search(cases, space, score=score, deadline=Deadline(0.6 * rounds, clock=lambda: now[0]))
    assert 0 < len(some.candidates) < len(whole.candidates) and CUT in some.notes
    assert some.candidates == whole.candidates[: len(some.candidates)]
