"""The one door for documents from outside (JSON, YAML, XML, text): within limits, and every fault told with its line.

A few bytes can stand for a document that fills the memory (aliases, entities), for nesting that exhausts a stack, or
for numbers of a million digits. What is beyond the limits here is refused before anything is made of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import yaml

from segwright.core.errors import ReadError
from segwright.core.words import byte_size

#: Largest file that is read as one document; annotations of 100,000 images take half of it.
LARGEST = 1 << 30
#: Largest YAML file: people write these, and their parser is a thousand times slower.
LARGEST_YAML = 64 << 20
#: Deepest nesting; the deepest of the forms read (multipolygons of GeoJSON in a collection) has 8.
DEEPEST = 64
#: Digits of a whole number; identifiers made from UIDs have 39.
DIGITS = 64
#: Values that a document may stand for beyond those written down, through aliases.
REPEATED = 100_000

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_CURE = "Export the file again, or take it out of the data set."


def text_of(path: Path, *, largest: int = LARGEST, encoding: str = "utf-8-sig") -> str:
    """The text of a regular file.

    Raises:
        ReadError: It is no regular file, too large, or no text.
    """
    size = regular(path)
    if size > largest:
        _refuse("The document is too large.", f"at most {byte_size(largest)}", byte_size(size), path)
    try:
        return path.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        _refuse("The file is no text.", "UTF-8", f"byte {error.start} is {error.object[error.start]:#04x}", path)
    except OSError as error:
        raise ReadError(f"Cannot read {path.name}.", got=str(error), where=path, hint="Check the path.") from error


def regular(path: Path) -> int:
    """Bytes of a regular file.

    Raises:
        ReadError: It is absent, or a pipe, socket or device, which could keep a reader waiting for ever.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise ReadError(f"Cannot read {path.name}.", got=str(error), where=path, hint="Check the path.") from error
    if not path.is_file():
        _refuse("This is no regular file.", "a file", "a folder, pipe, socket or device", path)
    return found.st_size


def parse_json(text: str, where: str | Path | None, *, numbers: bool = True) -> Any:
    """The data in JSON text.

    Args:
        text: The document.
        where: Names the file in errors.
        numbers: Refuse NaN and Infinity, which are no JSON and no place in an image.

    Raises:
        ReadError: No JSON, a key that comes twice, or beyond the limits; names the line where it is known.
    """

    def odd(word: str) -> float:
        if numbers:
            raise ValueError(f"{word} is no number of JSON{_line(text, word)}")
        return float(word)

    def whole(word: str) -> int:
        if len(word) > DIGITS:
            raise ValueError(f"a whole number of {len(word)} digits{_line(text, word)}")
        return int(word)

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(found)
        if len(made) < len(found):
            keys = [key for key, _ in found]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"key {twice[:80]!r} comes twice in one object")
        return made

    try:
        data = json.loads(text, parse_constant=odd, parse_int=whole, object_pairs_hook=pairs)
        _demand_shallow(data)
        if _SURROGATE.search(text):
            json.dumps(data, ensure_ascii=False).encode()  # half a letter can be neither shown nor saved
    except (ValueError, RecursionError) as error:
        got = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ReadError("The file is not valid JSON.", got=got, where=where, hint=_CURE) from error
    return data


def _line(text: str, word: str) -> str:
    """In which line a word stands first, in words."""
    at = text.find(word)
    return f" (line {text.count(chr(10), 0, at) + 1})" if at >= 0 else ""


def _demand_shallow(data: Any) -> None:
    """Refuse nesting that later steps could fail at; lists of plain values are not walked.

    Raises:
        RecursionError: It is deeper than `DEEPEST`.
    """
    level: list[Any] = [data]
    for _ in range(DEEPEST):
        inside: list[Any] = []
        for item in level:
            values = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            inside += [value for value in values if isinstance(value, dict | list)]
        if not inside:
            return
        level = inside
    raise RecursionError


class _Loader(yaml.CSafeLoader):
    """PyYAML's safe loader, whose faults all name a line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, TypeError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def parse_yaml(text: str, where: str | Path | None) -> Any:
    """The data in YAML text.

    Raises:
        ReadError: No YAML, a key that comes twice, aliases that stand for far more than is written, or beyond the
            limits; names the line.
    """
    try:
        _demand_flat(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _measure(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError) as error:
        got = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ReadError("The file is not valid YAML.", got=got, where=where, hint="Mend the line named.") from error


def _demand_flat(text: str) -> None:
    """Refuse nesting at which the parser's own stack would overflow, which ends the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            _odd(event, f"nested more than {DEEPEST} deep")


def _measure(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Values that a node stands for, aliases written out.

    Raises:
        YAMLError: A key comes twice, an alias lies within what it stands for, or there is too much of anything.
    """
    known = sizes.get(id(node))
    if known is not None:
        if known < 0:
            _odd(node, "an alias stands for something that it is part of")
        return known
    sizes[id(node)] = -1
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            _odd(node, f"key {twice[:80]!r} comes twice")
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = list(node.value)
    elif node.tag.endswith((":int", ":float")) and len(node.value) > DIGITS:
        _odd(node, f"a number of {len(node.value)} digits")
    total = 1 + sum(_measure(part, sizes) for part in parts)
    if total > len(sizes) + REPEATED:
        _odd(node, f"aliases stand for {total} values")
    sizes[id(node)] = total
    return total


def _odd(node: yaml.Node | yaml.Event, problem: str) -> NoReturn:
    mark: Any = node.start_mark
    raise yaml.MarkedYAMLError(None, None, problem, mark)


def parse_xml(data: str | bytes, where: str | Path | None) -> Element:
    """The root of XML text; documents that define entities are refused.

    Raises:
        ReadError: No XML, or beyond the limits; names the line.
    """
    builder, depth = TreeBuilder(), 0
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep: line {parser.CurrentLineNumber}")
        builder.start(_named(tag), {_named(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_named(tag))

    def entity(name: str, *rest: object) -> None:
        raise ValueError(f"entity {name!r} is defined in line {parser.CurrentLineNumber}, which data have no need of")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = _taken(builder)
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, AssertionError) as error:
        raise ReadError("The file is not valid XML.", got=str(error), where=where, hint=_CURE) from error
    return builder.close()


def _taken(builder: TreeBuilder) -> Callable[[str], None]:
    def take(text: str) -> None:
        builder.data(text)

    return take


def _named(tag: str) -> str:
    """A name with its space as ElementTree writes it."""
    return "{" + tag if "}" in tag else tag


def _refuse(what: str, expected: str, got: str, where: Path) -> NoReturn:
    raise ReadError(what, expected=expected, got=got, where=where, hint=_CURE)
