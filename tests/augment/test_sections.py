"""Spoiled sections on values that can be followed by eye, and by independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.measure import block_reduce

from segwright.augment.boxes import CutBlur, CutNoise
from segwright.augment.compose import Augmenter, build
from segwright.augment.levels import steps_for
from segwright.augment.protocol import Draw
from segwright.augment.sections import Misalignment, MissingSections, MotionBlur, ShiftedSection, line
from segwright.core.errors import RecipeError
from segwright.core.labels import IGNORE
from segwright.core.recipe import PartChoice

SHAPE = (2, 9, 40, 40)


def stack(*, batch: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two channels, and a label that is the rounded first one, so that both must move together."""
    rng = np.random.default_rng(seed)
    image = rng.integers(5, 90, (batch, *SHAPE)).astype(np.float32)
    return torch.from_numpy(image), torch.from_numpy(image[:, :1].astype(np.int32))


def drawn(part, *, batch: int = 3, seed: int = 3) -> Draw:
    return part.draw(np.random.default_rng(seed), batch, SHAPE)


def test_missing_sections_are_blank_or_dark_and_the_label_stays():
    image, label = stack(batch=8)
    part = MissingSections(count=(1, 3))
    draw = drawn(part, batch=8)
    out, out_label = part.apply(image, label, draw)
    assert torch.equal(out_label, label)
    where, dark = draw.values["where"], draw.values["dark"]
    assert set(where.sum(axis=1)) == {1, 2, 3} and not where[:, [0, -1]].any()
    assert dark[where].any() and not dark[where].all()
    for b, z in np.ndindex(where.shape):
        for c in range(2):
            if not where[b, z]:
                assert torch.equal(out[b, c, z], image[b, c, z])
                continue
            expected = image[b, c].min() if dark[b, z] else image[b, c].mean()
            torch.testing.assert_close(out[b, c, z], expected.expand(40, 40))


def test_a_shift_moves_one_section_and_wraps_nothing():
    image, label = stack(batch=1)
    where = np.zeros((1, 9), bool)
    where[0, 4] = True
    values = {"where": where, "shift": np.array([[3.0, -2.0]]), "angle": np.zeros(1)}
    out, out_label = ShiftedSection().apply(image, label, Draw(np.ones(1, bool), values))
    torch.testing.assert_close(out[0, :, 4, 3:, :-2], image[0, :, 4, :-3, 2:], atol=1e-3, rtol=0)
    assert torch.equal(out_label[0, :, 4, 3:, :-2], label[0, :, 4, :-3, 2:])
    free = torch.ones(40, 40, dtype=torch.bool)
    free[3:, :-2] = False
    assert (out[0, :, 4][:, free].abs() < 1e-2).all() and (out_label[0, :, 4][:, free] == IGNORE).all()
    others = [z for z in range(9) if z != 4]
    assert torch.equal(out[:, :, others], image[:, :, others])
    assert torch.equal(out_label[:, :, others], label[:, :, others])


def test_misalignment_moves_all_sections_from_the_cut_on_alike():
    image, label = stack()
    part = Misalignment(shift=(4, 6), p_turn=0)
    draw = drawn(part)
    out, out_label = part.apply(image, label, draw)
    for b in range(3):
        moved = draw.values["where"][b]
        cut = int(moved.argmax())
        assert 1 <= cut <= 8 and moved[cut:].all() and not moved[:cut].any()
        down, right = draw.values["shift"][b].astype(int)
        assert 4 <= down <= 6 and 4 <= right <= 6
        assert torch.equal(out[b, :, :cut], image[b, :, :cut])
        kept = image[b, :, cut:, :-down, :-right]
        torch.testing.assert_close(out[b, :, cut:, down:, right:], kept, atol=1e-2, rtol=0)
        assert torch.equal(out_label[b, :, cut:, down:, right:], label[b, :, cut:, :-down, :-right])


def test_a_turn_agrees_with_scipy_and_moves_corners_as_far_as_a_shift():
    blurred = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(1, 1, 3, 60, 60)), (0, 0, 0, 3, 3)) * 20
    image = torch.from_numpy(blurred.astype(np.float32))
    label = (image > 0).to(torch.int16)
    part = ShiftedSection(shift=(-6, 6), p_turn=1)
    for seed in range(4):
        draw = part.draw(np.random.default_rng(seed), 1, (1, 3, 60, 60))
        out, out_label = part.apply(image, label, draw)
        angle = float(draw.values["angle"][0])
        assert 2 * np.hypot(30, 30) * np.sin(np.deg2rad(abs(angle)) / 2) <= 6 + 1e-6
        z = int(draw.values["where"][0].argmax())
        one, marks = image[0, 0, z].numpy(), label[0, 0, z].numpy()
        told = ndimage.rotate(one, -angle, reshape=False, order=1, mode="constant", cval=0.0)
        other = ndimage.rotate(one, angle, reshape=False, order=1, mode="constant", cval=0.0)
        best = min(np.abs(out[0, 0, z].numpy() - t)[8:-8, 8:-8].max() for t in (told, other))
        assert best < 1e-3
        inside = np.s_[8:-8, 8:-8]
        assert ((out_label[0, 0, z].numpy() > 0) == (out[0, 0, z].numpy() > 0))[inside].mean() > 0.95
        assert (out_label[0, 0, z] == IGNORE).any() == (abs(angle) > 1) and marks.min() >= 0


def test_labels_of_every_type_can_be_ignored():
    image, _ = stack(batch=1)
    for dtype in (torch.int8, torch.int16, torch.int32):
        label = torch.full((1, 1, *SHAPE[1:]), torch.iinfo(torch.int16).max if dtype != torch.int8 else 1, dtype=dtype)
        _, out = Misalignment(shift=(5, 5), p_turn=0).apply(image, label, drawn(Misalignment(shift=(5, 5)), batch=1))
        assert out.dtype == dtype and set(out.unique().tolist()) <= {IGNORE, int(label.max())}


