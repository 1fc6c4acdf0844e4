"""Object metrics against scikit-image, brute force and numbers worked out by hand."""

import numpy as np
import pytest
from skimage.metrics import adapted_rand_error as sk_rand
from skimage.metrics import variation_of_information as sk_voi

from segwright.core.errors import UsageError
from segwright.metrics import objects
from segwright.metrics.contingency import Contingency


def blocks(seed, shape=(4, 30, 31), step=6):
    """Reference of blocks with background between, and a prediction that splits, merges, misses and shifts some."""
    rng = np.random.default_rng(seed)
    reference = np.zeros(shape, np.int64)
    number = 0
    for y in range(0, shape[1] - step, step):
        for x in range(0, shape[2] - step, step):
            if rng.random() < 0.8:
                number += 1
                reference[:, y : y + rng.integers(2, step + 1), x : x + rng.integers(2, step + 1)] = number
    prediction = np.roll(reference, int(rng.integers(0, 2)), axis=2)
    for index in range(1, number, 4):
        prediction[prediction == index] = rng.integers(0, number + 1)
    prediction[:2][prediction[:2] == number] = number + 7
    return reference, prediction


def brute_force(reference, prediction, threshold):
    """Hits by looking at every pair of masks."""
    hits, iou_sum, used = 0, 0.0, set()
    for a in set(reference.ravel().tolist()) - {0}:
        for b in set(prediction.ravel().tolist()) - {0} - used:
            first, second = reference == a, prediction == b
            iou = (first & second).sum() / (first | second).sum()
            if iou > threshold:
                hits, iou_sum = hits + 1, iou_sum + iou
                used.add(b)
                break
    return hits, iou_sum


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.75, 0.9])
def test_matching_agrees_with_brute_force(seed, threshold):
    reference, prediction = blocks(seed)
    found = objects.match(Contingency.from_arrays(reference, prediction), threshold)
    hits, iou_sum = brute_force(reference, prediction, threshold)
    assert found.hits == hits
    assert found.iou.sum() == pytest.approx(iou_sum)
    missed = len(set(reference.ravel().tolist()) - {0}) - hits
    false = len(set(prediction.ravel().tolist()) - {0}) - hits
    assert (found.missed, found.false) == (missed, false)
    assert objects.accuracy(found) == pytest.approx(hits / (hits + missed + false))
    assert objects.f1(found) == pytest.approx(2 * hits / (2 * hits + missed + false))
    quality = objects.panoptic_quality(found)
    assert quality == pytest.approx((objects.segmentation_quality(found) or 0) * objects.f1(found))


@pytest.mark.parametrize(
    ("threshold", "reference", "prediction"),
    [(0.5, [1, 1, 1, 1], [5, 5, 6, 6]), (0.5, [1, 1, 0], [5, 0, 0]), (0.75, [1, 1, 1, 1], [5, 5, 5, 0])],
)
def test_an_iou_that_equals_the_threshold_is_no_match(threshold, reference, prediction):
    """Worked out by hand: halves have IoU 2 / 4, one of two voxels 1 / 2, three of four 3 / 4."""
    table = Contingency.from_arrays(np.array(reference), np.array(prediction))
    found = objects.match(table, threshold)
    false = len(set(prediction) - {0})
    assert (found.hits, found.missed, found.false) == (0, 1, false)
    assert objects.f1(found) == 0 and objects.panoptic_quality(found) == 0 and objects.accuracy(found) == 0
    assert objects.segmentation_quality(found) is None
    # the tool whose average precision this is counts equality
    assert objects.average_precision(objects.ranked(table, threshold)) > 0


def test_panoptic_quality_by_hand():
    """Three of five voxels (IoU 0.6), all of two (1.0), one object missed, one false: 1.6 / (2 + 0.5 + 0.5)."""
    reference = np.array([1, 1, 1, 1, 1, 2, 2, 3, 0])
    prediction = np.array([4, 4, 4, 0, 0, 5, 5, 0, 6])
    found = objects.match(Contingency.from_arrays(reference, prediction))
    assert sorted(found.iou.tolist()) == [0.6, 1.0] and (found.missed, found.false) == (1, 1)
    assert objects.panoptic_quality(found) == pytest.approx(1.6 / 3)
    assert objects.segmentation_quality(found) == pytest.approx(0.8)
    assert objects.f1(found) == pytest.approx(4 / 6)
    assert objects.accuracy(found) == pytest.approx(2 / 4)
    assert objects.precision(found) == pytest.approx(2 / 3) == objects.recall(found)


