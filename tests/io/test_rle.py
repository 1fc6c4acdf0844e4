"""Run-length tables: round trips, strange but valid tables, and bad rows told with file and line."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from segwright.core.errors import LabelError, ReadError, UnknownNameError
from segwright.core.runs import Runs
from segwright.io.formats.rle.table import open_rle, write_rle, writing_rle


@pytest.fixture
def table(tmp_path):
    def make(text, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return path

    return make


def test_masks_come_back(tmp_path):
    rng = np.random.default_rng(0)
    masks = {(f"im,{i}.png", c): rng.random((7, 9)) < 0.4 for i in range(3) for c in ("a b", 'q"uote', "c")}
    masks["im,0.png", "c"][:] = False
    assert write_rle(tmp_path / "t.csv", ((key, Runs.of_mask(mask)) for key, mask in masks.items())) == 9
    back = dict(open_rle(tmp_path / "t.csv").runs(pixels=lambda key: 63))
    assert list(back) == list(masks)
    assert all(np.array_equal(back[key].mask((7, 9)), mask) for key, mask in masks.items())


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_other_spellings(table, sign, encoding):
    """Signs, byte-order marks, spare columns, quotes, blank lines, missing last cells, and NaN."""
    text = 'rle_id,class,image_name,rle\n1,ulna,a.png,"1 2"\n\n2,radius,a.png,\n3,radius,b.png,NaN\n4,ulna,b.png\n'
    found = dict(open_rle(table(text.replace(",", sign), encoding=encoding)).runs())
    assert {key: runs.text() for key, runs in found.items()} == {
        ("a.png", "ulna"): "1 2",
        ("a.png", "radius"): "",
        ("b.png", "radius"): "",
        ("b.png", "ulna"): "",
    }


def test_any_columns(table):
    path = table("ImageId,EncodedPixels\nx,3 4\n")
    assert open_rle(path).keys == ("ImageId",)
    assert dict(open_rle(path).runs()) == {("x",): Runs([2], [4])}
    named = table("study,view,bone,mask\ns,ap,ulna,1 1\n", "named.csv")
    assert [row.key for row in open_rle(named, keys=("bone", "study"), rle="mask").rows()] == [("ulna", "s")]
    with pytest.raises(UnknownNameError, match="Did you mean 'bone'"):
        open_rle(named, keys=("bones",), rle="mask")
    with pytest.raises(ReadError, match="no column of run-length"):
        open_rle(named)


def test_cells_longer_than_the_reader_starts_with(table):
    text = " ".join(f"{2 * i + 1} 1" for i in range(40_000))
    ((_, runs),) = open_rle(table(f"image_name,class,rle\na,b,{text}\n")).runs()
    assert len(text) > 131_072 and runs.area == 40_000


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("a,b,1 2 3", "odd count"),
        ("a,b,1 x", "no whole number"),
        ("a,b,0 3", "before the first pixel"),
        ("a,b,9 5", "beyond the image"),
        ("a,c,1 2\na,b,1 2\na,b,1 3", "different masks for the same key"),
        ("a", "too few cells"),
    ],
)
def test_bad_rows_are_told_with_file_and_line(table, rows, told):
    path = table(f"image_name,class,rle\nz,z,1 1\n{rows}\n")
    line = 2 + len(rows.splitlines())
    with pytest.raises(LabelError, match=told) as error:
        list(open_rle(path).runs(pixels=lambda key: 12))
    assert f"{path}, line {line} (a" in str(error.value)


def test_repairs_are_named(table):
    repaired = []
    path = table("image_name,class,rle\na,b,5 2 1 2\na,c,1 4 3 4\na,c,1 4  3 4\n")
    assert dict(open_rle(path).runs(repaired=repaired)) == {
        ("a", "b"): Runs([0, 4], [2, 2]),
        ("a", "c"): Runs([0], [6]),
    }
    assert [text.partition(": ")[2] for text in repaired] == [
        "runs are not in order; they were put in order and merged",
        "runs overlap; they were put in order and merged",
        "the row repeats line 3 and was left out",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "empty"), (b"\n", "empty"), (b"a,rle,rle\n1,2,3\n", "same name"), (b"\xff\xfe\x00\x81", "Cannot read")],
)
def test_files_that_are_no_table(tmp_path, content, told):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=told):
        list(open_rle(path).rows())


def test_a_broken_line_is_told_with_its_place(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"image_name,class,rle\na,b,1 2\n\xff\xff,b,1 2\n")
    with pytest.raises(ReadError, match="Cannot read"):
        list(open_rle(path).rows())


def test_missing_file(tmp_path):
    with pytest.raises(ReadError, match="No such file"):
        open_rle(tmp_path / "none.csv")


def test_a_table_half_written_is_no_table(tmp_path):
    class StopHereError(Exception):
        pass

    with pytest.raises(StopHereError), writing_rle(tmp_path / "t.csv") as table:  # noqa: PT012
        table.add(("a", "b"), "1 2")
        raise StopHereError
    assert not list(tmp_path.iterdir())


def test_written_tables_are_plain_csv(tmp_path):
    write_rle(tmp_path / "t.csv", [(("a",), Runs([4], [2]))], keys=["name"], rle="EncodedPixels")
    with (tmp_path / "t.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["name", "EncodedPixels"], ["a", "5 2"]]
