"""Jaccard of lungs, heart and clavicles, which overlap, out of fold over all films of `chest`.

    python benchmarks/chest.py [--minutes 30] [--out runs/chest] [key=value ...]

Published on these films (van Ginneken et al. 2006): a second human observer 0.946 for the lungs, 0.878 for the heart,
0.896 for the clavicles. A run that is there already is judged as it is; one that was interrupted goes on.
"""

from __future__ import annotations

from statistics import mean

from systems import Entry, arguments, compete, interval, keep, row

from segwright.io.dataset import open_dataset

HUMAN = {"lungs": 0.946, "heart": 0.878, "clavicles": 0.896}
PARTS = {
    "lungs": ("left_lung", "right_lung"),
    "heart": ("heart",),
    "clavicles": ("left_clavicle", "right_clavicle"),
}


def main() -> None:
    options = arguments(__doc__, minutes=30, out="runs/chest")
    entry = Entry("default", "default", {"size": (256, 256), "folds": 3})
    run = compete(open_dataset(options.data / "chest"), [entry], options.out, options)["default"]
    found = row(run, [part for parts in PARTS.values() for part in parts], ("iou",))
    scores = found["scores"]
    for name, parts in PARTS.items():
        values = [scores[f"{part}/iou"] for part in parts]
        each = "  ".join(f"{part} {interval(value)}" for part, value in zip(parts, values, strict=True))
        print(f"{name:10} {mean(value[0] for value in values):.3f}  human {HUMAN[name]:.3f}   {each}")
    keep("chest", {"minutes": options.minutes, "overrides": options.wishes, **found, "human": HUMAN})


if __name__ == "__main__":
    main()
