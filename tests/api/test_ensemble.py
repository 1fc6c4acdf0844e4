"""Ensembles of runs of different recipes: the model they leave, what they refuse, and fold voting."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import segwright
from segwright import io
from segwright.api.ensemble import ensemble as combine_runs
from segwright.api.inputs import Inputs
from segwright.api.run import Run
from segwright.core.errors import DataError, ModelError, UsageError
from segwright.core.model import Combination
from segwright.core.plan import Plan
from segwright.io.load import load_label
from segwright.postprocess.chain import Chain, apply_to_scores
from segwright.postprocess.ensemble import blend, votes_of
from segwright.prediction.combined import CombinedModel
from segwright.prediction.model import Model

QUICK = {"steps": 6, "levels": 2, "batch": 2, "device": "cpu", "folds": 2, "augment": "off"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Two runs of other size and width on the same overlapping images, one on the same by folds of another seed."""
    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(1)
    for number in range(6):
        y, x = np.mgrid[-1:1:40j, -1:1:48j]
        masks = [(y - a) ** 2 + (x - b) ** 2 < 0.2 for a, b in rng.uniform(-0.2, 0.2, (2, 2))]
        scan = np.clip(90 + 50 * masks[0] + 80 * masks[1] + rng.normal(0, 8, y.shape), 0, 255).astype(np.uint8)
        geometry = segwright.Geometry.from_spacing((1, 40, 48))
        io.write(segwright.Volume.of(scan[None], geometry), folder / "scans" / "images" / f"c{number}.png")
        for name, mask in zip(("first", "second"), masks, strict=True):
            label = (mask[None] * 255).astype(np.uint8)
            io.write(segwright.Volume.of(label, geometry), folder / "scans" / "masks" / name / f"c{number}.png")
    segwright.fit(folder / "scans", out=folder / "wide", width=8, **QUICK)
    segwright.fit(folder / "scans", out=folder / "small", width=4, size=(24, 24), **QUICK)
    segwright.fit(folder / "scans", out=folder / "other", width=4, seed=5, **QUICK)
    segwright.fit(folder / "scans", out=folder / "part", width=4, only=[0], **QUICK)
    return folder


def test_the_mean_is_that_of_the_parts_scores(desk: Path, tmp_path: Path) -> None:
    made = combine_runs([desk / "wide", desk / "small" / "model"], tmp_path / "both", device="cpu")
    assert made.cases == 6 and [row.structure for row in made.structures] == ["first", "second"]
    assert {gain.over for gain in made.gains} == {"equal weights", "wide", "small"}
    assert all(gain.low <= gain.mean <= gain.high for gain in made.gains)
    model = Model.load(tmp_path / "both", device="cpu")
    assert isinstance(model, CombinedModel) and len(model.weights) == 4
    image = desk / "scans" / "images" / "c3.png"
    whole = model.predict(image, keep_scores=True)
    opinions = [
        Model.load(desk / name, device="cpu").predict(image, keep_scores=True).scores for name in ("wide", "small")
    ]
    assert np.array_equal(whole.scores, blend(opinions, model.shares))
    assert whole.provenance["weights"] == made.combination.weights
    done = segwright.predict(tmp_path / "both", desk / "scans" / "images", tmp_path / "out", device="cpu")
    assert len(done.cases) == 6 and len(done.cases[0].files) == 2
    names = {path.name for path in (tmp_path / "both").iterdir()}
    assert {
        "ensemble.json",
        "weighing.json",
        "manifest.json",
        "report.json",
        "report.html",
        "CARD.md",
        "parts",
    } <= names


def test_out_of_fold_scores_are_those_of_the_report(desk: Path, tmp_path: Path) -> None:
    """The report judges blends of members that had not seen the case, never the final model on its own cases."""
    made = combine_runs([desk / "wide", desk / "other"], tmp_path / "e", weights="equal", device="cpu")
    assert "split differently" in made.notes[0]
    runs = [Run.open(desk / name) for name in ("wide", "other")]
    report = segwright.Report.load(tmp_path / "e" / "report.json")
    file = tmp_path / "e" / Chain.filename
    chain, space = Chain.load(file) if file.exists() else Chain(), runs[0].plan.labels
    assert (made.postprocess != "nothing") == file.exists()
    for case in ("c0", "c4"):
        scores = blend([np.load(run.scores_file(case)) for run in runs], np.full((2, 2), 0.5))
        volume = io.read(desk / "scans" / "images" / f"{case}.png")
        labels = apply_to_scores(chain, scores, space, geometry=volume.geometry)
        truth = load_label(runs[0].dataset, runs[0].dataset.case(case), volume.geometry)
        for k, name in enumerate(space.names):
            a, b = labels[k] == 1, truth[k] == 1
            value = next(s.value for s in report.scores if (s.case, s.structure, s.metric) == (case, name, "dice"))
            assert value == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_votes_are_of_final_labels(desk: Path, tmp_path: Path) -> None:
    runs = [desk / name for name in ("wide", "small", "other")]
    made = combine_runs(runs, tmp_path / "e", vote=True, weights="equal", device="cpu")
    assert made.combination.combine == "vote" and made.postprocess == "nothing"
    image = desk / "scans" / "images" / "c1.png"
    space = Run.open(runs[0]).plan.labels
    answers = [votes_of(Model.load(run, device="cpu").predict(image).labels, space) for run in runs]
    majority = np.stack(answers).astype(int).sum(axis=0) > 1.5 * 255
    assert np.array_equal(Model.load(tmp_path / "e", device="cpu").predict(image).labels == 1, majority)


