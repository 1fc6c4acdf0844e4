"""Objects do not depend on how a scan lies: directions in scores are read along the axes they were learnt on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from segwright import io
from segwright.api.instances import choose_decoder
from segwright.api.out_of_fold import JudgedCase
from segwright.core.case import Case, Dataset, Source
from segwright.core.events import silent
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, Plan, PreparePlan
from segwright.core.trail import turn_for
from segwright.core.volume import Volume
from segwright.postprocess.instances import search
from segwright.prediction.large import objects
from segwright.prediction.large.job import Job
from segwright.prediction.large.run import carry_out
from segwright.prediction.large.survey import Intensities, Survey
from segwright.prediction.large.workers import Serial
from segwright.prediction.model import Model
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


@pytest.mark.parametrize("turn", TURNS)
def test_objects_of_turned_scans_by_blocks(turn, tmp_path: Path, plain_plan, monkeypatch) -> None:
    ids, geometry = turned(*turn)
    plan, codec = plan_for("flow", plain_plan), build_target("flow", SPACE)
    monkeypatch.setattr(Model, "forward", lambda self, batch: codec.encode(batch.round().int())[0].float())
    block = tuple(-(-n // 2) for n in geometry.shape)
    dataset = one_scan(tmp_path, ids, geometry)
    Job(
        case="a",
        dataset=dataset,
        plan=plan,
        weights=(),
        sha256=(),
        shape=geometry.shape,
        dtype="float32",
        block=block,
        chunk=block,
        levels=((1, 1, 1),),
        survey=Survey(channels=(Intensities(),), boxes=0, voxels=0),
        instances="decoder",
        decoder="follow_flow",
    ).save(tmp_path / Job.filename)
    assert carry_out(tmp_path, Serial(), lambda event: None).complete
    assert same_objects(io.read(tmp_path / "instances.zarr").array()[0], ids)


def test_a_block_looks_as_far_along_each_axis_as_the_decoder_reaches_there(tmp_path: Path, plain_plan) -> None:
    _, geometry = turned((2, 0, 1), ())
    scan = SimpleNamespace(turned=turn_for(geometry, "SAR"))
    bench = SimpleNamespace(has_labels=False, scan=scan, job=SimpleNamespace(decoder="follow_flow", decoder_params={}))
    assert objects._thickness(bench) == (7, 1, 7)
