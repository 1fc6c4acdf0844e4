"""What `import segwright` offers: a short list of names that resolve, are explained, and tables whose rows exist."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Literal, get_type_hints

import pytest

import segwright
from segwright.api.provenance import tables

VERBS = [name for name in segwright.__all__ if inspect.isfunction(getattr(segwright, name))]


def test_the_list_of_public_names_is_short():
    names = list(segwright.__all__)
    assert len(set(names)) == len(names)
    assert {"open_dataset", "inspect", "plan", "fit", "predict", "evaluate", "Model", "Report"} <= set(names)
    assert len(VERBS) <= 15  # the other names are what these take, return and raise


#: Words of annotations that are names of Python and NumPy, or a function of a public type.
OTHERS = {"Path", "None", "Sequence", "Mapping", "Iterable", "Any", "Unpack", "Listen", "NDArray", "ArrayLike"}
#: Aliases of a few words or numbers, which need no name of their own.
OTHERS |= {"Literal", "Hashable", "Weights", "Bounds"}


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_verb_takes_returns_and_raises_is_public(verb):
    function = getattr(segwright, verb)
    written = " ".join(str(kind) for kind in function.__annotations__.values())
    words = set(re.findall(r"[A-Z]\w+", written)) - OTHERS
    words |= set(re.findall(r"^ +(\w+Error): ", inspect.getdoc(function).partition("Raises:")[2], re.MULTILINE))
    words -= {name for name in words if hasattr(builtins, name)}
    assert words <= set(segwright.__all__), words - set(segwright.__all__)


def test_names_for_type_checkers_are_those_that_are_resolved():
    tree = ast.parse(Path(segwright.__file__).read_text(encoding="utf-8"))
    told = {
        (node.module, name.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names
    }
    assert {(home, name) for name, home in segwright._HOMES.items()} == {one for one in told if one[0][:4] == "segw"}


def test_keywords_of_a_fit_are_the_fields_of_a_recipe():
    written, fields = get_type_hints(segwright.RecipeFields), get_type_hints(segwright.Recipe)
    assert set(written) == set(segwright.Recipe.model_fields) - {"schema_number"}
    shorter = {"net", "loss", "optimiser", "schedule", "crops", "augment"}  # may be written short
    lists = {"seek": Sequence[str], "mirror": Sequence[Literal["z", "y", "x"]] | None}
    for name in set(written) - shorter:
        assert written[name] == lists.get(name, fields[name]), name


def test_keywords_of_a_prediction_are_the_options_that_it_reads():
    from segwright.prediction.large.plan import Wish

    options = {"tta", "combine"} | {field.name for field in dataclasses.fields(Wish)}
    assert set(get_type_hints(segwright.PredictOptions)) == options


def test_what_is_shown_of_a_result_is_one_short_line():
    report = segwright.Report(title="a" * 300, scores=(), aggregates=())
    for one in (
        report,
        segwright.Recipe(seek=("a",) * 100),
        segwright.Dataset(root=".", layout="x", channels=("c",), cases=()),
    ):
        assert len(repr(one)) <= 120 and "\n" not in repr(one) and repr(one).startswith(type(one).__name__)


def test_a_report_becomes_a_table_or_says_what_that_needs(monkeypatch):
    score = segwright.Score(case="a", group="g", structure="s", metric="dice", value=0.5)
    report = segwright.Report(scores=(score,), aggregates=())
    frames = SimpleNamespace(DataFrame=lambda rows, columns: (rows, columns))
    monkeypatch.setitem(sys.modules, "pandas", frames)
    rows, columns = report.to_frame()
    assert rows == [score.model_dump()] and columns == list(score.model_dump())
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(segwright.UsageError, match="pip install pandas"):
        report.to_frame()


def test_every_public_name_resolves_and_is_explained():
    for name in segwright.__all__:
        thing = getattr(segwright, name)
        if not name.startswith("__"):
            assert (inspect.getdoc(thing) or "").strip(), f"segwright.{name} has no docstring"
            assert not isinstance(thing, ModuleType), f"segwright.{name} is a module"


def test_dir_shows_the_public_names():
    assert set(segwright.__all__) <= set(dir(segwright))


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = segwright.no_such_name


@pytest.mark.parametrize(
    ("where", "table"), tables().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_row_of_a_table_exists_and_is_explained(where, table):
    for name in table:
        part = table.load(name)
        if callable(part):
            assert (inspect.getdoc(part) or "").strip(), f"row {name!r} of {where} has no docstring"
