"""Several processes train one network: the same as one that adds up their gradients, resumable, errors in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import segwright
from segwright.api import budget as budget_module
from segwright.api import fit as fit_module
from segwright.api.budget import Budget
from segwright.api.fold import check_devices
from segwright.api.rehearsal import Rehearsal
from segwright.core.errors import ModelError, UsageError
from segwright.core.events import End, Note, Step

QUICK = {"steps": 4, "width": 4, "levels": 2, "batch": 1, "device": "cpu", "folds": 2, "postprocess": False}
#: Batch statistics are those of each process, so that they differ from one that sees all.
LIKE = {**QUICK, "norm": "instance", "precision": "float32"}


def test_two_processes_do_what_one_does_with_two_batches_a_step(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder, heard = make_folder("exclusive", 2), []
    both = segwright.fit(folder, out=tmp_path / "both", only=[0], devices=2, listen=heard.append, **LIKE)
    alone = segwright.fit(folder, out=tmp_path / "alone", only=[0], accumulate=2, **LIKE)
    one, other = load_file(both.weights(0)[0]), load_file(alone.weights(0)[0])
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-5)
    steps = [event for event in both.log()[0] if isinstance(event, Step)]
    assert [event.step for event in steps] == [1, 2, 3, 4]
    losses = [event.loss for event in alone.log()[0] if isinstance(event, Step)]
    assert [event.loss for event in steps] == pytest.approx(losses, rel=1e-3)
    assert [event.step for event in heard if isinstance(event, Step)] == [1, 2, 3, 4]
    assert both.plan.train.devices == 2 and both.report.aggregate("mean", "dice") is not None


def test_a_group_goes_on_from_its_checkpoint_and_tells_what_stops_it(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder, out = make_folder("exclusive", 2), tmp_path / "run"
    whole = segwright.fit(folder, out=out, only=[0], devices=2, **LIKE)
    (weights,) = whole.weights(0)
    before = load_file(weights)
    weights.unlink()
    again = segwright.fit(folder, out=out, only=[0], resume=True, device="cpu")
    assert all((before[name] == tensor).all() for name, tensor in load_file(again.weights(0)[0]).items())
    weights.unlink()
    (out / "fold-0" / "last.ckpt").write_bytes(b"torn")
    with pytest.raises(ModelError, match="checkpoint cannot be resumed"):
        segwright.fit(folder, out=out, only=[0], resume=True, device="cpu")


def test_a_budget_in_seconds_ends_all_processes_at_the_same_step(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget_module, "LEAST_STEPS", 0)
    monkeypatch.setattr(budget_module, "CLOSING", 0.0)
    monkeypatch.setattr(budget_module, "LATEST", dict.fromkeys(budget_module.LATEST, 1.0))
    monkeypatch.setattr(fit_module, "rehearse", lambda *args: Rehearsal(0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(fit_module.Budget, "of", lambda *args, **options: Budget(60.0, 0.0, clock=lambda: 54.0))
    timed = {name: value for name, value in LIKE.items() if name != "steps"}
    folder = make_folder("exclusive", 2)
    run = segwright.fit(folder, out=tmp_path / "run", only=[0], devices=2, minutes=0.05, **timed)
    end = run.log()[0][-1]
    assert isinstance(end, End) and end.step >= 1


def test_a_run_that_goes_on_with_other_devices_than_asked_for_says_so(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder, heard = make_folder("exclusive", 2), []
    segwright.fit(folder, out=tmp_path / "run", only=[0], **LIKE)
    wishes = {"only": [0], "resume": True, "device": "cpu", "devices": 2}
    run = segwright.fit(folder, out=tmp_path / "run", listen=heard.append, **wishes)
    assert run.plan.train.devices == 1
    assert any("planned for 1 device and" in event.text for event in heard if isinstance(event, Note))


@pytest.mark.parametrize(
    ("count", "device", "workers", "told"),
    [
        (10_000, "cpu", False, "not 10000 devices"),
        (0, "cpu", False, "not 0 devices"),
        (2, "cuda:1", False, "counted, not named"),
        (2, "cpu", True, "one device each"),
    ],
)
def test_wrong_numbers_of_devices_are_refused(count: int, device: str, workers: bool, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check_devices(count, torch.device(device), workers=workers)
