"""What will be done: every number resolved, with its reason; later steps read it and recompute nothing."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field

from segwright.core.document import Document, Part
from segwright.core.labels import LabelSpace
from segwright.core.recipe import PartChoice

T = TypeVar("T")
Triple = tuple[int, int, int]
Edges = tuple[float, float]
#: Bounds that no sensible plan comes near: what lies beyond is damaged or foreign, and refused before it costs memory.
Edge = Annotated[float, Field(gt=0)]
Spacing = tuple[Edge | None, Edge | None, Edge | None]
Length = Annotated[int, Field(ge=1, le=1 << 16)]
Lengths = tuple[Length, Length, Length]
Margin = Annotated[int, Field(ge=0, le=1 << 12)]
Stride = Annotated[int, Field(ge=1, le=32)]
Kernel = Annotated[int, Field(ge=1, le=63)]
Width = Annotated[int, Field(ge=1, le=1 << 14)]
Blocks = Annotated[int, Field(ge=0, le=256)]
Count = Annotated[int, Field(ge=1, le=1 << 16)]
Levels = Annotated[tuple[T, ...], Field(max_length=32)]


class Exact(Part):
    """A piece of a plan; numbers in it are finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class Normalisation(Exact):
    """Intensity mapping of one channel: clip to `[low, high]`, then subtract `mean` and divide by `std`.

    Attributes:
        scheme: `case` computes mean and std on each case (percentile-clipped at `low_percentile`/`high_percentile`),
            `local` then does so again around each pixel of a plane, which evens out dark and bright regions,
            `fixed` uses the dataset's numbers below (CT), `none` keeps values.
        nonzero: Statistics over non-zero voxels only, for scans whose outside is set to 0.
    """

    scheme: Literal["case", "local", "fixed", "none"] = "case"
    nonzero: bool = False
    low_percentile: float = 0.5
    high_percentile: float = 99.5
    low: float | None = None
    high: float | None = None
    mean: float = 0.0
    std: float = 1.0


class PreparePlan(Exact):
    """How a scan becomes a network-ready array.

    Attributes:
        orientation: Axis codes in `(z, y, x)` order, e.g. `SPR`; `None` keeps the array's own axes (2-D images).
        crop: Cut away the empty (constant zero) border first.
        spacing: Physical scale the network works at, mm a voxel; `None` where none is known or each scan keeps its own.
        kept: Voxel edges `(low, high)` in mm that an axis keeps as they are, because training kept such too. Others go
            to `spacing`, or to the nearer end where that is `None`.
        voxel: mm a voxel of files that state none, as the recipe told.
        fit: Largest `(y, x)` size for images without spacing; larger ones shrink with their aspect kept.
        normalise: One entry a channel.

    Example:
        >>> plan = PreparePlan(spacing=(None, 1.0, 1.0), kept=((5.0, 8.0), None, None), normalise=())
        >>> plan.edge(0, 6.0), plan.edge(0, 2.0), plan.edge(1, 0.7), plan.edge(1, None)
        (6.0, 5.0, 1.0, None)
    """

    orientation: str | None = None
    crop: bool = False
    spacing: Spacing | None = None
    kept: tuple[Edges | None, Edges | None, Edges | None] | None = None
    voxel: Spacing | None = None
    fit: tuple[Length, Length] | None = None
    normalise: tuple[Normalisation, ...]

    def edge(self, axis: int, own: float | None) -> float | None:
        """mm that a voxel edge of `own` mm becomes along an axis (0 z, 1 y, 2 x); unknown edges stay unknown."""
        target = self.spacing[axis] if self.spacing else None
        kept = self.kept[axis] if self.kept else None
        if own is None or (kept and kept[0] <= own <= kept[1]):
            return own
        if target is not None:
            return target
        return min(max(own, kept[0]), kept[1]) if kept else own

    def size(self, shape: Triple, spacing: Spacing) -> Triple:
        """Voxels `(z, y, x)` that a turned grid gets at the physical scale; at least 1 an axis.

        `fit` only concerns planes whose size the spacing did not already decide, and never enlarges.

        Example:
            >>> PreparePlan(fit=(1024, 512), normalise=()).size((1, 3000, 1000), (None, None, None))
            (1, 1024, 341)
        """
        edges = [self.edge(axis, own) if axis or shape[0] > 1 else own for axis, own in enumerate(spacing)]
        z, y, x = (
            n if own is None or new is None else max(1, round(n * own / new))
            for n, own, new in zip(shape, spacing, edges, strict=True)
        )
        scaled = self.spacing is not None and None not in self.spacing[1:] and None not in spacing[1:]
        if self.fit is not None and not scaled:
            factor = min(1.0, self.fit[0] / y, self.fit[1] / x)
            y, x = max(1, round(y * factor)), max(1, round(x * factor))
        return z, y, x


