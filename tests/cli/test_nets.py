"""`segwright nets`: every network with its source, dimensions and parameters, for people and as JSON."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from segwright.cli.app import app
from segwright.core.errors import UnknownNameError
from segwright.nets import NETS


def said(*words: str) -> str:
    return CliRunner().invoke(app, ["nets", *words], catch_exceptions=False).stdout


@pytest.fixture(scope="module")
def listed() -> dict[str, dict[str, object]]:
    return json.loads(said("--json"))


def test_every_network_is_listed(listed):
    assert set(listed) == set(NETS)
    for name, facts in listed.items():
        assert facts["source"] and facts["dims"] and facts["parameters"], name
    assert listed["unet-classic"]["parameters"] == 31_036_871


def test_the_list_is_readable(monkeypatch):
    monkeypatch.setitem(NETS.__dict__, "rows", {name: NETS.rows[name] for name in ("unet", "res-unet-bottleneck")})
    lines = said().splitlines()
    heads = [line.split() for line in lines if not line.startswith(" ")]
    assert heads == [["unet", "2-D,", "3-D", "28,947,586"], ["res-unet-bottleneck", "2-D,", "3-D", "21,441,857"]]
    assert all(len(line) <= 110 for line in lines)


def test_one_network_in_full():
    facts = json.loads(said("attention-se-res-unet", "--json"))
    assert facts["parameters"] == 70_509_181 and facts["settings"]["gates"] == "all"
    assert facts["spec"]["widths"] == [64, 128, 256, 512, 1024]
    page = said("attention-se-res-unet")
    assert "70,509,181" in page and "gates: 'all'" in page and "1 x 512 x 512" in page


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError):
        said("unett")
