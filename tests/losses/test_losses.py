"""Losses: the contract every row keeps, and the numbers of independent implementations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segwright.core.errors import RecipeError, UnknownNameError
from segwright.core.recipe import PartChoice
from segwright.losses import LOSSES, bind_loss

SHAPES = [(2, 3, 1, 9, 8), (2, 3, 5, 6, 7), (2, 3, 9, 8)]
BOTH = [("dice", "softmax"), ("dice", "sigmoid"), ("focal", "softmax"), ("focal", "sigmoid"), ("tversky", "sigmoid")]
VARIANTS = [(name, {}) for name in LOSSES] + [(name, {"activation": a}) for name, a in BOTH]
VARIANTS += [("dice", {"batch": True, "squared": True}), ("dice_ce", {"batch": True, "background": True})]


def draw(shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    onehot = F.one_hot(labels, shape[1]).movedim(-1, 1).float()
    return torch.randn(shape, generator=generator), onehot


def bind(name: str, **params: object):
    return bind_loss(PartChoice(name=name, params=params))


@pytest.mark.parametrize(("name", "params"), VARIANTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_contract_value_and_gradient(name, params, shape):
    loss = bind(name, **params)
    logits, target = draw(shape)
    logits.requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert value.ndim == 0 and value.dtype == torch.float32 and value.isfinite()
    assert logits.grad.isfinite().all() and logits.grad.abs().sum() > 0
    assert loss(20 * (2 * target - 1), target) < value < loss(20 * (1 - 2 * target), target)


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_contract_certain_answers_keep_finite_gradients(name, params):
    _, target = draw(SHAPES[1])
    for scale in (-200.0, 200.0, 0.0):
        logits = (scale * (2 * target - 1)).requires_grad_()
        value = bind(name, **params)(logits, target)
        value.backward()
        assert value.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_contract_ignored_voxels_count_nothing(name, params):
    loss = bind(name, **params)
    logits, target = draw(SHAPES[1])
    weight = (torch.rand(2, 1, 5, 6, 7, generator=torch.Generator().manual_seed(1)) > 0.4).float()
    target = target * weight
    other = torch.where(weight > 0, logits, torch.full((), math.inf)).requires_grad_()
    value = loss(other, target, weight=weight)
    value.backward()
    assert value == loss(logits, target, weight=weight)
    assert (other.grad * (1 - weight) == 0).all() and other.grad.isfinite().all()


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_contract_ignoring_equals_cutting_away(name, params):
    """The weighted loss of a whole patch is the plain loss of its counted half."""
    loss = bind(name, **params)
    logits, target = draw((2, 3, 4, 6, 7))
    weight = torch.ones(2, 1, 4, 6, 7)
    weight[:, :, 2:] = 0
    whole = loss(logits, target * weight, weight=weight)
    torch.testing.assert_close(whole, loss(logits[:, :, :2], target[:, :, :2]))


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_contract_all_ignored_gives_no_gradient(name, params):
    logits, target = draw(SHAPES[1])
    logits.requires_grad_()
    value = bind(name, **params)(logits, 0 * target, weight=torch.zeros(2, 1, 5, 6, 7))
    value.backward()
    assert value.isfinite() and (logits.grad == 0).all()


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_contract_layout_and_precision_do_not_matter(name, params):
    loss = bind(name, **params)
    logits, target = draw(SHAPES[1])
    plain = loss(logits.bfloat16().float(), target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(logits.bfloat16().contiguous(memory_format=torch.channels_last_3d), target)
    torch.testing.assert_close(half, plain)


@pytest.mark.parametrize("shape", [(1, 2, 1, 512, 512), (1, 2, 128, 128, 128)])
@pytest.mark.parametrize("name", ["dice", "dice_ce", "dice_bce", "tversky"])
def test_millions_of_ones_are_counted_under_autocast(name, shape):
    """bfloat16 stops counting at 256; a patch filled by one structure must not."""
    target = torch.zeros(shape)
    target[:, 1] = 1
    logits = (2 * target - 1).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = bind(name)(logits, target)
    full = bind(name)(logits.double().float(), target)
    assert abs(half.item() - full.item()) < 1e-4
    p = 1 / (1 + math.exp(-2))
    if name == "dice":
        assert full.item() == pytest.approx(1 - 2 * p / (1 + p), abs=1e-5)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("shape", SHAPES[:2])
def test_dice_agrees_with_monai(squared, batch, activation, shape):
    losses = pytest.importorskip("monai.losses")
    logits, target = draw(shape)
    oracle = losses.DiceLoss(
        softmax=activation == "softmax", sigmoid=activation == "sigmoid", squared_pred=squared, batch=batch,
        include_background=activation == "sigmoid", smooth_nr=1e-5, smooth_dr=1e-5,
    )  # fmt: skip
    ours = bind("dice", activation=activation, squared=squared, batch=batch)(logits, target)
    torch.testing.assert_close(ours, oracle(logits, target))


@pytest.mark.parametrize("batch", [False, True])
def test_dice_ce_agrees_with_monai(batch):
    losses = pytest.importorskip("monai.losses")
    logits, target = draw(SHAPES[1])
    oracle = losses.DiceCELoss(softmax=True, include_background=False, batch=batch)
    # MONAI's cross-entropy leaves out the background channel too, so the parts are compared apart.
    expected = oracle.dice(logits, target) + F.cross_entropy(logits, target.argmax(1))
    torch.testing.assert_close(bind("dice_ce", batch=batch)(logits, target), expected)


def test_dice_bce_is_the_sum_of_its_parts():
    logits, target = draw(SHAPES[1])
    parts = bind("dice", activation="sigmoid")(logits, target) + F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(bind("dice_bce")(logits, target), parts)
    scaled = bind("dice_bce", dice_weight=0.0, ce_weight=2.0)(logits, target)
    torch.testing.assert_close(scaled, 2 * F.binary_cross_entropy_with_logits(logits, target))


@pytest.mark.parametrize("batch", [False, True])
def test_tversky_agrees_with_monai(batch):
    losses = pytest.importorskip("monai.losses")
    logits, target = draw(SHAPES[1])
    oracle = losses.TverskyLoss(
        softmax=True, include_background=False, alpha=0.2, beta=0.8, batch=batch, smooth_nr=1e-5, smooth_dr=1e-5
    )
    torch.testing.assert_close(
        bind("tversky", alpha=0.2, beta=0.8, batch=batch)(logits, target), oracle(logits, target)
    )


def test_tversky_with_equal_costs_is_dice():
    logits, target = draw(SHAPES[1])
    same = bind("tversky", alpha=0.5, beta=0.5, smooth=1e-8)(logits, target)
    torch.testing.assert_close(same, bind("dice", smooth=1e-8)(logits, target))


def test_focal_tversky_with_power_one_is_tversky():
    logits, target = draw(SHAPES[1])
    torch.testing.assert_close(bind("focal_tversky", gamma=1.0)(logits, target), bind("tversky")(logits, target))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_focal_agrees_with_monai(activation):
    losses = pytest.importorskip("monai.losses")
    logits, target = draw(SHAPES[1])
    oracle = losses.FocalLoss(gamma=1.5, use_softmax=activation == "softmax", reduction="mean")(logits, target)
    # MONAI divides the softmax form by the number of channels as well; ours is a mean over voxels, as cross-entropy.
    expected = oracle * (3 if activation == "softmax" else 1)
    torch.testing.assert_close(bind("focal", gamma=1.5, activation=activation)(logits, target), expected)


def test_focal_without_focus_is_cross_entropy():
    logits, target = draw(SHAPES[1])
    torch.testing.assert_close(bind("focal", gamma=0.0)(logits, target), bind("cross_entropy")(logits, target))


def test_cross_entropies_agree_with_torch():
    logits, target = draw(SHAPES[1])
    labels = target.argmax(1)
    torch.testing.assert_close(bind("cross_entropy")(logits, target), F.cross_entropy(logits, labels))
    smooth = F.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(bind("cross_entropy", smoothing=0.1)(logits, target), smooth)
    expected = F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(bind("binary_cross_entropy")(logits, target), expected)


def test_cross_entropy_with_ignored_voxels_agrees_with_torch():
    logits, target = draw(SHAPES[1])
    labels = target.argmax(1)
    labels[:, 1] = -1
    weight = (labels >= 0).float()[:, None]
    ours = bind("cross_entropy")(logits, target * weight, weight=weight)
    torch.testing.assert_close(ours, F.cross_entropy(logits, labels, ignore_index=-1))


def test_dice_by_hand():
    """Two voxels, scores 0.8 and 0.4, reference 1 and 0: linear 1.6 / 2.2, squared 1.6 / 1.8."""
    logits = torch.logit(torch.tensor([0.8, 0.4])).reshape(1, 1, 1, 1, 2)
    target = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 1, 2)
    linear = bind("dice", activation="sigmoid", smooth=0.0)(logits, target)
    squared = bind("dice", activation="sigmoid", smooth=0.0, squared=True)(logits, target)
    assert linear.item() == pytest.approx(1 - 1.6 / 2.2) and squared.item() == pytest.approx(1 - 1.6 / 1.8)


@pytest.mark.parametrize("name", ["dice", "tversky", "focal_tversky"])
@pytest.mark.parametrize("smooth", [0.0, 1e-5, 1.0])
def test_absent_structures_are_no_nan(name, smooth):
    target = torch.zeros(2, 3, 4, 4, 4)
    target[:, 0] = 1
    target[0, :2, 0] = torch.tensor([0.0, 1.0]).reshape(2, 1, 1)
    for scale in (0.0, 30.0, 300.0):
        logits = (scale * target).requires_grad_()
        value = bind(name, smooth=smooth)(logits, target)
        value.backward()
        assert value.isfinite() and logits.grad.isfinite().all()


def test_absent_and_not_predicted_scores_full_dice():
    target = torch.zeros(1, 2, 4, 4, 4)
    target[:, 0] = 1
    assert bind("dice")(100 * target, target).item() == pytest.approx(0, abs=1e-6)


def test_names_and_parameters_are_checked():
    with pytest.raises(UnknownNameError, match="dice_ce"):
        bind("dice_cee")
    with pytest.raises(RecipeError, match="Did you mean 'squared'") as caught:
        bind("dice", square=True)
    assert "background" in str(caught.value)
    with pytest.raises(RecipeError):
        bind("dice", weight=1)
    with pytest.raises(RecipeError, match="softmax or sigmoid"):
        bind("dice", activation="tanh")(*draw(SHAPES[0]))
