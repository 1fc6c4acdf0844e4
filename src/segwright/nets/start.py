"""Where logits begin: a fresh network that already knows how rare each structure is."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

from segwright.core.plan import NetSpec
from segwright.nets.transfer import tensors_along

#: The first of a network's own heads; of its layers the last makes the logits.
FIRST = re.compile(r"(^|\.)heads\.0(\.|$)")


def start_logits(net: nn.Module, spec: NetSpec, logits: Sequence[float]) -> bool:
    """Set the bias of the finest head, around which the logits of a fresh network lie; returns whether it has one.

    Args:
        net: Freshly built from `spec`; changed in place. Of several heads the first is set: the finest of those under
            deep supervision, and the one to whose result the others are added.
        spec: Of the network.
        logits: One an output channel.
    """
    known = dict(net.named_parameters())
    biases = [name for name in tensors_along(spec, "out_channels") if name in known and known[name].ndim == 1]
    finest = [name for name in biases if FIRST.search(name)] or biases
    if not finest or known[finest[-1]].shape != (len(logits),):
        return False
    with torch.no_grad():
        known[finest[-1]].copy_(torch.tensor(logits))
    return True
