"""How often images tell how a label lies: planted turns and shifts at several contrasts, written as JSON.

python benchmarks/placement.py -o benchmarks/results/placement.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from segwright.io.fit_to_image import judge, look

SHAPE = (12, 40, 44)
TURNS = {"stored": lambda a: a, "slices": lambda a: a[::-1], "moved": lambda a: np.roll(a, 8, axis=1)}


def scene(rng: np.random.Generator, contrast: float) -> tuple[np.ndarray, np.ndarray]:
    """Noise of deviation 1, and a box low in the scan that is brighter by `contrast`."""
    label = np.zeros(SHAPE, np.uint8)
    y, x = rng.integers(3, 20, 2)
    label[1:5, y : y + 8, x : x + 9] = 1
    return rng.normal(0, 1, SHAPE) + contrast * label, label


def trial(rng: np.random.Generator, contrast: float, cases: int) -> str:
    """`right`, `wrong` or `untold` for one set of scans whose labels were turned or moved."""
    planted = str(rng.choice(list(TURNS)))
    looks = []
    for _ in range(cases):
        scan, label = scene(rng, contrast)
        image = np.roll(scan, 8, axis=1) if planted == "moved" else TURNS[planted](scan)
        looks.append({name: look(image[None], turn(label)) for name, turn in TURNS.items()})
    winner = judge(looks).winner
    return "untold" if winner is None else "right" if winner == planted else "wrong"


def main() -> None:
    """Run all contrasts and counts of cases, and write the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("placement.json"))
    parser.add_argument("--sets", type=int, default=100)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []
    for contrast in (0.0, 0.25, 0.5, 1.0, 2.0):
        for cases in (1, 5):
            found = [trial(rng, contrast, cases) for _ in range(chosen.sets)]
            counts = {name: found.count(name) for name in ("right", "untold", "wrong")}
            rows.append({"contrast": contrast, "cases": cases, "sets": chosen.sets, **counts})
    chosen.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
