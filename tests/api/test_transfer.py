"""A fit that starts from another: other structures, frozen encoder, resumption, receipts, and leaks that are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import segwright
from segwright import io
from segwright.api.transfer import Source, Transfer, other_scale
from segwright.core.errors import ModelError, PlanError, RecipeError
from segwright.core.events import Note, Step
from segwright.core.labels import LabelSpace
from segwright.core.plan import PreparePlan
from segwright.core.recipe import Recipe
from segwright.nets import build
from segwright.nets.transfer import encoder_names

QUICK = {"batch": 2, "device": "cpu", "folds": 2, "augment": "off", "postprocess": False, "precision": "float32"}


def draw(folder: Path, names: tuple[str, ...], *, first: int, cases: int = 4) -> Path:
    rng = np.random.default_rng(first)
    geometry = segwright.Geometry.from_spacing((1, 32, 40))
    for number in range(first, first + cases):
        y, x = np.mgrid[-1:1:32j, -1:1:40j]
        masks = [(y - a) ** 2 + (x - b) ** 2 < 0.15 for a, b in rng.uniform(-0.3, 0.3, (len(names), 2))]
        scan = np.clip(80 + 50 * sum(masks) + rng.normal(0, 8, y.shape), 0, 255).astype(np.uint8)
        io.write(segwright.Volume.of(scan[None], geometry), folder / "images" / f"c{number}.png")
        for name, mask in zip(names, masks, strict=True):
            label = (mask[None] * 255).astype(np.uint8)
            io.write(segwright.Volume.of(label, geometry), folder / "masks" / name / f"c{number}.png")
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    draw(folder / "bones", ("radius", "ulna"), first=0)
    draw(folder / "spines", ("ulna", "vertebra", "disc"), first=50)
    segwright.fit(folder / "bones", out=folder / "first", width=6, levels=3, steps=4, **QUICK)
    return folder


def weights(run: segwright.Run, fold: int = 0) -> dict[str, torch.Tensor]:
    return load_file(run.weights(fold)[0])


def test_a_fit_starts_from_another_of_other_structures(desk: Path, tmp_path: Path) -> None:
    told: list[str] = []
    listen = lambda event: told.append(event.text) if isinstance(event, Note) else None  # noqa: E731
    source = segwright.Run.open(desk / "first")
    wishes = {"init_from": str(desk / "first"), "lr": 1e-30, "weight_decay": 0.0, "ema": False, "warmup": 0.0}
    run = segwright.fit(desk / "spines", out=tmp_path / "run", steps=2, listen=listen, **wishes, **QUICK)
    assert run.plan.net.widths == source.plan.net.widths and run.plan.net.norm == source.plan.net.norm
    found = Transfer.load(run.folder / "init" / "transfer.json")
    assert found.adopted["width"] == "6" and found.share > 0.95
    assert list(found.left) == [] and all("head" in why for why in found.adapted.values())
    assert any("taken over" in text for text in told) and any("planned like" in text for text in told)
    for fold in range(2):
        here, there = weights(run, fold), weights(source, int(run.plan.train.init.members[fold][7]))
        for name in set(here) - set(found.adapted):
            if "running" not in name and "num_batches" not in name:
                torch.testing.assert_close(here[name], there[name])
        rows = [run.plan.labels.names.index("ulna"), source.plan.labels.names.index("ulna")]
        torch.testing.assert_close(here["net.heads.0.weight"][rows[0]], there["net.heads.0.weight"][rows[1]])
    page = run.page.read_text()
    assert run.plan.train.init.sha256[0][:12] in page and str(desk / "first") in page
    assert "train.init" in run.plan.why
    assert segwright.predict(run.model, desk / "spines" / "images", tmp_path / "out").failed == ()


def test_a_frozen_encoder_keeps_still_for_its_share(desk: Path, tmp_path: Path) -> None:
    source = segwright.Run.open(desk / "first")
    wishes = {"init_from": str(desk / "first"), "lr": 0.01, "ema": False, "only": [0]}
    still = segwright.fit(desk / "spines", out=tmp_path / "a", steps=4, freeze=0.9, **wishes, **QUICK)
    free = segwright.fit(desk / "spines", out=tmp_path / "b", steps=4, **wishes, **QUICK)
    assert still.plan.train.freeze == 0.9
    there = weights(source, int(still.plan.train.init.members[0][7]))
    encoder = encoder_names(build(still.plan.net))
    # Of four steps only the last is beyond 90 % of the budget's start; its rate has fallen to almost nothing.
    late = segwright.fit(desk / "spines", out=tmp_path / "c", steps=1, freeze=0.9, **wishes, **QUICK)
    assert all(torch.equal(weights(late)[name], there[name]) for name in encoder)
    moved = [float((weights(run)[name] - there[name]).abs().max()) for run in (still, free) for name in sorted(encoder)]
    half = len(moved) // 2
    assert max(moved[:half]) < 0.3 * max(moved[half:])
    decoder = next(name for name in there if "decoder" in name and there[name].ndim > 1)
    assert not torch.equal(weights(late)[decoder], there[decoder])


def test_resuming_goes_on_and_does_not_start_over(desk: Path, tmp_path: Path) -> None:
    wishes = {"init_from": str(desk / "first"), "steps": 6, "ema": False, **QUICK}
    whole = segwright.fit(desk / "spines", out=tmp_path / "whole", only=[0], **wishes)

    class StopHereError(Exception):
        pass

    def stop(event: dict) -> None:
        if isinstance(event, Step) and event.step == 3:
            raise StopHereError

    import segwright.train.fold as fold_module

    every, fold_module.CHECKPOINT_EVERY = fold_module.CHECKPOINT_EVERY, -1.0
    try:
        with pytest.raises(StopHereError):
            segwright.fit(desk / "spines", out=tmp_path / "run", only=[0], listen=stop, **wishes)
    finally:
        fold_module.CHECKPOINT_EVERY = every
    shutil.copytree(desk / "first", tmp_path / "first")
    run = segwright.fit(desk / "spines", out=tmp_path / "run", only=[0], resume=True, **wishes)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(run)[name], value, msg=name)


def test_leaks_are_told_and_avoided(desk: Path, tmp_path: Path) -> None:
    """On the same images, each fold starts from a member that left its validation cases out, if there is one."""
    told: list[str] = []
    listen = lambda event: told.append(event.text) if isinstance(event, Note) else None  # noqa: E731
    source = segwright.Run.open(desk / "first")
    same = segwright.fit(
        desk / "bones", out=tmp_path / "same", init_from=str(desk / "first"), steps=1, listen=listen, **QUICK
    )
    assert same.split.folds == source.split.folds and not any("trained on" in text for text in told)
    leaky = {**QUICK, "folds": 4}
    segwright.fit(desk / "bones", out=tmp_path / "leaky", init_from=str(desk / "first"), steps=1, **leaky)
    notes = Transfer.load(tmp_path / "leaky" / "init" / "transfer.json").notes
    assert not any("trained on" in text for text in notes)  # leave-one-out: some member had left each case out
    reduced = shutil.copytree(desk / "first", tmp_path / "reduced")
    manifest = json.loads((reduced / "model" / "manifest.json").read_text())
    manifest["members"] = manifest["members"][:1]
    del manifest["digests"], manifest["seal"]
    (reduced / "model" / "manifest.json").write_text(json.dumps(manifest))
    told.clear()
    segwright.fit(desk / "bones", out=tmp_path / "leak", init_from=str(reduced), steps=1, listen=listen, **QUICK)
    assert any("was trained on 2 of 2 validation cases" in text for text in told)
    shutil.copytree(desk / "first" / "model", tmp_path / "bare")
    told.clear()
    segwright.fit(desk / "bones", out=tmp_path / "d", init_from=str(tmp_path / "bare"), steps=1, listen=listen, **QUICK)
    assert any("cannot be checked" in text for text in told)


def test_slips_cost_seconds_and_leave_nothing(desk: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model to start from"):
        segwright.fit(desk / "spines", out=tmp_path / "a", init_from=str(tmp_path), steps=1, **QUICK)
    with pytest.raises(RecipeError, match="nothing to freeze"):
        segwright.fit(desk / "spines", out=tmp_path / "a", freeze=0.5, steps=1, **QUICK)
    wishes = {"init_from": str(desk / "first"), "net": "vnet", "steps": 1, **QUICK}
    with pytest.raises(ModelError, match="No layer of the source"):
        segwright.fit(desk / "spines", out=tmp_path / "a", **wishes)
    assert not (tmp_path / "a" / "plan.json").exists()
    stored = load_file(desk / "first" / "model" / "member-0.safetensors")
    save_file({name: value for name, value in stored.items() if "decoder" in name}, tmp_path / "part.safetensors")
    wishes = {"init_from": str(tmp_path / "part.safetensors"), "width": 6, "levels": 3, "freeze": 0.5, "steps": 1}
    with pytest.raises(PlanError, match="could be frozen"):
        segwright.fit(desk / "spines", out=tmp_path / "b", **wishes, **QUICK)


def test_changed_weights_are_refused(desk: Path, tmp_path: Path) -> None:
    wishes = {"init_from": str(desk / "first"), "steps": 1, **QUICK}
    run = segwright.fit(desk / "spines", out=tmp_path / "run", only=[0], **wishes)
    (run.folder / "init" / run.plan.train.init.members[1]).write_bytes(b"other")
    with pytest.raises(ModelError, match="missing or changed"):
        segwright.fit(desk / "spines", out=tmp_path / "run", only=[1], **wishes)


def test_weights_that_were_learnt_at_another_scale_are_told(plain_plan) -> None:
    net = {"out_channels": 2, "widths": (4,), "strides": ((1, 1, 1),), "kernels": ((3, 3, 3),)}
    space = LabelSpace(structures=[{"name": "a"}])

    def plan(spacing):
        return plain_plan(space, (8, 8, 8), net, prepare=PreparePlan(spacing=spacing, normalise=()))

    source = Source("runs/a", {}, plan((None, 1.5, 1.5)))
    (told,) = other_scale(source, plan((5.0, 0.7, 0.7)))
    assert "learnt at 1.5 x 1.5 mm a voxel, and this run works at 0.7 x 0.7 mm" in told
    assert told.endswith("add spacing=[null,1.5,1.5].")
    assert Recipe.from_data({"spacing": yaml.safe_load("[null,1.5,1.5]")}).spacing == (None, 1.5, 1.5)
    for other in ((9.0, 1.4, 1.6), None):
        assert other_scale(source, plan(other)) == []
