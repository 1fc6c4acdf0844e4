"""Image folders with equal file names are channels of one case only if they show one scene; else they are sites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import ChoiceError, Reading, SegwrightError
from segwright.core.words import amount
from segwright.io.layouts.content import sample
from segwright.io.layouts.names import CHANNEL_WORDS, tokens

#: Cases looked at; samples an axis that pictures are thinned to.
_LOOKED_AT, _THIN = 8, 96
#: Edges of channels correlate by this much more with their own case's than with another's.
_LEAD = 0.05


def refuse_strangers(dataset: Dataset) -> None:
    """Refuse image folders that were put together as channels though they show different things.

    Folders called after what a channel measures (`t1`, `flair`) are believed; others must have edges where the first
    has them, more than in other cases.

    Raises:
        ChoiceError: They have not; says how to state either reading.
    """
    cases = [case for case in dataset.cases if len(case.images) > 1]
    folders = [Path(source.path).parent.as_posix() for source in cases[0].images] if cases else []
    words = {word for folder in folders for word in tokens(folder)}
    if len(cases) < 2 or len(set(folders)) < len(folders) or words & CHANNEL_WORDS or _one_scene(dataset, cases):
        return
    labels = _label_folders(cases)
    count = amount(len(cases), "case")
    single = [
        Reading(f"{folder} alone: {count} of 1 channel", {"images": folder, "labels": labels}) for folder in folders
    ]
    channels = {"images": folders, "labels": labels}
    raise ChoiceError(
        f"Image folders {' and '.join(folders)} hold equal file names, but their pictures show different things.",
        [*single, Reading(f"channels of one scan: {count} of {len(folders)} channels", channels)],
        dataset.root,
        expected="channels, whose edges lie at the same places, or one folder of images; sites need a folder each with "
        f"images and labels of its own ({folders[0]}/images, {folders[0]}/masks)",
    )


def _label_folders(cases: Sequence[Case]) -> str | dict[str, str]:
    """Where the labels lie, as `labels` in a dataset.yaml says it."""
    named = {source.structure or "": Path(source.path).parent.as_posix() for case in cases for source in case.label}
    return named[""] if set(named) == {""} else named


def _one_scene(dataset: Dataset, cases: Sequence[Case]) -> bool:
    """Whether the channels of a case agree in their edges more than those of different cases do."""
    looked = [edges for case in sample(cases, _LOOKED_AT) if (edges := _edges(dataset, case)) is not None]
    own, other = [], []
    for index, (first, second) in enumerate(looked):
        stranger = looked[(index + 1) % len(looked)][1]
        if first.shape == second.shape == stranger.shape:
            own.append(_correlation(first, second))
            other.append(_correlation(first, stranger))
    if len(own) < 2:
        return all(first.shape == second.shape for first, second in looked)  # sizes differ from case to case
    return float(np.mean(own) - np.mean(other)) >= _LEAD


def _edges(dataset: Dataset, case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Strength of edges in the middle plane of the first two channels; `None` where one cannot be read."""
    try:
        first, second = (_of(dataset, case, index) for index in (0, 1))
    except SegwrightError:
        return None
    return first, second


def _of(dataset: Dataset, case: Case, index: int) -> NDArray[np.float64]:
    source = case.images[index]
    volume = io.read(dataset.path(source), key=source.key)
    middle = volume.data.shape[1] // 2
    plane = volume.data[(slice(0, 1), slice(middle, middle + 1), slice(None), slice(None))][0, 0].astype(np.float64)
    step = max(1, max(plane.shape) // _THIN)
    rows, columns = np.gradient(plane[::step, ::step]) if min(plane.shape) > step else (plane, plane)
    return np.hypot(rows, columns)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum() / size) if size > 0 else 0.0
