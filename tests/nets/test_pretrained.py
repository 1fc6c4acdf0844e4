"""Weights from files: any saver's names, any channel count, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from segwright.core.errors import ModelError
from segwright.nets import pretrained


def encoder(channels: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1))


@pytest.mark.parametrize("prefix", ["", "encoder.", "module.net.encoder.model."])
@pytest.mark.parametrize("kind", ["safetensors", "pt", "nested"])
def test_any_saver(tmp_path, prefix, kind):
    source, target = encoder(seed=1), encoder(seed=2)
    tensors = {prefix + name: value for name, value in source.state_dict().items()} | {"fc.weight": torch.zeros(9, 5)}
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        torch.save({"epoch": 3, "state_dict": tensors} if kind == "nested" else tensors, path)
    pretrained.fill(target, pretrained.read(path), path)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value)


@pytest.mark.parametrize("channels", [1, 3, 6, 9])
def test_alike_channels_give_what_colour_gave(channels):
    """An image repeated over all channels passes the adapted convolution as it passed the stored one.

    Exact where the count is 1 or a multiple of 3; for others the repeated colours weigh unequally.
    """
    source, target = encoder(seed=1).eval(), encoder(channels, seed=2).eval()
    pretrained.fill(target, source.state_dict(), Path("w.pt"))
    grey = torch.rand(2, 1, 8, 8)
    colour = source(grey.expand(2, 3, 8, 8))
    torch.testing.assert_close(target(grey.expand(2, channels, 8, 8)), colour, rtol=1e-4, atol=1e-5)


def test_refusals_say_what_to_do(tmp_path):
    with pytest.raises(ModelError, match=r"missing.*weights=PATH, or weights=null"):
        pretrained.read(tmp_path / "none.safetensors")
    for name in ("bad.safetensors", "bad.pt"):
        (tmp_path / name).write_bytes(b"no weights at all")
        with pytest.raises(ModelError, match="cannot be read"):
            pretrained.read(tmp_path / name)
    torch.save(encoder(), tmp_path / "code.pt")  # a pickled network is code
    with pytest.raises(ModelError, match="state dict of plain tensors"):
        pretrained.read(tmp_path / "code.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="a list"):
        pretrained.read(tmp_path / "list.pt")


def test_nothing_is_filled_by_half():
    tensors = encoder(seed=1).state_dict()
    target = encoder(seed=2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    cut = {name: value for name, value in tensors.items() if name != "2.bias"}
    with pytest.raises(ModelError, match=r"its 8 tensors.*7 that fit; 2.bias is missing"):
        pretrained.fill(target, cut, Path("w.pt"))
    with pytest.raises(ModelError, match=r"2.weight has shape \(5, 4, 3, 3\)"):
        pretrained.fill(target, tensors | {"2.weight": torch.zeros(5, 4, 3, 3)}, Path("w.pt"))
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
