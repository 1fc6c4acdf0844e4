"""What a person asks for: every field optional, nothing derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from pydantic import Field, field_validator

from segwright.core.document import Document, Part


class PartChoice(Part):
    """A row of a table with parameters, e.g. `{name: dice_ce, params: {squared: true}}`.

    Written short as just the name, or as a mapping of `name` and parameters side by side.
    """

    name: str
    params: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def parse(cls, value: Any) -> Any:
        """Accept `"dice"` and `{"name": "dice", "smooth": 1}` beside the full form."""
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and "params" not in value:
            return {"name": value.get("name"), "params": {k: v for k, v in value.items() if k != "name"}}
        return value


class CropChoice(Part):
    """Enlarged views of named structures among the training patches: which, with how much room, how often."""

    structures: tuple[str, ...] = Field(min_length=1)
    margin: float = Field(default=0.2, ge=0, le=2)
    share: float = Field(default=0.3, gt=0, lt=1)


class Recipe(Document):
    """A person's wishes. `None` (the default nearly everywhere) leaves the choice to the planner.

    Attributes:
        name: Recipe name as listed by `segwright recipes`.
        about: One sentence on what it is for.
        net: Row of the nets table.
        loss: Row of the losses table.
        folds: Number of folds; 0 trains one member on all cases without validation.
        minutes: Time budget for the whole `fit`.
        steps: Optimiser steps of each network, instead of a time budget; makes a run exactly repeatable.
        members: Networks a fold, trained one after another within its time and averaged.
        modality: `ct`, `mr`, `xray`, `em` or `other`, where the dataset's is not right.
        voxel: Voxel size `(z, y, x)` in mm of files that state none, such as pictures of sections.
        spacing: Voxel size `(z, y, x)` in mm to work at; `"native"` keeps each scan's own, whatever its size.
        normalise: `case` standardises each scan, `local` also around each pixel of a plane.
        size: Largest working size `(y, x)` in pixels for single planes.
        slab: Slices the network sees: 1 (2-D), odd (2.5-D), 0 (3-D).
        patch: Training patch `(z, y, x)` in voxels.
        surround: How many times its edges a tile of a larger image sees, as much coarser; 1 switches that off.
        zooms: `(share, factor)`: until that share of the budget, images are learnt at one factor-th of their size.
        memory: GB that may be used; what is free by default.
        stages: Other patches before it, `(share, patch)`: each until that share of the budget is spent.
        growth: Sizes a published system was trained on, `(share, patch)` up to 1; shrunk alike on small machines.
        batch: Patches a step.
        accumulate: Steps whose gradients are summed before an update.
        width: Channels of the first level.
        levels: Resolution levels.
        norm: `instance`, `batch` or `group`.
        deep_supervision: Losses at lower resolutions as well.
        optimiser: Row of the optimisers.
        schedule: Row of the schedules.
        warmup: Share of the budget over which the rate rises at first.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay.
        ema: Average weights over the last steps.
        keep: `last` weights (their average at the end), or those that did `best` on patches of the validation cases.
        instances: Tell the objects of a structure apart: `true` for the only structure, or the structure's name.
        target: Row of the targets table: what the network learns, e.g. `boundary`, `affinities`, `distance`, `flow`.
        ordered: Structures are look-alikes in a row (vertebrae), named by their order along it, as their list goes.
        policy: Row of the sampling policies.
        foreground: Share of patches forced onto a structure.
        seek: Structures that these patches are forced onto, by any name they go by; all alike by default.
        crops: Enlarged views of structures, `{structures: [Pisiform, Lunate], margin: 0.2, share: 0.3}`.
        augment: `off`, `light`, `medium` or `strong`, or the very steps: rows of the augmentations with parameters.
        section_faults: Also imitate spoiled sections of an electron microscope: missing, shifted, smeared, noisy.
        mirror: Axes that may be mirrored (`z`, `y`, `x`); empty switches mirroring off.
        precision: `auto`, `float32` or `bfloat16`.
        compile: Use `torch.compile`, with a fall back that says so.
        checkpointing: Recompute activations to save memory.
        overlap: Share by which prediction windows overlap.
        blend: `gaussian` weights where they do, or `slices`: alike across slices, Gaussian within them.
        init_from: Model, run or weights file from which every weight that fits is taken over.
        freeze: Share of the budget during which an encoder that was taken over does not move.
        restore_sections: Mend spoiled sections of each stack before learning, and before predicting.
        tta: Mirror at test time.
        postprocess: Search post-processing on out-of-fold predictions.
        tolerance: Surface Dice tolerance in mm (voxels where spacing is unknown); 1, or two pixels of microscopes.
        seed: Of everything random.
        limits: Numbers that planning compares with, stated otherwise: `{thick_slices: 4}`.
    """

    name: str = "default"
    about: str = ""
    net: PartChoice | None = None
    loss: PartChoice | None = None
    folds: int = Field(default=5, ge=0, le=50)
    minutes: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    members: int | None = Field(default=None, ge=1, le=10)
    modality: Literal["ct", "mr", "xray", "em", "other"] | None = None
    voxel: tuple[float | None, float | None, float | None] | None = None
    spacing: tuple[float | None, float | None, float | None] | Literal["native"] | None = None
    normalise: Literal["case", "local"] | None = None
    size: tuple[int, int] | None = None
    slab: int | None = Field(default=None, ge=0)
    patch: tuple[int, int, int] | None = None
    stages: tuple[tuple[float, tuple[int, int, int]], ...] = ()
    surround: Literal[1, 2, 4] | None = None
    zooms: tuple[tuple[float, int], ...] = ()
    memory: float | None = Field(default=None, gt=0)
    growth: tuple[tuple[float, tuple[int, int, int]], ...] = ()
    batch: int | None = Field(default=None, ge=1)
    accumulate: int = Field(default=1, ge=1)
    width: int | None = Field(default=None, ge=2)
    levels: int | None = Field(default=None, ge=1, le=8)
    norm: Literal["instance", "batch", "group"] | None = None
    deep_supervision: bool | None = None
    optimiser: PartChoice | None = None
    schedule: PartChoice | None = None
    warmup: float | None = Field(default=None, ge=0, lt=1)
    lr: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)
    ema: bool = True
    keep: Literal["last", "best"] = "last"
    instances: bool | str | None = None
    target: str | None = None
    ordered: bool | None = None
    policy: str | None = None
    foreground: float | None = Field(default=None, ge=0, le=1)
    seek: tuple[str, ...] = ()
    crops: CropChoice | None = None
    augment: Literal["off", "light", "medium", "strong"] | tuple[PartChoice, ...] | None = None
    section_faults: bool | None = None
    mirror: tuple[Literal["z", "y", "x"], ...] | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    checkpointing: bool = False
    overlap: float | None = Field(default=None, ge=0, lt=1)
    blend: Literal["gaussian", "slices"] | None = None
    init_from: str | None = None
    freeze: float = Field(default=0.0, ge=0, lt=1)
    restore_sections: bool = False
    tta: bool | None = None
    postprocess: bool = True
    tolerance: float | None = Field(default=None, gt=0)
    seed: int = 0
    limits: dict[str, float] = Field(default_factory=dict)

    @field_validator("augment", mode="before")
    @classmethod
    def _level_or_steps(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(PartChoice.parse(step) for step in value)
        return "off" if value is False else value  # YAML reads `off` as false

    @field_validator("net", "loss", "optimiser", "schedule", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return PartChoice.parse(value)


class RecipeFields(TypedDict, total=False):
    """The same as keywords of a function; parts of tables may be written short, e.g. `net="unet"`.

    Each field is explained with `Recipe`.
    """

    name: str
    about: str
    net: PartChoice | Mapping[str, Any] | str | None
    loss: PartChoice | Mapping[str, Any] | str | None
    folds: int
    minutes: float | None
    steps: int | None
    members: int | None
    modality: Literal["ct", "mr", "xray", "em", "other"] | None
    voxel: tuple[float | None, float | None, float | None] | None
    spacing: tuple[float | None, float | None, float | None] | Literal["native"] | None
    normalise: Literal["case", "local"] | None
    size: tuple[int, int] | None
    slab: int | None
    patch: tuple[int, int, int] | None
    stages: tuple[tuple[float, tuple[int, int, int]], ...]
    surround: Literal[1, 2, 4] | None
    zooms: tuple[tuple[float, int], ...]
    memory: float | None
    growth: tuple[tuple[float, tuple[int, int, int]], ...]
    batch: int | None
    accumulate: int
    width: int | None
    levels: int | None
    norm: Literal["instance", "batch", "group"] | None
    deep_supervision: bool | None
    optimiser: PartChoice | Mapping[str, Any] | str | None
    schedule: PartChoice | Mapping[str, Any] | str | None
    warmup: float | None
    lr: float | None
    weight_decay: float | None
    ema: bool
    keep: Literal["last", "best"]
    instances: bool | str | None
    target: str | None
    ordered: bool | None
    policy: str | None
    foreground: float | None
    seek: Sequence[str]
    crops: CropChoice | Mapping[str, Any] | None
    augment: Literal["off", "light", "medium", "strong"] | Sequence[PartChoice | Mapping[str, Any] | str] | None
    section_faults: bool | None
    mirror: Sequence[Literal["z", "y", "x"]] | None
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool
    checkpointing: bool
    overlap: float | None
    blend: Literal["gaussian", "slices"] | None
    init_from: str | None
    freeze: float
    restore_sections: bool
    tta: bool | None
    postprocess: bool
    tolerance: float | None
    seed: int
    limits: dict[str, float]
