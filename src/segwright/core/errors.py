"""Every error segwright raises on purpose, as one tree; each says what was expected and got, where, and what to do.

SegwrightError
├── UsageError            the command or call is wrong (exit code 2)
│   ├── UnknownNameError  a name that no table holds
│   └── RecipeError       a recipe or override that cannot be understood
└── DataError             the input is wrong (exit code 1)
    ├── ReadError         a file that cannot be opened or decoded
    ├── WriteError        a result that cannot be stored
    ├── LayoutError       a folder whose arrangement is not understood
    │   └── ChoiceError   a folder that can be understood in more than one way
    ├── GeometryError     grids that do not fit
    ├── LabelError        label values that do not fit the label space
    ├── IntegrityError    the check found errors in a dataset
    ├── PlanError         data, recipe and machine admit no plan
    │   └── BudgetError   the time budget is too short for the smallest sensible run
    ├── OutOfMemoryError  a step would not fit in memory
    ├── DomainError       a scan unlike those a model learnt from, where such are to be refused
    ├── TrainingError     training collapsed or became NaN for good
    └── ModelError        a model folder that is incomplete or of another version
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class SegwrightError(Exception):
    """Base of all deliberate errors.

    Args:
        what: One sentence naming the problem.
        expected: What would have been right.
        got: What was found instead.
        where: File, folder or field concerned.
        hint: What to do next, concrete enough to paste.

    Example:
        >>> str(SegwrightError("Label is missing.", where="a.nii.gz", hint="Add a label."))
        'Label is missing. Where: a.nii.gz. Hint: Add a label.'
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        got: object = None,
        where: str | Path | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.expected = None if expected is None else str(expected)
        self.got = None if got is None else str(got)
        self.where = None if where is None else str(where)
        self.hint = hint
        super().__init__(what)

    def details(self) -> dict[str, str]:
        """The named parts that were given, in reading order."""
        parts = {"expected": self.expected, "got": self.got, "where": self.where, "hint": self.hint}
        return {name: value for name, value in parts.items() if value}

    def __str__(self) -> str:
        tail = [f"{name.capitalize()}: {value.rstrip('.')}." for name, value in self.details().items()]
        return " ".join([self.what, *tail])


class UsageError(SegwrightError):
    """The command line or call is wrong."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no table holds; suggests the nearest.

    Example:
        >>> UnknownNameError.among("loss", "dicee", ["dice", "focal"]).hint
        "Did you mean 'dice'?"
    """

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], *, where: str | None = None) -> UnknownNameError:
        """An error for `name`, listing what is known and the nearest spelling."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else "Use one of the names listed."
        return cls(f"Unknown {kind} {name!r}.", expected=", ".join(names), where=where, hint=hint)


class RecipeError(UsageError):
    """A recipe or override that cannot be understood."""


class DataError(SegwrightError):
    """The input is wrong."""


class ReadError(DataError):
    """A file that cannot be opened or decoded."""


class WriteError(DataError):
    """A result that cannot be stored."""


class LayoutError(DataError):
    """A folder whose arrangement is not understood."""


class Reading(NamedTuple):
    """One way to understand a folder.

    Attributes:
        what: In words, with counts.
        lines: Of `dataset.yaml`, which state it.
    """

    what: str
    lines: dict[str, Any]

    @property
    def text(self) -> str:
        """The lines as they are typed.

        Example:
            >>> Reading("", {"images": ["a", "b, c"], "labels": "m"}).text
            "images: [a, 'b, c']\\nlabels: m\\n"
        """
        told: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 1_000}
        rows = ((key, value, None if isinstance(value, list | dict) else False) for key, value in self.lines.items())
        return "".join(yaml.safe_dump({key: value}, default_flow_style=flow, **told) for key, value, flow in rows)


class ChoiceError(LayoutError):
    """A folder that can be understood in more than one way; only a person can say which is meant.

    Args:
        what: One sentence on what is open.
        readings: The ways, two or more.
        place: The folder.
        expected: By what it could have been told.

    Example:
        >>> two = [Reading("one scan", {"channels": ["a"]}), Reading("both", {"channels": ["a", "b"]})]
        >>> print(ChoiceError("Two series fit.", two, "scans").hint)
        Write the lines of one of them into scans/dataset.yaml:
            1. channels: [a]
            2. channels: [a, b]
    """

    def __init__(
        self, what: str, readings: Sequence[Reading], place: str | Path, *, expected: str | None = None
    ) -> None:
        self.readings, self.place = tuple(readings), Path(place)
        got = "".join(f"\n    {i}. {one.what}" for i, one in enumerate(readings, 1))
        lines = "".join(
            f"\n    {i}. " + one.text.strip().replace("\n", "\n       ") for i, one in enumerate(readings, 1)
        )
        hint = f"Write the lines of one of them into {self.place / 'dataset.yaml'}:{lines}"
        super().__init__(what, expected=expected, got=got, where=place, hint=hint)


class GeometryError(DataError):
    """Grids that do not fit together."""


class LabelError(DataError):
    """Label values that do not fit the label space."""


class IntegrityError(DataError):
    """The integrity check found errors in a dataset."""


class PlanError(DataError):
    """Data, recipe and machine admit no plan."""


class BudgetError(PlanError):
    """The time budget is too short for the smallest sensible run on this machine."""


class OutOfMemoryError(DataError):
    """A step would not fit in memory; names the setting to change."""


class DomainError(DataError):
    """A scan unlike those that the model learnt from."""


class TrainingError(DataError):
    """Training collapsed or became NaN and could not be rescued."""


class ModelError(DataError):
    """A model folder that is incomplete, damaged or of another version."""
