"""Look-alike structures in a row, out of fold by patient: named by their order, and as independent sigmoids.

Two fits of the same folds and budget: the defaults, which recognise the row (target `chain`), and `target=regions`, in
which every structure is a sigmoid of its own, as in the course project this stands for.

    python benchmarks/ordered_chain.py DATA [--minutes 20] [--folds 3] [--only 0] [--steps N] [--set size=[256,96]]

A predicted vertebra is a connected component of a predicted structure, at least `LEAST` of a usual reference in size.
It is right if, of all reference structures, it overlaps most with its own, and wrong if that is another or none.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import segwright
from segwright.api.out_of_fold import JudgedCase
from segwright.api.provenance import describe_machine
from segwright.api.run import Run
from segwright.api.finalize import final_chain
from segwright.core.seed import derive
from segwright.ops.components import component_sizes, label_components
from segwright.planning.recipe_book import parse_overrides

RESULTS = Path(__file__).parent / "results" / "ordered_chain.json"
VARIANTS: dict[str, dict[str, Any]] = {"ordered": {}, "independent sigmoids": {"target": "regions"}}
#: Components smaller than this share of the median reference structure of a case are specks, not vertebrae.
LEAST = 0.15
DRAWS = 2000


@dataclass(frozen=True)
class Judged:
    """One case: Dice of each structure; for each predicted vertebra its structure and that it lies on (-1: none)."""

    case: str
    group: str
    dice: tuple[float, ...]
    pairs: tuple[tuple[int, int], ...]
    references: int

    @property
    def right(self) -> int:
        """Predicted vertebrae with the right name."""
        return sum(named == lies for named, lies in self.pairs)

    @property
    def whole(self) -> bool:
        """Every reference found once and named rightly, and nothing else predicted."""
        return self.right == len(self.pairs) == self.references == len({named for named, _ in self.pairs})

    @property
    def shifted(self) -> bool:
        """Most vertebrae carry the name of the neighbour on the same side."""
        steps = [lies - named for named, lies in self.pairs if lies >= 0]
        return any(2 * steps.count(step) > len(self.pairs) for step in (-1, 1))


def judge(case: JudgedCase, labels: NDArray[Any]) -> Judged:
    """Compare the prediction of a case with its reference."""
    space = case.run.plan.labels
    reference = case.reference()
    masks = [space.mask(reference, index) for index in range(len(space.names))]
    sizes = [int(np.count_nonzero(mask)) for mask in masks]
    usual = float(np.median([size for size in sizes if size] or [0]))
    dice, pairs = [], []
    for index, mask in enumerate(masks):
        found = space.mask(labels, index)
        total = sizes[index] + int(np.count_nonzero(found))
        dice.append(2 * int(np.count_nonzero(found & mask)) / total if total else np.nan)
        parts, count = label_components(found)
        for number, size in enumerate(component_sizes(parts, count), start=1):
            if size >= LEAST * usual:
                overlaps = [int(np.count_nonzero(mask & (parts == number))) for mask in masks]
                pairs.append((index, int(np.argmax(overlaps)) if max(overlaps) else -1))
    return Judged(case.case, case.group, tuple(dice), tuple(pairs), sum(size > 0 for size in sizes))


def interval(values: Sequence[tuple[str, float, float]]) -> dict[str, float]:
    """Ratio of sums of `(group, top, bottom)` and its 95 % bootstrap interval over groups."""
    groups = sorted({group for group, _, _ in values})
    table = np.array([[sum(v[i] for v in values if v[0] == group) for i in (1, 2)] for group in groups])
    draws = derive(0, "bootstrap").integers(0, len(groups), (DRAWS, len(groups)))
    sums = table[draws].sum(axis=1)
    ratios = sums[:, 0] / np.maximum(sums[:, 1], 1e-9)
    low, high = np.percentile(ratios, (2.5, 97.5))
    mean = table[:, 0].sum() / max(table[:, 1].sum(), 1e-9)
    return {"value": round(float(mean), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def summary(cases: Sequence[Judged], names: Sequence[str]) -> dict[str, Any]:
    """All numbers of a variant."""
    means = [(c.group, float(np.nanmean(c.dice)), 1.0) for c in cases if not np.isnan(c.dice).all()]
    per_name = {
        name: interval([(c.group, c.dice[i], 1.0) for c in cases if not np.isnan(c.dice[i])])
        for i, name in enumerate(names)
    }
    return {
        "cases": len(cases),
        "patients": len({c.group for c in cases}),
        "mean Dice": interval(means),
        "right class": interval([(c.group, float(c.right), float(len(c.pairs))) for c in cases]),
        "all right": interval([(c.group, float(c.whole), 1.0) for c in cases]),
        "shifted by one": interval([(c.group, float(c.shifted), 1.0) for c in cases]),
        "predicted a case": round(float(np.mean([len(c.pairs) for c in cases])), 2),
        "Dice": per_name,
    }


def judged_cases(run: Run) -> Iterator[Judged]:
    """Every out-of-fold case of the finished folds."""
    chain = final_chain(run)
    for fold in run.finished:
        for case in run.split.folds[fold].validation:
            judged = JudgedCase(run, case, fold)
            yield judge(judged, judged.predicted(chain))


def fit(data: Path, variant: str, options: argparse.Namespace) -> tuple[Run, float]:
    """A fresh run of a variant, and its wall-clock seconds."""
    folder = options.out / variant.replace(" ", "-")
    begun = (folder / "plan.json").exists()
    if folder.exists() and not (options.keep and begun):
        shutil.rmtree(folder)
    settings = {**VARIANTS[variant], **parse_overrides(options.set or []), "folds": options.folds}
    settings |= {"steps": options.steps} if options.steps else {"minutes": options.minutes}
    start = time.perf_counter()
    if options.keep and (folder / "report").exists():
        return Run.open(folder), 0.0
    run = segwright.fit(data, out=folder, only=options.only, resume=folder.exists(), **settings)
    return run, time.perf_counter() - start


def told(name: str, row: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [f"{row[key]['value']:.3f} ({row[key]['low']:.3f} to {row[key]['high']:.3f})"
             for key in ("mean Dice", "right class", "all right", "shifted by one")]  # fmt: skip
    return f"| {name} | " + " | ".join(cells) + f" | {row['predicted a case']} |"


def main() -> None:
    """Fit both variants, print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0, help="of each variant")
    parser.add_argument("--steps", type=int, help="a fold, instead of minutes")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--only", type=int, nargs="*", help="folds to train; all by default")
    parser.add_argument("--set", nargs="*", help="recipe fields, e.g. size=[256,96]")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("runs/ordered-chain"))
    parser.add_argument("--keep", action="store_true", help="judge runs that are there instead of fitting again")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = {}
    for variant in options.variants:
        run, seconds = fit(options.data, variant, options)
        plan = run.plan
        rows[variant] = summary(list(judged_cases(run)), plan.labels.names)
        rows[variant] |= {
            "seconds": round(seconds),
            "target": plan.target,
            "fit": plan.prepare.fit,
            "widths": plan.net.widths,
        }
        print(told(variant, rows[variant]), flush=True)
    columns = ("", "mean Dice (95 %)", "right class", "all right", "shifted by one", "predicted a case")
    head = "\n".join(["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"])
    print("\n".join(["", head, *(told(name, row) for name, row in rows.items())]))
    budget = {"steps": options.steps} if options.steps else {"minutes": options.minutes}
    document = {"data": options.data.name, "budget": budget, "folds": options.folds, "only": options.only,
                "machine": describe_machine(), "variants": rows}  # fmt: skip
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
