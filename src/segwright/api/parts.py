"""Checks the parts a recipe names before any scan is read, so that a slip costs seconds and leaves nothing behind."""

from __future__ import annotations

from importlib import import_module
from inspect import Parameter, signature

from segwright.core.errors import RecipeError, UnknownNameError
from segwright.core.recipe import PartChoice, Recipe
from segwright.core.registry import Registry

#: Table of each part, and the parameters that the program sets itself.
PARTS = {
    "net": ("segwright.nets:NETS", {"spec"}),
    "loss": ("segwright.losses:LOSSES", {"logits", "target", "weight"}),
    "optimiser": ("segwright.train:OPTIMISERS", {"net", "lr", "weight_decay"}),
    "schedule": ("segwright.train:SCHEDULES", set[str]()),
}


def refuse_unknown_parts(recipe: Recipe) -> None:
    """Look up every part the recipe names; only parts with parameters are imported.

    Raises:
        UnknownNameError: No table holds the name.
        RecipeError: The part takes no such parameter.

    Example:
        >>> refuse_unknown_parts(Recipe(loss="dicee"))
        Traceback (most recent call last):
        segwright.core.errors.UnknownNameError: Unknown loss 'dicee'. ...
    """
    for field, (home, fixed) in PARTS.items():
        choice: PartChoice | None = getattr(recipe, field)
        if choice is None:
            continue
        module, _, name = home.partition(":")
        table: Registry = getattr(import_module(module), name)
        if choice.name not in table:
            raise UnknownNameError.among(field, choice.name, table, where=f"recipe {recipe.name}")
        if choice.params:
            _refuse_unknown_parameters(field, choice, table, fixed)
    if isinstance(recipe.augment, tuple):
        from segwright.augment.compose import build  # which imports torch, so only where steps are listed

        for step in recipe.augment:
            build(step)


def _refuse_unknown_parameters(field: str, choice: PartChoice, table: Registry, fixed: set[str]) -> None:
    known = signature(table.load(choice.name)).parameters
    if any(one.kind is Parameter.VAR_KEYWORD for one in known.values()):
        return
    names = [name for name in known if name not in fixed]
    wrong = next((name for name in choice.params if name not in names), None)
    if wrong is not None:
        unknown = UnknownNameError.among("parameter", wrong, names)
        what = f"The {field} {choice.name!r} takes no parameter {wrong!r}."
        raise RecipeError(what, expected=unknown.expected or "no parameters", hint=unknown.hint)
