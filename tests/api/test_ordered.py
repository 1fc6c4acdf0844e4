"""A row of look-alikes goes through fit, out-of-fold prediction, report and predict, named by its order."""

from __future__ import annotations

import json

import numpy as np
import pytest

import segwright
from segwright.core.geometry import Geometry
from segwright.core.seed import derive
from segwright.core.volume import Volume

NAMES = ("L1", "L2", "L3", "L4")


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    """Six films of four bright boxes above a wide one, with a mask a structure; boxes share their edges."""
    folder = tmp_path_factory.mktemp("columns")
    for number in range(6):
        rng = derive(number, "column")
        image = rng.normal(60, 8, (64, 32))
        top, left = int(rng.integers(3, 8)), int(rng.integers(6, 14))
        image[top + 48 : top + 54, left - 5 : left + 17] += 90
        for index, name in enumerate(NAMES):
            rows = slice(top + 12 * index, top + 12 * index + 8)
            image[rows, left : left + 12] += 90
            mask = np.zeros(image.shape, np.uint8)
            mask[rows, left : left + 12] = 255
            write(mask, folder / "masks" / name / f"p{number}.png")
        write(image.clip(0, 255).astype(np.uint8), folder / "images" / f"p{number}.png")
    return folder


def write(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    segwright.write(Volume.of(pixels[None, None], Geometry.from_spacing((1, *pixels.shape))), path)


def test_from_folder_to_named_prediction(columns, tmp_path):
    recipe = {"steps": 4, "folds": 2, "width": 4, "levels": 3, "size": (64, 32), "precision": "float32", "batch": 2}
    run = segwright.fit(columns, out=tmp_path / "run", **recipe)
    assert run.plan.target == "chain" and run.plan.labels.names == NAMES
    kept = sorted(path.name for path in run.scores_file("p0").parent.glob("*.json"))
    assert kept == [f"p{number}.json" for number in range(6)]
    scores = np.load(run.scores_file("p0"))
    assert scores.shape == (4, 1, 64, 32)
    page = run.page.read_text()
    assert 'class="reliability"' in page and "under the wrong name counts as wrong" in page
    out = tmp_path / "out"
    done = segwright.predict(run.model_folder, columns / "images", out)
    told = json.loads((out / "predictions.json").read_text())["cases"][0]["provenance"]["ordered"]
    assert set(told) == {"found", "missing", "faint", "rejected", "cost", "margin"}
    assert len(done.cases) == 6 and run.report is not None
    assert segwright.predict(run.model_folder, columns / "images", tmp_path / "vote", combine="vote").cases
