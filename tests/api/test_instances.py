"""Instances from folder to prediction: touching nuclei in planes, and a single stack of sections judged in blocks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import segwright
from segwright import io
from segwright.api.instances import arranged
from segwright.cli.ensemble import ensemble_summary
from segwright.core.errors import DataError, LabelError, PlanError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.core.volume import Volume
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label
from segwright.metrics.calibration import Calibration
from segwright.phantoms.write import write_dataset
from segwright.planning.split import arrange
from segwright.postprocess.ensemble import blend
from segwright.prediction.model import Model

QUICK = {"width": 4, "levels": 2, "batch": 2, "device": "cpu", "augment": "off", "precision": "float32"}


def write_stack(folder: Path, depth: int = 9, *, ids: bool = False, gap: bool = False) -> np.ndarray:
    """Sections of bright rods that drift, as PNG files; a mask or ids."""
    grid = np.indices((depth, 48, 56))
    labels = np.zeros(grid.shape[1:], np.uint16)
    for number, (y, x) in enumerate([(10, 10), (10, 34), (34, 14), (36, 40)], start=1):
        labels[(grid[1] - y - grid[0] * 0.4) ** 2 + (grid[2] - x) ** 2 < 36] = number + (70_000 % 65_000 if ids else 0)
    noise = np.random.default_rng(0).normal(0, 8, labels.shape)
    image = (90 + 70 * (labels > 0) + noise).clip(0, 255).astype(np.uint8)
    stored = labels if ids else (labels > 0).astype(np.uint8) * 255
    for z in range(depth):
        number = z + (3 if gap and z > 4 else 0)
        for name, array in (("raw", image), ("mitochondria", stored)):
            plane = Volume.of(array[z : z + 1], Geometry.from_spacing((1, *labels.shape[1:])))
            io.write(plane, folder / name / f"section_{number:02d}.png")
    return labels


def test_nuclei_are_told_apart_after_a_short_fit(tmp_path):
    folder = write_dataset("nuclei", tmp_path, cases=8, seed=1)
    quick = {**QUICK, "width": 8, "levels": 3, "lr": 0.004}
    run = segwright.fit(folder / "scans", out=tmp_path / "run", instances=True, folds=2, only=[0], steps=60, **quick)
    assert run.plan.target == "boundary" and run.plan.labels.instances
    assert run.report.aggregate("mean", "ap_50").mean >= 0.85
    assert run.report.aggregate("all objects", "f1_50").low is not None
    assert run.model.chain.decoder is not None and "decoder" in (run.folder / "postprocess.json").read_text()
    segwright.predict(run.model, folder / "scans" / "images", tmp_path / "out")
    again = segwright.evaluate(folder / "scans" / "masks", tmp_path / "out", space="instances")
    assert again.aggregate("object", "ap_50").mean >= 0.8


@pytest.mark.parametrize("target", ["boundary_seed", "affinities", "distance", "flow"])
def test_every_target_goes_through_a_fit(tmp_path, target):
    folder = write_dataset("nuclei", tmp_path, cases=8, seed=1) / "scans"
    run = segwright.fit(
        folder, out=tmp_path / "run", instances=True, target=target, folds=2, only=[0], steps=2, keep="best", **QUICK
    )
    assert run.plan.target == target
    assert run.model.weights[0].read_bytes() == (run.fold_folder(0) / "best.safetensors").read_bytes()
    assert run.report.aggregate("all objects", "pq") is not None
    told, page = Calibration.load(run.calibration_file), run.page.read_text()
    if target == "distance":
        assert told.cases == 0 and "Not measured. The network tells how deep" in page
    else:
        assert told.cases == 4 and len(told.structures) == 1 and "belongs to any object" in page
    image = next((folder / "images").iterdir())
    labels = run.model.predict(image).labels
    assert labels.shape == (1, 1, 128, 128) and labels.dtype == np.int32


@pytest.mark.parametrize("ids", [False, True])
def test_one_stack_is_judged_in_blocks(tmp_path, ids):
    labels = write_stack(tmp_path / "em", ids=ids)
    run = segwright.fit(tmp_path / "em", out=tmp_path / "run", instances=True, folds=2, steps=2, **QUICK)
    assert [len(fold.validation) for fold in run.split.folds] == [1, 1]
    assert {row.case for row in run.report.scores} == {fold.validation[0] for fold in run.split.folds}
    assert "blocks" in run.split.rule
    for fold in run.split.folds:
        judged = run.dataset.case(fold.validation[0]).sections
        for name in fold.train:
            learnt = run.dataset.case(name).sections
            assert learnt[1] <= judged[0] - 1 or learnt[0] >= judged[1] + 1
    for case in run.dataset.cases:
        start, stop = case.sections
        found = load_label(run.dataset, case, load_image(run.dataset, case).geometry)
        assert np.array_equal(found[0] > 0, labels[start:stop] > 0) and found.max() == 4
    again = segwright.fit(tmp_path / "em", out=tmp_path / "run", resume=True, folds=2)
    assert again.finished == run.finished


def test_runs_of_objects_become_one_model(tmp_path):
    """Equal runs are the run; others are mixed by how well objects are found, or refused by what differs."""
    write_stack(tmp_path / "em", ids=True)
    runs = [tmp_path / name for name in ("one", "two", "twin", "flow", "cut")]
    for seed, run in enumerate(runs[:2]):
        segwright.fit(tmp_path / "em", out=run, instances=True, folds=2, steps=12, seed=seed, lr=0.01, **QUICK)
    for run in runs[2:]:
        shutil.copytree(runs[0], run)
    made = segwright.ensemble(runs[:2], tmp_path / "both", device="cpu")
    row = made.structures[0]
    assert made.cases == 2 and sum(row.weights) == pytest.approx(1)
    assert {gain.measure for gain in made.gains} == {"object F1"} and {gain.measure for gain in made.finished} == {"PQ"}
    told = ensemble_summary(made)
    assert "object F1 out of fold" in told and "mean PQ over one" in told and "Dice" not in told
    image = tmp_path / "em" / "raw"
    model = Model.load(tmp_path / "both", device="cpu")
    parts = [Model.load(run, device="cpu").predict(image, keep_scores=True) for run in runs[:2]]
    whole = model.predict(image, keep_scores=True)
    assert np.array_equal(whole.scores, blend([part.scores for part in parts], model.shares))
    same = segwright.ensemble([runs[0], runs[2]], tmp_path / "same", device="cpu")
    assert same.structures[0].alone == (same.structures[0].equal,) * 2 and same.finished[0].mean == 0
    assert np.array_equal(Model.load(tmp_path / "same", device="cpu").predict(image).labels, parts[0].labels)
    with pytest.raises(UsageError, match="Objects cannot be voted on"):
        segwright.ensemble(runs[:2], tmp_path / "vote", vote=True)
    plan = Plan.load(runs[0] / Plan.filename)
    plan.model_copy(update={"target": "flow"}).save(runs[3] / Plan.filename)
    with pytest.raises(DataError, match="differ in target, so their scores do not mean the same"):
        segwright.ensemble([runs[0], runs[3]], tmp_path / "e")
    plan.model_copy(update={"prepare": plan.prepare.model_copy(update={"crop": True})}).save(runs[4] / Plan.filename)
    with pytest.raises(DataError, match="differ in working grid"):
        segwright.ensemble([runs[0], runs[4]], tmp_path / "e")


def test_blocks_cover_a_stack_once_and_keep_their_distance():
    for depth in (8, 14, 33, 100, 1001):
        blocks = arrange(depth, 5)
        assert [z for block in blocks for z in range(*block.validation)] == list(range(depth))
        for block in blocks:
            for start, stop in block.training:
                assert stop + block.gap <= block.validation[0] or start - block.gap >= block.validation[1]
                assert 0 <= start < stop <= depth


@pytest.mark.parametrize("depth", [5, 6, 7])
def test_thin_stacks_are_judged_at_their_ends(depth):
    first, last = arrange(depth, 5)
    assert (first.validation, last.validation) == ((0, 2), (depth - 2, depth))
    assert (first.training, last.training) == (((3, depth),), ((0, depth - 3),)), "one section apart, all others learnt"
    assert arrange(4, 5) == () and arrange(depth, 1) == ()


@pytest.mark.parametrize(
    ("depth", "folds", "said"),
    [(4, 0, "too few"), (6, 2, "the first 2 and the last 2 only"), (9, 2, "in 2 blocks")],
)
def test_what_a_stack_is_judged_on_is_told(tmp_path, depth, folds, said):
    write_stack(tmp_path / "em", depth=depth)
    dataset, split = arranged(open_dataset(tmp_path / "em"), Recipe(modality="em", folds=2))
    assert said in dataset.notes[-1] and f"has {depth} sections" in dataset.notes[-1]
    assert (len(split.folds) if split else 0) == folds


def test_a_structure_must_be_named_among_several(tmp_path):
    write_stack(tmp_path / "em")
    for path in sorted((tmp_path / "em" / "mitochondria").iterdir()):
        target = tmp_path / "em" / "membranes" / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    dataset = open_dataset(tmp_path / "em")
    with pytest.raises(LabelError, match="one structure"):
        arranged(dataset, Recipe(instances=True))
    with pytest.raises(LabelError, match="no structure"):
        arranged(dataset, Recipe(instances="nuclei"))
    chosen, split = arranged(dataset, Recipe(instances="mito"))
    assert chosen.labels.names == ("mitochondria",) and split is not None


def test_wide_ids_are_kept_apart_and_fractions_refused(tmp_path):
    ids = np.zeros((1, 4, 6))
    ids[0, 0, :2], ids[0, 2, 3:] = 65_536 + 1, 1
    for name, labels in (("whole", ids), ("half", ids + 0.5)):
        for number in range(2):
            grid = Geometry.from_spacing((1, 4, 6), (None, 1.0, 1.0))
            io.write(Volume.of(ids.astype(np.float32), grid), tmp_path / name / "images" / f"c{number}.nii.gz")
            io.write(Volume.of(labels.astype(np.float32), grid), tmp_path / name / "labels" / f"c{number}.nii.gz")
    dataset, _ = arranged(open_dataset(tmp_path / "whole"), Recipe(instances=True))
    case = dataset.cases[0]
    assert load_label(dataset, case, load_image(dataset, case).geometry).max() == 2
    broken, _ = arranged(open_dataset(tmp_path / "half"), Recipe(instances=True))
    with pytest.raises(LabelError, match="whole numbers"):
        load_label(broken, broken.cases[0], load_image(broken, broken.cases[0]).geometry)


def test_structures_cannot_learn_a_target_of_instances(tmp_path, make_folder):
    with pytest.raises(PlanError, match="does not suit"):
        segwright.fit(make_folder(), out=tmp_path / "run", target="affinities", folds=2, steps=2, **QUICK)
