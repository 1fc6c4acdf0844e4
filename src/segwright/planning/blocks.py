"""Cuts one stack of sections into blocks to validate on, so that even a single volume gives honest scores."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

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
