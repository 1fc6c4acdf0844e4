"""A run: the folder in which a fit leaves everything it decided, made and measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from segwright.api.follow import joined
from segwright.api.restored import IN_RUN, redirected
from segwright.core.case import Dataset, Split
from segwright.core.document import Document
from segwright.core.errors import UsageError
from segwright.core.events import TrainEvent
from segwright.core.identity import Identity, still
from segwright.core.inspection import Inspection
from segwright.core.plan import Plan
from segwright.core.report import Report
from segwright.metrics.calibration import Calibration
from segwright.planning.exploration import Exploration
from segwright.planning.views import fold_plan

if TYPE_CHECKING:
    from segwright.prediction.model import Model


class Judged(Document):
    """Out-of-fold scores of a fold, bound to the networks that made them.

    Attributes:
        networks: Content of their weights.
        cases: Content of the scores of each case.
        signals: Agreement of copies of each answer, see `quality.signals`.
    """

    filename: ClassVar[str] = "judged.json"
    networks: Identity
    cases: dict[str, Identity]
    signals: dict[str, dict[str, list[list[float]]]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A folder of a fit.

    Example:
        >>> Run.open("no/such/run")
        Traceback (most recent call last):
        segwright.core.errors.UsageError: There is no run in this folder. ...
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """An existing run.

        Raises:
            UsageError: The folder holds no plan.
        """
        run = cls(Path(folder))
        if not (run.folder / Plan.filename).exists():
            raise UsageError(
                "There is no run in this folder.",
                expected=Plan.filename,
                where=folder,
                hint="Run 'segwright fit' first.",
            )
        return run

    @cached_property
    def dataset(self) -> Dataset:
        """The interpretation of the data folder, with mended copies where sections were restored."""
        return redirected(Dataset.load(self.folder / Dataset.filename), self.folder / IN_RUN)

    @cached_property
    def inspection(self) -> Inspection:
        """Findings and facts."""
        return Inspection.load(self.folder / Inspection.filename)

    @cached_property
    def exploration(self) -> Exploration | None:
        """The data in numbers; `None` in runs begun before it was kept."""
        file = self.folder / Exploration.filename
        return Exploration.load(file) if file.exists() else None

    @cached_property
    def plan(self) -> Plan:
        """What was decided."""
        return Plan.load(self.folder / Plan.filename)

    def plan_of(self, fold: int) -> Plan:
        """The plan as a fold sees it: what it takes from labels is measured on its training cases alone."""
        if self.plan.row is None and not self.plan.train.start:
            return self.plan
        learnt = set(self.split.folds[fold].train)
        return fold_plan(self.plan, [fact for fact in self.inspection.facts if fact.case in learnt])

    @cached_property
    def split(self) -> Split:
        """Who validates where."""
        return Split.load(self.folder / Split.filename)

    @property
    def report_file(self) -> Path:
        """Out-of-fold scores as JSON."""
        return self.folder / "report" / Report.filename

    @property
    def page(self) -> Path:
        """The page people read."""
        return self.folder / "report" / "report.html"

    @property
    def report(self) -> Report:
        """Out-of-fold scores after the chosen post-processing."""
        return Report.load(self.report_file)

    @property
    def model(self) -> Model:
        """The deployable segmenter of all finished folds."""
        from segwright.prediction.model import Model

        return Model.load(self.folder / "model")

    @property
    def model_folder(self) -> Path:
        """Where the deployable segmenter lies."""
        return self.folder / "model"

    @property
    def calibration_file(self) -> Path:
        """Counts of out-of-fold scores against references."""
        return self.folder / "report" / Calibration.filename

    @property
    def postprocess_file(self) -> Path:
        """The chosen post-processing with its candidates."""
        return self.folder / "postprocess.json"

    def fold_folder(self, fold: int) -> Path:
        """Log, checkpoint and weights of a fold."""
        return self.folder / f"fold-{fold}"

    def member_folder(self, fold: int, member: int) -> Path:
        """The same of one of its networks; the first has the fold's own folder."""
        return self.fold_folder(fold) / f"member-{member}" if member else self.fold_folder(fold)

    def weights(self, fold: int) -> tuple[Path, ...]:
        """Weights of all networks of a fold, there once it is finished."""
        count = self.plan.train.members
        return tuple(self.member_folder(fold, member) / "weights.safetensors" for member in range(count))

    def trained(self, fold: int) -> bool:
        """Whether all networks of a fold have been trained to their end."""
        return all(file.exists() for file in self.weights(fold))

    def scores_file(self, case: str) -> Path:
        """Out-of-fold scores of a case: uint8 `(K, z, y, x)`, 255 is 1, on its own grid.

        Where objects are decoded on another, a `.trail.json` of that name leads there.
        """
        return self.folder / "out-of-fold" / f"{case}.npy"

    @property
    def finished(self) -> tuple[int, ...]:
        """Folds that have been trained to their end."""
        return tuple(fold for fold in range(len(self.split.folds)) if self.trained(fold))

    def judged(self, fold: int) -> bool:
        """Whether a fold is finished and its validation cases are predicted by the networks it has now."""
        return self.trained(fold) and not self.unjudged(fold)

    def unjudged(self, fold: int) -> list[str]:
        """Validation cases of a finished fold whose scores are missing, not what was written, or of other networks."""
        validation, file = self.split.folds[fold].validation, self.judged_file(fold)
        if not file.exists():  # of an earlier version, which kept no content: what is there counts
            return [case for case in validation if not self.scores_file(case).is_file()]
        known = Judged.load(file)
        if still(known.networks, self.weights(fold)) is None:
            return list(validation)
        scores = {case: known.cases.get(case) for case in validation}
        return [case for case, was in scores.items() if was is None or still(was, self.scores_file(case)) is None]

    def signals(self, fold: int) -> dict[str, dict[str, list[list[float]]]]:
        """Agreement of copies of the answers for a fold's validation cases; empty in runs of earlier versions."""
        file = self.judged_file(fold)
        return Judged.load(file).signals if file.exists() else {}

    def judged_file(self, fold: int) -> Path:
        """What the scores of a fold's validation cases held when they were written."""
        return self.fold_folder(fold) / Judged.filename

    def log(self) -> dict[int, list[TrainEvent]]:
        """Events of every fold begun, those of its networks one after another."""
        from segwright.train.log import read_events

        files = {fold: self.logs(fold) for fold in range(len(self.split.folds))}
        members = self.plan.train.members
        return {fold: joined([read_events(file) for file in some], members) for fold, some in files.items() if some}

    def logs(self, fold: int) -> list[Path]:
        """Log files of the networks of a fold that were begun."""
        folders = [self.member_folder(fold, member) for member in range(self.plan.train.members)]
        return [folder / "log.jsonl" for folder in folders if (folder / "log.jsonl").exists()]
