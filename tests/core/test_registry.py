"""Registries: lazy rows, near names, and no two parts of one name."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from segwright.core import registry
from segwright.core.errors import UnknownNameError, UsageError
from segwright.core.registry import Registry, TargetInfo
from segwright.core.seed import derive


def test_listing_imports_nothing() -> None:
    table = Registry("segwright.none", {"far": "segwright_not_there:thing"})
    assert list(table) == ["far"]
    assert "segwright_not_there" not in sys.modules


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'join'"):
        Registry("segwright.paths", {"join": "os.path:join"}).load("jion")


def test_plug_ins_add_rows_but_not_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("join", "other:join", "segwright.paths")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert Registry("segwright.paths", {}).rows == {"join": "other:join"}
    with pytest.raises(UsageError, match="Two parts claim"):
        _ = Registry("segwright.paths", {"join": "os.path:join"}).rows


def test_a_broken_package_harms_only_who_uses_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", "segwright_not_there:thing", "segwright.targets")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    table = Registry("segwright.targets", {"ours": TargetInfo("os.path:join", kinds=("exclusive",))})
    assert [name for name in table if table.info(name, TargetInfo).kinds] == ["ours"]
    with pytest.raises(UsageError, match="A part of segwright_not_there cannot be loaded"):
        table.load("mine")


def test_streams_are_fixed_by_their_names() -> None:
    assert derive(1, "a", 2).integers(1 << 30) == derive(1, "a", 2).integers(1 << 30)
    draws = {int(derive(*names).integers(1 << 62)) for names in [(1, "a"), (1, "b"), (2, "a"), (1, "a", 0)]}
    assert len(draws) == 4
