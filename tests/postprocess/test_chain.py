"""Chains run in order, survive saving, decode scores as defined, and refuse names that do not exist."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segwright.core.errors import UnknownNameError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.postprocess.chain import Chain, ChainStep, apply, apply_to_scores
from segwright.postprocess.decode import decode

STRUCTURES = [{"name": "a", "values": [1]}, {"name": "b", "values": [2]}]
EXCLUSIVE = LabelSpace(structures=STRUCTURES)
OVERLAPPING = LabelSpace(structures=STRUCTURES, kind="overlapping")
GRID = Geometry.from_spacing((3, 6, 8), (1.0, 1.0, 1.0))


def scores(seed: int = 0, top: int = 128) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top, (2, *GRID.shape)).astype(np.uint8)


def test_exclusive_scores_are_argmax_with_the_background() -> None:
    s = scores()
    full = np.concatenate([255 - s.sum(axis=0, dtype=np.int32, keepdims=True), s])
    assert np.array_equal(decode(s, EXCLUSIVE)[0], full.argmax(axis=0))
    assert decode(s, EXCLUSIVE).dtype == np.int16


def test_foreground_threshold_moves_the_background_only() -> None:
    s = scores()
    labels = decode(s, EXCLUSIVE, foreground=0.3)[0]
    assert np.array_equal(labels > 0, s.sum(axis=0, dtype=int) >= 0.3 * 255)
    assert np.array_equal(labels[labels > 0], (s.argmax(axis=0) + 1)[labels > 0])
    assert not decode(np.zeros_like(s), EXCLUSIVE, foreground=0.0).any()


def test_rounded_scores_that_sum_above_one_are_no_trouble() -> None:
    s = np.full((2, 1, 1, 1), 128, np.uint8)
    assert decode(s, EXCLUSIVE).item() == 1


def test_overlapping_scores_have_thresholds_of_their_own() -> None:
    s = scores(top=256)
    labels = decode(s, OVERLAPPING, thresholds={"b": 0.3})
    assert np.array_equal(labels[0], s[0] >= 127.5) and np.array_equal(labels[1], s[1] >= 76.5)
    assert labels.dtype == np.int8


def test_scores_and_thresholds_must_fit_the_space() -> None:
    with pytest.raises(UsageError, match="uint8"):
        decode(scores().astype(np.float32), EXCLUSIVE)
    with pytest.raises(UsageError, match="uint8"):
        decode(scores()[:1], EXCLUSIVE)
    with pytest.raises(UsageError, match="foreground"):
        decode(scores(), EXCLUSIVE, thresholds={"a": 0.3})
    with pytest.raises(UsageError, match="thresholds"):
        decode(scores(), OVERLAPPING, foreground=0.3)


def test_an_empty_chain_changes_nothing() -> None:
    labels = decode(scores(), EXCLUSIVE)
    assert np.array_equal(apply(Chain(), labels, EXCLUSIVE, geometry=GRID), labels)
    assert str(Chain()) == "nothing" and not Chain().needs_scores


def test_steps_run_in_order() -> None:
    """A hole filled first makes the ring the larger component."""
    array = np.zeros((1, 1, 7, 14), np.int16)
    array[0, 0, :5, :5] = 1
    array[0, 0, 1:4, 1:4] = 0
    array[0, 0, 2:6, 7:12] = 1  # 20 voxels, the ring has 16 and 25 when filled
    grid = Geometry.from_spacing((1, 7, 14))
    fill, keep = ChainStep(name="fill_holes"), ChainStep(name="keep_largest")
    first = apply(Chain(steps=(fill, keep)), array, EXCLUSIVE, geometry=grid)
    second = apply(Chain(steps=(keep, fill)), array, EXCLUSIVE, geometry=grid)
    assert first.sum() == 25 and second.sum() == 20


def test_chain_travels_through_a_file(tmp_path: Path) -> None:
    chain = Chain(
        thresholds={"a": 0.4},
        steps=(ChainStep(name="drop_small", structures=("b",), params={"mm3": 12.5, "voxels": 3}),),
    )
    chain.check(OVERLAPPING)
    loaded = Chain.load(chain.save(tmp_path / "chain.json"))
    assert loaded == chain and loaded.needs_scores
    one, two = (apply_to_scores(c, scores(top=256), OVERLAPPING, geometry=GRID) for c in (chain, loaded))
    assert np.array_equal(one, two)
    assert str(chain) == "threshold 0.4 for a; drop_small(mm3=12.5, voxels=3) of b"


def test_unknown_names_are_refused_before_anything_runs() -> None:
    for chain in (
        Chain(steps=(ChainStep(name="keep_larges"),)),
        Chain(steps=(ChainStep(name="keep_largest", structures=("c",)),)),
        Chain(steps=(ChainStep(name="keep_largest", params={"conectivity": 6}),)),
        Chain(thresholds={"c": 0.5}),
    ):
        with pytest.raises(UnknownNameError):
            chain.check(OVERLAPPING)
