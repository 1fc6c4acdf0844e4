"""Numbers of objects against classes: place, size, pieces and gaps, and what is told where they look alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from segwright.io.meaning.decide import Meaning, decide
from segwright.io.meaning.facts import facts_of, one_piece

Plane = NDArray[np.uint16]


def blobs(seed: int, numbers: list[int], radii: Callable[[int], float] | None = None) -> Plane:
    """Discs at random places that do not touch, in random order unless sizes are given by number."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((160, 200), np.uint16)
    y, x = np.indices(plane.shape)
    for number, place in zip(numbers, rng.permutation(80)[: len(numbers)], strict=True):
        radius = radii(number) if radii else rng.uniform(3, 8)
        plane[(y - 10 - 20 * (place // 10)) ** 2 + (x - 10 - 20 * (place % 10)) ** 2 <= radius**2] = number
    return plane


def by_rows(plane: Plane) -> Plane:
    """The same objects, numbered as they are met row by row."""
    _, first = np.unique(plane, return_index=True)
    order = np.argsort(np.argsort(first[1:])) + 1
    return np.concatenate([[0], order]).astype(np.uint16)[np.searchsorted(np.unique(plane), plane)]


def meaning_of(planes: list[Plane], stated: str = "") -> Meaning:
    raws = {str(i): plane[None] for i, plane in enumerate(planes)}
    return decide({name: facts_of(raw) for name, raw in raws.items()}, raws.__getitem__, stated=stated)  # type: ignore[arg-type]


@pytest.mark.parametrize("counts", [(5, 5, 8, 5), (6, 6, 6, 6, 6), (7, 9, 8), (30, 31, 30)])
@pytest.mark.parametrize("order", [lambda plane: plane, by_rows])
def test_one_to_n_anywhere_are_objects(counts: tuple[int, ...], order: Callable[[Plane], Plane]) -> None:
    planes = [order(blobs(i, list(range(1, n + 1)))) for i, n in enumerate(counts)]
    assert meaning_of(planes).kind == "objects"


def test_numbers_by_size_are_objects() -> None:
    planes = [blobs(i, list(range(1, 6 + i % 2)), lambda n: 9.0 - n) for i in range(5)]
    assert meaning_of(planes).kind == "objects"


def test_sizes_that_belong_to_values_are_classes_though_they_lie_anywhere() -> None:
    size = {1: 4.0, 2: 8.0, 3: 3.0, 4: 6.0}
    found = meaning_of([blobs(i, [1, 2, 3, 4], size.__getitem__) for i in range(8)])
    assert (found.kind, found.values) == ("classes", (1, 2, 3, 4))


def test_an_atlas_of_hundreds_that_keep_their_place_is_classes() -> None:
    atlas = np.zeros((160, 200), np.uint16)
    for number in range(320):
        y, x = 10 * (number // 20), 10 * (number % 20)
        atlas[y + 1 : y + 8, x + 1 : x + 8] = number + 1
    found = meaning_of([np.roll(atlas, i, axis=1) for i in range(3)])
    assert found.kind == "classes" and len(found.values) == 320


def test_values_of_several_pieces_are_classes() -> None:
    planes = []
    for i in range(5):
        plane = blobs(i, list(range(1, 11)))
        planes.append(np.where(plane, (plane - 1) % 5 + 1, 0).astype(np.uint16))
    found = meaning_of(planes)
    assert (found.kind, found.notes) == ("classes", ())


def test_parts_that_move_together_are_classes() -> None:
    """Shells of one tumour that lies anywhere: each in one piece, each elsewhere in every case."""
    planes = []
    y, x = np.indices((160, 200))
    for i in range(6):
        cy, cx = np.random.default_rng(i).integers((30, 30), (130, 170))
        distance = np.hypot(y - cy, x - cx)
        planes.append(np.select([distance < 4, distance < 8, distance < 12, distance < 16], [1, 2, 3, 4], 0))
    assert meaning_of([plane.astype(np.uint16) for plane in planes]).kind == "classes"


@pytest.mark.parametrize("numbers", [[1, 2], [1, 2, 3]])
def test_two_or_three_that_lie_anywhere_are_classes_and_the_doubt_is_told(numbers: list[int]) -> None:
    found = meaning_of([blobs(i, numbers) for i in range(6)])
    assert found.kind == "classes"
    assert "may number objects" in found.notes[0] and "label_values: objects" in found.notes[0]


def test_two_files_are_little_evidence_and_the_doubt_is_told() -> None:
    found = meaning_of([by_rows(blobs(i, list(range(1, n + 1)))) for i, n in enumerate((7, 9))])
    assert found.kind == "objects" or "may number objects" in found.notes[0]


def test_few_values_of_wide_range_that_seldom_come_back_are_objects() -> None:
    """Random bytes as numbers: most come back by chance in some case, so they are not new."""
    rng = np.random.default_rng(0)
    planes = [blobs(i, (rng.permutation(120)[:25] + 1).tolist()) for i in range(10)]
    assert meaning_of(planes).kind == "objects"


def test_objects_with_a_void_value() -> None:
    planes = []
    for i in range(4):
        plane = blobs(i, list(range(1, 8 + i)))
        plane[150:] = 65535
        planes.append(plane)
    found = meaning_of(planes)
    assert (found.kind, found.ignore) == ("objects", 65535)


def test_what_a_person_states_is_taken() -> None:
    planes = [blobs(i, [1, 2]) for i in range(4)]
    assert meaning_of(planes, "objects").kind == "objects"
    many = [blobs(i, list(range(1, 30 + i))) for i in range(4)]
    found = meaning_of(many, "classes")
    assert found.kind == "classes" and len(found.values) == 32


def test_pieces_of_values_are_counted() -> None:
    plane = np.zeros((1, 8, 8), np.int16)
    plane[0, :2, :2], plane[0, 4, 4], plane[0, 7, 7], plane[0, 0, 7] = 3, 5, 5, -2
    assert one_piece(plane) == pytest.approx(2 / 3)
