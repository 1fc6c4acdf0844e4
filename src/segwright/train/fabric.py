"""One Fabric for training: device, precision and gradient synchronisation."""

from __future__ import annotations

import logging
import warnings

import torch
from lightning_fabric import Fabric


def make_fabric(device: torch.device, precision: str) -> Fabric:
    """A Fabric for one device; `bfloat16` trains under autocast with float32 weights."""
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Fabric(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=1 if device.index is None else [device.index],
            precision="bf16-mixed" if precision == "bfloat16" else "32-true",
        )
