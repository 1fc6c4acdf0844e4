"""Plans of typical data sets on typical machines are as they were kept, field by field."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PLACE = Path(__file__).with_name("golden_plans.py")
_SPEC = importlib.util.spec_from_file_location("golden_plans", PLACE)
golden = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(golden)
UPDATE = f"If this is meant, run: python tests/planning/{PLACE.name} --write"


@pytest.fixture(scope="module")
def made():
    return golden.plans()


@pytest.mark.parametrize("name", golden.DATA)
def test_plans_are_as_they_were(made, name):
    found = golden.differences(golden.kept().get(name), made[name])
    assert not found, "\n".join([*found[:40], UPDATE])


def test_the_table_is_whole_and_has_no_other_rows(made):
    assert golden.kept().keys() == made.keys() and len(made) >= 12
    assert all(machines.keys() == golden.MACHINES.keys() for machines in golden.kept().values())


def test_differences_are_told_field_by_field():
    before = {"a": {"net": {"widths": [16, 32], "slab": 0}}}
    after = {"a": {"net": {"widths": [16, 64], "slab": 0}, "fold": 1}}
    assert golden.differences(before, after) == ["a.fold: absent -> 1", "a.net.widths: [16, 32] -> [16, 64]"]
    assert golden.differences(after, after) == []


def test_the_command_prints_and_keeps(tmp_path, monkeypatch, capsys, made):
    monkeypatch.setattr(golden, "KEPT", tmp_path / "plans.json")
    monkeypatch.setattr(golden, "plans", lambda: made)
    assert golden.main([]) == 1 and "absent ->" in capsys.readouterr().out
    assert golden.main(["--write"]) == 0
    capsys.readouterr()
    assert golden.main([]) == 0 and capsys.readouterr().out == "\n0 fields differ\n".lstrip()
