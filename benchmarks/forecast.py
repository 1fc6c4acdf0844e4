"""Memory that plans foresee for a training step, against the most that real steps took: eight plans, one process each.

    python benchmarks/forecast.py [--only NAME ...]

Prints one table and keeps it in `benchmarks/results/forecast.json`. The claim: forecast over measured is within 0.8 and
1.5. Measured is what a process takes at most while a network is trained for two steps by the machinery of a fit, above
what it held before; libraries are loaded by a tiny network first, and the scans are in memory already.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil

LOW, HIGH = 0.8, 1.5
RESULT = Path(__file__).parent / "results" / "forecast.json"

#: What each plan asks for, and the scans it is made for.
PLANS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "3-D float32": ({"patch": [32, 48, 48], "width": 16, "precision": "float32"}, {}),
    "3-D bfloat16": ({"patch": [32, 48, 48], "width": 16, "precision": "bfloat16"}, {}),
    "3-D residual": ({"net": "resenc", "patch": [32, 48, 48], "width": 16, "precision": "float32"}, {}),
    "3-D recomputed": (
        {"patch": [32, 64, 64], "width": 16, "checkpointing": True, "precision": "float32"},
        {},
    ),
    "3-D wide, SGD": (
        {"patch": [16, 32, 32], "width": 96, "optimiser": "sgd", "precision": "float32"},
        {},
    ),
    "2-D": ({"slab": 1, "patch": [1, 256, 256], "width": 24, "batch": 4, "precision": "float32"}, {"flat": True}),
    "slab of 5, bfloat16": (
        {"slab": 5, "patch": [1, 160, 160], "width": 32, "batch": 8, "precision": "bfloat16"},
        {},
    ),
    "V-Net": ({"net": "vnet", "patch": [32, 48, 48], "batch": 2, "slab": 0, "precision": "float32"}, {}),
}


def plan_of(name: str) -> Any:
    """The plan of a row, for a machine of 64 GB."""
    from segwright.api.planning import make_plan
    from segwright.core.labels import LabelSpace
    from segwright.core.recipe import Recipe
    from segwright.planning.fingerprint import Fingerprint
    from segwright.planning.machine import Machine

    wishes, scans = PLANS[name]
    flat = bool(scans.get("flat"))
    shape = (1.0, 512.0, 512.0) if flat else (64.0, 256.0, 256.0)
    facts = Fingerprint(
        cases=10,
        groups=10,
        channels=("image",),
        modality="other",
        labels=LabelSpace.model_validate({"structures": [{"name": "one"}, {"name": "two"}]}),
        dims=2 if flat else 3,
        orientation=None if flat else "SAR",
        spacing=(None, None, None) if flat else (1.0, 1.0, 1.0),
        fine_spacing=(None, None, None) if flat else (1.0, 1.0, 1.0),
        spacing_spread=0.0,
        shape_median=shape,
        shape_large=shape,
        zero_share=0.0,
        content_share=1.0,
        foreground=(),
        presence={"one": 10, "two": 10},
        share={"one": 0.1, "two": 0.1},
    )
    recipe = Recipe.from_data({"steps": 2, "folds": 2, "augment": "off", **wishes})
    return make_plan(recipe, facts, machine=Machine(cores=2, memory=64 * 2**30))


def train(plan: Any) -> int:
    """Bytes that two steps took as a fit takes them, on two scans that are held in memory."""
    import torch

    from segwright.sample.case import SampleCase
    from segwright.train.fold import FoldData, FoldRun

    edges = [n + 2 * side for n, side in zip(plan.sample.patch, plan.net.context, strict=True)]
    rng = np.random.default_rng(0)
    cases = []
    for number in range(2):
        image = rng.normal(size=(1, *edges)).astype(np.float32)
        label = ((image > 0.5).astype(np.int16) + (image > 1.5)).astype(np.int16)
        spots = {k: np.argwhere(label[0] == k + 1)[:100] for k in range(2)}
        cases.append(SampleCase(image, label, spots, f"case-{number}"))
    before = psutil.Process().memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        FoldRun(plan, 0, Path(folder), torch.device("cpu")).run(FoldData(cases, cases))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def alone(name: str, sink: Any) -> None:
    """One plan in a process of its own, after a tiny one that loads what all of them need."""
    plan = plan_of(name)
    tiny = plan_of("2-D")
    net = tiny.net.model_copy(update={"widths": tuple(2 for _ in tiny.net.widths)})
    sample = tiny.sample.model_copy(update={"patch": (1, 64, 64)})
    train(tiny.model_copy(update={"net": net, "sample": sample}))
    sink.send(train(plan))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(PLANS))
    asked = parser.parse_args()
    import segwright.train.fold  # noqa: F401  loaded once; every plan gets a fork of this process
    from segwright.api.provenance import describe_machine

    kept = {row["plan"]: row for row in json.loads(RESULT.read_text())["rows"]} if RESULT.exists() else {}
    for name in asked.only or PLANS:
        mouth, sink = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.get_context("fork").Process(target=alone, args=(name, sink))
        child.start()
        measured = mouth.recv()
        child.join()
        plan = plan_of(name)
        ratio = plan.memory["train"] / measured
        kept[name] = {
            "plan": name, "patch": plan.sample.patch, "batch": plan.train.batch, "widths": plan.net.widths,
            "forecast_gb": round(plan.memory["train"] / 2**30, 3), "measured_gb": round(measured / 2**30, 3),
            "ratio": round(ratio, 3),
        }  # fmt: skip
        print(f"{name:22} {kept[name]['forecast_gb']:7.2f} {kept[name]['measured_gb']:7.2f} {ratio:6.2f}", flush=True)
        rows = list(kept.values())
        inside = sum(LOW <= row["ratio"] <= HIGH for row in rows)
        mean = math.exp(sum(math.log(row["ratio"]) for row in rows) / len(rows))
        told = {"machine": describe_machine(), "rows": rows, "within": inside, "mean_ratio": round(mean, 3)}
        RESULT.write_text(json.dumps(told, indent=1) + "\n")
    print(f"{inside} of {len(rows)} within {LOW} and {HIGH}")


if __name__ == "__main__":
    main()
