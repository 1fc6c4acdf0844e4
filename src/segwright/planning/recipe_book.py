"""Recipes shipped with the package, recipe files, and `key=value` overrides."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from segwright.core.errors import DataError, ReadError, RecipeError, UnknownNameError
from segwright.core.parse import parse_yaml
from segwright.core.recipe import PartChoice, Recipe
from segwright.planning.limits import limits_of


def recipe_names() -> tuple[str, ...]:
    """Names of the shipped recipes."""
    folder = files("segwright.planning") / "recipes"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml")))


def load_recipe(name: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A shipped recipe by name or a YAML file by path, with overrides.

    Args:
        name: `default`, `fast`, ..., or a path ending in `.yaml`.
        overrides: Recipe fields; dotted keys reach into parts, e.g. `{"loss.name": "tversky", "loss.alpha": 0.3}`.

    Raises:
        UnknownNameError: No such recipe or field; the nearest is named.
    """
    text = str(name)
    if text.endswith((".yaml", ".yml", ".json")):
        data = _from_file(text).model_dump()
    elif text in recipe_names():
        resource = files("segwright.planning") / "recipes" / f"{text}.yaml"
        data = parse_yaml(resource.read_text(encoding="utf-8"), text)
    else:
        raise UnknownNameError.among("recipe", text, recipe_names())
    for key, value in (overrides or {}).items():
        _set(data, key, value)
    return validated(data, where=f"recipe {text}")


def _from_file(path: str) -> Recipe:
    """A recipe file; a field that cannot hold its value is wrong usage, as it is on the command line."""
    try:
        return Recipe.load(path)
    except ReadError:
        raise
    except DataError as error:
        raise _as_recipe_error(error) from error


def _as_recipe_error(error: DataError) -> RecipeError:
    return RecipeError(error.what, expected=error.expected, got=error.got, where=error.where, hint=error.hint)


def validated(data: Mapping[str, Any], *, where: str) -> Recipe:
    """A recipe from its fields.

    Raises:
        RecipeError: A field cannot hold its value.
        UnknownNameError: There is no such field; the nearest is named.
    """
    nameless = [key for key, value in data.items() if isinstance(value, dict) and value.get("name", "") is None]
    if nameless:
        raise RecipeError(
            f"Parameters of the {nameless[0]} were given without its name.",
            where=where,
            hint=f"Add {nameless[0]}=NAME; 'segwright doctor' lists the names.",
        )
    try:
        recipe = Recipe.from_data(dict(data), where=where)
    except DataError as error:
        raise _as_recipe_error(error) from error
    limits_of(recipe)  # which refuses what is none
    return recipe


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    head, _, rest = key.partition(".")
    if not rest:
        data[head] = value
        return
    if head == "limits":
        data[head] = {**(data.get(head) or {}), rest: value}
        return
    part = PartChoice.parse(data.get(head) or {"name": None, "params": {}})
    part = {"name": part["name"], "params": dict(part.get("params") or {})}
    if rest == "name":
        part["name"] = value
    else:
        part["params"][rest] = value
    data[head] = part


def parse_overrides(words: list[str]) -> dict[str, Any]:
    """`["width=24", "mirror=[x]"]` to a mapping; values are read as YAML.

    Raises:
        RecipeError: A word has no `=`, or its value cannot be read.
    """
    overrides = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise RecipeError(f"Cannot read the override {word!r}.", expected="key=value", hint="Write e.g. width=24.")
        try:
            overrides[key.strip()] = parse_yaml(value, None)
        except ReadError as error:
            raise RecipeError(
                f"Cannot read the value of the override {word!r}.",
                expected="a number, a word, true, false, or a list as [1, 2]",
                hint="Write e.g. mirror=[y,x].",
            ) from error
    return overrides
