"""Weights of a network, bytes and operations of a step, by formula, so that plans need no trial and no torch.

What is counted was read off the autograd graph: each convolution with norm keeps the convolution's output (for the
norm's gradient) and the activation, which overwrites the norm's output. Joined skip connections are kept as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segwright.core.plan import NetSpec, Triple

#: Upsampling where `params` says nothing; the same as in `segwright.nets`, which a test checks.
DEFAULT_UP = "linear"

#: Float32 tensors of the logits' size that a loss and its gradient keep: logits, target, scores and products.
LOSS_COPIES = 6

#: What an allocator holds beside the tensors that are alive, as a share of those that come and go in a step: torn
#: blocks between them. Counted on steps on a CPU, where tensors alive were foreseen within 5 % and the process held 1.2
#: to 1.5 times as much; with every tensor in a mapping of its own (`MALLOC_MMAP_THRESHOLD_`) the difference went.
SLACK = 0.35


@dataclass(frozen=True, slots=True)
class Stage:
    """Bytes that one level keeps on the way down or up.

    Attributes:
        entry: What is made for it alone and kept beside its output: joined skips, pooled input.
        inner: What its convolutions keep, without the output.
        output: Its output.
    """

    entry: int
    inner: int
    output: int


def parameter_count(spec: NetSpec) -> int:
    """Learned numbers of `unet` and `resenc`, exactly; other networks are taken for a plain U-Net of these widths.

    Example:
        >>> one = dict(widths=(4,), strides=((1, 1, 1),), kernels=((3, 3, 3),), encoder_blocks=(1,), decoder_blocks=())
        >>> parameter_count(NetSpec(in_channels=1, out_channels=2, **one))  # 4 x 27, 4 x 2 in the norm, (4 + 1) x 2
        126
    """
    if spec.scout is not None:
        return sum(parameter_count(one) for one, _ in _scouted(spec, (1, 1, 1)))
    inputs = spec.in_channels * max(1, spec.slab)
    total = 0
    if spec.name == "resenc":
        total += _conv_norm(spec, 0, inputs)
        inputs = spec.widths[0]
    for level, width in enumerate(spec.widths):
        for _ in range(spec.encoder_blocks[level]):
            total += _conv_norm(spec, level, inputs)
            if spec.name == "resenc":
                total += _conv_norm(spec, level, width) + (0 if inputs == width else inputs * width + 2 * width)
            inputs = width
    for level, count in enumerate(spec.decoder_blocks):
        width = spec.widths[level]
        total += _up_parameters(spec, level)
        total += _conv_norm(spec, level, _joined(spec) * width) + (count - 1) * _conv_norm(spec, level, width)
    return total + sum((spec.widths[level] + 1) * spec.out_channels for level in range(_heads(spec)))


def training_bytes(
    spec: NetSpec, patch: Triple, batch: int, *, precision_bytes: int = 4, optimiser_slots: int = 2, ema: bool = True
) -> int:
    """Bytes held for tensors at the peak of a training step; the interpreter and its libraries come on top.

    Args:
        spec: The network.
        patch: Predicted voxels `(z, y, x)` of a sample; context slices of a slab are added.
        batch: Samples a step.
        precision_bytes: 4 for float32, 2 for bfloat16 activations (weights stay float32).
        optimiser_slots: Numbers the optimiser keeps a weight: 2 for AdamW, 1 for SGD with momentum.
        ema: Whether a running average of the weights is kept.
    """
    return sum(training_parts(
        spec, patch, batch, precision_bytes=precision_bytes, optimiser_slots=optimiser_slots, ema=ema
    ).values())  # fmt: skip


def training_parts(
    spec: NetSpec, patch: Triple, batch: int, *, precision_bytes: int = 4, optimiser_slots: int = 2, ema: bool = True
) -> dict[str, int]:
    """What `training_bytes` is made of: `weights`, `activations`, `gradients` (of activations), `loss`, `slack`."""
    if spec.scout is not None:
        parts = [
            training_parts(one, size, batch, precision_bytes=precision_bytes, optimiser_slots=optimiser_slots, ema=ema)
            for one, size in _scouted(spec, patch)
        ]
        whole = {name: sum(part[name] for part in parts) for name in parts[0]}
        return {**whole, "activations": whole["activations"] + 4 * batch * spec.in_channels * _seen(spec, patch)}
    weights = 4 * parameter_count(spec) * (2 + optimiser_slots + ema)
    if precision_bytes < 4:
        weights += 2 * parameter_count(spec)  # autocast keeps its copies during a step
    widest = max(stage.output for stage in stages(spec, patch, batch, precision_bytes=precision_bytes))
    passing = {
        "activations": activation_bytes(spec, patch, batch, precision_bytes=precision_bytes),
        "gradients": 4 * widest,
        "loss": 4 * LOSS_COPIES * spec.out_channels * batch * math.prod(patch),
    }
    return {"weights": weights, **passing, "slack": int(SLACK * sum(passing.values()))}


def activation_bytes(spec: NetSpec, patch: Triple, batch: int, *, precision_bytes: int = 4) -> int:
    """Bytes that the forward pass keeps for the backward pass, the image included."""
    image = 4 * batch * spec.in_channels * (patch[0] + 2 * spec.context[0]) * patch[1] * patch[2]
    folded = precision_bytes * math.prod(_level_shapes(spec, patch)[0]) * batch * spec.in_channels * max(1, spec.slab)
    kept = list(stages(spec, patch, batch, precision_bytes=precision_bytes))
    total = image + folded + sum(stage.entry + stage.output for stage in kept)
    inner = [stage.inner for stage in kept]
    return total + (max(inner) if spec.checkpointing else sum(inner))


def prediction_bytes(spec: NetSpec, window: Triple, batch: int, *, precision_bytes: int = 4, members: int = 1) -> int:
    """Bytes of tensors at the peak of predicting `batch` windows `(z, y, x)`, logits and scores in float32 included.

    Args:
        spec: The network.
        window: Predicted voxels of a window; context slices of a slab are added.
        batch: Windows at once.
        precision_bytes: 4 for float32, 2 for bfloat16.
        members: Networks held at once.
    """
    if spec.scout is not None:
        both = [
            prediction_bytes(one, size, batch, precision_bytes=precision_bytes, members=members)
            for one, size in _scouted(spec, window)
        ]
        return max(both) + 4 * batch * spec.in_channels * _seen(spec, window)
    weights = parameter_count(spec) * (4 * members + (2 if precision_bytes < 4 else 0))
    image = 4 * batch * spec.in_channels * (window[0] + 2 * spec.context[0]) * window[1] * window[2]
    sizes = _feature_bytes(spec, window, batch, precision_bytes)
    down = [sum(sizes[: level + 1]) + 2 * size for level, size in enumerate(sizes)]
    up = [sum(sizes[:level]) + 5 * size for level, size in enumerate(sizes[:-1])]
    logits = 8 * spec.out_channels * batch * math.prod(window)
    return weights + image + max([*down, *up]) + logits


def scan_bytes(spec: NetSpec, window: Triple, scan: Sequence[float]) -> int:
    """Bytes held beside the network while a prepared scan `(z, y, x)` is predicted: image, labels, and the open band.

    The band is what windows may still change: float32 scores of as many slices as a window is tall.
    """
    voxels = math.prod(scan)
    band = 4 * spec.out_channels * min(window[0], scan[0]) * scan[1] * scan[2]
    return int(voxels * (4 * spec.in_channels + 4) + band)


def stages(spec: NetSpec, patch: Triple, batch: int, *, precision_bytes: int = 4) -> Iterator[Stage]:
    """What each encoder stage, then each decoder stage, keeps."""
    sizes = _feature_bytes(spec, patch, batch, precision_bytes)
    residual = spec.name == "resenc"
    if residual:
        yield Stage(0, sizes[0], sizes[0])
    for level, size in enumerate(sizes):
        blocks = spec.encoder_blocks[level]
        above = sizes[max(level - 1, 0)] // math.prod(_stride(spec, level))
        entry = _pooled(spec, above, precision_bytes) if level else 0
        inner = (4 * blocks - 1) * size if residual else (2 * blocks - 1) * size
        if residual and level and spec.widths[level] != spec.widths[level - 1]:
            inner += above + size
        yield Stage(entry, inner, size)
    for level in reversed(range(len(spec.decoder_blocks))):
        size = sizes[level]
        yield Stage(_joined(spec) * size, (2 * spec.decoder_blocks[level] - 1) * size, size)


def _scouted(spec: NetSpec, patch: Triple) -> Iterator[tuple[NetSpec, Triple]]:
    """The two networks of a spec with a surround, each with the voxels it computes on."""
    scout = spec.scout
    assert scout is not None
    z, y, x = (-(-(n + 2 * s) // r) for n, s, r in zip(patch, spec.surround, spec.shrink, strict=True))
    yield scout, (z, y, x)
    yield spec.tile.model_copy(update={"in_channels": spec.in_channels + scout.out_channels}), patch


def _seen(spec: NetSpec, patch: Triple) -> int:
    """Voxels of the image that a patch with its surround reads."""
    return math.prod(n + 2 * side for n, side in zip(patch, spec.context, strict=True))


def _pooled(spec: NetSpec, above: int, precision_bytes: int) -> int:
    """Pooled features and the int64 indices of their maxima."""
    return above + 8 * above // precision_bytes if spec.params.get("down") == "pool" else 0


def _feature_bytes(spec: NetSpec, patch: Triple, batch: int, precision_bytes: int) -> list[int]:
    """Bytes of one feature tensor a level."""
    shapes = _level_shapes(spec, patch)
    return [precision_bytes * batch * w * math.prod(shape) for w, shape in zip(spec.widths, shapes, strict=True)]


def _level_shapes(spec: NetSpec, patch: Triple) -> list[tuple[int, ...]]:
    """Voxels `(z, y, x)` a level, after the padding that the network adds; slices of slabs count as depth."""
    divisor = spec.divisor
    least = (divisor[0], 2 * divisor[1], 2 * divisor[2])
    shape = tuple(max(m, -(-n // d) * d) for n, d, m in zip(patch, divisor, least, strict=True))
    shapes = []
    for level in range(len(spec.widths)):
        stride = _stride(spec, level)
        shape = tuple(n // s for n, s in zip(shape, stride, strict=True))
        shapes.append(shape)
    return shapes


def _stride(spec: NetSpec, level: int) -> Triple:
    z, y, x = spec.strides[level]
    return (z, y, x) if spec.slab == 0 else (1, y, x)


def _conv_norm(spec: NetSpec, level: int, inputs: int) -> int:
    """Weights of a convolution without bias, and of the norm that follows."""
    width, kernel = spec.widths[level], spec.kernels[level]
    return inputs * width * _volume(kernel[3 - spec.spatial_dims :]) + 2 * width


def _up_parameters(spec: NetSpec, level: int) -> int:
    fine, coarse = spec.widths[level], spec.widths[level + 1]
    learned = spec.params.get("up", DEFAULT_UP) == "transpose"
    return fine * coarse * (_volume(_stride(spec, level + 1)) if learned else 1) + fine


def _joined(spec: NetSpec) -> int:
    """Widths that a decoder stage starts from: its own and the skip connection's, unless they are summed."""
    return 1 if spec.params.get("join") == "add" else 2


