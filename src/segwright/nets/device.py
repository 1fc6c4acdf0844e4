"""Which device networks run on, and whether it multiplies bfloat16 natively."""

from __future__ import annotations

import torch

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
        raise UsageError(f"Unknown device {name!r}.", expected="auto, cpu, cuda, cuda:N, mps", got=name) from error
    absent = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if absent:
        raise UsageError(f"There is no {device.type} device on this machine.", hint="Use --device cpu or auto.")
    return device


def supports_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native, so that it can be faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
