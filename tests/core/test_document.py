"""Documents: whole-file writes, strict keys, stable hashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segwright.core.disk import atomic_path
from segwright.core.errors import DataError, ReadError, UnknownNameError
from segwright.core.recipe import Recipe


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_document_survives_its_file(tmp_path: Path, suffix: str) -> None:
    recipe = Recipe(minutes=20, patch=(40, 56, 40), loss="tversky")
    assert Recipe.load(recipe.save(tmp_path / f"r{suffix}")) == recipe


def test_unknown_keys_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'batch'"):
        Recipe.from_data({"bacth": 4})


def test_wrong_values_name_field_and_file() -> None:
    with pytest.raises(DataError, match="'width' is not valid") as caught:
        Recipe.from_data({"width": "wide"}, where="mine.yaml")
    assert "mine.yaml" in str(caught.value)


def test_damaged_files_are_read_errors(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("{")
    with pytest.raises(ReadError, match="not valid JSON"):
        Recipe.load(path)
    with pytest.raises(ReadError, match="Cannot read"):
        Recipe.load(tmp_path / "absent.json")


def test_the_hash_follows_the_content() -> None:
    assert Recipe().content_hash() == Recipe().content_hash() != Recipe(seed=1).content_hash()


def test_a_stored_document_keeps_its_hash_when_versions_add_fields(tmp_path: Path) -> None:
    path = Recipe(seed=3).save(tmp_path / "recipe.json")
    assert Recipe.stored_hash(path) == Recipe(seed=3).content_hash()
    older = {key: value for key, value in json.loads(path.read_text()).items() if key != "tolerance"}
    path.write_text(json.dumps(older))
    assert Recipe.load(path) == Recipe(seed=3)
    assert Recipe.stored_hash(path) != Recipe(seed=3).content_hash()
    path.write_text("{")
    with pytest.raises(ReadError, match="not valid JSON"):
        Recipe.stored_hash(path)


def test_a_failed_write_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    final = tmp_path / "result.txt"
    final.write_text("old")

    def fail() -> None:
        with atomic_path(final) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    final = tmp_path / "model"
    for text in ("first", "second"):
        with atomic_path(final) as partial:
            partial.mkdir()
            (partial / "card").write_text(text)
    assert (final / "card").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
