"""Three networks for liver MRI on the same folds: precision, recall and Dice of every case, and a look for seams.

    python benchmarks/seed4.py [--minutes 15] [--fold 0] [--entry hybrid] [key=value ...]

Reads `abdomen-mri` (liver, among four organs) and `tumour-mri` (FLAIR and T1c, all tumour parts as one) from the data
folder. For one case of each run, scores are predicted with windows as planned and with windows side by side; the seam
index is the mean step of the score across window borders over the mean step elsewhere: 1 means no seams. A picture of
both lies in the run's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from systems import SHORT, Entry, arguments, compete, interval, keep, row

from segwright.api.run import Run
from segwright.core.case import Dataset
from segwright.core.labels import LabelSpace, Structure
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image
from segwright.ops.windows import window_starts
from segwright.prediction.window import predict_slabs
from segwright.prepare.pipeline import prepare_image

METRICS = ("precision", "recall", "dice")
#: Networks, patches and sampling are the source's, at sizes that minutes on two cores can train. Its training is not:
#: a rate that is halved every eighth of the budget ends such short runs before they have learnt (Dice of the liver
#: after 90 s a fold 0.26, 0.34 and 0.29).
ENTRIES = [
    Entry("3d", "liver-tumour-3d", {**SHORT, "width": 8, "patch": (16, 64, 64), "batch": 4, "folds": 3}),
    Entry("2d", "liver-tumour-2d", {**SHORT, "width": 16, "batch": 4, "folds": 3}),
    Entry("hybrid", "liver-tumour-hybrid", {**SHORT, "width": 16, "patch": (3, 192, 192), "batch": 2, "folds": 3}),
]


def tumours(folder: Path) -> Dataset:
    """FLAIR and T1c, with every tumour part as one structure."""
    dataset = open_dataset(folder)
    values = tuple(value for part in dataset.labels.structures for value in part.values)
    space = LabelSpace(structures=(Structure(name="tumour", values=values),))
    return dataset.model_copy(update={"labels": space})


def seams(run: Run, structure: int, out: Path) -> dict[str, float]:
    """Seam index of windows as planned and side by side, for a validation case of the first finished fold."""
    from segwright.prediction.model import Model

    fold = run.finished[0]
    model = Model.load(run.folder, device="cpu", folds=[fold])
    case = next(c for c in run.dataset.cases if c.id == run.split.folds[fold].validation[0])
    prepared = prepare_image(load_image(run.dataset, case), run.plan.prepare).array
    found, scores = {}, {}
    size = tuple(max(d, n // 2 // d * d) for n, d in zip(run.plan.window.size, run.plan.net.divisor, strict=True))
    for name, overlap in (("planned", run.plan.window.overlap), ("side by side", 0.0)):
        window = run.plan.window.model_copy(update={"overlap": overlap, "size": (run.plan.window.size[0], *size[1:])})
        context, divisor = run.plan.net.context, run.plan.net.divisor
        with torch.inference_mode():
            slabs = predict_slabs(prepared, model.forward, window=window, context=context, divisor=divisor)
            score = np.concatenate([part for _, _, part in slabs], axis=1)
        first = score.shape[0] - len(run.plan.labels.structures)
        scores[name] = score[first + structure]
        assert scores[name].shape == prepared.shape[1:], "a slice was not predicted"
        borders = [window_starts(n, s, 0.0)[1:] for n, s in zip(scores[name].shape, window.size, strict=True)]
        found[name] = seam_index(scores[name], borders)
    picture(prepared[0], scores, out)
    return found


def seam_index(score: np.ndarray, borders: list[tuple[int, ...]]) -> float:
    """Mean absolute step across the borders in plane, over the mean step elsewhere."""
    at, off = [], []
    for axis in (1, 2):
        step = np.abs(np.diff(score, axis=axis))
        mask = np.zeros(step.shape[axis], dtype=bool)
        mask[[b - 1 for b in borders[axis]]] = True
        at.append(np.compress(mask, step, axis=axis).ravel())
        off.append(np.compress(~mask, step, axis=axis).ravel())
    inside, outside = np.concatenate(at), np.concatenate(off)
    return float(inside.mean() / outside.mean()) if inside.size else float("nan")


def picture(image: np.ndarray, scores: dict[str, np.ndarray], out: Path) -> None:
    """Image and scores of the slice with most of the structure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    z = int(np.argmax(scores["planned"].sum(axis=(1, 2))))
    figure, axes = plt.subplots(1, 1 + len(scores), figsize=(4 * (1 + len(scores)), 4.3))
    axes[0].imshow(image[z], cmap="gray")
    axes[0].set_title("image")
    for axis, (name, score) in zip(axes[1:], scores.items(), strict=True):
        axis.imshow(score[z], cmap="magma", vmin=0, vmax=1)
        axis.set_title(f"scores, windows {name}")
    for axis in axes:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)


def per_case(run: Run, structure: str) -> dict[str, dict[str, float | None]]:
    """Precision, recall and Dice of each case."""
    cases: dict[str, dict[str, float | None]] = {}
    for score in run.report.scores:
        if score.structure == structure and score.metric in METRICS:
            cases.setdefault(score.case, {})[score.metric] = score.value
    return cases


def main() -> None:
    options = arguments(__doc__, minutes=15, out="runs/seed4")
    sets = {"liver": ("abdomen-mri", open_dataset), "tumour": ("tumour-mri", tumours)}
    result: dict[str, Any] = {}
    for name, (folder, opened) in sets.items():
        if not (options.data / folder).exists():
            continue
        runs = compete(opened(options.data / folder), ENTRIES, options.out / name, options)
        result[name] = {}
        for model, run in runs.items():
            index = [each.lower() for each in run.plan.labels.names].index(name)
            structure = run.plan.labels.names[index]
            found = row(run, (structure,), METRICS)
            found["minutes"], found["cases"] = options.minutes, per_case(run, structure)
            found["seam_index"] = seams(run, index, options.out / name / model / "seams.png")
            result[name][model] = found
            show(name, model, found, structure)
    keep("seed4", {"overrides": options.wishes, "rows": result})


def show(name: str, model: str, found: dict[str, Any], structure: str) -> None:
    """The seed's kind of table."""
    print(f"\n{name}, {model}: seam index {found['seam_index']}")
    for metric in METRICS:
        values = [row.get(metric) for row in found["cases"].values()]
        cells = " ".join(f"{value:6.3f}" if value is not None else "     -" for value in values)
        print(f"  {metric:10}{cells}   {interval(found['scores'][f'{structure}/{metric}'])}")


if __name__ == "__main__":
    main()
