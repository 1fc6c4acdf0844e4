"""Traced costs against networks that really run: same weights, same kept bytes, same peak, same operations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segwright.core.plan import NetSpec
from segwright.nets import NETS, build, net_info
from segwright.nets.describe import count_parameters
from segwright.nets.forecast import trace
from segwright.planning.memory import activation_bytes, forward_flops, parameter_count, prediction_bytes

PATCH = {2: (1, 64, 64), 3: (16, 32, 32)}
#: What makes rows small whose widths alone do not.
SMALL: dict[str, dict[str, Any]] = {
    "smp": {"params": {"encoder": "resnet18", "options": {"decoder_channels": [32, 16, 8, 8, 8]}}},
    "swinunetr": {"params": {"depths": (1, 1, 1, 1), "heads": (1, 1, 1, 1), "window": 2}, "widths": (12,) * 6},
}


def small(name: str) -> NetSpec:
    spec = net_info(name).spec
    thin = tuple(max(4, width // 4) if spec.widths[0] > 1 else width for width in spec.widths)
    return spec.model_copy(update={"widths": thin, **SMALL.get(name, {})})


def really_kept(net: torch.nn.Module, image: torch.Tensor) -> int:
    """Bytes of distinct memory that the backward pass will read, by address."""
    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    found: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        net.train()(image)
    return sum(size for size, _ in found.values())


@pytest.mark.parametrize("name", sorted(NETS))
def test_a_traced_network_costs_what_it_costs(name: str, most_alive: type) -> None:
    spec = small(name)
    patch = PATCH[spec.spatial_dims]
    found = trace(spec, patch, 2)
    torch.manual_seed(0)
    net = build(spec)
    z, y, x = patch
    image = torch.randn(2, spec.in_channels, z + 2 * spec.context[0], y, x)
    assert found.parameters == count_parameters(net)
    assert found.kept == pytest.approx(really_kept(net, image), rel=0.15)
    with torch.inference_mode(), most_alive() as real:
        net.eval()(image)
    assert found.peak == pytest.approx(real.top, rel=0.15)
    assert found.flops > 2 * found.parameters and 0 < found.widest <= found.kept


@pytest.mark.parametrize("slab", [0, 1, 3])
def test_for_unets_trace_and_formula_agree(slab: int) -> None:
    """Two ways to the same number: operations by arithmetic, and counted on the graph."""
    spec = NetSpec(
        in_channels=2, out_channels=3, slab=slab, widths=(8, 16, 16), kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)), encoder_blocks=(2, 2, 2), decoder_blocks=(2, 1), norm="batch",
    )  # fmt: skip
    patch = (8, 32, 32) if slab == 0 else (1, 32, 32)
    found = trace(spec, patch, 2)
    assert found.parameters == parameter_count(spec)
    assert found.kept == pytest.approx(activation_bytes(spec, patch, 2), rel=0.35)
    assert found.peak == pytest.approx(prediction_bytes(spec, patch, 2) - 4 * parameter_count(spec), rel=0.6)
    if slab == 0:
        assert found.flops == pytest.approx(2 * forward_flops(spec, patch), rel=0.15)


def test_costs_grow_with_batch_and_checkpointing_keeps_less() -> None:
    spec = small("unet-classic")
    one, four = trace(spec, (1, 64, 64), 1), trace(spec, (1, 64, 64), 4)
    assert four.flops == 4 * one.flops and four.kept == pytest.approx(4 * one.kept, rel=0.01)
    lean = trace(spec.model_copy(update={"checkpointing": True}), (1, 64, 64), 4)
    assert lean.kept < four.kept and lean.parameters == four.parameters


def test_a_network_that_asks_for_values_is_computed_small_and_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    from segwright.nets import forecast

    spec, patch = small("unet-classic"), (1, 256, 128)
    exact, real = trace(spec, patch, 2), forecast._pass

    def refused(spec: NetSpec, patch: Any, batch: int, device: torch.device) -> Any:
        if device.type == "meta":
            raise RuntimeError("Tensor.item() cannot be called on meta tensors")
        return real(spec, patch, batch, device)

    monkeypatch.setattr(forecast, "_pass", refused)
    forecast._trace.cache_clear()
    state = torch.get_rng_state()
    scaled = trace(spec, patch, 2)
    forecast._trace.cache_clear()
    assert torch.equal(state, torch.get_rng_state())
    assert scaled.parameters == exact.parameters and scaled.flops == pytest.approx(exact.flops, rel=0.01)
    assert scaled.kept == pytest.approx(exact.kept, rel=0.05) and scaled.peak == pytest.approx(exact.peak, rel=0.1)
