"""Finds, on out-of-fold predictions, the thresholds and steps that help, and keeps the rest as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segwright.core.deadline import Deadline
from segwright.core.document import Document, Part
from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.words import amount
from segwright.postprocess import STEPS
from segwright.postprocess.chain import Chain, ChainStep, load_step
from segwright.postprocess.choice import choose, measure, nested_gain, remains
from segwright.postprocess.steps import StructureFacts
from segwright.postprocess.trial import Trial, run_trials

THRESHOLDS = tuple(round(0.30 + 0.05 * i, 2) for i in range(9))
#: Added for structures below `RARE` of the voxels: their best cut is often low.
LOW_THRESHOLDS = (0.1, 0.15, 0.2, 0.25)
RARE = 0.01
#: Rounds in which each structure may gain one step.
ROUNDS = 3


class OutOfFold(Protocol):
    """A case with scores of the member that did not train on it; arrays are read when asked for."""

    @property
    def case(self) -> str:
        """Case id."""

    @property
    def group(self) -> str:
        """Patient."""

    @property
    def fold(self) -> int | None:
        """Fold that predicted it."""

    @property
    def geometry(self) -> Geometry:
        """Grid of both arrays."""

    @property
    def orientation(self) -> str | None:
        """Axis codes on which the network saw the scan; `None` where it was not turned."""

    def scores(self) -> NDArray[np.uint8]:
        """`(K, z, y, x)`, 255 is 1."""

    def reference(self) -> NDArray[Any]:
        """Canonical labels `(P, z, y, x)`."""


#: `(reference, prediction, *, spacing) -> value` on masks, larger is better, `None` where both are empty.
Scorer = Callable[..., float | None]


class Candidate(Part):
    """A change that was tried.

    Attributes:
        structure: Structure it is for, or `all`.
        change: In words.
        gain: Mean paired gain over patients, on the cases it was chosen on.
        error: Standard error of `gain`; `None` for a single patient.
        changed, improved: Cases whose score it changed, and raised.
        nested: Gain of the whole choice for this structure when judged on folds left out; only beside the best.
        accepted: Whether it is in the chain.
        reason: Why, or why not.
    """

    structure: str
    change: str
    gain: float
    error: float | None
    changed: int
    improved: int
    nested: float | None = None
    accepted: bool = False
    reason: str = ""


class Postprocess(Document):
    """The chain that won, and by how much.

    Attributes:
        chain: To run on every prediction.
        candidates: All that was tried, round by round.
        before, after: Mean score of each structure over the cases searched on, without and with the chain.
        notes: How it was chosen.
    """

    filename: ClassVar[str] = "postprocess.json"
    chain: Chain = Chain()
    candidates: tuple[Candidate, ...] = ()
    before: dict[str, float] = Field(default_factory=dict)
    after: dict[str, float] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Target(NamedTuple):
    """What one decision is about: a structure, or all of them together, and the options for it."""

    structures: tuple[str, ...]
    trials: tuple[Trial, ...]


#: Said where the time budget ended the search.
CUT = "The time budget ended the search before all was tried."
NOTES = (
    "A change is kept if its mean paired gain over patients exceeds one standard error and at least 60 % of the "
    "cases it changes improve, and if at least half of the gain remains when it is chosen without the fold judged.",
    "A structure absent from both masks scores 1 here, so that removing a false detection counts as a gain.",
)


def search(
    cases: Sequence[OutOfFold],
    space: LabelSpace,
    *,
    score: Scorer,
    steps: Sequence[str] | None = None,
    deadline: Deadline | None = None,
) -> Postprocess:
    """Choose thresholds, then steps, structure by structure.

    Scores and references are read once a round, one case at a time.

    Args:
        cases: Out-of-fold predictions.
        space: Meaning of the labels.
        score: For masks `(z, y, x)`; usually the metric `dice`.
        steps: Rows of the steps table to try; all by default.
        deadline: When no further round may begin; what was found until then is kept.

    Raises:
        UsageError: No cases, or no structures.
    """
    if not cases or not space.structures:
        raise UsageError("There is nothing to search on.", expected="cases with scores, and structures")
    names = list(STEPS) if steps is None else list(steps)
    facts = gather_facts(cases, space)
    chain, candidates = Chain(), list[Candidate]()
    before: NDArray[np.float64] | None = None
    deadline, cut = deadline or Deadline(), False
    for targets in _opening(space, facts, names):
        cut = cut or not deadline.admits()
        if cut:
            break
        chain, found, base, _ = _round(cases, space, chain, targets, score)
        before = base if before is None else before
        candidates += found
    live = set(space.names)
    for _ in range(ROUNDS):
        targets = [t for t in _step_targets(space, facts, names, chain) if t.structures[0] in live]
        cut = cut or (bool(targets) and not deadline.admits())
        if cut or not targets:
            break
        chain, found, _, live = _round(cases, space, chain, targets, score)
        candidates += found
    before = run_trials(cases, space, chain, [], score).base if before is None else before
    after = before if chain == Chain() else run_trials(cases, space, chain, [], score).base
    folds = len({case.fold for case in cases})
    return Postprocess(
        chain=chain,
        candidates=tuple(candidates),
        before=_means(space, before),
        after=_means(space, after),
        notes=(
            f"Searched on {amount(len(cases), 'out-of-fold case')} of {amount(folds, 'fold')}.",
            *([CUT] if cut else []),
            *NOTES,
        ),
    )


def _means(space: LabelSpace, values: NDArray[np.float64] | None) -> dict[str, float]:
    """Mean over cases of each structure, from values `(structures, cases)`."""
    return {} if values is None else dict(zip(space.names, values.mean(axis=1).tolist(), strict=True))


def gather_facts(cases: Sequence[OutOfFold], space: LabelSpace) -> dict[str, StructureFacts]:
    """Median volumes of each structure over the references, with which steps size their parameters."""
    voxels: dict[str, list[int]] = {name: [] for name in space.names}
    volumes: dict[str, list[float]] = {name: [] for name in space.names}
    sizes = [case.geometry.voxel_volume for case in cases]
    for case, size in zip(cases, sizes, strict=True):
        labels = case.reference()
        for index, name in enumerate(space.names):
            count = int(np.count_nonzero(space.mask(labels, index)))
            if count:
                voxels[name].append(count)
                volumes[name].append(count * (size or 0))
    known = None not in sizes
    extent = float(np.median([max(case.geometry.shape[1:]) for case in cases]))
    return {
        name: StructureFacts(
            voxels=float(np.median(voxels[name] or [0])),
            mm3=float(np.median(volumes[name])) if known and volumes[name] else None,
            extent=extent,
        )
        for name in space.names
    }


def _opening(space: LabelSpace, facts: dict[str, StructureFacts], names: Sequence[str]) -> Iterator[list[Target]]:
    """Rounds before the steps of single structures: thresholds, then steps on all structures together."""
    if space.exclusive:
        trials = tuple(Trial(foreground=cut) for cut in THRESHOLDS)
        yield [Target(space.names, trials)]
    else:
        yield [
            Target((name,), tuple(Trial(threshold=(name, cut)) for cut in _cuts(facts[name]))) for name in space.names
        ]
    widest = next(iter(facts.values()))
    for name in names:
        step = load_step(name)
        if step.scope == "union":
            yield [Target(space.names, tuple(Trial(step=ChainStep(name=name, params=p)) for p in step.options(widest)))]


def _cuts(facts: StructureFacts) -> tuple[float, ...]:
    rare = facts.voxels < RARE * facts.extent**2
    return tuple(cut for cut in ((*LOW_THRESHOLDS, *THRESHOLDS) if rare else THRESHOLDS) if cut != 0.5)


def _step_targets(
    space: LabelSpace, facts: dict[str, StructureFacts], names: Sequence[str], chain: Chain
) -> list[Target]:
    """For each structure the steps that are not in the chain yet."""
    targets = []
    for structure in space.names:
        used = {step.name for step in chain.steps if structure in step.structures}
        trials = [
            Trial(step=ChainStep(name=name, structures=(structure,), params=params))
            for name in names
            if name not in used and load_step(name).scope == "structure"
            for params in load_step(name).options(facts[structure])
        ]
        if trials:
            targets.append(Target((structure,), tuple(trials)))
    return targets


def _round(
    cases: Sequence[OutOfFold], space: LabelSpace, chain: Chain, targets: Sequence[Target], score: Scorer
) -> tuple[Chain, list[Candidate], NDArray[np.float64], set[str]]:
    """Try every option on every case, decide for each target, and extend the chain."""
    values = run_trials(cases, space, chain, [(t.structures, t.trials) for t in targets], score)
    candidates: list[Candidate] = []
    changed: set[str] = set()
    for target, gains in zip(targets, values.gains, strict=True):
        found, kept = _decide(target, gains, cases)
        candidates += found
        if kept is not None:
            chain = kept.extend(chain)
            changed |= set(target.structures)
    return chain, candidates, values.base, changed


def _decide(
    target: Target, gains: NDArray[np.float64], cases: Sequence[OutOfFold]
) -> tuple[list[Candidate], Trial | None]:
    """Candidates of one target with reasons, and the option to keep."""
    groups = [case.group for case in cases]
    best = choose(gains, groups)
    nested = nested_gain(gains, groups, [case.fold for case in cases])
    whom = target.structures[0] if len(target.structures) == 1 else "all"
    rows = []
    kept: Trial | None = None
    for index, trial in enumerate(target.trials):
        gain = measure(gains[index], groups)
        reason, accepted = gain.verdict or "another option gains more", False
        if index == best:
            reason, accepted = _judge_nested(gain.mean, nested)
            kept = trial if accepted else None
        rows.append(
            Candidate(
                structure=whom,
                change=str(trial),
                gain=gain.mean,
                error=gain.error if np.isfinite(gain.error) else None,
                changed=gain.changed,
                improved=gain.improved,
                nested=nested if index == best else None,
                accepted=accepted,
                reason=reason,
            )
        )
    return rows, kept


def _judge_nested(gain: float, nested: float | None) -> tuple[str, bool]:
    if nested is None:
        return "accepted; one fold only, so the gain could not be confirmed on cases left out", True
    if not remains(gain, nested):
        return f"only {nested:+.4f} of {gain:+.4f} remains on folds left out", False
    return f"accepted; {nested:+.4f} remains on folds left out", True
