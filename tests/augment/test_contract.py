"""What every row of the augments table must keep, whatever it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from segwright.augment import AUGMENTS
from segwright.augment.compose import build
from segwright.augment.protocol import Step
from segwright.core.labels import IGNORE
from segwright.core.recipe import PartChoice


@dataclass(frozen=True)
class Row:
    """Settings under which a row surely does something, and under which it surely does nothing."""

    strong: dict[str, Any] = field(default_factory=dict)
    null: dict[str, Any] = field(default_factory=dict)


ROWS = {
    "spatial": Row(
        {"p_rotation": 1, "p_scale": 1, "p_shift": 1, "shift": (-0.1, 0.1), "p_elastic": 1, "elastic": (0.1, 0.3)},
        {"p_rotation": 1, "p_scale": 1, "rotation": (0, 0), "scale": (1, 1), "p_elastic": 1, "elastic": (0, 0)},
    ),
    "mirror": Row({"axes": (0, 1, 2)}, {"axes": ()}),
    "brightness": Row({"factor": (0.5, 0.8), "shift": (1, 2)}, {"factor": (1, 1)}),
    "contrast": Row({"factor": (0.5, 0.8)}, {"factor": (1, 1)}),
    "gamma": Row({"power": (1.4, 1.6)}, {"power": (1, 1)}),
    "noise": Row({"deviation": (0.1, 0.2)}, {"deviation": (0, 0)}),
    "blur": Row({"sigma": (0.7, 1.2)}, {"sigma": (0, 0)}),
    "low_resolution": Row({"factor": (0.4, 0.6)}, {"factor": (1, 1)}),
    "blank_boxes": Row({"count": (1, 3)}, {"count": (0, 0)}),
    "cutmix": Row({"p": 1}, {"size": (0, 0), "p": 1}),
    "cut_blur": Row({"factor": (3, 5)}, {"factor": (1, 1)}),
    "cut_noise": Row({}, {"amplitude": (0, 0)}),
    "missing_sections": Row({}, {"count": (0, 0)}),
    "shifted_section": Row({"shift": (3, 5)}, {"shift": (0, 0)}),
    "misalignment": Row({"shift": (3, 5)}, {"shift": (0, 0)}),
    "motion_blur": Row({}, {"length": (1, 1)}),
}
#: Rows for which a section needs neighbours; a single plane they leave as it is.
OF_STACKS = {"missing_sections", "shifted_section", "misalignment"}
SHAPES = {"2-D": (6, 2, 1, 20, 24), "3-D": (6, 2, 10, 16, 12)}
every_row = pytest.mark.parametrize("name", list(AUGMENTS))
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
every_change = pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in AUGMENTS for shape in SHAPES.values() if name not in OF_STACKS or shape[2] > 1],
)


def step(name: str, **params: Any) -> Step:
    return build(PartChoice(name=name, params=params))


def strong(name: str, **params: Any) -> Step:
    return step(name, **{**ROWS[name].strong, **params})


def pair(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """A noisy image and a label of values -1, 0, 2, 5."""
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
    label = torch.from_numpy(rng.choice([IGNORE, 0, 2, 5], size=(shape[0], 1, *shape[2:])).astype(np.int16))
    return image, label


def drawn(part: Step, shape: tuple[int, ...], seed: int = 5):
    return part.draw(np.random.default_rng(seed), shape[0], shape[1:])


def test_every_row_has_settings_here():
    assert set(ROWS) == set(AUGMENTS)


@every_change
def test_it_changes_something_and_leaves_its_inputs_alone(name, shape):
    image, label = pair(shape)
    before = image.clone(), label.clone()
    part = strong(name)
    out, out_label = part.apply(image, label, drawn(part, shape))
    assert not torch.equal(out, image)
    assert torch.equal(image, before[0]) and torch.equal(label, before[1])
    assert out.shape == image.shape and out.dtype == torch.float32 and out.isfinite().all()
    assert out_label.shape == label.shape and out_label.dtype == label.dtype


@every_row
@every_shape
def test_probability_zero_is_the_identity_bit_for_bit(name, shape):
    image, label = pair(shape)
    part = strong(name, p=0)
    out, out_label = part.apply(image, label, drawn(part, shape))
    assert torch.equal(out, image) and torch.equal(out_label, label)


@every_row
@every_shape
def test_strength_zero_is_the_identity(name, shape):
    image, label = pair(shape)
    part = step(name, **ROWS[name].null)
    out, out_label = part.apply(image, label, drawn(part, shape))
    torch.testing.assert_close(out, image, atol=2e-5, rtol=0)
    assert torch.equal(out_label, label)


@every_change
def test_unselected_samples_stay_bit_for_bit(name, shape):
    image, label = pair(shape)
    part = strong(name, p=0.5)
    draw = drawn(part, shape, seed=1)
    assert 0 < draw.on.sum() < shape[0]
    out, out_label = part.apply(image, label, draw)
    assert torch.equal(out[~draw.on], image[~draw.on]) and torch.equal(out_label[~draw.on], label[~draw.on])


@every_change
def test_the_same_seed_gives_the_same_result_and_another_another(name, shape):
    image, label = pair(shape)
    part = strong(name)
    first = part.apply(image, label, drawn(part, shape))
    again = part.apply(image, label, drawn(part, shape))
    other = part.apply(image, label, drawn(part, shape, seed=6))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@every_row
def test_it_uses_no_global_random_state(name):
    image, label = pair(SHAPES["3-D"])
    part = strong(name)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  # the global state is what is watched
    part.apply(image, label, drawn(part, SHAPES["3-D"]))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@every_row
@every_shape
def test_labels_stay_in_their_set_and_ignore_survives(name, shape):
    image, label = pair(shape)
    part = strong(name)
    _, out = part.apply(image, label, drawn(part, shape))
    assert set(out.unique().tolist()) <= set(label.unique().tolist())
    assert (out == IGNORE).any()


@pytest.mark.parametrize("name", [name for name in AUGMENTS if name != "cutmix"])
@every_shape
def test_a_batch_equals_its_samples_one_by_one(name, shape):
    image, label = pair(shape)
    part = strong(name, p=0.7)
    draw = drawn(part, shape)
    together = part.apply(image, label, draw)
    for i in range(shape[0]):
        alone = part.apply(image[i : i + 1], label[i : i + 1], draw.take([i]))
        torch.testing.assert_close(alone[0][0], together[0][i], atol=1e-5, rtol=1e-5)
        assert torch.equal(alone[1][0], together[1][i])


@pytest.mark.parametrize("name", [name for name in AUGMENTS if name not in OF_STACKS])
def test_a_slice_is_a_thin_volume(name):
    """A volume whose slices are all alike, changed in plane, has slices that equal the slice changed alone."""
    image, label = pair(SHAPES["2-D"])
    in_plane = {"in_plane": True} if name in {"spatial", "blur", "low_resolution"} else {}
    if name == "mirror":
        in_plane = {"axes": (1, 2)}
    part = strong(name, **in_plane)
    draw = drawn(part, SHAPES["2-D"])
    thick = image.expand(-1, -1, 4, -1, -1).contiguous(), label.expand(-1, -1, 4, -1, -1).contiguous()
    out, out_label = part.apply(*thick, _through(draw, name, 4))
    flat, flat_label = part.apply(image, label, draw)
    if name in {"noise", "cut_noise"}:  # other slices get other noise, of the same size
        assert (out - thick[0]).std() == pytest.approx(float((flat - image).std()), rel=0.1)
        return
    torch.testing.assert_close(out, flat.expand_as(out), atol=1e-5, rtol=1e-5)
    assert torch.equal(out_label, flat_label.expand_as(out_label))


def _through(draw, name: str, slices: int):
    """The same boxes, and the same smear, through all slices."""
    values = dict(draw.values)
    if "where" in values:
        values["where"] = values["where"].repeat(slices, axis=1)
    if name in {"blank_boxes", "cutmix", "cut_blur", "cut_noise"}:
        key = "boxes" if name == "blank_boxes" else "box"
        boxes = values[key].copy()
        boxes[..., 0, 1] *= slices
        values[key] = boxes
    return type(draw)(draw.on, values)


@every_row
def test_constant_images_stay_finite(name):
    image = torch.full((2, 1, 4, 8, 8), 3.0)
    label = torch.zeros(2, 1, 4, 8, 8, dtype=torch.int8)
    part = strong(name)
    out, _ = part.apply(image, label, drawn(part, tuple(image.shape)))
    assert out.isfinite().all()
    if name in {"contrast", "gamma", "blur", "low_resolution", "blank_boxes", "mirror", "cutmix"}:
        torch.testing.assert_close(out, image)


@every_row
def test_overlapping_labels_move_alike(name):
    image, label = pair(SHAPES["3-D"])
    planes = torch.cat([label, label, label], dim=1).to(torch.int8)
    part = strong(name)
    draw = drawn(part, SHAPES["3-D"])
    _, one = part.apply(image, label.to(torch.int8), draw)
    _, three = part.apply(image, planes, draw)
    assert all(torch.equal(three[:, i : i + 1], one) for i in range(3))


def test_chance_is_met_within_binomial_bounds():
    part = strong("brightness", p=0.3)
    on = part.draw(np.random.default_rng(0), 4000, (1, 1, 2, 2)).on
    assert abs(on.mean() - 0.3) < 4 * np.sqrt(0.21 / 4000)


@pytest.mark.parametrize("name", [name for name in AUGMENTS if "noise" not in name])  # that device has no generator
@every_shape
def test_nothing_falls_back_to_the_host(name, shape):
    """On a device without memory, mixing in a host tensor or reading a value back fails."""
    image, label = (tensor.to("meta") for tensor in pair(shape))
    part = strong(name, p=0.5)
    out, out_label = part.apply(image, label, drawn(part, shape, seed=1))
    assert out.device == image.device and out_label.device == label.device
