"""Brings the verbs together and turns errors into two lines and an exit code."""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from importlib import import_module
from typing import Any

import typer

from segwright.cli.hints import typed

app = typer.Typer(
    name="segwright",
    help="A folder of labelled scans in, a segmenter you can trust out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

VERBS = (
    "inspect",
    "plan",
    "fit",
    "predict",
    "convert",
    "evaluate",
    "compare",
    "measure",
    "ensemble",
    "report",
    "recipes",
    "nets",
    "doctor",
    "demo",
    "view",
    "restore-sections",
)

for _verb in VERBS:
    _name = _verb.replace("-", "_")
    app.command(name=_verb)(getattr(import_module(f"segwright.cli.{_name}"), _name))


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
    read_memory: str | None = typer.Option(
        None, "--read-memory", help="Memory that one read may take, e.g. 16GB; half of what is free by default."
    ),
) -> None:
    if read_memory is not None:
        from segwright.io.claims import VARIABLE, parsed

        parsed(read_memory)
        os.environ[VARIABLE] = read_memory  # processes that read inherit it
    if version:
        from segwright import __version__

        typer.echo(__version__)
        raise typer.Exit


def run() -> None:
    """Run the command line: exit code 0, 1 for bad data, 2 for wrong usage, 130 when interrupted.

    In Python's development mode (`python -X dev -m segwright ...`) faults of the program keep their traceback.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries; what matters to a person is said by findings and notes
    threading.excepthook = _overheard
    code, again = None, True
    while again:
        again = False
        try:
            code = app(standalone_mode="--json" not in sys.argv)
        except SystemExit as leave:
            code = leave.code
        except KeyboardInterrupt:
            code = 130
        except Exception as error:
            again = _chosen(error)
            code = code if again else _tell(error)
    if code == 130:
        _say({"what": "Interrupted.", "hint": go_on(_verb_given())}, "Interrupted")
    sys.exit(code)


def _chosen(error: Exception) -> bool:
    """Whether a person has chosen how a folder is read, so that the command is called again."""
    from segwright.cli.choose import answered, keep
    from segwright.core.errors import ChoiceError

    if not isinstance(error, ChoiceError) or (lines := answered(error)) is None:
        return False
    keep(error.place, lines)
    return True


def _overheard(fault: threading.ExceptHookArgs) -> None:
    """Threads of libraries that meet a full disk need not say so: the command meets it too, and tells it."""
    from segwright.core.disk import is_full

    if not is_full(fault.exc_value):
        threading.__excepthook__(fault)


def _tell(error: Exception) -> int:
    """Explain an error; returns the exit code."""
    from segwright.core.errors import SegwrightError

    if isinstance(error, SegwrightError):
        _say({"what": error.what, **error.details()})
        return error.exit_code
    if hasattr(error, "format_message"):  # a wrong flag or argument, found by the parser
        _say({"what": error.format_message(), "hint": "See 'segwright VERB --help'."})
        return 2
    if sys.flags.dev_mode:
        raise error
    _say(_in_words(error))
    return 1


def _in_words(error: Exception) -> dict[str, str]:
    """Errors of the machine, and as a last resort faults of the program."""
    from segwright.core.disk import TITLE, is_full

    if is_full(error):
        where = {"where": str(error.filename)} if isinstance(error, OSError) and error.filename else {}
        return {"what": f"{TITLE}.", **where, "hint": "Free some space and run the same command again."}
    if isinstance(error, MemoryError):
        return {"what": "Out of memory.", "hint": "Lower batch=, patch= or width=, or close other programs."}
    if isinstance(error, OSError):
        where = {"where": str(error.filename)} if error.filename else {}
        what = f"A file cannot be read or written: {error.strerror or error}."
        return {"what": what, **where, "hint": "Check the path, its permissions and free disk space."}
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    at = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else ""
    return {
        "what": "This is a fault of segwright, not of your input.",
        "got": f"{type(error).__name__}: {error}{at}",
        "hint": "Report it, with what 'python -X dev -m segwright ...' prints for the same command.",
    }


def go_on(verb: Any) -> str:
    """What to type after an interrupt; only some verbs keep what is finished."""
    resumes = verb is not None and any("--resume" in one.opts for one in verb.params)
    if resumes:
        return "Run the same command with --resume: what is finished is kept."
    return "Nothing was kept: run the same command again."


def _verb_given() -> Any:
    """The verb on the command line, if it is one."""
    commands = getattr(typer.main.get_command(app), "commands", {})
    return next((commands[word] for word in sys.argv[1:] if word in commands), None)


def _say(told: dict[str, str], head: str = "Error") -> None:
    """An error in words on standard error; as a JSON document on standard output if that was asked for."""
    told = {
        name: typed(text, _verb_given()) if name in {"expected", "got", "hint"} else text for name, text in told.items()
    }
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": told}) + "\n")
        return
    details = dict(told)
    what = details.pop("what")
    sys.stderr.write(f"{head}: {what}\n" if head == "Error" else f"\n{what}\n")
    for name, value in details.items():
        sys.stderr.write(f"  {name}: {value}\n")
