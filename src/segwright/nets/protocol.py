"""What a network must promise, so that training, prediction and export need not know which one it is."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from segwright.core.plan import NetSpec


class NetBuilder(Protocol):
    """A row of the nets table: `(spec, *, own parameters) -> nn.Module`.

    The module it returns:

    - takes `(B, spec.in_channels * max(1, spec.slab), [z,] y, x)`, with z only if `spec.spatial_dims` is 3, in any
      memory layout and in float32 or under bfloat16 autocast;
    - may rely on lengths being multiples of `spec.divisor` (at least twice it in y and x);
    - returns logits `(B, spec.out_channels, ...)` of the input's size, without softmax or sigmoid;
    - if `spec.deep_supervision`, and only while `training`, returns a list of logits instead, finest first;
    - gives every parameter a finite gradient, repeats itself exactly in `eval`, and keeps its whole state in
      `state_dict` under tensors that share no memory.
    """

    def __call__(self, spec: NetSpec, **params: Any) -> nn.Module: ...


class Net(Protocol):
    """What `nets.build` returns: an `nn.Module` on 5-D tensors."""

    spec: NetSpec

    def __call__(self, x: Tensor) -> Tensor | list[Tensor]:
        """Image `(B, C, z, y, x)` to logits `(B, K, z - 2 * spec.context[0], y, x)`; a list while training deeply."""
        ...

    def channels_last(self, on: bool = True) -> Net:
        """Choose the memory layout of the weights."""
        ...
