"""Floating-point operations of a network by formula, for forecasts of time before anything is measured."""

from __future__ import annotations

import math

from segwright.core.plan import NetSpec, Triple


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
