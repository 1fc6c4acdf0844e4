"""Whether scores mean what they say: of all voxels scored 0.8 for a structure, do 80 % belong to it?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from segwright.core.document import Document, Part
from segwright.core.labels import LabelSpace

#: Bins over 0 to 1, and score levels (of 255) a bin.
BINS, LEVELS = 16, 16
#: Levels below this are left out of the error: nearly all of an image is surely background and would hide the rest.
FLOOR = 3


class StructureCalibration(Part):
    """Counts of one structure over out-of-fold voxels.

    Attributes:
        voxels: Voxels whose score falls in each of the bins, those below the floor left out.
        inside: How many of them belong to the structure.
        score: Sum of their scores.
        below: Voxels scored below the floor.
        missed: How many of those belong to the structure all the same.
        error: Expected calibration error: mean over voxels of the distance between score and share inside, by bin;
            `None` if no voxel was scored above the floor (Naeini et al., AAAI 2015).
    """

    structure: str
    voxels: tuple[int, ...]
    inside: tuple[int, ...]
    score: tuple[float, ...]
    below: int
    missed: int
    error: float | None


class Calibration(Document):
    """Reliability of out-of-fold scores, by structure.

    Attributes:
        cases: Cases that were counted.
        floor: Scores below this are left out of bins and errors.
        structures: In the order of the label space.
        notes: What was left out, and why.
    """

    filename: ClassVar[str] = "calibration.json"
    cases: int
    floor: float = FLOOR / 255
    structures: tuple[StructureCalibration, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoredVoxels:
    """Scores and reference of one case: uint8 `(K, z, y, x)`, 255 is 1, and canonical labels `(P, z, y, x)`."""

    case: str
    scores: NDArray[np.uint8]
    reference: NDArray[Any]


def calibration(cases: Iterable[ScoredVoxels], space: LabelSpace) -> Calibration:
    """Count scores against references, plane by plane; ignored voxels are left out.

    Args:
        cases: One at a time; a generator keeps one in memory.
        space: Meaning of the labels.
    """
    count = len(space.structures)
    everything = np.zeros((count, 256), dtype=np.int64)
    within = np.zeros((count, 256), dtype=np.int64)
    counted, notes = 0, []
    for case in cases:
        if case.scores.shape[0] != count or case.scores.shape[1:] != case.reference.shape[1:]:
            notes.append(f"{case.case}: scores of shape {case.scores.shape} are not one a structure; left out.")
            continue
        _count(case, space, everything, within)
        counted += 1
    structures = tuple(_structure(name, everything[i], within[i]) for i, name in enumerate(space.names))
    return Calibration(cases=counted, structures=structures, notes=tuple(notes))


def _count(case: ScoredVoxels, space: LabelSpace, everything: NDArray[np.int64], within: NDArray[np.int64]) -> None:
    for z in range(case.reference.shape[1]):
        plane = np.asarray(case.reference[:, z : z + 1])
        known = ~space.ignored(plane)[0]
        whole = bool(known.all())
        for index in range(len(everything)):
            scores = np.asarray(case.scores[index, z])
            inside = space.mask(plane, index)[0]
            everything[index] += np.bincount((scores if whole else scores[known]).ravel(), minlength=256)
            within[index] += np.bincount(scores[inside & known], minlength=256)


def _structure(name: str, everything: NDArray[np.int64], within: NDArray[np.int64]) -> StructureCalibration:
    kept, hit = everything.copy(), within.copy()
    kept[:FLOOR] = hit[:FLOOR] = 0
    voxels, inside = (counts.reshape(BINS, LEVELS).sum(axis=1) for counts in (kept, hit))
    score = (kept * np.arange(256) / 255).reshape(BINS, LEVELS).sum(axis=1)
    total = int(voxels.sum())
    return StructureCalibration(
        structure=name,
        voxels=tuple(map(int, voxels)),
        inside=tuple(map(int, inside)),
        score=tuple(float(round(value, 4)) for value in score),
        below=int(everything[:FLOOR].sum()),
        missed=int(within[:FLOOR].sum()),
        error=float(np.abs(score - inside).sum() / total) if total else None,
    )
