"""Things of a row are found whole, faint ones as well, and neither specks nor rims of others are taken for things."""

from __future__ import annotations

import numpy as np

from segwright.ops.row_instances import part_bodies


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
    faint = np.where(core < 1, 0.4 * core, core)  # 0.12, where 0.1 is a faint core; 0.09 is none
    assert len(parted(body, faint).sizes) == 3 and len(parted(body, np.where(core < 1, 0.3 * core, core)).sizes) == 2


def test_faint_specks_and_faint_ones_alone_count_for_nothing() -> None:
    body, core = boxes(1.0, 0.0)
    body[:, 30:33, 20:23] = 0.4
    assert len(parted(body, core).sizes) == 1
    assert len(parted(*boxes(0.3, 0.3)).sizes) == 0


def test_pieces_below_a_share_of_the_usual_one_are_crumbs() -> None:
    """The usual one has 200 voxels: 32 of them are an instance, 28 are a crumb."""
    body, _ = boxes(1.0, 1.0, 1.0, 0.0)
    body[:, 62:70, 2:6], body[:, 72:76, 30:37] = 1, 1
    found = parted(body, None)
    assert found.sizes.tolist() == [200, 200, 200, 32] and found.crumbs == 1
    assert found.numbers[0, 63, 3] == 4 and found.numbers[0, 73, 31] == 0


def test_many_specks_do_not_make_the_usual_one_a_speck() -> None:
    body, _ = boxes(1.0, 1.0)
    body[:, ::4, 33::4] = 1
    found = parted(body, None)
    assert found.sizes.tolist() == [200, 200] and found.crumbs == 20


def test_what_holds_two_names_is_cut_if_it_is_too_large_for_one() -> None:
    """The usual number of voxels under a name is 170 (of 200, 200 and two halves): 280 in one part are cut, 260 not."""
    for length, pieces in ((14, 4), (13, 3)):
        body = np.zeros((1, 80, 40), np.float32)
        names = np.zeros(body.shape, np.int64)
        for place, name in ((0, 0), (20, 1)):
            body[:, place + 5 : place + 15, 10:30], names[:, place + 5 : place + 15] = 1, name
        body[:, 45 : 45 + length, 10:30] = 1
        names[:, 45 : 45 + length // 2], names[:, 45 + length // 2 :] = 2, 3
        assert len(part_bodies(body, None, names).sizes) == pieces


def test_how_faint_a_thing_may_be() -> None:
    """Body scores from 0.15, a quarter of the usual size, as far as half of its own peak, off the rims of others."""
    assert len(parted(*boxes(1.0, 0.16)).sizes) == 2 and len(parted(*boxes(1.0, 0.14)).sizes) == 1
    body, _ = boxes(1.0, 0.0)
    body[:, 25:30, 10:20] = 0.3
    assert parted(body, None).sizes.tolist() == [200, 50]
    body[:, 25:30, 19] = 0.0
    assert parted(body, None).sizes.tolist() == [200]
    body, _ = boxes(1.0, 0.4)
    body[:, 25:35, 25:30] = 0.21
    assert parted(body, None).sizes.tolist() == [200, 200]
    body[:, 25:35, 25:30] = 0.19
    assert parted(body, None).sizes.tolist() == [200, 150]


def test_what_is_surely_body_and_core() -> None:
    """From one half on: a body of 0.6 counts in full, one of 0.45 is faint; cores of 0.6 part, those of 0.45 do not."""
    np.testing.assert_allclose(parted(*boxes(1.0, 0.6)).peaks, [1, 1])
    np.testing.assert_allclose(parted(*boxes(1.0, 0.45)).peaks, [1, 0.45], atol=1e-6)
    body, core = boxes(1.0, 1.0)
    body[:, 10:30, 10:30] = 1.0
    assert len(parted(body, 0.6 * core).sizes) == 2 and len(parted(body, 0.45 * core).sizes) == 1
