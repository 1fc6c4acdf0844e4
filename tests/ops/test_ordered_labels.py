"""Rows of drawn boxes with known names come back as those names, whatever the scores confuse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segwright.core.plan import RowPlan
from segwright.ops.instances import flood
from segwright.ops.ordered_labels import _absence_costs, _costs, _merged, _place_costs, identify


def chain(centres, names, *, shape=(1, 200, 60), half=(0, 7, 12), blur=0.0, shift=0.0):
    """Scores of boxes at `centres` (y, x) that look like `names`; `shift` of each score leaks to the next name."""
    count = max(names) + 1
    scores = np.zeros((count + 1, *shape), np.float32)
    core = np.zeros(shape, np.float32)
    for (y, x), name in zip(centres, names, strict=True):
        box = (slice(None), slice(y - half[1], y + half[1] + 1), slice(x - half[2], x + half[2] + 1))
        scores[(name, *box)] += 1 - shift
        scores[(name + 1, *box)] += shift
        inner = (
            slice(None),
            slice(y - half[1] // 2, y + half[1] // 2 + 1),
            slice(x - half[2] // 2, x + half[2] // 2 + 1),
        )
        core[inner] = 1
    if blur:
        scores, core = (
            ndimage.gaussian_filter(scores, (0, 0, blur, blur)),
            ndimage.gaussian_filter(core, (0, blur, blur)),
        )
    scores[0] = 1 - scores[1:].sum(0)
    return np.clip(scores, 0, 1), core


def at(found, y, x):
    """Label at a place, 0 for none."""
    column = found.scores[:, 0, y, x]
    return int(column.argmax()) + 1 if column.max() > 0.5 else 0


def test_each_instance_has_one_label():
    centres = [(20 + 25 * i, 30 + 3 * i) for i in range(6)]
    scores, core = chain(centres, [1, 2, 3, 4, 5, 6], shift=0.45, blur=1.0)
    found = identify(scores, core)
    assert [at(found, *centre) for centre in centres] == [1, 2, 3, 4, 5, 6]
    assert (np.count_nonzero(found.scores > 0, axis=0) <= 1).all()
    assert found.labels == (1, 2, 3, 4, 5, 6)
    assert found.margin > 0


def test_a_confused_one_follows_its_neighbours():
    centres = [(20 + 25 * i, 30) for i in range(5)]
    scores, core = chain(centres, [1, 2, 2, 4, 5])
    assert [at(identify(scores, core), *centre) for centre in centres] == [1, 2, 3, 4, 5]


def test_touching_ones_are_parted_by_their_cores():
    centres = [(20 + 15 * i, 30) for i in range(4)]
    scores, core = chain(centres, [1, 2, 3, 4])
    scores[1:, :, 13:73, 18:43] = 0.25
    scores[0, :, 13:73, 18:43] = 0
    scores[1, :, 13:28, 18:43], scores[2:, :, 13:28, 18:43] = 0.97, 0.01
    assert [at(identify(scores, core), *centre) for centre in centres] == [1, 2, 3, 4]
    assert len(identify(scores).labels) == 1, "without cores they stay one"


def test_the_row_may_run_the_other_way_and_bend():
    angle = np.linspace(0.3, 2.8, 7)
    centres = [(int(100 + 70 * np.cos(a)), int(100 + 70 * np.sin(a))) for a in angle]
    scores, core = chain(centres, [7, 6, 5, 4, 3, 2, 1], shape=(1, 200, 200), half=(0, 6, 6), shift=0.3)
    assert [at(identify(scores, core), *centre) for centre in centres] == [7, 6, 5, 4, 3, 2, 1]


def test_a_missing_one_is_left_out_and_a_crumb_dropped():
    centres = [(20, 30), (45, 30), (95, 30), (120, 30)]
    scores, core = chain(centres, [1, 2, 4, 5])
    scores[3, 0, 180:182, 5:7], scores[0, 0, 180:182, 5:7] = 1, 0
    found = identify(scores, core)
    assert [at(found, *centre) for centre in centres] == [1, 2, 4, 5]
    assert found.crumbs == 1 and at(found, 180, 5) == 0


def test_a_look_alike_beyond_the_end_is_no_structure():
    centres = [(20 + 25 * i, 30) for i in range(4)]
    scores, core = chain(centres, [1, 1, 2, 3])
    box = (slice(None), slice(0, 1), slice(13, 28), slice(18, 43))
    scores[box] *= 0.6
    scores[0][box[1:]] += 0.4
    assert [at(identify(scores, core), *centre) for centre in centres] == [0, 1, 2, 3]


def test_two_pieces_of_one_thing_keep_its_label():
    centres = [(20 + 25 * i, 30) for i in range(4)]
    scores, core = chain(centres, [1, 2, 3, 4])
    scores[1:, :, :30, 30], scores[0, :, :30, 30] = 0, 1
    core[:, :30, 28:33] = 0
    found = identify(scores, core)
    assert at(found, 20, 24) == at(found, 20, 36) == 1
    assert [at(found, *centre) for centre in centres[1:]] == [2, 3, 4]


def test_what_is_one_blob_of_many_names_is_cut_where_names_change():
    scores, core = chain([(15 + 15 * i, 30) for i in range(4)], [1, 2, 3, 4])
    found = identify(scores, np.zeros_like(core))
    assert [at(found, 15 + 15 * i, 30) for i in range(4)] == [1, 2, 3, 4]
    assert np.array_equal(found.scores > 0.5, scores[1:] > 0.5)


def test_one_of_two_names_stays_one_unless_it_is_too_large():
    scores, core = chain([(20 + 25 * i, 30) for i in range(4)], [1, 2, 3, 4])
    scores[1:3, :, 38:46, 18:43] = scores[[2, 1], :, 38:46, 18:43]
    found = identify(scores, core)
    assert at(found, 40, 30) == at(found, 50, 30) == 2


def test_in_three_dimensions_with_long_voxels():
    scores = np.zeros((5, 16, 24, 24), np.float32)
    for index in range(4):
        scores[index + 1, 4 * index : 4 * index + 3, 6:18, 6:18] = 1
    scores[0] = 1 - scores[1:].sum(0)
    found = identify(scores, None, lengths=(4.0, 1.0, 1.0))
    assert found.labels == (1, 2, 3, 4)
    assert np.array_equal(found.scores > 0.5, scores[1:] > 0.5)


def faint_end():
    """Three boxes in a row, the last of which is seen faintly, and their scores."""
    centres = [(20 + 25 * i, 30) for i in range(3)]
    scores, core = chain(centres, [1, 2, 3], blur=1.0)
    scores[1:, :, 60:] *= 0.3
    core[:, 60:] *= 0.3
    scores[0] = 1 - scores[1:].sum(0)
    return centres, scores, core


def test_a_faint_one_counts_if_scans_nearly_always_show_it():
    centres, scores, core = faint_end()
    often = RowPlan(axis=1, shown=(0.98, 0.98, 0.98, 0.5))
    found = identify(scores, core, row=often)
    assert [at(found, *centre) for centre in centres] == [1, 2, 3]
    assert found.labels == (1, 2, 3) and found.faint == (3,)
    size, whole = (int(np.count_nonzero(found.scores[k] > 0.5)) for k in (2, 0))
    assert size == pytest.approx(whole, rel=0.1), "in full, not only where it is seen best"


def test_a_faint_one_is_left_out_if_scans_often_miss_it():
    centres, scores, core = faint_end()
    for row in (None, RowPlan(axis=1), RowPlan(axis=1, shown=(0.98, 0.98, 0.5, 0.5))):
        found = identify(scores, core, row=row)
        assert [at(found, *centre) for centre in centres] == [1, 2, 0]
        assert found.faint == ()


def test_nothing_there():
    scores = np.zeros((3, 1, 8, 8), np.float32)
    scores[0] = 1
    found = identify(scores, np.zeros((1, 8, 8), np.float32))
    assert not found.scores.any() and found.labels == ()


def test_flood_equals_nearest_marker_on_flat_ground():
    markers = np.zeros((1, 9, 21), int)
    markers[0, 4, 2], markers[0, 4, 18] = 1, 2
    flooded = flood(np.zeros(markers.shape), markers, np.ones(markers.shape, bool))
    assert (flooded[0, :, :9] == 1).all() and (flooded[0, :, 12:] == 2).all()


@pytest.mark.parametrize("full", [np.uint8, np.float64])
def test_other_number_types(full):
    scores, core = chain([(20, 30), (60, 30)], [1, 2])
    assert identify(scores.astype(np.float64).astype(np.float32), core.astype(full)).labels == (1, 2)


def test_what_a_usual_place_costs_by_hand():
    """1.5 times half the square of the deviations, of which two are the most that count."""
    row = RowPlan(axis=1, places=((0.2, 0.1), (0.5, 0.05)))
    found = _place_costs(np.array([0.2, 0.3, 0.9]), row)
    assert found == pytest.approx(np.array([[0, 3.0], [0.75, 3.0], [3.0, 3.0]]))


def test_what_leaving_out_costs_by_hand():
    assert _absence_costs((0.9, 0.5, 0.2)) == pytest.approx([np.log(9), 0, 0])


def test_what_scores_cost_by_hand():
    """Two voxels of body 0.8: minus logarithms of the mean background, and of shares, of which none is below 0.01."""
    scores = np.array([[0.2, 0.2, 1.0], [0.8, 0.4, 0.0], [0.0, 0.4, 0.0]]).reshape(3, 1, 1, 3)
    ((none, first, second),) = _costs(scores, np.array([[[1, 1, 0]]], np.int32), np.array([2]))
    there = -np.log(0.8)
    assert none == pytest.approx(-np.log(0.2))
    assert first == pytest.approx(-np.log(0.5) / 2 + there)
    assert second == pytest.approx((-np.log(0.01) - np.log(0.5)) / 2 + there)


@pytest.mark.parametrize(("sizes", "kept"), [([70, 90, 100], [1, 1, 2]), ([71, 90, 100], [0, 1, 2])])
def test_pieces_of_one_thing_are_no_larger_than_it(sizes, kept):
    """The usual one has 100 voxels, or 90: two of a label keep it up to 1.6 times that."""
    sizes = np.array([*sizes, 110, 120][: len(kept) + 2])
    labels = np.array([1, 1, 2, 3, 4])
    costs = np.zeros((5, 5))
    assert _merged(labels, sizes, costs)[:3].tolist() == kept


def test_voxels_of_a_body_score_below_two_per_cent_belong_to_nothing():
    scores, core = chain([(20, 30), (60, 30)], [1, 2])
    scores[0, 0, 28:31, 30], scores[1, 0, 28:31, 30] = 1 - 0.025, 0.025
    scores[0, 0, 31:34, 30], scores[1, 0, 31:34, 30] = 1 - 0.015, 0.015
    found = identify(scores, core).scores
    assert (found[0, 0, 28:31, 30] > 0).all() and (found[:, 0, 31:34, 30] == 0).all()
