"""What the doors to other people's networks share: padding to the strides those networks have, and plain refusals."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import PlanError
from segwright.core.plan import NetSpec


class Padded(nn.Module):
    """A network that may only see multiples of its own strides, made to take any size.

    Zeros are padded on the far faces and cut off the logits again.

    Args:
        net: Takes `(B, C, [z,] y, x)`; returns logits of that size or a list of them, finest first.
        divisor: One number an axis of `net`; lengths are padded to multiples of it.
        least: Smallest lengths; by default the divisor in depth and twice the divisor in plane, so that norms at the
            coarsest level have more than one voxel.
    """

    def __init__(self, net: nn.Module, divisor: Sequence[int], least: Sequence[int] | None = None) -> None:
        super().__init__()
        self.net, self.divisor = net, tuple(divisor)
        self.least = tuple(least or (*self.divisor[:-2], *(2 * d for d in self.divisor[-2:])))

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """`(B, C, [z,] y, x)` of any lengths to logits of the same lengths, or a list of them, finest first."""
        size = x.shape[2:]
        padded = [max(m, -(-n // d) * d) for n, d, m in zip(size, self.divisor, self.least, strict=True)]
        missing = [p - n for p, n in zip(padded, size, strict=True)]
        if any(missing):
            x = F.pad(x, [edge for m in reversed(missing) for edge in (0, m)])
        result = self.net(x)
        if isinstance(result, (list, tuple)):
            return [_crop(part, size, padded) for part in result]
        return _crop(result, size, padded)


def _crop(y: Tensor, size: Sequence[int], padded: Sequence[int]) -> Tensor:
    """The part of full-size or coarser logits that touches the unpadded input."""
    for axis, (length, full) in enumerate(zip(size, padded, strict=True), start=2):
        y = y.narrow(axis, 0, -(-length * y.shape[axis] // full))
    return y


def demand(spec: NetSpec, field: str, allowed: Sequence[object], *, why: str) -> None:
    """Refuse a field of the specification whose value this network cannot honour.

    Raises:
        PlanError: With the values it can.

    Example:
        >>> levels = dict(widths=(4,), strides=((1, 1, 1),), kernels=((3, 3, 3),), decoder_blocks=())
        >>> spec = NetSpec(in_channels=1, out_channels=2, encoder_blocks=(1,), norm="group", **levels)
        >>> demand(spec, "norm", ["batch"], why="its encoders have batch norm built in")
        Traceback (most recent call last):
        ...
        segwright.core.errors.PlanError: Network 'unet' takes no norm=group: its encoders have batch norm built in. ...
    """
    value = getattr(spec, field)
    if value in allowed:
        return
    wanted = " or ".join(str(each).lower() for each in allowed)
    got = str(value).lower()
    raise PlanError(
        f"Network {spec.name!r} takes no {field}={got}: {why}.",
        expected=wanted,
        got=got,
        hint=f"Set {field}={str(allowed[0]).lower()} in the recipe.",
    )


def least_levels(spec: NetSpec, count: int) -> None:
    """Refuse fewer levels than the network can be built of.

    Raises:
        PlanError: Too few widths.
    """
    if len(spec.widths) < count:
        raise PlanError(
            f"Network {spec.name!r} needs {count} levels at least.",
            got=f"{len(spec.widths)} widths",
            hint="Use larger patches, or another network.",
        )
