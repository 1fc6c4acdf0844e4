"""The one place where two and three dimensions differ: a table of operators and how triples shrink to pairs."""

from __future__ import annotations

from torch import nn

from segwright.core.plan import Triple
from segwright.nets.conv3d import Conv3d

#: Operator name to its class in two and in three dimensions.
OPERATORS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "conv": (nn.Conv2d, Conv3d),
    "transpose": (nn.ConvTranspose2d, nn.ConvTranspose3d),
    "max_pool": (nn.MaxPool2d, nn.MaxPool3d),
    "batch": (nn.BatchNorm2d, nn.BatchNorm3d),
    "instance": (nn.InstanceNorm2d, nn.InstanceNorm3d),
}


def operator(name: str, dims: int) -> type[nn.Module]:
    """Class of an operator for `dims` (2 or 3) spatial axes.

    Example:
        >>> operator("conv", 2).__name__
        'Conv2d'
    """
    return OPERATORS[name][dims - 2]


def fit(triple: Triple, dims: int) -> tuple[int, ...]:
    """Keep the last `dims` entries of a `(z, y, x)` triple.

    Example:
        >>> fit((1, 3, 5), 2)
        (3, 5)
    """
    return tuple(triple[3 - dims :])


def linear_mode(dims: int) -> str:
    """Name of linear interpolation in torch for `dims` axes."""
    return "bilinear" if dims == 2 else "trilinear"
