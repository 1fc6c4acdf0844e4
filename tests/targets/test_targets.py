"""Targets: decoding what was encoded gives the labels back, for every row and label kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright.core.errors import LabelError, PlanError, UnknownNameError
from segwright.core.labels import IGNORE, LabelSpace
from segwright.core.recipe import PartChoice
from segwright.losses import bind_loss
from segwright.targets import TARGETS, build_target, suitable_targets, target_info
from segwright.targets.classes import RegionsTarget

#: Instance targets have a contract of their own.
ROWS = [name for name in TARGETS if not target_info(name).decoders]
#: Kind of labels that a row suits; rows that are asked for otherwise, and shares, take exclusive ones as well.
KIND = {name: "overlapping" if name == "regions" else "exclusive" for name in TARGETS if not target_info(name).decoders}


def space(kind: str, count: int = 3) -> LabelSpace:
    return LabelSpace(structures=[{"name": f"s{i}"} for i in range(count)], kind=kind)


def labels_of(space: LabelSpace, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    top = len(space.structures) if space.exclusive else 1
    return rng.integers(0, top + 1, (space.planes, *shape)).astype(space.dtype)


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    count=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_contract_decode_undoes_encode(name, shape, count, seed):
    meaning = space(KIND[name], count)
    target = build_target(name, meaning)
    labels = labels_of(meaning, shape, seed)
    onehot, weight = target.encode(torch.from_numpy(labels[None]))
    assert onehot.shape == (1, target.channels, *shape) and onehot.dtype == torch.float32 and weight is None
    decoded = target.decode(onehot[0].numpy())
    assert decoded.dtype == meaning.dtype and np.array_equal(decoded, labels)
    assert np.array_equal(target.decode((onehot[0].numpy() * 255).astype(np.uint8)), labels)
    assert np.array_equal(target.decode(target.activate(20 * onehot - 10)[0].numpy()), labels)


@pytest.mark.parametrize("name", ROWS)
def test_contract_ignored_voxels(name):
    meaning = space(KIND[name])
    target = build_target(name, meaning)
    labels = labels_of(meaning, (3, 4, 5), 0)
    labels[-1, 1, 2] = IGNORE
    onehot, weight = target.encode(torch.from_numpy(labels[None]))
    assert weight.shape == (1, 1, 3, 4, 5) and weight.dtype == torch.float32
    assert np.array_equal(weight[0, 0].numpy() == 0, meaning.ignored(labels))
    assert (onehot * (1 - weight) == 0).all()
    kept = ~meaning.ignored(labels)
    assert np.array_equal(target.decode(onehot[0].numpy())[:, kept], labels[:, kept])


@pytest.mark.parametrize("name", ROWS)
def test_contract_scores_and_loss(name):
    meaning = space(KIND[name])
    target = build_target(name, meaning)
    logits = torch.randn(2, target.channels, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    scores = target.activate(logits.bfloat16())
    assert scores.dtype == torch.float32 and scores.min() >= 0 and scores.max() <= 1
    assert target.structure_scores(scores[0]).shape == (3, 2, 3, 4)
    assert target.structure_scores(scores[0].numpy()).shape == (3, 2, 3, 4)
    assert target.channels == 3 + target_info(name).beside
    onehot, _ = target.encode(torch.from_numpy(labels_of(meaning, (2, 3, 4), 0)[None]).expand(2, -1, -1, -1, -1))
    assert bind_loss(PartChoice(name=target_info(name).loss))(logits, onehot).isfinite()


@pytest.mark.parametrize("shape", [(5, 6, 7), (2, 300, 257), (1, 1, 70000)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_classes_decode_equals_argmax(dtype, shape):
    rng = np.random.default_rng(0)
    scores = (rng.random((8, *shape)) * 200).astype(dtype)
    decoded = build_target("classes", space("exclusive", 7)).decode(scores)
    assert np.array_equal(decoded[0], scores.argmax(0))


def test_regions_decode_own_thresholds():
    target = RegionsTarget(space("overlapping", 2), thresholds=(0.3, 0.8))
    scores = np.full((2, 1, 1, 1), 0.5)
    assert target.decode(scores).ravel().tolist() == [1, 0]
    assert target.decode((scores * 255).astype(np.uint8)).ravel().tolist() == [1, 0]
    with pytest.raises(PlanError, match="one threshold"):
        RegionsTarget(space("overlapping", 2), thresholds=(0.3,))


@pytest.mark.parametrize("name", ROWS)
def test_labels_outside_the_space_are_refused(name):
    target = build_target(name, space(KIND[name], 2))
    for value in (3, -2):
        with pytest.raises(LabelError):
            target.encode(torch.full((1, target.space.planes, 1, 2, 2), value))


def test_rows_fit_their_label_spaces():
    for name in ("classes", "regions"):
        kind = KIND[name]
        assert suitable_targets(kind)[0] == name
        other = space("overlapping" if kind == "exclusive" else "exclusive")
        with pytest.raises(PlanError):
            build_target(name, other)
        with pytest.raises(PlanError):
            build_target(name, LabelSpace(kind=kind))
    with pytest.raises(UnknownNameError):
        build_target("clases", space("exclusive"))


def test_the_background_of_exclusive_structures_is_what_no_structure_covers():
    """Never a copy of some structure's plane: one minus the union of all, also where nothing is labelled."""
    labels = torch.from_numpy(labels_of(space("exclusive", 6), (3, 8, 9), 5)[None])
    onehot, _ = build_target("classes", space("exclusive", 6)).encode(labels)
    assert torch.equal(onehot[:, 0], 1 - onehot[:, 1:].amax(dim=1))
    assert torch.equal(onehot.sum(dim=1), torch.ones(1, 3, 8, 9))
