"""The whole spatial path: a threshold network must give the thresholded scan back on its own grid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, Plan, PreparePlan
from segwright.core.volume import Volume
from segwright.prediction.window import Streamed, segment_prepared
from segwright.prepare.pipeline import prepare_image

KINDS = ("exclusive", "overlapping")


@pytest.fixture(scope="module")
def plan_for(plain_plan):
    """A function that plans for a kind of labels, a way to prepare, and a window."""

    def make(kind: str, prepare: dict, window: tuple[int, int, int], slab: int = 0) -> Plan:
        space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind=kind)
        net = {
            "out_channels": 3,
            "slab": slab,
            "widths": (4, 8),
            "strides": ((1, 1, 1), (1, 2, 2) if slab else (2, 2, 2)),
            "kernels": ((3, 3, 3),) * 2,
        }
        ready = PreparePlan(normalise=(Normalisation(scheme="none"),), **prepare)
        return plain_plan(space, window, net, batch=2, prepare=ready, target="x")

    return make


def segment_volume(volume: Volume, forward, *, plan: Plan, **how) -> Streamed:
    return segment_prepared(prepare_image(volume, plan.prepare), forward, plan=plan, **how)


def soft(kind: str, slab: int):
    """Scores from intensity: structure a around 1, b around 2 (b lies in a if they overlap)."""

    def forward(batch: torch.Tensor) -> torch.Tensor:
        x = batch[:, :, slab // 2 : batch.shape[2] - slab // 2]
        if kind == "overlapping":
            return torch.cat([x.clamp(0, 1), (x - 1).clamp(0, 1)], dim=1)
        return torch.cat([(1 - x).clamp(0), (1 - (x - 1).abs()).clamp(0), (x - 1).clamp(0)], dim=1)

    return forward


def decode(kind: str):
    if kind == "overlapping":
        return lambda scores: (scores > 0.5).astype(np.int8)
    return lambda scores: scores.argmax(axis=0)[None].astype(np.int16)


def scan(geometry: Geometry) -> np.ndarray:
    """A bright ball (2) in a larger one (1) in nothing (0)."""
    index = np.indices(geometry.shape) - (np.array(geometry.shape).reshape(3, 1, 1, 1) - 1) * 0.45
    mm = index * np.array(geometry.lengths).reshape(3, 1, 1, 1)
    if geometry.shape[0] == 1:
        mm = mm[1:]
    radius = np.sqrt((mm**2).sum(axis=0))
    return (radius < 11).astype(np.float32) + (radius < 6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "slab"), [((15, 31, 40), 0), ((15, 31, 40), 3), ((15, 31, 40), 1), ((1, 40, 44), 1), ((1, 40, 44), 0)]
)
def test_threshold_network_gives_the_scan_back(kind: str, shape: tuple[int, int, int], slab: int, plan_for) -> None:
    base = Geometry.from_spacing(shape, (None if shape[0] == 1 else 2.0, 1.0, 0.8))
    prepare = {"orientation": "SAR", "crop": True, "spacing": (1.7, 0.8, 0.8)}
    window = (1, 16, 24) if slab else (8, 16, 16)
    plan = plan_for(kind, prepare, window, slab)
    turns = [(0, 1, 2), (2, 0, 1)] if shape[0] > 1 else [(0, 1, 2)]
    for order, flips in itertools.product(turns, [(), (1,), (1, 2)]):
        geometry = base.permute(order).flip(flips)
        image = scan(base).transpose(order)[
            tuple(slice(None, None, -1) if axis in flips else slice(None) for axis in range(3))
        ]
        result = segment_volume(
            Volume.of(image, geometry), soft(kind, slab), plan=plan, decode=decode(kind), keep=lambda s: s[-2:]
        )
        assert result.labels.shape == (plan.labels.planes, *geometry.shape)
        assert result.labels.dtype == plan.labels.dtype and result.repaired == 0
        for index, threshold in enumerate((1, 2)):
            ours = plan.labels.mask(result.labels, index)
            truth = image >= threshold if kind == "overlapping" else image == threshold
            assert 2 * (ours & truth).sum() / (ours.sum() + truth.sum()) > 0.93
            assert ((result.scores[index] > 127) == ours).mean() > 0.95


def test_untouched_grid_is_exact(plan_for) -> None:
    geometry = Geometry.from_spacing((12, 20, 22), (1.0, 1.0, 1.0))
    image = np.random.default_rng(0).integers(0, 3, geometry.shape).astype(np.float32)
    result = segment_volume(
        Volume.of(image, geometry),
        soft("exclusive", 0),
        plan=plan_for("exclusive", {"orientation": "SAR"}, (8, 16, 16)),
        decode=decode("exclusive"),
    )
    np.testing.assert_array_equal(result.labels[0], image)
    assert result.scores is None


def seen(box: int):
    """Scores of a network that knows one scale: bright where all of a neighbourhood of so many voxels is."""

    def forward(batch: torch.Tensor) -> torch.Tensor:
        edges = (1 if batch.shape[2] == 1 else 3, box, box)
        part = torch.nn.functional.avg_pool3d(batch, edges, 1, padding=[n // 2 for n in edges], count_include_pad=False)
        return torch.cat([1 - part, part - 0.45, torch.zeros_like(part)], dim=1)

    return forward


TRAINED = {  # by kind of training set: what the plan says, and a scan as they were acquired
    "isotropic": ({"spacing": (1.5, 1.5, 1.5), "kept": ((1.4, 1.6),) * 3}, (1.5, 1.5, 1.5)),
    "anisotropic": ({"spacing": (2.4, 1.2, 0.9), "kept": ((2.3, 2.5), (1.1, 1.3), (0.8, 1.0))}, (2.4, 1.2, 0.9)),
    "thick": ({"spacing": (None, 0.8, 0.8), "kept": ((3.0, 3.8), None, None)}, (3.4, 0.8, 0.8)),
    "film": ({"spacing": (None, 0.8, 0.8)}, (None, 0.8, 0.8)),
}


def ball(geometry: Geometry) -> Volume:
    """A ball of 12 mm with a soft surface in the middle of 48 mm."""
    index = np.indices(geometry.shape) - (np.array(geometry.shape).reshape(3, 1, 1, 1) - 1) / 2
    mm = index * np.array(geometry.lengths).reshape(3, 1, 1, 1)
    radius = np.sqrt((mm**2).sum(axis=0))
    return Volume.of(np.clip((12 - radius) / 4 + 0.5, 0, 1).astype(np.float32), geometry)


def size_found(plan: Plan, usual: tuple[float | None, ...], factor: float) -> float:
    """mm³ (or mm²) that the network finds in a ball scanned with voxels of so many times the usual edges."""
    spacing = tuple(step and step * factor for step in usual)
    grid = Geometry.from_spacing([1 if step is None else round(48 / step) for step in spacing], spacing)
    labels = segment_volume(ball(grid), seen(9), plan=plan, decode=decode("exclusive")).labels
    assert labels.shape[1:] == grid.shape
    return float((labels == 1).sum()) * (grid.voxel_volume or 0)


@pytest.mark.parametrize("kind", TRAINED)
def test_a_scan_of_another_voxel_size_is_seen_at_the_scale_of_training(kind: str, plan_for) -> None:
    prepare, usual = TRAINED[kind]
    film = kind == "film"
    window = (1 if film else 8, 32, 32)

    def planned(**scale) -> Plan:
        return plan_for("exclusive", {"orientation": None if film else "SAR", **scale}, window, slab=int(film))

    right = size_found(planned(**prepare), usual, 1)
    assert right == size_found(planned(), usual, 1), "nothing changes at the voxel size of training"
    for factor in (0.5, 2.0):
        assert size_found(planned(**prepare), usual, factor) == pytest.approx(right, rel=0.2)
    assert size_found(planned(), usual, 2.0) < 0.7 * right, "without a scale it is wrong"


def test_a_scan_of_the_trained_voxel_size_is_not_touched(plan_for) -> None:
    volume = Volume.of(
        np.random.default_rng(0).normal(size=(1, 6, 20, 20)), Geometry.from_spacing((6, 20, 20), (3.05, 1.2, 1.61))
    )
    scaled = PreparePlan(spacing=(3, 1.2, 1.6), kept=((2.9, 3.1), (1.1, 1.3), (1.5, 1.7)), normalise=(Normalisation(),))
    before, after = (prepare_image(volume, plan) for plan in (PreparePlan(normalise=(Normalisation(),)), scaled))
    assert after.trail == before.trail and not after.trail.steps
    np.testing.assert_array_equal(after.array, before.array)


def test_files_without_spacing_are_seen_as_the_recipe_told_in_training() -> None:
    plan = PreparePlan(voxel=(45.0, 4.0, 4.0), spacing=(45.0, 8.0, 8.0), normalise=(Normalisation(),))
    told, bare = (Geometry.from_spacing((3, 20, 20), s) for s in ((45.0, 4.0, 4.0), (None, None, None)))
    array = np.random.default_rng(0).normal(size=(1, 3, 20, 20))
    first, second = (prepare_image(Volume.of(array, grid), plan) for grid in (told, bare))
    assert second.array.shape == (1, 3, 10, 10)
    np.testing.assert_array_equal(first.array, second.array)
