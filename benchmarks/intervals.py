"""Do 95 % intervals hold the true mean in 95 of 100 studies, also of few patients?

    python benchmarks/intervals.py [--studies 10000]

Draws studies of a few groups (patients) of three cases each, and of 1 to 6 cases, whose scores vary by group as much as
within, and counts how often the intervals that reports give hold the true value, and how often a comparison of two
equal methods excludes 0. Beside each stands the percentile bootstrap over groups, which reports gave before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.seed import derive
from segwright.evaluation.interval import NO_BOUNDS, Bounds, interval, mean_bounds

RESULTS = Path(__file__).resolve().parent / "results" / "intervals.json"
GROUPS = (4, 5, 8, 12, 20, 40, 60)
#: Cases of each group in turn.
SIZES = {"3 cases a group": (3,), "1 to 6 cases a group": (1, 6, 2, 3, 5, 1, 4)}
#: Share of the variance of scores that lies between groups.
ALIKE = 0.5
#: Draws of the bootstrap, and studies it is tried on.
RESAMPLES, TRIED = 500, 1000

Floats = NDArray[np.float64]


class Kind(NamedTuple):
    """Scores as a function of a standard normal, and the range that the report knows of them."""

    about: str
    score: Callable[[Floats], Floats]
    bounds: Bounds


KINDS = {
    "normal": Kind("normal scores without a range", lambda z: z, NO_BOUNDS),
    "difference": Kind("differences of two equal methods", lambda z: 0.02 * z, (-1.0, 1.0)),
    "dice": Kind("Dice of 0.9, give or take 0.05", lambda z: np.clip(0.9 + 0.05 * z, 0, 1), (0.0, 1.0)),
    "skewed dice": Kind("Dice of 0.87, skewed (normal log-odds)", lambda z: 1 / (1 + np.exp(-2 - 0.6 * z)), (0.0, 1.0)),
    "distance": Kind("distances of 5 mm and more, skewed", lambda z: 4 + np.exp(0.5 * z), (0.0, None)),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000)
    studies = parser.parse_args().studies
    rows = []
    for sizes, cycle in SIZES.items():
        print(f"\n{sizes:38}" + "".join(f"{groups:>14}" for groups in GROUPS))
        for name in [*KINDS, "pooled F1"]:
            found = [measured(name, np.resize(cycle, groups), studies) for groups in GROUPS]
            about = KINDS[name].about if name in KINDS else "F1 of all objects, 20 a case"
            print(f"{about[:38]:38}" + "".join(f"{100 * ours:7.1f} ({100 * old:4.1f})" for ours, old in found))
            rows += [
                {
                    "scores": name,
                    "sizes": sizes,
                    "groups": groups,
                    "coverage": round(ours, 4),
                    "bootstrap": round(old, 3),
                }
                for groups, (ours, old) in zip(GROUPS, found, strict=True)
            ]
    print("\nPercent of intervals that hold the true value; in brackets, of percentile bootstraps over groups.")
    RESULTS.write_text(json.dumps({"studies": studies, "alike": ALIKE, "rows": rows}, indent=1) + "\n")


def measured(name: str, sizes: NDArray[np.int64], studies: int) -> tuple[float, float]:
    """Share of intervals that hold the true value: ours, and of the bootstrap on some of the studies."""
    rng = derive(0, "intervals", name, len(sizes), int(sizes.sum()))
    if name == "pooled F1":
        above, below, truth = counted(rng, sizes, studies)
        shares = below / below.sum(axis=0)
        whole = above.sum(axis=0) / below.sum(axis=0)
        without = (above.sum(axis=0) - above) / (below.sum(axis=0) - below)
        low, high = interval(whole, without, shares, [(0.0, 1.0)] * studies)
    else:
        kind = KINDS[name]
        truth = float(kind.score(np.random.default_rng(0).normal(size=2_000_000)).mean()) if name != "difference" else 0
        owner = np.repeat(np.arange(len(sizes)), sizes)
        both = rng.normal(size=(len(sizes), studies))[owner], rng.normal(size=(len(owner), studies))
        scores = kind.score(np.sqrt(ALIKE) * both[0] + np.sqrt(1 - ALIKE) * both[1])
        above = np.array([scores[owner == group].sum(axis=0) for group in range(len(sizes))])
        below = np.repeat(sizes[:, None].astype(np.float64), studies, axis=1)
        low, high = mean_bounds(above, below, [kind.bounds] * studies)
    ours = float(np.mean((low <= truth) & (truth <= high)))
    return ours, bootstrapped(rng, above[:, :TRIED], below[:, :TRIED], truth)


def counted(rng: np.random.Generator, sizes: NDArray[np.int64], studies: int) -> tuple[Floats, Floats, float]:
    """Numerators and denominators of F1 by group, whose chance to find an object differs from group to group."""
    objects = 20 * sizes[:, None]
    chance = 1 / (1 + np.exp(-1.5 - 0.5 * rng.normal(size=(len(sizes), studies))))
    hits, false = rng.binomial(objects, chance), rng.binomial(objects, 0.2, size=(len(sizes), studies))
    many = 1 / (1 + np.exp(-1.5 - 0.5 * np.random.default_rng(0).normal(size=2_000_000)))
    truth = 2 * many.mean() / (many.mean() + 1 + 0.2)
    return 2.0 * hits, (hits + objects + false).astype(np.float64), float(truth)


def bootstrapped(rng: np.random.Generator, above: Floats, below: Floats, truth: float) -> float:
    """Share of percentile bootstraps over groups that hold the true value."""
    number = len(above)
    draws = rng.multinomial(number, np.full(number, 1 / number), size=RESAMPLES).astype(np.float64)
    low, high = np.percentile((draws @ above) / (draws @ below), [2.5, 97.5], axis=0)
    return float(np.mean((low <= truth) & (truth <= high)))


if __name__ == "__main__":
    main()
