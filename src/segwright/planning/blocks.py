"""Cuts one stack of sections into blocks to validate on, so that even a single volume gives honest scores."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

#: Sections a block must have, so that objects can be judged in it, and share of a stack left out beside a block.
FEWEST, GAP_SHARE = 3, 0.02

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
    """As many blocks as asked for, or fewer if each would be too thin; none if the stack is too thin for two.

    Every section is judged once. Beside each block, on either side, sections are left out of training.

    Example:
        >>> [(block.validation, block.training) for block in arrange(14, 5)]
        [((0, 4), ((5, 14),)), ((4, 9), ((0, 3), (10, 14))), ((9, 14), ((0, 8),))]
        >>> arrange(7, 5)
        ()
    """
    count = min(folds, depth // (FEWEST + 1))
    if count < 2:
        return ()
    gap = max(1, round(depth * GAP_SHARE))
    edges = [round(number * depth / count - 0.2) for number in range(count + 1)]
    edges[0], edges[-1] = 0, depth
    blocks = []
    for first, last in pairwise(edges):
        sides = ((0, first - gap), (last + gap, depth))
        blocks.append(Block((first, last), tuple(span for span in sides if span[1] - span[0] >= FEWEST), gap))
    return tuple(blocks)
