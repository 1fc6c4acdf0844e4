"""The verdict: a long table case x structure x metric, and its aggregates."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from segwright.core.document import Document, Part
from segwright.core.errors import UsageError
from segwright.core.inspection import Finding


class Score(Part):
    """One number. `value` is `None` where the metric is undefined (`note` says why); such rows are counted."""

    case: str
    group: str
    structure: str
    metric: str
    value: float | None
    note: str = ""
    fold: int | None = None


class Aggregate(Part):
    """Summary of one metric over cases.

    Attributes:
        structure: Structure or region; `mean` for the mean over structures of each case.
        low, high: Ends of the 95 % interval of the mean by group; `None` below two groups.
        cases: Values that entered; `missing` were undefined.
    """

    structure: str
    metric: str
    mean: float | None
    median: float | None
    low: float | None
    high: float | None
    std: float | None
    cases: int
    groups: int
    missing: int


class Floor(Part):
    """What a prediction that is the same for every scan scores, and how far a model lies above it.

    Attributes:
        score: Mean Dice of the constant prediction.
        gain: Mean gain of the model over it, case by case; `low` and `high` the ends of its 95 % interval.
        passed: Whether the model is shown to be better.
    """

    score: float
    gain: float
    low: float | None
    high: float | None
    passed: bool


class Report(Document):
    """Scores and aggregates, with notes on how empty masks were treated.

    `findings` names labels worth a second look, because a network that had not seen the case contradicts them plainly.
    `floor` is what a constant prediction scores on the same cases; known of reports of fits.
    """

    filename: ClassVar[str] = "report.json"
    title: str = ""
    scores: tuple[Score, ...]
    aggregates: tuple[Aggregate, ...]
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    floor: Floor | None = None

    def to_frame(self) -> Any:
        """The scores as a table of pandas, one row a score: case, group, structure, metric, value, note, fold.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise UsageError("A table needs pandas.", got=str(error), hint="Type 'pip install pandas'.") from error
        return pandas.DataFrame([row.model_dump() for row in self.scores], columns=list(Score.model_fields))

    def aggregate(self, structure: str, metric: str) -> Aggregate | None:
        """The aggregate of that structure and metric, if any."""
        for row in self.aggregates:
            if row.structure == structure and row.metric == metric:
                return row
        return None
