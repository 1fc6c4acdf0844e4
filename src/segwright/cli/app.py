"""Brings the verbs together and turns errors into two lines and an exit code."""

from __future__ import annotations

import json
import sys
from importlib import import_module

import typer

app = typer.Typer(
    name="segwright",
    help="A folder of labelled scans in, a segmenter you can trust out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

VERBS = ("inspect", "plan", "fit", "predict", "evaluate", "compare", "report", "recipes", "nets", "doctor", "demo")

for _verb in VERBS:
    app.command(name=_verb)(getattr(import_module(f"segwright.cli.{_verb}"), _verb))


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        from segwright import __version__

        typer.echo(__version__)
        raise typer.Exit


def run() -> None:
    """Run the command line: exit code 0, 1 for bad data, 2 for wrong usage, 130 when interrupted."""
    from segwright.core.errors import SegwrightError

    try:
        app()
    except SegwrightError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. What was saved can be continued with --resume.\n")
        sys.exit(130)
    except MemoryError:
        sys.stderr.write("Error: out of memory.\n  cure: lower batch=, patch= or width=, or close other programs.\n")
        sys.exit(1)


def _tell(error: Exception) -> None:
    """The error in words on standard error; as a JSON document on standard output if that was asked for."""
    what = getattr(error, "what", str(error))
    details = error.details() if hasattr(error, "details") else {}
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": {"what": what, **details}}) + "\n")
        return
    sys.stderr.write(f"Error: {what}\n")
    for name, value in details.items():
        sys.stderr.write(f"  {name}: {value}\n")
