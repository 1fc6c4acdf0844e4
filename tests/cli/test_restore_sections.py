"""`segwright restore-sections` on a folder of pictures: what it says, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from segwright.cli.app import app

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten sections, one of them blank and one dark."""
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=(14, 64, 64)), (2.0, 2.0, 2.0))[2:-2]
    planes = np.clip(140 + 40 * texture / texture.std(), 0, 255).astype(np.uint8)
    planes[3], planes[6] = 0, planes[6] // 4
    out = tmp_path / "stack"
    out.mkdir()
    for z, plane in enumerate(planes):
        Image.fromarray(plane).save(out / f"s{z:02d}.png")
    return out


def test_looking_writes_nothing(folder: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = RUN.invoke(app, ["restore-sections", str(folder), "--json"], standalone_mode=False)
    rows = json.loads(result.stdout)["rows"]
    assert [(row["name"], row["kind"]) for row in rows] == [("s03.png", "missing"), ("s06.png", "dark")]
    assert sorted(tmp_path.rglob("*")) == before


def test_only_spoiled_sections_change(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mended"
    RUN.invoke(app, ["restore-sections", str(folder), "-o", str(out), "-t", "2s", "-q"], standalone_mode=False)
    changed = []
    for file in sorted(folder.glob("*.png")):
        old, new = np.asarray(Image.open(file)), np.asarray(Image.open(out / "stack" / file.name))
        assert new.dtype == old.dtype and new.shape == old.shape
        if not np.array_equal(old, new):
            changed.append(file.name)
    assert changed == ["s03.png", "s06.png"]
    assert len(list((out / "before-after").glob("*.png"))) == 2
    record = json.loads((out / "restoration.json").read_text())
    assert all(row["likeness_after"] > 0.5 for row in record["rows"])


def test_what_is_no_stack_and_what_exists_is_refused(folder: Path, tmp_path: Path) -> None:
    single = tmp_path / "one.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(single)
    from segwright.core.errors import DataError, UsageError

    assert isinstance(RUN.invoke(app, ["restore-sections", str(single)], standalone_mode=False).exception, DataError)
    taken = RUN.invoke(app, ["restore-sections", str(folder), "-o", str(tmp_path)], standalone_mode=False)
    assert isinstance(taken.exception, UsageError)
