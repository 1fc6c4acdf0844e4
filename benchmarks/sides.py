"""Dice of teeth, whose mirror twins have other names: never flipped, flipped as they are, and with names exchanged.

    python benchmarks/sides.py [--steps 200] [--fold 0] [--out runs/sides] [key=value ...]

All ways train the same number of steps on the same films, so a busy machine changes nothing. `as they are` is what was
done while only words such as left and right told sides: the measured pairs are hidden from the planner.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any
from unittest import mock

from systems import Entry, compete, interval, keep, parsed, parser, row
from teeth import difference, present

from segwright.evaluation.aggregate import MEAN
from segwright.io.dataset import open_dataset

#: As long as it is entered, the planner knows of no pair.
HIDDEN = mock.patch("segwright.planning.rules.sides._pairs", return_value=())
WAYS = {"never": (), "as they are": ("x",), "exchanged": ("x",)}


def main() -> None:
    shared = parser(__doc__, minutes=60, out="runs/sides")
    shared.add_argument("--steps", type=int, default=200, help="training steps of each way")
    options = parsed(shared)
    data = open_dataset(options.data / "teeth")
    runs = {}
    for name, mirror in WAYS.items():
        wishes = {"folds": 3, "mirror": mirror, "steps": options.steps, "postprocess": False}
        with HIDDEN if name == "as they are" else nullcontext():
            runs |= compete(data, [Entry(name, "default", wishes)], options.out, options)
    result: dict[str, Any] = {"steps": options.steps, "overrides": options.wishes, "runs": {}, "minus_never": {}}
    for name, run in runs.items():
        dice = present(run, data.labels.names)
        result["runs"][name] = {"present": dice, "exchange": len(run.plan.exchange.get(2, ())), **row(run)}
        print(f"{name:12} {interval(dice)}  pairs exchanged: {len(run.plan.exchange.get(2, ()))}")
        if name != "never" and "never" in runs:
            result["minus_never"][name] = difference(runs["never"], run, ())
            print(f"{'':12} minus never, paired by case: {interval(result['minus_never'][name][MEAN])}")
    keep("sides", result)


if __name__ == "__main__":
    main()
