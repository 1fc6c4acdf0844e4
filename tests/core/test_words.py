"""Counts take the right number, sizes the right unit, and no message says "1 cases" or "case(s)"."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import segwright
from segwright.core.words import agree, amount, listed, plural, size, sizes

SOURCES = sorted(Path(segwright.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("case", "cases"), ("body", "bodies"), ("array", "arrays"), ("box", "boxes"), ("mask", "masks"),
        ("class", "classes"), ("pair of case and structure", "pairs of case and structure"), ("branch", "branches"),
    ],
)  # fmt: skip
def test_plurals(noun: str, many: str) -> None:
    assert plural(noun) == many
    assert amount(1, noun) == f"1 {noun}" and amount(0, noun) == f"0 {many}" and amount(2000, noun) == f"2,000 {many}"


def test_verbs_agree() -> None:
    assert [agree(n, "is", "are") for n in (0, 1, 2)] == ["are", "is", "are"]


def test_films_have_pixels_and_volumes_voxels() -> None:
    assert size((1, 512, 400)) == "512 x 400 pixels (height x width)"
    assert size((20, 512, 400)) == "20 x 512 x 400 voxels (z, y, x)"
    assert sizes([(1, 512, 400), (1, 600, 400)]) == "512-600 x 400 pixels (height x width)"
    assert sizes([(1, 8, 8), (2, 8, 8)]) == "1-2 x 8 x 8 voxels (z, y, x)", "a stack among planes is told as it is"


def test_few_names_are_all_told() -> None:
    assert listed("abc", 3) == "a, b, c" and listed("abcd", 3) == "a, b, c and 1 more" and listed([]) == ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_message_leaves_the_plural_to_the_reader(path: Path) -> None:
    texts = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.JoinedStr)]
    parts = [str(piece.value) for node in texts for piece in node.values if isinstance(piece, ast.Constant)]
    assert not [text for text in parts if re.search(r"\w\((s|es)\)", text)], path
