"""Lazy tables of parts: `name -> "module:attribute"`, open to other packages by entry point."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, Literal, TypeVar

from segwright.core.errors import UnknownNameError, UsageError
from segwright.core.plan import NetSpec, Triple

Activation = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class Part:
    """A row of a table.

    Attributes:
        code: `"module:attribute"` of what the row stands for; imported only when the part is used.
    """

    code: str


@dataclass(frozen=True)
class TargetInfo(Part):
    """What a network can be trained on.

    Attributes:
        kinds: Kinds of labels that it suits; none for a target that must be asked for in another way.
        loss: Row of the losses table that it usually takes.
        beside: Channels beside one a structure.
        directed: Axes (0 z, 1 y, 2 x) along which channels have a direction: mirrored copies cannot be averaged.
        per_structure: Each structure has a score that is its probability: runs may be mixed, and scores may start at
            the share of a scan that a structure takes.
        background: Scores are read off a softmax over structures and background.
        ordered: Structures are named by their order in a row, over the whole scan.
        probable: A structure's score is how likely a voxel belongs to it, so that it can be calibrated.
        decoders: Rows of the decoders table that find objects in its channels, the usual one first.
    """

    kinds: tuple[Literal["exclusive", "overlapping", "instances"], ...] = ()
    loss: str = ""
    beside: int = 0
    directed: tuple[int, ...] = ()
    per_structure: bool = False
    background: bool = False
    ordered: bool = False
    probable: bool = True
    decoders: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetInfo(Part):
    """A network as its source describes it; a plug-in that says nothing is planned like a U-Net.

    Attributes:
        about: One sentence.
        source: Paper, repository or seed, with what was unstated there and chosen here.
        dims: Spatial dimensions it is built for: 2, 3 or both.
        spec: The setting of its source; `None` where none is known.
        size: Input `(z, y, x)` there.
        parameters: Trainable parameters at that setting, where the source or arithmetic gives them exactly.
        made_to_measure: Its levels follow from the data; those of others are built as their sources describe them.
        recomputes: It can compute activations anew in the backward pass, to save memory.
    """

    about: str = ""
    source: str = ""
    dims: tuple[int, ...] = ()
    spec: NetSpec | None = None
    size: Triple | None = None
    parameters: int | None = None
    made_to_measure: bool = False
    recomputes: bool = False

    @property
    def setting(self) -> NetSpec:
        """`spec` of a network that is built as its source describes it."""
        assert self.spec is not None
        return self.spec


@dataclass(frozen=True)
class LossInfo(Part):
    """What a loss trains.

    Attributes:
        activation: What it reads scores off; `any` is a parameter of its own, `None` unknown, and its author's affair.
        ordered: It fits structures in a row, and nothing else.
        parts: Names of parameters that are losses themselves.
    """

    activation: Activation | Literal["any"] | None = None
    ordered: bool = False
    parts: tuple[str, ...] = ()


Info = TypeVar("Info", bound=Part)


class Registry(Mapping[str, str]):
    """A family's table. Looking a row up imports it; listing rows imports nothing.

    Args:
        group: Entry-point group under which other packages add rows, e.g. `"segwright.losses"`. An entry point names
            the part itself, or what the part says of itself.
        rows: Built-in rows, name to `"module:attribute"`, or to what the row says of itself.

    Example:
        >>> table = Registry("segwright.example", {"join": "os.path:join"})
        >>> table.load("join")("a", "b")
        'a/b'
    """

    def __init__(self, group: str, rows: Mapping[str, str | Part]) -> None:
        self.group = group
        self.builtin = dict(rows)

    @cached_property
    def rows(self) -> dict[str, str | Part]:
        """All rows, built-in and from entry points; a name given twice is an error."""
        rows = dict(self.builtin)
        for point in entry_points(group=self.group):
            if point.name in rows:
                raise UsageError(
                    f"Two parts claim the name {point.name!r} in {self.group}.",
                    got=f"{_code(rows[point.name])} and {point.value}",
                    hint="Rename the entry point of the plug-in package.",
                )
            rows[point.name] = point.value
        return rows

    @property
    def added(self) -> tuple[str, ...]:
        """Names of rows that other packages bring."""
        return tuple(name for name in self.rows if name not in self.builtin)

    def load(self, name: str) -> Any:
        """The object behind a row.

        Raises:
            UnknownNameError: No row has that name; the nearest is suggested.
        """
        row = self._row(name)
        found = _imported(row) if isinstance(row, str) else row
        return _imported(found.code) if isinstance(found, Part) else found

    def info(self, name: str, kind: type[Info]) -> Info:
        """What a row says of itself; a built-in part is not loaded for it.

        Args:
            name: Row.
            kind: What rows of this table say; its defaults for a row that is nothing but code.

        Raises:
            UnknownNameError: No row has that name; the nearest is suggested.
        """
        row: Any = self._row(name)
        found = row
        if isinstance(row, str) and name not in self.builtin:
            with suppress(UsageError):  # what a broken package would say is of interest when its part is used
                found = _imported(row)
        return found if isinstance(found, kind) else kind(code=_code(row))

    def _row(self, name: str) -> str | Part:
        if name not in self.rows:
            raise UnknownNameError.among(self.group.rpartition(".")[2], name, self.rows)
        return self.rows[name]

    def __getitem__(self, name: str) -> str:
        return _code(self.rows[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _code(row: str | Part) -> str:
    return row if isinstance(row, str) else row.code


def _imported(code: str) -> Any:
    """What `"module:attribute"` names.

    Raises:
        UsageError: It cannot be imported, as of a plug-in package that is broken or of another version.
    """
    module, _, attribute = code.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        package = module.partition(".")[0]
        if package == "segwright":
            raise  # a fault of our own, to be seen as it is
        raise UsageError(
            f"A part of {package} cannot be loaded.",
            expected=code,
            got=str(error),
            hint=f"Install {package} again in a version that fits this one, or remove it.",
        ) from error
