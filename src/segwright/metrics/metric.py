"""What a row of the metrics table is: a measure with its unit, direction, range, symmetry and rule for empty masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Spacing
from segwright.metrics.pair import Kind, Pair, Verdict, judge

Direction = Literal["higher", "lower", "zero"]

#: Unit of lengths and volumes where the spacing of an axis is unknown.
VOXEL_NOTE = "in voxels: spacing unknown"


@dataclass(frozen=True)
class Metric:
    """A metric; call it on two masks `(z, y, x)`.

    Attributes:
        name: Row name.
        about: One sentence.
        measure: From a pair of which neither mask is empty (unless `kind` says computed).
        kind: Row of the rule for empty masks (`edges.RULES`).
        unit: `""`, `"mm"` or `"mm³"`; the latter two become voxels where spacing is unknown, which is noted.
        direction: What is better: `higher`, `lower`, or nearer to `zero`.
        low, high: Range of values; `None` is unbounded.
        symmetric: Whether swapping reference and prediction changes nothing.
        perfect: Value of a prediction that equals the reference.
    """

    name: str
    about: str
    measure: Callable[[Pair], float | None]
    kind: Kind
    unit: str = ""
    direction: Direction = "higher"
    low: float | None = 0.0
    high: float | None = 1.0
    symmetric: bool = True
    perfect: float = 1.0

    def of(self, pair: Pair) -> tuple[float | None, str]:
        """Value (`None` if undefined) and a note that says why, or in which unit if not the metric's own."""
        verdict, note = judge(
            self.kind, reference_empty=not pair.reference_voxels, prediction_empty=not pair.prediction_voxels
        )
        if verdict is Verdict.UNDEFINED:
            return None, note
        value = 0.0 if verdict is Verdict.ZERO else self.measure(pair)
        return value, VOXEL_NOTE if self.unit and not pair.physical else note

    def __call__(
        self,
        reference: NDArray[np.bool_],
        prediction: NDArray[np.bool_],
        *,
        spacing: Spacing | None = None,
        tolerance: float | None = None,
    ) -> float | None:
        """The value for two masks `(z, y, x)`; `None` where undefined. Lengths in mm if `spacing` is known."""
        return self.of(Pair(reference, prediction, spacing=spacing, tolerance=tolerance))[0]


def metric(kind: Kind, **traits: object) -> Callable[[Callable[[Pair], float]], Metric]:
    """Turn a function of a pair into a metric named after it, described by the first line of its docstring."""

    def wrap(measure: Callable[[Pair], float]) -> Metric:
        about = (measure.__doc__ or "").strip().partition("\n")[0]
        return Metric(measure.__name__, about, measure, kind, **traits)  # type: ignore[arg-type]

    return wrap


def from_function(name: str, function: Callable[..., float | None]) -> Metric:
    """A metric out of a plain function `(reference, prediction, *, spacing)`, as plug-in packages may register."""

    def measure(pair: Pair) -> float | None:
        return function(pair.reference, pair.prediction, spacing=pair.lengths)

    return Metric(name, (function.__doc__ or "").strip().partition("\n")[0], measure, "distance", low=None, high=None)
