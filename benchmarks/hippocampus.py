"""Dice of one hippocampus fold against the time budget, each fit a process of its own, as a person would run it.

    python benchmarks/hippocampus.py DATA [--minutes 2 5 20] [--out FOLDER] [-- key=value ...]

DATA is the Medical Segmentation Decathlon's Task04 folder. Prints a table and keeps it as JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from segwright.api.provenance import describe_machine
from segwright.api.run import Run
from segwright.planning.machine import usable_cores


def fit(data: Path, out: Path, minutes: float, overrides: list[str]) -> dict[str, object]:
    """One fit of fold 0."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "segwright", "fit", str(data), "-o", str(out), "-f", "0", "--quiet"]
    start = time.perf_counter()
    subprocess.run([*command, "--time-budget", f"{minutes}m", *overrides], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    run = Run.open(out)
    rows = {row.structure: row for row in run.report.aggregates if row.metric == "dice"}
    steps = run.log()[0][-1].step
    mean = rows["mean"]
    print(
        f"{minutes:5g} min  Dice {mean.mean:.4f} [{mean.low:.4f}, {mean.high:.4f}]  "
        + "  ".join(f"{name} {row.mean:.4f}" for name, row in rows.items() if name != "mean")
        + f"  {steps} steps, widths {run.plan.net.widths}, {seconds:.0f} s in all",
        flush=True,
    )
    return {
        "minutes": minutes,
        "seconds": seconds,
        "steps": steps,
        "widths": run.plan.net.widths,
        "members": run.plan.train.members,
        "cores": usable_cores(),
        "train_seconds": run.plan.train.seconds,
        "dice": {name: [row.mean, row.low, row.high] for name, row in rows.items()},
        "cases": mean.cases,
        "overrides": overrides,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 5, 20, 60])
    parser.add_argument("--out", type=Path, default=Path("runs/hippocampus"))
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    path = Path(__file__).parent / "results" / "hippocampus.json"
    earlier = json.loads(path.read_text())["fits"] if path.exists() else []
    for minutes in options.minutes:
        made = fit(options.data, options.out / f"{minutes:g}", minutes, options.overrides)
        earlier = [row for row in earlier if row["minutes"] != minutes] + [made]
        result = {
            "date": str(date.today()),
            "machine": describe_machine(),
            "fits": sorted(earlier, key=lambda r: r["minutes"]),
        }
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
