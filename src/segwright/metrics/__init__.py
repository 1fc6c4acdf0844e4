"""How good a prediction is: functions `(reference, prediction, *, spacing) -> float | None` on masks `(z, y, x)`."""

from __future__ import annotations

from segwright.core.registry import Registry

#: Metric names to `Metric` objects, which carry unit, direction, range, symmetry and the rule for empty masks.
METRICS = Registry(
    "segwright.metrics",
    {
        "dice": "segwright.metrics.overlap:dice",
        "iou": "segwright.metrics.overlap:iou",
        "precision": "segwright.metrics.overlap:precision",
        "recall": "segwright.metrics.overlap:recall",
        "hd95": "segwright.metrics.surface:hd95",
        "hausdorff": "segwright.metrics.surface:hausdorff",
        "assd": "segwright.metrics.surface:assd",
        "surface_dice": "segwright.metrics.surface:surface_dice",
        "volume_error": "segwright.metrics.overlap:volume_error",
        "volume_difference": "segwright.metrics.overlap:volume_difference",
        "presence": "segwright.metrics.overlap:presence",
    },
)

#: Names of metrics of numbered objects to `ObjectMetric` objects, all measured off one overlap table.
OBJECT_METRICS = Registry(
    "segwright.object_metrics",
    {
        name: f"segwright.metrics.instances:{name}"
        for name in (
            "ap_50", "ap_75", "ap", "accuracy_50", "accuracy_75", "f1_50", "f1_75", "object_precision",
            "object_recall", "recall_75", "sq", "pq", "voi_split", "voi_merge", "rand_error",
        )
    },
)  # fmt: skip

#: What an evaluation reports unless told otherwise.
DEFAULT_METRICS = (
    "dice", "iou", "precision", "recall", "hd95", "assd", "surface_dice", "volume_error", "presence",
)  # fmt: skip

#: The same of instances: of the foreground, then of objects.
DEFAULT_OBJECT_METRICS = (
    "dice", "iou", "precision", "recall", "ap_50", "ap_75", "ap", "accuracy_50", "accuracy_75", "f1_50", "f1_75",
    "object_precision", "object_recall", "sq", "pq", "voi_split", "voi_merge", "rand_error",
)  # fmt: skip


def usual_metrics(*, instances: bool) -> tuple[str, ...]:
    """What an evaluation reports unless told otherwise, with the metrics that other packages add."""
    if instances:
        return (*DEFAULT_OBJECT_METRICS, *METRICS.added, *OBJECT_METRICS.added)
    return (*DEFAULT_METRICS, *METRICS.added)
