"""Background batches keep their order, pass errors on, and leave no thread behind."""

from __future__ import annotations

import threading
import time
from itertools import islice

import numpy as np
import pytest
import torch

from segwright.sample.case import SampleCase
from segwright.sample.patches import Batch, Patches
from segwright.sample.prefetch import Prefetch, prefetch


def make() -> Patches:
    rng = np.random.default_rng(0)
    cases = [SampleCase(rng.normal(size=(1, 3, 6, 6)), np.zeros((1, 3, 6, 6), np.int16), id=str(i)) for i in range(4)]
    return Patches(cases, patch=(1, 3, 3), batch=2)


def test_batches_come_in_order_and_equal_those_made_in_front():
    patches = make()
    with prefetch(patches, 5, depth=3) as ahead:
        for expected, (step, batch) in zip(range(5, 25), ahead, strict=False):
            assert step == expected
            assert torch.equal(batch.image, patches.at(step).image)


def test_it_ends_where_told_and_stays_ended():
    with prefetch(make(), 0, stop=3) as ahead:
        assert [step for step, _ in ahead] == [0, 1, 2]
        assert list(ahead) == []


def test_an_error_arrives_at_its_step():
    patches = make()

    def fragile(step: int) -> Batch:
        if step == 2:
            raise OSError("disk gone")
        return patches.at(step)

    ahead = Prefetch(fragile, 0, None, depth=4)
    assert [step for step, _ in islice(ahead, 2)] == [0, 1]
    with pytest.raises(OSError, match="disk gone"):
        next(ahead)
    assert list(ahead) == []
    ahead.close()


def test_close_ends_the_thread_even_when_the_queue_is_full():
    ahead = prefetch(make(), depth=1)
    next(ahead)
    ahead.close()
    assert all(thread.name != "prefetch" for thread in threading.enumerate())
    assert list(ahead) == []


def test_waiting_is_counted_and_work_can_be_added():
    def slow(batch: Batch) -> Batch:
        time.sleep(0.02)
        return Batch(batch.image + 100, batch.label, batch.cases, batch.spacing)

    with prefetch(make(), 0, stop=3, then=slow) as ahead:
        batches = [batch for _, batch in ahead]
    assert ahead.waited > 0
    assert all(batch.image.min() > 50 for batch in batches)
