"""Whole-process time and memory of `segwright predict` on 60 hippocampus scans, file to file.

    python benchmarks/prediction.py MODEL IMAGES [--cases 60] [--runs 3]

Compared with 100 seconds and 1.25 GB, which nnU-Net 2.8.1 needed for 60 such cases on a machine of the same kind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from segwright.api.provenance import describe_machine

REFERENCE_SECONDS = 100.0


def predict(model: Path, images: Path, out: Path) -> tuple[float, float]:
    """Seconds and peak GB of one whole process."""
    command = [sys.executable, "-m", "segwright", "predict", str(model), "-i", str(images), "-o", str(out), "--quiet"]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"prediction failed with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scans = Path(folder, "scans")
        scans.mkdir()
        for path in sorted(options.images.glob("*.nii.gz"))[: options.cases]:
            shutil.copy(path, scans / path.name)
        count = len(list(scans.iterdir()))
        rows = [predict(options.model, scans, Path(folder, f"out-{turn}")) for turn in range(options.runs)]
        written = len(list(Path(folder, "out-0").glob("*.nii.gz")))
    seconds = statistics.median(row[0] for row in rows)
    memory = max(row[1] for row in rows)
    print(f"{written} of {count} scans: {seconds:.1f} s (median of {len(rows)}), peak {memory:.2f} GB")
    print(f"{REFERENCE_SECONDS / seconds:.1f} times as fast as {REFERENCE_SECONDS:.0f} s")
    result = {
        "date": str(date.today()),
        "machine": describe_machine(),
        "cases": count,
        "seconds": [row[0] for row in rows],
        "peak_gb": memory,
        "times_reference": REFERENCE_SECONDS / seconds,
    }
    path = Path(__file__).parent / "results" / "prediction.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
