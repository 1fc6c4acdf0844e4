"""Describes the installation: machine, versions, tables of parts."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from segwright.api.receipt import describe_machine

#: Where each family keeps its table.
TABLES = {
    "readers": "segwright.io:READERS",
    "layouts": "segwright.io.layouts:LAYOUTS",
    "nets": "segwright.nets:NETS",
    "losses": "segwright.losses:LOSSES",
    "targets": "segwright.targets:TARGETS",
    "sampling": "segwright.sample:POLICIES",
    "augmentations": "segwright.augment:AUGMENTS",
    "optimisers": "segwright.train:OPTIMISERS",
    "schedules": "segwright.train:SCHEDULES",
    "postprocess": "segwright.postprocess:STEPS",
    "metrics": "segwright.metrics:METRICS",
    "phantoms": "segwright.phantoms:PHANTOMS",
}


def examine() -> dict[str, Any]:
    """Machine facts, and for every table its rows, with the package that added those which are not built in."""
    tables = {}
    for family, home in TABLES.items():
        module, _, name = home.partition(":")
        table = getattr(import_module(module), name)
        tables[family] = [
            row if row in table.builtin else f"{row} (from {table[row].partition('.')[0]})" for row in table
        ]
    return {"machine": describe_machine(), "tables": tables}
