"""Every instance target gives its objects back: in a plane, in thick sections, whatever their number, size or id."""

import numpy as np
import pytest
import torch

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.losses import LOSSES
from segwright.metrics.contingency import Contingency
from segwright.metrics.objects import adapted_rand_error, match
from segwright.postprocess.instances import DECODERS, build_decoder
from segwright.targets import build_target, suitable_targets, target_info

SPACE = LabelSpace(structures=[{"name": "cell"}], kind="instances")
ROWS = suitable_targets("instances")


def cells(seed, shape, count, radius=9.0, lengths=(5.0, 1.0, 1.0)):
    """Touching cells: each voxel goes to the nearest of some centres, if that is near enough."""
    rng = np.random.default_rng(seed)
    centres = rng.random((count, 3)) * shape
    grid = np.stack(np.indices(shape), axis=-1) + 0.5
    far = np.linalg.norm((grid[..., None, :] - centres) * lengths, axis=-1)
    return np.where(far.min(axis=-1) < radius, far.argmin(axis=-1) + 1, 0).astype(np.int32)


def there_and_back(name, labels, **params):
    """Labels as decoded from their own encoding, by the target's usual decoder."""
    target = build_target(name, SPACE)
    codes, _ = target.encode(torch.from_numpy(labels[None, None].astype(np.int32)))
    decoder = build_decoder(target_info(name).decoders[0], **{"smallest": 0, **params})
    return decoder.decode(codes[0].numpy())


each_row = pytest.mark.parametrize("name", ROWS)
SHAPES = {"plane": ((1, 96, 96), 30, 9), "thick": ((10, 96, 96), 24, 18)}


def test_mask_and_boundary_are_usual():
    assert suitable_targets(SPACE.kind)[0] == "boundary"


@each_row
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_touching_objects_come_back(name, kind, seed):
    labels = cells(seed, *SHAPES[kind])
    found = there_and_back(name, labels)
    error = adapted_rand_error(Contingency.from_arrays(labels, found))
    limit = {"boundary": 0.015, "boundary_seed": 0.4}.get(name, 0.01)
    assert error < limit


@each_row
def test_cells_of_two_or_three_sections_come_back(name):
    """Where most of a cell lies right above another one, only bonds and flow are exact."""
    labels = cells(0, (8, 64, 72), 40)
    found = there_and_back(name, labels)
    table = Contingency.from_arrays(labels, found)
    limit = {"affinities": 0.002, "flow": 0.002, "boundary": 0.03, "distance": 0.005, "boundary_seed": 0.35}[name]
    assert adapted_rand_error(table) < limit
    assert name == "boundary_seed" or match(table, 0.5).hits == 40


@each_row
def test_codes_are_scores_and_rows_exist(name):
    target = build_target(name, SPACE)
    labels = torch.from_numpy(cells(2, (4, 40, 40), 12)[None, None])
    codes, weight = target.encode(labels)
    assert codes.shape == (1, target.channels, 4, 40, 40) and len(target.names) == target.channels
    assert codes.dtype == torch.float32 and weight is None
    assert float(codes.min()) >= 0 and float(codes.max()) <= 1
    info = target_info(name)
    assert target.channels == 1 + info.beside
    assert info.loss in LOSSES and info.decoders and all(row in DECODERS for row in info.decoders)
    assert target.activate(torch.zeros(1, target.channels, 1, 1, 1)).unique().tolist() == [0.5]
    foreground = target.decode(codes[0].numpy())
    assert foreground.shape == (1, 4, 40, 40)
    assert (foreground[0].astype(bool) == (labels[0, 0].numpy() > 0)).mean() > 0.85
    assert np.array_equal(foreground, target.decode((codes[0] * 255).round().to(torch.uint8).numpy()))


@each_row
def test_ignored_voxels_weigh_nothing(name):
    labels = torch.from_numpy(cells(3, (2, 24, 24), 5)[None, None])
    labels[..., :4] = -1
    codes, weight = build_target(name, SPACE).encode(labels)
    assert weight.shape == (1, 1, 2, 24, 24)
    assert not weight[..., :4].any() and weight[..., 4:].all() and not codes[..., :4].any()


@each_row
def test_large_ids_and_many_objects_stay_apart(name):
    labels = np.zeros((1, 1, 60), np.int32)
    labels = np.kron(np.arange(1, 65).reshape(1, 8, 8), np.ones((1, 8, 8), np.int32)).astype(np.int32)
    for offset in (0, 65_530, 2**25):
        found = there_and_back(name, np.where(labels > 0, labels + offset, 0))
        assert match(Contingency.from_arrays(labels, found), 0.5).hits == 64


@pytest.mark.parametrize("name", ["boundary", "affinities", "distance", "flow"])
def test_single_voxels_and_objects_at_the_border_survive(name):
    labels = np.zeros((3, 30, 30), np.int32)
    labels[1, 15, 15] = 1
    labels[:, :6, :7] = 2
    labels[:, 22:, 10:20] = 3
    found = there_and_back(name, labels)
    table = match(Contingency.from_arrays(labels, found), 0.9)
    lone = 0 if name == "affinities" else 1  # a voxel without neighbours has no bond to show
    assert table.hits == 2 + lone and table.false == 0


@pytest.mark.parametrize("name", ["boundary", "affinities", "distance", "flow"])
def test_objects_stacked_along_z_stay_apart(name):
    labels = np.zeros((6, 24, 24), np.int32)
    labels[:3, 4:20, 4:20], labels[3:, 4:20, 4:20] = 1, 2
    assert match(Contingency.from_arrays(labels, there_and_back(name, labels)), 0.9).hits == 2


@each_row
def test_no_object_gives_no_object(name):
    assert not there_and_back(name, np.zeros((2, 16, 16), np.int32)).any()


@each_row
def test_other_labels_are_refused(name):
    with pytest.raises(PlanError, match="number objects"):
        build_target(name, LabelSpace(structures=[{"name": "liver"}]))


def test_seed_definition_by_hand():
    """Two objects that touch: contact erased by one voxel a side, boundaries four wide around every contour."""
    labels = torch.zeros(1, 1, 1, 9, 24, dtype=torch.int32)
    labels[..., 4:12], labels[..., 12:20] = 1, 2
    mask, boundary = build_target("boundary_seed", SPACE).encode(labels)[0][0, :, 0, 4].int().tolist()
    assert mask == [0] * 4 + [1] * 7 + [0] * 2 + [1] * 7 + [0] * 4
    assert boundary == [0] * 2 + [1] * 4 + [0] * 3 + [1] * 6 + [0] * 3 + [1] * 4 + [0] * 2


def test_real_neurons_come_back(shared_data):
    h5py = pytest.importorskip("h5py")
    folder = shared_data("em-neurons")
    with h5py.File(folder / "train-gt.lzf.h5") as file:
        labels = file[next(iter(file))][...]
    _, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape(labels.shape).astype(np.int32)
    for name in ROWS:
        if build_target(name, SPACE).dense:
            found = there_and_back(name, labels)
            assert adapted_rand_error(Contingency.from_arrays(labels, found)) < 0.01, name
