"""What predicting costs with every network at its source's setting and input size: time, memory, parameters.

    python benchmarks/inference.py [--net pdv-net vnet ...] [--runs 1] [--patience 170]

Each network is built in a process of its own, so that its peak memory is its own, with weights as drawn (their values
do not change the cost), and predicts random voxels in float32, one input at a time, on one thread. Time is that of
the processor, so that other work on the machine does not count. Rows go into one JSON file as they
come, so that the table can be made piece by piece; a network that needs more than `--patience` seconds is told.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from segwright.api.receipt import describe_machine

RESULT = Path(__file__).parent / "results" / "inference.json"


def measure(name: str, runs: int) -> dict[str, Any]:
    """Time and peak memory of one network, in this process."""
    import resource
    import time

    import torch

    from segwright.nets import build
    from segwright.nets.catalogue import CATALOGUE, count_parameters
    from segwright.nets.forecast import trace

    row = CATALOGUE.load(name)
    found = trace(row.spec, row.size, 1)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = build(row.spec).eval()
    size = [length + 2 * side for length, side in zip(row.size, row.spec.context, strict=True)]
    image = torch.randn(1, row.spec.in_channels, *size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    with torch.inference_mode():
        for _ in range(runs):
            start = time.process_time()
            net(image)
            seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "net": name,
        "size": row.size,
        "channels": row.spec.in_channels,
        "parameters": count_parameters(net),
        "gflop": found.flops / 1e9,
        "milliseconds": 1000 * min(seconds),
        "peak_mb": (peak - before) / 1024,
        "forecast_mb": found.peak / 2**20,
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", nargs="+", help="only these networks")
    parser.add_argument("--runs", type=int, default=1, help="passes; the fastest counts")
    parser.add_argument("--patience", type=float, default=170, help="seconds after which a network is given up")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.runs)))
        return
    from segwright.nets import NETS

    for name in options.net or NETS:
        keep(one(name, options.runs, options.patience))
    show()


def one(name: str, runs: int, patience: float) -> dict[str, Any]:
    """A row, measured in a fresh process."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", name, "--runs", str(runs)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=True)
    except subprocess.TimeoutExpired:
        return {"net": name, "note": f"not finished within {patience:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"net": name, "note": error.stderr.strip().splitlines()[-1]}
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{name:24}{row['milliseconds']:10.0f} ms{row['peak_mb']:9.0f} MB", file=sys.stderr, flush=True)
    return row


def keep(row: dict[str, Any]) -> None:
    """Add a row to the result, in place of an older one of that network."""
    rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    rows = [*(each for each in rows if each["net"] != row["net"]), row]
    document = {"date": str(date.today()), "machine": describe_machine(), "rows": rows}
    RESULT.write_text(json.dumps(document, indent=1) + "\n")


def show() -> None:
    """The table, as Markdown."""
    print("| Network | Input | Parameters | GFLOP | Time | Memory |\n|---|---|---|---|---|---|")
    for row in json.loads(RESULT.read_text())["rows"]:
        if "note" in row:
            print(f"| `{row['net']}` | {row['note']} | | | | |")
            continue
        size = " x ".join(str(length) for length in row["size"] if length > 1)
        cells = f"{row['parameters'] / 1e6:.2f} M | {row['gflop']:.0f} | {row['milliseconds'] / 1000:.2f} s"
        print(f"| `{row['net']}` | {size} | {cells} | {row['peak_mb'] / 1024:.2f} GB |")


if __name__ == "__main__":
    main()
