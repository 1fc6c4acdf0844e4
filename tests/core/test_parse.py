"""Documents from outside: limits on depth, aliases, entities and numbers, doubled keys, and the line of every fault."""

from __future__ import annotations

import os

import pytest

from segwright.core.errors import ReadError
from segwright.core.parse import DEEPEST, parse_json, parse_xml, parse_yaml, text_of

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{late}: &{late} [{','.join([f'*{early}'] * 10)}]\n" for early, late in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LAUGHS, "aliases stand for"),
        ("[" * 100_000, "nested more than"),
        ("- " * 5_000 + "1", "nested more than"),
        ("a: &a [*a]", "part of"),
        ("b: 1\na: 1\na: 2", "'a' comes twice"),
        ("\na: " + "9" * 1_000_000, "1000000 digits"),
        ("a: 2001-99-99", "month must be"),
        ("a: !!int x", "invalid literal"),
        ("? [1, 2]\n: 3", "unhashable"),
        ("a: !!python/object:os.system x", "constructor"),
        ("<<: 3", "merging"),
        ("a: \0", "control characters"),
        ("a: [", "flow"),
    ],
)
def test_yaml_is_refused_with_its_line(text, told):
    with pytest.raises(ReadError, match=told) as caught:
        parse_yaml(text, "set.yaml")
    assert caught.value.where == "set.yaml"
    assert "line" in caught.value.got or "position" in caught.value.got


def test_yaml_that_people_write_is_read():
    assert parse_yaml("base: &b {x: 1}\nmore:\n  <<: *b\n  y: [*b, *b]\n", None) == {
        "base": {"x": 1},
        "more": {"x": 1, "y": [{"x": 1}, {"x": 1}]},
    }
    assert parse_yaml("", None) is None
    assert parse_yaml("[" * DEEPEST + "]" * DEEPEST, None) is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, "too deeply"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "too deeply"),
        ('{"a": 1, "a": 2}', "'a' comes twice"),
        ('{"a":\nNaN}', "line 2"),
        ('{"a":\n' + "9" * 5_000 + "}", "5000 digits .line 2"),
        ('{"a":\n"b', "line 2"),
        ('"\\ud800"', "surrogates"),
        ("", "Expecting value"),
    ],
)
def test_json_is_refused(text, told):
    with pytest.raises(ReadError, match=told):
        parse_json(text, "a.json")


def test_json_that_tools_write_is_read():
    assert parse_json('{"id": 12345678901234567890123, "\\ud83d\\ude00": [1.5, null]}', None) == {
        "id": 12345678901234567890123,
        "\U0001f600": [1.5, None],
    }
    assert parse_json("[NaN]", None, numbers=False)[0] != 0  # our own reports hold scores that are not defined


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]>\n<l>&b;</l>', "entity 'a'"),
        ('<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><l>&a;</l>', "entity 'a'"),
        ("<a>" * 1_000, "nested more than"),
        ("<a>\n</b>", "line 2"),
        ("", "no element"),
        ("<a>\ud800</a>", "surrogates"),
    ],
)
def test_xml_is_refused(text, told):
    with pytest.raises(ReadError, match=told):
        parse_xml(text, "a.xml")


def test_xml_is_read_as_elementtree_reads_it():
    from xml.etree import ElementTree

    text = '<a xmlns="u:x" xmlns:y="u:y" y:k="1"><b>t&amp;<c/>u</b></a>'
    assert ElementTree.tostring(parse_xml(text, None)) == ElementTree.tostring(ElementTree.fromstring(text))


def test_only_regular_files_of_text_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ReadError, match="no regular file"):
        text_of(tmp_path / "pipe.json")
    with pytest.raises(ReadError, match="no regular file"):
        text_of(tmp_path)
    with pytest.raises(ReadError, match="Cannot read none"):
        text_of(tmp_path / "none")
    (tmp_path / "odd.txt").write_bytes(b"ab\xff")
    with pytest.raises(ReadError, match="byte 2 is 0xff"):
        text_of(tmp_path / "odd.txt")
    with pytest.raises(ReadError, match="too large"):
        text_of(tmp_path / "odd.txt", largest=2)