def test_cases_not_judged_everywhere_are_refused_or_left_out(desk: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"would leak.*part lacks"):
        combine_runs([desk / "wide", desk / "part"], tmp_path / "e", device="cpu")
    assert not (tmp_path / "e").exists()
    made = combine_runs([desk / "wide", desk / "part"], tmp_path / "e", weights="equal", device="cpu")
    assert made.cases == len(Run.open(desk / "part").split.folds[0].validation)
    assert "Judged on 3 cases" in made.notes[0]


def test_runs_that_do_not_fit_are_refused(desk: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least two"):
        combine_runs([desk / "wide"], tmp_path / "e")
    with pytest.raises(UsageError, match="named twice"):
        combine_runs([desk / "wide", desk / "wide" / "model"], tmp_path / "e")
    with pytest.raises(UsageError, match="holds something else"):
        combine_runs([desk / "wide", desk / "small"], desk / "scans")
    shutil.copytree(desk / "small", tmp_path / "renamed")
    for path in (tmp_path / "renamed" / "plan.json", tmp_path / "renamed" / "model" / "plan.json"):
        path.write_text(path.read_text().replace('"second"', '"third"'))
    with pytest.raises(DataError, match="differ in structures"):
        combine_runs([desk / "wide", tmp_path / "renamed"], tmp_path / "e")
    shutil.copytree(desk / "small", tmp_path / "others")
    known = Inputs.load(tmp_path / "others" / Inputs.filename)
    name = Run.open(desk / "small").split.folds[0].validation[0]
    changed = known.cases[name].labels.model_copy(update={"content": "other", "sample": "other"})
    cases = known.cases | {name: known.cases[name].model_copy(update={"labels": changed})}
    known.model_copy(update={"cases": cases}).save(tmp_path / "others" / Inputs.filename)
    with pytest.raises(DataError, match=f"other images or labels of {name}"):
        combine_runs([desk / "wide", tmp_path / "others"], tmp_path / "e", device="cpu")
    combine_runs([desk / "wide", desk / "small"], tmp_path / "e", device="cpu")
    with pytest.raises(UsageError, match="ensemble already"):
        combine_runs([tmp_path / "e", desk / "other"], tmp_path / "f")


def test_damaged_ensembles_are_told(desk: Path, tmp_path: Path, unsealed: Callable[[Path], Path]) -> None:
    combine_runs([desk / "wide", desk / "small"], tmp_path / "e", device="cpu")
    file = tmp_path / "e" / Combination.filename
    good = file.read_text()
    data = json.loads(good)
    data["weights"].pop("first")
    file.write_text(json.dumps(data))
    with pytest.raises(ModelError, match=r"ensemble\.json is not the one"):
        Model.load(tmp_path / "e")
    unsealed(tmp_path / "e")
    with pytest.raises(ModelError, match="do not fit its parts"):
        Model.load(tmp_path / "e")
    file.write_text(good)
    shutil.rmtree(tmp_path / "e" / "parts" / "1-small")
    with pytest.raises(ModelError, match="part of the ensemble is missing"):
        Model.load(tmp_path / "e")


def test_an_ensemble_of_earlier_models_still_opens_when_plans_have_got_new_fields(
    desk: Path, tmp_path: Path, unsealed: Callable[[Path], Path]
) -> None:
    combine_runs([desk / "wide", desk / "small"], tmp_path / "e", device="cpu")
    assert Model.load(tmp_path / "e").sealed and not Model.load(unsealed(tmp_path / "e")).sealed
    plan, file = tmp_path / "e" / "parts" / "1-small" / Plan.filename, tmp_path / "e" / Combination.filename
    older, told = json.loads(plan.read_text()), json.loads(file.read_text())
    older["prepare"].pop("kept")
    plan.write_text(json.dumps(older))
    told["parts"][1]["plan"] = "0" * 12
    file.write_text(json.dumps(told))
    with pytest.raises(ModelError, match="not the one it was made of"):
        Model.load(tmp_path / "e")
    told["parts"][1]["plan"] = Plan.stored_hash(plan)
    file.write_text(json.dumps(told))
    assert len(Model.load(tmp_path / "e").parts) == 2
