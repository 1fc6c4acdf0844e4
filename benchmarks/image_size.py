"""Image size against score, seconds a step and memory, in equal time or equal steps.

    python benchmarks/image_size.py [--set chest] [--sizes 256,384,512] [--minutes 20 | steps=400] [--fold 0]

Every size is fitted by a process of its own on the same folds, so that its peak memory can be counted. `--minutes` is
the budget of each fit, all its folds together; with `steps=N` each fold does as many steps instead, whatever they
take. The planner chooses network and batch for each size; they are in the table, since they are part of the answer.
Scores are of predictions restored to the original pixels, so sizes can be compared.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from systems import interval, keep, parsed, parser, row

from segwright.api.compare_recipes import compare_runs
from segwright.api.run import Run
from segwright.core.events import End
from segwright.evaluation.compare import compare
from segwright.io.dataset import open_dataset


def measured(command: list[str]) -> float:
    """Peak memory in GB of a process that has to succeed."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def seconds_a_step(run: Run) -> float:
    """Training time over steps, of all folds together; the first steps, which warm up, count in full."""
    ends = [event for events in run.log().values() for event in events if isinstance(event, End)]
    return sum(event.elapsed for event in ends) / max(1, sum(event.step for event in ends))


def command(data: Path, size: int, options: Any) -> list[str]:
    """The fit of one size."""
    fields = {"folds": 3, "size": f"[{size},{size}]"}
    if "steps" not in options.wishes:
        fields["minutes"] = options.minutes
    folds = [word for fold in options.fold or [] for word in ("-f", str(fold))]
    begun = ["--resume"] if (options.out / str(size) / "plan.json").exists() else []
    words = [f"{name}={value}" for name, value in fields.items()] + options.overrides
    return [
        sys.executable,
        "-m",
        "segwright",
        "fit",
        str(data),
        "-o",
        str(options.out / str(size)),
        *folds,
        *begun,
        "-q",
        *words,
    ]


def sizes(text: str) -> list[int]:
    """`256,384` to numbers."""
    return [int(word) for word in text.split(",")]


def main() -> None:
    shared = parser(__doc__, minutes=20, out="runs/image-size")
    shared.add_argument("--set", default="chest", help="folder of the data: chest, teeth, ...")
    shared.add_argument("--sizes", type=sizes, default=[256, 384, 512], help="edges in pixels, with commas between")
    options = parsed(shared)
    options.out = options.out / options.set
    options.out.mkdir(parents=True, exist_ok=True)
    data = open_dataset(options.data / options.set).save(options.out / "dataset.yaml")
    runs, rows = {}, {}
    print(f"{'size':>5} {'mean Dice':24} {'against the first':26} s/step  steps  GB    batch widths")
    for size in options.sizes:
        done = (options.out / str(size) / "report" / "report.json").exists()
        memory = None if done else measured(command(data, size, options))
        run = runs[str(size)] = Run.open(options.out / str(size))
        first = next(iter(runs.values()))
        found = compare(first.report, run.report, only_common=True).rows if run is not first else ()
        against = next(([r.mean, r.low, r.high] for r in found if (r.structure, r.metric) == ("mean", "dice")), None)
        rows[size] = {**row(run), "step_seconds": seconds_a_step(run), "memory_gb": memory, "against_first": against}
        line = rows[size]
        print(
            f"{size:5} {interval(line['scores']['mean/dice']):24} {interval(against) if against else '':26} "
            f"{line['step_seconds']:6.2f} {max(line['steps'].values()):6} "
            f"{f'{memory:.2f}' if memory else '-':5} {line['batch']:5} {line['widths']}",
            flush=True,
        )
    if len(runs) > 1:
        compare_runs(runs, options.out)
    equal = {"steps": options.wishes["steps"]} if "steps" in options.wishes else {"minutes": options.minutes}
    keep(f"image_size_{options.set}", {"set": options.set, "equal": equal, "overrides": options.wishes, "sizes": rows})


if __name__ == "__main__":
    main()
