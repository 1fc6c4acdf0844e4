"""Says of each network what a person choosing one wants to know, counting its parameters without making its weights."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from segwright.core.errors import SegwrightError
from segwright.nets import NETS, build
from segwright.nets.catalogue import CATALOGUE, NetRow, count_parameters


def summary(name: str) -> dict[str, Any]:
    """Facts of one network: `about`, `source`, `dims`, `size` `(z, y, x)` and `parameters` at its source's setting.

    What is not known is `None`; where the network cannot be built here, `note` says why.

    Raises:
        UnknownNameError: No such network.

    Example:
        >>> summary("unet-classic")["parameters"]
        31036871
    """
    if name not in NETS or name not in CATALOGUE:
        module = NETS.load(name).__module__  # a plug-in's, since it is not in the catalogue
        return {"about": None, "source": module, "dims": None, "size": None, "parameters": None}
    row: NetRow = CATALOGUE.load(name)
    facts: dict[str, Any] = {"about": row.about, "source": row.source, "dims": list(row.dims), "size": list(row.size)}
    try:
        with torch.device("meta"):
            return {**facts, "parameters": count_parameters(build(row.spec))}
    except SegwrightError as error:
        return {**facts, "parameters": row.parameters, "note": str(error)}


def details(name: str) -> dict[str, Any]:
    """As `summary`, with the `spec` of the source, the network's own `settings` with defaults, and their `help`.

    Raises:
        UnknownNameError: No such network.
    """
    facts = summary(name)
    builder = NETS.load(name)
    parameters = inspect.signature(builder).parameters.values()
    spec = CATALOGUE.load(name).spec.model_dump(mode="json") if name in CATALOGUE else None
    return {
        "name": name,
        **facts,
        "spec": spec,
        "settings": {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY},
        "help": inspect.getdoc(builder),
    }
