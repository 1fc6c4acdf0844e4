"""Takes over from a trained network every weight that fits another one, and says which did not and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from segwright.core.errors import ModelError
from segwright.core.plan import NetSpec, Plan
from segwright.nets import build
from segwright.nets.pretrained import untrained

#: First words of the names under which networks keep what looks at the image.
ENCODERS = {
    "stem", "encoder", "stacks", "pool", "downs", "convInit", "down_layers", "swinViT", "input_block", "downsamples",
    "bottleneck", "enc_blocks", "down_blocks",
}  # fmt: skip
#: Words that may stand before them.
_AROUND = {"net", "tile", "scout", "model", "module"}


@dataclass
class Taken:
    """What came over.

    Attributes:
        whole: Tensors copied as they are.
        adapted: Tensors changed on the way, with how.
        left: Tensors that keep their fresh values, with why.
        values, total: Learnt numbers that came over, and those of the network.
    """

    whole: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    values: int = 0
    total: int = 0

    @property
    def share(self) -> float:
        """Share of the network's learnt numbers that came over."""
        return self.values / max(self.total, 1)

    @property
    def percent(self) -> int:
        """The share in percent, rounded down: 100 means all of them."""
        return 100 * self.values // max(self.total, 1)

    @property
    def names(self) -> set[str]:
        """Tensors that came over, whole or adapted."""
        return {*self.whole, *self.adapted}

    def sentences(self) -> list[str]:
        """What a person should know, a sentence a reason."""
        tensors = len(self.whole) + len(self.adapted) + len(self.left)
        lines = [f"{len(self.names)} of {tensors} tensors ({self.percent} % of the weights) were taken over"]
        for verb, found in (("adapted", self.adapted), ("left fresh", self.left)):
            for why, count in Counter(found.values()).items():
                first = next(name for name, one in found.items() if one == why)
                more = f" and {count - 1} more" if count > 1 else ""
                lines.append(f"{verb}: {first}{more}, as {why}")
        return lines


@dataclass(frozen=True)
class Edges:
    """Where a network meets image and labels.

    Attributes:
        inputs: Tensors whose shape follows the image channels, with the axis along which it does.
        heads: The same for output channels.
        rows: Output channels `(here, there)` that mean the same; `None` where that is not known.
        slabs: Slices that lie in the channels, here and there.
    """

    inputs: Mapping[str, int]
    heads: Mapping[str, int]
    rows: Sequence[tuple[int, int]] | None
    slabs: tuple[int, int]


def take_over(net: nn.Module, tensors: Mapping[str, Tensor], plan: Plan, source: Plan | None = None) -> Taken:
    """Copy into `net` every tensor whose name and shape fit.

    Convolutions of the image are adapted where only the count of image channels differs (summed for one channel, else
    repeated and scaled). Of the head, the channels of structures with the same name come over if both plans have the
    same target; without the source's plan the head stays fresh.

    Args:
        net: Freshly built from `plan.net`; changed in place.
        tensors: State of the source network.
        plan: Of `net`.
        source: Of the tensors, if known.

    Raises:
        ModelError: Not a single layer fits.
    """
    own = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    slabs = (max(1, plan.net.slab), max(1, (source or plan).net.slab))
    first, last = (tensors_along(plan.net, what) for what in ("in_channels", "out_channels"))
    edges = Edges(first, last, _rows(plan, source), slabs)
    taken = Taken(total=sum(value.numel() for name, value in net.named_parameters()))
    learnt = {name for name, _ in net.named_parameters()}
    with torch.no_grad():
        for name, value in own.items():
            found, how = _fitting(name, value, tensors, edges)
            if found is None:
                taken.left[name] = how
                continue
            value.copy_(found)
            if how:
                taken.adapted[name] = how
            else:
                taken.whole.append(name)
            taken.values += value.numel() if name in learnt else 0
    if not any(own[name].ndim > 1 for name in taken.names):
        raise ModelError(
            "No layer of the source model fits the network.",
            expected=f"tensors such as {_sample(own)}",
            got=_sample(tensors) or "no tensors",
            hint="Leave net, width, levels, norm and slab to be taken from the source, or give another model.",
        )
    return taken


def encoder_names(net: nn.Module) -> set[str]:
    """Names of the parameters of the part that looks at the image; empty where a network names none."""
    return {name for name, _ in net.named_parameters() if _first_word(name) in ENCODERS}


def _first_word(name: str) -> str:
    words = name.split(".")
    while len(words) > 1 and words[0] in _AROUND:
        words = words[1:]
    return words[0]


def _sample(tensors: Mapping[str, Tensor]) -> str:
    layers = [f"{name} {tuple(value.shape)}" for name, value in tensors.items() if value.ndim > 1]
    return ", ".join(layers[:2])


