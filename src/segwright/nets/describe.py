"""What is said of a network: counts without weights, and settings from its builder's signature."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from segwright.core.errors import SegwrightError
from segwright.nets import NETS, build, net_info


def count_parameters(net: Any) -> int:
    """Trainable numbers of a network."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def summary(name: str) -> dict[str, Any]:
    """Facts of one network: `about`, `source`, `dims`, `size` `(z, y, x)` and `parameters` at its source's setting.

    What is not known is `None`; where the network cannot be built here, `note` says why.

    Raises:
        UnknownNameError: No such network.

    Example:
        >>> summary("unet-classic")["parameters"]
        31036871
    """
    row = net_info(name)
    if row.spec is None or row.size is None:  # a plug-in that says nothing of itself
        return {"about": None, "source": NETS.load(name).__module__, "dims": None, "size": None, "parameters": None}
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
    spec = net_info(name).spec
    return {
        "name": name,
        **facts,
        "spec": spec.model_dump(mode="json") if spec else None,
        "settings": {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY},
        "help": inspect.getdoc(builder),
    }
