"""Axis letters: every stored order reaches `(C, z, y, x)` and comes back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segwright.io.axes import Axes, guess_axes

SIZES = {"z": 3, "y": 4, "x": 5, "c": 2}


@pytest.mark.parametrize("letters", ["".join(p) for n in (2, 3, 4) for p in itertools.permutations("zyxc", n)])
def test_there_and_back(letters):
    shape = tuple(SIZES[letter] for letter in letters)
    stored = np.arange(np.prod(shape)).reshape(shape)
    axes = Axes(letters)
    full = axes.canonical(stored)
    assert full.shape == axes.shape(shape)
    assert np.array_equal(axes.stored(full), stored)
    for position in np.ndindex(full.shape):
        at = dict(zip("czyx", position, strict=True))
        assert full[position] == stored[tuple(at[letter] for letter in letters)]
    index = tuple(slice(n // 3, n) for n in full.shape)
    assert np.array_equal(axes.fetch(shape, index, lambda request: stored[request]), full[index])


def test_labels_lose_the_colour_axis():
    assert Axes("yxc").for_labels((1, 1, 4, 5)).letters == "yx"
    assert Axes("yxz").for_labels((2, 3, 4, 5)).letters == "yxzc"
    assert Axes("czyx").for_labels((1, 3, 4, 5)).letters == "zyx"
    assert Axes("yx").for_labels((1, 3, 4, 5)).letters == "zyx"


def test_guesses():
    assert guess_axes((7, 4, 5), np.dtype("uint8")).letters == "zyx"
    assert guess_axes((3, 64, 64, 64), np.dtype("float32")).letters == "czyx"
    assert guess_axes((64, 64, 64, 3), np.dtype("float32")).letters == "zyxc"
