"""Image folders with equal file names are channels of one case only if they show one scene; else they are sites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import ChoiceError, Reading, SegwrightError
from segwright.core.words import amount, listed
from segwright.io.layouts.names import CHANNEL_WORDS, tokens

#: Samples an axis that pictures are thinned to.
_THIN = 96
#: Edges of channels correlate by this much more with their own case's than with another's.
_LEAD = 0.05
#: They are strangers in one case if they do so by less than this share of what is usual; without edges nothing is said.
_ODD = 0.25


def refuse_strangers(dataset: Dataset) -> Dataset:
    """The dataset, if image folders that were put together as channels show the same things.

    Folders called after what a channel measures (`t1`, `flair`) are believed; others must have edges where the first
    has them, more than in other cases. A single case in which they have not is told. Costs a read of one plane of each
    channel of all cases.

    Raises:
        ChoiceError: They do not; says how to state either reading.
    """
    cases = [case for case in dataset.cases if len(case.images) > 1]
    folders = [Path(source.path).parent.as_posix() for source in cases[0].images] if cases else []
    words = {word for folder in folders for word in tokens(folder)}
    if len(cases) < 2 or len(set(folders)) < len(folders) or words & CHANNEL_WORDS:
        return dataset
    alike, odd = _compared(dataset, cases)
    if alike:
        return dataset.model_copy(update={"notes": (*dataset.notes, *_told(odd, folders))})
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


def _told(odd: Sequence[str], folders: Sequence[str]) -> list[str]:
    if not odd:
        return []
    return [
        f"Pictures of {' and '.join(folders)} show the same edges in most cases, but not in {listed(odd)}: look "
        "whether they belong together there."
    ]


def _compared(dataset: Dataset, cases: Sequence[Case]) -> tuple[bool, list[str]]:
    """Whether channels agree in their edges more within a case than with another one, and cases in which they do not.

    Where sizes differ from case to case there is no other case to compare with: then channels must share their size.
    """
    looked = {case.id: edges for case in cases if (edges := _edges(dataset, case)) is not None}
    ids, planes = list(looked), list(looked.values())
    odd: dict[str, None] = {}
    for channel in range(1, min((len(one) for one in planes), default=0)):
        own: dict[str, float] = {}
        other = []
        for index, name in enumerate(ids):
            first, second = planes[index][0], planes[index][channel]
            stranger = planes[(index + 1) % len(planes)][channel]
            if first.shape == second.shape == stranger.shape:
                own[name] = _correlation(first, second)
                other.append(_correlation(first, stranger))
        if len(own) < 2:
            return all(one[0].shape == one[channel].shape for one in planes), []
        if float(np.mean(list(own.values())) - np.mean(other)) < _LEAD:
            return False, []
        chance = float(np.median(other))
        least = chance + _ODD * (float(np.median(list(own.values()))) - chance)
        odd |= dict.fromkeys(
            name for name, value in own.items() if value < least and all(looked[name][c].any() for c in (0, channel))
        )
    return True, list(odd)


def _edges(dataset: Dataset, case: Case) -> list[NDArray[np.float64]] | None:
    """Strength of edges in the middle plane of each channel; `None` where one cannot be read."""
    try:
        return [_of(dataset, source) for source in case.images]
    except SegwrightError:
        return None


def _of(dataset: Dataset, source: Source) -> NDArray[np.float64]:
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
