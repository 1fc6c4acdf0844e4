"""What a label drawn with transparency means: clear pixels are background, whatever colour hides under them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import LabelError

#: Value of a structure that is drawn in black, which could not be told from background.
WHITE = 255


def flattened(colour: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Colours `(rows, columns, C)` of a label with clear pixels set to 0.

    Alpha that is the same everywhere says nothing, unless everything is clear and nothing else is drawn. A drawing in
    black alone becomes white (255), so that it differs from background.

    Args:
        colour: Samples beside alpha.
        alpha: Opacity `(rows, columns)`, 0 where clear.

    Raises:
        LabelError: Some opaque pixels are black, others not, and some are clear: black may be a structure or not.

    Example:
        >>> flattened(np.zeros((1, 2, 1), np.uint8), np.array([[0, 255]], np.uint8))[..., 0].tolist()
        [[0, 255]]
    """
    plain = bool((colour == colour[:1, :1]).all())
    if alpha.min() == alpha.max() and not (plain and not alpha.any()):
        return colour
    drawn = _drawn(alpha, plain)
    black = ~colour.any(axis=-1)
    if drawn.all():
        return colour
    if (black | ~drawn).all():
        return np.where(drawn, WHITE, 0).astype(colour.dtype)[..., None].repeat(colour.shape[-1], axis=-1)
    if (black & drawn).any():
        raise LabelError(
            "Some pixels of the label are clear and some are black, so what is background cannot be told.",
            expected="clear pixels around what is drawn, or no transparency",
            got=f"{int((~drawn).sum())} clear and {int((black & drawn).sum())} black pixels",
            hint="Save the label without transparency, on a background of a colour that no structure has.",
        )
    return np.where(drawn[..., None], colour, 0).astype(colour.dtype)


def _drawn(alpha: NDArray[Any], plain: bool) -> NDArray[np.bool_]:
    """Where something is drawn; of edges that fade, what is more than half there.

    Opacity that is nowhere 0 beside colours that differ is a look and no drawing.
    """
    low, high = int(alpha.min()), int(alpha.max())
    if low > 0 and not plain:
        return np.ones(alpha.shape, dtype=bool)
    some = alpha > low
    faint = some & (alpha < (low + high + 1) // 2)
    return some if high == low or _has_inside(faint) else some & ~faint


def _has_inside(mask: NDArray[np.bool_]) -> bool:
    """Whether some pixel has all its eight neighbours in the mask, so that it is an area and not an edge."""
    if min(mask.shape) < 3:
        return False
    rows = mask[:-2] & mask[1:-1] & mask[2:]
    return bool((rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]).any())
