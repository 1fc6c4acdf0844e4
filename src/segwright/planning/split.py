"""Divides cases into folds: groups stay together, structures are spread evenly; a single stack is cut into blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Dataset, Fold, Split
from segwright.core.errors import IntegrityError, UsageError
from segwright.core.inspection import CaseFacts
from segwright.core.seed import derive
from segwright.core.words import amount


def make_split(dataset: Dataset, facts: Sequence[CaseFacts], folds: int, seed: int) -> Split:
    """Folds over the labelled cases.

    Groups are dealt out one by one, those with many cases and then rare structures first, each to the fold that lacks
    most of what it brings: cases, cases with each structure, and cases of each quarter of foreground volume (iterative
    stratification after Sechidis et al. 2011, for groups). Equal calls give equal folds.

    Args:
        dataset: Only labelled cases take part.
        facts: Volumes of structures, and groups, in which near-duplicates are one; cases without facts count as without
            structures.
        folds: Number of folds; 0 gives one fold that trains on everything and validates on nothing.
        seed: Decides ties.

    Raises:
        UsageError: More folds than groups, or a negative number or 1.
    """
    known = {fact.case: fact.group for fact in facts}
    groups = {case.id: known.get(case.id) or case.group or case.id for case in dataset.labelled}
    ids = tuple(groups)
    count = len(set(groups.values()))
    if folds == 0:
        return Split(folds=(Fold(train=ids, validation=()),), groups=groups, rule="All cases train; none validates.")
    if folds < 2 or folds > count:
        best = min(5, count)
        raise UsageError(
            f"{amount(count, 'group')} cannot be divided into {folds} folds.",
            expected=f"2 to {count} folds" if count >= 2 else "at least two groups",
            got=f"{folds} folds for {amount(len(ids), 'case')} in {amount(count, 'group')}",
            hint=f"Use folds={best}." if count >= 2 else "Use folds=0 to train on all cases without validation.",
        )
    traits = _traits(ids, {fact.case: fact for fact in facts}, dataset.labels.names)
    fold_of = _deal(_by_group(ids, groups, traits), folds, seed)
    made = tuple(
        Fold(
            train=tuple(case for case in ids if fold_of[groups[case]] != fold),
            validation=tuple(case for case in ids if fold_of[groups[case]] == fold),
        )
        for fold in range(folds)
    )
    rule = f"{folds} folds over {count} groups ({dataset.group_rule or 'each case its own'}); groups stay together, "
    rule += "stratified by number of cases, structures present and foreground volume."
    split = Split(folds=made, groups=groups, rule=rule)
    check_split(split)
    return split


def check_split(split: Split) -> None:
    """Refuse a split in which training and validation share a case or a group.

    Raises:
        IntegrityError: Names the fold and the group that leaks.
    """
    for number, fold in enumerate(split.folds):
        unknown = [case for case in (*fold.train, *fold.validation) if case not in split.groups]
        if unknown:
            raise IntegrityError(
                f"Fold {number} names case {unknown[0]!r}, which has no group.",
                where=split.filename,
                hint="Add it under 'groups', or remove it from the fold.",
            )
        trained = {split.groups[case]: case for case in fold.train}
        for case in fold.validation:
            group = split.groups[case]
            if group in trained:
                raise IntegrityError(
                    f"Group {group!r} leaks: fold {number} trains on it and validates on it.",
                    got=f"case {trained[group]!r} in training, case {case!r} in validation",
                    where=split.filename,
                    hint="Move all cases of the group to one side, or let the split be made anew.",
                )


def _traits(ids: Sequence[str], facts: Mapping[str, CaseFacts], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """For each case a row of 0 and 1: itself, each structure present (if it varies), quarter of foreground volume."""
    volumes = {case: sum(facts[case].volumes.values()) if case in facts else 0 for case in ids}
    order = sorted(ids, key=lambda case: (volumes[case], case))
    quarter = {case: min(3, rank * 4 // len(order)) for rank, case in enumerate(order)}
    table = {}
    for case in ids:
        present = [float(case in facts and facts[case].volumes.get(name, 0) > 0) for name in names]
        table[case] = np.array([1.0, *present, *(float(quarter[case] == i) for i in range(4))])
    return table


def _by_group(
    ids: Sequence[str], groups: Mapping[str, str], traits: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Summed traits of each group, in name order."""
    table: dict[str, NDArray[np.float64]] = {}
    for case in ids:
        group = groups[case]
        table[group] = table[group] + traits[case] if group in table else traits[case].copy()
    return dict(sorted(table.items()))


