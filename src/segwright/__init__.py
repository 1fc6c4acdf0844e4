"""segwright: a folder of labelled scans in, a segmenter you can trust out.

Names are resolved when first used, so that importing the package stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from segwright.api.convert import Conversion as Conversion
    from segwright.api.convert import Converted as Converted
    from segwright.api.convert import convert as convert
    from segwright.api.ensemble import Ensembled as Ensembled
    from segwright.api.ensemble import ensemble as ensemble
    from segwright.api.evaluate import compare as compare
    from segwright.api.evaluate import evaluate as evaluate
    from segwright.api.fit import fit as fit
    from segwright.api.measure import measure as measure
    from segwright.api.planning import inspect as inspect
    from segwright.api.planning import plan as plan
    from segwright.api.predict import PredictOptions as PredictOptions
    from segwright.api.predict import predict as predict
    from segwright.api.run import Run as Run
    from segwright.core.box import Box as Box
    from segwright.core.case import Case as Case
    from segwright.core.case import Dataset as Dataset
    from segwright.core.case import Fold as Fold
    from segwright.core.case import LabelSource as LabelSource
    from segwright.core.case import Source as Source
    from segwright.core.case import Split as Split
    from segwright.core.errors import BudgetError as BudgetError
    from segwright.core.errors import ChoiceError as ChoiceError
    from segwright.core.errors import DataError as DataError
    from segwright.core.errors import DomainError as DomainError
    from segwright.core.errors import GeometryError as GeometryError
    from segwright.core.errors import IntegrityError as IntegrityError
    from segwright.core.errors import LabelError as LabelError
    from segwright.core.errors import LayoutError as LayoutError
    from segwright.core.errors import ModelError as ModelError
    from segwright.core.errors import OutOfMemoryError as OutOfMemoryError
    from segwright.core.errors import PlanError as PlanError
    from segwright.core.errors import ReadError as ReadError
    from segwright.core.errors import RecipeError as RecipeError
    from segwright.core.errors import SegwrightError as SegwrightError
    from segwright.core.errors import TrainingError as TrainingError
    from segwright.core.errors import UnknownNameError as UnknownNameError
    from segwright.core.errors import UsageError as UsageError
    from segwright.core.errors import WriteError as WriteError
    from segwright.core.events import End as End
    from segwright.core.events import Event as Event
    from segwright.core.events import Note as Note
    from segwright.core.events import Progress as Progress
    from segwright.core.events import Restart as Restart
    from segwright.core.events import Stage as Stage
    from segwright.core.events import Step as Step
    from segwright.core.geometry import Geometry as Geometry
    from segwright.core.inspection import CaseFacts as CaseFacts
    from segwright.core.inspection import Finding as Finding
    from segwright.core.inspection import Inspection as Inspection
    from segwright.core.labels import LabelSpace as LabelSpace
    from segwright.core.labels import Structure as Structure
    from segwright.core.measurements import Measurements as Measurements
    from segwright.core.measurements import Reading as Reading
    from segwright.core.plan import Plan as Plan
    from segwright.core.prediction import Predicted as Predicted
    from segwright.core.prediction import Predictions as Predictions
    from segwright.core.recipe import PartChoice as PartChoice
    from segwright.core.recipe import Recipe as Recipe
    from segwright.core.recipe import RecipeFields as RecipeFields
    from segwright.core.report import Aggregate as Aggregate
    from segwright.core.report import Floor as Floor
    from segwright.core.report import Report as Report
    from segwright.core.report import Score as Score
    from segwright.core.volume import Volume as Volume
    from segwright.evaluation.compare import Comparison as Comparison
    from segwright.evaluation.interval import mean_interval as mean_interval
    from segwright.io import read as read
    from segwright.io import write as write
    from segwright.io.dataset import open_dataset as open_dataset
    from segwright.prediction.model import Model as Model
    from segwright.prediction.model import Prediction as Prediction

#: Public names by the module that they live in: the verbs, and all that these take, return and raise.
_NAMES = {
    "api.convert": "Conversion Converted convert",
    "api.ensemble": "Ensembled ensemble",
    "api.evaluate": "compare evaluate",
    "api.fit": "fit",
    "api.measure": "measure",
    "api.planning": "inspect plan",
    "api.predict": "PredictOptions predict",
    "api.run": "Run",
    "core.box": "Box",
    "core.case": "Case Dataset Fold LabelSource Source Split",
    "core.errors": "BudgetError ChoiceError DataError DomainError GeometryError IntegrityError LabelError LayoutError "
    "ModelError OutOfMemoryError PlanError ReadError RecipeError SegwrightError TrainingError UnknownNameError "
    "UsageError WriteError",
    "core.events": "End Event Note Progress Restart Stage Step",
    "core.geometry": "Geometry",
    "core.inspection": "CaseFacts Finding Inspection",
    "core.labels": "LabelSpace Structure",
    "core.measurements": "Measurements Reading",
    "core.plan": "Plan",
    "core.prediction": "Predicted Predictions",
    "core.recipe": "PartChoice Recipe RecipeFields",
    "core.report": "Aggregate Floor Report Score",
    "core.volume": "Volume",
    "evaluation.compare": "Comparison",
    "evaluation.interval": "mean_interval",
    "io": "read write",
    "io.dataset": "open_dataset",
    "prediction.model": "Model Prediction",
}
_HOMES = {name: f"segwright.{module}" for module, names in _NAMES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'segwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
