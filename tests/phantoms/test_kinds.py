"""What each kind of phantom promises about its anatomy, beyond the contract that all of them keep."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from segwright.core.seed import derive
from segwright.phantoms.hand import CARPALS, NAMES, hand_xray
from segwright.phantoms.liver import KINDS, PHASES, liver_mri
from segwright.phantoms.lobes import lobes_ct
from segwright.phantoms.mitochondria import SHAPE, _section_by_section, mitochondria_em
from segwright.phantoms.prostate import prostate_mri
from segwright.phantoms.spine import NAMED, spine_xray, vertebrae_xray


def inner(case, name: str) -> np.ndarray:
    """Voxels of a structure away from its border."""
    return ndimage.binary_erosion(case.space.mask(case.label, case.space.names.index(name)))


@pytest.fixture(scope="module")
def prostates():
    return [prostate_mri(0, patient) for patient in range(8)]


def test_prostate_zones_fill_one_gland_and_the_outer_one_is_brighter(prostates):
    for case in prostates:
        pieces, _ = ndimage.label(case.label[0] > 0)
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() / sizes.sum() > 0.98 and 0.015 < (case.label > 0).mean() < 0.2
        grey = case.image[0].astype(float)
        assert grey[inner(case, "peripheral zone")].mean() > 1.15 * grey[inner(case, "transition zone")].mean()
        millilitres = (case.label > 0).sum() * 3.3 * 0.9 * 0.9 / 1000
        assert 8 < millilitres < 60


def test_mitochondria_are_separate_objects_and_some_touch():
    touching = 0
    for patient in range(3):
        case = mitochondria_em(0, patient)
        assert np.array_equal(case.objects > 0, case.label[0] == 1)
        numbers = np.unique(case.objects[case.objects > 0])
        assert 4 <= len(numbers) <= 11 and 0.03 < (case.label == 1).mean() < 0.25
        for shift in (np.roll(case.objects, 1, axis=axis)[1:, 1:, 1:] for axis in range(3)):
            here = case.objects[1:, 1:, 1:]
            touching += int(((here != shift) & (here > 0) & (shift > 0)).any())
        inside = case.image[0][ndimage.binary_erosion(case.label[0] == 1)].mean()
        assert inside < case.image[0][case.label[0] == 0].mean() - 20
    assert touching > 0


def test_sections_differ_in_brightness_and_some_stacks_are_damaged():
    tissue = np.full(SHAPE, 0.55) + 0.1 * (np.indices(SHAPE).sum(axis=0) // 9 % 2)
    stacks = [_section_by_section(derive(number), tissue).astype(float) for number in range(16)]
    assert all(stack.mean(axis=(1, 2)).std() > 3 for stack in stacks)
    odd = [min(abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in pairwise(stack)) for stack in stacks]
    assert 1 <= sum(value < 0.7 * np.median(odd) for value in odd) <= 10


def test_five_lobes_fill_both_lungs_without_gaps():
    for patient in range(4):
        case = lobes_ct(0, patient)
        lungs = case.label[0] > 0
        assert set(np.unique(case.label)) == set(range(6))
        pieces, count = ndimage.label(ndimage.binary_opening(lungs))
        assert count >= 2 and np.sort(np.bincount(pieces.ravel())[1:])[:-2].sum() < 0.02 * lungs.sum()
        assert case.image[0][ndimage.binary_erosion(lungs)].mean() < -700 < -200 < case.image[0].max()
        world = [case.geometry.to_world(np.argwhere(case.label[0] == value).mean(axis=0)) for value in (1, 2, 3, 5)]
        left, right = world[0][0], world[2][0]
        assert left < right  # x grows to the patient's right in RAS+
        assert world[0][2] > world[1][2] and world[2][2] > world[3][2]  # upper lobes lie above lower ones


def test_fissures_are_brighter_than_lung_in_part_only():
    case = lobes_ct(0, 1)
    upper, lower = case.label[0] == 1, case.label[0] == 2
    border = ndimage.binary_dilation(upper) & lower
    far = ndimage.binary_erosion(case.label[0] > 0, iterations=3) & ~ndimage.binary_dilation(border, iterations=3)
    lung = case.image[0][far].astype(float)
    share = (case.image[0][border] > np.median(lung) + 60).mean()
    assert 0.15 < share < 0.98


def test_a_hand_has_29_bones_that_overlap_at_the_wrist_only():
    assert len(NAMES) == 29 and len(CARPALS) == 8
    for patient in range(4):
        case = hand_xray(0, patient)
        planes = case.label[:, 0] == 1
        assert planes.any(axis=(1, 2)).all()
        crowd = planes.sum(axis=0)
        assert crowd.max() >= 2
        shared = {NAMES[i] for i in range(29) if (planes[i] & (crowd > 1)).any()}
        assert {"Pisiform", "Triquetrum"} <= shared and not shared & {f"finger-{i}" for i in (4, 5, 6, 8, 16, 17)}
        assert all(ndimage.label(plane)[1] == 1 for plane in planes)


def test_odd_views_show_the_other_hand():
    def thumb_left_of_little_finger(view: int) -> bool:
        case = hand_xray(0, 0, view)
        x = [np.argwhere(case.label[NAMES.index(name), 0])[:, 1].mean() for name in ("finger-1", "finger-16")]
        return bool(x[0] < x[1])

    assert thumb_left_of_little_finger(0) and not thumb_left_of_little_finger(1)


def test_tumours_follow_the_table_of_contrast_and_are_rare():
    cases = [liver_mri(0, patient) for patient in range(10)]
    shares = np.array([(case.label[1] == 1).mean() for case in cases])
    assert shares.max() < 0.01 and 1 <= (shares == 0).sum() <= 5
    assert all(case.image.shape[0] == len(PHASES) and not (case.label[1] & ~case.label[0]).any() for case in cases)
    early = []
    for case in (case for case in cases if case.label[1].any()):
        tumour, liver = case.label[1] == 1, ndimage.binary_erosion(case.label[0] == 1, iterations=3)
        ring = ndimage.binary_dilation(tumour, iterations=4) & liver & ~ndimage.binary_dilation(tumour)
        grey = case.image.astype(float)
        signs = [grey[k][tumour].mean() - grey[k][ring].mean() for k in range(4)]
        assert signs[2] < 0.04 * grey[2][liver].mean()  # never bright in the portal phase
        early.append(signs[1] > 0)
    assert any(early) and not all(early) and set(KINDS) == {"arterial", "poor"}


def test_the_six_lowest_bodies_have_names():
    film, named = spine_xray(2, 3), vertebrae_xray(2, 3)
    assert np.array_equal(film.image, named.image) and len(NAMED) == 6
    rows = [np.argwhere(named.label[0, 0] == value)[:, 0].mean() for value in range(1, 7)]
    assert rows == sorted(rows)
    assert (named.label[0, 0] > 0).sum() < (film.label[0, 0] > 0).sum()
    assert (film.label[0, 0][named.label[0, 0] > 0] == 1).all()
