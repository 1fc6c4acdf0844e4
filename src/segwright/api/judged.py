"""A case with out-of-fold scores and its reference, read when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.api.run import Run
from segwright.api.shelf import Shelf
from segwright.core.geometry import Geometry
from segwright.io.load import load_image, load_label
from segwright.postprocess.chain import Chain, apply_to_scores


@dataclass
class JudgedCase:
    """One validation case of a finished fold.

    Attributes:
        run: Its run.
        case: Case id.
        fold: Fold whose member predicted it.
        shelf: Keeps what is read and made; without one that is done anew whenever it is asked for.
    """

    run: Run
    case: str
    fold: int | None
    shelf: Shelf | None = None

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
        case = self.run.dataset.case(self.case)
        return self._kept("reference", lambda: load_label(self.run.dataset, case, self.geometry))

    def predicted(self, chain: Chain) -> NDArray[Any]:
        """Canonical labels of the out-of-fold scores after post-processing."""
        space, geometry = self.run.plan.labels, self.geometry
        return self._kept(chain.to_json(), lambda: apply_to_scores(chain, self.scores(), space, geometry=geometry))

    def _kept(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        return self.shelf.keep(f"{self.case} {name}", make) if self.shelf else make()
