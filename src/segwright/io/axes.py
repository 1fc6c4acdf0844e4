"""Which axis of a stored array is which: one place that turns any order into `(C, z, y, x)` and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import ReadError
from segwright.core.volume import Index

Shape4 = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Axes:
    """The meaning of a stored array's axes, one letter each, in storage order.

    `z`, `y` and `x` are spatial; every other letter (`c` channel, `t` time, ...) becomes channels, the first
    varying slowest.

    Example:
        >>> Axes("yxc").shape((4, 5, 3)), Axes("xyz").shape((5, 4, 2))
        ((3, 1, 4, 5), (1, 2, 4, 5))
    """

    letters: str

    @property
    def channel_axes(self) -> tuple[int, ...]:
        """Storage positions of the axes that become channels."""
        return tuple(i for i, letter in enumerate(self.letters) if letter not in "zyx")

    def shape(self, stored: Sequence[int]) -> Shape4:
        """`(C, z, y, x)` of an array stored with shape `stored`; an absent axis has length 1."""
        size = dict(zip(self.letters, stored, strict=True))
        channels = math.prod(stored[i] for i in self.channel_axes)
        return channels, size.get("z", 1), size.get("y", 1), size.get("x", 1)

    def fetch(self, stored: Sequence[int], index: Index, read: Callable[[Index], NDArray[Any]]) -> NDArray[Any]:
        """Part `index` (four slices in `(C, z, y, x)`), asking `read` for slices in storage order."""
        wanted = dict(zip("zyx", index[1:], strict=True))
        if len(self.channel_axes) == 1:
            wanted[self.letters[self.channel_axes[0]]] = index[0]
        request = tuple(wanted.get(letter, slice(0, n)) for letter, n in zip(self.letters, stored, strict=True))
        array = np.asarray(read(request))
        if len(self.channel_axes) == 1:
            return self.canonical(array)
        return self.canonical(array)[index[0]]

    def fetching(self, stored: Sequence[int], read: Callable[[Index], NDArray[Any]]) -> Callable[[Index], NDArray[Any]]:
        """`fetch` for one array, as a function of the part."""
        return lambda index: self.fetch(stored, index, read)

    def canonical(self, array: NDArray[Any]) -> NDArray[Any]:
        """A whole array in storage order, as a view `(C, z, y, x)` where possible."""
        order = [*self.channel_axes, *(self.letters.index(a) for a in "zyx" if a in self.letters)]
        return array.transpose(order).reshape(self.shape(array.shape))

    def stored(self, array: NDArray[Any]) -> NDArray[Any]:
        """`(C, z, y, x)` in this storage order; the inverse of `canonical` for at most one channel axis.

        Axes without a letter must have length 1.
        """
        channel = self.letters[self.channel_axes[0]] if self.channel_axes else "c"
        here = channel + "zyx"
        gone = tuple(i for i, letter in enumerate(here) if letter not in self.letters)
        left = [letter for letter in here if letter in self.letters]
        return np.squeeze(array, axis=gone).transpose([left.index(letter) for letter in self.letters])

    def for_labels(self, shape: Sequence[int]) -> Axes:
        """The order in which labels `(C, z, y, x)` of an image stored like this are stored.

        The image's own channel axes are dropped; several label channels become the first axis (the last one
        where the image's rows come first, as in MATLAB).
        """
        spatial = "".join(letter for letter in self.letters if letter in "zyx")
        if shape[1] > 1 and "z" not in spatial:
            spatial = "z" + spatial
        if shape[0] == 1:
            return Axes(spatial)
        return Axes(spatial + "c" if spatial.startswith("y") else "c" + spatial)


def axes_of(shape: Sequence[int], dtype: str, letters: str = "", *, where: object = None) -> Axes:
    """The axes that are stated, else those that are guessed."""
    return stated_axes(letters, shape, where=where) if letters else guess_axes(shape, np.dtype(dtype), where=where)


def stated_axes(letters: str, shape: Sequence[int], *, where: object = None) -> Axes:
    """Axes that a person stated for an array; a `c` is left out for an array of one axis less.

    Raises:
        ReadError: Letters that are no axes, that come twice, or that are more or fewer than the array's axes.

    Example:
        >>> stated_axes("yxc", (4, 5, 3)).letters, stated_axes("yxc", (4, 5)).letters
        ('yxc', 'yx')
    """
    wanted = letters.replace("c", "") if len(letters) == len(shape) + 1 else letters
    if len(wanted) == len(shape) == len(set(wanted)) and {"y", "x"} <= set(wanted) <= set("ctzyx"):
        return Axes(wanted)
    raise ReadError(
        "The axes that are stated do not fit the array.",
        expected=f"{len(shape)} different letters of c, t, z, y and x, as the array has shape {tuple(shape)}",
        got=repr(letters),
        where=None if where is None else str(where),
        hint="Correct 'axes', 'image_axes' or 'label_axes' in dataset.yaml.",
    )


def guess_axes(shape: Sequence[int], dtype: np.dtype[Any], *, where: object = None) -> Axes:
    """Axes of an array that says nothing about them (NumPy, HDF5, Zarr).

    2-D is `(y, x)`; 3-D is `(z, y, x)`, but `(y, x, channel)` where it is uint8 with a last axis of at most 4;
    4-D is `(channel, z, y, x)`, but `(z, y, x, channel)` where only the last axis is at most 4 long. A fifth axis in
    front is time, of one point.

    Raises:
        ReadError: Fewer than 2 axes, or more than 4 that are longer than 1.

    Example:
        >>> guess_axes((64, 48, 3), np.dtype("uint8")).letters, guess_axes((64, 48, 3), np.dtype("int16")).letters
        ('yxc', 'zyx')
    """
    if len(shape) == 2:
        return Axes("yx")
    if len(shape) == 3:
        return Axes("yxc") if shape[-1] <= 4 and dtype == np.uint8 else Axes("zyx")
    if len(shape) == 5 and shape[0] == 1:
        return Axes("t" + guess_axes(shape[1:], dtype, where=where).letters)  # one time point
    if len(shape) == 4:
        return Axes("zyxc") if shape[-1] <= 4 < shape[0] else Axes("czyx")
    raise ReadError(
        "An array must have 2, 3 or 4 axes.",
        expected="(y, x), (z, y, x) or (channel, z, y, x)",
        got=tuple(shape),
        where=None if where is None else str(where),
        hint="Store one scan an array.",
    )
