"""Instances in one stack of electron microscopy: networks at equal time, judged in blocks of sections.

    python benchmarks/mitochondria.py DATA [key=value ...] [--minutes 40] [--nets unet res-unet-r]
        [--structure mitochondria] [--folds 3] [--only 0] [--out FOLDER] [--keep]

DATA is a folder of sections (`raw/`, `mitochondria/`), which state no voxel size: name it with `voxel=[z,y,x]` in mm.
Each network is one fit of its own under the same budget and the same blocks. Prints a table and keeps it as JSON.
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

SHOWN = ("iou", "dice", "accuracy_75", "ap_75", "f1_50", "pq")


def fit(args: argparse.Namespace, net: str, out: Path) -> dict[str, object]:
    """One fit of all wanted folds with a network, and its out-of-fold scores."""
    if not args.keep:
        shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "segwright", "fit", str(args.data), "-o", str(out), "--quiet"]
    command += [word for fold in args.only for word in ("-f", str(fold))]
    command += ["--time-budget", f"{args.minutes}m", f"instances={args.structure}", f"folds={args.folds}"]
    command += [f"net={net}", *args.overrides]
    start = time.perf_counter()
    if not (args.keep and (out / "report" / "report.json").exists()):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    run = Run.open(out)
    name = run.plan.labels.names[0]
    rows = {row.metric: row for row in run.report.aggregates if row.structure == name}
    pool = {row.metric: row for row in run.report.aggregates if row.structure == "all objects"}
    found = {metric: [rows[metric].mean, rows[metric].low, rows[metric].high] for metric in SHOWN}
    found |= {f"{metric}_all": [row.mean, row.low, row.high] for metric, row in pool.items()}
    print(f"{net:14} " + "  ".join(f"{m} {number(rows[m].mean)}" for m in SHOWN) + f"  {seconds:.0f} s", flush=True)
    return {
        "net": net,
        "seconds": round(seconds),
        "widths": run.plan.net.widths,
        "patch": run.plan.sample.patch,
        "steps": [log[-1].step for log in run.log().values()],
        "decoder": str(run.model.chain),
        "scores": found,
        "blocks": {row.case: row.value for row in run.report.scores if row.structure == name and row.metric == "iou"},
    }


def number(value: float | None) -> str:
    """Three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """Parse, fit, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--nets", nargs="+", default=["unet", "res-unet-r"])
    parser.add_argument("--structure", default="mitochondria")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--only", type=int, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("runs/mitochondria"))
    parser.add_argument("--keep", action="store_true", help="judge finished runs instead of fitting again")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    rows = [fit(args, net, args.out / net) for net in args.nets]
    facts = {"date": date.today().isoformat(), "machine": describe_machine(), "minutes": args.minutes}
    facts |= {"overrides": args.overrides, "rows": rows}
    path = Path(__file__).parent / "results" / "mitochondria.json"
    path.write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
