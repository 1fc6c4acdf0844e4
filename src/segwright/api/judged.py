"""A case with out-of-fold scores and its reference, read when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.api.run import Run
from segwright.core.geometry import Geometry
from segwright.io.load import load_image, load_label

#: Arrays up to this many bytes are kept once read; larger ones are read again.
KEEP_BYTES = 8_000_000


@dataclass
class JudgedCase:
    """One validation case of a finished fold.

    Attributes:
        run: Its run.
        case: Case id.
        fold: Fold whose member predicted it.
    """

    run: Run
    case: str
    fold: int | None

    @property
    def group(self) -> str:
        """Patient."""
        return self.run.split.groups[self.case]

    @cached_property
    def geometry(self) -> Geometry:
        """The scan's own grid."""
        return load_image(self.run.dataset, self.run.dataset.case(self.case)).geometry

    def scores(self) -> NDArray[np.uint8]:
        """Structure scores `(K, z, y, x)`, 255 is 1; mapped from disk."""
        mapped: NDArray[np.uint8] = np.load(self.run.scores_file(self.case or ""), mmap_mode="r")
        return mapped

    def reference(self) -> NDArray[Any]:
        """Canonical labels `(P, z, y, x)`."""
        kept = self.__dict__.get("_reference")
        if kept is not None:
            return kept
        labels = load_label(self.run.dataset, self.run.dataset.case(self.case), self.geometry)
        if labels.nbytes <= KEEP_BYTES:
            self.__dict__["_reference"] = labels
        return labels
