"""The network learns what the mean of two neighbours cannot give, and says how well on sections kept back."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.restoration.learn import between_sections, clean_triples, learn


def wandering(count: int = 16) -> np.ndarray:
    """Bars that travel one pixel a section: the mean of neighbours doubles their edges."""
    x = np.arange(64)
    return np.stack([np.tile(np.sign(np.sin((x + z) / 3)), (64, 1)) for z in range(count)]).astype(np.float32)


def test_triples_keep_clear_of_every_fault() -> None:
    assert clean_triples(9, [0, 4]) == (2, 6, 7)
    assert clean_triples(2, []) == ()


def test_it_beats_the_mean_on_triples_kept_back() -> None:
    planes, told = wandering(), []
    learnt = learn(lambda z: planes[z], clean_triples(16, []), seconds=0.0, seed=0, tell=told.append, steps=240)
    assert learnt.triples == (11, 3) and learnt.steps == 240 == len(told)
    assert learnt.error < 0.8 * learnt.error_mean


def test_without_time_it_is_the_mean() -> None:
    planes = wandering()
    learnt = learn(lambda z: planes[z], clean_triples(16, []), seconds=0.0, seed=0, tell=lambda share: None)
    assert learnt.error == pytest.approx(learnt.error_mean, abs=1e-5)
    assert np.allclose(between_sections(learnt.network, planes[3], planes[5]), (planes[3] + planes[5]) / 2, atol=1e-5)
