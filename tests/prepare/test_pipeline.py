"""A scan's way in and back: over all orientations, oblique and sheared grids, nothing moves in the world."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segwright.core.errors import GeometryError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, PreparePlan
from segwright.core.trail import Cropped, Resampled, Trail, Turned, turn
from segwright.core.volume import Volume
from segwright.prepare.pipeline import Prepared, interpolation_orders, prepare_image, prepare_label, target_shape
from segwright.prepare.restore import ScoreRestorer, restore_labels

EXCLUSIVE = LabelSpace(structures=[{"name": "a"}, {"name": "b"}])
OVERLAPPING = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")
KEEP = (Normalisation(scheme="none"),)
TURNS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for count in range(4)
    for flips in itertools.combinations(range(3), count)
]


@pytest.mark.parametrize(("thickness", "order"), [(1.0, 3), (2.9, 3), (3.0, 3), (3.1, 1), (12.0, 1)])
def test_cubic_interpolation_ends_where_slices_are_three_times_as_thick(thickness: float, order: int) -> None:
    """Beyond that it would ring: a bright slice would draw dark ones beside it."""
    assert interpolation_orders(Geometry.from_spacing((4, 8, 8), (thickness, 1.0, 1.0))) == (order, 3, 3)
    stack = np.zeros((5, 8, 8))
    stack[2] = 100.0
    plan = PreparePlan(spacing=(thickness / 2, 1.0, 1.0), normalise=KEEP)
    made = prepare_image(Volume.of(stack, Geometry.from_spacing(stack.shape, (thickness, 1.0, 1.0))), plan).array
    assert (made.min() < -1) == (order == 3)


def world_grid(kind: str, shape: tuple[int, int, int] = (14, 24, 20)) -> Geometry:
    """A grid with anisotropic voxels, rotated by some degrees or sheared."""
    base = Geometry.from_spacing(shape, (3.0, 0.9, 1.1)).affine.copy()
    a, b = 0.3, 0.2
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    extra = {
        "straight": np.eye(3),
        "oblique": about_z @ about_x,
        "sheared": np.array([[1, 0, 0.1], [0, 1, 0.25], [0, 0, 1]]),
    }
    base[:3, :3] = extra[kind] @ base[:3, :3]
    base[:3, 3] = (-31.0, 17.5, 400.0)
    return Geometry(shape, base)


def blobs(geometry: Geometry, space: LabelSpace) -> np.ndarray:
    """Two ellipsoids, apart if exclusive and overlapping if not; smooth at the size of the grid."""
    index = np.indices(geometry.shape).astype(float)
    size = np.array(geometry.shape).reshape(3, 1, 1, 1)
    gap = 0.13 if space.exclusive else 0.08
    masks = []
    for sign in (-1, 1):
        centre = np.array([0.37, 0.62, 0.5 + sign * gap * 1.3]).reshape(3, 1, 1, 1) * size - 0.5
        radius = np.array([0.3, 0.3, 0.16]).reshape(3, 1, 1, 1) * size
        masks.append((((index - centre) / np.maximum(radius, 0.6)) ** 2).sum(axis=0) <= 1.0)
    return space.from_masks(masks)


def centroid(mask: np.ndarray, geometry: Geometry) -> np.ndarray:
    return geometry.to_world(np.argwhere(mask).mean(axis=0))


def off_by(a: np.ndarray, b: np.ndarray, *grids: Geometry) -> float:
    """Distance in voxels of the coarser grid."""
    return float(np.linalg.norm(a - b) / max(max(g.lengths) for g in grids))


def prepare(geometry: Geometry, plan: PreparePlan) -> tuple[Prepared, np.ndarray]:
    image = np.random.default_rng(0).normal(size=(1, *geometry.shape)).astype(np.float32)
    return prepare_image(Volume.of(image, geometry), plan), image


@pytest.mark.parametrize("kind", ["straight", "oblique", "sheared"])
@pytest.mark.parametrize("space", [EXCLUSIVE, OVERLAPPING], ids=["exclusive", "overlapping"])
def test_round_trip_over_all_orientations(kind: str, space: LabelSpace) -> None:
    base = world_grid(kind)
    truth = blobs(base, space)
    plan = PreparePlan(orientation="SAR", spacing=(2.0, 1.3, 1.0), normalise=KEEP)
    prepared_shapes = set()
    for order, flips in TURNS:
        geometry = base.permute(order).flip(flips)
        labels = turn(truth, Turned(order, flips))
        prepared, _ = prepare(geometry, plan)
        target = prepared.trail.target
        assert target.orientation == "SAR"
        prepared_shapes.add(target.shape)
        there = prepare_label(labels, prepared.trail, space)
        back = restore_labels(there, prepared.trail, space)
        assert back.shape == labels.shape and back.dtype == labels.dtype
        for index in range(2):
            start = centroid(space.mask(labels, index), geometry)
            assert off_by(start, centroid(space.mask(there, index), target), geometry, target) < 0.1
            assert off_by(start, centroid(space.mask(back, index), geometry), geometry, target) < 0.1
            overlap = space.mask(labels, index) & space.mask(back, index)
            assert 2 * overlap.sum() / (space.mask(labels, index).sum() + space.mask(back, index).sum()) > 0.93
    assert len(prepared_shapes) == 1


@pytest.mark.parametrize("flips", [(), (1,), (2,), (1, 2)])
@pytest.mark.parametrize("plan", [{"spacing": (1.0, 0.5, 0.5)}, {"fit": (40, 30)}, {"spacing": (9.0, 2.0, 3.0)}])
def test_round_trip_of_planes(flips: tuple[int, ...], plan: dict) -> None:
    spacing = (None, None, None) if "fit" in plan else (None, 0.8, 1.1)
    geometry = Geometry.from_spacing((1, 90, 70), spacing).flip(flips)
    labels = blobs(geometry, EXCLUSIVE)
    prepared, _ = prepare(geometry, PreparePlan(orientation="SAR", normalise=KEEP, **plan))
    target = prepared.trail.target
    assert target.shape[0] == 1 and target.known == geometry.known
    assert not any(isinstance(step, Turned) for step, _ in prepared.trail.steps)
    there = prepare_label(labels, prepared.trail, EXCLUSIVE)
    back = restore_labels(there, prepared.trail, EXCLUSIVE)
    assert back.shape == labels.shape
    for index in range(2):
        start = centroid(EXCLUSIVE.mask(labels, index), geometry)
        assert off_by(start, centroid(EXCLUSIVE.mask(there, index), target), geometry, target) < 0.1
        assert off_by(start, centroid(EXCLUSIVE.mask(back, index), geometry), geometry, target) < 0.1


def test_image_and_label_stay_together() -> None:
    """An image that is its own label ends where the label ends."""
    for order, flips in TURNS[::5]:
        geometry = world_grid("oblique").permute(order).flip(flips)
        labels = turn(blobs(world_grid("oblique"), EXCLUSIVE), Turned(order, flips))
        volume = Volume.of((labels == 1).astype(np.float32), geometry)
        plan = PreparePlan(orientation="RSA", crop=True, spacing=(1.0, 1.5, 1.0), normalise=KEEP)
        prepared = prepare_image(volume, plan)
        assert [type(step) for step, _ in prepared.trail.steps][-2:] == [Cropped, Resampled]
        moved = prepare_label(labels, prepared.trail, EXCLUSIVE) == 1
        weight = prepared.array.clip(0, 1)
        image_mask = weight > 0.5
        assert 2 * (moved & image_mask).sum() / (moved.sum() + image_mask.sum()) > 0.93


def test_nothing_to_do_is_exact() -> None:
    geometry = Geometry.from_spacing((5, 6, 7), (3.0, 1.0, 1.0))
    plan = PreparePlan(orientation="SAR", crop=True, spacing=(3.0, None, 1.0), fit=(500, 500), normalise=KEEP)
    prepared, image = prepare(geometry, plan)
    assert prepared.trail.steps == () and prepared.trail.target == geometry
    np.testing.assert_array_equal(prepared.array, image)
    labels = np.random.default_rng(0).integers(-1, 3, (1, 5, 6, 7)).astype(np.int16)
    np.testing.assert_array_equal(prepare_label(labels, prepared.trail, EXCLUSIVE), labels)
    np.testing.assert_array_equal(restore_labels(labels, prepared.trail, EXCLUSIVE), labels)


def test_turn_and_crop_alone_are_undone_bit_for_bit() -> None:
    for order, flips in TURNS:
        geometry = world_grid("oblique").permute(order).flip(flips)
        image = np.zeros((1, *geometry.shape), np.float32)
        image[:, 2:-3, 4:-1, 1:-2] = 1
        labels = np.random.default_rng(0).integers(0, 3, image.shape).astype(np.int16) * image.astype(np.int16)
        prepared = prepare_image(Volume.of(image, geometry), PreparePlan(orientation="LIA", crop=True, normalise=KEEP))
        trail = prepared.trail
        assert trail.target.orientation == "LIA" and prepared.array.min() == 1
        np.testing.assert_array_equal(restore_labels(prepare_label(labels, trail, EXCLUSIVE), trail, EXCLUSIVE), labels)
        corner = trail.target.to_world((0, 0, 0))
        inside = np.argwhere(image[0] > 0)
        nearest = np.linalg.norm(geometry.to_world(inside) - corner, axis=1).min()
        assert nearest < 1e-6


def stream(trail: Trail, space: LabelSpace, scores: np.ndarray, cuts: tuple[int, ...], **options) -> ScoreRestorer:
    def decode(part: np.ndarray) -> np.ndarray:
        return part.argmax(axis=0)[None] if space.exclusive else (part > 0.5).astype(np.int8)

    restorer = ScoreRestorer(trail, space, decode, **options)
    for start, stop in itertools.pairwise((0, *cuts, scores.shape[1])):
        restorer.feed(start, stop, scores[:, start:stop])
    return restorer


def one_hot(labels: np.ndarray, space: LabelSpace) -> np.ndarray:
    if not space.exclusive:
        return labels.astype(np.float32)
    return np.concatenate([labels == value for value in range(3)]).astype(np.float32)


@pytest.mark.parametrize("space", [EXCLUSIVE, OVERLAPPING], ids=["exclusive", "overlapping"])
@pytest.mark.parametrize("spacing", [(2.0, 1.3, 1.0), (7.0, 0.7, 2.5), (3.0, None, 1.0), None])
def test_scores_and_labels_restore_alike(space: LabelSpace, spacing: tuple | None) -> None:
    for order, flips in TURNS[::7]:
        geometry = world_grid("oblique").permute(order).flip(flips)
        labels = turn(blobs(world_grid("oblique"), space), Turned(order, flips))
        image = Volume.of((labels > 0).any(axis=0).astype(np.float32), geometry)
        plan = PreparePlan(orientation="SAR", crop=True, spacing=spacing, normalise=KEEP)
        trail = prepare_image(image, plan).trail
        there = prepare_label(labels, trail, space)
        last = trail.target.shape[0]
        by_labels = restore_labels(there, trail, space)
        whole = stream(trail, space, one_hot(there, space), ())
        cut = stream(trail, space, one_hot(there, space), tuple(range(1, last, 2)), keep=lambda scores: scores[-2:])
        np.testing.assert_array_equal(whole.finish(), cut.finish())
        assert (whole.finish() != by_labels).mean() < 1e-3
        assert cut.scores is not None and cut.scores.dtype == np.uint8 and cut.scores.shape == (2, *geometry.shape)
        for index in range(2):
            agree = (cut.scores[index] > 127) == space.mask(by_labels, index)
            assert agree.mean() > 0.98


def test_small_slabs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = world_grid("straight")
    trail = prepare(geometry, PreparePlan(spacing=(1.1, 2.0, 2.0), normalise=KEEP))[0].trail
    scores = np.random.default_rng(0).uniform(size=(3, *trail.target.shape)).astype(np.float32)
    expected = stream(trail, EXCLUSIVE, scores, (3, 4)).finish()
    monkeypatch.setattr("segwright.prepare.restore.SLAB_VALUES", 1)
    np.testing.assert_array_equal(stream(trail, EXCLUSIVE, scores, (3, 4)).finish(), expected)


def test_restorer_refuses_gaps_shapes_and_early_ends() -> None:
    grid = Geometry.from_spacing((4, 2, 2))
    restorer = ScoreRestorer(Trail(grid, grid), EXCLUSIVE, lambda s: s.argmax(axis=0)[None])
    slab = np.zeros((3, 2, 2, 2), np.float32)
    with pytest.raises(GeometryError, match="z order"):
        restorer.feed(1, 3, slab)
    with pytest.raises(GeometryError, match="prepared grid"):
        restorer.feed(0, 1, slab)
    restorer.feed(0, 2, slab)
    with pytest.raises(GeometryError, match="ended early"):
        restorer.finish()
    with pytest.raises(GeometryError, match="prepared grid"):
        restore_labels(np.zeros((1, 3, 2, 2), np.int16), Trail(grid, grid), EXCLUSIVE)
    with pytest.raises(GeometryError, match="differ in shape"):
        prepare_label(np.zeros((1, 3, 2, 2), np.int16), Trail(grid, grid), EXCLUSIVE)


def test_shapes_follow_spacing_and_fit() -> None:
    plan = PreparePlan(spacing=(2.0, 1.0, 1.0), fit=(100, 100), normalise=KEEP)
    assert target_shape(Geometry.from_spacing((10, 300, 200), (4.0, 1.0, 0.5)), plan) == (20, 300, 100)
    assert target_shape(Geometry.from_spacing((1, 300, 200)), plan) == (1, 100, 67)
    assert target_shape(Geometry.from_spacing((1, 30, 20)), plan) == (1, 30, 20)
    assert target_shape(Geometry.from_spacing((1, 4000, 1)), plan) == (1, 100, 1)
    assert target_shape(Geometry.from_spacing((5, 30, 20), (None, 1.0, 1.0)), plan) == (5, 30, 20)


def test_broken_voxels_are_counted_and_do_not_spread() -> None:
    geometry = Geometry.from_spacing((4, 8, 8), (2, 1, 1))
    image = np.random.default_rng(0).normal(size=geometry.shape)
    image[1, 2, 3], image[2, 2, 2] = np.nan, np.inf
    plan = PreparePlan(spacing=(1.0, 1.0, 1.0), normalise=(Normalisation(),))
    prepared = prepare_image(Volume.of(image, geometry), plan)
    assert prepared.repaired == 2 and np.isfinite(prepared.array).all()
