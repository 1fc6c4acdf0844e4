"""Finds, on out-of-fold predictions, the decoder and numbers with which most objects are found and kept apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.deadline import Deadline
from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry
from segwright.postprocess.chain import Chain, ChainStep
from segwright.postprocess.choice import measure
from segwright.postprocess.instances import DECODERS
from segwright.postprocess.instances.decoders import OPTIONS, SIZES, decode_objects
from segwright.postprocess.search import CUT, Candidate, OutOfFold, Postprocess

#: Voxels of a case that are looked at; of larger ones the middle.
MOST_VOXELS = 3_000_000

#: `(reference, prediction, smallest sizes) -> one value a size`, with predicted objects below that size dropped.
SizeScorer = Callable[[NDArray[Any], NDArray[Any], Sequence[int]], NDArray[np.float64]]

NOTES = (
    "The decoder, its thresholds and the smallest object were chosen by the mean of object F1 at IoU 0.5 and 0.75.",
    "A choice is kept if it also gains when made without the fold judged; otherwise the usual numbers stay.",
)


class Option(NamedTuple):
    """A decoder with its numbers."""

    decoder: str
    params: dict[str, Any]

    def chain(self) -> Chain:
        """Post-processing with this decoder only."""
        return Chain(decoder=ChainStep(name=self.decoder, params=self.params))


def search_decoder(
    cases: Sequence[OutOfFold],
    decoders: Sequence[str],
    *,
    score: SizeScorer,
    structure: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    deadline: Deadline | None = None,
) -> Postprocess:
    """Choose among decoders of a target, their thresholds and the smallest object kept.

    Args:
        cases: Out-of-fold predictions, with all channels as scores.
        decoders: Rows of the decoders table, the usual one first.
        score: See `SizeScorer`.
        structure: What the objects are, for the report.
        progress: Called as `progress(done, total)` after each case.
        deadline: When no further case may be looked at; the choice is then made on those before.

    Raises:
        UsageError: No case or no decoder.
    """
    if not cases or not decoders:
        raise UsageError("There is nothing to search on.", expected="cases with scores, and decoders")
    options = list(_options(decoders))
    columns: list[Any] = []
    every, deadline = len(cases), deadline or Deadline()
    for case in cases:
        if not deadline.admits() and columns:
            break
        columns.append(_values_of(case, options, score))
        progress(len(columns), every)
    cases = cases[: len(columns)]
    values = np.stack(columns, axis=-1)
    flat = values.reshape(-1, len(cases))
    usual = _usual(options, decoders[0])
    chosen = _option(options, _best(flat, usual))
    gain, nested = flat[_best(flat, usual)] - flat[usual], _nested(flat, cases, usual)
    kept = float(gain.mean()) > 0 and (nested is None or nested > 0)
    winner = chosen if kept else _option(options, usual)
    after = flat[_best(flat, usual)] if kept else flat[usual]
    return Postprocess(
        chain=winner.chain(),
        candidates=tuple(_candidates(values, options, usual, cases, verdict=(structure, kept, nested))),
        before={structure: float(flat[usual].mean())},
        after={structure: float(after.mean())},
        notes=(
            f"Searched on {len(cases)} out-of-fold cases, {len(flat)} settings.",
            *([CUT] if len(cases) < every else []),
            *NOTES,
        ),
    )


def _options(decoders: Sequence[str]) -> Iterator[Option]:
    """For each decoder its usual numbers and those worth trying, sizes left open."""
    for name in decoders:
        yield Option(name, {})
        for params in OPTIONS.get(name, ()):
            yield Option(name, params)


def _option(options: Sequence[Option], place: int) -> Option:
    """The option at a place of the table of options and sizes."""
    option, size = divmod(place, len(SIZES))
    return Option(options[option].decoder, {**options[option].params, "smallest": SIZES[size]})


def _usual(options: Sequence[Option], decoder: str) -> int:
    """Place of the usual decoder with its own numbers."""
    smallest = DECODERS.load(decoder).__dataclass_fields__["smallest"].default
    return SIZES.index(smallest) if smallest in SIZES else 0


def _values_of(case: OutOfFold, options: Sequence[Option], score: SizeScorer) -> NDArray[np.float64]:
    """Score of every option and size on one case."""
    scores, reference = case.scores(), case.reference()
    box = middle(reference.shape[1:])
    scores, reference = scores[(slice(None), *box.slices)], reference[(slice(None), *box.slices)]
    geometry: Geometry = case.geometry.crop(box)
    rows = []
    for option in options:
        raw = ChainStep(name=option.decoder, params={**option.params, "smallest": 0})
        rows.append(score(reference[0], decode_objects(raw, np.asarray(scores), geometry, case.orientation)[0], SIZES))
    return np.stack(rows)


def middle(shape: Sequence[int]) -> Box:
    """All planes of the middle of a scan, as much as may be looked at."""
    z, y, x = shape
    share = min(1.0, (MOST_VOXELS / (z * y * x)) ** 0.5)
    height, width = max(1, round(y * share)), max(1, round(x * share))
    top, left = (y - height) // 2, (x - width) // 2
    return Box((0, top, left), (z, top + height, left + width))


def _best(values: NDArray[np.float64], usual: int) -> int:
    """Row with the largest mean; the usual one on a tie."""
    means = values.mean(axis=1)
    best = int(np.argmax(means))
    return usual if means[usual] >= means[best] - 1e-12 else best


def _nested(values: NDArray[np.float64], cases: Sequence[OutOfFold], usual: int) -> float | None:
    """Mean gain of choosing on all other folds and judging on the fold left out; `None` below two folds."""
    folds = np.array([-1 if case.fold is None else case.fold for case in cases])
    if len(set(folds.tolist())) < 2:
        return None
    honest = np.zeros(len(cases))
    for left in set(folds.tolist()):
        out = folds == left
        honest[out] = values[_best(values[:, ~out], usual), out] - values[usual, out]
    return float(honest.mean())


def _candidates(
    values: NDArray[np.float64],
    options: Sequence[Option],
    usual: int,
    cases: Sequence[OutOfFold],
    *,
    verdict: tuple[str, bool, float | None],
) -> Iterator[Candidate]:
    """Each option with its best size, as rows of the report; `verdict` is the structure, and whether the best one is
    kept, and its gain on folds left out.
    """
    structure, kept, nested = verdict
    flat = values.reshape(-1, len(cases))
    best = _best(flat, usual)
    for index in range(len(options)):
        place = index * len(SIZES) + int(np.argmax(values[index].mean(axis=1)))
        place = best if place // len(SIZES) == best // len(SIZES) else place
        gain = measure(flat[place] - flat[usual], [case.group for case in cases])
        won = place == best
        reason = "another option gains more" if gain.mean > 0 else "does not help"
        if won:
            reason = "accepted" if kept else "the usual numbers stay: no gain on folds left out"
        option = _option(options, place)
        yield Candidate(
            structure=structure,
            change=str(ChainStep(name=option.decoder, params=option.params)),
            gain=gain.mean,
            error=gain.error if np.isfinite(gain.error) else None,
            changed=gain.changed,
            improved=gain.improved,
            nested=nested if won else None,
            accepted=won and kept,
            reason=reason,
        )
