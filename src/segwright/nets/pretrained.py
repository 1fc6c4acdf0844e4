"""Fills a network's encoder with weights from a file, whatever library wrote it and whatever its image channels."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from segwright.core.errors import ModelError
from segwright.core.plan import NetSpec

#: What savers put before the names of an encoder's tensors, or around the whole state.
_WRAPPERS = ("module", "net", "model", "encoder", "backbone")
_NESTS = ("state_dict", "model_state_dict", "model")


def untrained(spec: NetSpec) -> NetSpec:
    """The specification without its pretrained weights, for a network that is about to get weights of its own.

    Example:
        >>> levels = dict(widths=(4,), strides=((1, 1, 1),), kernels=((3, 3, 3),), decoder_blocks=())
        >>> spec = NetSpec(in_channels=1, out_channels=2, encoder_blocks=(1,), params={"weights": "a.pt"}, **levels)
        >>> untrained(spec).params
        {}
    """
    return spec.model_copy(update={"params": {name: value for name, value in spec.params.items() if name != "weights"}})


def read(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` file or of a state dict stored by `torch.save`; code in the file is never run.

    Raises:
        ModelError: No such file, or no state dict in it.
    """
    if not path.is_file():
        raise ModelError(
            "The file of pretrained weights is missing.", where=path, hint="Give weights=PATH, or weights=null."
        )
    try:
        stored = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise ModelError(
            "The file of pretrained weights cannot be read.",
            expected="safetensors, or a state dict of plain tensors",
            got=str(error).splitlines()[0],
            where=path,
            hint="Store them with torch.save(net.state_dict(), PATH).",
        ) from error
    return {name: value for name, value in stored.items() if isinstance(value, Tensor)}


def _unpickled(path: Path) -> Mapping[str, Any]:
    stored = torch.load(path, map_location="cpu", weights_only=True)
    for nest in _NESTS:
        if isinstance(stored, Mapping) and isinstance(stored.get(nest), Mapping):
            stored = stored[nest]
    if not isinstance(stored, Mapping):
        raise ValueError(f"a {type(stored).__name__}")
    return stored


def fill(encoder: nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Copy every tensor of `encoder` out of `tensors`; a classifier or decoder that comes along is left out.

    Names are compared without the wrappers that savers add. Convolutions of the image are adapted by `channels_as`.

    Raises:
        ModelError: A tensor is missing or of another shape.
    """
    stored = {_plain(name): value for name, value in tensors.items()}
    own = {name: value for name, value in encoder.state_dict().items() if not name.endswith("num_batches_tracked")}
    fitted, wrong = {}, []
    for name, value in own.items():
        found = stored.get(_plain(name))
        found = found if found is None or found.shape == value.shape else channels_as(found, value)
        fitted[name] = found
        if found is None:
            got = stored.get(_plain(name))
            wrong.append(f"{name} {'is missing' if got is None else f'has shape {tuple(got.shape)}'}")
    if wrong:
        raise ModelError(
            "The pretrained weights do not fit the encoder.",
            expected=f"its {len(own)} tensors",
            got=f"{len(own) - len(wrong)} that fit; {wrong[0]}",
            where=where,
            hint="Give the file of this very encoder as weights=PATH, or weights=null.",
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(fitted[name])


def channels_as(stored: Tensor, wanted: Tensor) -> Tensor | None:
    """Convolution weights for another count of image channels; `None` where more than that count differs.

    One channel sees the sum over the stored ones. Otherwise the stored ones are repeated in turn and scaled by
    stored / wanted, so that an image whose channels are all alike gives about what it gave before, and exactly that
    where the count is a multiple of the stored one.

    Example:
        >>> rgb = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
        >>> channels_as(rgb, torch.zeros(1, 1, 1, 1)).flatten().tolist()
        [6.0]
        >>> channels_as(rgb, torch.zeros(1, 6, 1, 1)).flatten().tolist()
        [0.5, 1.0, 1.5, 0.5, 1.0, 1.5]
    """
    if stored.ndim != 4 or stored.shape[:1] + stored.shape[2:] != wanted.shape[:1] + wanted.shape[2:]:
        return None
    have, want = stored.shape[1], wanted.shape[1]
    if want == 1:
        return stored.sum(1, keepdim=True)
    return stored[:, torch.arange(want) % have] * (have / want)


def _plain(name: str) -> str:
    """A tensor's name without wrappers, and alike whether a list of layers was flattened (`_0`) or not (`.0`)."""
    parts = name.split(".")
    while len(parts) > 1 and parts[0] in _WRAPPERS:
        parts = parts[1:]
    return ".".join(parts).replace("_", ".")
