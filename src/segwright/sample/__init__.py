"""Which part of which case a training step sees: placing policies and the batches cut by them."""

from segwright.core.registry import Registry

POLICIES = Registry(
    "segwright.policies",
    {
        "uniform": "segwright.sample.policies:uniform",
        "foreground": "segwright.sample.policies:foreground",
        "balanced": "segwright.sample.policies:balanced",
        "equal": "segwright.sample.policies:equal",
    },
)
