"""Trains the interpolation network on the clean triples of a stack, and asks on others whether it beats plain means."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segwright.core.seed import derive
from segwright.nets.interpolation import InterpolationNet, interpolation_network

#: Edge of training crops in pixels, and crops a step.
CROP, BATCH = 128, 4
#: Peak rate of Adam; it falls to zero with the budget.
RATE = 1e-3
#: Every so-manieth triple is kept back to judge by.
KEPT_BACK = 4
#: Widths that a minute on two cores can teach; the network's own default has four times the channels.
WIDTHS = (8, 16, 32, 64)

Read = Callable[[int], NDArray[np.float32]]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Interpolation:
    """A network and how it did on triples it had not seen, in units of the stack's contrast.

    Attributes:
        network: Sections before and after to the one between, on standardised grey values.
        error: Mean absolute error of the network.
        error_mean: The same of the mean of both neighbours.
        triples: Triples learnt from and kept back.
        steps: Training steps done.
    """

    network: InterpolationNet
    error: float
    error_mean: float
    triples: tuple[int, int]
    steps: int


def clean_triples(count: int, faulty: Sequence[int]) -> tuple[int, ...]:
    """Middle sections of three clean ones in a row.

    Example:
        >>> clean_triples(7, [3])
        (1, 5)
    """
    bad = set(faulty)
    return tuple(z for z in range(1, count - 1) if not bad & {z - 1, z, z + 1})


def learn(
    read: Read, triples: Sequence[int], *, seconds: float, seed: int, tell: Progress, steps: int | None = None
) -> Interpolation:
    """Train with an L1 loss until the time is spent.

    Args:
        read: Section number to standardised grey values `(y, x)`.
        triples: Middles of clean triples; a quarter is kept back when there are four or more.
        seconds: Budget.
        seed: Of crops and initial weights.
        tell: Told the share of the budget spent.
        steps: Train for so many steps instead, whatever time they take; makes a run repeatable.

    Returns:
        The network; as built, the mean of both neighbours, where there is nothing to learn from.
    """
    kept = tuple(triples[KEPT_BACK // 2 :: KEPT_BACK]) if len(triples) >= KEPT_BACK else ()
    learnt = tuple(z for z in triples if z not in kept)
    torch.manual_seed(int(derive(seed, "interpolation").integers(2**31)))
    network = interpolation_network(widths=WIDTHS)
    start = time.perf_counter()

    def spent(done: int) -> float:
        return done / steps if steps else (time.perf_counter() - start) / seconds

    idle = not learnt or not (steps or seconds > 0)
    done = 0 if idle else _train(network, _crops(read, learnt, seed), spent, tell)
    error, plain = _judge(network, read, kept or learnt)
    return Interpolation(network, error, plain, (len(learnt), len(kept)), done)


def _crops(read: Read, triples: Sequence[int], seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches: neighbours `(B, 1, 2, y, x)` and the section between `(B, 1, 1, y, x)`, turned and flipped."""
    rng = derive(seed, "crops")
    while True:
        stacks = []
        for _ in range(BATCH):
            z = triples[int(rng.integers(len(triples)))]
            whole = [read(z + step) for step in (-1, 0, 1)]
            corner = [int(rng.integers(max(n - CROP, 0) + 1)) for n in whole[0].shape]
            three = np.stack([plane[corner[0] : corner[0] + CROP, corner[1] : corner[1] + CROP] for plane in whole])
            three = np.flip(three, axis=tuple(axis for axis in range(3) if rng.random() < 0.5))
            stacks.append(three.swapaxes(1, 2) if three.shape[1] == three.shape[2] and rng.random() < 0.5 else three)
        batch = torch.from_numpy(np.ascontiguousarray(np.stack(stacks)))[:, None]
        yield batch[:, :, ::2], batch[:, :, 1:2]


def _train(
    network: nn.Module, crops: Iterator[tuple[Tensor, Tensor]], spent: Callable[[int], float], tell: Progress
) -> int:
    """Steps until the budget is spent; returns how many."""
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = 0
    while (share := spent(steps)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, 20 * share + 0.02) * (1 - share)
        around, between = next(crops)
        loss = (network(around) - between).abs().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        steps += 1
        tell(min(share, 1.0))
    return steps


@torch.inference_mode()
def _judge(network: InterpolationNet, read: Read, triples: Sequence[int]) -> tuple[float, float]:
    """Mean absolute errors of the network and of the neighbours' mean; NaN without triples."""
    errors = []
    for z in triples:
        before, between, after = (read(z + step) for step in (-1, 0, 1))
        made = between_sections(network, before, after)
        errors.append((np.abs(made - between).mean(), np.abs((before + after) / 2 - between).mean()))
    if not errors:
        return float("nan"), float("nan")
    error, plain = np.mean(errors, axis=0)
    return float(error), float(plain)


@torch.inference_mode()
def between_sections(
    network: InterpolationNet, before: NDArray[np.float32], after: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The section between two others, `(y, x)` standardised grey values."""
    around = torch.from_numpy(np.stack([before, after]))[None, None]
    made: NDArray[np.float32] = network.eval()(around)[0, 0, 0].numpy()
    return made
