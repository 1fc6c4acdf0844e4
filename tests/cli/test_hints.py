"""What to do next is said as it is typed on the command line, and the first line comes before any library is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from segwright.cli.app import app, go_on
from segwright.cli.hints import typed

VERBS = get_command(app).commands


@pytest.mark.parametrize(
    ("verb", "said", "shown"),
    [
        ("fit", "Use folds=3.", "Use --folds 3."),
        ("fit", "Give minutes=20 or more.", "Give --time-budget 20m or more."),
        ("fit", "Lower batch=, patch= or width=16.", "Lower batch=, patch= or width=16."),
        ("compare", "compare the common ones with only_common=True.", "compare the common ones with --only-common."),
        ("measure", "name them with structures=NAME,NAME", "name them with --set structures=NAME,NAME"),
        ("predict", "Give suffix=.nii.gz.", "Give --format .nii.gz."),
        ("predict", "Use segwright.predict.", "Use segwright predict."),
        ("evaluate", "Give tolerance=2.", "Give --tolerance 2."),
        ("fit", "Write stages=[[0.6,[32,64,64]]]: until 60 %.", "Write stages=[[0.6,[32,64,64]]]: until 60 %."),
    ],
)  # fmt: skip
def test_keywords_become_what_is_typed(verb: str, said: str, shown: str) -> None:
    assert typed(said, VERBS[verb]) == shown


def test_without_a_verb_only_functions_change() -> None:
    assert typed("Use segwright.fit() with folds=3.", None) == "Use segwright fit with folds=3."


HEAVY = {"numpy", "torch", "scipy", "nibabel", "SimpleITK"}
#: Words after each verb that shows progress; nothing of it exists, as nothing is opened before the first line.
LINES = {
    "fit": ["scans", "-o", "run"], "plan": ["scans"], "inspect": ["scans"], "predict": ["m", "-i", "x", "-o", "y"],
    "evaluate": ["a", "b"], "measure": ["a"], "convert": ["a", "-o", "b", "--to", "png"], "report": ["run"],
    "ensemble": ["a", "-o", "b"], "compare": ["scans", "-r", "default", "-r", "resenc"], "view": ["scans"],
    "restore-sections": ["stack"],
}  # fmt: skip
SCRIPT = """
import sys
from segwright.cli.screen import Screen
def enter(screen):
    print(screen.first, *sorted({heavy} & set(sys.modules)), sep="|")
    sys.stdout.flush()
    import os
    os._exit(0)
Screen.__enter__ = enter
from segwright.cli.app import run
run()
"""


@pytest.mark.parametrize("verb", sorted(LINES))
def test_the_first_line_comes_at_once(verb: str) -> None:
    """Silence of some seconds while libraries load and files are searched looks like a command that hangs."""
    command = [sys.executable, "-c", SCRIPT.replace("{heavy}", repr(HEAVY)), verb, *LINES[verb]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first, *loaded = done.stdout.strip().split("|")
    assert first and not loaded, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("verb", "said"), [("fit", "--resume"), ("predict", "--resume"), ("convert", "--resume"), ("nets", "again")]
)
def test_after_an_interrupt_what_to_type_fits_the_verb(verb: str, said: str) -> None:
    """Advice to use a flag that a verb lacks would end in an error."""
    advice = go_on(VERBS[verb])
    assert said in advice and ("--resume" in advice) == any("--resume" in one.opts for one in VERBS[verb].params)
