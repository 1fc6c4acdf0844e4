"""Recipes by name and file, with overrides that reach into parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from segwright.core.errors import RecipeError, UnknownNameError
from segwright.planning.recipe_book import load_recipe, parse_overrides, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid_and_says_what_it_is_for(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.about


def test_overrides_reach_into_parts() -> None:
    words = ["loss.name=tversky", "loss.alpha=0.3", "width=24", "mirror=[x]", "minutes=1.5"]
    recipe = load_recipe("default", parse_overrides(words))
    assert recipe.loss is not None
    assert (recipe.loss.name, recipe.loss.params) == ("tversky", {"alpha": 0.3})
    assert (recipe.width, recipe.mirror, recipe.minutes) == (24, ("x",), 1.5)


def test_a_file_is_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nnet: {name: resenc, down: pool}\n")
    recipe = load_recipe(path)
    assert recipe.net is not None
    assert recipe.net.params == {"down": "pool"}


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'accurate'"):
        load_recipe("acurate")
    with pytest.raises(UnknownNameError, match="Did you mean 'width'"):
        load_recipe("default", {"widht": 3})
    with pytest.raises(RecipeError, match="key=value"):
        parse_overrides(["width"])
