"""Random streams are what they always were: a run that is repeated years later must draw the same numbers."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from segwright.core.seed import derive, derive_seed


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ((0,), 2033344993903900207),
        ((1, "augment", 3), 8498698610317513418),
        ((7, "sample", 0, 12), 785960538250603918),
    ],
)
def test_seeds_are_the_kept_ones(path: tuple, kept: int) -> None:
    """Upper 63 of the first 64 bits of the digest, least significant byte first."""
    assert derive_seed(*path) == kept
    digest = hashlib.sha256("\x1f".join(map(str, path)).encode()).digest()
    assert kept == sum(byte << (8 * place) for place, byte in enumerate(digest[:8])) // 2


def test_streams_are_the_kept_ones() -> None:
    assert derive(0).integers(0, 2**32, 4).tolist() == [988977427, 3324716826, 3674373070, 1911390185]
    np.testing.assert_allclose(
        derive(1, "augment", 3).random(3), [0.9457816433696298, 0.07642303546128026, 0.10481163867963705], rtol=1e-12
    )
    np.testing.assert_allclose(
        derive(5, "x").normal(size=3), [1.6103416666840176, 0.3181835416421567, 1.822624972367645], rtol=1e-12
    )
    assert derive(5, "x").permutation(8).tolist() == [4, 5, 6, 7, 3, 0, 2, 1]


def test_names_are_told_apart_by_more_than_their_letters() -> None:
    assert (
        len({derive_seed(1, "ab", "c"), derive_seed(1, "a", "bc"), derive_seed(1, "abc"), derive_seed(11, "bc")}) == 4
    )
