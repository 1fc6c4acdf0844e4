"""Rare tumours inside one organ, on a tilted scanner grid, with noise that follows Rice's law."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, stats

from segwright.phantoms.tumour import tumour_mri

CASES = [tumour_mri(0, patient) for patient in range(20)]


def test_tumours_are_rare_and_a_few_cases_have_none():
    shares = np.array([(case.label == 2).mean() for case in CASES])
    assert shares.max() < 0.01 and 1 <= (shares == 0).sum() <= 8


def test_tumours_lie_inside_the_organ():
    for case in CASES:
        organ = ndimage.binary_dilation(case.label[0] >= 1)
        assert organ[case.label[0] == 2].all()


def test_the_organ_is_one_piece_of_plausible_size():
    for case in CASES:
        pieces, _ = ndimage.label(case.label[0] >= 1)
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() / sizes.sum() > 0.97 and 0.02 < (case.label >= 1).mean() < 0.2


def test_grid_has_the_spacing_and_orientation_of_an_axial_scan():
    for case in CASES:
        assert np.allclose(case.geometry.spacing, (3.0, 1.5, 1.5)) and case.geometry.orientation == "SPL"


def test_air_follows_rayleighs_law():
    """Where there is no signal, Rician noise is Rayleigh noise: mean over deviation is sqrt(pi / (4 - pi))."""
    air = np.concatenate([case.image[0][:, :3, :3].ravel() / case.image.mean() for case in CASES[:1]])
    expected = stats.rayleigh.mean() / stats.rayleigh.std()
    assert abs(air.mean() / air.std() - expected) < 0.2


def test_a_second_view_is_another_scan_of_the_same_patient():
    first, second = tumour_mri(4, 0), tumour_mri(4, 0, 1)
    assert not np.array_equal(first.image, second.image)
    assert abs((first.label >= 1).sum() / (second.label >= 1).sum() - 1) < 0.1
