"""From a prepared scan to labels: windows, mirrored copies, ensembles, and the session that holds the networks."""

from segwright.core.registry import Registry

#: How the members of an ensemble are combined: `(members, *, exclusive) -> forward`.
COMBINE = Registry(
    "segwright.combine",
    {"mean": "segwright.prediction.ensemble:mean", "vote": "segwright.prediction.ensemble:vote"},
)
