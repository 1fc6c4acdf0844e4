"""Whether masks are worth what they promise: bounds, flags and order of doubt on scans that nothing has seen.

    python benchmarks/quality.py [SET ...] [--data ../shared/data] [--minutes 5] [--parts 3] [--only 0 ...] [--out FOLDER]

Nested: patients are dealt into `--parts`; for each part a system is fitted on the others over its own folds, which also
teach it what its signals mean, and then predicts the part, which neither trained nor calibrated it. Every scan of the
part is also predicted with a planted fault (blur, noise, another window, upside down, half of the field, another voxel
size, a scan of another set). Kept in `benchmarks/results/quality.json`, and pooled over sets.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata, spearmanr

import segwright
from segwright.api.provenance import describe_machine
from segwright.core.case import Case, Dataset
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images
from segwright.metrics.table import score_case
from segwright.prediction.model import Model
from segwright.quality.judgement import volumes_of

RESULTS = Path(__file__).with_name("results") / "quality.json"
SETS = ("hippocampus", "chest", "teeth", "spine-masks")
#: A natural failure has a Dice below this share of its set's median.
FAILED = 0.7

Array = np.ndarray
Change = Callable[[Array, np.random.Generator], Array]


def blur(image: Array, rng: np.random.Generator) -> Array:
    sigma = [0.0 if n == 1 else n / 40 for n in image.shape[1:]]
    return np.stack([gaussian_filter(one, sigma) for one in image])


def noise(image: Array, rng: np.random.Generator) -> Array:
    return image + rng.normal(0, 0.7 * image.std(), image.shape)


def window(image: Array, rng: np.random.Generator) -> Array:
    low, high = np.quantile(image, [0.6, 0.95])
    return np.clip(image, low, high)


def upside_down(image: Array, rng: np.random.Generator) -> Array:
    return image[:, :, ::-1]


def half(image: Array, rng: np.random.Generator) -> Array:
    return image[..., : image.shape[-1] // 2]


#: What may go wrong with a scan; the geometry of all but `spacing` stays.
FAULTS: dict[str, Change] = {"blur": blur, "noise": noise, "window": window, "upside down": upside_down, "half": half}


def spoiled(volume: Volume, fault: str, other: Volume | None, rng: np.random.Generator) -> Volume | None:
    """The scan with a fault; `None` where it cannot have it."""
    image, geometry = volume.array().astype(np.float64), volume.geometry
    if fault == "spacing":
        known = None not in geometry.spacing[geometry.shape[0] == 1 :]
        steps = [None if s is None else 2 * s for s in geometry.spacing]
        return Volume.of(image[0], Geometry.from_spacing(geometry.shape, steps)) if known else None
    if fault == "other set":
        return other
    changed = FAULTS[fault](image, rng)[0]
    return Volume.of(
        changed, geometry if changed.shape == geometry.shape else Geometry.from_spacing(changed.shape, geometry.spacing)
    )


def row_of(model: Model, dataset: Dataset, case: Case, truth: Array | None) -> dict[str, Any]:
    """What a scan's mask promised, and what it was worth."""
    answer = model.segment(dataset, case)
    quality, space = answer.quality, answer.space
    assert quality is not None
    row: dict[str, Any] = {"case": case.id, "flagged": quality.flagged, "reasons": list(quality.reasons),
                           "expected": quality.expected_dice}  # fmt: skip
    if truth is None:
        return row
    dice = {one.structure: one.value for one in score_case(space, truth, answer.labels, metrics=["dice"])}
    volumes = volumes_of(truth, space, answer.geometry, quality.unit)
    row["structures"] = {
        name: {"dice": dice.get(name), "volume": volumes[name], "promised": one.model_dump()}
        for name, one in quality.structures.items()
    }
    return row


def parts_of(dataset: Dataset, count: int) -> list[set[str]]:
    """Patients dealt into parts."""
    groups = sorted({case.group for case in dataset.labelled})
    order = np.random.default_rng(0).permutation(len(groups))
    return [{groups[i] for i in order[part::count]} for part in range(count)]


def judged(
    folder: Path, others: list[Volume], out: Path, minutes: float, parts: int, only: list[int]
) -> Iterator[dict[str, Any]]:
    """All held-out scans of a set, each as it is and with a fault."""
    dataset, rng = open_dataset(folder), np.random.default_rng(0)
    for part in only:
        held = parts_of(dataset, parts)[part]
        train = dataset.model_copy(update={"cases": tuple(c for c in dataset.labelled if c.group not in held)})
        place = out / folder.name / str(part)
        run = segwright.Run.open(place) if (place / "model").exists() else segwright.fit(
            train, out=place, minutes=minutes, device="cpu", listen=print_few
        )  # fmt: skip
        model = run.model
        for number, case in enumerate(c for c in dataset.labelled if c.group in held):
            volume = load_image(dataset, case)
            sound = row_of(model, dataset, case, load_label(dataset, case, volume.geometry))
            yield {**sound, "set": folder.name, "part": part, "fault": ""}
            faults = [*FAULTS, "spacing", "other set"]
            fault = faults[number % len(faults)]
            changed = spoiled(volume, fault, others[number % len(others)] if others else None, rng)
            if changed is not None and len(dataset.channels) == 1:
                yield {**faulty(model, changed, case, place), "set": folder.name, "part": part, "fault": fault}


