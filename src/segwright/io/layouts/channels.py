"""Finds out what the channels of images are and which kind of scanner made them, from a sample of the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segwright.core.case import GUESS, Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.core.volume import Volume
from segwright.io.layouts.names import tokens
from segwright.io.layouts.scan import PROJECTIONS
from segwright.io.masks import are_colours
from segwright.io.sources import volume_of

_WORDS = {
    "ct": "ct", "cta": "ct", "cbct": "ct",
    "mr": "mr", "mri": "mr", "t1": "mr", "t2": "mr", "t1w": "mr", "t2w": "mr", "t1c": "mr", "t1ce": "mr", "t1gd": "mr",
    "t1n": "mr", "t2f": "mr", "flair": "mr", "dwi": "mr", "adc": "mr",
    "xray": "xray", "xr": "xray", "cxr": "xray", "radiograph": "xray", "radiographs": "xray",
    "em": "em", "tem": "em", "sem": "em", "fibsem": "em", "sstem": "em", "sbem": "em", "sbfsem": "em",
}  # fmt: skip


def with_channels(dataset: Dataset) -> Dataset:
    """The dataset with channel names and modality, each as the layout stated it or as found in a sample."""
    cases = [case for case in dataset.cases if case.images]
    cases = [case for case in cases if case.label] or cases
    some = _sample(dataset, cases[:: max(1, len(cases) // 6)][:6])
    channels = dataset.channels or _channels(some, cases)
    found: dict[str, object] = {"channels": channels}
    if not dataset.modality:
        modality, rule = _modality(dataset, some, channels, cases)
        found |= {"modality": modality, "modality_rule": rule}
    told = dataset.model_copy(update=found)
    return told if dataset.modality else told.model_copy(update={"notes": (*told.notes, told.modality_note)})


def _sample(dataset: Dataset, cases: Sequence[Case]) -> list[Volume]:
    """Readable first images of some cases."""
    found = []
    for case in cases:
        try:
            found.append(volume_of(dataset, case.images[0]))
        except SegwrightError:
            continue
    return found


def _channels(some: Sequence[Volume], cases: Sequence[Case]) -> tuple[str, ...]:
    """Names by the file where it gives them; `grey` for one plane or equal ones; colours for three; else numbers."""
    files = Counter(len(case.images) for case in cases).most_common(1)
    if files and files[0][0] > 1:
        return tuple(f"channel_{i}" for i in range(files[0][0]))
    if not some:
        return ("grey",)
    widest = max(some, key=lambda volume: volume.data.shape[0])
    count = widest.data.shape[0]
    if count == 1 or (count in (3, 4) and widest.dtype == np.uint8 and all(_is_grey(v) for v in some)):
        return ("grey",)
    if count in (3, 4) and widest.dtype == np.uint8 and are_colours(widest) is not False:
        return ("red", "green", "blue")
    return widest.channels if len(widest.channels) == count else tuple(f"channel_{i}" for i in range(count))


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
    dataset: Dataset, some: Sequence[Volume], channels: Sequence[str], cases: Sequence[Case]
) -> tuple[str, str]:
    """The modality and why it was taken."""
    tags = {str(volume.header.get("modality") or "") for volume in some} - {""}
    for name, known in (("ct", {"CT"}), ("mr", {"MR"}), ("xray", PROJECTIONS)):
        if tags and tags <= known:
            return name, f"DICOM modality {', '.join(sorted(tags))}"
    word = _word(dataset, channels, cases)
    if word:
        return _WORDS[word], f"{GUESS} from the word {word!r} in a channel, file or folder name"
    if len(cases) == 1 and some and some[0].header.get("format") == "sections" and some[0].data.shape[0] == 1:
        return "em", f"{GUESS} from a single stack of grey pictures of sections"
    modality, seen = _by_values(some)
    return modality, f"{GUESS}: {seen}"


def _word(dataset: Dataset, channels: Sequence[str], cases: Sequence[Case]) -> str:
    """The first telling word, looked for in channels, then file paths (in most cases), then the folder's name."""
    for name in channels:
        for word in tokens(name):
            if word in _WORDS:
                return word
    counts = Counter(word for case in cases[:50] for word in {*tokens(case.images[0].path)} if word in _WORDS)
    if counts and counts.most_common(1)[0][1] * 2 > min(50, len(cases)):
        return counts.most_common(1)[0][0]
    return next((word for word in tokens(Path(dataset.root).name) if word in _WORDS), "")


def _by_values(some: Sequence[Volume]) -> tuple[str, str]:
    """A guess from shape and values."""
    if not some:
        return "other", "no image could be read"
    first = some[0]
    if first.geometry.shape[0] == 1:
        grey = all(volume.data.shape[0] == 1 or _is_grey(volume) for volume in some)
        photo = str(first.header.get("format")) in {"image", "tiff", "dicom", "png", "jpeg"}
        return ("xray", "flat grey images") if grey and photo else ("other", "flat images in colour or unknown format")
    if not any(first.geometry.known):
        return "other", "nothing in names or headers tells it"
    lows = [low for volume in some[:3] if (low := _lowest(volume)) is not None]
    if not lows:
        return "other", "no image could be read"
    low = min(lows)
    if low <= -500:
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
