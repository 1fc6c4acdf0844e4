"""What every step promises: doing it twice is doing it once, no new labels, the same grid, ignored voxels untouched."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segwright.core.errors import UnknownNameError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import IGNORE, LabelSpace
from segwright.postprocess import STEPS
from segwright.postprocess.chain import load_step
from segwright.postprocess.steps import StructureFacts

STRUCTURES = [{"name": "a", "values": [1]}, {"name": "b", "values": [2]}, {"name": "c", "values": [3]}]
SPACES = {kind: LabelSpace(structures=STRUCTURES, kind=kind) for kind in ("exclusive", "overlapping")}
GRIDS = {
    "solid": Geometry.from_spacing((7, 22, 20), (3.0, 0.8, 0.7)),
    "voxels": Geometry.from_spacing((7, 22, 20)),
    "plane": Geometry.from_spacing((1, 40, 36), (None, 0.5, 0.5)),
}
FACTS = StructureFacts(voxels=400, mm3=500.0, extent=512)
VARIANTS = [(name, params) for name in STEPS for params in load_step(name).options(FACTS)]


def labels(space: LabelSpace, grid: Geometry, seed: int, *, ignore: bool = True) -> np.ndarray:
    """Smooth random labels with islands and holes."""
    rng = np.random.default_rng(seed)
    width = (0 if grid.shape[0] == 1 else 0.8, 1.3, 1.3)
    fields = np.stack([ndimage.gaussian_filter(rng.random(grid.shape), width) for _ in space.names])
    masks = fields > np.quantile(fields, 0.6)
    array = space.from_masks(list(masks))
    if ignore:
        array[:, :, 5:8, 5:9] = IGNORE
    return array


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_contract(name: str, params: dict, kind: str, grid: str) -> None:
    space, geometry, step = SPACES[kind], GRIDS[grid], load_step(name)
    for seed in range(3):
        before = labels(space, geometry, seed)
        kept = before.copy()
        once = step(before, space, geometry=geometry, **params)
        assert np.array_equal(before, kept), "the input was changed"
        assert once.shape == before.shape and once.dtype == before.dtype
        assert set(np.unique(once)) <= set(np.unique(before))
        assert np.array_equal(once == IGNORE, before == IGNORE)
        assert np.array_equal(step(once, space, geometry=geometry, **params), once)
        changed = once != before
        assert ((before[changed] == 0) | (once[changed] == 0)).all(), "one structure became another"


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_only_named_structures_change(name: str, params: dict, kind: str) -> None:
    space, geometry = SPACES[kind], GRIDS["solid"]
    before = labels(space, geometry, 1)
    after = load_step(name)(before, space, geometry=geometry, structures=("b",), **params)
    for index in (0, 2):
        assert np.array_equal(space.mask(before, index), space.mask(after, index))


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_nothing_stays_nothing(name: str, params: dict) -> None:
    for space in SPACES.values():
        empty = np.zeros((space.planes, 7, 22, 20), space.dtype)
        assert not load_step(name)(empty, space, geometry=GRIDS["solid"], **params).any()


@pytest.mark.parametrize("name", STEPS)
def test_wrong_names_and_grids_are_refused(name: str) -> None:
    space, geometry, step = SPACES["exclusive"], GRIDS["solid"], load_step(name)
    array = labels(space, geometry, 0)
    with pytest.raises(UnknownNameError, match="structure 'd'"):
        step(array, space, geometry=geometry, structures=("d",))
    with pytest.raises(UnknownNameError, match="colour"):
        step(array, space, geometry=geometry, colour=1)
    with pytest.raises(UsageError, match="grid"):
        step(array, space, geometry=GRIDS["plane"])
    assert step.about.endswith(".")
