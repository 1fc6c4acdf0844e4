"""Instance decoders: how a network's scores become separate objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segwright.core.errors import UnknownNameError
from segwright.core.registry import Registry

if TYPE_CHECKING:
    from segwright.postprocess.instances.decoders import Decoder

__all__ = ["DECODERS", "build_decoder"]

#: Decoder names to classes; their fields are the numbers to be chosen.
DECODERS = Registry(
    "segwright.decoders",
    {
        "seed_components": "segwright.postprocess.instances.decoders:SeedComponents",
        "seed_watershed": "segwright.postprocess.instances.decoders:SeedWatershed",
        "bonds": "segwright.postprocess.instances.decoders:Bonds",
        "depth_watershed": "segwright.postprocess.instances.decoders:DepthWatershed",
        "follow_flow": "segwright.postprocess.instances.decoders:FollowFlow",
    },
)


def build_decoder(name: str, **params: Any) -> Decoder:
    """A decoder of that row with some of its numbers set.

    Raises:
        UnknownNameError: No such decoder or number.

    Example:
        >>> build_decoder("seed_components", boundary=0.7).boundary
        0.7
    """
    factory = DECODERS.load(name)
    known = tuple(factory.__dataclass_fields__)
    for param in params:
        if param not in known:
            raise UnknownNameError.among(f"parameter of {name}", param, known)
    decoder: Decoder = factory(**params)
    return decoder
