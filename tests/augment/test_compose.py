"""The chain: replay, margins, levels, and parameters that cannot be misspelt unnoticed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segwright.augment import AUGMENTS
from segwright.augment.compose import Augmenter, build
from segwright.augment.levels import LEVELS, steps_for
from segwright.augment.spatial import Mirror
from segwright.core.errors import GeometryError, RecipeError, UnknownNameError
from segwright.core.recipe import PartChoice
from segwright.core.seed import derive


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return image, (image[:, :1] * 2).clamp(-1, 3).to(torch.int16)


def choice(name: str, **params) -> PartChoice:
    return PartChoice(name=name, params=params)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("modality", ["ct", "mr", "xray", "em", "other"])
@pytest.mark.parametrize(("dims", "anisotropic"), [(2, False), (3, False), (3, True)])
def test_every_level_runs_and_replays(level, modality, dims, anisotropic):
    steps = steps_for(level, dims=dims, anisotropic=anisotropic, modality=modality)
    shape = (4, 2, 1, 24, 20) if dims == 2 else (4, 2, 8, 14, 12)
    image, label = pair(*shape)
    augmenter = Augmenter(steps, (2,))
    spacing = torch.tensor([[3.0, 1.0, 1.0]] * 4)
    changed = False
    for seed in range(4):
        out, out_label = augmenter(image, label, derive(seed, "augment"), spacing)
        again, again_label = augmenter(image, label, derive(seed, "augment"), spacing)
        assert torch.equal(out, again) and torch.equal(out_label, again_label)
        assert out.isfinite().all() and out.dtype == torch.float32
        assert set(out_label.unique().tolist()) <= set(label.unique().tolist())
        changed = changed or not torch.equal(out, image)
    assert changed


def test_levels_grow_and_off_is_the_identity():
    names = {level: {s.name for s in steps_for(level, dims=3)} for level in LEVELS}
    assert names["off"] < names["light"] < names["medium"] < names["strong"]
    image, label = pair(2, 1, 4, 6, 6)
    out, out_label = Augmenter()(image, label, derive(0))
    assert torch.equal(out, image) and torch.equal(out_label, label)


def spatial_of(*args, **kwargs) -> dict:
    return next(s.params for s in steps_for(*args, **kwargs) if s.name == "spatial")


def test_motion_fits_the_anatomy():
    assert spatial_of("medium", dims=2, modality="xray")["rotation"] == (-15, 15)
    assert spatial_of("light", dims=3, modality="mr")["rotation"] == (-30, 30)
    assert spatial_of("medium", dims=3, anisotropic=True)["in_plane"] is True
    assert spatial_of("medium", dims=3)["in_plane"] is False
    assert "elastic" not in spatial_of("medium", dims=3)
    assert "cutmix" not in {s.name for s in steps_for("strong", dims=2, modality="xray")}
    with pytest.raises(UnknownNameError, match="medium"):
        steps_for("mediun", dims=3)


def test_steps_survive_being_written_to_a_plan():
    for step in steps_for("strong", dims=3):
        assert build(PartChoice.model_validate_json(step.model_dump_json())) == build(step)


def test_in_plane_only_reaches_every_step_that_knows_it():
    steps = tuple(choice(name) for name in AUGMENTS)
    parts = Augmenter(steps, (0,), in_plane_only=True).parts
    assert sum(getattr(part, "in_plane", False) for part in parts) == 3
    assert isinstance(parts[-1], Mirror) and parts[-1].axes == (0,)


@pytest.mark.parametrize("steps", [(), ("brightness",), ("spatial", "blank_boxes"), ("noise", "spatial")])
def test_the_margin_is_cut_off_and_brings_content_into_corners(steps):
    image = torch.ones(3, 1, 5, 24, 24)
    label = torch.ones(3, 1, 5, 24, 24, dtype=torch.int16)
    params = {"spatial": {"p_rotation": 1, "p_scale": 0, "in_plane": True}}
    augmenter = Augmenter(tuple(choice(s, **params.get(s, {})) for s in steps), (2,), margin=(1, 6, 6))
    out, out_label = augmenter(image, label, derive(1))
    assert out.shape == out_label.shape == (3, 1, 3, 12, 12)
    assert (out_label == 1).all()


def test_a_draw_can_be_applied_again():
    image, label = pair(4, 1, 4, 10, 10)
    augmenter = Augmenter(steps_for("strong", dims=3), (1, 2))
    draws = augmenter.draw(derive(3), 4, (1, 4, 10, 10))
    first, second = augmenter.apply(image, label, draws), augmenter.apply(image, label, draws)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (choice("gamma", powr=(1, 2)), "power"),
        (choice("noise", deviation=(2, 1)), "lower first"),
        (choice("noise", deviation=0.1), "two numbers"),
        (choice("blur", p=1.5), "probability"),
        (choice("spatial", p_rotation="often"), "probability"),
    ],
)
def test_wrong_parameters_are_refused_with_a_hint(wrong, hint):
    with pytest.raises(RecipeError, match=hint):
        build(wrong)


def test_unknown_rows_and_ill_fitting_batches_are_named():
    with pytest.raises(UnknownNameError, match="gamma"):
        build(choice("gama"))
    image, label = pair(2, 1, 3, 6, 6)
    for wrong in ((image.double(), label), (image, label[:1]), (image, label.float()), (image[..., 1:], label)):
        with pytest.raises(GeometryError, match="fit together"):
            Augmenter()(*wrong, derive(0))


def test_lists_from_yaml_are_ranges_too():
    assert build(choice("gamma", power=[0.8, 1.2])).power == (0.8, 1.2)
    assert build(choice("spatial", tilt=None)).tilt is None
    assert build(choice("mirror", axes=[1, 2])).axes == (1, 2)
    assert isinstance(np.float64(build(choice("blur", p=1)).p), float)
