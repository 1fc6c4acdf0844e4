"""Dice, HD95 and surface Dice of 60 cases: this package against MONAI's metrics, on the same pairs in one run.

Pairs are real hippocampus labels and predictions made from them by a seeded smooth deformation and a shift of the
boundary. Both sides get arrays in memory; each repetition times both, in alternating order.

    python benchmarks/evaluation.py [--cases 60] [--repeats 5]
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.labels import LabelSpace
from segwright.metrics.table import score_case

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SEGWRIGHT_DATA", HERE.parents[1] / "shared" / "data"))
METRICS = ("dice", "hd95", "surface_dice")
SPACE = LabelSpace(structures=[{"name": "anterior", "values": [1]}, {"name": "posterior", "values": [2]}])
Clocks = dict[str, dict[str, list[float]]]
Pairs = list[tuple[NDArray[np.int16], NDArray[np.int16]]]


def make_pairs(count: int) -> Pairs:
    """Canonical labels `(1, z, y, x)` of reference and prediction."""
    files = sorted((DATA / "hippocampus" / "labelsTr").glob("*.nii.gz"))[:count]
    pairs = []
    for index, file in enumerate(files):
        reference = np.asarray(nibabel.load(file).dataobj).T.astype(np.int16)
        pairs.append((np.ascontiguousarray(reference)[None], deform(reference, index)[None]))
    return pairs


def deform(labels: NDArray[np.int16], seed: int) -> NDArray[np.int16]:
    """The labels moved by a smooth random field of about one voxel, and eroded or dilated for every other case."""
    rng = np.random.default_rng(seed)
    field = [ndimage.gaussian_filter(rng.standard_normal(labels.shape), 4) * 20 for _ in range(3)]
    grid = np.indices(labels.shape) + np.stack(field) + rng.uniform(-0.5, 0.5, 3).reshape(3, 1, 1, 1)
    scores = [
        ndimage.map_coordinates((labels == k).astype(np.float32), grid, order=1, mode="nearest") for k in range(3)
    ]
    scores[0] += (-1) ** seed * 0.15
    return np.argmax(scores, axis=0).astype(np.int16)


def ours(pairs: Pairs) -> NDArray[np.float64]:
    """Values `(case, structure, metric)`."""
    table = [score_case(SPACE, *pair, spacing=(1.0, 1.0, 1.0), metrics=METRICS, tolerance=1.0) for pair in pairs]
    return np.array([[row.value for row in rows] for rows in table], dtype=np.float64).reshape(len(pairs), 2, 3)


def monais(tensors: list[tuple]) -> NDArray[np.float64]:
    """The same values by MONAI, one call a metric and case on one-hot tensors made beforehand."""
    from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice

    values = []
    for reference, prediction in tensors:
        dice = compute_dice(prediction, reference, include_background=False)
        hd95 = compute_hausdorff_distance(prediction, reference, percentile=95, spacing=[1.0, 1.0, 1.0])
        near = compute_surface_dice(prediction, reference, class_thresholds=[1.0, 1.0], spacing=[1.0, 1.0, 1.0])
        values.append(np.stack([dice[0].numpy(), hd95[0].numpy(), near[0].numpy()], axis=-1))
    return np.array(values)


def timed(work: Callable[[], NDArray[np.float64]]) -> tuple[float, float]:
    """Wall and processor seconds; the latter are not bent by other work on the machine."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.processor())
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "torch", "monai", "edt")}
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}


def main() -> None:
    """Measure, print a table, keep JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)  # tiny arrays: threads only wait for each other, and ours has one
    pairs = make_pairs(options.cases)
    hot = [tuple(torch.from_numpy(np.stack([(a[0] == k) for k in range(3)])[None].astype(np.float32)) for a in pair)
           for pair in pairs]  # fmt: skip
    sides = {"segwright": lambda: ours(pairs), "monai": lambda: monais(hot)}
    seconds: Clocks = {clock: {name: [] for name in sides} for clock in ("wall", "processor")}
    values = {name: work() for name, work in sides.items()}  # also warms both up
    for repeat in range(options.repeats):
        for name in sorted(sides, reverse=bool(repeat % 2)):
            for clock, spent in zip(seconds, timed(sides[name]), strict=True):
                seconds[clock][name].append(spent)
    report(pairs, seconds, values)


def report(pairs: Pairs, seconds: Clocks, values: dict[str, NDArray[np.float64]]) -> None:
    """Print the comparison and write it beside this script."""
    gap = np.abs(values["segwright"] - values["monai"]).max(axis=(0, 1))
    medians = {clock: {name: statistics.median(s) for name, s in sides.items()} for clock, sides in seconds.items()}
    ratios = {clock: both["monai"] / both["segwright"] for clock, both in medians.items()}
    print(f"{len(pairs)} cases, 2 structures, {', '.join(METRICS)}; median seconds of {len(seconds['wall']['monai'])}")
    print(f"{'clock':10s} {'segwright':>10s} {'monai':>10s} {'ratio':>8s}")
    for clock, both in medians.items():
        print(f"{clock:10s} {both['segwright']:10.3f} {both['monai']:10.3f} {ratios[clock]:7.1f}x")
    print("largest difference:", {name: float(f"{g:.1e}") for name, g in zip(METRICS, gap, strict=True)})
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "cases": len(pairs),
        "seconds": seconds,
        "median_seconds": medians,
        "ratio": ratios,
        "mean_values": dict(zip(METRICS, values["segwright"].mean(axis=(0, 1)).round(4).tolist(), strict=True)),
        "largest_difference": dict(zip(METRICS, gap.tolist(), strict=True)),
    }
    target = HERE / "results" / "evaluation.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
