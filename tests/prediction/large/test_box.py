"""Blocks against the whole: a scan predicted box by box must equal the same scan predicted in one piece."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from segwright.core.box import Box, tile
from segwright.core.geometry import Geometry
from segwright.core.plan import Normalisation, PreparePlan, WindowPlan
from segwright.core.volume import Volume
from segwright.prediction.large.box import count_windows, predict_boxes, reach, touching
from segwright.prediction.large.scan import LazyScan
from segwright.prediction.large.survey import survey
from segwright.prediction.window import axis_covers, predict_slabs
from segwright.prepare.pipeline import prepare_image

OBLIQUE = np.array([[0.1, 0.0, -1.5, 10.0], [0.2, 1.5, 0.0, -7.0], [3.0, 0.0, 0.1, 4.0], [0.0, 0.0, 0.0, 1.0]])


def network(context: int = 0) -> torch.nn.Module:
    """A convolution whose answer depends on the place in the window, so that another cover would show."""
    torch.manual_seed(0)
    conv = torch.nn.Conv3d(1, 2, 3, padding=1)

    def forward(x: torch.Tensor) -> torch.Tensor:
        ramp = torch.linspace(0, 1, x.shape[-1])
        y = conv(x * ramp).sigmoid()
        return y[:, :, context : y.shape[2] - context]

    return forward


CASES = [
    ((9, 21, 30), (4, 8, 8), 0.5, 0, (2, 4, 4)),
    ((1, 40, 37), (1, 16, 16), 0.5, 0, (1, 4, 4)),
    ((12, 10, 33), (1, 8, 16), 0.5, 1, (1, 2, 2)),
    ((5, 6, 7), (16, 16, 16), 0.25, 0, (4, 4, 4)),
    ((20, 18, 16), (8, 8, 8), 0.0, 0, (2, 2, 2)),
]


@pytest.mark.parametrize(("shape", "size", "overlap", "context", "divisor"), CASES)
def test_boxes_equal_the_whole(shape, size, overlap, context, divisor):
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    forward, window = network(context), WindowPlan(size=size, overlap=overlap, batch=3)
    margins = (context, 0, 0)
    with torch.inference_mode():
        slabs = predict_slabs(image, forward, window=window, context=margins, divisor=divisor)
        whole = np.concatenate([scores for _, _, scores in slabs], axis=1)
    for box in tile(shape, (5, 7, 11)):
        read = lambda part: image[(slice(None), *part.slices)]  # noqa: E731
        (scores,) = predict_boxes(read, shape, forward, [box], window=window, net=(margins, divisor))
        assert np.allclose(scores, whole[(slice(None), *box.slices)], atol=1e-6)


@pytest.mark.parametrize(("shape", "size", "overlap", "context", "divisor"), CASES)
def test_windows_are_counted_as_they_are_predicted(shape, size, overlap, context, divisor):
    """What people are told of a block under way is the share of its windows."""
    seen, forward = [], network(context)

    def counting(batch):
        seen.append(len(batch))
        return forward(batch)

    read = lambda part: np.zeros((1, *part.shape), np.float32)  # noqa: E731
    window, boxes = WindowPlan(size=size, overlap=overlap, batch=3), list(tile(shape, (2, *shape[1:])))
    list(predict_boxes(read, shape, counting, boxes, window=window, net=((context, 0, 0), divisor)))
    assert sum(seen) == count_windows(shape, boxes, window, divisor)


def test_reach_is_what_a_box_depends_on():
    image = np.zeros((1, 4, 30, 30), np.float32)
    window, net = WindowPlan(size=(4, 8, 8), overlap=0.5), ((0, 0, 0), (2, 4, 4))
    box, forward = Box((0, 10, 10), (4, 14, 14)), network()
    read = lambda part: image[(slice(None), *part.slices)]  # noqa: E731
    (before,) = predict_boxes(read, (4, 30, 30), forward, [box], window=window, net=net)
    part = reach((4, 30, 30), window, box, *net)
    outside = np.ones(image.shape[1:], bool)
    outside[part.slices] = False
    image[0][outside] = 9.0
    (after,) = predict_boxes(read, (4, 30, 30), forward, [box], window=window, net=net)
    assert np.array_equal(before, after)


PREPARES = [
    ({"orientation": None}, (1, 30, 40), (None, 0.5, 0.5)),
    ({"orientation": "SPR"}, (12, 17, 15), "oblique"),
    ({"orientation": "SPR", "spacing": (2.0, 1.0, 1.0)}, (12, 17, 15), "oblique"),
    ({"orientation": "SPR", "spacing": (3.0, 4.0, 4.0)}, (12, 31, 25), "oblique"),
    ({"orientation": None, "fit": (16, 16)}, (1, 30, 44), (None, None, None)),
]


@pytest.mark.parametrize(("prepare", "shape", "spacing"), PREPARES)
@pytest.mark.parametrize("scheme", ["case", "nonzero", "fixed"])
def test_a_lazy_scan_is_the_prepared_scan(prepare, shape, spacing, scheme):
    rule = {
        "case": Normalisation(),
        "nonzero": Normalisation(nonzero=True),
        "fixed": Normalisation(scheme="fixed", low=-1.0, high=2.0, mean=0.3, std=1.7),
    }[scheme]
    geometry = Geometry(shape, OBLIQUE) if spacing == "oblique" else Geometry.from_spacing(shape, spacing)
    array = np.random.default_rng(1).normal(size=(1, *shape))
    array[np.abs(array) < 0.2] = 0
    volume, plan = Volume.of(array, geometry), PreparePlan(normalise=(rule,), **prepare)
    whole = prepare_image(volume, plan)
    scan = LazyScan(volume, plan, survey(volume, plan.normalise))
    assert scan.shape == whole.array.shape[1:]
    for box in tile(scan.shape, (5, 9, 8)):
        assert np.allclose(scan.read(box), whole.array[(slice(None), *box.slices)], atol=2e-5)


@pytest.mark.parametrize(("prepare", "shape", "spacing"), PREPARES)
def test_scores_return_to_the_scan(prepare, shape, spacing):
    """Restoring box by box equals restoring the whole, and boxes find their way between both grids."""
    from segwright.core.labels import LabelSpace
    from segwright.prepare.restore import ScoreRestorer

    geometry = Geometry(shape, OBLIQUE) if spacing == "oblique" else Geometry.from_spacing(shape, spacing)
    volume = Volume.of(np.random.default_rng(2).normal(size=(1, *shape)), geometry)
    plan = PreparePlan(normalise=(Normalisation(scheme="none"),), **prepare)
    whole = prepare_image(volume, plan)
    restorer = ScoreRestorer(whole.trail, LabelSpace(structures=[{"name": "a"}]), lambda s: s > 0.25, keep=lambda s: s)
    restorer.feed(0, whole.array.shape[1], whole.array)
    restorer.finish()
    scan = LazyScan(volume, plan, survey(volume, plan.normalise))
    for box in tile(shape, (4, 8, 9)):
        turned = scan.to_turned(box)
        assert scan.to_source(turned) == box
        scores = scan.restore(scan.read(scan.needed(turned)), turned)
        assert scores.shape[1:] == box.shape
        kept = np.rint(np.clip(scores, 0, 1) * 255).astype(int)
        assert np.abs(kept - restorer.scores[(slice(None), *box.slices)]).max() <= 1


def test_statistics_are_the_same_whoever_asks_and_survive_bad_places():
    from segwright.core.errors import ReadError
    from segwright.core.volume import LazyArray

    def read(index):
        if index[3].start == 256:
            raise ReadError("broken", got="chunk 0/0/1")
        return np.full([part.stop - part.start for part in index], 7.0) + np.arange(index[3].stop - index[3].start)

    shape = (1, 160, 1024, 2048)
    volume = Volume(LazyArray(shape, np.dtype("f4"), read), Geometry.from_spacing(shape[1:]))
    found = survey(volume, [Normalisation()], seed=3)
    assert found == survey(volume, [Normalisation()], seed=3)
    assert found.boxes == 64 and "chunk 0/0/1" in found.unreadable[0]
    assert found.channels[0].low < found.channels[0].mean < found.channels[0].high
    broken = np.array([np.nan, np.inf, -np.inf, 100.0], np.float32)
    assert found.channels[0].apply(broken) == 3 and np.isfinite(broken).all()


@pytest.mark.parametrize(("shape", "size", "overlap", "context", "divisor"), CASES)
def test_a_row_of_boxes_equals_single_ones_reads_once_and_predicts_each_window_once(
    shape, size, overlap, context, divisor
):
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    forward, window, net = network(context), WindowPlan(size=size, overlap=overlap, batch=2), ((context, 0, 0), divisor)
    reads = np.zeros(shape, int)
    windows = []

    def read(part: Box) -> np.ndarray:
        reads[part.slices] += 1
        return image[(slice(None), *part.slices)]

    def counted(batch: torch.Tensor) -> torch.Tensor:
        windows.append(len(batch))
        return forward(batch)

    ends = [0, min(3, shape[0] - 1), shape[0]] if shape[0] > 1 else [0, 1]
    row = [Box((a, 2, 3), (b, shape[1] - 1, shape[2])) for a, b in pairwise(ends)]
    found = list(predict_boxes(read, shape, counted, row, window=window, net=net))
    assert reads.max() == 1
    cover = axis_covers(shape, window, divisor)
    whole = Box(row[0].start, row[-1].stop)
    spans = zip(cover, whole.start, whole.stop, strict=True)
    assert sum(windows) == math.prod(len(touching(c, a, b)) for c, a, b in spans)
    for box, scores in zip(row, found, strict=True):
        (again,) = predict_boxes(
            lambda part: image[(slice(None), *part.slices)], shape, forward, [box], window=window, net=net
        )
        assert scores.shape == again.shape and np.allclose(scores, again, atol=1e-6)


def test_boxes_of_a_row_may_share_slices():
    image = np.random.default_rng(0).normal(size=(1, 12, 9, 9)).astype(np.float32)
    window, net = WindowPlan(size=(4, 8, 8), overlap=0.5), ((0, 0, 0), (2, 4, 4))
    read = lambda part: image[(slice(None), *part.slices)]  # noqa: E731
    row = [Box((0, 0, 0), (5, 9, 9)), Box((4, 0, 0), (8, 9, 9)), Box((7, 0, 0), (12, 9, 9))]
    (whole,) = predict_boxes(read, (12, 9, 9), network(), [Box.whole((12, 9, 9))], window=window, net=net)
    for box, scores in zip(row, predict_boxes(read, (12, 9, 9), network(), row, window=window, net=net), strict=True):
        assert np.allclose(scores, whole[(slice(None), *box.slices)], atol=1e-6)
