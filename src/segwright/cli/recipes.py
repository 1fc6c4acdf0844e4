"""`segwright recipes`: what can be asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from segwright.cli.options import Json, Quiet


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show this recipe in full.", show_default=False)] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List recipes, or show one with every field."""
    from segwright.cli.output import emit
    from segwright.planning.recipe_book import load_recipe, recipe_names

    if name is not None:
        recipe = load_recipe(name)
        fields = recipe.model_dump(mode="json", exclude={"schema_number"})
        emit(recipe, "\n".join(f"{key}: {value}" for key, value in fields.items()), as_json=as_json)
        return
    found = {each: load_recipe(each).about for each in recipe_names()}
    emit(found, "\n".join(f"{each:16} {about}" for each, about in found.items()), as_json=as_json)
