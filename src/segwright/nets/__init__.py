"""Networks: a table of builders and the one function that makes a ready network of a plan's specification."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from segwright.core.errors import RecipeError, UnknownNameError
from segwright.core.plan import NetSpec
from segwright.nets.catalogue import NETS, net_info

if TYPE_CHECKING:
    from segwright.nets.framing import SlabNet, SurroundNet

__all__ = ["NETS", "build", "net_info"]


def build(spec: NetSpec) -> SlabNet | SurroundNet:
    """The network of a specification, freshly initialised from torch's generator; maps `(B, C, z, y, x)` to logits.

    Args:
        spec: `name` is a row of `NETS`; `params` become keyword arguments of that row's builder.

    Raises:
        UnknownNameError: No such network.
        RecipeError: A parameter that the network does not take; the nearest is suggested.
        PlanError: Levels that do not fit together.

    Example:
        >>> import torch
        >>> levels = dict(widths=(4, 8), strides=((1, 1, 1), (2, 2, 2)), kernels=((3, 3, 3), (3, 3, 3)))
        >>> net = build(NetSpec(in_channels=1, out_channels=2, encoder_blocks=(1, 1), decoder_blocks=(1,), **levels))
        >>> net(torch.zeros(1, 1, 5, 6, 7)).shape
        torch.Size([1, 2, 5, 6, 7])
    """
    if spec.scout is not None:
        from segwright.nets.framing import SurroundNet

        return SurroundNet(spec, _slab)
    return _slab(spec)


def _slab(spec: NetSpec) -> SlabNet:
    from segwright.nets.framing import SlabNet

    builder = NETS.load(spec.name)
    _refuse_unknown(spec, builder)
    return SlabNet(builder(spec, **spec.params), spec)


def _refuse_unknown(spec: NetSpec, builder: Callable[..., Any]) -> None:
    known = [p.name for p in inspect.signature(builder).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for name in spec.params:
        if name not in known:
            unknown = UnknownNameError.among("parameter", name, known)
            raise RecipeError(
                f"Network {spec.name!r} takes no parameter {name!r}.", expected=unknown.expected, hint=unknown.hint
            )
