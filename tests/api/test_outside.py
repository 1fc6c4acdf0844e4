"""New scans are held against those of training: refused, flagged or failed one by one, from the command to the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import segwright
from segwright import io
from segwright.cli.app import app
from segwright.core.domain import Domain
from segwright.core.errors import DataError, DomainError, ModelError, ReadError
from segwright.core.geometry import Geometry
from segwright.core.prediction import Predictions, Quality
from segwright.core.report import Report
from segwright.core.volume import Volume
from segwright.export.bundle import write_bundle
from segwright.io.dataset import open_dataset
from segwright.nets import build
from segwright.planning.domain import domain_of
from segwright.prediction.model import Model


def untrained(scans: Path, folder: Path) -> Path:
    """A model folder as a fit of these scans would leave it, with a network that has learnt nothing."""
    dataset = open_dataset(scans)
    inspection = segwright.inspect(dataset)
    plan = segwright.plan(dataset, inspection=inspection, width=4, levels=2, steps=1)
    torch.manual_seed(0)
    folder.mkdir()
    save_file(build(plan.net).state_dict(), folder / "weights.safetensors")
    report = Report(title="none", scores=(), aggregates=(), notes=())
    beside = [domain_of(plan, dataset, inspection.facts)]
    weights = {0: (folder / "weights.safetensors",)}
    write_bundle(folder / "model", plan=plan, weights=weights, report=report, beside=beside, name="tiny")
    return folder / "model"


@pytest.fixture
def volumes(make_folder, tmp_path: Path) -> tuple[Path, Path]:
    """Six volumes and a model of them."""
    scans = make_folder()
    return scans / "images", untrained(scans, tmp_path / "run")


def changed(images: Path, folder: Path, name: str, change) -> Path:
    """A scan of training, changed."""
    volume = io.read(images / "case00.nii.gz")
    folder.mkdir(exist_ok=True)
    io.write(change(volume), folder / f"{name}.nii.gz")
    return folder


def coarse(volume: Volume, factor: float = 2.0) -> Volume:
    affine = volume.geometry.affine.copy()
    affine[:3, :3] *= factor
    return Volume.of(volume.array()[0], Geometry(volume.geometry.shape, affine))


def filled(value: float):
    return lambda volume: Volume.of(np.full(volume.geometry.shape, value, np.float32), volume.geometry)


def test_the_scans_of_training_are_not_flagged_and_another_voxel_size_is(volumes, tmp_path: Path) -> None:
    images, model = volumes
    assert not segwright.predict(model, images, tmp_path / "own", device="cpu").unlike
    new = changed(images, tmp_path / "new", "coarse", coarse)
    heard: list[str] = []
    done = segwright.predict(
        model, new, tmp_path / "out", device="cpu", listen=lambda e: heard.append(getattr(e, "text", ""))
    )
    assert "its voxels are" in done.cases[0].outside[0] and done.cases[0].files
    assert any(text.startswith("coarse: unlike the scans of training: its voxels are") for text in heard)
    assert Predictions.load(tmp_path / "out" / Predictions.filename).unlike == done.unlike
    again = segwright.predict(model, new, tmp_path / "out", device="cpu", resume=True)
    assert again.cases[0].outside == done.cases[0].outside, "results that are kept keep their flags"


def test_strict_refuses_with_exit_code_and_reason_and_goes_on_with_the_others(volumes, tmp_path: Path) -> None:
    images, model = volumes
    new = changed(images, tmp_path / "new", "coarse", coarse)
    changed(images, new, "usual", lambda volume: volume)
    words = ["predict", str(model), "-i", str(new), "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert CliRunner().invoke(app, words).exit_code == 0
    words[5] = str(tmp_path / "strict")
    refused = CliRunner().invoke(app, [*words, "--strict"])
    assert refused.exit_code == 1 and "unlike those that the model learnt from" in refused.output.replace("\n", " ")
    rows = {row.case: row for row in Predictions.load(tmp_path / "strict" / Predictions.filename).cases}
    assert "its voxels are" in rows["coarse"].error and not rows["coarse"].files
    assert rows["usual"].files and not rows["usual"].error


def test_flagged_results_are_kept_apart_with_an_exit_code_of_their_own(volumes, tmp_path: Path) -> None:
    images, model = volumes
    new, out = changed(images, tmp_path / "new", "coarse", coarse), tmp_path / "out"
    changed(images, new, "usual", lambda volume: volume)
    words = ["predict", str(model), "-i", str(new), "-o", str(out), "--device", "cpu"]
    assert CliRunner().invoke(app, [*words, "--refuse-flagged"]).exit_code == 3
    assert (out / "flagged/coarse.nii.gz").exists() and not (out / "coarse.nii.gz").exists()
    assert (out / "usual.nii.gz").exists()
    again = CliRunner().invoke(app, [*words, "--resume", "--quiet"])
    rows = {row.case: row for row in Predictions.load(out / Predictions.filename).cases}
    assert again.exit_code == 0 and rows["coarse"].files == ("coarse.nii.gz",)
    assert rows["usual"].provenance["kept"] and "kept" not in rows["coarse"].provenance


@pytest.mark.parametrize("value", [np.nan, 5.0], ids=["nan", "constant"])
def test_a_scan_that_shows_nothing_is_an_error_of_its_own(value: float, volumes, tmp_path: Path) -> None:
    images, model = volumes
    new = changed(images, tmp_path / "new", "empty", filled(value))
    changed(images, new, "usual", lambda volume: volume)
    with pytest.raises(DataError, match="1 of 2 scans"):
        segwright.predict(model, new, tmp_path / "out", device="cpu")
    rows = {row.case: row for row in Predictions.load(tmp_path / "out" / Predictions.filename).cases}
    assert "shows nothing" in rows["empty"].error and rows["usual"].files
    with pytest.raises(ReadError, match="shows nothing"):
        Model.load(model, device="cpu").predict(new / "empty.nii.gz")


def test_a_film_given_to_a_model_of_volumes_is_refused_before_it_is_read(volumes, tmp_path: Path) -> None:
    _, model = volumes
    io.write(Volume.of(np.zeros((1, 40, 40), np.uint8), Geometry.from_spacing((1, 40, 40))), tmp_path / "film.png")
    with pytest.raises(DomainError, match=r"single plane, and the model learnt from volumes.*several slices.*40 x 40"):
        Model.load(model, device="cpu").predict(tmp_path / "film.png")
    with pytest.raises(DataError, match="the model learnt from volumes"):
        segwright.predict(model, tmp_path / "film.png", tmp_path / "out", device="cpu")


@pytest.mark.parametrize("blocks", [False, True])
def test_a_scan_of_voxels_in_other_units_is_refused_instead_of_filling_memory(blocks, volumes, tmp_path: Path) -> None:
    images, model = volumes
    new = changed(images, tmp_path / "new", "units", lambda v: coarse(v, 1000.0))
    with pytest.raises(DataError, match=r"far larger than those the model learnt from.*about 3.01 x 1.5 x 1.5 mm"):
        segwright.predict(model, new, tmp_path / "out", device="cpu", scores="uint8" if blocks else "")


def test_a_volume_given_to_a_model_of_films_is_flagged(make_folder, volumes, tmp_path: Path) -> None:
    model = untrained(make_folder(dims=2, name="films"), tmp_path / "films-run")
    done = segwright.predict(model, volumes[0] / "case00.nii.gz", tmp_path / "out", device="cpu")
    assert done.cases[0].outside == ("it is a volume, and the model learnt from single planes",)


def test_models_without_the_record_predict_as_before_and_say_so(
    volumes, tmp_path: Path, unsealed: Callable[[Path], Path]
) -> None:
    images, model = volumes
    (unsealed(model) / Domain.filename).unlink()
    heard: list[str] = []
    done = segwright.predict(
        model, changed(images, tmp_path / "new", "coarse", coarse), tmp_path / "out", device="cpu",
        listen=lambda event: heard.append(getattr(event, "text", "")),
    )  # fmt: skip
    assert done.cases[0].files and not done.cases[0].outside
    assert sum("does not say what it learnt from" in text for text in heard) == 1
    with pytest.raises(ModelError, match="--strict needs that"):
        segwright.predict(model, tmp_path / "new", tmp_path / "strict", device="cpu", strict=True)


def test_scans_that_go_by_blocks_are_held_against_training_too(volumes, tmp_path: Path) -> None:
    images, model = volumes
    new = changed(images, tmp_path / "new", "coarse", coarse)
    done = segwright.predict(model, new, tmp_path / "out", device="cpu", scores="uint8")
    assert "its voxels are" in done.cases[0].outside[0]
    with pytest.raises(DataError, match="could not be predicted"):
        segwright.predict(model, new, tmp_path / "strict", device="cpu", scores="uint8", strict=True)
    empty = changed(images, tmp_path / "empty", "empty", filled(5.0))
    with pytest.raises(DataError, match="shows nothing"):
        segwright.predict(model, empty, tmp_path / "none", device="cpu", scores="uint8")


def test_the_viewer_lists_flagged_results(volumes, tmp_path: Path) -> None:
    from segwright.view.serializers import findings_of
    from segwright.view.session import Session
    from segwright.view.source import open_source

    images, model = volumes
    new = changed(images, tmp_path / "new", "case00", coarse)
    segwright.predict(model, new, tmp_path / "out", device="cpu")
    told = findings_of(Session(open_source(images.parent), [tmp_path / "out"]))
    assert {finding.level for finding in told["case00"]} == {"warning"}
    assert "Unlike the scans that the model learnt from: its voxels are" in told["case00"][0].what
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())["cases"][0]["outside"]
    file = tmp_path / "out" / Predictions.filename
    row = Predictions.load(file).cases[0]
    doubt = Quality(
        flagged=True, reasons=(*row.outside, "not found, and in every scan of training: a"), expected_dice=0.4
    )
    Predictions(cases=(row.model_copy(update={"quality": doubt}),)).save(file)
    told = findings_of(Session(open_source(images.parent), [tmp_path / "out"]))["case00"]
    assert [one.code for one in told].count("unlike-training") == len(row.outside)
    doubtful = "Doubtful: not found, and in every scan of training: a. A Dice of 0.40 is to be expected."
    assert [one.what for one in told if one.code == "doubtful"] == [doubtful]
