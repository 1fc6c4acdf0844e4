"""Each step does what SciPy or scikit-image, or a drawing by hand, say it should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure, morphology

from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.postprocess.steps import drop_small, fill_holes, keep_largest, seed_mask

ONE = LabelSpace(structures=[{"name": "a", "values": [1]}])
TWO = LabelSpace(structures=[{"name": "a", "values": [1]}, {"name": "b", "values": [2]}])


def speckle(shape: tuple[int, ...], share: float = 0.12) -> np.ndarray:
    return (np.random.default_rng(0).random((1, *shape)) < share).astype(np.int16)


def test_keep_largest_is_the_largest_region() -> None:
    array = speckle((8, 20, 20))
    kept = keep_largest(array, ONE, geometry=Geometry.from_spacing((8, 20, 20)))
    regions = measure.regionprops(measure.label(array[0], connectivity=3))
    assert kept.sum() == max(region.area for region in regions)


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 0.5), (None, None, None)])
def test_drop_small_counts_mm3_or_voxels(spacing: tuple) -> None:
    array = speckle((8, 20, 20))
    kept = drop_small(array, ONE, geometry=Geometry.from_spacing((8, 20, 20), spacing), mm3=5.0, voxels=5)
    numbered, _ = ndimage.label(array[0], np.ones((3, 3, 3)))
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    assert np.array_equal(kept[0] > 0, (sizes >= 5)[numbered])


def test_drop_small_is_area_in_a_plane() -> None:
    array = speckle((1, 30, 30), 0.3)
    geometry = Geometry.from_spacing((1, 30, 30), (None, 0.5, 0.5))
    kept = drop_small(array, ONE, geometry=geometry, mm3=2.0)
    expected = morphology.remove_small_objects(array[0, 0] > 0, max_size=7, connectivity=2)
    assert np.array_equal(kept[0, 0] > 0, expected)


def test_drop_small_never_guesses_a_unit() -> None:
    geometry = Geometry.from_spacing((1, 30, 30))
    with pytest.raises(UsageError, match="without spacing"):
        drop_small(speckle((1, 30, 30)), ONE, geometry=geometry, mm3=2.0)
    with pytest.raises(UsageError, match="nothing"):
        drop_small(speckle((1, 30, 30)), ONE, geometry=geometry)


def test_fill_holes_leaves_other_structures_in_the_hole() -> None:
    array = np.zeros((1, 1, 7, 7), np.int16)
    array[0, 0, 1:6, 1:6] = 1
    array[0, 0, 2:5, 2:5] = 0
    array[0, 0, 3, 3] = 2
    filled = fill_holes(array, TWO, geometry=Geometry.from_spacing((1, 7, 7)))
    assert filled[0, 0, 3, 3] == 2 and (filled == 1).sum() == 24


def test_fill_holes_slicewise_or_solid() -> None:
    array = np.zeros((1, 5, 7, 7), np.int16)
    array[0, 1:4, 1:6, 1:6] = 1
    array[0, 1:4, 3, 3] = 0  # a tunnel along z
    geometry = Geometry.from_spacing((5, 7, 7), (1, 1, 1))
    assert (fill_holes(array, ONE, geometry=geometry) == array).all()
    assert fill_holes(array, ONE, geometry=geometry, slicewise=True).sum() == 75


def test_seed_mask_keeps_the_column_and_drops_the_stray() -> None:
    array = np.zeros((1, 1, 80, 40), np.int16)
    for top in range(2, 74, 12):
        array[0, 0, top : top + 8, 10:22] = 1 + (top // 12) % 2  # blocks 4 apart
    array[0, 0, 30:37, 32:38] = 1  # stray, 10 from the column
    geometry = Geometry.from_spacing((1, 80, 40))
    kept = seed_mask(array, TWO, geometry=geometry, erode_voxels=1, dilate_voxels=4)
    assert not kept[0, 0, :, 30:].any()
    assert np.array_equal(kept[0, 0, :, :30], array[0, 0, :, :30])
    broken = seed_mask(array, TWO, geometry=geometry, erode_voxels=1, dilate_voxels=2)
    assert (broken > 0).sum() == 96  # too little dilation leaves a single block


def test_seed_mask_is_its_definition_in_scipy() -> None:
    rng = np.random.default_rng(3)
    mask = ndimage.gaussian_filter(rng.random((60, 60)), 2.5) > 0.5
    eroded = ndimage.binary_erosion(mask, morphology.disk(2), border_value=1)
    numbered, _ = ndimage.label(ndimage.binary_dilation(eroded, morphology.disk(3)), np.ones((3, 3)))
    largest = numbered == np.bincount(numbered.ravel())[1:].argmax() + 1
    array = mask[None, None].astype(np.int16)
    ours = seed_mask(array, ONE, geometry=Geometry.from_spacing((1, 60, 60)), erode_voxels=2, dilate_voxels=3)
    assert np.array_equal(ours[0, 0] > 0, mask & largest)


def test_seed_mask_that_erodes_everything_changes_nothing() -> None:
    array = speckle((1, 30, 30), 0.05)
    geometry = Geometry.from_spacing((1, 30, 30))
    assert np.array_equal(seed_mask(array, ONE, geometry=geometry, erode_voxels=3, dilate_voxels=5), array)
    with pytest.raises(UsageError, match="dilate"):
        seed_mask(array, ONE, geometry=geometry, erode_voxels=3, dilate_voxels=2)
