"""How often each reference object meets each predicted object: the one table that all instance metrics are made of.

It is sparse, so its size grows with the objects and their contacts, never with the volume; tables of disjoint blocks
whose ids agree are summed, so a volume of any size is scored block by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import GeometryError, LabelError

Ids = NDArray[np.uint64]
Sizes = NDArray[np.int64]

#: Voxels compared at a time; what is held meanwhile is a few times as much.
BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class Contingency:
    """Voxels shared by each pair of ids; background is id 0 and kept.

    Attributes:
        pairs: uint64 `(N, 2)`: reference id and predicted id of each pair that meets, ascending.
        counts: int64 `(N,)`: voxels that bear both.

    Example:
        >>> reference, prediction = np.array([[[0, 1, 1, 2]]]), np.array([[[0, 0, 7, 7]]])
        >>> table = Contingency.from_arrays(reference, prediction)
        >>> table.pairs.tolist(), table.counts.tolist()
        ([[0, 0], [1, 0], [1, 7], [2, 7]], [1, 1, 1, 1])
        >>> table.reference_ids.tolist(), table.reference_sizes.tolist()
        ([1, 2], [2, 1])
        >>> (table + table).counts.tolist()
        [2, 2, 2, 2]
    """

    pairs: NDArray[np.uint64]
    counts: Sizes

    @classmethod
    def empty(cls) -> Contingency:
        """The table of no voxel, to start a sum with."""
        return cls(np.zeros((0, 2), np.uint64), np.zeros(0, np.int64))

    @classmethod
    def from_arrays(cls, reference: NDArray[Any], prediction: NDArray[Any]) -> Contingency:
        """Count two id arrays of one shape; voxels with a negative reference id are ignored.

        Args:
            reference: Integer ids of any width, 0 background.
            prediction: The same; not negative.

        Raises:
            GeometryError: The shapes differ.
            LabelError: Ids are not whole numbers, or a predicted id is negative.
        """
        if reference.shape != prediction.shape:
            raise GeometryError(
                "Reference and prediction must have one shape.",
                expected=reference.shape,
                got=prediction.shape,
                hint="Put the prediction on the grid of the reference.",
            )
        first, second = _whole(reference, "reference").reshape(-1), _whole(prediction, "prediction").reshape(-1)
        if second.dtype.kind == "i" and second.size and second.min() < 0:
            hint = "Give labels of objects; only references may mark voxels to ignore by negative ids."
            raise LabelError("Predicted ids are 0 or more.", got=int(second.min()), hint=hint)
        parts = [_runs(first[i : i + BLOCK], second[i : i + BLOCK]) for i in range(0, first.size, BLOCK)]
        return _merged([part.pairs for part in parts], [part.counts for part in parts])

    def __add__(self, other: Contingency) -> Contingency:
        """The table of both blocks together; their ids must mean the same objects."""
        return _merged([self.pairs, other.pairs], [self.counts, other.counts])

    @cached_property
    def _reference(self) -> tuple[Ids, Sizes]:
        return _sizes(self.pairs[:, 0], self.counts)

    @cached_property
    def _prediction(self) -> tuple[Ids, Sizes]:
        return _sizes(self.pairs[:, 1], self.counts)

    @property
    def reference_ids(self) -> Ids:
        """Ids of reference objects, ascending, without background."""
        return self._reference[0]

    @property
    def reference_sizes(self) -> Sizes:
        """Voxels of each reference object."""
        return self._reference[1]

    @property
    def prediction_ids(self) -> Ids:
        """Ids of predicted objects, ascending, without background."""
        return self._prediction[0]

    @property
    def prediction_sizes(self) -> Sizes:
        """Voxels of each predicted object."""
        return self._prediction[1]

    @property
    def voxels(self) -> int:
        """All voxels counted."""
        return int(self.counts.sum())

    def drop_reference(self, smaller_than: int) -> Contingency:
        """The table with reference objects under a size turned into background (crumbs of annotation).

        Example:
            >>> table = Contingency.from_arrays(np.array([0, 1, 1, 2]), np.array([0, 3, 3, 3]))
            >>> table.drop_reference(2).reference_ids.tolist()
            [1]
        """
        small = self.reference_ids[self.reference_sizes < smaller_than]
        return self.without_reference(small)

    def drop_prediction(self, smaller_than: int) -> Contingency:
        """The table with predicted objects under a size turned into background."""
        small = self.prediction_ids[self.prediction_sizes < smaller_than]
        if not len(small):
            return self
        pairs = self.pairs.copy()
        pairs[np.isin(pairs[:, 1], small), 1] = 0
        return _merged([pairs], [self.counts])

    def without_reference(self, ids: NDArray[Any]) -> Contingency:
        """The table with some reference objects turned into background."""
        pairs = self.pairs.copy()
        pairs[np.isin(pairs[:, 0], ids), 0] = 0
        return _merged([pairs], [self.counts])

    def overlaps(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Pairs of objects that meet: index into `reference_ids`, index into `prediction_ids`, and their IoU.

        Example:
            >>> table = Contingency.from_arrays(np.array([1, 1, 2]), np.array([5, 0, 5]))
            >>> [part.tolist() for part in table.overlaps()]
            [[0, 1], [0, 0], [0.3333333333333333, 0.5]]
        """
        return self._overlaps

    @cached_property
    def _overlaps(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        meet = (self.pairs != 0).all(axis=1)
        pairs, counts = self.pairs[meet], self.counts[meet]
        rows = np.searchsorted(self.reference_ids, pairs[:, 0])
        columns = np.searchsorted(self.prediction_ids, pairs[:, 1])
        union = self.reference_sizes[rows] + self.prediction_sizes[columns] - counts
        return rows, columns, counts / union


def _whole(ids: NDArray[Any], which: str) -> NDArray[Any]:
    if ids.dtype.kind == "b":
        return ids.astype(np.uint8)
    if ids.dtype.kind in "ui":
        return ids
    raise LabelError(f"Ids of the {which} must be whole numbers.", expected="an integer array", got=str(ids.dtype))


def _runs(first: NDArray[Any], second: NDArray[Any]) -> Contingency:
    """Table of two flat arrays: neighbours of equal ids are counted as one run, so that few things are sorted."""
    if first.dtype.kind == "i" and (ignored := first < 0).any():
        first, second = first[~ignored], second[~ignored]
    if not first.size:
        return Contingency.empty()
    starts = np.flatnonzero(np.concatenate([[True], (first[1:] != first[:-1]) | (second[1:] != second[:-1])]))
    lengths = np.diff(np.append(starts, first.size))
    pairs = np.stack([first[starts].astype(np.uint64), second[starts].astype(np.uint64)], axis=1)
    return _merged([pairs], [lengths])


def _merged(pairs: list[NDArray[np.uint64]], counts: list[Sizes]) -> Contingency:
    """One table with each pair once, ascending."""
    if not pairs:
        return Contingency.empty()
    joined, numbers = np.concatenate(pairs), np.concatenate(counts).astype(np.int64)
    if not len(joined):
        return Contingency.empty()
    order = np.lexsort((joined[:, 1], joined[:, 0]))
    joined, numbers = joined[order], numbers[order]
    new = np.flatnonzero(np.concatenate([[True], (joined[1:] != joined[:-1]).any(axis=1)]))
    return Contingency(joined[new], np.add.reduceat(numbers, new))


def _sizes(ids: Ids, counts: Sizes) -> tuple[Ids, Sizes]:
    """Objects of one side with their voxels, without background."""
    known, inverse = np.unique(ids, return_inverse=True)
    sizes = np.zeros(len(known), np.int64)
    np.add.at(sizes, inverse, counts)
    objects = known != 0
    return known[objects], sizes[objects]
