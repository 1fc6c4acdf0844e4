"""Peak memory of a few training steps and a prediction on radiographs of 2048 x 2048 pixels, each a process of its own.

    python benchmarks/large_images.py [--data FOLDER] [--memory 8]

Two ways: tiles that see four times their edges (the planner's choice), and whole images at once. Every fit and every
prediction is told to stay within `--memory` GB. `maximum resident set` is what the operating system counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from segwright.api.provenance import describe_machine

DATA = Path(os.environ.get("SEGWRIGHT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
WAYS = {"tiles": [], "whole images": ["patch=[1,2048,2048]"]}
STEPS = 2


def cost(command: list[str]) -> tuple[float, float]:
    """Seconds and peak GB of a process."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "chest-2048")
    parser.add_argument("--memory", type=float, default=8.0)
    options = parser.parse_args()
    call, rows = [sys.executable, "-m", "segwright"], {}
    with tempfile.TemporaryDirectory() as folder:
        single = Path(folder, "one")
        single.mkdir()
        shutil.copy(sorted((options.data / "images").iterdir())[0], single)
        for name, wishes in WAYS.items():
            run = Path(folder, name.replace(" ", "-"))
            fields = ["size=[2048,2048]", f"memory={options.memory}", f"steps={STEPS}", *wishes]
            fit = cost([*call, "fit", str(options.data), "-o", str(run), "--folds", "2", "-f", "0", "-q", *fields])
            predict = cost([*call, "predict", str(run / "model"), "-i", str(single), "-o", str(run / "out"), "-q"])
            plan = json.loads((run / "plan.json").read_text())
            rows[name] = {
                "fit_seconds": fit[0], "fit_gb": fit[1], "predict_seconds": predict[0], "predict_gb": predict[1],
                "patch": plan["sample"]["patch"], "surround": plan["net"]["surround"], "widths": plan["net"]["widths"],
                "batch": plan["train"]["batch"], "accumulate": plan["train"]["accumulate"],
                "checkpointing": plan["net"]["checkpointing"], "forecast_gb": plan["memory"]["train"] / 2**30,
            }  # fmt: skip
            print(
                f"{name:14} fit of {STEPS} steps {fit[0]:5.0f} s {fit[1]:.2f} GB (step forecast "
                f"{rows[name]['forecast_gb']:.2f})   prediction {predict[0]:4.0f} s {predict[1]:.2f} GB",
                flush=True,
            )
    result = {"date": str(date.today()), "machine": describe_machine(), "limit_gb": options.memory, "rows": rows}
    path = Path(__file__).parent / "results" / "large_images.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
