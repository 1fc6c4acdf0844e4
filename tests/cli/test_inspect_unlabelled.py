"""Scans without labels can be inspected; training on them is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import segwright
from segwright.cli.app import app
from segwright.core.errors import IntegrityError


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for i in range(3):
        picture = np.random.default_rng(i).integers(0, 255, (40, 48)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"film{i}.png")
    return tmp_path


@pytest.mark.parametrize("single", [False, True])
def test_inspect_says_that_there_are_no_labels_yet(scans: Path, single: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    place = scans / "film1.png" if single else scans
    monkeypatch.chdir(scans)
    told = CliRunner().invoke(app, ["inspect", str(place), "-o", str(scans / "out.yaml")])
    assert told.exit_code == 0, told.output
    assert "There are no labels yet" in told.output


def test_training_on_them_is_refused(scans: Path) -> None:
    with pytest.raises(IntegrityError, match="no labels yet"):
        segwright.fit(scans, out=scans / "run", steps=5)
