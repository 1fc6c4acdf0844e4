"""Describes the installation: machine, versions, tables of parts."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import segwright
from segwright.api.receipt import describe_machine
from segwright.core.registry import Registry


def tables() -> dict[str, Registry]:
    """Every table of parts, by its entry-point group; tables stand in the `__init__` of packages."""
    packages = [one.name for one in walk_packages(segwright.__path__, "segwright.") if one.ispkg]
    found = [value for name in packages for value in vars(import_module(name)).values() if isinstance(value, Registry)]
    return {table.group: table for table in sorted(found, key=lambda table: table.group)}


def examine() -> dict[str, Any]:
    """Machine facts, and for every table its rows, with the package that added those which are not built in."""
    told = {
        group.removeprefix("segwright."): [
            row if row in table.builtin else f"{row} (from {table[row].partition('.')[0].partition(':')[0]})"
            for row in table
        ]
        for group, table in tables().items()
    }
    return {"machine": describe_machine(), "tables": told}
