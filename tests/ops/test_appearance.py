"""How an image looks is the same numbers that plain numpy gives, and does not hang on size, order or units."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.ops.appearance import ENOUGH, appearance

RNG = np.random.default_rng(3)
SMOOTH = np.cumsum(RNG.normal(size=(2, 6, 40, 50)), axis=3)


def test_numbers_are_those_of_numpy() -> None:
    array = SMOOTH.copy()
    array[0, :, :7] = 0
    look = appearance([array]).channels[0]
    assert look is not None
    low, *between, high = np.percentile(array[0, :, 7:], [0.5, 10, 25, 50, 75, 90, 99.5])
    assert (look.low, look.high) == pytest.approx((low, high), abs=1e-5)
    assert look.shares == pytest.approx((np.array(between) - low) / (high - low), abs=1e-5)
    assert look.zero == pytest.approx(7 / 40)
    clipped = np.clip(array[0], low, high)
    steps = [np.mean(np.diff(clipped, axis=axis) ** 2) for axis in (1, 2)]
    assert look.texture == pytest.approx(min(steps) / clipped.var() / 2, rel=1e-4)
    assert appearance([array]).likeness[0] == pytest.approx(np.corrcoef(array.reshape(2, -1))[0, 1], abs=1e-5)


def test_noise_has_the_texture_one_and_units_do_not_matter() -> None:
    noise = RNG.normal(size=(1, 4, 90, 90))
    rough, scaled = appearance([noise]).channels[0], appearance([noise * 1000 - 300]).channels[0]
    assert rough is not None and scaled is not None
    assert rough.texture == pytest.approx(1, abs=0.05)
    assert (scaled.shares, scaled.texture) == (
        pytest.approx(rough.shares, abs=1e-4),
        pytest.approx(rough.texture, rel=1e-3),
    )


def test_a_part_stands_for_a_large_image() -> None:
    large = np.cumsum(RNG.normal(size=(1, 60, 160, 240)).astype(np.float32), axis=3)
    assert large.size > 2 * ENOUGH
    part, whole = appearance([large]).channels[0], appearance([large[:, :12]]).channels[0]
    assert part is not None and whole is not None
    assert part.shares == pytest.approx(whole.shares, abs=0.03)
    assert part.texture == pytest.approx(whole.texture, rel=0.25)
    film = np.cumsum(RNG.normal(size=(1, 1, 1500, 1500)).astype(np.float32), axis=3)
    one, pieces = appearance([film]).channels[0], appearance([film[..., :700], film[..., 700:]]).channels[0]
    assert one is not None and pieces is not None and one.shares == pytest.approx(pieces.shares, abs=0.02)


@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan, np.inf])
def test_an_image_of_one_value_or_none_has_no_look(fill: float) -> None:
    assert appearance([np.full((1, 3, 8, 8), fill)]).empty
    half = appearance([np.stack([np.full((3, 8, 8), fill), RNG.normal(size=(3, 8, 8))])])
    assert half.channels[0] is None and half.channels[1] is not None and not half.empty and half.likeness == (0.0,)


def test_one_bright_voxel_anywhere_is_something() -> None:
    array = np.zeros((1, 70, 100, 100), np.uint8)
    array[0, 3, 5, 7] = 1
    assert not appearance([array]).empty


def test_voxels_that_are_not_numbers_take_no_part() -> None:
    array = SMOOTH.copy()
    array[:, :, 3, 4] = np.nan
    array[:, :, 30, 41] = np.inf
    look, whole = appearance([array]).channels[0], appearance([SMOOTH]).channels[0]
    assert look is not None and whole is not None
    assert look.shares == pytest.approx(whole.shares, abs=0.01)
