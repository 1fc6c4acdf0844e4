"""Finds what the axes of arrays are that do not name them: by the label's shape beside the image's, over many cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from segwright import io
from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import SegwrightError
from segwright.io.axes import Axes
from segwright.io.drawing import is_drawn
from segwright.io.sources import volume_of

#: Orders of axes by number of axes, the likeliest first; what a file is read as comes before them.
_ORDERS = {2: ("yx",), 3: ("cyx", "yxc", "zyx", "yxz", "xyz"), 4: ("czyx", "zyxc", "zcyx", "yxzc", "yxcz", "xyzc")}
#: More pages than this are slices of a volume, if the label does not hold as many.
_MOST_CHANNELS = 16


class Stored(NamedTuple):
    """An array as it is stored: its shape, and the axes it is read with.

    Attributes:
        shape: Lengths in stored order.
        read: Letters of its axes as they are read.
        open: Whether nothing but a guess says so.
    """

    shape: tuple[int, ...]
    read: str
    open: bool

    @property
    def orders(self) -> tuple[str, ...]:
        """Letters that the axes may have, as they are read first."""
        if not self.open:
            return (self.read,)
        return (self.read, *(order for order in _ORDERS.get(len(self.shape), ()) if order != self.read))


def with_axes(dataset: Dataset) -> Dataset:
    """The dataset with the axes of images and labels stated, where only others than the guessed ones fit together.

    Costs the headers of all cases.
    """
    cases = [c for c in dataset.cases if c.label and len(c.images) == 1 and not is_drawn(dataset, c)]
    cases = [c for c in cases if not c.images[0].axes and not c.label[0].axes and c.images[0].plane is None]
    if not cases or dataset.image_axes or dataset.label_axes:
        return dataset
    pairs = list(_stored_pairs(dataset, cases))
    chosen = _together(pairs)
    if chosen is None:
        return dataset
    image, label = chosen
    one, two = pairs[0]
    note = (
        f"The files do not say what their axes are. Images of shape {one.shape} are read as {image} and labels of "
        f"shape {two.shape} as {label}: they fit together so. If that is wrong, correct 'image_axes' and "
        "'label_axes' in dataset.yaml."
    )
    told = {"image_axes": image if image != one.read else "", "label_axes": label if label != two.read else ""}
    return dataset.model_copy(update={**told, "notes": (*dataset.notes, note)})


def for_channels(dataset: Dataset, count: int) -> Dataset:
    """Scans to predict, with their axes stated where only others than the guessed ones give `count` channels."""
    if dataset.image_axes:
        return dataset
    found = []
    for case in dataset.cases:
        try:
            found += [stored(dataset, source) for source in case.images if source.axes is None]
        except SegwrightError:
            continue  # reading it will say what is wrong
    if not found or len({(one.read, len(one.shape)) for one in found}) != 1 or not all(one.open for one in found):
        return dataset
    fitting = [order for order in found[0].orders if all(_gives(order, one, count) for one in found)]
    if not fitting or fitting[0] == found[0].read or any(len(case.images) > 1 for case in dataset.cases):
        return dataset
    note = f"The files do not say what their axes are; they are read as {fitting[0]}, which gives the model's channels."
    return dataset.model_copy(update={"image_axes": fitting[0], "notes": (*dataset.notes, note)})


def _gives(order: str, one: Stored, count: int) -> bool:
    return len(order) == len(one.shape) and Axes(order).shape(one.shape)[0] == count and _thick(order, one)


def _together(pairs: Sequence[tuple[Stored, Stored]]) -> tuple[str, str] | None:
    """The first axes of images and labels under which all fit; `None` where they fit as read, or never."""
    if not pairs or len({(one.read, two.read) for one, two in pairs}) != 1 or not any(_open(pair) for pair in pairs):
        return None
    first = pairs[0]
    for image, label in product(first[0].orders, first[1].orders):
        if all(_fit(one, two, image, label) for one, two in pairs):
            same = (image, label) == (first[0].read, first[1].read)
            return None if same or not _agree(pairs, image, label) else (image, label)
    return None


def _open(pair: tuple[Stored, Stored]) -> bool:
    return pair[0].open or pair[1].open


def _fit(one: Stored, two: Stored, image: str, label: str) -> bool:
    """Whether image and label have one grid under these axes, which is no stack of strips."""
    if len(one.shape) != len(image) or len(two.shape) != len(label):
        return False
    a, b = Axes(image).shape(one.shape), Axes(label).shape(two.shape)
    return a[1:] == b[1:] and a[0] <= _MOST_CHANNELS and _thick(image, one)


def _thick(letters: str, one: Stored) -> bool:
    """Whether planes are no strips of a few rows, as they are where an axis of channels is taken for rows."""
    size = dict(zip(letters, one.shape, strict=True))
    return min(size["y"], size["x"]) > 4 or max(size["y"], size["x"]) <= 32


def _agree(pairs: Sequence[tuple[Stored, Stored]], image: str, label: str) -> bool:
    """Whether cases agree in their channels, as they must; slices may differ from case to case."""
    channels = Counter(Axes(image).shape(one.shape)[0] for one, _ in pairs)
    planes = Counter(Axes(label).shape(two.shape)[0] for _, two in pairs)
    return len(channels) == 1 and len(planes) == 1


def _stored_pairs(dataset: Dataset, cases: Sequence[Case]) -> Iterator[tuple[Stored, Stored]]:
    """Image and label of the cases that can be read."""
    for case in cases:
        try:
            yield stored(dataset, case.images[0]), stored(dataset, case.label[0])
        except SegwrightError:
            continue  # the check names it


def stored(dataset: Dataset, source: Source) -> Stored:
    """The array of a source as it is stored.

    Raises:
        SegwrightError: It cannot be read.
    """
    volume = volume_of(dataset, source)
    letters = str(volume.header.get("axes", ""))
    size = dict(zip("zyx", volume.geometry.shape, strict=True))
    channels = [letter for letter in letters if letter not in "zyx"]
    plain = len(channels) <= 1 and bool(letters) and "s" not in letters
    shape = tuple(size.get(letter, volume.data.shape[0]) for letter in letters) if plain else tuple(volume.data.shape)
    free = plain and not volume.header.get("named") and io.takes_axes(dataset.path(source))
    return Stored(shape, letters if plain else "czyx", free)
