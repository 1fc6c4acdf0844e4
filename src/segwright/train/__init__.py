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
        "cosine": "segwright.train.schedule:cosine",
        "poly": "segwright.train.schedule:poly",
        "step": "segwright.train.schedule:step",
        "halve": "segwright.train.schedule:halve",
        "constant": "segwright.train.schedule:constant",
    },
)
