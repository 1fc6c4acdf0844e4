"""A damaged checkpoint is seen, whatever byte it is, and the one before takes its place."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from segwright.core.errors import ModelError
from segwright.train.state import BEFORE, TrainState, WeightAverage


def state(step: int = 0) -> TrainState:
    torch.manual_seed(step)
    net = nn.Linear(7, 5)
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 7)).sum().backward()
    optimiser.step()
    return TrainState(net, optimiser, WeightAverage(net, 0.1), step=step, elapsed=1.5, extra={"best_step": 3})


def same(one: TrainState, other: TrainState) -> bool:
    names = ("step", "elapsed", "attempt", "lr_scale", "best", "extra")
    own, their = one.net.state_dict(), other.net.state_dict()
    return all(getattr(one, n) == getattr(other, n) for n in names) and all(torch.equal(own[k], their[k]) for k in own)


def test_no_flipped_byte_is_restored_as_something_else(tmp_path: Path) -> None:
    path, whole = tmp_path / "last.ckpt", state(3)
    whole.save(path)
    content, draw, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(damaged))
        found = state(9)
        try:
            found.restore(path)
        except ModelError:
            refused += 1
            assert same(found, state(9)), "nothing is taken from a damaged file"
        else:
            assert same(found, whole), "the byte says nothing that is read"
    assert refused > 20


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: bytes(len(b))])
def test_the_checkpoint_before_takes_the_place_of_a_damaged_one(tmp_path: Path, damage) -> None:
    path, first, second = tmp_path / "last.ckpt", state(1), state(2)
    first.save(path)
    second.save(path)
    found = state(9)
    assert found.restore_last(path) == "" and same(found, second)
    path.write_bytes(damage(path.read_bytes()))
    told = found.restore_last(path)
    assert "last.ckpt is damaged" in told and "the checkpoint before" in told and same(found, first)
    (tmp_path / BEFORE).write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be resumed"):
        found.restore_last(path)


def test_a_checkpoint_alone_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    state(1).save(path)
    assert not (tmp_path / BEFORE).exists()
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match="cannot be resumed"):
        state(2).restore_last(path)


def test_checkpoints_of_earlier_versions_have_no_digest_and_open(tmp_path: Path) -> None:
    path, whole = tmp_path / "last.ckpt", state(4)
    whole.save(path)
    payload = torch.load(path, weights_only=True)
    del payload["digest"]
    torch.save(payload, path)
    found = state(9)
    found.restore(path)
    assert same(found, whole)