def _deal(table: Mapping[str, NDArray[np.float64]], folds: int, seed: int) -> dict[str, int]:
    """The fold of each group."""
    names = list(table)
    rows = np.stack([table[name] for name in names])
    totals = rows.sum(axis=0)
    weight = 1.0 / np.maximum(totals, 1.0)
    rng = derive(seed, "split")
    shuffled = rng.permutation(len(names))
    # Large groups and rare traits are hardest to balance, so they are placed while all folds are still open.
    order = sorted(shuffled, key=lambda i: (-float(rows[i, 0]), -float((rows[i] * weight).sum())))
    held = np.zeros((folds, rows.shape[1]))
    members = np.zeros(folds, dtype=int)
    result: dict[str, int] = {}
    for rank, index in enumerate(order):
        left = len(order) - rank
        empty = np.flatnonzero(members == 0)
        allowed = empty if len(empty) >= left else np.arange(folds)
        wanted = totals / folds
        after = [(weight * (held[fold] + rows[index] - wanted) ** 2 - weight * (held[fold] - wanted) ** 2).sum()
                 for fold in allowed]  # fmt: skip
        fold = int(allowed[int(np.argmin(np.round(after, 9)))])
        held[fold] += rows[index]
        members[fold] += 1
        result[names[index]] = fold
    return result


#: Sections a block must have, so that objects can be judged in it, and share of a stack left out beside a block.
FEWEST, GAP_SHARE = 3, 0.02
#: Sections judged at either end of a stack that is too thin for blocks, and sections a stack must have for that and
#: for blocks.
ENDS, LEAST_DEPTH, BLOCK_DEPTH = 2, 5, 2 * (FEWEST + 1)

Span = tuple[int, int]


class Block(NamedTuple):
    """Sections `(first, last + 1)` of one fold.

    Attributes:
        validation: Judged by the fold's member.
        training: What the member learns from, at most one span on each side.
        gap: Sections left out beside the block, as they look much like their neighbours.
    """

    validation: Span
    training: tuple[Span, ...]
    gap: int


def arrange(depth: int, folds: int) -> tuple[Block, ...]:
    """As many blocks as asked for, or fewer if each would be too thin; none if the stack is too thin to validate.

    From 8 sections on every section is judged once. Of 5 to 7 sections, only the first two and the last two are judged,
    each by a member that learns from the others. Beside each block, on either side, sections are left out of training.

    Example:
        >>> [(block.validation, block.training) for block in arrange(14, 5)]
        [((0, 4), ((5, 14),)), ((4, 9), ((0, 3), (10, 14))), ((9, 14), ((0, 8),))]
        >>> [(block.validation, block.training) for block in arrange(6, 5)]
        [((0, 2), ((3, 6),)), ((4, 6), ((0, 3),))]
        >>> arrange(4, 5)
        ()
    """
    count = min(folds, depth // (FEWEST + 1))
    if depth < LEAST_DEPTH or folds < 2:
        return ()
    gap = max(1, round(depth * GAP_SHARE))
    if depth < BLOCK_DEPTH:
        last = depth - ENDS
        return (Block((0, ENDS), ((ENDS + gap, depth),), gap), Block((last, depth), ((0, last - gap),), gap))
    edges = [round(number * depth / count - 0.2) for number in range(count + 1)]
    edges[0], edges[-1] = 0, depth
    blocks = []
    for first, last in pairwise(edges):
        sides = ((0, first - gap), (last + gap, depth))
        blocks.append(Block((first, last), tuple(span for span in sides if span[1] - span[0] >= FEWEST), gap))
    return tuple(blocks)