def faulty(model: Model, volume: Volume, case: Case, place: Path) -> dict[str, Any]:
    """A changed scan from its file; one that is refused counts as flagged."""
    folder = place / "faulty"
    shutil.rmtree(folder, ignore_errors=True)
    segwright.io.write(volume, folder / "scan.nii.gz")
    scans = open_images(folder, model.plan.channels, flat=model.plan.flat, upright=model.plan.upright)
    try:
        return {**row_of(model, scans, scans.cases[0], None), "case": case.id}
    except segwright.SegwrightError as error:
        return {"case": case.id, "flagged": True, "reasons": [str(error)], "expected": 0.0}


def print_few(event: object) -> None:
    if type(event).__name__ in {"Stage", "End", "Note"}:
        print("  ", str(event)[:150], flush=True)


def auroc(doubt: Array, wrong: Array) -> float | None:
    """Probability that a wrong one is doubted more than a right one."""
    bad, good = int(wrong.sum()), int((~wrong).sum())
    return float((rankdata(doubt)[wrong].sum() - bad * (bad + 1) / 2) / (bad * good)) if bad and good else None


def aurc(doubt: Array, loss: Array) -> float:
    """Area under the curve of mean loss over coverage, the least doubted first."""
    return float(np.mean(np.cumsum(loss[np.argsort(doubt, kind="stable")]) / np.arange(1, len(loss) + 1)))


def doubt_of(row: dict[str, Any]) -> float:
    return float(row["flagged"]) + 1 - (row["expected"] if row["expected"] is not None else 0.5)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of some scans."""
    sound = [row for row in rows if not row["fault"]]
    pairs = [one for row in sound for one in row["structures"].values() if one["dice"] is not None]
    bound = [one for one in pairs if one["promised"]["lower"] is not None]
    sized = [one for one in pairs if one["promised"]["volume_low"] is not None and one["volume"]]
    mean = np.array(
        [np.mean([o["dice"] for o in row["structures"].values() if o["dice"] is not None] or [0]) for row in sound]
    )
    doubt = np.array([doubt_of(row) for row in sound])
    medians = {name: np.median(mean[[row["set"] == name for row in sound]]) for name in {row["set"] for row in sound}}
    failed = np.array([value < FAILED * medians[row["set"]] for value, row in zip(mean, sound, strict=True)])
    every = np.array([doubt_of(row) for row in rows])
    planted = np.array([bool(row["fault"]) for row in rows])
    return {
        "scans": len(sound),
        "bound held": held([one["dice"] >= one["promised"]["lower"] for one in bound]),
        "bound below expected": rounded(np.mean([o["promised"]["expected_dice"] - o["promised"]["lower"] for o in bound])) if bound else None,
        "volume held": held([one["promised"]["volume_low"] <= one["volume"] <= one["promised"]["volume_high"] for one in sized]),
        "spearman": rounded(spearmanr(-doubt, mean).statistic),
        "failures": int(failed.sum()),
        "auroc of failures": rounded(auroc(doubt, failed)),
        "auroc of faults": rounded(auroc(every, planted)),
        "flagged when sound": rounded(np.mean([row["flagged"] for row in sound])),
        "faults flagged": {f: f"{sum(r['flagged'] for r in rows if r['fault'] == f)} of {sum(r['fault'] == f for r in rows)}"
                           for f in sorted({row["fault"] for row in rows} - {""})},
        "aurc": rounded(aurc(doubt, 1 - mean)),
        "aurc of the oracle": rounded(aurc(-mean, 1 - mean)),
        "mean dice": rounded(mean.mean()),
        "expected dice": rounded(np.mean([row["expected"] for row in sound if row["expected"] is not None])),
    }  # fmt: skip


def held(found: list[bool]) -> str:
    return f"{sum(found)} of {len(found)} ({100 * np.mean(found):.1f} %)" if found else "none given"


def rounded(value: Any) -> float | None:
    return None if value is None or np.isnan(value) else round(float(value), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--parts", type=int, default=3)
    parser.add_argument("--only", type=int, nargs="+", default=None)
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"sets": {}, "rows": []}
    for name in options.sets:
        strangers = [other for other in SETS if other != name and (options.data / other).exists()]
        others = [load_image(one, one.labelled[0]) for one in (open_dataset(options.data / s) for s in strangers[:2])]
        only = options.only if options.only is not None else list(range(options.parts))
        rows = list(judged(options.data / name, others, options.out, options.minutes, options.parts, only))
        kept["rows"] = [row for row in kept["rows"] if row["set"] != name] + rows
        kept["sets"][name] = {"minutes": options.minutes, **summary(rows)}
        print(name, json.dumps(kept["sets"][name], indent=1), flush=True)
        kept |= {"date": str(date.today()), "machine": describe_machine(), "pooled": summary(kept["rows"])}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
