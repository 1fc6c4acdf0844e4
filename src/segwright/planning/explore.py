"""Gathers an exploration while the integrity check reads each case: no second pass, and little kept a case."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Dataset
from segwright.core.inspection import CaseFacts, Inspection
from segwright.core.labels import LabelSpace
from segwright.core.words import amount
from segwright.planning.exploration import (
    UNUSUAL,
    CaseView,
    ChannelView,
    Exploration,
    OverlapView,
    Spread,
    StructureView,
    oddities,
)

#: Voxels over which intensities are taken; larger images are thinned, structures that become too few are not.
_ENOUGH, _FEW = 2_000_000, 50
#: Longest side of a thumbnail in pixels.
THUMB = 224


@dataclass(frozen=True)
class Thumb:
    """A small picture of one case: the slice with most of the labels.

    Attributes:
        case: Case id.
        image: uint8 `(y, x)` after windowing to the percentiles 0.5 and 99.5.
        packed: Canonical labels of the same pixels, compressed; `labels` gives them back.
        planes: Planes of the label array; 0 if unlabelled.
        index, slices: Which slice of how many, from 0.
        spacing: mm a pixel of the stored slice, `(y, x)`.
        stride: Stored pixels a pixel of the thumbnail.
        orientation: Axis codes `(z, y, x)`.
    """

    case: str
    image: NDArray[np.uint8]
    packed: bytes
    planes: int
    index: int
    slices: int
    spacing: tuple[float | None, float | None]
    stride: int
    orientation: str

    @property
    def labels(self) -> NDArray[np.int16] | None:
        """Canonical labels `(P, y, x)`, `None` if unlabelled."""
        if not self.planes:
            return None
        flat = np.frombuffer(zlib.decompress(self.packed), dtype=np.int16)
        return flat.reshape(self.planes, *self.image.shape)


@dataclass(frozen=True)
class _Seen:
    """What is kept of one case besides its facts."""

    means: dict[str, tuple[float, ...]]
    edges: tuple[str, ...]
    shared: dict[tuple[str, str], int]


class Explorer:
    """Looks at each case as it is read; afterwards `exploration` puts everything together.

    Args:
        dataset: The cases and what their labels mean.
        thumbs: Whether to keep a small picture of each case.

    Example:
        explorer = Explorer(dataset)
        inspection = planning.check.inspect(dataset, look=explorer.look)
        found = explorer.exploration(inspection)
    """

    def __init__(self, dataset: Dataset, *, thumbs: bool = False) -> None:
        self.dataset = dataset
        self.keep_thumbs = thumbs
        self.thumbs: dict[str, Thumb] = {}
        self._seen: dict[str, _Seen] = {}

    def look(self, facts: CaseFacts, image: NDArray[Any], label: NDArray[Any] | None) -> None:
        """Note what one case shows.

        Args:
            facts: Of this case.
            image: `(C, z, y, x)`, finite.
            label: Canonical labels `(P, z, y, x)` on the same grid, `None` if there are none.
        """
        space = self.dataset.labels
        if label is not None:
            self._seen[facts.case] = _Seen(
                _means(facts, image, label, space), _at_edge(label, space), _shared(label, space)
            )
        if self.keep_thumbs:
            self.thumbs[facts.case] = thumb(facts, image, label)

    def exploration(self, inspection: Inspection) -> Exploration:
        """All that was seen, with the facts of the integrity check."""
        facts, space = inspection.facts, self.dataset.labels
        labelled = [fact for fact in facts if fact.volumes]
        dims = 2 if facts and all(fact.shape[0] == 1 for fact in facts) else 3
        unit, sizes = _sizes(labelled, dims)
        views = self._structures(labelled, unit, sizes)
        groups = Counter(fact.group for fact in facts)
        return Exploration(
            root=self.dataset.root,
            dims=dims,
            modality=self.dataset.modality,
            cases=len(facts),
            labelled=len(labelled),
            groups=len(groups),
            group_sizes=dict(sorted(Counter(groups.values()).items())),
            overlapping=not space.exclusive,
            size_unit=unit,
            shape=_along(facts, lambda fact, axis: float(fact.shape[axis])),
            spacing=_along(facts, lambda fact, axis: fact.spacing[axis]),
            channels=_channels(self.dataset, facts),
            structures=views,
            overlaps=self._overlaps(labelled),
            rows=self._rows(facts, sizes),
            notes=_notes(facts, labelled, self._seen),
        )

    def _structures(
        self, labelled: Sequence[CaseFacts], unit: str, sizes: Mapping[str, Mapping[str, float]]
    ) -> tuple[StructureView, ...]:
        space, views = self.dataset.labels, []
        for index, name in enumerate(space.names):
            having = [fact for fact in labelled if fact.volumes.get(name, 0) > 0]
            means = [seen.means[name] for fact in having if name in (seen := self._seen_of(fact)).means]
            size = [sizes[fact.case][name] for fact in having]
            views.append(
                StructureView(
                    name=name,
                    colour=space.colour(index),
                    cases=len(having),
                    share=Spread.of(fact.volumes[name] / float(np.prod(fact.shape)) for fact in having),
                    size=Spread.of(size),
                    diameter=Spread.of(_diameter(one, unit) for one in size) if unit.startswith("mm") else None,
                    intensity=tuple(Spread.of(channel) for channel in zip(*means, strict=True)),
                    at_edge=sum(name in self._seen_of(fact).edges for fact in having),
                )
            )
        return tuple(views)

    def _seen_of(self, fact: CaseFacts) -> _Seen:
        return self._seen.get(fact.case) or _Seen({}, (), {})

    def _overlaps(self, labelled: Sequence[CaseFacts]) -> tuple[OverlapView, ...]:
        found: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for fact in labelled:
            for (first, second), shared in self._seen_of(fact).shared.items():
                smaller = min(fact.volumes[first], fact.volumes[second])
                found.setdefault((first, second), []).append((shared, shared / max(smaller, 1)))
        views = []
        for (first, second), rows in found.items():
            part = Spread.of(share for _, share in rows)
            assert part is not None
            total = sum(shared for shared, _ in rows)
            views.append(OverlapView(first=first, second=second, cases=len(rows), voxels=total, of_smaller=part))
        return tuple(sorted(views, key=lambda view: -view.of_smaller.median))

    def _rows(self, facts: Sequence[CaseFacts], sizes: Mapping[str, Mapping[str, float]]) -> tuple[CaseView, ...]:
        odd = oddities(facts, sizes)
        rows = [
            CaseView(
                case=fact.case,
                group=fact.group,
                labelled=bool(fact.volumes),
                shape=fact.shape,
                spacing=fact.spacing,
                sizes=dict(sizes.get(fact.case, {})),
                shares={name: count / float(np.prod(fact.shape)) for name, count in fact.volumes.items()},
                means=self._seen_of(fact).means,
                image=tuple((row[1], row[2], row[3]) for row in fact.percentiles),
                outlier=max((deviation for deviation, _ in odd[fact.case]), default=0.0),
                why=tuple(words for deviation, words in odd[fact.case] if deviation > UNUSUAL)[:4],
            )
            for fact in facts
        ]
        return tuple(sorted(rows, key=lambda row: (-row.outlier, row.case)))


def _sizes(labelled: Sequence[CaseFacts], dims: int) -> tuple[str, dict[str, dict[str, float]]]:
    """One unit for all cases, and each structure's size in it: mm³ or mm² where all spacings are known."""
    axes = (1, 2) if dims == 2 else (0, 1, 2)
    known = bool(labelled) and all(fact.spacing[axis] is not None for fact in labelled for axis in axes)
    unit = {2: ("pixels", "mm²"), 3: ("voxels", "mm³")}[dims][known]
    sizes = {}
    for fact in labelled:
        voxel = float(np.prod([fact.spacing[axis] or 1.0 for axis in axes])) if known else 1.0
        sizes[fact.case] = {name: count * voxel for name, count in fact.volumes.items()}
    return unit, sizes


