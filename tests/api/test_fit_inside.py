"""A run may lie in the folder of its data, and a stray file there does not stop it from being resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import segwright

QUICK = {"steps": 4, "width": 4, "levels": 2, "device": "cpu", "folds": 2}


def test_a_run_in_the_folder_of_its_data_is_resumed(make_folder: Callable[..., Path]) -> None:
    folder = make_folder("exclusive", 2)
    segwright.fit(folder, out=folder / "run", only=[0], **QUICK)
    (folder / "notes.txt").write_text("a file of no case")
    again = segwright.fit(folder, out=folder / "run", resume=True, **QUICK)
    assert again.finished == (0, 1)
    assert len(segwright.open_dataset(folder).labelled) == 6
