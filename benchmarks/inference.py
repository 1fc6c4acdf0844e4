"""What predicting costs with every network at its source's setting and input size: time, memory, parameters.

    python benchmarks/inference.py [--net pdv-net vnet ...] [--runs 1] [--most 400]

Weights are as drawn (their values do not change the cost); random voxels are predicted in float32, one input at a
time, on one thread. Time is that of the processor, so that other work on the machine does not count. Memory is that of
the weights and of the tensors alive at the worst moment, counted on the graph, which the tests hold against reality.
Rows go into one JSON file as they come, cheap networks first, so that the table can be made piece by piece; networks
of more than `--most` GFLOP are only counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

from segwright.api.provenance import describe_machine
from segwright.nets import NETS, build, net_info
from segwright.nets.forecast import trace

RESULT = Path(__file__).parent / "results" / "inference.json"


def counted(name: str) -> dict[str, Any]:
    """What is known of a network without running it."""
    row = net_info(name)
    found = trace(row.spec, row.size, 1)
    return {
        "net": name,
        "size": row.size,
        "channels": row.spec.in_channels,
        "parameters": found.parameters,
        "gflop": found.flops / 1e9,
        "memory_mb": (found.peak + 4 * found.parameters) / 2**20,
    }


def timed(name: str, runs: int) -> float:
    """Processor milliseconds of one forward pass, the fastest of some."""
    row = net_info(name)
    torch.manual_seed(0)
    net = build(row.spec).eval()
    size = [length + 2 * side for length, side in zip(row.size, row.spec.context, strict=True)]
    image = torch.randn(1, row.spec.in_channels, *size)
    seconds = []
    with torch.inference_mode():
        for _ in range(runs):
            start = time.process_time()
            net(image)
            seconds.append(time.process_time() - start)
    return 1000 * min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", nargs="+", help="only these networks")
    parser.add_argument("--runs", type=int, default=1, help="passes; the fastest counts")
    parser.add_argument("--most", type=float, default=float("inf"), help="GFLOP above which a network is only counted")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for row in sorted((counted(name) for name in options.net or NETS), key=lambda row: row["gflop"]):
        if row["gflop"] <= options.most:
            row["milliseconds"] = timed(row["net"], options.runs)
            print(f"{row['net']:24}{row['milliseconds']:10.0f} ms", file=sys.stderr, flush=True)
        keep(row)
    show()


def keep(row: dict[str, Any]) -> None:
    """Add a row to the result, in place of an older one of that network unless only that one is timed."""
    rows = {each["net"]: each for each in (json.loads(RESULT.read_text())["rows"] if RESULT.exists() else [])}
    rows[row["net"]] = {**rows.get(row["net"], {}), **row}
    ordered = sorted(rows.values(), key=lambda each: each["gflop"])
    document = {"date": str(date.today()), "machine": describe_machine(), "rows": ordered}
    RESULT.write_text(json.dumps(document, indent=1) + "\n")


def show() -> None:
    """The table, as Markdown."""
    print("| Network | Input | Parameters | GFLOP | Core seconds | Memory |\n|---|---|---|---|---|---|")
    for row in json.loads(RESULT.read_text())["rows"]:
        size = " x ".join(str(length) for length in row["size"] if length > 1)
        seconds = f"{row['milliseconds'] / 1000:.2f}" if "milliseconds" in row else "not run"
        cells = f"{row['parameters'] / 1e6:.2f} M | {row['gflop']:.0f} | {seconds} | {row['memory_mb'] / 1024:.2f} GB"
        print(f"| `{row['net']}` | {size} | {cells} |")


if __name__ == "__main__":
    main()
