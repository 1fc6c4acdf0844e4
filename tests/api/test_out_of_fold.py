"""Concluding a fit reads each reference and post-processes each case once, whatever comes back to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import segwright
from segwright.api import finalize, out_of_fold
from segwright.api.finalize import conclude
from segwright.api.out_of_fold import Shelf
from segwright.core.labels import LabelSpace
from segwright.core.report import Floor, Report
from segwright.postprocess.chain import Chain


def test_what_is_kept_is_made_once_and_stays_as_it_was(tmp_path: Path) -> None:
    shelf, calls = Shelf(tmp_path), []

    def make() -> np.ndarray:
        calls.append(1)
        return np.arange(6, dtype=np.int16).reshape(1, 1, 2, 3)

    first, again = shelf.keep("one", make), shelf.keep("one", make)
    assert (
        len(calls) == 1 and first.dtype == np.int16 and np.array_equal(first, make()) and np.array_equal(again, first)
    )
    assert not np.array_equal(shelf.keep("two", lambda: make() + 1), first)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    shelf.close()
    assert list(tmp_path.iterdir()) == []


def test_a_shelf_goes_with_its_last_user_and_takes_along_what_was_left(tmp_path: Path) -> None:
    gone = tmp_path / f".kept-{2**22 + 1}-x"  # above the largest process number of Linux
    gone.mkdir()
    shelf = Shelf(tmp_path)
    assert not gone.exists() and len(list(tmp_path.iterdir())) == 1
    del shelf
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("passed", [True, False, None])
def test_a_model_no_better_than_one_mask_doubts_no_label(passed: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that finds nothing differs from sound labels everywhere."""
    space = LabelSpace(structures=[{"name": "a"}])
    facts = [SimpleNamespace(shape=(1, 4, 4), volumes={"a": 4})]
    run = SimpleNamespace(plan=SimpleNamespace(labels=space), inspection=SimpleNamespace(facts=facts))
    none = np.zeros((1, 1, 4, 4), np.int16)
    case = SimpleNamespace(case="c", reference=lambda: none, predicted=lambda chain: none, scores=lambda: none)
    floor = None if passed is None else Floor(score=0.4, gain=0.0, low=-0.1, high=0.1, passed=passed)
    monkeypatch.setattr(finalize, "doubts", lambda judged, space, **usual: [judged.case])
    found = finalize.second_looks(run, [case], Chain(), Report(title="", scores=(), aggregates=(), floor=floor))
    assert list(found) == ([] if passed is False else ["c"])


@pytest.mark.parametrize("dims", [2, 3])
def test_concluding_reads_each_reference_and_post_processes_each_case_once(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dims: int
) -> None:
    folder = make_folder("exclusive", dims)
    options = {"steps": 3, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2}
    run = segwright.fit(folder, out=tmp_path / "run", **options)
    before = run.report
    read, processed = Counter[str](), Counter[str]()
    load_label, apply_to_scores = out_of_fold.load_label, out_of_fold.apply_to_scores

    def counted_load(dataset, case, geometry):  # type: ignore[no-untyped-def]
        read[case.id] += 1
        return load_label(dataset, case, geometry)

    def counted_apply(chain: Chain, scores, space, **where):  # type: ignore[no-untyped-def]
        processed[f"{scores.filename} {chain.to_json()}"] += 1
        return apply_to_scores(chain, scores, space, **where)

    monkeypatch.setattr(out_of_fold, "load_label", counted_load)
    monkeypatch.setattr(out_of_fold, "apply_to_scores", counted_apply)
    again = conclude(segwright.Run(run.folder), listen=lambda event: None, device="cpu")
    assert len(read) == len(processed) == 6
    assert set(read.values()) == set(processed.values()) == {1}
    assert again.report.scores == before.scores
    assert not list(run.folder.glob(".kept-*"))
