"""`segwright ensemble` as scripts use it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from segwright.api.fit import fit
from segwright.api.predict import predict
from segwright.cli.app import run
from segwright.phantoms.write import write_dataset

HEAD = "image_name,class,rle\n"


@pytest.fixture
def segwright(monkeypatch, capsys):
    """The command line without the cost of a process of its own: exit code, standard output and standard error."""

    def call(*words: object, cwd: Path) -> SimpleNamespace:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["segwright", "ensemble", *map(str, words)])
        with pytest.raises(SystemExit) as leave:
            run()
        code, told = leave.value.code, capsys.readouterr()
        return SimpleNamespace(returncode=int(code or 0), stdout=told.out, stderr=told.err)

    return call


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "a.csv").write_text(HEAD + "x.png,ulna,1 4\nx.png,radius,2 2\n")
    (tmp_path / "b.csv").write_text(HEAD + "x.png,ulna,3 4\n")
    (tmp_path / "c.csv").write_text(HEAD + "x.png,radius,2 1\nx.png,ulna,4 1\ny.png,ulna,9 9\n")
    return tmp_path


def test_tables_vote(segwright, desk):
    done = segwright("a.csv", "b.csv", "c.csv", "-o", "out.csv", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert (desk / "out.csv").read_text() == HEAD + "x.png,ulna,3 2\nx.png,radius,2 1\ny.png,ulna,\n"
    assert "b.csv lacks 2 rows, which count as empty: x.png radius; y.png ulna" in done.stdout


def test_thresholds_by_class_and_from_a_file(segwright, desk):
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
        (["a.csv", "b.csv", "-o", "o.csv", "--threshold", "none.yaml"], 1, "Cannot read none.yaml"),
    ],
)
def test_bad_input_ends_with_words_and_a_code(segwright, desk, words, code, said):
    (desk / "bad.csv").write_text(HEAD + "x.png,ulna,1 4 7\n")
    done = segwright(*words, cwd=desk)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (desk / "o.csv").exists()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    scans = write_dataset("spine-xray", folder, cases=6, seed=2) / "scans"
    for name, width in (("one", 4), ("two", 6)):
        wishes = {"steps": 2, "folds": 2, "width": width, "size": (64, 32), "precision": "float32", "device": "cpu"}
        fit(scans, out=folder / name, **wishes)
    return folder


def test_runs_become_a_model(segwright, runs):
    done = segwright("one", "two", "-o", "both", "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [part["name"] for part in found["combination"]["parts"]] == ["one", "two"] and found["cases"] == 6
    again = segwright("one", "two", "-o", "both", "--weights", "equal", "--vote", cwd=runs)
    assert again.returncode == 0, again.stderr
    assert "vote of labels" in again.stdout and "segwright predict both" in again.stdout
    predicted = predict("both", runs / "scans", runs / "out", device="cpu", combine="vote")
    assert len(predicted.cases) == 6 and not predicted.failed


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["one", "-o", "e"], 2, "at least two"),
        (["one", "scans", "-o", "e"], 2, "no run"),
        (["one", "two", "-o", "scans"], 2, "holds something else"),
        (["one", "two", "-o", "e", "--threshold", "1"], 2, "--threshold is for tables"),
        (["one", "two", "-o", "e", "--weights", "best"], 2, "auto or equal"),
        (["one", "a.csv", "-o", "e"], 2, "cannot be mixed"),
    ],
)
def test_bad_input_of_runs(segwright, runs, words, code, said):
    done = segwright(*words, cwd=runs)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (runs / "e").exists()
