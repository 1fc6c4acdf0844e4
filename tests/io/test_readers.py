"""Several people drew the same: one of them is learnt from, or what all agree on, as two lines in dataset.yaml say."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segwright import io
from segwright.api.convert import convert
from segwright.core.case import Dataset
from segwright.core.errors import LabelError, UnknownNameError
from segwright.core.plan import Normalisation, PreparePlan
from segwright.io.consensus import agreed
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images
from segwright.prepare.cache import Cache

SHAPE = (40, 48)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def drawing(case: int, reader: int, values: int = 1) -> np.ndarray:
    """Boxes that readers place and cut a little differently."""
    rng = np.random.default_rng(100 * case + reader)
    out = np.zeros(SHAPE, np.uint8)
    for value in range(1, values + 1):
        top, left = 4 + 16 * (value - 1) + rng.integers(0, 2), 6 + case + rng.integers(0, 3)
        out[top : top + 12, left : left + 20] = value
    return out


def folder(root: Path, readers: int, values: int = 1, *, name: str = "reader{}") -> Path:
    for case in range(4):
        truth = drawing(case, 0, values)
        save(root / "images" / f"c{case}.png", np.random.default_rng(case).normal(60, 9, SHAPE) + 60 * truth)
        for reader in range(1, readers + 1):
            drawn = drawing(case, reader, values)
            save(root / name.format(reader) / f"c{case}.png", drawn * (255 if values == 1 else 1))
    return root


def labels(dataset: Dataset) -> list[np.ndarray]:
    return [load_label(dataset, case, load_image(dataset, case).geometry)[0, 0] for case in dataset.cases]


def staple(masks: list[np.ndarray]) -> np.ndarray:
    """Expectation and maximisation as published, with the prior that the readers' mean gives."""
    drawn = np.stack([mask.ravel() != 0 for mask in masks]).astype(np.float64)
    prior = drawn.mean()
    hits, misses = np.full(len(masks), 0.99999), np.full(len(masks), 0.99999)
    for _ in range(200):
        inside = prior * np.prod(np.where(drawn == 1, hits[:, None], 1 - hits[:, None]), axis=0)
        outside = (1 - prior) * np.prod(np.where(drawn == 0, misses[:, None], 1 - misses[:, None]), axis=0)
        weight = inside / (inside + outside)
        hits = (drawn * weight).sum(axis=1) / weight.sum()
        misses = ((1 - drawn) * (1 - weight)).sum(axis=1) / (1 - weight).sum()
    return (weight > 0.5).reshape(masks[0].shape)


def test_majority_by_hand() -> None:
    one, two, three = (np.array([[[row]]], np.int16) for row in ([1, 1, 2, 0, -1], [1, 2, 2, 0, -1], [0, 2, 1, 1, 1]))
    assert agreed([one, two, three], "majority").ravel().tolist() == [1, 2, 2, 0, -1]
    assert agreed([one, two], "majority").ravel().tolist() == [1, 0, 2, 0, -1]  # of two, what both say
    assert agreed([one], "majority") is one
    with pytest.raises(UnknownNameError, match="consensus"):
        agreed([one, two], "mean")