def tensors_along(spec: NetSpec, what: str) -> dict[str, int]:
    """Tensors whose shape depends on a count of the specification, each with the axis along which it does."""
    spec = untrained(spec)
    with torch.device("meta"):
        here = build(spec).state_dict()
        there = build(spec.model_copy(update={what: getattr(spec, what) + 1})).state_dict()
    return {
        name: next(axis for axis, (a, b) in enumerate(zip(value.shape, there[name].shape, strict=True)) if a != b)
        for name, value in here.items()
        if name in there and value.shape != there[name].shape and value.ndim == there[name].ndim
    }


def _rows(plan: Plan, source: Plan | None) -> list[tuple[int, int]] | None:
    """Output channels `(here, there)` that mean the same; `None` where the targets cannot be compared."""
    if source is None or source.target != plan.target:
        return None
    extra = plan.net.out_channels - len(plan.labels.names)
    if extra < 0 or extra != source.net.out_channels - len(source.labels.names):
        return None
    there = {name: index for index, name in enumerate(source.labels.names)}
    same = [(i + extra, there[name] + extra) for i, name in enumerate(plan.labels.names) if name in there]
    return [*((k, k) for k in range(extra)), *same] if same else []


def _fitting(
    name: str,
    value: Tensor,
    tensors: Mapping[str, Tensor],
    edges: Edges,
) -> tuple[Tensor | None, str]:
    """The tensor to copy and how it was adapted, or `None` and why not."""
    stored = tensors.get(name)
    if stored is None:
        return None, "the source has no such tensor"
    if name in edges.heads:
        return _head(stored, value, edges.heads[name], edges.rows)
    if stored.shape == value.shape:
        return stored, ""
    if name in edges.inputs:
        axis = edges.inputs[name]
        found = _channels(stored, value, axis, edges.slabs)
        if found is not None:
            return found, f"the image has {value.shape[axis]} channels here, {stored.shape[axis]} there"
    return None, f"the shape is {tuple(value.shape)} here, {tuple(stored.shape)} there"


def _head(
    stored: Tensor, value: Tensor, axis: int, rows: Sequence[tuple[int, int]] | None
) -> tuple[Tensor | None, str]:
    """Channels of structures with the same name; the others stay fresh."""
    if rows is None:
        return None, "it is the head, and the targets differ"
    if not rows:
        return None, "it is the head, and no structure has the same name"
    rest = [axis_ for axis_ in range(value.ndim) if axis_ != axis]
    if stored.ndim != value.ndim or any(stored.shape[a] != value.shape[a] for a in rest):
        return None, "it is the head, of another shape"
    mixed = value.clone()
    here, there = (torch.tensor(side) for side in zip(*rows, strict=True))
    mixed.index_copy_(axis, here.to(value.device), stored.index_select(axis, there).to(value))
    if len(rows) == value.shape[axis] == stored.shape[axis] and all(a == b for a, b in rows):
        return mixed, ""
    return mixed, f"it is the head, and {len(rows)} of its {value.shape[axis]} channels mean the same there"


def _channels(stored: Tensor, value: Tensor, axis: int, slabs: tuple[int, int]) -> Tensor | None:
    """Weights for another count of image channels or slices; see `nets.pretrained.channels_as`.

    Along `axis` lie the slices of one channel after the other, `slabs` of them here and there.
    """
    here, there = slabs
    if stored.ndim != value.ndim or any(
        a != b for k, (a, b) in enumerate(zip(stored.shape, value.shape, strict=True)) if k != axis
    ):
        return None
    if stored.shape[axis] % there or value.shape[axis] % here:
        return None
    parts = stored.movedim(axis, 0).unflatten(0, (-1, there))  # (channels, slices, ...)
    if here != there:
        parts = parts.sum(1, keepdim=True).expand(-1, here, *parts.shape[2:]) / here
    have, want = len(parts), value.shape[axis] // here
    parts = parts.sum(0, keepdim=True) if want == 1 else parts[torch.arange(want) % have] * (have / want)
    return parts.flatten(0, 1).movedim(0, axis)


#: The first of a network's own heads; of its layers the last makes the logits.
FIRST = re.compile(r"(^|\.)heads\.0(\.|$)")


def start_logits(net: nn.Module, spec: NetSpec, logits: Sequence[float]) -> bool:
    """Set the bias of the finest head, around which the logits of a fresh network lie; returns whether it has one.

    Args:
        net: Freshly built from `spec`; changed in place. Of several heads the first is set: the finest of those under
            deep supervision, and the one to whose result the others are added.
        spec: Of the network.
        logits: One an output channel.
    """
    known = dict(net.named_parameters())
    biases = [name for name in tensors_along(spec, "out_channels") if name in known and known[name].ndim == 1]
    finest = [name for name in biases if FIRST.search(name)] or biases
    if not finest or known[finest[-1]].shape != (len(logits),):
        return False
    with torch.no_grad():
        known[finest[-1]].copy_(torch.tensor(logits))
    return True
