"""The door to MONAI: the field's current networks, so that they can stand beside segwright's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from segwright.core.errors import UsageError
from segwright.core.plan import NetSpec, Triple
from segwright.nets.blocks import fit
from segwright.nets.execution import Conv3d
from segwright.nets.foreign import Padded, demand, least_levels
from segwright.nets.unet import check_levels

_FIXED = "MONAI's network has one head"
_KEPT = "MONAI's network keeps all activations"


def segresnet(spec: NetSpec, *, dropout: float = 0.0) -> nn.Module:
    """SegResNet: residual encoder, light decoder with summed skip connections.

    Args:
        spec: Widths double from the first, whatever the others say; every level halves every axis, with kernels of 3.
            Block counts and norm are used.
        dropout: Share of the first features that is dropped while training.
    """
    _single(spec)
    least_levels(spec, 2)
    net = _nets().SegResNet(
        **_ends(spec),
        init_filters=spec.widths[0],
        norm=_norm(spec, spec.widths[:1]),
        blocks_down=spec.encoder_blocks,
        blocks_up=spec.decoder_blocks[::-1],
        dropout_prob=dropout or None,
    )
    return _padded(net, spec, 2 ** (len(spec.widths) - 1))


def swinunetr(
    spec: NetSpec,
    *,
    depths: Sequence[int] = (2, 2, 2, 2),
    heads: Sequence[int] = (3, 6, 12, 24),
    window: int = 7,
    v2: bool = False,
) -> nn.Module:
    """SwinUNETR: a shifted-window transformer as encoder, convolutions as decoder.

    Args:
        spec: Features are the first width, rounded up to a multiple of 12; the five halvings of every axis and all
            kernels are the network's own. Norm (batch or instance) and checkpointing are used.
        depths: Transformer blocks a stage.
        heads: Attention heads a stage.
        window: Edge of the attention windows.
        v2: A residual convolution block before each stage.
    """
    demand(spec, "norm", ["instance", "batch"], why="its blocks know these norms")
    demand(spec, "deep_supervision", [False], why=_FIXED)
    where = torch.get_default_device()
    with torch.device("cpu"):  # reads numbers from tensors while it is built, which meta tensors do not have
        net = _nets().SwinUNETR(
            **_ends(spec),
            feature_size=-(-spec.widths[0] // 12) * 12,
            depths=tuple(depths),
            num_heads=tuple(heads),
            window_size=window,
            norm_name=spec.norm,
            use_checkpoint=spec.checkpointing,
            use_v2=v2,
        )
    # two voxels at the coarsest level are enough for its norms; four would double the cost of small patches
    return _padded(net.to(where), spec, 32, least=(32,) * (spec.spatial_dims - 1) + (64,))


def mednext(spec: NetSpec, *, expansion: int | Sequence[int] = 2) -> nn.Module:
    """MedNeXt: inverted bottlenecks with depthwise convolutions, a U-Net in the manner of ConvNeXt.

    Args:
        spec: Widths double from the first, whatever the others say; every level halves every axis; the kernel edge is
            the largest asked for. Block counts and deep supervision are used. Its group norm of one channel a group
            is instance norm by another name.
        expansion: Width inside a block as a multiple of the level's: one number, or one a level finest first.
    """
    demand(spec, "norm", ["instance"], why="it normalises every channel by itself")
    demand(spec, "checkpointing", [False], why=_KEPT)
    least_levels(spec, 2)
    check_levels(spec)
    levels = len(spec.widths)
    ratios = [expansion] * levels if isinstance(expansion, int) else list(expansion)
    net = _nets().MedNeXt(
        **_ends(spec),
        init_filters=spec.widths[0],
        kernel_size=max(edge for kernel in spec.kernels for edge in kernel),
        encoder_expansion_ratio=ratios[:-1],
        bottleneck_expansion_ratio=ratios[-1],
        decoder_expansion_ratio=ratios[-2::-1],
        blocks_down=spec.encoder_blocks[:-1],
        blocks_bottleneck=spec.encoder_blocks[-1],
        blocks_up=spec.decoder_blocks[::-1],
        deep_supervision=spec.deep_supervision,
        use_residual_connection=True,
    )
    return _padded(net, spec, 2 ** (levels - 1))


def dynunet(spec: NetSpec, *, residual: bool = False) -> nn.Module:
    """DynUNet: nnU-Net's plain or residual network, two convolutions a level.

    Args:
        spec: Widths, strides, kernels, norm and deep supervision are used as they are; block counts are its own.
        residual: Blocks with a short cut.
    """
    least_levels(spec, 3)
    check_levels(spec)
    demand(spec, "checkpointing", [False], why=_KEPT)
    strides = [fit(stride, spec.spatial_dims) for stride in spec.strides]
    net = _nets().DynUNet(
        **_ends(spec),
        kernel_size=[fit(kernel, spec.spatial_dims) for kernel in spec.kernels],
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=spec.widths,
        norm_name=_norm(spec, spec.widths),
        deep_supervision=spec.deep_supervision,
        deep_supr_num=max(1, len(strides) - 3),
        res_block=residual,
    )
    return _padded(_Listed(net), spec, 1)


def attention_unet(spec: NetSpec, *, dropout: float = 0.0) -> nn.Module:
    """Attention U-Net: additive gates on the skip connections, as MONAI builds it.

    Args:
        spec: Widths and strides are used as they are; kernels have the largest edges asked for at any level; two
            convolutions a level on the way down and one on the way up are its own.
        dropout: Share dropped in every block while training.
    """
    demand(spec, "norm", ["batch"], why="MONAI builds it with batch norm")
    _single(spec)
    least_levels(spec, 2)
    check_levels(spec)
    kernel: Triple = tuple(max(edges) for edges in zip(*spec.kernels, strict=True))
    net = _nets().AttentionUnet(
        **_ends(spec),
        channels=spec.widths,
        strides=[fit(stride, spec.spatial_dims) for stride in spec.strides[1:]],
        kernel_size=fit(kernel, spec.spatial_dims),
        dropout=dropout,
    )
    return _padded(net, spec, 1)


class _Listed(nn.Module):
    """DynUNet with logits as a list, without the second names and the memory that MONAI gives its parts."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        for alias in ("input_block", "downsamples", "bottleneck", "upsamples", "deep_supervision_heads"):
            net._modules.pop(alias, None)  # the same modules stand in skip_layers, and files refuse shared tensors
        self.net = net

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits; while training deeply a list, all of full size, the finest first."""
        result: Tensor = self.net(x)
        if not (self.training and self.net.deep_supervision):
            return result
        # what the heads left behind belongs to this step's graph, with which a network cannot be copied
        self.net.heads[:] = [torch.empty(0)] * len(self.net.heads)
        return list(result.unbind(1))


def _nets() -> ModuleType:
    try:
        import einops  # noqa: F401  (MONAI asks for it only once a transformer runs)
        import monai.networks.nets as nets
    except ImportError as error:
        raise UsageError(
            "This network needs MONAI, which is not installed.",
            got=str(error),
            hint='pip install "monai>=1.5" einops',
        ) from error
    return nets


def _ends(spec: NetSpec) -> dict[str, int]:
    inputs = spec.in_channels * max(1, spec.slab)
    return {"spatial_dims": spec.spatial_dims, "in_channels": inputs, "out_channels": spec.out_channels}


def _single(spec: NetSpec) -> None:
    demand(spec, "deep_supervision", [False], why=_FIXED)
    demand(spec, "checkpointing", [False], why=_KEPT)


def _norm(spec: NetSpec, widths: Sequence[int]) -> tuple[str, dict[str, Any]]:
    """MONAI's words for a norm with learned scale and shift."""
    if spec.norm == "group":
        return "GROUP", {"num_groups": math.gcd(8, *widths)}
    return spec.norm.upper(), {"affine": True}


def _padded(net: nn.Module, spec: NetSpec, divisor: int, *, least: Sequence[int] | None = None) -> nn.Module:
    """The network behind its own strides or larger ones of the specification, with convolutions that can be trusted."""
    for module in net.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = Conv3d
    return Padded(net, [max(divisor, own) for own in fit(spec.divisor, spec.spatial_dims)], least)
