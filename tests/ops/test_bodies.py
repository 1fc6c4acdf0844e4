"""Things of a row are found whole, faint ones as well, and neither specks nor rims of others are taken for things."""

from __future__ import annotations

import numpy as np

from segwright.ops.bodies import part_bodies


def boxes(*scores: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of 10 x 20 pixels below one another with those body scores, and their cores."""
    body = np.zeros((1, 20 * len(scores), 40), np.float32)
    core = np.zeros_like(body)
    for place, score in enumerate(scores):
        body[:, 20 * place + 5 : 20 * place + 15, 10:30] = score
        core[:, 20 * place + 8 : 20 * place + 12, 15:25] = score
    return body, core


def parted(body: np.ndarray, core: np.ndarray | None):
    """Instances, where names tell nothing."""
    return part_bodies(body, core, np.zeros(body.shape, np.int64))


def test_faint_ones_come_last_with_their_peak() -> None:
    body, core = boxes(0.3, 1.0, 0.9, 0.05)
    found = parted(body, core)
    assert found.sizes.tolist() == [200, 200, 200]
    np.testing.assert_allclose(found.peaks, [1, 1, 0.3], atol=1e-6)
    assert [int(found.numbers[0, y, 20]) for y in (10, 30, 50, 70)] == [3, 1, 2, 0]


def test_a_soft_rim_is_no_thing() -> None:
    body, core = boxes(1.0, 1.0)
    body[:, 4:16, 9:31] = np.maximum(body[:, 4:16, 9:31], 0.4)
    assert len(parted(body, core).sizes) == 2


def test_faint_ones_that_touch_are_parted_at_their_cores() -> None:
    body, core = boxes(1.0, 0.3, 0.3)
    body[:, 30:50, 10:30] = 0.3
    assert len(parted(body, core).sizes) == 3 and len(parted(body, None).sizes) == 2


def test_faint_specks_and_faint_ones_alone_count_for_nothing() -> None:
    body, core = boxes(1.0, 0.0)
    body[:, 30:33, 20:23] = 0.4
    assert len(parted(body, core).sizes) == 1
    assert len(parted(*boxes(0.3, 0.3)).sizes) == 0
