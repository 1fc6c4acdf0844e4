"""What `import segwright` offers: a short list of names that resolve, are explained, and tables whose rows exist."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import segwright
from segwright.api.doctor import tables


def test_the_list_of_public_names_is_short():
    names = list(segwright.__all__)
    assert len(set(names)) == len(names) <= 35
    assert {"open_dataset", "inspect", "plan", "fit", "predict", "evaluate", "Model", "Report"} <= set(names)


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
