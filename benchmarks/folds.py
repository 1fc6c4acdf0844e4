"""How much of what a fold takes from all labelled cases would change if it came from its training cases alone.

    python benchmarks/folds.py [--data ../shared/data] [--folds 5] [sets ...]

Intensity range and scale (as CT is normalised by, whatever the set's modality; scans of the same scale only) are given
in standard deviations of the whole set's labelled voxels; start scores as differences of logits. The latter and usual
places are taken from the training cases by `fit`; intensities are those of all, as prepared scans are shared.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from systems import DATA, keep

from segwright.core.case import Dataset
from segwright.core.inspection import CaseFacts
from segwright.io.dataset import open_dataset
from segwright.phantoms.write import write_dataset
from segwright.planning.check import inspect
from segwright.planning.fingerprint import fingerprint, presence_and_share
from segwright.planning.limits import Limits
from segwright.planning.rules.training import share_logits
from segwright.planning.split import make_split


def differences(data: Dataset, folds: int) -> dict[str, Any]:
    """Largest differences over the folds between what all labelled cases and a fold's training cases give."""
    inspection = inspect(data)
    split = make_split(data, inspection.facts, folds, 0)
    names, known = data.labels.names, {fact.case: fact for fact in inspection.facts}
    every = [known[case.id] for case in data.labelled if case.id in known]
    parts = [[known[case] for case in fold.train] for fold in split.folds]
    whole = np.array(fingerprint(data, inspection).foreground)
    shifts = [np.abs(_foreground(part) - whole) / whole[:, 1:2] for part in parts]
    mean, std, low, high = np.max(shifts, axis=(0, 1))
    target = "classes" if data.labels.exclusive else "regions"
    starts = [np.abs(np.subtract(_start(part, names, target), _start(every, names, target))).max() for part in parts]
    found = {"mean": mean, "std": std, "low": low, "high": high, "start_logit": max(starts)}
    return {"cases": len(every), "folds": len(parts), **{name: round(float(value), 4) for name, value in found.items()}}


def _foreground(facts: list[CaseFacts]) -> np.ndarray:
    """Mean, deviation and percentiles 0.5 and 99.5 of labelled voxels, a row a channel."""
    return np.mean([fact.foreground for fact in facts if fact.foreground], axis=0)


def _start(facts: list[CaseFacts], names: tuple[str, ...], target: str) -> tuple[float, ...]:
    presence, share = presence_and_share(facts, names)
    return share_logits(target, [share[name] * presence[name] / len(facts) for name in names], Limits())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the datasets")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--phantoms", type=int, default=20, help="drawn CT of lungs")
    parser.add_argument("sets", nargs="*", default=["abdomen-mri", "teeth"], help="which sets")
    options = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: options.data / name for name in options.sets}
        sets["drawn CT of lobes"] = write_dataset("lobes-ct", Path(folder), cases=options.phantoms) / "scans"
        for name, where in sets.items():
            result[name] = differences(open_dataset(where), options.folds)
            print(name, result[name], flush=True)
    keep("folds", {"sets": result})


if __name__ == "__main__":
    main()
