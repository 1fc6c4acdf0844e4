"""All that must survive a kill: weights, their average, optimiser and counters."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segwright.core.atomic import atomic_path
from segwright.core.errors import ModelError
from segwright.train.average import WeightAverage

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
        """Write a checkpoint; it appears only when whole."""
        payload = {
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
        with atomic_path(path) as partial:
            torch.save(payload, partial)

    def restore(self, path: Path) -> None:
        """Read a checkpoint back into this state.

        Raises:
            ModelError: The file is damaged or of another network.
        """
        try:
            payload: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            self.net.load_state_dict(payload["net"])
            self.average.net.load_state_dict(payload["average"])
            self.optimiser.load_state_dict(payload["optimiser"])
            for name, value in payload["counters"].items():
                setattr(self, name, value)
        except _DAMAGED as error:
            raise ModelError(
                "The checkpoint cannot be resumed from.",
                came=(str(error).splitlines() or [type(error).__name__])[0],
                where=path,
                cure="Delete this file to train the fold from its start, or run without --resume.",
            ) from error
