"""One forward out of several: members of an ensemble, by mean or vote, and mirrored copies of each window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from segwright.core.errors import ModelError

#: Value of a vote of all members.
FULL_VOTE = 1 - 1e-6


def member(
    net: Forward,
    activate: Callable[[Tensor], Tensor],
    mirror: Sequence[int] = (),
    orders: Mapping[int, Sequence[int]] | None = None,
    watch: Watch | None = None,
) -> Forward:
    """A network as a forward that returns scores: mirrored copies are averaged after activation, in float32.

    Args:
        net: `(B, C, z, y, x)` to logits `(B, K, z', y, x)`.
        activate: Logits to scores.
        mirror: Axes (0 z, 1 y, 2 x) of test-time flips.
        orders: Axes along which channels change places, see `mirrored`.
        watch: Shown the scores of each copy, and those of the window as it is.
    """
    return mirrored(lambda batch: activate(net(batch).float()), mirror, orders, watch)


def mean(members: Sequence[Forward], *, exclusive: bool) -> Forward:
    """The mean of the members' scores.

    Example:
        >>> forward = mean([lambda x: x, lambda x: 3 * x], exclusive=False)
        >>> forward(torch.ones(1)).item()
        2.0
    """
    return _average(members, lambda scores: scores)


def vote(members: Sequence[Forward], *, exclusive: bool) -> Forward:
    """The share of members that decide for each channel: the largest if exclusive, else every one of at least 0.5.

    Shares lie in 0..1 as scores do. Half of the members is no majority: where structures overlap, a full vote counts
    a trifle less than 1, so that a tie stays below the threshold; on a tie between exclusive channels, decoding takes
    the first, so background.
    """
    if not exclusive:
        return _average(members, lambda scores: (scores >= 0.5).float() * FULL_VOTE)

    def ballot(scores: Tensor) -> Tensor:
        return torch.zeros_like(scores).scatter_(1, scores.argmax(dim=1, keepdim=True), 1.0)

    return _average(members, ballot)


def _average(members: Sequence[Forward], opinion: Callable[[Tensor], Tensor]) -> Forward:
    if not members:
        raise ModelError("An ensemble needs at least one member.", got="none", hint="Finish at least one fold.")

    def averaged(batch: Tensor) -> Tensor:
        total = opinion(members[0](batch).float())
        for forward in members[1:]:
            total = total + opinion(forward(batch).float())
        return total / len(members)

    return averaged


Forward = Callable[[Tensor], Tensor]


class Watch(Protocol):
    """Sees what a member answers."""

    def copy(self, first: Tensor, copy: Tensor) -> None:
        """Scores `(B, C, z, y, x)` of windows as they are, and of a mirrored copy turned back."""
        ...

    def answer(self, batch: Tensor, first: Tensor, mean: Tensor, passes: int) -> None:
        """Windows, their scores as they are and averaged over mirrored copies, and how many passes that took."""
        ...


def mirrored(
    forward: Forward,
    axes: Sequence[int],
    orders: Mapping[int, Sequence[int]] | None = None,
    watch: Watch | None = None,
) -> Forward:
    """`forward` averaged over every combination of flips along `axes` (0 z, 1 y, 2 x); without axes, `forward` itself.

    Args:
        forward: `(B, C, z, y, x)` to scores `(B, K, z', y, x)`.
        axes: Axes that may be mirrored without changing what a structure is called, but for
        orders: Axes along which structures change places: for each channel, the one that it becomes if flipped.
        watch: Shown all copies.

    Example:
        >>> import torch
        >>> ramp = mirrored(lambda x: x * torch.arange(2.0), (2,))
        >>> ramp(torch.ones(1, 1, 1, 1, 2)).ravel().tolist()
        [0.5, 0.5]
    """
    if not axes and watch is None:
        return forward
    flips = [c for count in range(len(set(axes)) + 1) for c in itertools.combinations(sorted(set(axes)), count)]

    def averaged(batch: Tensor) -> Tensor:
        first = total = forward(batch).float()
        for flip in flips[1:]:
            dims = [axis + 2 for axis in flip]
            scores = forward(batch.flip(dims)).float().flip(dims)
            for axis in reversed(flip):  # training renames along the first axis first, so that is undone last
                scores = scores[:, list(orders[axis])] if orders and axis in orders else scores
            total = total + scores
            if watch is not None:
                watch.copy(first, scores)
        mean = total / len(flips)
        if watch is not None:
            watch.answer(batch, first, mean, len(flips))
        return mean

    return averaged


def channel_order(pairs: Sequence[tuple[int, int]], channels: int, structures: int) -> list[int]:
    """Channels in the order after paired structures changed places; structures are the last channels of a target.

    Example:
        >>> channel_order([(0, 1)], channels=4, structures=3)
        [0, 2, 1, 3]
    """
    order, first = list(range(channels)), channels - structures
    for a, b in pairs:
        order[first + a], order[first + b] = first + b, first + a
    return order
