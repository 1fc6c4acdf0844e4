"""Weights of a network in a file: with a digest inside, and refused by name where they do not fit the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from segwright.core.disk import atomic_path
from segwright.core.errors import ModelError
from segwright.core.plan import NetSpec
from segwright.nets import build
from segwright.nets.framing import SlabNet, SurroundNet
from segwright.nets.pretrained import untrained

#: Name of the digest in the file's own head.
DIGEST = "sha256"
#: What to do about a file that is not as it was written.
AGAIN = "Copy the model folder again, or write it anew with 'segwright report RUN'."
_DAMAGED = (SafetensorError, RuntimeError, OSError, ValueError, KeyError)


def save_weights(net: nn.Module, path: Path, *, small: bool = False) -> None:
    """Store weights as safetensors, contiguous; the file appears only when whole.

    Args:
        net: The network.
        path: Of the file.
        small: In half of the bytes (float16), but for tensors that float16 cannot hold.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    if small:
        tensors = {name: _halved(tensor) for name, tensor in tensors.items()}
    with atomic_path(path) as partial:
        save_file(tensors, partial, metadata={DIGEST: digest_of_tensors(tensors)})


def _halved(tensor: Tensor) -> Tensor:
    half = tensor.half() if tensor.is_floating_point() else tensor
    return half if bool(torch.isfinite(half).all()) else tensor


def load_weights(spec: NetSpec, path: Path, *, hint: str = AGAIN, known: bool = False) -> SlabNet | SurroundNet:
    """The network of a plan with the weights of a file. Names and shapes are compared before memory is taken.

    Args:
        spec: The network.
        path: safetensors.
        hint: What to do about a damaged file.
        known: The file's digest was compared already; the one inside is not.

    Raises:
        ModelError: The file is damaged, lacks a tensor, has another or one of another shape, or holds a number that is
            none; with its name.
    """
    try:
        _refuse_misfit(_framed(spec), _stored_shapes(path), path, hint)
        tensors = read_checked(path, hint=hint, known=known)
        net = build(untrained(spec))
        net.load_state_dict(tensors)
    except _DAMAGED as error:
        raise ModelError(
            "The weights cannot be read.",
            got=(str(error).splitlines() or [type(error).__name__])[0],
            where=path,
            hint=hint,
        ) from error
    return net


def read_checked(path: Path, *, hint: str = AGAIN, known: bool = False) -> dict[str, Tensor]:
    """Tensors of a safetensors file, held against the digest inside, if there is one and it is not `known` to be whole.

    Raises:
        ModelError: They are not those that were written, or hold a number that is none.
        SafetensorError, OSError: The file cannot be read.
    """
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        told = (file.metadata() or {}).get(DIGEST)
    if not known and told is not None and told != digest_of_tensors(tensors):
        raise ModelError("The weights are not those that were written.", where=path, hint=hint)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            wrong = int((~torch.isfinite(tensor)).sum())
            raise ModelError(
                f"Weights {name!r} hold numbers that are none.",
                expected="finite numbers",
                got=f"{wrong} of {tensor.numel()} NaN or infinite",
                where=path,
                hint=hint,
            )
    return tensors


def is_whole(path: Path) -> bool:
    """Whether a file of weights can be read and is what was written."""
    try:
        read_checked(path)
    except (ModelError, *_DAMAGED):
        return False
    return True


def digest_of_tensors(data: Any) -> str:
    """SHA-256 over everything in nested dictionaries and lists: names, numbers, types, shapes and bytes of tensors.

    Example:
        >>> one = {"a": torch.zeros(2), "b": [1, 0.5]}
        >>> digest_of_tensors(one) == digest_of_tensors(dict(reversed(one.items())))
        True
    """
    found = hashlib.sha256()
    _take_in(data, found)
    return found.hexdigest()


def _take_in(data: Any, found: hashlib._Hash) -> None:
    if isinstance(data, Tensor):
        tensor = data.detach().cpu().contiguous()
        found.update(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
        if tensor.numel():
            found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(data, Mapping):
        for name in sorted(data, key=repr):
            found.update(f"{name!r}:".encode())
            _take_in(data[name], found)
    elif isinstance(data, list | tuple):
        found.update(f"[{len(data)}]".encode())
        for one in data:
            _take_in(one, found)
    else:
        found.update(f"{data!r};".encode())


def _framed(spec: NetSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's tensors, without taking memory for them."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build(untrained(spec)).state_dict().items()}


def _stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes as the head of a file states them."""
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping


def _refuse_misfit(
    own: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]], path: Path, hint: str
) -> None:
    wrong = list(_misfits(own, stored))
    if wrong:
        raise ModelError(
            "The weights do not fit the plan's network.",
            expected=f"{len(own)} tensors",
            got="; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""),
            where=path,
            hint=f"Keep plan.json and weights of one run together. {hint}",
        )


def _misfits(own: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for name, shape in own.items():
        if name not in stored:
            yield f"{name} is missing"
        elif stored[name] != shape:
            yield f"{name} has shape {stored[name]}, not {shape}"
    for name in stored:
        if name not in own:
            yield f"{name} is unknown to it"
