"""`segwright view` as people start it: it says where it is, answers there, and refuses what cannot be opened."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from segwright.cli.app import run
from segwright.phantoms.write import write_dataset


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return write_dataset("spine-xray", tmp_path_factory.mktemp("view"), cases=2) / "scans"


@contextmanager
def started(scans, **environment) -> Iterator[tuple[subprocess.Popen, dict]]:
    """The command as a process, and what it says once it listens."""
    command = [sys.executable, "-m", "segwright", "view", str(scans), "--no-browser", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, **environment}, **pipes) as process:
        try:
            text = ""
            while not text.rstrip().endswith("}"):
                line = process.stdout.readline()
                assert line, process.stderr.read()
                text += line
            yield process, json.loads(text)
        finally:
            process.kill()


def api(told: dict) -> str:
    """Where the state is, token included."""
    return told["url"].replace("/?", "/api/state?")


def test_it_says_where_it_is_and_answers_there(scans):
    with started(scans) as (_, told), urllib.request.urlopen(api(told), timeout=60) as answer:
        state = json.load(answer)
    assert told["cases"] == 2 and min(row["id"] for row in state["cases"]) == "p000_a"
    assert told["url"].startswith("http://127.0.0.1:")


def test_it_lives_on_when_an_upload_breaks_off_and_leaves_nothing_behind(scans, tmp_path):
    with started(scans, TMPDIR=str(tmp_path)) as (process, told):
        where = urlsplit(told["url"])
        head = (
            f"POST /api/results?name=a.csv&{where.query} HTTP/1.1\r\nHost: {where.hostname}\r\n"
            "x-segwright: 1\r\nContent-Length: 9000\r\n\r\n"
        )
        with socket.create_connection((where.hostname, where.port), timeout=60) as visitor:
            visitor.sendall(head.encode() + b"image_name,class")
        with urllib.request.urlopen(api(told), timeout=60) as answer:
            assert answer.status == 200
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        assert "Traceback" not in process.stderr.read()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["no-such-folder"], 1, "no such folder"),
        (["SCANS", "--result", "missing.csv"], 1, "no such result"),
        (["SCANS", "--port", "99999"], 2, "65535"),
        (["SCANS", "--host", "256.1.1.1"], 2, "cannot listen"),
        (["SCANS", "--host", "0.0.0.0", "--no-token"], 2, "everybody on the network"),
        (["SCANS", "--tls", "missing.pem", "missing.pem"], 2, "certificate cannot be used"),
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
