"""`segwright fit --init-from` as scripts use it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from segwright.api.fit import fit
from segwright.cli.app import run
from segwright.phantoms.write import write_dataset

QUICK = ["steps=1", "size=[64,32]", "precision=float32", "augment=off", "--folds", "2", "--device", "cpu"]


@pytest.fixture
def segwright(monkeypatch, capsys):
    """The command line without the cost of a process of its own: exit code, standard output and standard error."""

    def call(*words: object, cwd: Path) -> SimpleNamespace:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["segwright", *map(str, words)])
        with pytest.raises(SystemExit) as leave:
            run()
        code, told = leave.value.code, capsys.readouterr()
        return SimpleNamespace(returncode=int(code or 0), stdout=told.out, stderr=told.err)

    return call


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    write_dataset("spine-xray", folder, cases=4, seed=2)
    wishes = {"steps": 1, "folds": 2, "width": 4, "size": (64, 32), "precision": "float32", "device": "cpu"}
    fit(folder / "scans", out=folder / "source", **wishes)
    return folder


def test_what_came_over_is_said_and_kept(segwright, desk):
    done = segwright("fit", "scans", "-o", "run", "--init-from", "source", "freeze=0.5", *QUICK, cwd=desk)
    assert done.returncode in (0, 3), done.stderr  # after a step or two a model is mostly useless, and that is told
    assert "(100 % of the weights) were taken over" in done.stderr
    assert "The network is planned like that of source" in done.stderr
    kept = json.loads((desk / "run" / "init" / "transfer.json").read_text())
    assert kept["share"] == 1.0 and kept["freeze"] == 0.5
    plan = segwright("plan", "scans", "--init-from", "source", "--json", cwd=desk)
    assert plan.returncode == 2 and "--init-from" in plan.stdout  # a plan takes it as init_from=...
    plan = segwright("plan", "scans", "init_from=source", "--json", cwd=desk)
    assert json.loads(plan.stdout)["net"]["widths"][0] == 4, plan.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--init-from", "nowhere"], 1, "no model to start from"),
        (["freeze=0.5"], 2, "nothing to freeze"),
        (["--init-from", "source", "freeze=1.5"], 2, "freeze"),
        (["--init-from", "source/plan.json"], 1, "cannot be read"),
    ],
)
def test_slips_end_with_words_and_a_code(segwright, desk, tmp_path, words, code, said):
    done = segwright("fit", "scans", "-o", tmp_path / "run", *words, *QUICK, cwd=desk)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "plan.json").exists()