def _heads(spec: NetSpec) -> int:
    levels = len(spec.widths)
    return max(1, min(2, levels - 1), levels - 2) if spec.deep_supervision else 1


def _volume(edges: Sequence[int]) -> int:
    return math.prod(edges)


def forward_flops(spec: NetSpec, patch: Triple) -> float:
    """Operations (two a multiply-add) of one forward pass over one patch `(z, y, x)`.

    Counts the convolutions of a U-Net: `encoder_blocks` a level down, one upsampling and `decoder_blocks` a level up.
    Residual blocks count as two convolutions.
    """
    if spec.scout is not None:
        field = [(n + 2 * side) / step for n, side, step in zip(patch, spec.surround, spec.shrink, strict=True)]
        share = math.prod(field) / math.prod(patch)
        return share * forward_flops(spec.scout, patch) + forward_flops(spec.tile, patch)
    per_block = 2 if spec.name == "resenc" else 1
    voxels = float(math.prod(patch))
    total, level_voxels = 0.0, []
    before = spec.in_channels * max(spec.slab, 1)
    for width, stride, kernel, blocks in zip(spec.widths, spec.strides, spec.kernels, spec.encoder_blocks, strict=True):
        voxels /= math.prod(stride)
        level_voxels.append(voxels)
        taps = math.prod(kernel)
        total += 2 * voxels * taps * (before * width + (blocks * per_block - 1) * width * width)
        before = width
    for level, blocks in enumerate(spec.decoder_blocks):
        width, below = spec.widths[level], spec.widths[level + 1]
        taps = math.prod(spec.kernels[level])
        convs = 2 * width * width + (blocks * per_block - 1) * width * width
        total += 2 * level_voxels[level] * (taps * convs + below * width)
    return total


def step_flops(spec: NetSpec, patch: Triple, batch: int) -> float:
    """Operations of one training step: a forward and a backward of twice its cost."""
    return 3 * batch * forward_flops(spec, patch)
