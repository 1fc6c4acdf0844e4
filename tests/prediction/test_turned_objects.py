"""Objects do not depend on how a scan lies: directions in scores are read along the axes they were learnt on."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segwright import io
from segwright.api.instances import choose_decoder
from segwright.api.large import segment_large
from segwright.api.out_of_fold import JudgedCase, predict_out_of_fold
from segwright.core.case import Case, Dataset, Source
from segwright.core.events import silent
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.model import Combination
from segwright.core.plan import Normalisation, Plan, PreparePlan
from segwright.core.volume import Volume
from segwright.postprocess.chain import Chain
from segwright.postprocess.instances import search
from segwright.prediction.combined import CombinedModel
from segwright.prediction.large import objects
from segwright.prediction.large.plan import Wish
from segwright.prediction.model import Model
from segwright.prediction.objects import usual_chain
from segwright.prepare.restore import restore_scores
from segwright.targets import build_target, suitable_targets

SPACE = LabelSpace(structures=[{"name": "cell"}], kind="instances")
GRID = Geometry.from_spacing((16, 24, 32), (2.0, 1.0, 1.0))
#: As the plan wants it; mirrored; sections along x, along y and mirrored; all at once.
TURNS = [((0, 1, 2), ()), ((0, 1, 2), (0, 2)), ((2, 0, 1), ()), ((1, 2, 0), (1,)), ((2, 1, 0), (0, 1, 2))]


def cells() -> np.ndarray:
    """Six boxes: two pairs that meet from section to section, two that meet in the plane."""
    ids = np.zeros(GRID.shape, np.uint16)
    ids[1:8, 2:11, 2:13], ids[8:15, 2:11, 2:13] = 1, 2
    ids[1:8, 2:11, 18:30], ids[8:15, 2:11, 18:30] = 3, 4
    ids[2:14, 14:23, 2:15], ids[2:14, 14:23, 15:30] = 5, 6
    return ids


def turned(order: tuple[int, ...], flips: tuple[int, ...]) -> tuple[np.ndarray, Geometry]:
    return np.flip(cells().transpose(order), flips), GRID.permute(order).flip(flips)


def plan_for(target: str, plain_plan) -> Plan:
    channels = build_target(target, SPACE).channels
    net = {"out_channels": channels, "widths": (2,), "strides": ((1, 1, 1),), "kernels": ((3, 3, 3),)}
    ready = PreparePlan(orientation="SAR", normalise=(Normalisation(scheme="none"),))
    return plain_plan(SPACE, GRID.shape, net, target=target, prepare=ready)


def one_scan(folder: Path, ids: np.ndarray, geometry: Geometry) -> Dataset:
    """A data set of one scan whose grey values are the ids."""
    io.write(Volume.of(ids.astype(np.float32), geometry), folder / "a.nii.gz")
    case = Case(id="a", images=(Source(path="a.nii.gz"),), group="a")
    return Dataset(root=str(folder), layout="x", channels=("image",), cases=(case,))


def same_objects(found: np.ndarray, truth: np.ndarray) -> bool:
    """Whether both part the grid alike, whatever their numbers."""
    pairs = np.unique(np.stack([found.ravel(), truth.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(found)) == len(np.unique(truth)) and (pairs[:, 0] == 0).all()


def voxels_apart(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of voxels in which two partings of as many objects differ: a flood may give single ones to a neighbour."""
    pairs, counts = np.unique(np.stack([found.ravel(), truth.ravel()]), axis=1, return_counts=True)
    chosen = [max(np.flatnonzero(pairs[0] == name), key=counts.__getitem__) for name in np.unique(found)]
    assert len(np.unique(truth)) == len(chosen) == len(set(pairs[1, chosen]))
    return 1 - float(counts[chosen].sum()) / truth.size


