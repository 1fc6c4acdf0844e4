"""Every shipped system learns: after seconds on phantoms of its kind it beats what any constant answer would score.

The system's network, loss, optimiser, schedule and sampling are the recipe's; width, patch and steps are narrowed to
seconds on one core, and rates meant for days of training are raised, openly, below.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from segwright.api.planning import make_plan
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.nets import build
from segwright.phantoms import PHANTOMS
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.machine import Machine
from segwright.planning.recipe_book import load_recipe, recipe_names
from segwright.prediction.window import predict_slabs
from segwright.sample.case import SampleCase
from segwright.targets import build_target
from segwright.train.fold import FoldRun
from segwright.train.parts import FoldData

XRAY = {"patch": (1, 96, 48), "width": 8, "lr": 0.003, "steps": 30}
STACK = {
    "patch": (8, 32, 32),
    "width": 8,
    "levels": 3,
    "lr": 0.005,
    "steps": 35,
    "augment": "light",
    "section_faults": False,
}
COUNTED = {"augment": "off", "mirror": (), "lr": 0.005, "steps": 150}
#: Phantom, every how many voxels of it are kept `(z, y, x)`, and what is asked for beside the recipe.
RUNS: dict[str, tuple[str, tuple[int, int, int], Mapping[str, Any]]] = {
    "spine-scanography-unet": ("spine-xray", (1, 4, 4), XRAY),
    "spine-scanography-res": ("spine-xray", (1, 4, 4), XRAY),
    "spine-scanography-se": ("spine-xray", (1, 4, 4), XRAY),
    "spine-scanography-attention": ("spine-xray", (1, 4, 4), {**XRAY, "steps": 120}),
    "spine-vertebrae": ("vertebrae-xray", (1, 4, 4), {**XRAY, "batch": 4, **COUNTED, "lr": 0.01}),
    "hand-bones": ("hand-xray", (1, 3, 3), {"patch": (1, 96, 64), "lr": 0.002, "steps": 60}),
    "vnet-prostate": (
        "prostate-mri",
        (2, 2, 2),
        {"patch": (8, 32, 32), "width": 4, "levels": 4, "lr": 0.05, "steps": 150},
    ),
    "lung-lobes": ("lobes-ct", (2, 2, 2), {"patch": (24, 32, 40), "steps": 30}),
    "mitochondria-rat": ("mitochondria-em", (1, 2, 2), STACK),
    "mitochondria-human": ("mitochondria-em", (1, 2, 2), STACK),
    "liver-tumour-3d": (
        "liver-mri",
        (1, 2, 2),
        {"patch": (16, 32, 32), "width": 8, "levels": 4, "lr": 0.01, "batch": 2, "steps": 40},
    ),
    "liver-tumour-2d": (
        "liver-mri",
        (1, 2, 2),
        {"patch": (1, 32, 32), "width": 8, "lr": 0.01, "batch": 8, "steps": 120},
    ),
    "liver-tumour-hybrid": (
        "liver-mri",
        (1, 2, 2),
        {"patch": (3, 32, 32), "width": 8, "lr": 0.005, "batch": 2, "steps": 250},
    ),
}
SYSTEMS = [name for name in recipe_names() if load_recipe(name).net is not None and name != "resenc"]
LEARNT, HELD_BACK = 6, 2


def test_every_system_has_a_short_run() -> None:
    assert set(SYSTEMS) <= set(RUNS)


def case_of(phantom: str, patient: int, thin: tuple[int, int, int]) -> SampleCase:
    """A phantom as the cache would hold it, coarser."""
    drawn = PHANTOMS.load(phantom)(7, patient)
    keep = (slice(None), *(slice(None, None, step) for step in thin))
    image, label = drawn.image[keep].astype(np.float32), drawn.label[keep]
    axes = (1, 2, 3)
    image = (image - image.mean(axes, keepdims=True)) / image.std(axes, keepdims=True)
    spots = {i: np.argwhere(drawn.space.mask(label, i))[::3] for i in range(len(drawn.space.structures))}
    return SampleCase(image, label, {i: found for i, found in spots.items() if len(found)}, f"{phantom} {patient}")


def facts_of(phantom: str, cases: list[SampleCase]) -> Fingerprint:
    """What inspecting such a folder would have found."""
    drawn = PHANTOMS.load(phantom)(7, 0)
    shape, flat = cases[0].shape, cases[0].shape[0] == 1
    names = drawn.space.names
    spacing = drawn.geometry.spacing
    channels = len(drawn.image)
    shares = {
        name: float(np.mean([drawn.space.mask(c.label, i).mean() for c in cases])) for i, name in enumerate(names)
    }
    return Fingerprint.model_validate({
        "cases": len(cases), "groups": len(cases), "channels": tuple(map(str, range(channels))),
        "modality": {"xray": "xray", "mri": "mr", "ct": "ct", "em": "em"}[phantom.rpartition("-")[2]],
        "labels": drawn.space, "dims": 2 if flat else 3, "orientation": None if flat else "SPL",
        "spacing": spacing, "fine_spacing": spacing, "spacing_spread": 0.0, "shape_median": shape,
        "shape_large": shape, "zero_share": 0.0, "content_share": 1.0,
        "foreground": tuple((100.0, 20.0, 60.0, 150.0) for _ in range(channels)),
        "presence": {name: len(cases) for name in names}, "share": shares,
    })  # fmt: skip


def predicted(plan: Plan, weights: Path, case: SampleCase) -> np.ndarray:
    """Canonical labels of a case, by windows, as a prediction makes them."""
    net = build(plan.net)
    net.load_state_dict(load_file(weights))
    net.eval()
    target = build_target(plan.target, plan.labels)
    with torch.inference_mode():
        slabs = predict_slabs(
            case.image, lambda x: target.activate(net(x)), window=plan.window, context=plan.net.context,
            divisor=plan.net.divisor,
        )  # fmt: skip
        scores = np.concatenate([part for _, _, part in slabs], axis=1)
    if hasattr(target, "settle"):
        scores, _ = target.settle(scores, (1.0, 1.0, 1.0))
    return target.decode(scores)


def mean_dice(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean over structures of Dice pooled over cases, from masks `(K, z, y, x)` of prediction and reference."""
    hit = sum((p & r).sum(axis=(1, 2, 3)) for p, r in pairs)
    total = sum(p.sum(axis=(1, 2, 3)) + r.sum(axis=(1, 2, 3)) for p, r in pairs)
    return float(np.mean(2 * hit / total))


