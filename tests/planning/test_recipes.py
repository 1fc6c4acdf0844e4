"""Every shipped recipe plans on every kind of data or says what to change, and trains on a phantom of its kind."""

from __future__ import annotations

import inspect
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segwright.api.planning import make_plan, published_net, refuse_unknown_parts
from segwright.augment.compose import Augmenter
from segwright.augment.spatial import Spatial
from segwright.core.errors import PlanError, RecipeError, UnknownNameError
from segwright.core.events import Step
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.losses import LOSSES, bind_loss, loss_info
from segwright.nets import build, net_info
from segwright.phantoms import PHANTOMS
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.machine import Machine
from segwright.planning.recipe_book import load_recipe, recipe_names
from segwright.sample import POLICIES
from segwright.sample.case import SampleCase
from segwright.targets import TARGETS
from segwright.train import SCHEDULES
from segwright.train.fold import FoldRun
from segwright.train.parts import FoldData

LAPTOP = Machine(cores=2, memory=24 * 2**30, bfloat16=True)
GPU = Machine(cores=16, memory=64 * 2**30, gpu_memory=80 * 2**30)
SHAPES: dict[str, dict[str, Any]] = {
    "small-mri": {"spacing": (1.0, 1.0, 1.0), "shape_large": (42.0, 55.0, 39.0)},
    "ct": {"modality": "ct", "spacing": (3.0, 0.8, 0.8), "spacing_spread": 0.5, "shape_large": (200.0, 512.0, 512.0)},
    "xray": {"dims": 2, "modality": "xray", "orientation": None, "spacing": (None, None, None),
             "shape_large": (1.0, 2000.0, 800.0)},
}  # fmt: skip
RECIPES = recipe_names()
OF_SYSTEMS = [name for name in RECIPES if load_recipe(name).net is not None and name != "resenc"]


def facts(kind: str, *, exclusive: bool = True, **changes: Any) -> Fingerprint:
    """A dataset of 40 cases with two structures."""
    names = {"structures": [{"name": "front"}, {"name": "back"}], "kind": "exclusive" if exclusive else "overlapping"}
    usual: dict[str, Any] = {
        "cases": 40, "groups": 40, "channels": ("MRI",), "modality": "mr", "labels": LabelSpace.model_validate(names),
        "dims": 3, "orientation": "SAR", "spacing_spread": 0.0, "zero_share": 0.0, "content_share": 1.0,
        "foreground": ((100.0, 20.0, 60.0, 150.0),), "presence": {"front": 40, "back": 40},
        "share": {"front": 0.03, "back": 0.03},
    }  # fmt: skip
    found = {**usual, **SHAPES[kind], **changes}
    found = {"fine_spacing": found["spacing"], "shape_median": found["shape_large"], **found}
    return Fingerprint.model_validate(found)


def skip_without_library(recipe: Recipe) -> None:
    if recipe.net is not None and recipe.net.name == "smp" and find_spec("segmentation_models_pytorch") is None:
        pytest.skip("segmentation-models-pytorch is not installed")


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_plans_on_any_data_or_says_what_to_change(name: str, kind: str) -> None:
    recipe = load_recipe(name)
    if kind == "xray" and recipe.slab == 0:
        with pytest.raises(PlanError, match="Set slab=1"):
            make_plan(recipe, facts(kind), machine=LAPTOP)
        return
    plan = make_plan(recipe, facts(kind), machine=LAPTOP)
    assert all(n % d == 0 for n, d in zip(plan.sample.patch, plan.net.divisor, strict=True))
    assert plan.memory["train"] < LAPTOP.memory and all(plan.why.values())
    assert len(plan.net.widths) == len(plan.net.strides) == len(plan.net.kernels) == len(plan.net.encoder_blocks)
    assert Plan.from_json(plan.to_json()).content_hash() == plan.content_hash()
    assert bind_loss(plan.train.loss)
    SCHEDULES.load(plan.train.schedule.name)(**plan.train.schedule.params)
    assert plan.sample.policy.name in POLICIES


@pytest.mark.parametrize("name", OF_SYSTEMS)
def test_recipes_of_systems_plan_on_a_gpu_and_for_overlapping_structures(name: str) -> None:
    recipe = load_recipe(name)
    plan = make_plan(recipe, facts("xray" if recipe.slab != 0 else "ct", exclusive=False), machine=GPU)
    assert plan.target == "regions"
    loss = plan.train.loss
    assert loss.name == "dice_bce" or loss.params["activation"] == "sigmoid"


