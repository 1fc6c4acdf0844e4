"""Steps `labels -> labels` after prediction, chains of them, and the search for a chain that helps."""

from __future__ import annotations

from segwright.core.registry import Registry

#: Step names to `Step` objects `(labels, space, *, geometry, structures, **params) -> labels`.
STEPS = Registry(
    "segwright.postprocess",
    {
        "keep_largest": "segwright.postprocess.steps:keep_largest",
        "drop_small": "segwright.postprocess.steps:drop_small",
        "fill_holes": "segwright.postprocess.steps:fill_holes",
        "seed_mask": "segwright.postprocess.steps:seed_mask",
    },
)
