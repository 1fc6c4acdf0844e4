"""Peak memory and time of scoring the objects of two large volumes, read box by box.

    python benchmarks/instance_scoring.py [--shape 100 4096 4096] [--folder FOLDER]

Draws two OME-Zarr volumes of tilted ellipsoids (the prediction is shifted, every ninth object is missing and every
tenth is cut in two), scores them in a process of its own, and keeps one table in
`benchmarks/results/instance_scoring.json`. The claim: 100 x 4096 x 4096 voxels stay under 4 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from segwright.core.box import Box, tile
from segwright.core.geometry import Geometry
from segwright.io.omezarr import Pyramid, create, write_box

LIMIT_GB = 4.0
CELL = (16, 48, 48)


def objects(box: Box, shape: tuple[int, int, int], *, predicted: bool) -> np.ndarray:
    """Ids of a box of an endless lattice of ellipsoids."""
    shift = 2 if predicted else 0
    index = [np.arange(a, b) + shift * (axis == 2) for axis, (a, b) in enumerate(zip(box.start, box.stop, strict=True))]
    cells = [i // c for i, c in zip(index, CELL, strict=True)]
    places = [(i % c - (c - 1) / 2) / (0.46 * c) for i, c in zip(index, CELL, strict=True)]
    counts = [-(-(n + 2) // c) for n, c in zip(shape, CELL, strict=True)]
    z, y, x = np.ix_(*cells)
    number = ((z * counts[1] + y) * counts[2] + x + 1).astype(np.uint64)
    a, b, c = np.ix_(*(p.astype(np.float32) for p in places))
    inside = a**2 + (b + 0.3 * a) ** 2 + c**2 < 1
    if not predicted:
        return np.where(inside, number, 0).astype(np.uint32)
    halves = np.where((number % 10 == 0) & (b > 0), number + np.uint64(2**31), number)
    return np.where(inside & (number % 9 != 0), halves, 0).astype(np.uint32)


def draw(folder: Path, shape: tuple[int, int, int]) -> list[Path]:
    """Both volumes, block by block."""
    paths = []
    for predicted, name in enumerate(("reference", "prediction")):
        path = folder / f"{name}.zarr"
        create(path, Pyramid(1, np.dtype(np.uint32), Geometry.from_spacing(shape, (3e-5, 8e-6, 8e-6))))
        for box in tile(shape, (32, 1024, 1024)):
            write_box(path, objects(box, shape, predicted=bool(predicted))[None], box)
        paths.append(path)
    return paths


def score(reference: Path, prediction: Path) -> dict[str, object]:
    """Scores, seconds and peak memory; meant for a fresh process."""
    from segwright.evaluation.volumes import evaluate_volumes

    begin = time.perf_counter()
    report = evaluate_volumes(reference, prediction)
    values = {row.metric: row.value for row in report.scores}
    return {
        "seconds": round(time.perf_counter() - begin, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "notes": report.notes[0],
        **{name: round(values[name], 4) for name in ("accuracy_75", "ap_75", "f1_50", "rand_error", "iou")},
    }


def main() -> None:
    """Draw, score, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(100, 4096, 4096), metavar=("Z", "Y", "X"))
    parser.add_argument("--folder", type=Path, default=None, help="where volumes lie for the time; default: temporary")
    parser.add_argument("--pair", type=Path, nargs=2, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pair:
        print(json.dumps(score(*options.pair)))
        return
    shape = tuple(options.shape)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        pair = draw(Path(folder), shape)
        command = [sys.executable, __file__, "--pair", *map(str, pair)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        stored = sum(file.stat().st_size for path in pair for file in path.rglob("*") if file.is_file())
    result = {"shape": list(shape), "stored_mb": round(stored / 2**20), **json.loads(done.stdout)}
    result |= {"limit_gb": LIMIT_GB, "holds": result["peak_gb"] < LIMIT_GB}
    for name, value in result.items():
        print(f"{name:>12}  {value}")
    target = Path(__file__).parent / "results" / "instance_scoring.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
