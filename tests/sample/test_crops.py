"""Enlarged views hold their structures, keep image and label together, and leave everything else as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segwright.core.errors import RecipeError, UnknownNameError
from segwright.core.labels import LabelSpace
from segwright.core.plan import CropPlan
from segwright.core.recipe import Recipe
from segwright.planning.recipe_book import load_recipe
from segwright.planning.rules.patches import crops
from segwright.sample.case import SampleCase
from segwright.sample.patches import Patches
from segwright.sample.policies import crop_box


def flat_case(name: str = "a") -> SampleCase:
    """A plane whose grey value is its label, with a small structure 1 and a large structure 0."""
    label = np.zeros((1, 1, 96, 80), np.int16)
    label[0, 0, 5:60, 5:70] = 1
    label[0, 0, 70:80, 50:58] = 2
    spots = {index: np.argwhere(label[0] == index + 1) for index in range(2)}
    return SampleCase(label.astype(np.float32), label, spots, name, (None, 1.0, 1.0))


PLAN = CropPlan(structures=(1,), margin=0.25, share=0.5)


def test_a_crop_holds_its_structure_and_has_the_aspect_of_the_patch() -> None:
    case = flat_case()
    for number in range(50):
        box = crop_box(case, PLAN, (1, 48, 40), np.random.default_rng(number))
        assert box.start[1] <= 70 and box.stop[1] >= 80 and box.start[2] <= 50 and box.stop[2] >= 58
        assert box.shape[0] == 1 and box.shape[1] / box.shape[2] == pytest.approx(48 / 40, rel=0.1)
        assert box.shape[1] < 48 and box.clip(case.shape) == box
    assert crop_box(case, CropPlan(structures=(7,)), (1, 48, 40), np.random.default_rng(0)) is None


def test_a_large_structure_is_never_shrunk() -> None:
    box = crop_box(flat_case(), CropPlan(structures=(0,)), (1, 48, 40), np.random.default_rng(0))
    assert box.shape == (1, 48, 40)


def test_crops_are_enlarged_images_and_labels_alike_in_the_declared_share() -> None:
    usual = {"patch": (1, 48, 40), "policy": "uniform", "batch": 4, "seed": 3}
    with_crops, without = Patches([flat_case()], crops=PLAN, **usual), Patches([flat_case()], **usual)
    large = 0
    for step in range(40):
        batch, plain = with_crops.at(step), without.at(step)
        assert batch.image.shape == plain.image.shape == (4, 1, 1, 48, 40)
        assert set(np.unique(batch.label)) <= {0, 1, 2}
        for slot in range(4):
            close = float(batch.spacing[slot, 1]) < 1.0
            large += close
            if close:
                seen = (batch.label[slot] == 2).float().mean()
                assert seen > 0.15 and torch.isnan(batch.spacing[slot, 0])
                edge = (batch.image[slot] - batch.label[slot]).abs() > 0.5
                assert edge.float().mean() < 0.2  # only where linear and nearest part company
            else:
                assert torch.equal(batch.image[slot], plain.image[slot])
    assert 0.35 < large / 160 < 0.65
    assert torch.equal(with_crops.at(7).image, with_crops.at(7).image)


def test_volumes_with_context_slices_are_cropped_too() -> None:
    label = np.zeros((1, 12, 48, 48), np.int16)
    label[0, 4:7, 20:30, 20:28] = 1
    case = SampleCase(label.astype(np.float32), label, {0: np.argwhere(label[0] == 1)}, "v", (4.0, 1.0, 1.0))
    plan = CropPlan(structures=(0,), share=1.0)
    batch = Patches([case], patch=(1, 32, 32), context=(2, 0, 0), crops=plan, batch=1).at(0)
    assert batch.image.shape == (1, 1, 5, 32, 32) and float(batch.spacing[0, 0]) == 4.0
    cube = Patches([case], patch=(8, 32, 32), crops=plan, batch=1).at(0)
    assert cube.image.shape == (1, 1, 8, 32, 32) and (cube.label == 1).float().mean() > 0.02


def test_names_come_from_the_recipe_and_unknown_ones_are_refused() -> None:
    space = LabelSpace.model_validate({"structures": [{"name": "Lunate"}, {"name": "Pisiform"}], "kind": "overlapping"})
    recipe = load_recipe("hand-bones", {"crops": {"structures": ["Pisiform"], "share": 0.4}})
    assert crops(recipe, space) == CropPlan(structures=(1,), share=0.4)
    assert crops(Recipe(), space) is None
    with pytest.raises(UnknownNameError, match="Lunate"):
        crops(load_recipe("default", {"crops": {"structures": ["Lunat"]}}), space)
    with pytest.raises(RecipeError, match="crops"):
        load_recipe("default", {"crops": {"structures": ["Lunate"], "share": 1.5}})
