"""How often scans of training are flagged as unlike them, and how often others are.

    python benchmarks/domain.py [--data ../shared/data] [--cases 12]

Nothing is trained: what a model would know of its training scans is taken from the real sets. For each set: its own
scans against the record of all of them; against that of four fifths (so that each is new to it); the scans of other
sets with as many channels; and its own scans changed: resampled to twice and half the voxel size, stored with other
axes, cut to the middle half along each axis, one channel in another's place. Kept in `benchmarks/results/domain.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import segwright
from segwright.core.box import Box
from segwright.core.case import Dataset
from segwright.core.domain import Domain
from segwright.core.inspection import CaseFacts
from segwright.core.plan import Plan
from segwright.core.volume import Volume
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image
from segwright.ops.appearance import appearance
from segwright.ops.resample import resample
from segwright.planning.domain import domain_of, seen_in
from segwright.prediction.admit import admit

RESULTS = Path(__file__).with_name("results") / "domain.json"
SETS = ("hippocampus", "abdomen-mri", "tumour-mri", "lung-lobes", "vertebrae-mr", "ct-organs",
        "chest", "teeth", "spine-masks", "spine-dicom")  # fmt: skip


@dataclass
class Known:
    """A set, what would be planned for it, and the facts of its cases."""

    dataset: Dataset
    plan: Plan
    facts: list[CaseFacts]

    def domain(self, without: set[str] | None = None) -> Domain:
        return domain_of(self.plan, self.dataset, [fact for fact in self.facts if fact.case not in (without or set())])


def known(folder: Path) -> Known:
    dataset = open_dataset(folder)
    inspection = segwright.inspect(dataset)
    labelled = {case.id for case in dataset.labelled}
    return Known(
        dataset, segwright.plan(dataset, inspection=inspection), [f for f in inspection.facts if f.case in labelled]
    )


def flagged(domain: Domain, volume: Volume, plan: Plan) -> bool:
    return bool(admit(volume, appearance([volume.array()]), plan, domain=domain))


def share(found: list[bool]) -> str:
    return f"{sum(found)}/{len(found)}" if found else "-"


def held_out(one: Known) -> list[bool]:
    """Each case against a record made without it and a fifth of the others."""
    groups = sorted({fact.group for fact in one.facts})
    fold = {
        group: int(n) for group, n in zip(groups, np.random.default_rng(0).permutation(len(groups)) % 5, strict=True)
    }
    found = []
    for number in range(5):
        out = {fact.case for fact in one.facts if fold[fact.group] == number}
        if out and len(out) < len(one.facts):
            domain = one.domain(out)
            found += [bool(domain.reasons(seen_in(fact, one.plan))) for fact in one.facts if fact.case in out]
    return found


def at(factor: float) -> Callable[[Volume], Iterator[Volume]]:
    """The scan with voxels of other edges over the same field."""

    def change(volume: Volume) -> Iterator[Volume]:
        grid, flat = volume.geometry, volume.geometry.shape[0] == 1
        if None in grid.spacing[1:] or (not flat and grid.spacing[0] is None):
            return
        shape = [n if flat and not axis else max(1, round(n / factor)) for axis, n in enumerate(grid.shape)]
        yield Volume.of(resample(volume.array().astype(np.float32), shape), grid.resample(shape))

    return change


def otherwise(volume: Volume) -> Iterator[Volume]:
    """The scan stored with two axes exchanged and one reversed."""
    if volume.geometry.shape[0] == 1 or not all(volume.geometry.known):
        return
    array = volume.array().transpose(0, 1, 3, 2)[:, ::-1]
    yield Volume.of(array, volume.geometry.permute((0, 2, 1)).flip((0,)))


def cropped(volume: Volume) -> Iterator[Volume]:
    for axis in range(3):
        n = volume.geometry.shape[axis]
        if n < 4:
            continue
        start, stop = [0, 0, 0], list(volume.geometry.shape)
        start[axis], stop[axis] = n // 4, n // 4 + n // 2
        box = Box(tuple(start), tuple(stop))
        yield Volume.of(volume.array(box), volume.geometry.crop(box))


def exchanged(volume: Volume) -> Iterator[Volume]:
    """One channel twice, two channels in each other's place, and one left empty."""
    array = volume.array()
    for other in range(1, len(array)):
        for order in (
            [*range(other), 0, *range(other + 1, len(array))],
            [other, *range(1, other), 0, *range(other + 1, len(array))],
        ):
            yield Volume.of(array[order], volume.geometry)
        empty = array.copy()
        empty[other] = 0
        yield Volume.of(empty, volume.geometry)


CHANGES = {"x 2": at(2), "/ 2": at(0.5), "other axes": otherwise, "half a field": cropped, "channels": exchanged}


def row(name: str, sets: dict[str, Known], most: int) -> dict[str, Any]:
    one, domain = sets[name], sets[name].domain()
    found = {
        "own": [bool(domain.reasons(seen_in(fact, one.plan))) for fact in one.facts],
        "held out": held_out(one),
        "other sets": [
            bool(domain.reasons(seen_in(fact, one.plan)))
            for other, them in sets.items()
            if other != name and len(them.plan.channels) == len(one.plan.channels)
            for fact in them.facts
        ],
    }
    cases = list(one.dataset.labelled)[:: max(1, len(one.dataset.labelled) // most)][:most]
    for title, change in CHANGES.items():
        volumes = (load_image(one.dataset, case) for case in cases)
        found[title] = [flagged(domain, other, one.plan) for volume in volumes for other in change(volume)]
    print(f"{name:13}" + "".join(f"{share(values):>13}" for values in found.values()), flush=True)
    return {title: {"flagged": sum(values), "of": len(values)} for title, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cases", type=int, default=12, help="that are changed, of each set")
    options = parser.parse_args()
    sets = {name: known(options.data / name) for name in SETS if (options.data / name).exists()}
    print(f"{'flagged':13}" + "".join(f"{title:>13}" for title in ("own", "held out", "other sets", *CHANGES)))
    rows = {name: row(name, sets, options.cases) for name in sets}
    total = {
        title: [sum(r[title][key] for r in rows.values()) for key in ("flagged", "of")]
        for title in next(iter(rows.values()))
    }
    print(f"{'all':13}" + "".join(f"{f'{a}/{b}':>13}" for a, b in total.values()))
    RESULTS.write_text(json.dumps({"rows": rows, "all": total}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