def test_lines_hold_what_was_asked_for_in_any_direction():
    flat, upright = line(np.array([3, 3]), np.array([0.0, 90.0]), radius=2)
    assert np.allclose(flat[2], [0, 1 / 3, 1 / 3, 1 / 3, 0]) and np.allclose(flat[[0, 1, 3, 4]], 0)
    assert np.allclose(upright, flat.T)
    rng = np.random.default_rng(0)
    length = rng.integers(1, 12, 50)
    many = line(length, rng.uniform(0, 180, 50), radius=5)
    assert np.allclose(many.sum(axis=(1, 2)), 1) and (many >= 0).all()
    grid = np.indices((11, 11)) - 5
    middle = (many[:, None] * grid).sum(axis=(2, 3))
    spread = (many * (grid**2).sum(axis=0)).sum(axis=(1, 2))
    assert np.allclose(middle, 0, atol=1e-9)
    assert (spread >= (length**2 - 1) / 12 - 1e-9).all() and (spread <= (length**2 - 1) / 12 + 0.5).all()


def test_motion_blur_agrees_with_scipy():
    image, label = stack()
    part = MotionBlur(count=(1, 2), length=(7, 7))
    draw = drawn(part)
    out, _ = part.apply(image, label, draw)
    where = draw.values["where"]
    assert set(where.sum(axis=1)) <= {1, 2}
    for b, z in np.ndindex(where.shape):
        for c in range(2):
            one = image[b, c, z].numpy()
            expected = ndimage.correlate(one, draw.values["kernel"][b], mode="nearest") if where[b, z] else one
            np.testing.assert_allclose(out[b, c, z], expected, atol=1e-3)


def test_cut_blur_holds_means_of_blocks_and_leaves_the_rest():
    image, label = stack(batch=1)
    box = np.array([[[2, 6], [4, 20], [8, 24]]])
    draw = Draw(np.ones(1, bool), {"box": box, "factor": np.array([4.0])})
    out, out_label = CutBlur().apply(image, label, draw)
    inside = (slice(None), slice(2, 6), slice(4, 20), slice(8, 24))
    coarse = block_reduce(image[0][inside].numpy(), (1, 1, 4, 4), np.mean)
    expected = ndimage.zoom(coarse, (1, 1, 4, 4), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(out[0][inside], expected, atol=1e-3)
    outside = torch.ones(image[0].shape, dtype=torch.bool)
    outside[inside] = False
    assert torch.equal(out[0][outside], image[0][outside]) and torch.equal(out_label, label)


def test_cut_noise_is_even_noise_inside_the_box():
    image, label = stack()
    part = CutNoise(size=(0.5, 0.5), amplitude=(1.5, 1.5))
    draw = drawn(part)
    out, _ = part.apply(image, label, draw)
    for b in range(3):
        z, y, x = (slice(start, stop) for start, stop in draw.values["box"][b])
        change = (out - image)[b]
        inside = change[:, z, y, x]
        assert inside.abs().max() <= 1.5 + 1e-4 and float(inside.std()) == pytest.approx(1.5 / 3**0.5, rel=0.06)
        assert float(inside.mean()) == pytest.approx(0, abs=0.1)
        change[:, z, y, x] = 0
        assert not change.any()


def test_too_few_sections_are_left_alone():
    for part, least in ((MissingSections(), 3), (ShiftedSection(), 3), (Misalignment(), 2), (MotionBlur(), 1)):
        for depth in (1, 2, 3):
            on = part.draw(np.random.default_rng(0), 4, (1, depth, 20, 20)).on
            assert on.all() == on.any() == (depth >= least)


def test_the_set_joins_a_chain_with_margins_and_mirrors():
    steps = steps_for("medium", dims=3, anisotropic=True, modality="em", sections=12)
    sure = tuple(step.model_copy(update={"params": {**step.params, "p": 1}}) for step in steps)
    augmenter = Augmenter(sure, mirror=(0, 1, 2), margin=(1, 4, 4))
    image, label = torch.randn(2, 1, 12, 40, 44), torch.zeros(2, 1, 12, 40, 44, dtype=torch.int32)
    label[:, :, :, 10:30, 12:30] = 3
    out, out_label = augmenter(image, label, np.random.default_rng(1))
    again, _ = augmenter(image, label, np.random.default_rng(1))
    assert out.shape == (2, 1, 10, 32, 36) and out_label.shape == out.shape
    assert torch.equal(out, again) and out.isfinite().all()
    assert set(out_label.unique().tolist()) <= {IGNORE, 0, 3}


def test_names_of_the_set_follow_what_is_seen():
    def names(level: str, sections: int) -> list[str]:
        return [step.name for step in steps_for(level, dims=3, modality="em", sections=sections)]

    stacked = ["misalignment", "shifted_section", "missing_sections"]
    anywhere = ["motion_blur", "cut_blur", "cut_noise"]
    assert names("light", 8) == ["spatial", *stacked[:2], "brightness", "contrast", "gamma", stacked[2], *anywhere]
    assert names("light", 1) == ["spatial", "brightness", "contrast", "gamma", *anywhere]
    assert not {*stacked, *anywhere} & set(names("strong", 0)) and names("off", 8) == []


def test_ranges_upside_down_are_refused():
    with pytest.raises(RecipeError, match="shift"):
        build(PartChoice(name="misalignment", params={"shift": [4, -4]}))
    with pytest.raises(RecipeError, match="p_turn"):
        build(PartChoice(name="shifted_section", params={"p_turn": 2}))
