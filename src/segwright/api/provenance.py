"""How a number came about, and what is installed: machine, versions, hashes, tables of parts."""

from __future__ import annotations

import platform
from importlib import import_module
from importlib.metadata import version
from pkgutil import walk_packages
from typing import Any

import psutil

import segwright
from segwright.core.registry import Registry
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


def tables() -> dict[str, Registry]:
    """Every table of parts, by its entry-point group; tables stand in the `__init__` of packages."""
    packages = [one.name for one in walk_packages(segwright.__path__, "segwright.") if one.ispkg]
    found = [value for name in packages for value in vars(import_module(name)).values() if isinstance(value, Registry)]
    return {table.group: table for table in sorted(found, key=lambda table: table.group)}


def examine() -> dict[str, Any]:
    """Machine facts, and for every table its rows, with the package that added those which are not built in."""
    told = {
        group.removeprefix("segwright."): [
            row if row in table.builtin else f"{row} (from {table[row].partition('.')[0].partition(':')[0]})"
            for row in table
        ]
        for group, table in tables().items()
    }
    return {"machine": describe_machine(), "tables": told}
