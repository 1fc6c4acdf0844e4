"""Contract of every phantom: repeatable, well-formed, the same patient in every view."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.labels import IGNORE
from segwright.phantoms import PHANTOMS


@pytest.fixture(scope="module", params=sorted(PHANTOMS))
def draw(request):
    return PHANTOMS.load(request.param)


def test_image_and_label_lie_on_one_grid(draw):
    case = draw(0, 0)
    assert case.image.shape[1:] == case.label.shape[1:] == case.geometry.shape
    assert case.label.shape[0] == case.space.planes and case.label.dtype == case.space.dtype
    numbers = len(case.space.structures) if not case.space.instances else int(case.label.max())
    assert set(np.unique(case.label)) <= set(range(numbers + 1)) - {IGNORE}


def test_the_same_numbers_draw_the_same_case(draw):
    first, second = draw(5, 2, 1), draw(5, 2, 1)
    assert np.array_equal(first.image, second.image) and np.array_equal(first.label, second.label)
    assert first.geometry == second.geometry


@pytest.mark.parametrize("other", [(6, 2, 0), (5, 3, 0), (5, 2, 1)])
def test_seed_patient_and_view_each_matter(draw, other):
    first, second = draw(5, 2, 0), draw(*other)
    assert first.image.shape != second.image.shape or not np.array_equal(first.image, second.image)


def test_grey_values_are_neither_flat_nor_clipped_away(draw):
    values = draw(1, 1).image
    top = (values == values.max()).mean()
    assert values.std() > 0.1 * values.mean() and top < 0.05


def test_structures_differ_from_their_surroundings(draw):
    """A phantom whose label cannot be seen would teach nothing: compare with a ring around each structure."""
    from scipy import ndimage

    contrast = []
    for patient in range(6):
        case = draw(2, patient)
        image = case.image[0].astype(float)
        for index in range(len(case.space.structures)):
            mask = case.space.mask(case.label, index)
            if mask.any():
                ring = ndimage.binary_dilation(mask, iterations=2) & (case.label[0] == 0 if index == 0 else ~mask)
                contrast.append(abs(image[mask].mean() - image[ring].mean()) / image.std())
    assert np.median(contrast) > 0.1
