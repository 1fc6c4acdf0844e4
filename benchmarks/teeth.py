"""Dice of up to 32 teeth drawn as polygons, out of fold, with and without crops of the smallest classes.

    python benchmarks/teeth.py [--minutes 30] [--fold 0] [--smallest 8] [--out runs/teeth] [key=value ...]

Each way gets `--minutes` for all its folds. A case counts the classes that its reference shows; intervals are over
patients. Crops are enlarged views of the classes that cover the fewest pixels, cut from training cases only. A run
that is there already is judged as it is; one that was interrupted goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from systems import Entry, compete, interval, keep, parsed, parser, row

from segwright.api.explore import explore
from segwright.api.run import Run
from segwright.core.case import Dataset
from segwright.evaluation.aggregate import MEAN, aggregate, structure_means
from segwright.evaluation.compare import compare
from segwright.io.dataset import open_dataset
from segwright.metrics.pair import NOTES

#: Structures that only the prediction shows.
ABSENT = NOTES[1]


def smallest(data: Dataset, count: int) -> dict[str, float]:
    """The structures that cover the smallest part of the image where they are, in the median."""
    shares = {s.name: s.share.median for s in explore(data).exploration.structures if s.share is not None}
    return dict(sorted(shares.items(), key=lambda item: item[1])[:count])


def present(run: Run, structures: Sequence[str]) -> list[float | None]:
    """Mean over cases of the mean Dice over those of the structures that the reference shows, and its interval."""
    rows = [row for row in run.report.scores if row.metric == "dice" and row.note != ABSENT]
    found = next(row for row in aggregate(structure_means(rows, structures)) if row.structure == MEAN)
    return [found.mean, found.low, found.high]


def difference(first: Run, second: Run, names: Sequence[str]) -> dict[str, list[float | None]]:
    """Paired by case: Dice of the second run minus that of the first, of all and of some structures."""
    rows = compare(first.report, second.report, only_common=True).rows
    return {
        row.structure: [row.mean, row.low, row.high]
        for row in rows
        if row.metric == "dice" and row.structure in {MEAN, *names}
    }


def main() -> None:
    shared = parser(__doc__, minutes=30, out="runs/teeth")
    shared.add_argument("--smallest", type=int, default=8, help="classes that get crops")
    shared.add_argument("--share", type=float, default=0.3, help="part of the patches that are crops")
    options = parsed(shared)
    data = open_dataset(options.data / "teeth")
    small = smallest(data, options.smallest)
    print(f"smallest: {', '.join(f'{name} ({share:.2%})' for name, share in small.items())}", file=sys.stderr)
    crops = {"structures": tuple(small), "margin": 0.5, "share": options.share}
    entries = [Entry("whole", "default", {"folds": 3}), Entry("crops", "default", {"folds": 3, "crops": crops})]
    runs = compete(data, entries, options.out, options)
    result: dict[str, Any] = {"minutes": options.minutes, "overrides": options.wishes, "smallest": small, "runs": {}}
    print(f"{'':8} {'all classes':24} {'the smallest':24} folds  steps a fold")
    for name, run in runs.items():
        every, few = present(run, data.labels.names), present(run, tuple(small))
        found = row(run, [MEAN, *data.labels.names])
        result["runs"][name] = {"present": every, "smallest": few, **found}
        steps = ", ".join(str(step) for step in found["steps"].values())
        print(f"{name:8} {interval(every):24} {interval(few):24} {len(run.finished):5}  {steps}")
    if len(runs) == 2:
        result["difference"] = difference(runs["whole"], runs["crops"], tuple(small))
        print(f"crops minus whole, paired by case: {interval(result['difference'][MEAN])}")
        for name in small:
            values = [interval(result["runs"][way]["scores"][f"{name}/dice"]) for way in runs]
            print(f"{name:12} {values[0]:24} {values[1]}")
    keep("teeth", result)


if __name__ == "__main__":
    main()
