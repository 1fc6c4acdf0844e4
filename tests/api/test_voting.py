"""Votes over tables against decoding every mask and counting, in any order of rows and with any rows missing."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from segwright.api import voting
from segwright.api.voting import vote_tables, votes_needed
from segwright.core.errors import LabelError, ReadError, UnknownNameError, UsageError
from segwright.core.runs import Runs
from segwright.io.formats.rle.table import open_rle, write_rle

SHAPE = (11, 13)


def read(path):
    with open(path, newline="") as stream:
        return list(csv.reader(stream))


@pytest.fixture
def tables(tmp_path):
    """Three tables over 7 images and 3 classes, in other orders, each lacking some rows and with empty masks."""
    rng = np.random.default_rng(3)
    keys = [(f"{i}_x.png", name) for i in range(7) for name in ("finger-1", "ra_dius", "ulna")]
    truth, paths = {key: np.zeros((3, *SHAPE), bool) for key in keys}, []
    for model in range(3):
        order = keys if model == 0 else [keys[i] for i in rng.permutation(len(keys))]
        kept = [key for key in order if rng.random() < 0.8]
        for key in kept:
            truth[key][model] = rng.random(SHAPE) < rng.choice([0.0, 0.3, 0.7])
        paths.append(tmp_path / f"model-{model}.csv")
        write_rle(paths[-1], ((key, Runs.of_mask(truth[key][model])) for key in kept))
    return paths, truth


def expected(truth, limit):
    return {key: Runs.of_mask(masks.sum(axis=0) > limit(key[1])).text() for key, masks in truth.items()}


@pytest.mark.parametrize("batch", [1, 4, 256])
@pytest.mark.parametrize(
    ("wish", "limit"),
    [
        ({"threshold": 0}, lambda name: 0),
        ({"threshold": 1}, lambda name: 1),
        ({"threshold": "50%"}, lambda name: 1.5),
        ({"threshold": 1, "classes": {"ulna": 2, "finger-1": "10%"}}, {"ulna": 2, "finger-1": 0.3, "ra_dius": 1}.get),
    ],
)
def test_the_vote_is_that_of_decoded_masks(tables, tmp_path, monkeypatch, wish, limit, batch):
    monkeypatch.setattr(voting, "BATCH", batch)
    paths, truth = tables
    present = {key for path in paths for key in (row.key for row in open_rle(path).rows())}
    told = vote_tables(paths, tmp_path / "out.csv", **wish)
    head, *rows = read(tmp_path / "out.csv")
    assert head == ["image_name", "class", "rle"]
    found = {(a, b): c for a, b, c in rows}
    assert found == {key: text for key, text in expected(truth, limit).items() if key in present}
    assert told.rows == len(rows) == len(present)
    assert told.empty == sum(not text for text in found.values())


def test_rows_keep_the_order_of_the_first_table_and_all_that_lack_are_named(tables, tmp_path):
    paths, _ = tables
    keys = [[row.key for row in open_rle(path).rows()] for path in paths]
    told = vote_tables(paths, tmp_path / "out.csv")
    order = [tuple(row[:2]) for row in read(tmp_path / "out.csv")[1:]]
    second = [key for key in keys[1] if key not in keys[0]]
    third = [key for key in keys[2] if key not in keys[0] and key not in keys[1]]
    assert order == keys[0] + second + third
    lacking = {one.table: list(one.rows) for one in told.missing}
    assert lacking == {str(p): [k for k in order if k not in own] for p, own in zip(paths, keys, strict=True)}


def test_any_key_and_column_order(tmp_path):
    (tmp_path / "a.csv").write_text("study;view;EncodedPixels\ns;ap;1 4\n")
    (tmp_path / "b.csv").write_text("EncodedPixels,view,study,score\n3 4,ap,s,0.5\n")
    vote_tables([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "o.csv", threshold=1)
    assert read(tmp_path / "o.csv") == [["study", "view", "EncodedPixels"], ["s", "ap", "3 2"]]
    with pytest.raises(UnknownNameError, match="study"):
        vote_tables([tmp_path / "b.csv", tmp_path / "a.csv"], tmp_path / "p.csv", columns=["study", "rle"])


def test_repairs_are_named_and_count_once(tmp_path):
    head = "image_name,class,rle\n"
    (tmp_path / "a.csv").write_text(head + "x,u,5 2 1 6\nx,u,5 2 1 6\nx,v,nan\n")
    (tmp_path / "b.csv").write_text(head + "x,u,1  3\nx,v,\n")
    told = vote_tables([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "o.csv")
    assert read(tmp_path / "o.csv")[1:] == [["x", "u", "1 3"], ["x", "v", ""]]
    assert len(told.repaired) == 2 and "line 2" in told.repaired[1] and "not in order" in told.repaired[1]


def test_faults_name_file_and_line_and_leave_no_table(tmp_path):
    (tmp_path / "a.csv").write_text("image_name,class,rle\nx,u,1 2\nx,v,3\n")
    (tmp_path / "b.csv").write_text("image_name,class,rle\nx,u,1 2\n")
    with pytest.raises(LabelError, match="odd count") as error:
        vote_tables([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "o.csv")
    assert "a.csv, line 3" in error.value.where
    with pytest.raises(ReadError):
        vote_tables([tmp_path / "b.csv", tmp_path / "none.csv"], tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


def test_slips_in_the_call_are_told(tables, tmp_path):
    paths, _ = tables
    with pytest.raises(UsageError, match="at least two"):
        vote_tables(paths[:1], tmp_path / "o.csv")
    with pytest.raises(UsageError, match="replace"):
        vote_tables(paths, paths[1])
    with pytest.raises(UnknownNameError, match="Did you mean 'ulna'"):
        vote_tables(paths, tmp_path / "o.csv", classes={"ulnar": 1})
    assert not (tmp_path / "o.csv").exists()
    assert "has 2 votes" in vote_tables([paths[0], *paths], tmp_path / "o.csv").notes[0]


@pytest.mark.parametrize("threshold", ["3", 7, "100%", "-1", "0.5", "half", "1.5"])
def test_thresholds_that_make_no_sense(threshold):
    with pytest.raises(UsageError):
        votes_needed(threshold, 3)
