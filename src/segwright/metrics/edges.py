"""The written rule for empty masks, in one table: what each kind of metric says when nothing is there.

==================== ============== ================ =================
kind                 both empty     reference empty  prediction empty
==================== ============== ================ =================
overlap              undefined      0                0
distance             undefined      undefined        undefined
relative             undefined      undefined        computed
always               computed       computed         computed
==================== ============== ================ =================

An undefined value is `None` with a note, is counted as missing beside every mean, and never becomes a number by
accident: a structure absent from both masks does not raise mean Dice by a free 1, and one that was missed drops
mean Dice by its 0 while the count of missing distances shows why mean HD95 looks good. Whether a structure was
found where it is, and left out where it is not, is the metric `presence`.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

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
