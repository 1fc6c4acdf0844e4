"""How far it is from the command to the first gradient: a person who debugs training has to read few files."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning_fabric import Fabric

import segwright
from segwright.cli.app import run

HOME = Path(segwright.__file__).parent


def test_six_calls_in_four_files_lead_from_the_command_to_the_first_gradient(
    make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls of the package itself, from the entry point to `backward`; those of libraries are not counted."""
    seen: list[list[traceback.FrameSummary]] = []
    backward = Fabric.backward

    def watched(self: Fabric, *args: object, **options: object) -> None:
        seen.append([frame for frame in traceback.extract_stack() if Path(frame.filename).is_relative_to(HOME)])
        backward(self, *args, **options)

    monkeypatch.setattr(Fabric, "backward", watched)
    words = ["fit", str(make_folder("exclusive", 2)), "-o", str(tmp_path / "run"), "-f", "0", "--quiet", "--device=cpu"]
    fields = ["steps=1", "width=4", "levels=2", "folds=2", "postprocess=false"]
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # the command has its own
    monkeypatch.setattr(sys, "argv", ["segwright", *words, *fields])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code in {0, 3}  # 3: a single step teaches nothing
    calls = [f"{Path(frame.filename).relative_to(HOME)} {frame.name}" for frame in seen[0]]
    assert len(calls) <= 6, calls
    assert len({call.split()[0] for call in calls}) <= 4, calls
    assert calls[-1] == "train/fold.py train_step"
