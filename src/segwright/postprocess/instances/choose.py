"""Turns scores into objects with a chosen decoder, and lists the choices that are worth trying."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry
from segwright.postprocess.instances import build_decoder


class Choice(Protocol):
    """A row of the decoders table with its numbers."""

    @property
    def name(self) -> str: ...

    @property
    def params(self) -> dict[str, Any]: ...


def decode_objects(choice: Choice | None, scores: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.int32]:
    """Canonical instance labels `(1, z, y, x)` from scores `(C, z, y, x)` (uint8, 255 is 1).

    Raises:
        UsageError: No decoder was chosen.
    """
    if choice is None:
        raise UsageError(
            "Scores of instances need a decoder.",
            got="none was chosen",
            hint="Give the chain a decoder, for example seed_watershed for the target 'boundary'.",
        )
    decoder = build_decoder(choice.name, **choice.params)
    unit = scores.astype(np.float32) / np.float32(255)
    return decoder.decode(unit, spacing=geometry.spacing)[None].astype(np.int32)


#: Numbers tried for each decoder, beside its usual ones; sizes are tried afterwards on what these leave.
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "seed_watershed": tuple(
        {"mask": mask, "boundary": boundary, "foreground": foreground}
        for mask in (0.6, 0.75, 0.9)
        for boundary in (0.35, 0.5, 0.65, 0.8)
        for foreground in (0.35, 0.5)
    ),
    "seed_components": tuple(
        {"mask": mask, "boundary": boundary, "dilate": dilate}
        for mask in (0.6, 0.75, 0.9)
        for boundary in (0.5, 0.8)
        for dilate in (1, 3)
    ),
    "bonds": tuple(
        {"bond": bond, "far": far, "foreground": foreground}
        for bond in (0.5, 0.7, 0.85, 0.95)
        for far in (0.0, 0.4, 0.7)
        for foreground in (0.35, 0.5)
    ),
    "depth_watershed": tuple(
        {"seed": seed, "edge": edge, "bond": bond}
        for seed in (0.58, 0.66, 0.74, 0.82)
        for edge in (0.42, 0.5)
        for bond in (0.35, 0.5, 0.7)
    ),
    "follow_flow": tuple(
        {"mask": mask, "steps": steps, "bond": bond}
        for mask in (0.35, 0.5)
        for steps in (4, 6, 10)
        for bond in (0.35, 0.5, 0.7)
    ),
}
#: Smallest objects kept, in voxels.
SIZES = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
