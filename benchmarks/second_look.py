"""Are labels that were spoiled on purpose found again, and how many sound ones are doubted with them?

    python benchmarks/second_look.py [--minutes 8] [--every 10] [--seed 0]

Copies `chest` (120 films, five overlapping structures), spoils every tenth label in one of four ways in turn (lungs
exchanged, heart left out, a clavicle left out, heart where there is none), fits three folds to the copy, and compares
the cases that the report names as worth a second look with those that were spoiled.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from systems import keep, parsed, parser

from segwright.api.fit import fit
from segwright.api.run import Run
from segwright.core.seed import derive

Spoil = Callable[[Path, str], None]


def main() -> None:
    choices = parser(__doc__, minutes=8, out="runs/second-look")
    choices.add_argument("--every", type=int, default=10, help="one case in so many is spoiled")
    choices.add_argument("--seed", type=int, default=0, help="which cases")
    options = parsed(choices)
    folder = options.out / "scans"
    if options.out.exists():
        shutil.rmtree(options.out)
    shutil.copytree(options.data / "chest", folder)
    spoiled = spoil(folder, options.every, options.seed)
    run = fit(
        folder, out=options.out / "run", folds=3, minutes=options.minutes, **{"size": (256, 256), **options.wishes}
    )
    result = judged(run, spoiled)
    print(f"{result['found']} of {result['spoiled']} spoiled labels found, {len(result['doubted'])} sound ones doubted")
    for case, how in spoiled.items():
        print(f"  {case}: {how}: {'; '.join(result['told'].get(case, ['not found']))}")
    for case in result["doubted"]:
        print(f"  {case}, sound: {'; '.join(result['told'][case])}")
    keep("second_look", {"minutes": options.minutes, "every": options.every, "spoiled_cases": spoiled, **result})


def spoil(folder: Path, every: int, seed: int) -> dict[str, str]:
    """Spoil one case in so many; returns which, and how."""
    cases = sorted(path.stem for path in (folder / "images").iterdir())
    chosen = derive(seed, "spoil").choice(cases, len(cases) // every, replace=False)
    ways = list(WAYS)
    spoiled = {str(case): ways[number % len(ways)] for number, case in enumerate(chosen)}
    for case, way in spoiled.items():
        WAYS[way](folder / "masks", case)
    return spoiled


def judged(run: Run, spoiled: dict[str, str]) -> dict[str, object]:
    """What the report says of spoiled and of sound cases."""
    told: dict[str, list[str]] = {}
    for finding in run.report.findings:
        told.setdefault(finding.where, []).append(finding.what)
    mean = run.report.aggregate("mean", "dice")
    return {
        "cases": len(run.dataset.labelled),
        "dice": mean.mean if mean else None,
        "spoiled": len(spoiled),
        "found": len(told.keys() & spoiled.keys()),
        "doubted": sorted(told.keys() - spoiled.keys()),
        "told": told,
    }


def _exchange(masks: Path, case: str) -> None:
    left, right = (masks / name / f"{case}.png" for name in ("left_lung", "right_lung"))
    both = left.read_bytes(), right.read_bytes()
    right.write_bytes(both[0])
    left.write_bytes(both[1])


def _empty(masks: Path, case: str, name: str) -> None:
    file = masks / name / f"{case}.png"
    with Image.open(file) as image:
        blank = Image.new(image.mode, image.size)
    blank.save(file)


def _elsewhere(masks: Path, case: str) -> None:
    """The heart at the top of the film, where only neck and shoulders are."""
    file = masks / "heart" / f"{case}.png"
    with Image.open(file) as image:
        mask = np.asarray(image) > 0
    rows, columns = np.nonzero(mask)
    moved = np.zeros_like(mask)
    moved[rows - rows.min(), np.minimum(columns - columns.min(), mask.shape[1] - 1)] = True
    Image.fromarray(moved).save(file)


WAYS: dict[str, Spoil] = {
    "lungs exchanged": _exchange,
    "heart left out": lambda masks, case: _empty(masks, case, "heart"),
    "clavicle left out": lambda masks, case: _empty(masks, case, "left_clavicle"),
    "heart elsewhere": _elsewhere,
}


if __name__ == "__main__":
    main()
