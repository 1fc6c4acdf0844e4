"""The command line as scripts use it: JSON on standard output, exit codes, and errors without tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from segwright.cli.options import fold_numbers, minutes
from segwright.core.errors import UsageError
from segwright.phantoms.write import write_dataset


def segwright(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "segwright", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset("tumour-mri", tmp_path_factory.mktemp("phantoms"), cases=6) / "scans"


def test_the_whole_job_prints_one_json_document_a_verb(scans: Path, tmp_path: Path) -> None:
    found = segwright("inspect", scans, "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert len(json.loads(found.stdout)["dataset"]["cases"]) == 6
    assert (tmp_path / "dataset.yaml").exists()
    quick = ["steps=2", "width=4", "levels=2"]
    plan = segwright("plan", "-d", "dataset.yaml", *quick, "--folds", "2", "--json", cwd=tmp_path)
    assert json.loads(plan.stdout)["folds"] == 2, plan.stderr
    fit = segwright("fit", "dataset.yaml", *quick, "-o", "run", "--folds", "2", "-f", "0", "--json", cwd=tmp_path)
    assert fit.returncode == 3 and "one and the same mask for every scan" in fit.stderr, fit.stderr  # two steps
    assert json.loads(fit.stdout)["floor"]["passed"] is False
    model = json.loads(fit.stdout)["model"]
    predict = segwright("predict", model, "-i", scans / "imagesTr", "-o", "out", "--json", cwd=tmp_path)
    assert len(json.loads(predict.stdout)["cases"]) == 6, predict.stderr
    evaluate = segwright("evaluate", scans / "labelsTr", "out", "-o", "report.csv", "--json", cwd=tmp_path)
    assert json.loads(evaluate.stdout)["aggregates"], evaluate.stderr
    assert (tmp_path / "report.csv").read_text().startswith("case")
    report = "run/report/report.json"
    compare = segwright("compare", report, report, "--json", cwd=tmp_path)
    assert json.loads(compare.stdout)["rows"][0]["mean"] in (0.0, None), compare.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["fit", "nowhere", "-o", "run"], 1, "There is no such folder"),
        (["fit", "-o", "run"], 2, "No data folder"),
        (["plan", ".", "widht=3"], 2, "Did you mean 'width'"),
        (["plan", ".", "-r", "acurate"], 2, "Did you mean 'accurate'"),
        (["fit", ".", "--time-budget", "soon"], 2, "Cannot read the time"),
        (["predict", ".", "-i", ".", "-o", "out"], 1, "not a model folder"),
        (["report", "."], 2, "There is no run"),
        (["predict"], 2, "Missing"),
        (["fti"], 2, "No such command"),
    ],
)
def test_mistakes_end_in_words_and_an_exit_code(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = segwright(*words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_errors_are_json_when_asked(tmp_path: Path) -> None:
    done = segwright("inspect", "nowhere", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["error"]["where"] == "nowhere"


def test_help_lists_every_verb_and_loads_no_torch(tmp_path: Path) -> None:
    code = "import sys, segwright.cli.app; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["False", "False"]


def test_verbs_run_where_modules_of_unix_are_missing(scans: Path, tmp_path: Path) -> None:
    hidden = (
        "import os, sys, psutil; sys.modules.update(dict.fromkeys(['fcntl', 'grp', 'pwd', 'resource', 'termios'])); "
    )
    # psutil comes first: its part for Linux needs some of them, that for Windows does not.
    code = hidden + "del os.pwrite, os.pread; from segwright.cli.app import app; app(sys.argv[1:])"
    words = ["inspect", str(scans), "-o", "dataset.yaml"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0 and (tmp_path / "dataset.yaml").exists(), done.stderr


@pytest.mark.parametrize("text", ["", "m", "20x", "1h 30m", "-5"])
def test_times_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError):
        minutes(text)


def test_fold_numbers() -> None:
    assert fold_numbers(["0,2", "1"]) == [0, 2, 1]
    assert fold_numbers(None) is None
    with pytest.raises(UsageError):
        fold_numbers(["x"])
