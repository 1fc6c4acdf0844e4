"""Milliseconds a batch of each augmentation level and each single step, on this machine.

Run: python benchmarks/augment.py [--device cuda] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from segwright.augment import AUGMENTS
from segwright.augment.compose import Augmenter
from segwright.augment.levels import LEVELS, steps_for
from segwright.core.recipe import PartChoice
from segwright.core.seed import derive

RESULTS = Path(__file__).parent / "results" / "augment.json"
SHAPES = ((7, 1, 40, 56, 40), (4, 1, 1, 512, 256), (2, 2, 64, 128, 128))
ALWAYS = {
    "spatial": {"p_rotation": 1.0, "p_scale": 1.0},
    "mirror": {"axes": (0, 1, 2)},
    "cutmix": {"p": 1.0},
}


def machine(device: str) -> dict[str, str | int]:
    """What the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    gpu = torch.cuda.get_device_name() if device == "cuda" else ""
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "torch": torch.__version__,
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def batch(shape: tuple[int, ...], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A random image and a label of five values."""
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    label = (image[:, :1] * 2).clamp(0, 4).to(torch.int16)
    return image.to(device), label.to(device)


def milliseconds(augmenter: Augmenter, shape: tuple[int, ...], device: str, repeats: int) -> dict[str, float]:
    """Median and quartiles of clock time over batches with different random numbers, and median processor time.

    With one thread, processor time hardly depends on what else the machine is doing.
    """
    image, label = batch(shape, device)
    taken, busy = [], []
    for number in range(repeats + 3):
        start, used = time.perf_counter(), time.process_time()
        augmenter(image, label, derive(0, "benchmark", number))
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(1e3 * (time.perf_counter() - start))
        busy.append(1e3 * (time.process_time() - used))
    low, median, high = (round(float(value), 2) for value in np.quantile(taken[3:], (0.25, 0.5, 0.75)))
    return {"median": median, "low": low, "high": high, "processor": round(float(np.median(busy[3:])), 2)}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for shape in SHAPES:
        dims = 2 if shape[2] == 1 else 3
        chains = {f"level {n}": Augmenter(steps_for(n, dims=dims), (2,)) for n in LEVELS}
        for name in AUGMENTS:
            chains[name] = Augmenter((PartChoice(name=name, params=ALWAYS.get(name, {})),))
        for name, augmenter in chains.items():
            row = {
                "shape": list(shape),
                "what": name,
                **milliseconds(augmenter, shape, options.device, options.repeats),
            }
            rows.append(row)
            spread = f"({row['low']:.2f} to {row['high']:.2f})"
            print(f"{shape!s:24} {name:16} {row['median']:9.2f} ms {spread:22} processor {row['processor']:.2f} ms")
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[f"{options.device}, {options.threads} threads"] = {
        "machine": machine(options.device),
        "unit": "ms a batch",
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