@pytest.mark.parametrize("name", OF_SYSTEMS)
def test_recipes_of_systems_keep_the_levels_of_their_source(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.net is not None
    source = net_info(recipe.net.name).spec
    kind = "xray" if recipe.slab != 0 else "ct"
    net = make_plan(recipe, facts(kind), machine=GPU).net
    assert (net.strides, net.kernels) == (source.strides, source.kernels)
    assert (net.encoder_blocks, net.decoder_blocks) == (source.encoder_blocks, source.decoder_blocks)
    scale = (recipe.width or source.widths[0]) / source.widths[0]
    assert net.widths == tuple(round(width * scale) for width in source.widths)
    assert net.norm == source.norm


def test_a_published_network_serves_the_other_dimension() -> None:
    deep = make_plan(Recipe.from_data({"net": "unet-classic", "width": 8}), facts("small-mri"), machine=LAPTOP).net
    assert deep.slab == 0 and deep.strides[1] == (2, 2, 2) and deep.kernels[0] == (3, 3, 3)
    assert deep.widths == (8, 16, 32, 64, 128)
    flat = make_plan(Recipe.from_data({"net": "vnet", "levels": 3}), facts("xray"), machine=LAPTOP).net
    assert flat.slab == 1 and flat.strides == ((1, 1, 1), (1, 2, 2), (1, 2, 2)) and flat.kernels[0] == (1, 5, 5)
    assert flat.widths == (16, 32, 64) and flat.decoder_blocks == (1, 1)


def test_stages_fit_the_network_and_count_for_memory() -> None:
    wishes = {"patch": [24, 24, 24], "width": 8, "levels": 3, "stages": [[0.25, [16, 18, 17]], [0.6, [40, 40, 40]]]}
    plan = make_plan(Recipe.from_data(wishes), facts("small-mri"), machine=LAPTOP)
    assert plan.sample.stages == ((0.25, (16, 20, 20)), (0.6, (40, 40, 40)))
    without = make_plan(Recipe.from_data({**wishes, "stages": []}), facts("small-mri"), machine=LAPTOP)
    assert plan.memory["train"] > without.memory["train"]
    for shares in ([0.5, 0.5], [0.0], [1.0], [0.6, 0.3]):
        stages = [[share, [16, 16, 16]] for share in shares]
        with pytest.raises(PlanError, match="stages="):
            make_plan(Recipe.from_data({"stages": stages}), facts("small-mri"), machine=LAPTOP)


def test_what_cannot_be_is_refused_with_a_hint() -> None:
    def plan(kind: str, exclusive: bool = True, **wishes: Any) -> Plan:
        return make_plan(Recipe.from_data(wishes), facts(kind, exclusive=exclusive), machine=LAPTOP)

    with pytest.raises(PlanError, match="levels=5 or fewer"):
        plan("small-mri", net="vnet", levels=6)
    with pytest.raises(PlanError, match="single plane"):
        plan("xray", slab=0)
    with pytest.raises(PlanError, match="loss=dice_bce"):
        plan("small-mri", exclusive=False, loss="dice_ce")
    with pytest.raises(PlanError, match="loss=dice_ce"):
        plan("small-mri", loss={"name": "switch", "before": "dice", "after": "binary_cross_entropy"})
    with pytest.raises(PlanError, match="sigmoid"):
        plan("small-mri", loss={"name": "tversky", "activation": "sigmoid"})
    with pytest.raises(PlanError, match="ordered=true instead"):
        plan("small-mri", target="chain")
    with pytest.raises(PlanError, match="instances=true"):
        plan("small-mri", target="flow")
    TARGETS.rows["bare"] = "another.package:Target"
    try:
        with pytest.raises(PlanError, match="TargetInfo"):
            plan("small-mri", target="bare")
    finally:
        del TARGETS.rows["bare"]
    with pytest.raises(UnknownNameError, match="vnet"):
        published_net(Recipe.from_data({"net": "v-nett"}))


def test_losses_say_rightly_whether_their_activation_can_be_chosen() -> None:
    takes = {name for name in LOSSES if "activation" in inspect.signature(LOSSES.load(name)).parameters}
    assert takes == {name for name in LOSSES if loss_info(name).activation == "any"}


def spatial(name: str, kind: str, *, width: int = 8) -> Spatial:
    """The only augmentation of a recipe, as it trains."""
    plan = make_plan(load_recipe(name, {"width": width}), facts(kind), machine=LAPTOP)
    augmenter = Augmenter(plan.augment.steps, in_plane_only=plan.net.slab != 0)
    (step,) = augmenter.parts
    assert isinstance(step, Spatial)
    return step


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("spine-scanography")])
def test_films_of_the_spine_are_turned_shifted_and_scaled_as_in_their_source(name: str) -> None:
    """Rotation within 30 degrees is stated; shift and scale are ShiftScaleRotate's defaults, all in one, one in two."""
    step = spatial(name, "xray")
    assert (step.rotation, step.shift, step.scale) == ((-30, 30), (-0.0625, 0.0625), (0.9, 1.1))
    assert (step.p, step.p_rotation, step.p_shift, step.p_scale, step.p_elastic) == (0.5, 1, 1, 1, 0)
    assert make_plan(load_recipe(name), facts("xray"), machine=LAPTOP).augment.mirror == ()


