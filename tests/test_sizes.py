"""Ceilings that keep the code readable, checked as facts and not as taste."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "segwright"
MODULES = sorted(SRC.rglob("*.py"))

BODY_LINES, MODULE_LINES, PARAMETERS = 60, 400, 6
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
#: Functions that may take more parameters, `module:name`, each with the reason.
_ROW = "a row of a table: what a recipe may set is a keyword of its own"
_CALL = "a call that people type: what it takes are the flags of the command"
SPARED = {
    "losses/combine.py:dice_ce": _ROW,
    "losses/combine.py:dice_bce": _ROW,
    "losses/dice.py:dice": _ROW,
    "losses/dice.py:tversky": _ROW,
    "losses/dice.py:focal_tversky": _ROW,
    "losses/mined.py:lrdehl": _ROW,
    "postprocess/drop_small.py:drop_small": _ROW,
    "api/fit.py:fit": _CALL,
    "api/measure.py:measure": _CALL,
    "api/predict.py:predict": _CALL,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> list[Function]:
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, Function)]


def body_lines(function: Function) -> int:
    """Lines of a function below its signature and docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or first.lineno) - first.lineno + 1


def parameters(function: Function) -> list[str]:
    """Names a caller may give, without `self`, `cls`, `*args` and `**kwargs`."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [argument.arg for argument in arguments if argument.arg not in {"self", "cls"}]


@each_module
def test_functions_are_short(path):
    long = [
        f"{name_of(path)}:{f.lineno} {f.name} {body_lines(f)}" for f in functions(path) if body_lines(f) > BODY_LINES
    ]
    assert not long, "\n".join(long)


@each_module
def test_modules_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name != "cli"], ids=name_of)
def test_functions_take_few_parameters(path):
    """The functions in `cli/` are spared: there a parameter is a flag of a command."""
    long = [f for f in functions(path) if len(parameters(f)) > PARAMETERS]
    many = [f"{name_of(path)}:{f.name}" for f in long if f"{name_of(path)}:{f.name}" not in SPARED]
    assert not many, "\n".join(many)


@each_module
def test_modules_say_why_they_exist(path):
    docstring = ast.get_docstring(tree_of(path))
    assert docstring, "a module opens with one sentence saying why it exists"
    assert docstring.splitlines()[0].rstrip().endswith((".", ":", "?")) or len(docstring.splitlines()) > 1


@each_module
def test_public_names_have_docstrings(path):
    """Modules, classes and functions that others may call; methods of private classes are spared."""
    missing = []
    for node in tree_of(path).body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            missing += [] if ast.get_docstring(node) else [f"{name_of(path)}:{node.lineno} {node.name}"]
    assert not missing, "\n".join(missing)


def test_module_names_say_something():
    assert not [name_of(path) for path in MODULES if path.stem in VAGUE or path.parent.name in VAGUE]


def test_dimension_is_an_argument():
    """A file for 2-D beside one for 3-D would be the same thing twice."""
    twins: dict[str, set[str]] = {}
    for path in MODULES:
        if found := re.search(r"([23])d(?=_|$)", path.stem):
            twins.setdefault(name_of(path).replace(found[0], "Nd"), set()).add(name_of(path))
    assert not [names for names in twins.values() if len(names) > 1]


def test_spared_functions_exist():
    """An exception whose reason is gone goes too."""
    found = {
        f"{name_of(path)}:{f.name}" for path in MODULES for f in functions(path) if len(parameters(f)) > PARAMETERS
    }
    assert set(SPARED) <= found


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name != "cli"], ids=name_of)
def test_library_code_does_not_print(path):
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    prints = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not prints, f"{name_of(path)} prints on lines {prints}"


@each_module
def test_nothing_is_left_unfinished(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(NotImplementedError|TODO|FIXME|XXX)\b", text)


@each_module
def test_randomness_comes_from_a_generator_that_is_handed_in(path):
    found = re.findall(
        r"\bnp\.random\.(?!default_rng|Generator|SeedSequence|PCG64|Philox|BitGenerator)\w+", path.read_text()
    )
    imported = re.findall(r"^\s*(?:import random|from random import)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not found + imported
