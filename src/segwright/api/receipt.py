"""The receipt of a run: versions, hardware and hashes that say how a number came about."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import psutil

import segwright
from segwright.planning.machine import usable_cores


def describe_machine() -> dict[str, Any]:
    """Hardware and versions; the GPU is named only where torch sees one."""
    import torch

    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "segwright": segwright.__version__,
        "torch": torch.__version__,
        "numpy": version("numpy"),
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