def test_liver_recipes_turn_in_plane_as_their_source() -> None:
    """Slabs of three slices: 15 degrees, zoom 30 %, shift 16 of 256 rows. Cubes of 64: 30 degrees, 20 %, 8 voxels."""
    slab, cube = spatial("liver-tumour-hybrid", "small-mri"), spatial("liver-tumour-3d", "ct")
    assert (slab.rotation, slab.scale, slab.shift) == ((-15, 15), (0.7, 1.3), (-16 / 256, 16 / 256))
    assert (cube.rotation, cube.scale, cube.shift) == ((-30, 30), (0.8, 1.2), (-8 / 64, 8 / 64))
    for step, shape in ((slab, (1, 3, 64, 64)), (cube, (1, 64, 64, 64))):
        turned = step.draw(np.random.default_rng(0), 50, shape).values["matrix"]
        assert (turned[:, 0, 1:] == 0).all() and (turned[:, 1:, 0] == 0).all()
        assert (turned[:, 1, 2] != 0).any()


@pytest.mark.parametrize(("patch", "flat"), [([4, 96, 96], True), ([48, 96, 96], False)])
def test_thin_patches_are_never_tilted(patch: list[int], flat: bool) -> None:
    wishes = Recipe.from_data({"patch": patch, "slab": 0, "levels": 2, "augment": "light"})
    plan = make_plan(wishes, facts("small-mri"), machine=LAPTOP)
    assert plan.augment.steps[0].params["in_plane"] is flat


def test_forced_patches_seek_the_structure_that_the_recipe_names() -> None:
    def planned(*names: str) -> Plan:
        labels = LabelSpace.model_validate({"structures": [{"name": name} for name in names]})
        found = facts("ct", labels=labels, presence=dict.fromkeys(names, 40), share=dict.fromkeys(names, 0.01))
        return make_plan(load_recipe("liver-tumour-3d", {"width": 8}), found, machine=LAPTOP)

    plan = planned("liver", "Tumour")
    assert plan.sample.seek == (1,) and plan.sample.foreground == 0.5 and "Tumour" in plan.why["sample.seek"]
    assert planned("label").sample.seek == ()
    assert "seek=[growth]" in planned("liver", "growth").why["sample.seek"]


def test_mitochondria_add_the_losses_of_mask_and_boundary() -> None:
    for name in ("mitochondria-rat", "mitochondria-human"):
        loss = load_recipe(name).loss
        assert loss is not None and loss.params["channels"] == "sum"


def test_listed_steps_are_checked_before_any_scan_is_read() -> None:
    asked = Recipe.from_data({"augment": [{"name": "spatial", "rotation": [-5, 5]}, "gamma"]})
    refuse_unknown_parts(asked)
    plan = make_plan(asked, facts("small-mri"), machine=LAPTOP)
    assert [step.name for step in plan.augment.steps] == ["spatial", "gamma"]
    with pytest.raises(RecipeError, match="rotation"):
        refuse_unknown_parts(Recipe.from_data({"augment": [{"name": "spatial", "rotatoin": [-5, 5]}]}))
    with pytest.raises(UnknownNameError, match="gamma"):
        refuse_unknown_parts(Recipe.from_data({"augment": ["gama"]}))


@pytest.mark.parametrize("name", OF_SYSTEMS)
def test_a_recipe_trains_on_a_phantom(name: str, tmp_path: Path) -> None:
    """Two steps with narrow levels and a small patch, and a loss that is a number."""
    recipe = load_recipe(name)
    flat = recipe.slab != 0
    skip_without_library(recipe)
    phantom = PHANTOMS.load("spine-xray" if flat else "tumour-mri")(0, 0)
    patch = (1, 64, 32) if flat else (3 if recipe.patch and recipe.patch[0] == 3 else 16, 32, 32)
    quick = {"width": 4, "steps": 2, "batch": 2, "patch": patch, "precision": "float32", "folds": 0, "tta": False}
    found = facts("xray" if flat else "small-mri", labels=phantom.space, presence={}, share={})
    plan = make_plan(Recipe.from_data({**recipe.model_dump(), **quick}), found, machine=LAPTOP)
    assert math.prod(plan.sample.patch) <= 64 * 64 * 16
    image = (phantom.image - phantom.image.mean()) / phantom.image.std()
    spots = {i: np.argwhere(phantom.space.mask(phantom.label, i)) for i in range(len(phantom.space.structures))}
    case = SampleCase(image.astype(np.float32), phantom.label, {i: s for i, s in spots.items() if len(s)}, "phantom")
    heard: list[dict[str, Any]] = []
    end = FoldRun(plan, 0, tmp_path, torch.device("cpu"), listen=heard.append).run(FoldData([case], []))
    assert end.step == 2
    assert all(math.isfinite(event.loss) for event in heard if isinstance(event, Step))
    assert not any(getattr(event, "skipped", None) for event in heard)


@pytest.mark.parametrize("name", OF_SYSTEMS)
def test_a_recipes_network_can_be_built_while_nothing_keeps_gradients(name: str) -> None:
    """Step times of prediction are measured so; building must not lean on gradients being kept."""
    recipe = load_recipe(name)
    skip_without_library(recipe)
    net = make_plan(
        recipe.model_copy(update={"width": 4}), facts("ct" if recipe.slab == 0 else "xray"), machine=GPU
    ).net
    with torch.inference_mode():
        assert sum(p.numel() for p in build(net).parameters()) > 0
