"""The memory formula against real networks: exact weight counts, and activations that autograd really keeps."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from segwright.core.plan import NetSpec
from segwright.core.recipe import PartChoice
from segwright.losses import bind_loss
from segwright.nets import build
from segwright.planning.memory import (
    activation_bytes,
    parameter_count,
    prediction_bytes,
    training_bytes,
    training_parts,
)


def spec_of(name: str = "unet", **rest: object) -> NetSpec:
    fields = {
        "in_channels": 2, "out_channels": 3, "widths": (8, 16, 16), "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)), "encoder_blocks": (1, 2, 2), "decoder_blocks": (2, 1),
        "norm": "batch",
    }  # fmt: skip
    return NetSpec(name=name, **(fields | rest))


GRID = [
    {}, {"slab": 1}, {"slab": 3}, {"norm": "instance"}, {"norm": "group"}, {"deep_supervision": True},
    {"params": {"up": "transpose"}}, {"params": {"up": "transpose"}, "slab": 3}, {"params": {"up": "nearest"}},
    {"params": {"down": "pool"}},
    {"params": {"join": "add"}}, {"params": {"join": "add", "up": "transpose", "down": "pool"}},
    {"encoder_blocks": (3, 1, 2)}, {"decoder_blocks": (1, 3)}, {"out_channels": 1},
    {"widths": (4,), "kernels": ((3, 3, 3),), "strides": ((1, 1, 1),), "encoder_blocks": (1,), "decoder_blocks": ()},
    {"widths": (5, 7), "kernels": ((5, 3, 1),) * 2, "strides": ((1, 1, 1), (1, 3, 2)), "encoder_blocks": (2, 2),
     "decoder_blocks": (2,), "deep_supervision": True},
    {"widths": (4,) * 5, "kernels": ((3, 3, 3),) * 5, "strides": ((1, 1, 1), *((2, 2, 2),) * 4),
     "encoder_blocks": (1,) * 5, "decoder_blocks": (1,) * 4, "deep_supervision": True},
]  # fmt: skip


@pytest.mark.parametrize("changes", GRID)
@pytest.mark.parametrize("name", ["unet", "resenc"])
def test_weights_are_counted_exactly(name, changes):
    spec = spec_of(name, **changes)
    assert parameter_count(spec) == sum(p.numel() for p in build(spec).parameters())


def saved_bytes(spec: NetSpec, patch: tuple[int, int, int], batch: int, half: bool) -> int:
    """Bytes of distinct storages that the backward pass of network and loss would read, weights apart."""
    net = build(spec).channels_last(half).train()
    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    storages: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    z, y, x = patch
    image = torch.zeros(batch, spec.in_channels, z + 2 * spec.context[0], y, x)
    target = torch.zeros(batch, spec.out_channels, *patch)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = net(image)
        bind_loss(PartChoice(name="dice_ce"), deep_supervision=True)(logits, target)
    return sum(size for size, _ in storages.values())


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("changes", GRID)
@pytest.mark.parametrize("name", ["unet", "resenc"])
def test_kept_activations_are_foreseen(name, changes, half):
    spec, patch = spec_of(name, **changes), (8, 32, 32)
    parts = training_parts(spec, patch, 2, precision_bytes=2 if half else 4)
    measured = saved_bytes(spec, patch, 2, half)
    copies = 2 * parameter_count(spec) if half else 0
    kept_by_loss = parts["loss"] / 2  # the other half is passing
    assert 0.7 < (parts["activations"] + kept_by_loss + copies) / measured < 1.5


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("changes", GRID[:6])
@pytest.mark.parametrize("name", ["unet", "resenc"])
def test_prediction_peak_is_foreseen(name, changes, half, most_alive):
    spec, window = spec_of(name, **changes), (8, 32, 32)
    net = build(spec).channels_last(half).eval()
    image = torch.zeros(2, spec.in_channels, 8 + 2 * spec.context[0], 32, 32)
    with torch.inference_mode(), most_alive() as peak, torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        net(image).float().softmax(1)
    forecast = prediction_bytes(spec, window, 2, precision_bytes=2 if half else 4) - 4 * parameter_count(spec)
    assert 0.6 < forecast / peak.top < 2.0


def test_forecasts_grow_with_everything():
    spec, patch = spec_of(), (8, 32, 32)
    base = training_bytes(spec, patch, 2)
    assert training_bytes(spec, patch, 4) > base < training_bytes(spec, (8, 32, 64), 2)
    assert training_bytes(spec, patch, 2, precision_bytes=2) < base
    assert training_bytes(spec, patch, 2, optimiser_slots=1) == base - 4 * parameter_count(spec)
    assert training_bytes(spec, patch, 2, ema=False) == base - 4 * parameter_count(spec)
    assert training_bytes(spec_of(checkpointing=True), patch, 2) < base
    assert prediction_bytes(spec, patch, 2) < base
    assert prediction_bytes(spec, patch, 2, members=3) == prediction_bytes(spec, patch, 2) + 8 * parameter_count(spec)
    assert activation_bytes(spec, (1, 5, 5), 1) == activation_bytes(spec, (2, 8, 8), 1) - 4 * 2 * (128 - 25)


def test_the_formula_needs_no_torch():
    code = "import sys, segwright.planning.memory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
