"""Finds out what the channels of images are, whether folders of them show one scene, and which scanner made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import GUESS, Case, Dataset, Source
from segwright.core.errors import ChoiceError, Reading, SegwrightError
from segwright.core.volume import Volume
from segwright.core.words import amount, listed
from segwright.io.layouts.names import CHANNEL_WORDS, tokens
from segwright.io.layouts.scan import PROJECTIONS
from segwright.io.masks import are_colours
from segwright.io.protocol import RGB
from segwright.io.sources import volume_of

_WORDS = {
    "ct": "ct", "cta": "ct", "cbct": "ct",
    "mr": "mr", "mri": "mr", "t1": "mr", "t2": "mr", "t1w": "mr", "t2w": "mr", "t1c": "mr", "t1ce": "mr", "t1gd": "mr",
    "t1n": "mr", "t2f": "mr", "flair": "mr", "dwi": "mr", "adc": "mr",
    "xray": "xray", "xr": "xray", "cxr": "xray", "radiograph": "xray", "radiographs": "xray",
    "em": "em", "tem": "em", "sem": "em", "fibsem": "em", "sstem": "em", "sbem": "em", "sbfsem": "em",
}  # fmt: skip
#: Volumes that are read to guess a scanner, and the value that only Hounsfield units go down to.
_READ, HOUNSFIELD = 3, -500


def with_channels(dataset: Dataset) -> Dataset:
    """The dataset with channel names and modality, each as the layout stated it or as found in the images.

    Costs the headers of all images. Pictures of three planes are read until one is in colour, and a few volumes where
    neither headers nor names tell their scanner: there the check of the data compares all volumes with the guess.
    """
    if dataset.channels and dataset.modality:
        return dataset
    cases = [case for case in dataset.cases if case.images]
    cases = [case for case in cases if case.label] or cases
    opened = _opened(dataset, cases)
    channels = dataset.channels or _channels(list(opened.values()), cases)
    found: dict[str, object] = {"channels": channels}
    if not dataset.modality:
        modality, rule = _modality(dataset, opened, channels, cases)
        found |= {"modality": modality, "modality_rule": rule}
    told = dataset.model_copy(update=found)
    return told if dataset.modality else told.model_copy(update={"notes": (*told.notes, told.modality_note)})


def _opened(dataset: Dataset, cases: Sequence[Case]) -> dict[str, Volume]:
    """Readable first images by case; the check says what is wrong with the others."""
    found = {}
    for case in cases:
        try:
            found[case.id] = volume_of(dataset, case.images[0])
        except SegwrightError:
            continue
    return found


def _channels(some: Sequence[Volume], cases: Sequence[Case]) -> tuple[str, ...]:
    """Names by the file where it gives them; `grey` for one plane or equal ones; colours for three; else numbers.

    One picture in colour makes all of them colours; else the most frequent number of channels counts, as reading
    refuses images of any other.
    """
    files = Counter(len(case.images) for case in cases).most_common(1)
    if files and files[0][0] > 1:
        return tuple(f"channel_{i}" for i in range(files[0][0]))
    if not some:
        return ("grey",)
    usual = [volume for volume in some if volume.data.shape[0] == _usual_count(some)]
    count = usual[0].data.shape[0]
    pictures = [v for v in some if v.data.shape[0] in (3, 4) and v.dtype == np.uint8] if count in (1, 3, 4) else []
    if pictures and (count == 1 or pictures[0] in usual):
        if all(_is_grey(volume) for volume in pictures):
            return ("grey",)
        if any(are_colours(volume) is not False for volume in pictures):
            return RGB
    named = Counter(volume.channels for volume in usual if len(volume.channels) == count)
    if count == 1:
        return ("grey",)
    return named.most_common(1)[0][0] if named else tuple(f"channel_{i}" for i in range(count))


def _usual_count(some: Sequence[Volume]) -> int:
    """The number of channels that most images have; the larger of two that are as frequent."""
    counts = Counter(volume.data.shape[0] for volume in some)
    return max(counts, key=lambda count: (counts[count], count))


def _is_grey(volume: Volume) -> bool:
    """Whether colour planes are equal, or there is one."""
    if volume.data.shape[0] < 3:
        return volume.data.shape[0] == 1
    try:
        planes = volume.array()
    except SegwrightError:
        return True  # the check will say what is wrong
    return bool((planes[0] == planes[1]).all() and (planes[1] == planes[2]).all())


def _modality(
    dataset: Dataset, opened: Mapping[str, Volume], channels: Sequence[str], cases: Sequence[Case]
) -> tuple[str, str]:
    """The modality and why it was taken."""
    some = list(opened.values())
    told = {case: tag for case, volume in opened.items() if (tag := str(volume.header.get("modality") or ""))}
    tags = Counter(told.values())
    for name, known in (("ct", {"CT"}), ("mr", {"MR"}), ("xray", PROJECTIONS)):
        own = sum(count for tag, count in tags.items() if tag in known)
        if own and own == tags.total():
            return name, f"DICOM modality {', '.join(sorted(tags))}"
        if own > tags.total() / 2:
            odd = next(case for case, tag in told.items() if tag not in known)
            return name, f"{GUESS}: most scans are, but DICOM modality of {odd} is {told[odd]}"
    word = _word(dataset, channels, cases)
    if word:
        return _WORDS[word], f"{GUESS} from the word {word!r} in a channel, file or folder name"
    if len(cases) == 1 and some and some[0].header.get("format") == "sections" and some[0].data.shape[0] == 1:
        return "em", f"{GUESS} from a single stack of grey pictures of sections"
    modality, seen = _by_values(some, channels)
    return modality, f"{GUESS}: {seen}"


def _word(dataset: Dataset, channels: Sequence[str], cases: Sequence[Case]) -> str:
    """The first telling word, looked for in channels, then file paths (in most cases), then the folder's name."""
    for name in channels:
        for word in tokens(name):
            if word in _WORDS:
                return word
    counts = Counter(word for case in cases for word in {*tokens(case.images[0].path)} if word in _WORDS)
    if counts and counts.most_common(1)[0][1] * 2 > len(cases):
        return counts.most_common(1)[0][0]
    return next((word for word in tokens(Path(dataset.root).name) if word in _WORDS), "")


def _by_values(some: Sequence[Volume], channels: Sequence[str]) -> tuple[str, str]:
    """A guess from shape and values; of volumes a few are read, which the check of the data compares with all."""
    if not some:
        return "other", "no image could be read"
    first = some[0]
    if first.geometry.shape[0] == 1:
        grey = len(channels) == 1
        photo = str(first.header.get("format")) in {"image", "tiff", "dicom", "png", "jpeg"}
        return ("xray", "flat grey images") if grey and photo else ("other", "flat images in colour or unknown format")
    if not any(first.geometry.known):
        return "other", "nothing in names or headers tells it"
    lows = [low for volume in some[:_READ] if (low := _lowest(volume)) is not None]
    if not lows:
        return "other", "no image could be read"
    low = min(lows)
    if low <= HOUNSFIELD:
        return "ct", f"values go down to {low:.0f}, as Hounsfield units do"
    return ("mr", "volumes without negative values") if low >= 0 else ("other", "nothing in names or headers tells it")


def _lowest(volume: Volume) -> float | None:
    """The smallest finite value, or `None` where there is none or voxels cannot be decoded."""
    try:
        voxels = volume.array()
    except SegwrightError:
        return None
    finite = voxels[np.isfinite(voxels)]
    return float(finite.min()) if finite.size else None


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