def test_thresholds_below_one_half_are_refused():
    with pytest.raises(UsageError, match="may match several"):
        objects.match(Contingency.from_arrays(np.array([1]), np.array([1])), 0.49)


@pytest.mark.parametrize("seed", range(6))
def test_voi_and_rand_agree_with_scikit_image(seed):
    reference, prediction = blocks(seed)
    table = Contingency.from_arrays(reference, prediction)
    inside = reference != 0
    expected = sk_voi(reference[inside], prediction[inside])
    assert objects.variation_of_information(table) == pytest.approx(tuple(expected))
    assert objects.adapted_rand_error(table) == pytest.approx(sk_rand(reference, prediction)[0])


def tool_ap(reference, prediction, threshold, *, band=(0, 1e10), recalls=101):
    """The public tool's steps written out over masks: best IoU, sorting by size, precision read at 101 recalls."""
    sizes = {i: int((reference == i).sum()) for i in set(reference.ravel().tolist()) - {0}}
    sizes = {i: n for i, n in sizes.items() if band[0] < n <= band[1]}
    found = []
    for b in sorted(set(prediction.ravel().tolist()) - {0}):
        mask = prediction == b
        best = max((((reference == a) & mask).sum() / ((reference == a) | mask).sum() for a in sizes), default=0)
        hit = best >= threshold
        if hit or band[0] < mask.sum() <= band[1]:
            found.append((int(mask.sum()), hit))
    found.sort(key=lambda row: -row[0])
    precisions, rises, right = [], [], 0
    for rank, (_, hit) in enumerate(found, start=1):
        right += hit
        precisions.append(right / rank)
        rises.append(right / len(sizes))
    for i in range(len(precisions) - 2, -1, -1):
        precisions[i] = max(precisions[i], precisions[i + 1])
    read = []
    for recall in np.linspace(0, 1, recalls):
        place = next((i for i, value in enumerate(rises) if value >= recall - 1e-12), None)
        read.append(0.0 if place is None else precisions[place])
    return float(np.mean(read))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("band", [(0, 1e10), (0, 30), (30, 1e10)])
def test_ap_agrees_with_the_written_out_definition(seed, band):
    reference, prediction = blocks(seed, shape=(2, 30, 31))
    table = Contingency.from_arrays(reference, prediction)
    for threshold in (0.55, 0.75):
        ours = objects.average_precision(objects.ranked(table, threshold, band=band))
        assert ours == pytest.approx(tool_ap(reference, prediction, threshold, band=band))


def test_ap_of_known_rankings():
    def of(hits, references):
        return objects.average_precision(objects.Ranked(np.array(hits, bool), references))

    assert of([1, 0, 1], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert of([1, 1], 2) == 1
    assert of([0, 0], 2) == 0
    assert of([], 2) == 0
    assert of([1], 2) == pytest.approx(51 / 101)
    assert of([1], 0) is None


def test_crumbs_and_given_scores():
    reference = np.array([1, 1, 1, 2, 3, 3])
    prediction = np.array([7, 7, 7, 0, 9, 9])
    table = Contingency.from_arrays(reference, prediction)
    assert objects.average_precision(objects.ranked(table.drop_reference(2), 0.75)) == 1
    wrong = Contingency.from_arrays(np.array([1, 1, 0, 0, 0]), np.array([4, 4, 5, 5, 5]))
    assert objects.average_precision(objects.ranked(wrong, 0.75)) == 0.5
    assert objects.average_precision(objects.ranked(wrong, 0.75, scores=np.array([0.9, 0.1]))) == 1


def test_nothing_anywhere_is_undefined():
    table = Contingency.from_arrays(np.zeros(5, int), np.zeros(5, int))
    found = objects.match(table)
    assert [f(found) for f in (objects.accuracy, objects.f1, objects.precision, objects.recall)] == [None] * 4
    assert objects.panoptic_quality(found) is None and objects.mean_average_precision(table) is None
    assert objects.variation_of_information(table) is None and objects.adapted_rand_error(table) is None