def _diameter(size: float, unit: str) -> float:
    """mm of the disc or ball of that size.

    Example:
        >>> round(_diameter(78.54, "mm²"), 2), round(_diameter(523.6, "mm³"), 2)
        (10.0, 10.0)
    """
    return float(2 * np.sqrt(size / np.pi)) if unit == "mm²" else float(np.cbrt(6 * size / np.pi))


def _along(facts: Sequence[CaseFacts], pick: Any) -> tuple[Spread | None, Spread | None, Spread | None]:
    z, y, x = (Spread.of(v for fact in facts if (v := pick(fact, axis)) is not None) for axis in range(3))
    return z, y, x


def _channels(dataset: Dataset, facts: Sequence[CaseFacts]) -> tuple[ChannelView, ...]:
    views = []
    for index, name in enumerate(dataset.channels):
        rows = [fact.percentiles[index] for fact in facts if len(fact.percentiles) > index]
        low, median, high = (Spread.of(row[part] for row in rows) for part in (1, 2, 3))
        if low is not None and median is not None and high is not None:
            views.append(ChannelView(name=name, low=low, median=median, high=high))
    return tuple(views)


def _notes(facts: Sequence[CaseFacts], labelled: Sequence[CaseFacts], seen: Mapping[str, _Seen]) -> tuple[str, ...]:
    notes = []
    blind = [fact.case for fact in labelled if fact.case not in seen]
    if blind:
        what = "intensities inside structures and overlaps were not measured, as they were not read whole"
        notes.append(f"{len(blind)} of {amount(len(labelled), 'labelled case')}: {what}.")
    unknown = sum(None in fact.spacing[1:] for fact in labelled)
    if 0 < unknown < len(labelled):
        notes.append(
            f"No spacing in {unknown} of {amount(len(labelled), 'labelled case')}: sizes are counted in voxels."
        )
    return tuple(notes)


