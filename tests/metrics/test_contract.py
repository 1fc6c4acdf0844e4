"""What every row of the metrics table promises: symmetry, the perfect value, empties, units and crops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright.core.errors import GeometryError, UnknownNameError
from segwright.metrics import DEFAULT_METRICS, METRICS
from segwright.metrics.metric import VOXEL_NOTE, from_function
from segwright.metrics.pair import RULES, Pair, Verdict
from segwright.metrics.table import load_metric

EMPTIES = ((False, False), (False, True), (True, False))


def random_pair(seed: int, shape: tuple[int, ...] = (5, 9, 8)) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(seed).random((2, *shape)) < 0.4
    a.flat[0] = b.flat[-1] = True
    return a, b


@pytest.mark.parametrize("name", METRICS)
def test_row_describes_itself(name: str) -> None:
    metric = load_metric(name)
    assert metric.name == name and metric.about.endswith(".")
    assert metric.unit in {"", "mm", "mm³"} and metric.direction in {"higher", "lower", "zero"}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("shape", [(5, 9, 8), (1, 9, 8)])
def test_identity_gives_the_perfect_value(name: str, shape: tuple[int, ...]) -> None:
    metric = load_metric(name)
    a, _ = random_pair(1, shape)
    assert metric(a, a, spacing=(2.0, 1.0, 0.5)) == metric.perfect


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_symmetry_and_range_are_as_declared(name: str, seed: int) -> None:
    metric = load_metric(name)
    a, b = random_pair(seed)
    value, turned = metric(a, b), metric(b, a)
    assert value is not None and turned is not None
    assert (metric.low is None or value >= metric.low) and (metric.high is None or value <= metric.high)
    if metric.symmetric:
        assert value == pytest.approx(turned)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("which", range(3))
def test_empty_masks_follow_the_rule(name: str, which: int) -> None:
    metric = load_metric(name)
    masks = [np.zeros((3, 4, 5), bool) for _ in range(2)]
    for mask, filled in zip(masks, EMPTIES[which], strict=True):
        mask[1, 1:3, 2] = filled
    value, note = metric.of(Pair(*masks, spacing=(1.0, 1.0, 1.0)))
    verdict = RULES[metric.kind][which]
    assert (value is None) == (verdict is Verdict.UNDEFINED)
    assert note == ("both empty", "reference empty", "prediction empty")[which]
    if verdict is Verdict.ZERO:
        assert value == 0


@pytest.mark.parametrize("name", METRICS)
def test_units_scale_with_spacing(name: str) -> None:
    metric = load_metric(name)
    a, b = random_pair(3)
    once, twice = metric(a, b, spacing=(1, 1, 1), tolerance=1), metric(a, b, spacing=(2, 2, 2), tolerance=2)
    factor = {"": 1, "mm": 2, "mm³": 8}[metric.unit]
    assert twice == pytest.approx(factor * once)


@pytest.mark.parametrize("name", METRICS)
def test_unknown_spacing_is_noted_where_it_matters(name: str) -> None:
    metric = load_metric(name)
    a, b = random_pair(4)
    value, note = metric.of(Pair(a, b, spacing=(None, 0.5, 0.5)))
    assert value == metric(a, b, spacing=(1, 1, 1))
    assert note == (VOXEL_NOTE if metric.unit else "")


@pytest.mark.parametrize("name", METRICS)
def test_padding_changes_nothing(name: str) -> None:
    a, b = random_pair(5)
    padded = [np.pad(mask, 3) for mask in (a, b)]
    assert load_metric(name)(*padded) == load_metric(name)(a, b)


@pytest.mark.parametrize("name", METRICS)
def test_a_plane_is_measured_in_the_plane(name: str) -> None:
    """Thickness has no meaning for an X-ray: the unknown z spacing changes nothing."""
    a, b = random_pair(6, (1, 12, 12))
    metric = load_metric(name)
    assert metric(a, b, spacing=(None, 0.5, 0.5)) == metric(a, b, spacing=(1.0, 0.5, 0.5))


def test_masks_of_different_shape_are_refused() -> None:
    with pytest.raises(GeometryError, match="one shape"):
        load_metric("dice")(np.zeros((1, 2, 3), bool), np.zeros((1, 2, 4), bool))


def test_unknown_metric_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="hd95"):
        load_metric("hd_95")


def test_defaults_are_rows() -> None:
    assert set(DEFAULT_METRICS) <= set(METRICS)


def test_plain_functions_are_metrics_too() -> None:
    def overlap(reference: np.ndarray, prediction: np.ndarray, *, spacing: tuple) -> float:
        """Shared volume in mm³."""
        return float((reference & prediction).sum() * np.prod(spacing))

    metric = from_function("overlap", overlap)
    a, b = random_pair(7)
    assert metric(a, b, spacing=(1, 2, 2)) == (a & b).sum() * 4
    assert metric(a, np.zeros_like(a)) is None
    assert metric.about == "Shared volume in mm³."


def test_numbers_by_hand() -> None:
    a, b = np.zeros((2, 1, 1, 10), bool)
    a[..., 2:6], b[..., 4:10] = True, True  # 4 and 6 voxels, 2 shared; ends at 2, 5 and 4, 9
    assert load_metric("dice")(a, b) == pytest.approx(0.4)
    assert load_metric("iou")(a, b) == pytest.approx(0.25)
    assert load_metric("precision")(a, b) == pytest.approx(2 / 6)
    assert load_metric("recall")(a, b) == pytest.approx(0.5)
    assert load_metric("hausdorff")(a, b) == 4.0
    assert load_metric("hd95")(a, b) == pytest.approx(1 + 0.95 * 3)  # 5 -> 4, 2 -> 4 | 4 -> 5, 9 -> 5
    assert load_metric("assd")(a, b) == pytest.approx((2 + 1 + 1 + 4) / 4)
    assert load_metric("surface_dice")(a, b, tolerance=1) == 0.5
    assert load_metric("volume_error")(a, b) == 0.5
    assert load_metric("volume_difference")(a, b, spacing=(None, 1, 0.5)) == 1.0
