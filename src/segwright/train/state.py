"""All that must survive a kill: weights, their moving average (EMA), optimiser and counters."""

from __future__ import annotations

import copy
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segwright.core.disk import atomic_path
from segwright.core.errors import ModelError
from segwright.nets.weights import digest_of_tensors

#: Name of the checkpoint before the last.
BEFORE = "before.ckpt"
#: What reading a file raises that is cut off, overwritten, or of another network.
_DAMAGED = (RuntimeError, LookupError, TypeError, ValueError, EOFError, OSError, pickle.UnpicklingError)


@dataclass
class TrainState:
    """A member in training.

    Attributes:
        net: The network being trained.
        optimiser: Its optimiser.
        average: Moving average of its weights.
        step: Optimiser steps done.
        elapsed: Seconds spent.
        attempt: How often a collapsed start was begun anew.
        lr_scale: Factor on the learning rate; halved by a restart after the loss had risen.
        best: Best pseudo-Dice so far.
        extra: Further counters (the best step, whether slowness was told).
    """

    net: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage
    step: int = 0
    elapsed: float = 0.0
    attempt: int = 0
    lr_scale: float = 1.0
    best: float = -1.0
    extra: dict[str, int] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write a checkpoint; it appears only when whole, and the one before stays beside it."""
        payload: dict[str, Any] = {
            "net": self.net.state_dict(),
            "average": self.average.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "counters": {
                "step": self.step,
                "elapsed": self.elapsed,
                "attempt": self.attempt,
                "lr_scale": self.lr_scale,
                "best": self.best,
                "extra": self.extra,
            },
        }
        payload["digest"] = digest_of_tensors(payload)
        with atomic_path(path) as partial:
            torch.save(payload, partial)
            _set_aside(path)

    def restore_last(self, path: Path) -> str:
        """Read the last checkpoint back, or the one before if it is damaged; what is to be told of that.

        Raises:
            ModelError: Both are damaged.
        """
        before = path.with_name(BEFORE)
        try:
            self.restore(path)
        except ModelError as error:
            if not before.exists():
                raise
            self.restore(before)
            return f"{path.name} is damaged ({error.got}), so training goes on from the checkpoint before."
        return ""

    def restore(self, path: Path) -> None:
        """Read a checkpoint back into this state.

        Raises:
            ModelError: The file is damaged or of another network.
        """
        try:
            payload: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            digest = payload.pop("digest", None)  # none in those of earlier versions
            if digest is not None and digest != digest_of_tensors(payload):
                raise ValueError("its digest is another")
            self.net.load_state_dict(payload["net"])
            self.average.net.load_state_dict(payload["average"])
            self.optimiser.load_state_dict(payload["optimiser"])
            for name, value in payload["counters"].items():
                setattr(self, name, value)
        except _DAMAGED as error:
            raise ModelError(
                "The checkpoint cannot be resumed from.",
                got=(str(error).splitlines() or [type(error).__name__])[0],
                where=path,
                hint="Delete this file to train the fold from its start, or run without --resume.",
            ) from error


def _set_aside(path: Path) -> None:
    """Keep a checkpoint under the name of the one before; it stays in place too, where the file system can do that."""
    if not path.exists():
        return
    before = path.with_name(BEFORE)
    before.unlink(missing_ok=True)
    try:
        os.link(path, before)
    except OSError:
        os.replace(path, before)


class WeightAverage:
    """A shadow network whose weights follow the trained ones.

    Args:
        net: Network to follow.
        share: Averaging window as a share of all steps; 0 makes the shadow a plain copy.
    """

    def __init__(self, net: nn.Module, share: float) -> None:
        self.share = share
        self.net = copy.deepcopy(net).eval().requires_grad_(False)

    def decay(self, step: int, planned: float) -> float:
        """Decay at `step` of about `planned`: `1 - 1 / (share * planned)` within 0.98-0.9995, smaller early on."""
        if self.share <= 0:
            return 0.0
        settled = min(max(1 - 1 / max(self.share * planned, 1.0), 0.98), 0.9995)
        return min(settled, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, net: nn.Module, step: int, planned: float) -> None:
        """Move the shadow towards `net`."""
        keep = self.decay(step, planned)
        mine = self.net.state_dict()
        pairs = [(mine[name], tensor) for name, tensor in net.state_dict().items()]
        floats = [(a, b) for a, b in pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - keep)
        for a, b in pairs:
            if not a.is_floating_point():
                a.copy_(b)
