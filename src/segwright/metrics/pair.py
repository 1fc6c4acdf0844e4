"""A pair of masks and what is measured once for all metrics: counts, borders and distances."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import GeometryError
from segwright.core.geometry import Spacing
from segwright.ops.components import enclosing_box
from segwright.ops.distance import border, border_distances, counting_axes, step_lengths

#: Usual tolerance of surface Dice in mm; of scans with smaller pixels than this (in mm), as microscopes make them, so
#: many of these, as every border lies within 1 mm of every other there.
USUAL, SMALL, PIXELS = 1.0, 0.05, 2


def usual_tolerance(spacing: Spacing | None) -> float:
    """Tolerance of surface Dice in mm, or in voxels where spacing is unknown.

    Example:
        >>> usual_tolerance((3.0, 0.7, 0.7)), usual_tolerance(None), usual_tolerance((5e-5, 4e-6, 4e-6))
        (1.0, 1.0, 8e-06)
    """
    least = min((edge for edge in spacing or () if edge is not None), default=USUAL)
    return PIXELS * least if least < SMALL else USUAL


class Pair:
    """Two masks of one structure and what metrics ask of them, computed when first asked.

    Args:
        reference: `(z, y, x)`, true inside.
        prediction: `(z, y, x)`.
        spacing: mm a voxel; where an axis that counts is unknown, lengths are in voxels.
        tolerance: For surface Dice, in the unit of the distances; `usual_tolerance` if not given.
        shape: Shape of the scan, if the masks are crops of it already: it decides whether a plane is measured as one.

    Raises:
        GeometryError: The masks differ in shape.
    """

    def __init__(
        self,
        reference: NDArray[np.bool_],
        prediction: NDArray[np.bool_],
        *,
        spacing: Spacing | None = None,
        tolerance: float | None = None,
        shape: Sequence[int] | None = None,
    ) -> None:
        if reference.shape != prediction.shape or reference.ndim != 3:
            raise GeometryError(
                "Reference and prediction must be masks (z, y, x) of one shape.",
                expected=reference.shape,
                got=prediction.shape,
                hint="Put the prediction on the grid of the reference.",
            )
        self.shape = tuple(shape or reference.shape)
        self.lengths, self.physical = step_lengths(self.shape, spacing)
        self.tolerance = usual_tolerance(spacing) if tolerance is None else tolerance
        if shape is None:
            box = enclosing_box(reference, prediction)
            where = box.slices if box else (slice(0, 0),) * 3
            reference, prediction = reference[where], prediction[where]
        self.reference, self.prediction = reference, prediction

    @cached_property
    def reference_voxels(self) -> int:
        """Voxels of the reference."""
        return int(np.count_nonzero(self.reference))

    @cached_property
    def prediction_voxels(self) -> int:
        """Voxels of the prediction."""
        return int(np.count_nonzero(self.prediction))

    @cached_property
    def common_voxels(self) -> int:
        """Voxels in both (TP)."""
        return int(np.count_nonzero(self.reference & self.prediction))

    @property
    def voxel_size(self) -> float:
        """mm³ a voxel (mm² in a plane), or 1 where spacing is unknown."""
        return float(np.prod(self.lengths))

    @cached_property
    def distances(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """From each surface element of the reference to the prediction's surface, and the other way round."""
        axes = counting_axes(self.shape)
        reference, prediction = border(self.reference, axes), border(self.prediction, axes)
        ahead = border_distances(reference, prediction, self.lengths)
        return ahead, border_distances(prediction, reference, self.lengths)


Kind = Literal["overlap", "distance", "relative", "always"]


class Verdict(Enum):
    """What to do with a pair of masks of which at least one is empty."""

    UNDEFINED = "undefined"
    ZERO = "zero"
    COMPUTED = "computed"


_U, _Z, _C = Verdict.UNDEFINED, Verdict.ZERO, Verdict.COMPUTED

#: Kind of metric to verdicts for: both empty, reference empty, prediction empty.
RULES: dict[Kind, tuple[Verdict, Verdict, Verdict]] = {
    "overlap": (_U, _Z, _Z),
    "distance": (_U, _U, _U),
    "relative": (_U, _U, _C),
    "always": (_C, _C, _C),
}

NOTES = ("both empty", "reference empty", "prediction empty")


def judge(kind: Kind, *, reference_empty: bool, prediction_empty: bool) -> tuple[Verdict, str]:
    """The verdict for a pair of masks, and the note that goes with the value.

    Example:
        >>> judge("overlap", reference_empty=False, prediction_empty=True)
        (<Verdict.ZERO: 'zero'>, 'prediction empty')
        >>> judge("distance", reference_empty=False, prediction_empty=False)
        (<Verdict.COMPUTED: 'computed'>, '')
    """
    if not reference_empty and not prediction_empty:
        return Verdict.COMPUTED, ""
    which = 0 if reference_empty and prediction_empty else 1 if reference_empty else 2
    return RULES[kind][which], NOTES[which]
