"""Progress as people meet it: bars in a terminal, few lines in a log, silence when asked, never on standard output."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.main import get_command

import segwright
from segwright.cli.app import app
from segwright.cli.screen import Screen, _title, fitting
from segwright.core.events import Note, Progress, Stage, Step

SOURCE = Path(segwright.__file__).parent
SERVERS = {"view"}  # stay until they are stopped; they have no result to print


def console(width: int = 80, *, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, highlight=False, color_system=None)


def step(number: int, progress: float) -> Step:
    dice = {"a": 0.25, "b": 0.75}
    return Step(0, number, progress, number * 0.1, loss=0.5, waited=0.01, remaining=12.0, pseudo_dice=dice)


def work(screen: Screen) -> None:
    screen.listen(Stage("train", fold=0, turn=1, turns=5, seconds=300.0))
    for number in range(1, 41):
        screen.listen(step(number, number / 40))
    screen.listen(Stage("predict"))
    for done in range(1, 9):
        screen.listen(Progress(name="predict", done=done, total=8, remaining=3.0))
    screen.listen(Note("[odd] case: [/b] is told as it is"))


def test_a_log_holds_few_lines_and_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = console()
    clock = iter(range(0, 10_000, 3))
    monkeypatch.setattr("segwright.cli.screen.time.monotonic", lambda: float(next(clock)))
    with Screen("Opening the data", console=shown) as screen:
        work(screen)
    text = shown.file.getvalue()
    lines = text.splitlines()
    assert lines[:2] == ["Opening the data", "Training fold 0 (1 of 5) for 5 min 0 s"]
    assert "loss" in next(line for line in lines if re.match(r" +\d+ %", line))
    assert 5 <= len(lines) <= 12 and max(map(len, lines)) <= 80
    assert "\x1b" not in text and "[odd] case: [/b] is told as it is" in text


def test_short_stages_are_one_line_in_a_log() -> None:
    shown = console()
    with Screen("Opening the data", console=shown) as screen:
        work(screen)
    assert len(shown.file.getvalue().splitlines()) == 4


@pytest.mark.parametrize("width", [60, 80, 140])
def test_bars_fit_the_terminal_and_tell_time_left_and_rate(width: int) -> None:
    shown = console(width, terminal=True)
    with Screen("Opening the data", console=shown) as screen:
        work(screen)
        tail = screen.progress.tasks[-1].fields["tail"]
        assert tail.startswith("8/8, 3.0 s left" if width >= 80 else "8/8")
        assert "/s" in tail or width <= 80
    assert all(task.finished for task in screen.progress.tasks)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.file.getvalue())
    assert max(len(line) for line in re.split(r"[\r\n]", text)) <= width


def test_a_single_fold_is_not_counted_among_others() -> None:
    shown = console()
    with Screen("Opening the data", console=shown) as screen:
        screen.listen(Stage("train", fold=3, turn=1, turns=1, seconds=None))
    assert shown.file.getvalue().splitlines()[1] == "Training fold 3"


def test_every_stage_has_a_title_that_says_what_is_done() -> None:
    """A name of the code alone says little, and `measure` is about structures, whatever else is timed."""
    named = {name for file in SOURCE.rglob("*.py") for name in re.findall(r'Stage\("([a-z-]+)"', file.read_text())}
    said = {name: _title(Stage(name)) for name in named - {"train"}}
    assert len(said) > 10 and not [name for name, title in said.items() if title == name]
    assert "machine" not in said["measure"] and "machine" in said["speed"]


def test_quiet_shows_nothing() -> None:
    shown = console(terminal=True)
    with Screen("Opening the data", quiet=True, console=shown) as screen:
        work(screen)
    assert shown.file.getvalue() == ""


def test_the_most_telling_parts_come_first() -> None:
    assert fitting(["a" * 5, "b" * 5], 11) == "aaaaa"
    assert fitting(["a" * 5, "b" * 5], 12) == "aaaaa, bbbbb"
    assert fitting([], 5) == ""


def test_every_verb_takes_json_and_quiet() -> None:
    commands = get_command(app).commands
    lacking = {
        name: {"--json", "--quiet"} - {flag for parameter in verb.params for flag in parameter.opts}
        for name, verb in commands.items()
        if name not in SERVERS
    }
    assert not {name: flags for name, flags in lacking.items() if flags}


def drained(leader: int) -> Iterator[bytes]:
    """What a pseudo-terminal is told until its other side is closed."""
    try:
        while part := os.read(leader, 1 << 16):
            yield part
    except OSError:  # how Linux says that the other side is closed
        return


def test_a_terminal_gets_bars_on_standard_error_only(tmp_path: Path) -> None:
    """Standard error is a real pseudo-terminal, standard output a pipe, as in `segwright plan ... | less`."""
    from segwright.phantoms.write import write_dataset

    scans = write_dataset("spine-xray", tmp_path, cases=4, seed=1) / "scans"
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "segwright", "inspect", str(scans), "-o", str(tmp_path / "d.yaml")]
    parts: list[bytes] = []
    reader = threading.Thread(target=lambda: parts.extend(drained(leader)))
    reader.start()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=follower, check=False, env={**os.environ, "TERM": "xterm"}
    )
    os.close(follower)
    reader.join()
    os.close(leader)
    told = b"".join(parts).decode()
    assert done.returncode == 0
    assert "Opening the data" in told and "Reading every file once" in told and "━" in told
    assert b"\x1b" not in done.stdout and b"structure" in done.stdout


def segwright(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "segwright", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize("verb", ["recipes", "doctor"])
def test_small_verbs_print_one_document(verb: str, tmp_path: Path) -> None:
    done = segwright(verb, "--json", "--quiet", cwd=tmp_path)
    assert json.loads(done.stdout) and done.stderr == ""


def test_wrong_values_in_a_recipe_file_are_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("width: many\n", encoding="utf-8")
    done = segwright("plan", ".", "-r", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "'width'" in done.stderr and "mine.yaml" in done.stderr


def test_resume_without_a_run_is_refused(tmp_path: Path) -> None:
    done = segwright("fit", ".", "-o", "new", "--resume", cwd=tmp_path)
    assert done.returncode == 2 and "no run to continue" in done.stderr
    assert not (tmp_path / "new").exists()
