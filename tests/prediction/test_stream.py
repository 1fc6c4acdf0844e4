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
from segwright.prediction.stream import segment_volume

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
