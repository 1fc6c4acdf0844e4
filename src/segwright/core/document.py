"""The base of all saved documents: strict keys, a schema number, whole-file writes and a content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sized
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from segwright.core.disk import atomic_path
from segwright.core.errors import DataError, UnknownNameError
from segwright.core.parse import LARGEST_YAML, parse_json, parse_yaml, text_of

#: Characters of what is shown of a document.
_WIDTH = 120


class Part(BaseModel):
    """A frozen piece of a document; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Part):
    """A part that is saved on its own as JSON or YAML, with a schema number for migration.

    Example:
        >>> class Note(Document):
        ...     text: str = ""
        >>> Note.from_json(Note(text="a").to_json()) == Note(text="a")
        True
    """

    filename: ClassVar[str]
    current_schema: ClassVar[int] = 1
    schema_number: int = 1

    def __repr__(self) -> str:
        """What tells it from others of its kind, in one short line; `to_json` shows all."""
        words = [f"{name}={_brief(value)}" for name, value in self if name != "schema_number" and value]
        text = f"{type(self).__name__}({', '.join(words)})"
        return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 5]} ...)"

    def to_json(self) -> str:
        """The document as indented JSON text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str | Path | None = None) -> Self:
        """Parse JSON text; `where` names the file in error messages."""
        return cls.from_data(parse_json(text, where, numbers=False), where=where)

    @classmethod
    def from_data(cls, data: Any, *, where: str | Path | None = None) -> Self:
        """Validate plain data; unknown and ill-typed keys are named with the nearest valid key."""
        number = data.get("schema_number", cls.current_schema) if isinstance(data, dict) else cls.current_schema
        if number != cls.current_schema:
            raise DataError(
                f"{cls.__name__} is of another version of segwright.",
                expected=f"schema_number {cls.current_schema}",
                got=repr(number)[:80],
                where=where,
                hint="Open it with the version of segwright that wrote it, or make it anew.",
            )
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise _explain(cls, error, where) from error

    def content_hash(self) -> str:
        """Twelve hexadecimal digits that change whenever any field does."""
        return _hash(self.model_dump(mode="json"))

    @staticmethod
    def stored_hash(path: str | Path) -> str:
        """The `content_hash` that a JSON document had when it was saved, whatever fields it has since been given.

        Raises:
            ReadError: The file cannot be read.
        """
        return _hash(parse_json(text_of(Path(path)), path, numbers=False))

    def for_people(self) -> dict[str, Any]:
        """What a file that people read and edit says; reads back as the same document."""
        return self.model_dump(mode="json")

    def save(self, path: str | Path) -> Path:
        """Write as YAML or JSON, chosen by suffix; the file appears only when whole."""
        path = Path(path)
        with atomic_path(path) as partial:
            if path.suffix in {".yaml", ".yml"}:
                text = yaml.safe_dump(self.for_people(), sort_keys=False, allow_unicode=True, width=110)
            else:
                text = self.to_json()
            partial.write_text(text, encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read YAML or JSON, chosen by suffix."""
        path = Path(path)
        if path.suffix in {".yaml", ".yml"}:
            return cls.from_data(parse_yaml(text_of(path, largest=LARGEST_YAML), path), where=path)
        return cls.from_json(text_of(path), where=path)


def _hash(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def _explain(cls: type[Document], error: ValidationError, where: str | Path | None) -> DataError | UnknownNameError:
    """Turn pydantic's first complaint into our own error, with the nearest key for an unknown one."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    if not field and first["type"] == "model_type":
        return DataError(
            f"The file does not hold a {cls.__name__.lower()}.",
            expected="fields with values, as in 'name: value'",
            got=repr(first.get("input"))[:80],
            where=where,
            hint="Restore the file.",
        )
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        return UnknownNameError.among(f"{cls.__name__.lower()} key", field, cls.model_fields, where=_text(where))
    return DataError(
        f"{cls.__name__} field {field!r} is not valid.",
        expected=first["msg"],
        got=repr(first.get("input"))[:200],
        where=where,
        hint=f"Correct {field!r}.",
    )


def _text(where: str | Path | None) -> str | None:
    return None if where is None else str(where)


def _brief(value: Any) -> str:
    """A value in a few characters: text and numbers as they are, of anything that holds others how many it holds.

    Example:
        >>> _brief("ct"), _brief((1, 2)), _brief({"a": 1}), _brief(0.5)
        ("'ct'", '[2]', '[1]', '0.5')
    """
    if isinstance(value, Sized) and not isinstance(value, str):
        return f"[{len(value)}]"
    return type(value).__name__ if isinstance(value, BaseModel) else repr(value)
