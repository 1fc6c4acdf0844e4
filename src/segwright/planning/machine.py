"""What the machine offers, found without loading torch."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from segwright.core.document import Part


class Machine(Part):
    """Resources a plan may use.

    Attributes:
        cores: Physical processor cores.
        memory: Bytes of main memory that are free for us.
        gpu_memory: Bytes of GPU memory, or `None` without a GPU.
        bfloat16: Whether the processor multiplies bfloat16 natively.
        devices: That are to train a network together.
    """

    cores: int
    memory: int
    gpu_memory: int | None = None
    bfloat16: bool = False
    devices: int = 1

    @property
    def has_gpu(self) -> bool:
        """Whether training runs on a GPU."""
        return self.gpu_memory is not None

    def within(self, gigabytes: float | None) -> Machine:
        """This machine with no more memory (of the GPU, if there is one) than that."""
        if gigabytes is None:
            return self
        name, there = ("memory", self.memory) if self.gpu_memory is None else ("gpu_memory", self.gpu_memory)
        return self.model_copy(update={name: min(there, int(gigabytes * 2**30))})


def this_machine() -> Machine:
    """The machine at hand, without its GPU (ask torch for that)."""
    return Machine(
        cores=usable_cores(),
        memory=_usable_memory(),
        bfloat16=_has_bfloat16(),
    )


def usable_cores() -> int:
    """Physical cores this process may run on: a cluster or `taskset` often grants fewer than the machine has."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or 1, granted)


def _usable_memory() -> int:
    """Available memory, within the control group's limit where there is one."""
    free = psutil.virtual_memory().available
    limit = Path("/sys/fs/cgroup/memory.max")
    try:
        text = limit.read_text().strip()
    except OSError:
        return int(free)
    return min(int(free), int(text)) if text.isdigit() else int(free)


def _has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