def short_run(name: str, folder: Path) -> tuple[float, float]:
    """Mean Dice on cases held back, of the model and of the best constant answer."""
    phantom, thin, wishes = RUNS[name]
    cases = [case_of(phantom, patient, thin) for patient in range(LEARNT + HELD_BACK)]
    recipe = {**load_recipe(name).model_dump(), "precision": "float32", "folds": 0, "tta": False, "seed": 1, **wishes}
    machine = Machine(cores=1, memory=24 * 2**30)
    plan = make_plan(Recipe.from_data(recipe), facts_of(phantom, cases), machine=machine)
    FoldRun(plan, 0, folder, torch.device("cpu")).run(FoldData(cases[:LEARNT], []))
    space = plan.labels

    def masks(label: np.ndarray) -> np.ndarray:
        return np.stack([space.mask(label, index) for index in range(len(space.structures))])

    back = [(case, masks(case.label)) for case in cases[LEARNT:]]
    model = mean_dice([(masks(predicted(plan, folder / "weights.safetensors", c)), r) for c, r in back])
    everywhere = mean_dice([(np.ones_like(r), r) for _, r in back])  # no exclusive answer could do better
    return model, everywhere


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_learns_its_phantom(name: str, tmp_path: Path) -> None:
    model, constant = short_run(name, tmp_path)
    assert model > 2 * constant and model > constant + 0.2
