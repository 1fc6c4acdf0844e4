"""Does with one case what a fit does with every validation case, to learn how long that takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Dataset
from segwright.core.events import silent
from segwright.core.geometry import Geometry
from segwright.core.inspection import CaseFacts
from segwright.core.plan import Plan
from segwright.core.volume import Volume
from segwright.evaluation.score import Judge, LabelPair
from segwright.evaluation.second_look import Judged, doubts
from segwright.io.load import load_image, load_label
from segwright.metrics.calibration import ScoredVoxels, calibration
from segwright.postprocess.chain import apply_to_scores
from segwright.report.content import WorstCase
from segwright.report.pictures import picture

if TYPE_CHECKING:
    from torch import Tensor

#: A first pass below these seconds is done again, for it loads libraries that further cases find loaded.
SHORT = 5.0
#: Scores (of 255) of the stand-in for a prediction: inside and outside of structures.
INSIDE, OUTSIDE = 210, 25


@dataclass(frozen=True)
class Rehearsal:
    """Seconds that a case takes beside the network, by the clock.

    Attributes:
        predict: Reading, preparing, blending, restoring.
        search: Trying post-processing.
        judge: Scores, second looks, calibration.
        draw: A picture of it.
    """

    predict: float
    search: float
    judge: float
    draw: float

    @property
    def whole(self) -> float:
        """All together."""
        return self.predict + self.search + self.judge + self.draw

    def times(self, factor: float) -> Rehearsal:
        """The same for a case so many times as large."""
        return Rehearsal(*(factor * value for value in (self.predict, self.search, self.judge, self.draw)))


@dataclass(frozen=True)
class StandIn:
    """A labelled case with scores as a fair network would give them: its reference, a little displaced."""

    case: str
    group: str
    fold: int | None
    geometry: Geometry
    kept: NDArray[np.uint8]
    labels: NDArray[Any]
    orientation: str | None = None  # its scores are made where it lies

    def scores(self) -> NDArray[np.uint8]:
        """`(K, z, y, x)`, 255 is 1."""
        return self.kept

    def reference(self) -> NDArray[Any]:
        """Canonical labels `(P, z, y, x)`."""
        return self.labels


def rehearse(dataset: Dataset, plan: Plan, facts: tuple[CaseFacts, ...]) -> Rehearsal:
    """Seconds of a case of mean size, measured on the labelled case of median size.

    Costs as much as one validation case without its network, or two where that is quick.
    """
    labelled = {case.id for case in dataset.labelled}
    sizes = sorted((float(np.prod(fact.shape)), fact.case) for fact in facts if fact.case in labelled)
    voxels, name = sizes[len(sizes) // 2]
    found = _rehearsed(dataset, plan, name)
    if found.whole < SHORT:
        found = _rehearsed(dataset, plan, name)
    return found.times(float(np.mean([size for size, _ in sizes])) / voxels)


def _rehearsed(dataset: Dataset, plan: Plan, name: str) -> Rehearsal:
    case = dataset.case(name)
    predict, volume = _timed(lambda: _predicted(dataset, plan, name))
    labels = load_label(dataset, case, volume.geometry)
    stand = StandIn(name, case.group or name, 0, volume.geometry, _scores(plan, labels), labels)
    search, _ = _timed(lambda: _searched(stand, plan)) if plan.postprocess else (0.0, None)
    judge, prediction = _timed(lambda: _judged(stand, plan))
    draw, _ = _timed(lambda: picture(_worst(stand, volume, prediction), plan.labels))
    return Rehearsal(predict, search, judge, draw)


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def _predicted(dataset: Dataset, plan: Plan, name: str) -> Volume:
    """The whole way of a scan, with even scores in place of a network's."""
    from segwright.prediction.window import segment_prepared
    from segwright.prepare.pipeline import prepare_image
    from segwright.targets import build_target

    volume = load_image(dataset, dataset.case(name))
    target = build_target(plan.target, plan.labels)
    side = plan.net.context

    def forward(windows: Tensor) -> Tensor:
        z, y, x = (n - 2 * s for n, s in zip(windows.shape[2:], side, strict=True))
        return windows.new_full((len(windows), plan.net.out_channels, z, y, x), 1 / plan.net.out_channels)

    keep = (lambda scores: scores) if plan.labels.instances else target.structure_scores
    prepared = prepare_image(volume, plan.prepare)
    segment_prepared(prepared, forward, plan=plan, decode=target.decode, keep=keep)
    return volume


def _scores(plan: Plan, labels: NDArray[Any]) -> NDArray[np.uint8]:
    """What a network would give for these labels: sure, and off by a voxel."""
    space = plan.labels
    if space.instances:
        return _channels(plan, np.roll(labels, 1, axis=-1))
    masks = (space.mask(np.roll(labels, 1, axis=-1), index) for index in range(len(space.structures)))
    return np.stack([np.where(mask, INSIDE, OUTSIDE).astype(np.uint8) for mask in masks])


def _channels(plan: Plan, labels: NDArray[Any]) -> NDArray[np.uint8]:
    """All channels of a target that numbers objects."""
    import torch

    from segwright.targets import build_target

    target = build_target(plan.target, plan.labels)
    encoded, _ = target.encode(torch.from_numpy(np.ascontiguousarray(labels)[None]))
    return (encoded[0].float().clamp(0, 1) * 255).to(torch.uint8).numpy()


def _searched(stand: StandIn, plan: Plan) -> None:
    from segwright.api.finalize import dice
    from segwright.api.instances import choose_decoder
    from segwright.postprocess.search import search

    if plan.labels.instances:
        choose_decoder([stand], plan, listen=silent)
    else:
        search([stand], plan.labels, score=dice)


def _judged(stand: StandIn, plan: Plan) -> NDArray[Any]:
    """Everything that a report says of a case; returns its labels after post-processing."""
    from segwright.prediction.objects import usual_chain

    space, chain = plan.labels, usual_chain(plan.target)
    prediction = apply_to_scores(chain, stand.kept, space, geometry=stand.geometry)
    pair = LabelPair(stand.case, stand.group, stand.geometry.spacing, stand.labels, prediction, stand.fold)
    Judge(space, tolerance=plan.tolerance).score(pair)
    list(doubts(Judged(stand.case, stand.labels, prediction, stand.kept), space, usual={}, known={}))
    calibration(_voxels(stand, len(space.structures)), space)
    return prediction


def _voxels(stand: StandIn, structures: int) -> Iterator[ScoredVoxels]:
    yield ScoredVoxels(stand.case, stand.kept[:structures], stand.labels)


def _worst(stand: StandIn, volume: Volume, prediction: NDArray[Any]) -> WorstCase:
    return WorstCase(
        case=stand.case,
        group=stand.group,
        fold=stand.fold,
        scores={},
        image=volume.array()[0],
        reference=stand.labels,
        prediction=prediction,
        spacing=stand.geometry.spacing,
        orientation=stand.geometry.orientation if all(stand.geometry.known) else "",
    )
