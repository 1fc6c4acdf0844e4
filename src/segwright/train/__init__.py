"""Training of members: the loop, its state, the clock, measurement of the machine, and one fold from start to end."""

from __future__ import annotations

from segwright.core.registry import Registry

OPTIMISERS = Registry(
    "segwright.optimisers",
    {"adamw": "segwright.train.optim:adamw", "sgd": "segwright.train.optim:sgd"},
)

SCHEDULES = Registry(
    "segwright.schedules",
    {
        "cosine": "segwright.train.optim:cosine",
        "poly": "segwright.train.optim:poly",
        "step": "segwright.train.optim:step",
        "halve": "segwright.train.optim:halve",
        "constant": "segwright.train.optim:constant",
    },
)
