"""`segwright view` as people start it: it says where it is, answers there, and refuses what cannot be opened."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import pytest

from segwright.cli.app import run
from segwright.phantoms.write import write_dataset


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return write_dataset("spine-xray", tmp_path_factory.mktemp("view"), cases=2) / "scans"


def test_it_says_where_it_is_and_answers_there(scans):
    command = [sys.executable, "-m", "segwright", "view", str(scans), "--no-browser", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            text = ""
            while not text.rstrip().endswith("}"):
                line = process.stdout.readline()
                assert line, process.stderr.read()
                text += line
            told = json.loads(text)
            with urllib.request.urlopen(f"{told['url']}api/state", timeout=20) as answer:
                state = json.load(answer)
        finally:
            process.kill()
    assert told["cases"] == 2 and sorted(row["id"] for row in state["cases"])[0] == "p000_a"
    assert told["url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["no-such-folder"], 1, "no such folder"),
        (["SCANS", "--result", "missing.csv"], 1, "no such result"),
        (["SCANS", "--port", "99999"], 2, "65535"),
        (["SCANS", "--host", "256.1.1.1"], 2, "cannot listen"),
        (["SCANS/images/p000_a.png", "--label", "missing.png"], 1, "no such file"),
        (["SCANS", "--label", "SCANS/masks/p000_a.png", "--host"], 2, "--host"),
    ],
)
def test_what_cannot_be_opened_is_told_in_words(scans, words, code, says, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["segwright", "view", *[w.replace("SCANS", str(scans)) for w in words]])
    with pytest.raises(SystemExit) as stopped:
        run()
    said = capsys.readouterr().err
    assert stopped.value.code == code and says in said and "Traceback" not in said
