"""`segwright ensemble` as scripts use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = "image_name,class,rle\n"


def segwright(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "segwright", "ensemble", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "a.csv").write_text(HEAD + "x.png,ulna,1 4\nx.png,radius,2 2\n")
    (tmp_path / "b.csv").write_text(HEAD + "x.png,ulna,3 4\n")
    (tmp_path / "c.csv").write_text(HEAD + "x.png,radius,2 1\nx.png,ulna,4 1\ny.png,ulna,9 9\n")
    return tmp_path


def test_tables_vote(desk):
    done = segwright("a.csv", "b.csv", "c.csv", "-o", "out.csv", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert (desk / "out.csv").read_text() == HEAD + "x.png,ulna,3 2\nx.png,radius,2 1\ny.png,ulna,\n"
    assert "b.csv lacks 2 row(s), which count as empty: x.png radius; y.png ulna" in done.stdout


def test_thresholds_by_class_and_from_a_file(desk):
    (desk / "t.yaml").write_text("default: 50%\nradius: 0\n")
    words = ("a.csv", "b.csv", "c.csv", "-o", "out.csv", "--threshold", "t.yaml", "--threshold", "ulna=2", "--json")
    done = segwright(*words, cwd=desk)
    found = json.loads(done.stdout)
    assert found["more_than"] == {"default": 1.5, "radius": 0.0, "ulna": 2.0}
    assert found["missing"][1]["rows"] == [["x.png", "radius"], ["y.png", "ulna"]]
    assert (desk / "out.csv").read_text() == HEAD + "x.png,ulna,4 1\nx.png,radius,2 2\ny.png,ulna,\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a.csv", "-o", "o.csv"], 2, "at least two"),
        (["a.csv", "b.csv", "-o", "o.csv", "--threshold", "2"], 2, "every mask would be empty"),
        (["a.csv", "b.csv", "-o", "o.csv", "--threshold", "lots"], 2, "Cannot read the threshold"),
        (["a.csv", "b.csv", "-o", "o.csv", "--threshold", "1", "--threshold", "0"], 2, "Two thresholds"),
        (["a.csv", "b.csv", "-o", "o.csv", "--threshold", "ulan=1"], 2, "Did you mean 'ulna'"),
        (["a.csv", "b.csv", "-o", "a.csv"], 2, "would replace"),
        (["a.csv", "none.csv", "-o", "o.csv"], 1, "none.csv"),
        (["a.csv", "bad.csv", "-o", "o.csv"], 1, "bad.csv, line 2 (x.png, ulna)"),
        (["a.csv", "b.csv", "-o", "o.csv", "--threshold", "none.yaml"], 1, "Cannot read the thresholds"),
    ],
)
def test_bad_input_ends_with_words_and_a_code(desk, words, code, said):
    (desk / "bad.csv").write_text(HEAD + "x.png,ulna,1 4 7\n")
    done = segwright(*words, cwd=desk)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (desk / "o.csv").exists()