class NetSpec(Exact):
    """Everything a network builder needs.

    Attributes:
        name: Row of the nets table.
        in_channels: Image channels (before slab folding).
        out_channels: Output channels as the target asks.
        slab: Slices seen: 1 is 2-D, odd is 2.5-D (the centre slice is predicted), 0 is 3-D.
        widths: Channels a level, finest first.
        strides: Downsampling from the level above, `(z, y, x)`; the first is `(1, 1, 1)`.
        kernels: Kernel size a level.
        encoder_blocks: Convolutions (or residual blocks) a level on the way down.
        decoder_blocks: The same on the way up.
        norm: Normalisation layer.
        deep_supervision: Also return logits of coarser levels while training.
        checkpointing: Recompute activations in the backward pass.
        params: Further parameters of this network.
        surround: Voxels `(z, y, x)` a side that are seen beyond what is predicted, at lower resolution.
        reduction: By how much lower, along the axes that have a surround.
    """

    name: str = "unet"
    in_channels: Count
    out_channels: Count
    slab: Blocks = 0
    widths: Levels[Width]
    strides: Levels[tuple[Stride, Stride, Stride]]
    kernels: Levels[tuple[Kernel, Kernel, Kernel]]
    encoder_blocks: Levels[Blocks]
    decoder_blocks: Levels[Blocks]
    norm: Literal["instance", "batch", "group"] = "instance"
    deep_supervision: bool = False
    checkpointing: bool = False
    params: dict[str, Any] = Field(default_factory=dict)
    surround: tuple[Margin, Margin, Margin] = (0, 0, 0)
    reduction: Stride = 1

    @property
    def spatial_dims(self) -> int:
        """2 for 2-D and 2.5-D, else 3."""
        return 3 if self.slab == 0 else 2

    @property
    def context(self) -> Triple:
        """Voxels that the network needs on each side of what it predicts."""
        z, y, x = self.surround
        return (self.slab // 2 + z, y, x)

    @property
    def shrink(self) -> Triple:
        """Reduction of the surround along each axis; 1 where there is none."""
        z, y, x = (self.reduction if side else 1 for side in self.surround)
        return (z, y, x)

    @property
    def tile(self) -> NetSpec:
        """The network that predicts, without its surround."""
        return self.model_copy(update={"surround": (0, 0, 0), "reduction": 1})

    @property
    def scout(self) -> NetSpec | None:
        """The small U-Net that looks at the surround and hands `out_channels` features to the tile's network."""
        if not any(self.surround):
            return None
        widths = tuple(max(8, width // 2) for width in self.widths)
        blocks = len(widths)
        return self.tile.model_copy(
            update={
                "name": "unet",
                "params": {},
                "deep_supervision": False,
                "out_channels": widths[0],
                "widths": widths,
                "encoder_blocks": (2,) * blocks,
                "decoder_blocks": (1,) * (blocks - 1),
            }
        )

    @property
    def divisor(self) -> Triple:
        """Input lengths must be multiples of this."""
        total = [1, 1, 1]
        for stride in self.strides:
            total = [a * b for a, b in zip(total, stride, strict=True)]
        z, y, x = (math.lcm(n, r) for n, r in zip(total, self.shrink, strict=True))
        return (z if self.slab == 0 else 1, y, x)


class CropPlan(Exact):
    """Enlarged views beside the patches: a `share` of them shows these structures, with `margin` of their size around.

    Attributes:
        structures: By number.
        margin: Room on each side, as a share of the structures' extent.
        share: Of all patches.
    """

    structures: tuple[int, ...]
    margin: float = 0.2
    share: float = 0.3


class SamplePlan(Exact):
    """Which patches: policy row, their size `(z, y, x)`, and the share forced onto a structure.

    Attributes:
        seek: Structures (by number) onto which patches are forced; all alike where empty.
        stages: Sizes before the last: `(share, size)` holds until that share of the budget, weights carry over.
        zooms: `(share, factor)`: until that share, patches are averaged down by that factor in plane first.
        crops: Enlarged views of some structures.
    """

    policy: PartChoice
    patch: Lengths
    foreground: float = 0.33
    seek: tuple[int, ...] = ()
    stages: tuple[tuple[float, Triple], ...] = ()
    zooms: tuple[tuple[float, int], ...] = ()
    crops: CropPlan | None = None


class AugmentPlan(Exact):
    """Random changes in order of application; `mirror` lists the axes (0 z, 1 y, 2 x) that may be flipped."""

    steps: tuple[PartChoice, ...] = ()
    mirror: tuple[int, ...] = ()


class InitPlan(Exact):
    """Where the first weights of each fold come from.

    Attributes:
        source: Model or file they were taken from.
        members: For each fold the file in the run's `init/` folder.
        sha256: Of each of these files.
    """

    source: str
    members: tuple[str, ...]
    sha256: tuple[str, ...]


class TrainPlan(Exact):
    """How a member is trained.

    Attributes:
        seconds: Clock budget of a member; the schedule ends at zero with it. Exactly one of `seconds`, `steps` is set.
        steps: Step budget of a member.
        devices: That train a network together, each with a batch of its own.
        members: Networks a fold, trained one after another from starts of their own; their scores are averaged.
        warmup: Share of the budget with a rising learning rate.
        ema: Weight average over this share of all steps; 0 switches it off.
        keep: Whether the average at the end is kept, or that of the best check on patches of validation cases.
        precision: `auto` is resolved by measurement at the start of a fit.
        channels_last: Memory layout; `None` is resolved by measurement.
        float32_layers: Convolutions kept in float32 because their bfloat16 result failed the self-test.
        threads: CPU threads; `None` leaves torch's default.
        start: Logit of each channel before the first step; empty for what the network's own start gives.
        init: Trained weights to start from.
        freeze: Share of the budget during which the encoder that was taken over does not move.
    """

    batch: Count
    accumulate: Count = 1
    seconds: float | None = None
    steps: int | None = None
    members: Count = 1
    devices: Count = 1
    loss: PartChoice
    optimiser: PartChoice
    schedule: PartChoice
    lr: float
    weight_decay: float
    warmup: float = 0.08
    clip: float = 1.0
    ema: float = 0.03
    keep: Literal["last", "best"] = "last"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    channels_last: bool | None = None
    float32_layers: tuple[str, ...] = ()
    threads: int | None = None
    compile: bool = False
    start: tuple[float, ...] = ()
    init: InitPlan | None = None
    freeze: float = 0.0


class RowPlan(Exact):
    """What labelled scans say of a row: how many show each structure, and where it usually lies.

    Attributes:
        axis: Of the prepared scan (0 z, 1 y, 2 x), along which the row runs.
        shown: Share of scans that show each structure, strictly between 0 and 1 (Laplace: one more that does, one more
            that does not); empty where not measured.
        places: Mean and standard deviation of each structure's centre, as shares of the axis; empty where they lie
            anywhere.
    """

    axis: int
    shown: tuple[float, ...] = ()
    places: tuple[tuple[float, float], ...] = ()


class WindowPlan(Exact):
    """How a prepared scan is predicted: window `(z, y, x)`, overlap share, mirrored axes, windows a batch.

    `blend` weighs the voxels of a window: most in its middle (`gaussian`), or all of its slices alike and most in the
    middle of each (`slices`, for slabs of a few slices that overlap).
    """

    size: Lengths
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    mirror: tuple[int, ...] = ()
    batch: Count = 1
    blend: Literal["gaussian", "slices"] = "gaussian"


class Plan(Document):
    """All decisions of a run.

    Attributes:
        upright: Pictures that a camera turned are read as they are shown, as those learnt from were.
        exchange: Pairs of structures (by number) that change places when the axis (0 z, 1 y, 2 x) is flipped, in
            training and in prediction.
        row: Usual places of structures that are named by their order, where scans are alike enough to have any.
        restore_sections: Spoiled sections of stacks are mended before they are learnt from or predicted.
        why: Reason for each number, keyed by dotted field name.
        warnings: What a person should know before training.
        asked: Recipe fields that were not left open.
        made: Every field as the planner made it, as JSON, so that what a person changed later can be told.
        memory: Forecast in bytes: `train`, `predict` and what they are made of.
    """

    filename: ClassVar[str] = "plan.json"
    recipe: str = "default"
    channels: tuple[str, ...]
    upright: bool = False
    modality: str = "other"
    labels: LabelSpace
    prepare: PreparePlan
    net: NetSpec
    target: str
    sample: SamplePlan
    augment: AugmentPlan
    train: TrainPlan
    window: WindowPlan
    exchange: dict[int, tuple[tuple[int, int], ...]] = Field(default_factory=dict)
    row: RowPlan | None = None
    folds: int
    postprocess: bool = True
    restore_sections: bool = False
    tolerance: float = 1.0
    seed: int = 0
    why: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    asked: dict[str, Any] = Field(default_factory=dict)
    made: dict[str, str] = Field(default_factory=dict)
    memory: dict[str, int] = Field(default_factory=dict)

    @property
    def flat(self) -> bool:
        """Whether scans are single planes; volumes always have an orientation to be turned to."""
        return self.prepare.orientation is None
