"""Peak memory of segmenting a large scan: prepare, windows, restore and decode, with a network of one convolution.

    python benchmarks/predict_memory.py [--shape 600 512 512] [--spacing 1.5] [--structures 20]

Prints one table and keeps it in `benchmarks/results/predict_memory.json`. With `--spacing 0` the grid
stays the scan's own, the worst case. The claim: a 512 x 512 x 600 float32 scan with 20 structures stays under 6 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, PreparePlan, WindowPlan
from segwright.core.volume import Volume
from segwright.prediction.window import predict_slabs
from segwright.prepare.pipeline import prepare_image
from segwright.prepare.restore import ScoreRestorer

LIMIT_GB = 6.0


def scan(shape: tuple[int, int, int]) -> Volume:
    """A body-like ellipse with bands of tissue and noise, made slice by slice."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(-1, 1, shape[1]), np.linspace(-1, 1, shape[2]), indexing="ij")
    body = (x**2 / 0.8 + y**2 / 0.5) < 1
    noise = rng.normal(0, 20, shape[1:]).astype(np.float32)
    array = np.empty((1, *shape), dtype=np.float32)
    for z in range(shape[0]):
        array[0, z] = np.where(body, 300 * np.sin(9 * x + z / 40) + np.roll(noise, 31 * z), -1000)
    return Volume.of(array, Geometry.from_spacing(shape, (1.0, 0.75, 0.75)))


def peak_gb() -> float:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def run(shape: tuple[int, int, int], spacing: float, structures: int) -> dict[str, object]:
    """Segment one synthetic scan; seconds and peak memory after each stage."""
    space = LabelSpace(structures=[{"name": f"s{i}"} for i in range(structures)])
    plan = PreparePlan(
        orientation="SPR", crop=True, spacing=(spacing,) * 3 if spacing else None, normalise=(Normalisation(),)
    )
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv3d(1, structures + 1, 3, padding=1), torch.nn.Softmax(dim=1))
    stages = {"start": peak_gb()}
    volume = scan(shape)
    stages["scan"] = peak_gb()
    begin = time.perf_counter()
    prepared = prepare_image(volume, plan)
    stages["prepare"] = peak_gb()
    prepare_seconds = time.perf_counter() - begin
    restorer = ScoreRestorer(prepared.trail, space, lambda scores: scores.argmax(axis=0)[None])
    window = WindowPlan(size=(96, 160, 160), overlap=0.25)
    with torch.inference_mode():
        for slab in predict_slabs(prepared.array, net, window=window, divisor=(16, 16, 16)):
            restorer.feed(*slab)
    labels = restorer.finish()
    stages["labels"] = peak_gb()
    return {
        "shape": list(shape),
        "prepared": list(prepared.array.shape),
        "channels": structures + 1,
        "labels": len(np.unique(labels[:, :: max(1, shape[0] // 20)])),
        "seconds": {"prepare": round(prepare_seconds, 1), "all": round(time.perf_counter() - begin, 1)},
        "peak_gb": {name: round(value, 2) for name, value in stages.items()},
        "limit_gb": LIMIT_GB,
        "holds": stages["labels"] < LIMIT_GB,
    }


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(600, 512, 512), metavar=("Z", "Y", "X"))
    parser.add_argument("--spacing", type=float, default=1.5, help="mm of the prepared grid; 0 keeps the scan's own")
    parser.add_argument("--structures", type=int, default=20)
    options = parser.parse_args()
    result = run(tuple(options.shape), options.spacing, options.structures)
    for name, value in result.items():
        print(f"{name:>10}  {value}")
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    name = "predict_memory.json" if options.spacing else "predict_memory_native.json"
    (folder / name).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