TARGETS = [name for name in suitable_targets("instances") if name != "boundary_seed"]  # which joins what touches


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("turn", TURNS)
def test_objects_of_turned_scans_are_those_of_the_scan(
    target: str, turn, tmp_path: Path, plain_plan, monkeypatch
) -> None:
    ids, geometry = turned(*turn)
    plan, codec = plan_for(target, plain_plan), build_target(target, SPACE)
    # A network that knows the answer on the grid that it sees.
    monkeypatch.setattr(Model, "forward", lambda self, batch: codec.encode(batch.round().int())[0].float())
    model, dataset = Model(plan, (), device="cpu"), one_scan(tmp_path, ids, geometry)
    found = model.segment(dataset, dataset.cases[0])
    kept = model.segment(dataset, dataset.cases[0], keep_scores=True)
    assert same_objects(found.labels[0], ids) and same_objects(kept.labels[0], ids)
    monkeypatch.setattr(search, "OPTIONS", {})  # the usual numbers are right here, and quick
    np.save(tmp_path / "a.npy", kept.scores)
    run = SimpleNamespace(plan=plan, dataset=dataset, scores_file=lambda case: tmp_path / f"{case}.npy")
    judged = JudgedCase(run, "a", 0)
    monkeypatch.setattr(JudgedCase, "group", "a")
    monkeypatch.setattr(JudgedCase, "reference", lambda self: ids[None])
    chosen = choose_decoder([judged], plan, listen=silent)
    assert chosen.before == {"cell": 1.0} and same_objects(judged.predicted(chosen.chain)[0], ids)


CENTRES = ((9, 9, 9), (9, 9, 24), (9, 24, 9), (23, 22, 24), (24, 9, 12))
#: Edges as in training, which are 1.5; half and twice that; thick sections; some along other axes than the plan's.
GRIDS = [
    ((1.5, 1.5, 1.5), (2, 0, 1)),
    ((0.8, 0.8, 0.8), (0, 1, 2)),
    ((3.0, 3.0, 3.0), (1, 2, 0)),
    ((4.0, 1.0, 1.0), (2, 0, 1)),
]


def scored_scan(folder: Path, target: str, edges: tuple[float, ...], order: tuple[int, ...]) -> Dataset:
    """A scan whose channels are the scores of a target for balls that touch, with its axes in that order."""
    grid = Geometry.from_spacing(tuple(round(33 / edge) for edge in edges), edges)
    mm = np.moveaxis(np.indices(grid.shape) + 0.5, 0, -1) * np.array(edges)
    distance = np.linalg.norm(mm[..., None, :] - np.array(CENTRES), axis=-1)
    ids = np.where(distance.min(axis=-1) < 8.5, distance.argmin(axis=-1) + 1, 0).astype(np.int32)
    channels = build_target(target, SPACE).encode(torch.from_numpy(ids)[None, None])[0][0].float().numpy()
    images = tuple(Source(path=f"a_{k}.nii.gz") for k in range(len(channels)))
    for image, channel in zip(images, channels, strict=True):
        io.write(Volume.of(channel.transpose(order), grid.permute(order)), folder / image.path)
    case = Case(id="a", images=images, group="a")
    names = tuple(f"c{k}" for k in range(len(images)))
    return Dataset(root=str(folder), layout="x", channels=names, cases=(case,))


def plan_at_scale(target: str, dataset: Dataset, plain_plan) -> Plan:
    """A plan that works at 1.5 mm with a network that hands its channels on."""
    plain = Normalisation(scheme="none")
    ready = {"spacing": (1.5,) * 3, "kept": ((1.4, 1.6),) * 3, "normalise": (plain,) * len(dataset.channels)}
    plan = plan_for(target, plain_plan)
    net = plan.net.model_copy(update={"in_channels": len(dataset.channels)})
    prepare = plan.prepare.model_copy(update=ready)
    return plan.model_copy(update={"prepare": prepare, "channels": dataset.channels, "net": net})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("edges", "order"), GRIDS)
