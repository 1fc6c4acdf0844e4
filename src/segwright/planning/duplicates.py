"""Finds scans that are in a dataset more than once, also compressed again or mirrored, and keeps them in one fold."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segwright.core.inspection import CaseFacts, Finding

#: What happens to scans that are found twice.
TOGETHER = "They are kept in one fold"


def gathered(facts: Sequence[CaseFacts], labels: Mapping[str, str]) -> tuple[list[CaseFacts], list[Finding]]:
    """The facts with one group for all scans of the same picture, and what was found.

    Args:
        facts: Of all cases that could be read.
        labels: Hash of each label.
    """
    equal = _equal(facts)
    near = [pair for pair in twins(facts) if pair not in {(a.case, b.case) for a, b in equal}]
    findings = [_of_equal(first, again, labels) for first, again in equal]
    findings += list(_of_near(near, {fact.case: fact for fact in facts}))
    return _joined(facts, [*((a.case, b.case) for a, b in equal), *near]), findings


def _equal(facts: Sequence[CaseFacts]) -> list[tuple[CaseFacts, CaseFacts]]:
    """Each image that equals an earlier one voxel by voxel, after the first such; constant ones are told elsewhere."""
    first: dict[str, CaseFacts] = {}
    pairs = [(first.setdefault(fact.digest, fact), fact) for fact in facts if not _constant(fact)]
    return [(one, again) for one, again in pairs if one is not again]


def _constant(fact: CaseFacts) -> bool:
    return all(row[0] == row[4] for row in fact.percentiles)


def _of_equal(first: CaseFacts, again: CaseFacts, labels: Mapping[str, str]) -> Finding:
    what = f"The image equals that of case {first.case!r} voxel by voxel"
    one, other = labels.get(again.case), labels.get(first.case)
    if one and other and one != other:
        hint = "Keep one of the two: find out which label is right."
        return Finding(
            level="error", code="duplicate-labels", what=f"{what}, but the labels differ.", where=again.case, hint=hint
        )
    hint = f"{TOGETHER}; better remove one of the two."
    return Finding(level="warning", code="duplicate", what=f"{what}.", where=again.case, hint=hint)


def _of_near(pairs: Sequence[tuple[str, str]], facts: Mapping[str, CaseFacts]) -> Iterator[Finding]:
    """One finding a case that shows what an earlier one shows."""
    seen: set[str] = set()
    for first, again in pairs:
        if again in seen:
            continue
        seen.add(again)
        other = "" if facts[first].group == facts[again].group else ", of another group"
        what = f"The image seems to be that of case {first!r} once more{other} (compressed, resized, mirrored)."
        hint = f"{TOGETHER}; look at both, and remove one if they are the same scan."
        yield Finding(level="warning", code="near-duplicate", what=what, where=again, hint=hint)


def _joined(facts: Sequence[CaseFacts], pairs: Sequence[tuple[str, str]]) -> list[CaseFacts]:
    """Groups of paired cases become one, named as the first of them."""
    leader = {fact.group: fact.group for fact in facts}
    group = {fact.case: fact.group for fact in facts}

    def root(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for first, again in pairs:
        leader[root(group[again])] = root(group[first])
    return [
        fact if root(fact.group) == fact.group else fact.model_copy(update={"group": root(fact.group)})
        for fact in facts
    ]


#: Edge of a sketch: of single planes in pixels, of volumes in voxels.
PLANE, VOLUME = 48, 16
#: Structures between these sizes (deviations of Gaussians, in pixels of a sketch) are compared: finer and coarser ones.
BANDS = ((0.75, 1.5), (0.75, 2.25))
#: Correlation of each band from which two scans are taken for one. Of 2 to 200 scans of nine sets none of another
#: scan's reached 0.84 and 0.89; copies with much noise, from JPEG at quality 30 or at half the size had 0.90 and more.
ALIKE = (0.87, 0.91)
#: And twins differ by this share at most of what is usual in their set, where all scans may look much alike; in a set
#: of three or fewer, what is usual is taken to be a correlation of 0.8.
STANDS_OUT, USUAL = 0.25, 0.8
_ROWS = 512
_WORLD = {"S": 0, "I": 0, "A": 1, "P": 1, "R": 2, "L": 2}

Floats = NDArray[np.float32]


def sketch(image: NDArray[np.generic], orientation: str) -> str:
    """A small copy of a scan's first channel, as text: means over blocks, 0 to 255 between their percentiles 1 and 99.

    So it is indifferent to brightness and contrast. Axes of a volume come in one order, in any direction. Empty for
    scans of fewer voxels than a sketch, which show too little to be told apart. Costs one pass over the channel.

    Args:
        image: `(C, z, y, x)`, finite.
        orientation: Axis codes of `(z, y, x)`.

    Example:
        >>> len(base64.b64decode(sketch(np.zeros((1, 1, 90, 60)), "SPL"))) == PLANE**2
        True
    """
    scan = image[0]
    flat = scan.shape[0] == 1
    edge = PLANE if flat else VOLUME
    if scan.size < edge ** (2 if flat else 3):
        return ""
    rows, columns = _blocks(scan.shape[1], edge), _blocks(scan.shape[2], edge).T
    planes = np.stack([rows @ plane.astype(np.float32) @ columns for plane in scan])
    small = planes if flat else np.tensordot(_blocks(len(scan), edge), planes, axes=1)
    if not flat:
        small = small.transpose(np.argsort([_WORLD[letter] for letter in orientation]))
    low, high = np.percentile(small, (1, 99))
    grey = ((small - low) / max(high - low, 1e-9)).clip(0, 1) * 255
    return base64.b64encode(grey.round().astype(np.uint8).tobytes()).decode()


def _blocks(length: int, count: int) -> Floats:
    """Weights `(count, length)` that average over `count` equal stretches, sharing what lies on their borders."""
    edges, start = np.linspace(0, length, count + 1), np.arange(length)
    inside = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    inside = inside.clip(min=0)
    return np.asarray(inside / inside.sum(axis=1, keepdims=True), dtype=np.float32)


def twins(facts: Sequence[CaseFacts]) -> list[tuple[str, str]]:
    """Pairs of cases that show the same picture, in the order of `facts`.

    Compares every two scans in every mirroring; of a thousand films that takes seconds.
    """
    found = []
    for edge, axes in ((PLANE, (1, 2)), (VOLUME, (0, 1, 2))):
        some = [(fact.case, grey) for fact in facts if (grey := _grey(fact.sketch, edge, axes)) is not None]
        if len(some) > 1:
            alike = _alike(np.stack([grey for _, grey in some]), axes)
            found += [(some[a][0], some[b][0]) for a, b in np.argwhere(np.triu(alike, 1)).tolist()]
    return found


def _grey(text: str, edge: int, axes: tuple[int, ...]) -> Floats | None:
    """A sketch of that kind, unless it is another's or of a constant image."""
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    if data.size != edge ** len(axes) or data.min() == data.max():
        return None
    return data.reshape((1,) * (3 - len(axes)) + (edge,) * len(axes)).astype(np.float32)


