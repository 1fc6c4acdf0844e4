"""Recipes shipped with the package, recipe files, and `key=value` overrides."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from segwright.core.errors import RecipeError, UnknownNameError
from segwright.core.recipe import PartChoice, Recipe


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
        data = Recipe.load(text).model_dump()
    elif text in recipe_names():
        resource = files("segwright.planning") / "recipes" / f"{text}.yaml"
        data = yaml.safe_load(resource.read_text(encoding="utf-8"))
    else:
        raise UnknownNameError.among("recipe", text, recipe_names())
    for key, value in (overrides or {}).items():
        _set(data, key, value)
    return Recipe.from_data(data, where=f"recipe {text}")


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    head, _, rest = key.partition(".")
    if not rest:
        data[head] = value
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
        RecipeError: A word has no `=`.
    """
    overrides = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise RecipeError(f"Cannot read the override {word!r}.", expected="key=value", cure="Write e.g. width=24.")
        overrides[key.strip()] = yaml.safe_load(value)
    return overrides
