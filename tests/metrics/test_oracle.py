"""Every metric equals MONAI's where definitions agree, and lies close to DeepMind's where they do not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import ndimage

from segwright.metrics.table import load_metric

warnings.filterwarnings("ignore", category=Warning, module="monai")
torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    monai = pytest.importorskip("monai.metrics")
    surface_distance = pytest.importorskip("surface_distance")

CASES = [
    ((1.0, 1.0, 1.0), (14, 20, 18)),
    ((5.0, 0.7, 0.8), (10, 22, 24)),
    ((0.4, 1.1, 0.9), (16, 15, 14)),
    ((None, 0.6, 0.9), (1, 40, 36)),
]


def shapes(shape: tuple[int, ...], seed: int, level: float = 0.52) -> tuple[np.ndarray, np.ndarray]:
    """Two smooth random masks that overlap for the most part."""
    rng = np.random.default_rng(seed)
    width = (0 if shape[0] == 1 else 2, 3, 3)
    field = ndimage.gaussian_filter(rng.random(shape), width)
    other = field + 0.4 * ndimage.gaussian_filter(rng.random(shape), width)
    return field > np.quantile(field, level), other > np.quantile(other, level)


def monai_values(a: np.ndarray, b: np.ndarray, spacing: tuple, tolerance: float) -> dict[str, float]:
    known = [s for s in spacing if s is not None]
    y, p = (torch.from_numpy(np.squeeze(m))[None, None].float() for m in (a, b))
    both = {"y_pred": p, "y": y, "include_background": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "dice": monai.compute_dice(**both).item(),
            "iou": monai.compute_iou(**both).item(),
            "hd95": monai.compute_hausdorff_distance(**both, percentile=95, spacing=known).item(),
            "hausdorff": monai.compute_hausdorff_distance(**both, spacing=known).item(),
            "assd": monai.compute_average_surface_distance(**both, symmetric=True, spacing=known).item(),
            "surface_dice": monai.compute_surface_dice(**both, class_thresholds=[tolerance], spacing=known).item(),
        }


@pytest.mark.parametrize(("spacing", "shape"), CASES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0.3, 0.7, 0.97])
def test_values_equal_monais(spacing: tuple, shape: tuple[int, ...], seed: int, level: float) -> None:
    a, b = shapes(shape, seed, level)
    for name, expected in monai_values(a, b, spacing, 1.03).items():
        value = load_metric(name)(a, b, spacing=spacing, tolerance=1.03)
        assert value == pytest.approx(expected, abs=1e-4), name


@pytest.mark.parametrize(("spacing", "shape"), CASES[:3])
def test_values_are_close_to_deepminds(spacing: tuple, shape: tuple[int, ...]) -> None:
    a, b = shapes(shape, 5, 0.7)
    a[[0, -1]], b[[0, -1]] = False, False  # DeepMind's elements lie between voxels, so the edge must be clear
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = surface_distance.compute_surface_distances(a, b, spacing)
        hd95 = surface_distance.compute_robust_hausdorff(theirs, 95)
        dice = surface_distance.compute_surface_dice_at_tolerance(theirs, 1.5)
        assd = np.mean(surface_distance.compute_average_surface_distance(theirs))
    voxel = max(spacing)
    assert load_metric("hd95")(a, b, spacing=spacing) == pytest.approx(hd95, abs=voxel)
    assert load_metric("assd")(a, b, spacing=spacing) == pytest.approx(assd, abs=0.5 * voxel)
    assert load_metric("surface_dice")(a, b, spacing=spacing, tolerance=1.5) == pytest.approx(dice, abs=0.12)


def test_precision_and_recall_are_counts() -> None:
    a, b = shapes((6, 12, 12), 1)
    both = (a & b).sum()
    assert load_metric("precision")(a, b) == both / b.sum()
    assert load_metric("recall")(a, b) == both / a.sum()
