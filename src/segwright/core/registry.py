"""Lazy tables of parts: `name -> "module:attribute"`, open to other packages by entry point."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from segwright.core.errors import UnknownNameError, UsageError


class Registry(Mapping[str, str]):
    """A family's table. Looking a row up imports it; listing rows imports nothing.

    Args:
        group: Entry-point group under which other packages add rows, e.g. `"segwright.losses"`.
        rows: Built-in rows, name to `"module:attribute"`.

    Example:
        >>> table = Registry("segwright.example", {"join": "os.path:join"})
        >>> table.load("join")("a", "b")
        'a/b'
    """

    def __init__(self, group: str, rows: Mapping[str, str]) -> None:
        self.group = group
        self.builtin = dict(rows)

    @cached_property
    def rows(self) -> dict[str, str]:
        """All rows, built-in and from entry points; a name given twice is an error."""
        rows = dict(self.builtin)
        for point in entry_points(group=self.group):
            if point.name in rows:
                raise UsageError(
                    f"Two parts claim the name {point.name!r} in {self.group}.",
                    came=f"{rows[point.name]} and {point.value}",
                    cure="Rename the entry point of the plug-in package.",
                )
            rows[point.name] = point.value
        return rows

    def load(self, name: str) -> Any:
        """The object behind a row.

        Raises:
            UnknownNameError: No row has that name; the nearest is suggested.
        """
        if name not in self.rows:
            raise UnknownNameError.among(self.group.rpartition(".")[2], name, self.rows)
        module, _, attribute = self.rows[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __getitem__(self, name: str) -> str:
        return self.rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
