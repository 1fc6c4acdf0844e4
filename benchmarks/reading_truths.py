"""Truths to be written and read back: random cases with structures of which every voxel is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NAMES = ("heart", "lung", "liver", "spleen", "aorta", "kidney", "nodule")
#: Numbers that people give to structures: small, scattered, grey levels, bits, as atlases number them.
SCHEMES = ((1, 2, 3, 4), (2, 3, 5, 9), (1, 4, 7, 11), (63, 126, 189, 252), (50, 100, 150, 200), (1, 2, 4, 8),
           (17, 53, 1001, 2035), (85, 170, 255, 40), (205, 420, 500, 550))  # fmt: skip
COLOURS = ((220, 20, 60), (70, 130, 180), (0, 200, 0), (255, 215, 0))
KINDS = ("mask", "classes", "ignore", "overlapping", "objects")


@dataclass
class Subject:
    """One case: image `(C, z, y, x)`, one mask `(z, y, x)` a structure, voxels that count nowhere, object numbers."""

    image: NDArray[np.uint8]
    masks: list[NDArray[np.bool_]]
    unsure: NDArray[np.bool_]
    ids: NDArray[np.int32]
    patient: str
    labelled: bool = True


@dataclass
class Truth:
    """What was drawn.

    Attributes:
        kind: One of `KINDS`.
        names, values: Of the structures, in order; `ignore` is the value of unsure voxels.
        subjects: By id.
        spacing: In mm `(z, y, x)`; 2-D cases have one section.
    """

    kind: str
    names: tuple[str, ...]
    values: tuple[int, ...]
    ignore: int | None
    subjects: dict[str, Subject]
    spacing: tuple[float, float, float]
    traits: set[str] = field(default_factory=set)

    @property
    def flat(self) -> bool:
        """Whether cases are pictures."""
        return next(iter(self.subjects.values())).image.shape[1] == 1

    @property
    def labelled(self) -> dict[str, Subject]:
        """The cases that have a label."""
        return {name: subject for name, subject in self.subjects.items() if subject.labelled}

    def numbers(self, subject: Subject) -> NDArray[np.int32]:
        """A map of values `(z, y, x)`; later structures lie on top."""
        if self.kind == "objects":
            return subject.ids
        out = np.zeros(subject.unsure.shape, np.int32)
        for mask, value in zip(subject.masks, self.values, strict=True):
            out[mask] = value
        if self.ignore is not None:
            out[subject.unsure] = self.ignore
        return out


def draw(rng: np.random.Generator, kind: str, *, flat: bool, channels: int = 1) -> Truth:
    """A truth of 4 to 6 cases on grids of about 40 by 48 voxels."""
    count = 1 if kind in ("mask", "objects") else int(rng.integers(2, 4))
    names = tuple(rng.permutation(NAMES)[:count].tolist())
    values = tuple(SCHEMES[int(rng.integers(len(SCHEMES)))][:count])
    values = (int(rng.choice([1, 255])),) if kind == "mask" else values
    ignore = None
    traits = {kind, "2-D" if flat else "3-D"}
    if kind == "ignore":
        values, ignore = tuple(range(1, count + 1)), int(rng.choice([255, 255, 254]))
    ids, patients = _ids(rng, traits)
    shape = (1 if flat else int(rng.integers(6, 9)), 40, 48)
    centres = [(10 + 10 * k + int(rng.integers(-2, 3)), 12 + 9 * k) for k in range(count)]
    subjects = {}
    for i, (name, patient) in enumerate(zip(ids, patients, strict=True)):
        size = shape if rng.random() < 0.7 else (shape[0], shape[1] + int(rng.integers(0, 9)), shape[2])
        subjects[name] = _subject(rng, kind, size, centres, channels, patient, absent=i > 1 and rng.random() < 0.2)
    if rng.random() < 0.25:
        subjects[ids[-1]].labelled = False
        traits.add("unlabelled case")
    spacing = (1.0, 1.0, 1.0) if flat else tuple(float(s) for s in rng.choice([0.5, 0.8, 1.0, 2.5], 3))
    return Truth(kind, names, values, ignore, subjects, spacing, traits)  # type: ignore[arg-type]


def _ids(rng: np.random.Generator, traits: set[str]) -> tuple[list[str], list[str]]:
    """Names of cases in the ways of hospitals and challenges, with the patient of each."""
    count = int(rng.integers(4, 7))
    way = int(rng.integers(6))
    start = int(rng.integers(1, 90))
    if way == 0:
        return [f"case_{start + i:03d}" for i in range(count)], [f"case_{start + i:03d}" for i in range(count)]
    if way == 1:
        traits.add("two scans a patient")
        return [f"P{start + i // 2:02d}_{i % 2 + 1}" for i in range(count)], [
            f"P{start + i // 2:02d}" for i in range(count)
        ]
    if way == 2:
        return [f"{start + i}" for i in range(count)], [f"{start + i}" for i in range(count)]
    if way == 3:
        traits.add("umlauts")
        return [f"Müller {start + i}" for i in range(count)], [f"Müller {start + i}" for i in range(count)]
    if way == 4:
        return [f"IMG-{start + i:04d}-{i + 1:05d}" for i in range(count)], [f"{i}" for i in range(count)]
    letters = ["".join(rng.choice(list("abcdefgh"), 5)) + str(i) for i in range(count)]
    return letters, letters


def _subject(
    rng: np.random.Generator, kind: str, shape: tuple[int, int, int], centres: list[tuple[int, int]],
    channels: int, patient: str, *, absent: bool,
) -> Subject:  # fmt: skip
    z, y, x = np.indices(shape)
    unsure = np.zeros(shape, bool)
    ids = np.zeros(shape, np.int32)
    masks: list[NDArray[np.bool_]] = []
    if kind == "objects":
        cells = [(r, c) for r in range(4) for c in range(5)]
        chosen = rng.permutation(len(cells))[: int(rng.integers(5, 13))]
        for number, at in enumerate(chosen, start=1):
            cy, cx = 5 + 10 * cells[at][0], 5 + 9 * cells[at][1]
            ids[(y - cy) ** 2 + (x - cx) ** 2 <= int(rng.integers(6, 12))] = number
        masks = [ids > 0]
    else:
        taken = np.zeros(shape, bool)
        for rank, (cy, cx) in enumerate(centres):
            ry, rx = int(rng.integers(5, 8)), int(rng.integers(6, 10))
            cy, cx = cy + int(rng.integers(-2, 3)), cx + int(rng.integers(-3, 4))
            mask = (abs(y - cy) < ry) & (abs(x - cx) < rx) & ((z > 0) | (shape[0] == 1))
            mask &= (abs(y - cy) < ry - 2) | (abs(x - cx) < rx - 2)
            mask &= np.bool_(not (absent and rank == len(centres) - 1 and len(centres) > 1))
            masks.append(mask if kind == "overlapping" else mask & ~taken)
            taken |= mask
        if kind == "ignore":
            grown = taken.copy()
            for axis in (1, 2):
                grown |= np.roll(taken, 1, axis) | np.roll(taken, -1, axis)
            unsure = grown & ~taken
    image = rng.integers(40, 70, (channels, *shape))
    for rank, mask in enumerate(masks):
        image = image + mask * (45 + 25 * rank)
    return Subject(image.astype(np.uint8), masks, unsure, ids, patient)
