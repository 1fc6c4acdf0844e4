"""One channel against all others as a yes-or-no question, so that binary losses serve softmax and sigmoid alike."""

from __future__ import annotations

import torch
from torch import Tensor

from segwright.losses.dice import check_activation, skipped


def structure_logits(logits: Tensor, activation: str) -> tuple[Tensor, int]:
    """Logits whose sigmoid is the score of each structure, and the channels left out before the first of them.

    A softmax score is the sigmoid of `x_c - logsumexp(other x)`; this keeps logarithms of scores near 0 and 1 exact.

    Args:
        logits: `(B, C, ...)`.
        activation: `softmax` (channel 0 is the background and left out) or `sigmoid`.

    Example:
        >>> x = torch.tensor([[0.0, 1.0, 2.0]])
        >>> margins, first = structure_logits(x, "softmax")
        >>> torch.allclose(margins.sigmoid(), x.softmax(1)[:, 1:]), first
        (True, 1)
    """
    check_activation(activation)
    if activation == "sigmoid":
        return logits, 0
    first = skipped(logits, activation, background=False)
    channels = logits.shape[1]
    if channels == 1:
        return logits, 0
    margins = []
    for channel in range(first, channels):
        others = [other for other in range(channels) if other != channel]
        rest = logits[:, others[0]] if len(others) == 1 else logits[:, others].logsumexp(dim=1)
        margins.append(logits[:, channel] - rest)
    return torch.stack(margins, dim=1), first