def test_objects_by_blocks_are_those_of_the_whole(
    target: str, order, edges, tmp_path: Path, plain_plan, monkeypatch
) -> None:
    dataset = scored_scan(tmp_path, target, edges, order)
    monkeypatch.setattr(Model, "forward", lambda self, batch: batch)
    usual = usual_chain(target).decoder
    assert usual is not None
    chain = Chain(decoder=usual.model_copy(update={"params": {"smallest": 40}}))
    model = Model(plan_at_scale(target, dataset, plain_plan), (), chain=chain, device="cpu")
    whole = model.segment(dataset, dataset.cases[0], keep_scores=True)
    block = tuple(-(-n // 2) for n in whole.geometry.shape)
    out = tmp_path / "out"
    segment_large(model, dataset, dataset.cases[0], out, wish=Wish(block=block, scores="uint8"), listen=silent)
    parts = io.read(out / "a.zarr").array()[0]
    assert len(np.unique(whole.labels)) > 2 and voxels_apart(parts, whole.labels[0]) <= (
        0 if target == "flow" else 0.002
    )
    scores = restore_scores(whole.scores, whole.trail) if whole.trail else whole.scores
    assert np.abs(io.read(out / "a.scores.zarr").array().astype(int) - scores).max() <= 1
    rows = list(csv.DictReader((out / "a.instances.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(np.unique(parts)) - 1
    for row in rows:
        inside = np.argwhere(parts == int(row["id"]))
        assert len(inside) == int(row["voxels"])
        assert inside.min(axis=0).tolist() == [int(row[f"{axis}_start"]) for axis in "zyx"]
        assert np.allclose(inside.mean(axis=0), [float(row[f"{axis}_centre"]) for axis in "zyx"], atol=0.01)


@pytest.mark.parametrize(("edges", "order"), GRIDS)
def test_scores_out_of_fold_are_decoded_where_a_prediction_decodes_them(
    order, edges, tmp_path: Path, plain_plan, monkeypatch
) -> None:
    """Numbers that count voxels are chosen on the grid that they are used on."""
    dataset = scored_scan(tmp_path, "boundary", edges, order)
    monkeypatch.setattr(Model, "forward", lambda self, batch: batch)
    plan = plan_at_scale("boundary", dataset, plain_plan)
    model = Model(plan, (), device="cpu")
    found = model.segment(dataset, dataset.cases[0], keep_scores=True)
    run = SimpleNamespace(
        plan=plan,
        plan_of=lambda fold: plan,
        dataset=dataset,
        weights=lambda fold: (),
        unjudged=lambda fold: ["a"],
        split=SimpleNamespace(folds=(SimpleNamespace(validation=("a",)),)),
        scores_file=lambda case: tmp_path / f"{case}.npy",
        judged_file=lambda fold: tmp_path / "judged.json",
    )
    predict_out_of_fold(run, 0, device="cpu", listen=silent)
    judged = JudgedCase(run, "a", 0)
    monkeypatch.setattr(JudgedCase, "reference", lambda self: found.labels)
    assert (found.trail is None) == (edges == (1.5, 1.5, 1.5))
    assert np.array_equal(judged.predicted(usual_chain("boundary")), found.labels)
    assert judged.scores().shape[1:] == found.geometry.shape
    near = judged.at_scale()
    assert near.geometry.spacing == pytest.approx((1.5,) * 3, rel=0.07)
    assert near.scores().shape[1:] == near.reference().shape[1:] == near.geometry.shape
    two = CombinedModel(
        plan=plan,
        weights=(),
        parts=[model, model],
        combination=Combination(parts=(), weights={"cell": (0.25, 0.75)}),
    )
    alone = replace(two, parts=[model], combination=Combination(parts=(), weights={"cell": (1.0,)}))
    for mixed in (two, alone):  # equal members are the member
        both = mixed.segment(dataset, dataset.cases[0], keep_scores=True)
        assert np.array_equal(both.labels, found.labels) and np.array_equal(both.scores, found.scores)


def test_a_block_looks_as_far_along_each_axis_as_the_decoder_reaches_there(tmp_path: Path, plain_plan) -> None:
    _, geometry = turned((2, 0, 1), ())
    plan = SimpleNamespace(prepare=SimpleNamespace(orientation="SAR"))
    job = SimpleNamespace(decoder="follow_flow", decoder_params={}, plan=plan)
    bench = SimpleNamespace(has_labels=False, grid=geometry, job=job)
    assert objects._thickness(bench) == (7, 1, 7)
