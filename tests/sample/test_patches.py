"""Batches depend on seed, fold and step only; image and label are cut alike and padded as declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright.core.box import Box
from segwright.core.errors import GeometryError, RecipeError, UnknownNameError, UsageError
from segwright.core.recipe import PartChoice
from segwright.core.volume import LazyArray
from segwright.sample.case import SampleCase
from segwright.sample.patches import PAD_IMAGE, PAD_LABEL, Patches, cut


def make_case(index: int, shape: tuple[int, int, int] = (5, 9, 8)) -> SampleCase:
    """Every voxel's value is unique, and the label is a function of the image."""
    image = (np.arange(np.prod(shape)).reshape(1, *shape) + 1 + 1000 * index).astype(np.float32)
    label = (image % 4).astype(np.int16)
    spots = {s: np.argwhere(label[0] == s + 1) for s in range(3)}
    return SampleCase(image, label, spots, id=f"c{index}", spacing=(None, 0.5, 2.0))


def make(**changes) -> Patches:
    base = Patches([make_case(i) for i in range(5)], patch=(2, 4, 4), batch=3, seed=7, fold=1)
    return replace(base, **changes)


def same(a, b) -> bool:
    return a.cases == b.cases and torch.equal(a.image, b.image) and torch.equal(a.label, b.label)


def test_a_step_is_a_pure_function_of_seed_fold_and_step():
    steps = [0, 1, 7, 40]
    first, again = make(), make()
    forward = {step: first.at(step) for step in steps}
    backward = {step: again.at(step) for step in reversed(steps)}
    assert all(same(forward[step], backward[step]) for step in steps)
    assert not same(first.at(3), make(seed=8).at(3))
    assert not same(first.at(3), make(fold=2).at(3))
    assert not same(first.at(3), first.at(4))


def test_patches_of_a_seed_are_the_kept_ones():
    """A run that is repeated years later must see the same patches."""
    kept = {
        0: [("c2", (1, 0, 2)), ("c1", (1, 0, 2)), ("c3", (3, 3, 2))],
        41: [("c4", (3, 4, 2)), ("c2", (0, 4, 3)), ("c4", (3, 5, 0))],
    }
    for step, draws in kept.items():
        assert [(case.id, tuple(box.start)) for case, box in make().draws(step)] == draws


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_each_case_comes_once_a_pass_in_changing_order(batch):
    patches = make(batch=batch)
    seen = [case for step in range(35) for case in patches.at(step).cases]
    passes = [tuple(seen[i : i + 5]) for i in range(0, len(seen) - 4, 5)]
    assert all(sorted(p) == ["c0", "c1", "c2", "c3", "c4"] for p in passes)
    assert len(set(passes)) > 1


@settings(max_examples=40, deadline=None)
@given(
    patch=st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 12)),
    context=st.tuples(st.integers(0, 2), st.just(0), st.just(0)),
    margin=st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)),
    step=st.integers(0, 1000),
)
def test_image_and_label_are_cut_alike_and_padded(patch, context, margin, step):
    patches = make(patch=patch, context=context, margin=margin, policy="uniform")
    batch = patches.at(step)
    expected = tuple(p + 2 * c + 2 * m for p, c, m in zip(patch, context, margin, strict=True))
    assert batch.image.shape == (3, 1, *expected) and batch.label.shape == (3, 1, *expected)
    assert batch.image.dtype == torch.float32 and batch.label.dtype == torch.int16
    inside = batch.image != PAD_IMAGE
    assert torch.equal(batch.label[inside], (batch.image[inside] % 4).to(torch.int16))
    assert (batch.label[~inside] == PAD_LABEL).all()
    for (case, box), image in zip(patches.draws(step), batch.image, strict=True):
        whole = box.grow(patches.border)
        pads = ((0, 0), *whole.outside(case.shape))
        assert np.array_equal(image.numpy(), np.pad(case.image, pads)[(slice(None), *_shifted(whole, case.shape))])


def _shifted(box: Box, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where the box lies in the padded array."""
    return box.shift([before for before, _ in box.outside(shape)]).slices


def test_a_scan_that_fits_lies_whole_in_the_middle():
    patches = make(patch=(8, 16, 16), policy="foreground", foreground=1.0)
    batch = patches.at(0)
    source = {case.id: case.image for case in patches.cases}
    for name, image in zip(batch.cases, batch.image, strict=True):
        assert np.array_equal(image[:, 1:6, 3:12, 4:12].numpy(), source[name])
        assert (image != 0).sum() == source[name].size


def test_spacing_is_reported_with_nan_where_unknown():
    spacing = make().at(0).spacing
    assert spacing.shape == (3, 3) and spacing[:, 0].isnan().all()
    assert spacing[:, 1:].tolist() == [[0.5, 2.0]] * 3


def test_memory_maps_and_lazy_arrays_give_what_arrays_give(tmp_path):
    plain = make()
    mapped = []
    for case in plain.cases:
        np.save(tmp_path / f"{case.id}.npy", case.image)
        image = np.load(tmp_path / f"{case.id}.npy", mmap_mode="r")
        mapped.append(replace(case, image=image, label=LazyArray.of(case.label)))
    assert same(plain.at(4), make(cases=mapped).at(4))
    assert plain.at(4).image.data_ptr() != plain.at(4).image.data_ptr()


def test_half_precision_stores_become_float32():
    cases = [replace(make_case(0), image=make_case(0).image.astype(np.float16))]
    assert make(cases=cases).at(0).image.dtype == torch.float32


def test_cut_reads_nothing_where_box_and_array_do_not_meet():
    assert (cut(np.ones((1, 2, 2, 2)), Box((5, 0, 0), (6, 2, 2)), 3.0, np.dtype(float)) == 3).all()


def test_batch_moves_between_devices():
    moved = make().at(0).to("cpu")
    assert same(moved, make().at(0))


def test_wrong_use_is_named():
    with pytest.raises(UsageError, match="no case"):
        Patches([], patch=(1, 1, 1))
    with pytest.raises(UsageError, match="batch 0"):
        make(batch=0)
    two = replace(make_case(9), image=np.zeros((2, 5, 9, 8), np.float32))
    with pytest.raises(GeometryError, match="c9"):
        make(cases=[make_case(0), two])
    with pytest.raises(UnknownNameError):
        make(policy="anywhere")
    with pytest.raises(RecipeError, match="share"):
        make(policy=PartChoice(name="foreground", params={"share": 1}))
    assert same(make(policy=PartChoice(name="balanced")).at(2), make(policy="balanced").at(2))
