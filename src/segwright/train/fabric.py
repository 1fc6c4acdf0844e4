"""One Fabric for training: devices, precision and gradient synchronisation."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
import torch.distributed
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

#: Processes that train together, as one of them sees them.
Group: TypeAlias = Fabric

for _name in ("lightning_fabric", "lightning.fabric"):  # also in processes that are launched, which import this first
    logging.getLogger(_name).setLevel(logging.ERROR)


def make_fabric(device: torch.device, precision: str) -> Fabric:
    """A Fabric for one device; `bfloat16` trains under autocast with float32 weights."""
    return _fabric(device, precision, devices=1 if device.index is None else [device.index])


def launch(
    work: Callable[[Group], None], device: torch.device, precision: str, *, devices: int, partly: bool = False
) -> None:
    """Run `work` in a process for each of several devices of a kind, which average their gradients.

    Args:
        work: Given the group of its process; must be picklable.
        device: Kind of device.
        precision: As for `make_fabric`.
        devices: How many.
        partly: Some parameters have no gradient for a while, and must not be waited for.
    """
    strategy = DDPStrategy(start_method="spawn", find_unused_parameters=partly)
    _fabric(device, precision, devices=devices, strategy=strategy).launch(partial(_enter, work=work))


def _enter(group: Group, work: Callable[[Group], None]) -> None:
    work(group)
    # Fabric takes leave of NCCL only: a process that still had a Gloo connection when its neighbour went was aborted.
    group.barrier()
    torch.distributed.destroy_process_group()


def _fabric(
    device: torch.device, precision: str, *, devices: int | list[int], strategy: DDPStrategy | str = "auto"
) -> Fabric:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Fabric(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=devices,
            precision="bf16-mixed" if precision == "bfloat16" else "32-true",
            strategy=strategy,
        )
