"""What a TIFF says about its samples: how they are shown (palette, white is zero) and which of them is transparency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.volume import Index, LazyArray
from segwright.io.alpha import flattened

#: Values of the tags PhotometricInterpretation and ExtraSamples (TIFF 6.0, sections 8 and 18).
_WHITE_IS_ZERO, _RGB, _PALETTE = 0, 2, 3
_ALPHA = frozenset({1, 2})
#: Photometric interpretations other than RGB that decode to three colours: CMYK apart, YCbCr and CIELab.
_COLOURS = frozenset({_RGB, 6, 8})


@dataclass(frozen=True)
class Look:
    """How stored numbers are shown.

    Attributes:
        table: Shown values `(stored values, 1 or 3)` of a palette.
        white: The number that is shown as black where white is zero.
        told: Sentences for a person.
    """

    table: NDArray[np.uint8] | None = None
    white: int | None = None
    told: tuple[str, ...] = ()

    def applied(self, read: Callable[[Index], NDArray[Any]], index: Index) -> NDArray[Any]:
        """Part `index` of what is shown; `read` gives stored numbers, which have no axis of colours."""
        if self.table is not None:
            return self.table[read(index[:-1])][..., index[-1]]
        array = read(index)
        return (self.white - array).astype(array.dtype) if self.white is not None else array


PLAIN = Look()


def look_of(page: Any) -> Look:
    """The look of a page; numbers of more than 16 bits, signed or real ones are shown as stored."""
    whole = page.dtype is not None and page.dtype.kind in "ub"
    if page.photometric == _WHITE_IS_ZERO and whole:
        return Look(white=(1 << page.bitspersample) - 1, told=("Zero means white in this file; values are inverted.",))
    if page.photometric == _PALETTE and whole and page.colormap is not None:
        table = np.asarray(page.colormap).T
        table = (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)
        return Look(table=table[:, :1] if (table == table[:, :1]).all() else table)
    return PLAIN


@dataclass(frozen=True)
class Samples:
    """What the samples of a pixel are.

    Attributes:
        count: How many there are.
        colour: Whether the first three are colours.
        alpha: Place of the transparency among them, if any.
    """

    count: int = 1
    colour: bool = False
    alpha: int | None = None

    def without_alpha(self, data: LazyArray, *, flat: bool, told: list[str]) -> LazyArray:
        """The other samples as channels; with `flat`, clear pixels of single planes are 0.

        Several pages or channels of such pixels stay as they are: which of the planes is transparency is still known
        to the format, but no label is made so.
        """
        if self.alpha is None or data.shape[0] != self.count:
            return data
        rest = [i for i in range(self.count) if i != self.alpha]

        def read(index: Index) -> NDArray[Any]:
            if not flat:
                return data[(slice(0, self.count), *index[1:])][rest][index[0]]
            planes = data[(slice(0, self.count), index[1], *(slice(0, n) for n in data.shape[2:]))]
            whole = [flattened(np.moveaxis(z[rest], 0, -1), z[self.alpha]) for z in np.moveaxis(planes, 1, 0)]
            return np.moveaxis(np.stack(whole), -1, 0)[(index[0], slice(None), *index[2:])]

        told.append(
            "The label has a transparency channel; clear pixels are read as background."
            if flat
            else f"Sample {self.alpha + 1} of each pixel (transparency) is dropped."
        )
        return LazyArray((len(rest), *data.shape[1:]), data.dtype, read)


def samples_of(page: Any) -> Samples:
    """The samples of a page; only what the header calls alpha is."""
    extra = tuple(int(kind) for kind in page.extrasamples or ())
    count = int(page.samplesperpixel)
    base = count - len(extra)
    alpha = next((base + i for i, kind in enumerate(extra) if kind in _ALPHA), None)
    return Samples(count, int(page.photometric) in _COLOURS and base >= 3, alpha)
