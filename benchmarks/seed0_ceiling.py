"""What keeps spine masks from a higher score: would the same vertebrae fit, drawn wider, narrower, higher or lower?

    python benchmarks/seed0_ceiling.py RUN

RUN is a finished run on `spine-masks`, e.g. of `benchmarks/seed0.py`. Every out-of-fold prediction is made wider or
narrower, and higher or lower, in all combinations, at 384 rows; what fits its reference best is kept. Nobody could
know these two numbers of a film, which are its reader's manner of drawing, so what they gain is out of reach.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize
from systems import keep

from segwright.api.out_of_fold import JudgedCase
from segwright.api.run import Run
from segwright.api.finalize import dice, final_chain

ROWS = 384
#: Pixels by which both sides move out, or in.
HEIGHTS, WIDTHS = range(-2, 3), range(-4, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = Run.open(parser.parse_args().run)
    chain = final_chain(run)
    rows = {}
    for fold in run.finished:
        for name in run.split.folds[fold].validation:
            case = JudgedCase(run, name, fold)
            rows[name] = fitted(small(case.predicted(chain)), small(case.reference()))
            plain, best, higher, wider = rows[name]
            print(f"{name}: {plain:.3f}, {best:.3f} if {higher:+d} higher and {wider:+d} wider", flush=True)
    table = np.array([row[:2] for row in rows.values()])
    means, medians = table.mean(axis=0), np.median(table, axis=0)
    print(f"{len(rows)} films: mean {means[0]:.3f}, at best {means[1]:.3f}; median {medians[0]:.3f}, {medians[1]:.3f}")
    result = {"mean": means[0], "mean_at_best": means[1], "median": medians[0], "median_at_best": medians[1]}
    keep("seed0_ceiling", {"films": len(rows), **result, "rows": rows})


def small(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """The mask of a flat canonical label at `ROWS` rows."""
    mask = labels[0, 0] > 0
    width = max(1, round(mask.shape[1] * ROWS / mask.shape[0]))
    return resize(mask.astype(float), (ROWS, width), order=1) > 0.5


def fitted(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> tuple[float, float, int, int]:
    """Dice as it is, at best, and the change of height and width that this takes."""
    best = max(
        (dice(reference, moved(moved(prediction, higher, 0), wider, 1)) or 0.0, higher, wider)
        for higher in HEIGHTS
        for wider in WIDTHS
    )
    return dice(reference, prediction) or 0.0, *best


def moved(mask: NDArray[np.bool_], pixels: int, axis: int) -> NDArray[np.bool_]:
    """A mask whose edges along an axis lie that many pixels further out."""
    if not pixels:
        return mask
    reach = np.ones(tuple(2 * abs(pixels) + 1 if axis == own else 1 for own in range(2)), bool)
    return ndimage.binary_dilation(mask, reach) if pixels > 0 else ndimage.binary_erosion(mask, reach)


if __name__ == "__main__":
    main()
