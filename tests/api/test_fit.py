"""The whole job on small folders: every combination of slab and label kind, added folds, and a run on all cases."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import segwright
from segwright import io
from segwright.api.run import Judged
from segwright.core.errors import IntegrityError, UsageError
from segwright.core.events import End
from segwright.core.model import earlier_files
from segwright.core.prediction import Predictions
from segwright.core.volume import Volume

QUICK = {"steps": 3, "width": 4, "levels": 2, "batch": 2, "device": "cpu"}


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
@pytest.mark.parametrize(("dims", "slab"), [(2, 1), (3, 3), (3, 0)])
def test_every_kind_of_task_goes_from_folder_to_prediction(
    make_folder: Callable[..., Path], tmp_path: Path, kind: str, dims: int, slab: int
) -> None:
    folder = make_folder(kind, dims)
    run = segwright.fit(folder, out=tmp_path / "run", folds=2, slab=slab, **QUICK)
    assert run.plan.net.slab == slab
    assert {row.case for row in run.report.scores} == {f"case{i:02d}" for i in range(6)}
    assert run.page.read_text().lower().startswith("<!doctype html>")
    assert {path.suffix for path in run.model_folder.iterdir()} <= {".json", ".safetensors", ".md", ".csv"}
    done = segwright.predict(run.model, folder / "images", tmp_path / "out")
    assert len(done.cases) == 6
    for case in done.cases:
        for name in case.files:
            written, scan = io.read(tmp_path / "out" / name), None
            scan = io.read(next((folder / "images").glob(f"{case.case}.*")))
            assert written.geometry == scan.geometry
            assert written.array().shape[1:] == scan.array().shape[1:]
    assert len(done.cases[0].files) == (1 if kind == "exclusive" else 2)


def test_a_fit_learns_an_easy_task(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder("exclusive", 2, cases=8)
    run = segwright.fit(folder, out=tmp_path / "run", folds=2, steps=60, width=8, levels=3, device="cpu", augment="off")
    mean = run.report.aggregate("mean", "dice")
    assert mean is not None
    assert mean.mean > 0.8
    assert mean.low <= mean.mean <= mean.high
    again = segwright.evaluate(run.dataset, predictions_of(run, tmp_path / "own"))
    assert again.aggregate("mean", "dice").cases == 8
    expected = {row.case: row.quality for row in Predictions.load(tmp_path / "own" / Predictions.filename).cases}
    for row in again.scores:
        if row.metric == "dice" and row.structure in run.plan.labels.names:
            known = expected[row.case].structures[row.structure]
            assert known.expected_dice == pytest.approx(row.value, abs=0.15)
            assert known.patients == 8 and known.lower is None  # too few for a bound


def test_a_run_that_looked_for_no_signals_predicts_and_promises_nothing(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder("exclusive", 2)
    run = segwright.fit(folder, out=tmp_path / "run", folds=2, **QUICK)
    assert all(member.earlier for member in run.model.manifest.members)
    for fold in run.finished:  # as an earlier version left it
        kept = Judged.load(run.judged_file(fold))
        assert all(kept.signals.values())
        kept.model_copy(update={"signals": {}}).save(run.judged_file(fold))
        for file in earlier_files(run.weights(fold)[0]):
            file.unlink()
    again = segwright.fit(folder, out=tmp_path / "run", resume=True, device="cpu")
    done = segwright.predict(again.model, folder / "images", tmp_path / "out")
    assert again.model.judgement is None and all(row.quality is None for row in done.cases)


def test_exchanged_names_in_one_label_are_told(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder("exclusive", 2, cases=8)
    for number, path in enumerate(sorted([*folder.glob("images/*"), *folder.glob("masks/*")], key=lambda p: p.name)):
        moved = io.read(path)  # elsewhere in every case, so that no mask for all of them does well
        io.write(Volume.of(np.roll(moved.array()[0], 13 * (number // 2), axis=2), moved.geometry), path)
    spoiled = folder / "masks" / "case05.png"
    label = io.read(spoiled)
    exchanged = np.array([0, 2, 1], np.uint8)[label.array()[0]]
    spoiled.unlink()
    io.write(Volume.of(exchanged, label.geometry), spoiled)
    run = segwright.fit(
        folder, out=tmp_path / "run", folds=2, steps=100, width=8, levels=3, device="cpu", augment="off"
    )
    told = [(finding.where, finding.code) for finding in run.report.findings]
    assert told == [("case05", "names-doubtful")]
    what = run.report.findings[0].what
    assert "exchanged" in what and what in html.unescape(run.page.read_text())


def predictions_of(run: segwright.Run, out: Path) -> Path:
    segwright.predict(run.model, Path(run.dataset.root) / "images", out)
    return out


def test_single_folds_leave_a_usable_model_and_others_follow(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder, out = make_folder(), tmp_path / "run"
    run = segwright.fit(folder, out=out, folds=3, only=[1], **QUICK)
    assert [member.fold for member in run.model.manifest.members] == [1]
    assert len({row.case for row in run.report.scores}) == 2
    with pytest.raises(UsageError, match="already holds a run"):
        segwright.fit(folder, out=out, folds=3, only=[1], **QUICK)
    run = segwright.fit(folder, out=out, folds=3, only=[0, 2], **QUICK)
    assert [member.fold for member in run.model.manifest.members] == [0, 1, 2]
    assert len({row.case for row in run.report.scores}) == 6
    assert len(segwright.Model.load(out, folds=[2]).weights) == 1


def test_training_on_all_cases_keeps_no_scores(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    run = segwright.fit(make_folder(), out=tmp_path / "run", folds=0, **QUICK)
    assert run.report.scores == ()
    assert "No fold kept validation cases." in run.report.notes
    assert run.page.exists()
    assert len(run.model.weights) == 1


def test_runs_of_the_same_seed_are_equal(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder()
    first, second = (
        segwright.fit(folder, out=tmp_path / name, folds=2, precision="float32", seed=3, **QUICK) for name in "ab"
    )
    assert first.report.scores == second.report.scores
    assert first.weights(0)[0].read_bytes() == second.weights(0)[0].read_bytes()


def test_patients_never_cross_folds(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(cases=6)
    dataset = segwright.open_dataset(folder)
    grouped = dataset.model_copy(
        update={"cases": tuple(c.model_copy(update={"group": f"p{i // 2}"}) for i, c in enumerate(dataset.cases))}
    )
    run = segwright.fit(grouped, out=tmp_path / "run", folds=3, **QUICK)
    for fold in run.split.folds:
        train = {run.split.groups[case] for case in fold.train}
        assert not train & {run.split.groups[case] for case in fold.validation}
    path = tmp_path / "run" / "splits.json"
    broken = json.loads(path.read_text())
    broken["folds"][0]["train"].append(broken["folds"][0]["validation"][0])
    path.write_text(json.dumps(broken))
    with pytest.raises(IntegrityError):
        segwright.fit(grouped, out=tmp_path / "run", resume=True, folds=3, **QUICK)


def test_errors_in_the_data_stop_a_fit(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(dims=2)
    wrong = io.read(folder / "masks" / "case00.png").array()[:, :, :20]
    io.write(segwright.Volume.of(wrong, segwright.Geometry.from_spacing((1, 20, 48))), folder / "masks" / "case00.png")
    with pytest.raises(IntegrityError, match="case00"):
        segwright.fit(folder, out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run" / "plan.json").exists()


def test_an_interrupted_run_goes_on_with_its_plan(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder, out = make_folder(), tmp_path / "run"

    class CutError(Exception):
        pass

    def cut(event: dict) -> None:
        if isinstance(event, End) and event.fold == 0:
            raise CutError

    with pytest.raises(CutError):
        segwright.fit(folder, out=out, folds=2, listen=cut, **QUICK)
    before = (out / "fold-0" / "weights.safetensors").read_bytes()
    run = segwright.fit(folder, out=out, folds=2, resume=True, **QUICK)
    assert (out / "fold-0" / "weights.safetensors").read_bytes() == before
    assert run.finished == (0, 1)


def test_failed_scans_are_listed_and_the_rest_is_written(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(dims=2)
    run = segwright.fit(folder, out=tmp_path / "run", folds=0, **QUICK)
    (folder / "images" / "case03.png").write_bytes(b"\x89PNG\r\n\x1a\nnot a picture")
    with pytest.raises(segwright.DataError, match="1 of 6 scans"):
        segwright.predict(run.model, folder / "images", tmp_path / "out")
    listed = json.loads((tmp_path / "out" / "predictions.json").read_text())["cases"]
    assert [row["case"] for row in listed if row["error"]] == ["case03"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
    values = set(np.unique(io.read(tmp_path / "out" / "case00.png").array()).tolist())
    assert values <= {0, 1, 2}
