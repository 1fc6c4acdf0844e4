"""What is said of a network: counts without weights, settings from the signature, plug-ins and refusals named."""

from __future__ import annotations

import pytest

from segwright.core.errors import PlanError, UnknownNameError
from segwright.core.plan import NetSpec
from segwright.nets import NETS, describe
from segwright.nets.describe import details, summary


def test_a_summary_counts_what_the_catalogue_states():
    facts = summary("res-unet")
    assert facts["parameters"] == 68_760_257 and facts["dims"] == [2, 3] and "Seed 0" in facts["source"]


def test_details_show_the_own_settings():
    facts = details("se-res-unet")
    assert facts["settings"] == {"up": "transpose", "down": "pool", "reduction": 16, "least": 4}
    assert NetSpec(**facts["spec"]).name == "se-res-unet" and "squeeze and excitation" in facts["help"]


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="res-unet"):
        summary("res-unett")


def plugin(spec: NetSpec, *, width: int = 3) -> None:
    """A network of another package."""


def test_networks_of_plugins_are_listed(monkeypatch):
    monkeypatch.setitem(NETS.rows, "plugin", "somewhere:plugin")
    monkeypatch.setattr(type(NETS), "load", lambda self, name: plugin)
    facts = details("plugin")
    assert facts["parameters"] is None and facts["source"] == __name__ and facts["settings"] == {"width": 3}
    assert facts["spec"] is None


def test_a_network_that_cannot_be_built_says_why(monkeypatch):
    def fail(spec: NetSpec) -> None:
        raise PlanError("The library is not there.", hint="pip install library")

    monkeypatch.setattr(describe, "build", fail)
    facts = summary("unet-classic")
    assert "pip install library" in facts["note"] and facts["parameters"] == 31_036_871
