"""Devices and precision: one Fabric for training, and what the machine offers."""

from __future__ import annotations

import logging
import platform
import warnings

import psutil
import torch
from lightning_fabric import Fabric

from segwright.core.errors import UsageError


def resolve_device(name: str = "auto") -> torch.device:
    """The torch device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        UsageError: The device is not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"Unknown device {name!r}.", expected="auto, cpu, cuda, cuda:N, mps", came=name) from error
    absent = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if absent:
        raise UsageError(f"There is no {device.type} device on this machine.", cure="Use --device cpu or auto.")
    return device


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


def supports_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native, so that it can be faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def describe_machine() -> dict[str, str | int | float]:
    """Hardware and versions for the run's receipt."""
    facts: dict[str, str | int | float] = {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "bfloat16": str(supports_bfloat16(torch.device("cpu"))),
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
        facts["gpu_memory_gb"] = round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1)
    return facts


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
