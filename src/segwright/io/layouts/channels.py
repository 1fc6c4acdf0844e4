"""Finds out what the channels of images are and which kind of scanner made them, from all images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segwright.core.case import GUESS, Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.core.volume import Volume
from segwright.io.layouts.names import tokens
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