def _means(
    facts: CaseFacts, image: NDArray[Any], label: NDArray[Any], space: LabelSpace
) -> dict[str, tuple[float, ...]]:
    """Mean of each channel inside each structure, over thinned voxels where there are very many."""
    flat, marks = image.reshape(len(image), -1), label.reshape(len(label), -1)
    step = flat.shape[1] // _ENOUGH
    step = step | 1 if step > 1 else 1
    means = {}
    for index, name in enumerate(space.names):
        count = facts.volumes.get(name, 0)
        if count:
            every = 1 if count < _FEW * step else step
            row = space.mask(marks[:, ::every], index)
            if row.any():
                means[name] = tuple(float(channel[::every][row].mean(dtype=np.float64)) for channel in flat)
    return means


def _at_edge(label: NDArray[Any], space: LabelSpace) -> tuple[str, ...]:
    """Structures that reach the first or last row or column of a plane."""
    lines = [label[..., 0, :], label[..., -1, :], label[..., :, 0], label[..., :, -1]]
    edge = np.concatenate([line.reshape(len(label), -1) for line in lines], axis=1)
    if space.exclusive and not space.instances:
        present = set(np.unique(edge).tolist())
        return tuple(name for index, name in enumerate(space.names) if index + 1 in present)
    return tuple(name for index, name in enumerate(space.names) if space.mask(edge, index).any())


def _shared(label: NDArray[Any], space: LabelSpace) -> dict[tuple[str, str], int]:
    """Voxels that two structures share, for pairs that share any; plane by plane, so that little memory is used."""
    if space.exclusive:
        return {}
    total = np.zeros((len(label), len(label)))
    for plane in range(label.shape[1]):
        inside = (label[:, plane] == 1).reshape(len(label), -1)
        several = inside[:, inside.sum(axis=0, dtype=np.uint16) > 1].astype(np.float32)
        total += several @ several.T
    pairs = combinations(range(len(label)), 2)
    return {(space.names[a], space.names[b]): int(total[a, b]) for a, b in pairs if total[a, b] > 0}


def thumb(facts: CaseFacts, image: NDArray[Any], label: NDArray[Any] | None) -> Thumb:
    """A small picture of the slice with most labelled voxels, or of the middle one; see `Thumb`."""
    index = image.shape[1] // 2
    if label is not None and label.shape[1] > 1:
        filled = np.array([np.count_nonzero(label[:, z] > 0) for z in range(label.shape[1])])
        index = int(filled.argmax()) if filled.any() else index
    stride = -(-max(image.shape[2:]) // THUMB)
    low, high = facts.percentiles[0][1], facts.percentiles[0][3]
    plane = _block_means(image[0, index].astype(np.float32), stride)
    grey = np.clip((plane - low) / max(high - low, 1e-9), 0, 1)
    packed = b""
    if label is not None:
        some = label[:, index, stride // 2 :: stride, stride // 2 :: stride]
        small = np.minimum(some.astype(np.int64), np.iinfo(np.int16).max).astype(
            np.int16
        )  # of many objects it is enough to be one
        fitted = np.zeros((len(label), *grey.shape), np.int16)  # the last block may lack its middle
        rows, columns = min(small.shape[1], grey.shape[0]), min(small.shape[2], grey.shape[1])
        fitted[:, :rows, :columns] = small[:, :rows, :columns]
        packed = zlib.compress(fitted.tobytes(), 1)
    return Thumb(
        case=facts.case,
        image=(grey * 255).round().astype(np.uint8),
        packed=packed,
        planes=0 if label is None else len(label),
        index=index,
        slices=image.shape[1],
        spacing=(facts.spacing[1], facts.spacing[2]),
        stride=stride,
        orientation=facts.orientation,
    )


def _block_means(plane: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Means over blocks of `stride` x `stride` pixels; the edge is repeated to fill the last ones."""
    if stride == 1:
        return plane
    padded = np.pad(plane, [(0, -size % stride) for size in plane.shape], mode="edge")
    rows, columns = padded.shape[0] // stride, padded.shape[1] // stride
    means: NDArray[np.float32] = padded.reshape(rows, stride, columns, stride).mean(axis=(1, 3))
    return means
