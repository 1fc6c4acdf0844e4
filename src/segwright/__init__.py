"""segwright: a folder of labelled scans in, a segmenter you can trust out.

Names are resolved when first used, so that importing the package stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from segwright.api.convert import convert
    from segwright.api.ensemble import ensemble
    from segwright.api.evaluate import compare, evaluate
    from segwright.api.fit import fit
    from segwright.api.measure import measure
    from segwright.api.planning import inspect, plan
    from segwright.api.predict import predict
    from segwright.api.run import Run
    from segwright.core.box import Box
    from segwright.core.case import Case, Dataset, Split
    from segwright.core.errors import DataError, SegwrightError, UsageError
    from segwright.core.geometry import Geometry
    from segwright.core.inspection import Finding, Inspection
    from segwright.core.labels import LabelSpace, Structure
    from segwright.core.plan import Plan
    from segwright.core.prediction import Prediction, Predictions
    from segwright.core.recipe import Recipe
    from segwright.core.report import Report
    from segwright.core.volume import Volume
    from segwright.evaluation.interval import mean_interval
    from segwright.io import read, write
    from segwright.io.dataset import open_dataset
    from segwright.prediction.model import Model

_HOMES = {
    "Box": "segwright.core.box",
    "Case": "segwright.core.case",
    "DataError": "segwright.core.errors",
    "Dataset": "segwright.core.case",
    "Finding": "segwright.core.inspection",
    "Geometry": "segwright.core.geometry",
    "Inspection": "segwright.core.inspection",
    "LabelSpace": "segwright.core.labels",
    "Model": "segwright.prediction.model",
    "Plan": "segwright.core.plan",
    "Prediction": "segwright.core.prediction",
    "Predictions": "segwright.core.prediction",
    "Recipe": "segwright.core.recipe",
    "Report": "segwright.core.report",
    "Run": "segwright.api.run",
    "SegwrightError": "segwright.core.errors",
    "Split": "segwright.core.case",
    "Structure": "segwright.core.labels",
    "UsageError": "segwright.core.errors",
    "Volume": "segwright.core.volume",
    "compare": "segwright.api.evaluate",
    "convert": "segwright.api.convert",
    "ensemble": "segwright.api.ensemble",
    "evaluate": "segwright.api.evaluate",
    "fit": "segwright.api.fit",
    "inspect": "segwright.api.planning",
    "mean_interval": "segwright.evaluation.interval",
    "measure": "segwright.api.measure",
    "open_dataset": "segwright.io.dataset",
    "plan": "segwright.api.planning",
    "predict": "segwright.api.predict",
    "read": "segwright.io",
    "write": "segwright.io",
}

__all__ = [
    "Box",
    "Case",
    "DataError",
    "Dataset",
    "Finding",
    "Geometry",
    "Inspection",
    "LabelSpace",
    "Model",
    "Plan",
    "Prediction",
    "Predictions",
    "Recipe",
    "Report",
    "Run",
    "SegwrightError",
    "Split",
    "Structure",
    "UsageError",
    "Volume",
    "__version__",
    "compare",
    "convert",
    "ensemble",
    "evaluate",
    "fit",
    "inspect",
    "mean_interval",
    "measure",
    "open_dataset",
    "plan",
    "predict",
    "read",
    "write",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'segwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