def _alike(sketches: Floats, axes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of the sketches `(N, z, y, x)` show the same."""
    same = np.ones((len(sketches), len(sketches)), dtype=bool)
    for (fine, coarse), least in zip(BANDS, ALIKE, strict=True):
        parts = np.stack([_band(one, fine, coarse, axes) for one in sketches])
        likeness = _likeness(parts, axes)
        np.fill_diagonal(likeness, np.nan)
        usual = np.nanmedian(likeness, axis=1) if len(sketches) > 3 else np.full(len(sketches), USUAL)
        usual = np.maximum(usual[:, None], usual[None])
        same &= (likeness >= least) & (1 - likeness <= STANDS_OUT * (1 - usual))
    return same


def _band(grey: Floats, fine: float, coarse: float, axes: tuple[int, ...]) -> Floats:
    """What lies between two sizes, with mean 0 and length 1."""
    part = gaussian_filter(grey, fine, axes=axes) - gaussian_filter(grey, coarse, axes=axes)
    part -= part.mean()
    return np.asarray(part / max(float(np.linalg.norm(part)), 1e-9), dtype=np.float32)


def _likeness(parts: Floats, axes: tuple[int, ...]) -> Floats:
    """Largest correlation `(N, N)` over all mirrorings, whether or not one is the other's negative."""
    flat = parts.reshape(len(parts), -1)
    best = np.zeros((len(parts), len(parts)), np.float32)
    for flip in _subsets(axes):
        other = np.flip(parts, tuple(axis + 1 for axis in flip)).reshape(len(parts), -1)
        for start in range(0, len(flat), _ROWS):
            rows = slice(start, start + _ROWS)
            np.maximum(best[rows], np.abs(flat[rows] @ other.T), out=best[rows])
    return best


def _subsets(axes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1))
