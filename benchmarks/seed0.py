"""Four U-Nets for vertebrae in X-rays, each the one before with one part more, on the same three folds.

    python benchmarks/seed0.py [--minutes 20] [--fold 0] [--entry attention] [key=value ...]

Reads `spine-masks` from the data folder. The published figures (another 60 films, private): U-Net 0.718, residual
0.806, with squeeze and excitation 0.849, with attention gates 0.86.
"""

from __future__ import annotations

from systems import Entry, arguments, compete, interval, keep, row

from segwright.io.dataset import open_dataset

PUBLISHED = {"unet": 0.718, "res": 0.806, "se": 0.849, "attention": 0.86}
#: Widths, size and rate are not stated by the source; these hold some hundred steps within minutes on two cores.
WISHES = {"width": 12, "size": (320, 160), "lr": 0.002, "folds": 3}
ENTRIES = [Entry(name, f"spine-scanography-{name}", WISHES) for name in PUBLISHED]


def main() -> None:
    options = arguments(__doc__, minutes=20, out="runs/seed0")
    runs = compete(open_dataset(options.data / "spine-masks"), ENTRIES, options.out, options)
    rows = {name: row(run, (_structure(run),)) for name, run in runs.items()}
    print(f"{'':12}{'Dice (95 % interval)':28}{'by fold':24}{'steps':>16}{'published':>11}")
    for name, found in rows.items():
        dice = interval(next(iter(found["scores"].values())))
        folds = " ".join(f"{value:.3f}" for value in found["by_fold"].values())
        steps = "/".join(str(count) for count in found["steps"].values())
        print(f"{name:12}{dice:28}{folds:24}{steps:>16}{PUBLISHED[name]:>11.3f}")
    keep("seed0", {"minutes": options.minutes, "overrides": options.wishes, "rows": rows, "published": PUBLISHED})


def _structure(run) -> str:
    return run.plan.labels.names[0]


if __name__ == "__main__":
    main()
