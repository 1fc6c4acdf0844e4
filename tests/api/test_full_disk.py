"""A disk that fills up during a fit or a prediction: one clear error, nothing partial, and the run goes on later."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import segwright
from segwright.core.errors import WriteError
from segwright.core.events import Stage

QUICK = {"steps": 3, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2, "precision": "float32"}


def full_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, until the disk is full."""
    left = [calls]

    def write(*words: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*words, **named)

    return write


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if "partial" in path.name or "old" in path.name]


def test_a_fit_on_a_full_disk_goes_on_when_there_is_room(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = make_folder(), tmp_path / "run"
    whole = segwright.fit(folder, out=tmp_path / "whole", **QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_after(1, torch.save))  # fold 0 is stored, fold 1 is not
        with pytest.raises(WriteError, match="The disk is full") as told:
            segwright.fit(folder, out=out, **QUICK)
    assert "--resume" in str(told.value)
    assert "room for about" in str(told.value.expected)
    assert told.value.exit_code == 1
    assert not leftovers(out)
    assert not (out / "fold-1" / "weights.safetensors").exists()
    run = segwright.fit(folder, out=out, resume=True, **QUICK)
    assert run.report.scores == whole.report.scores


def test_a_fit_that_cannot_even_prepare_begins_again(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segwright.prepare import cache

    folder, out = make_folder(), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(cache.np, "save", full_after(4, cache.np.save))
        with pytest.raises(WriteError, match="The disk is full") as told:
            segwright.fit(folder, out=out, **QUICK)
    assert "room for about" in str(told.value.expected)
    assert not leftovers(out)
    assert segwright.fit(folder, out=out, **QUICK).finished == (0, 1)


def test_a_disk_too_small_for_a_fit_is_told_before_it_begins(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segwright.api import fit

    told: list[str] = []

    def listen(event: dict[str, Any]) -> None:
        told.append(str(getattr(event, "text", "")))
        if event == Stage("prepare", cases=6):
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "free_bytes", lambda folder: 10_000)
    with pytest.raises(KeyboardInterrupt):
        segwright.fit(make_folder(), out=tmp_path / "run", listen=listen, **QUICK)
    assert any("of disk, and 9.8 KiB are free at" in text for text in told)


def test_a_prediction_on_a_full_disk_goes_on_when_there_is_room(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segwright.io.writers.masks import Masks

    folder, out = make_folder(dims=2), tmp_path / "out"
    run = segwright.fit(folder, out=tmp_path / "run", **{**QUICK, "folds": 0})
    with monkeypatch.context() as patch:
        patch.setattr(Masks, "add", full_after(2, Masks.add))
        with pytest.raises(WriteError, match="The disk is full") as told:
            segwright.predict(run.model, folder / "images", out)
    assert "room for about" in str(told.value.expected)
    assert len(list(out.glob("*.png"))) == 2
    done = segwright.predict(run.model, folder / "images", out, resume=True)
    assert sum(case.provenance.get("kept", False) for case in done.cases) == 2
    assert len(list(out.glob("*.png"))) == 6