@pytest.mark.parametrize("readers", [3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_staple_against_the_published_iteration(readers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.zeros((1, 4, 24, 24), bool)
    truth[0, 1:3, 5:17, 6:19] = True
    masks = [(truth ^ (rng.random(truth.shape) < 0.02 + 0.05 * reader)) for reader in range(readers)]
    found = agreed([mask.astype(np.int8) for mask in masks], "staple")
    assert np.array_equal(found[0] != 0, staple([mask[0] for mask in masks]))


def test_staple_trusts_the_careful_and_knows_several_structures() -> None:
    """Two careless readers outvote a careful one, but are weighed less where the careful ones are two."""
    rng = np.random.default_rng(0)
    truth = np.zeros((1, 1, 60, 60), np.int16)
    truth[0, 0, 5:30, 5:50], truth[0, 0, 32:55, 8:40] = 1, 2

    def careless(share: float) -> np.ndarray:
        return np.where(rng.random(truth.shape) < share, rng.integers(0, 3, truth.shape), truth).astype(np.int16)

    drawn = [careless(0.02), careless(0.02), careless(0.6), careless(0.6), careless(0.6)]
    wrong = {rule: int((agreed(drawn, rule) != truth).sum()) for rule in ("majority", "staple")}
    assert wrong["staple"] < wrong["majority"] / 3
    assert set(np.unique(agreed(drawn, "staple"))) == {0, 1, 2}
    empty = [np.zeros((1, 1, 5, 5), np.int16)] * 3
    assert not agreed(empty, "staple").any()


@pytest.mark.parametrize("readers", [2, 3])
def test_what_inspect_says_to_type_does_what_it_says(tmp_path: Path, readers: int) -> None:
    place = folder(tmp_path, readers)
    dataset = open_dataset(place)
    note = next(note for note in dataset.notes if "several readers" in note)
    assert "Dice" in note and dataset.readers[0] == "reader1"
    first, whole = re.findall(r"'(readers: \[[^]]+\])'", note)
    assert np.array_equal(labels(dataset)[1] != 0, drawing(1, 1) != 0)

    (place / "dataset.yaml").write_text(first + "\n")
    assert np.array_equal(labels(open_dataset(place))[1] != 0, drawing(1, 2) != 0)

    drawn = [drawing(1, reader) != 0 for reader in range(1, readers + 1)]
    for rule, wanted in (("majority", sum(drawn) * 2 > readers), ("staple", None)):
        assert f"consensus: {rule}" in note
        (place / "dataset.yaml").write_text(f"{whole}\nconsensus: {rule}\n")
        told = open_dataset(place)
        assert told.consensus == rule and len(told.readers) == readers
        assert {source.reader for source in told.cases[0].label} == set(told.readers)
        assert not any("reader" in aside.path for aside in told.aside)
        if wanted is not None:
            assert np.array_equal(labels(told)[1] != 0, wanted)
        told.save(tmp_path / "kept.yaml")
        assert all(map(np.array_equal, labels(told), labels(open_dataset(tmp_path / "kept.yaml"))))
        assert [case.id for case in open_images(place, told.channels).cases] == [case.id for case in told.cases]


@pytest.mark.parametrize("rule", ["majority", "staple"])
def test_maps_of_several_structures_whose_values_not_every_reader_used(tmp_path: Path, rule: str) -> None:
    place = folder(tmp_path, 3, values=2, name="r{}")
    for case in range(4):  # the first reader never drew the second structure
        save(place / "r1" / f"c{case}.png", np.where(drawing(case, 1, 2) == 2, 0, drawing(case, 1, 2)))
    (place / "dataset.yaml").write_text(f"images: images\nreaders: [r1, r2, r3]\nconsensus: {rule}\n")
    dataset = open_dataset(place)
    assert [structure.values for structure in dataset.labels.structures] == [(1,), (2,)]
    found = labels(dataset)[2]
    both = (drawing(2, 2, 2) == 2) & (drawing(2, 3, 2) == 2)
    assert (found[both] == 2).mean() > 0.95


def test_a_case_that_one_reader_left_out_is_what_the_others_drew(tmp_path: Path) -> None:
    place = folder(tmp_path, 3)
    (place / "reader2" / "c3.png").unlink()
    (place / "reader3" / "c3.png").unlink()
    (place / "dataset.yaml").write_text("readers: [reader1, reader2, reader3]\nconsensus: majority\n")
    dataset = open_dataset(place)
    assert np.array_equal(labels(dataset)[3] != 0, drawing(3, 1) != 0)
    assert any("1 case was not drawn by all" in note for note in dataset.notes)


def test_readers_in_columns_of_a_table(tmp_path: Path) -> None:
    place = folder(tmp_path, 2)
    rows = [[f"c{i}", f"images/c{i}.png", f"reader1/c{i}.png", f"reader2/c{i}.png"] for i in range(4)]
    with (place / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "image", "label_anna", "label_bert"], *rows])
    (place / "dataset.yaml").write_text("readers: [anna, bert]\nconsensus: majority\n")
    dataset = open_dataset(place)
    assert dataset.layout == "table"
    assert np.array_equal(labels(dataset)[0] != 0, (drawing(0, 1) != 0) & (drawing(0, 2) != 0))


def test_a_consensus_of_nobody_is_refused(tmp_path: Path) -> None:
    place = folder(tmp_path, 1)
    (place / "dataset.yaml").write_text("consensus: majority\n")
    with pytest.raises(LabelError, match="no two readers"):
        open_dataset(place)


def test_the_consensus_is_converted_and_prepared_anew(tmp_path: Path) -> None:
    place = folder(tmp_path / "data", 2)
    told = {}
    for rule in ("majority", "staple"):
        (place / "dataset.yaml").write_text(f"readers: [reader1, reader2]\nconsensus: {rule}\n")
        told[rule] = open_dataset(place)
    convert(told["majority"], tmp_path / "out", to="png")
    written = io.read_label(tmp_path / "out" / "c1.png").array()[0, 0]
    assert np.array_equal(written != 0, labels(told["majority"])[1] != 0)
    cache = Cache(tmp_path / "cache", space=told["majority"].labels)
    plan = PreparePlan(normalise=(Normalisation(),))
    assert len({cache.key(one, one.cases[0], plan) for one in told.values()}) == 2
