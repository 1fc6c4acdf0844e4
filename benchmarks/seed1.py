"""PDV-Net on lung lobes and V-Net on the hippocampus, each beside the plain U-Net at equal time on the same folds.

    python benchmarks/seed1.py [--minutes 10] [--fold 0] [--entry unet] [key=value ...]

Reads `lung-lobes` and `hippocampus` from the data folder. The systems train as their sources say, for far longer times;
the `-short` rows are the same networks trained like the plain U-Net, to tell the network from its training.
"""

from __future__ import annotations

from systems import SHORT, Entry, arguments, compete, interval, keep, row

from segwright.io.dataset import open_dataset

SETS = {
    "lung-lobes": [
        Entry("unet", "default", {"folds": 4}),
        Entry("pdv-net", "lung-lobes", {"folds": 4}),
        Entry("pdv-net-short", "lung-lobes", {"folds": 4, **SHORT}),
    ],
    "hippocampus": [
        Entry("unet", "default"),
        Entry("vnet", "vnet-prostate", {"width": 8, "levels": 4, "lr": 0.01}),
        Entry("vnet-short", "vnet-prostate", {"width": 8, "levels": 4, **SHORT}),
    ],
}


def main() -> None:
    options = arguments(__doc__, minutes=10, out="runs/seed1")
    result = {}
    for folder, entries in SETS.items():
        if not (options.data / folder).exists():
            continue
        runs = compete(open_dataset(options.data / folder), entries, options.out / folder, options)
        result[folder] = {name: row(run) for name, run in runs.items()}
        print(f"\n{folder}")
        for name, found in result[folder].items():
            steps = "/".join(str(count) for count in found["steps"].values())
            print(f"  {name:14}{interval(found['scores']['mean/dice']):28}{found['cases']:>4} cases  {steps} steps")
    keep("seed1", {"minutes": options.minutes, "overrides": options.wishes, "rows": result})


if __name__ == "__main__":
    main()
