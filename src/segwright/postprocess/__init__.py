"""Steps `labels -> labels` after prediction, chains of them, and the search for a chain that helps."""

from __future__ import annotations

from segwright.core.registry import Registry

#: Step names to `Step` objects `(labels, space, *, geometry, structures, **params) -> labels`.
STEPS = Registry(
    "segwright.postprocess",
    {
        "keep_largest": "segwright.postprocess.keep_largest:keep_largest",
        "drop_small": "segwright.postprocess.drop_small:drop_small",
        "fill_holes": "segwright.postprocess.fill_holes:fill_holes",
        "seed_mask": "segwright.postprocess.seed_mask:seed_mask",
    },
)
