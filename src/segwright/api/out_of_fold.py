"""Cases predicted by the member that did not see them: scores and references, kept on disk, read when asked for."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from segwright.api.run import Judged, Run
from segwright.core.disk import atomic_path
from segwright.core.events import Listen, Stage, tracked
from segwright.core.geometry import Geometry
from segwright.core.identity import identify
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

    @property
    def orientation(self) -> str | None:
        """Axis codes on which the network saw the scan."""
        return self.run.plan.prepare.orientation

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
        space, geometry, orientation = self.run.plan.labels, self.geometry, self.orientation

        def make() -> NDArray[Any]:
            return apply_to_scores(chain, self.scores(), space, geometry=geometry, orientation=orientation)

        return self._kept(chain.to_json(), make)

    def _kept(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        return self.shelf.keep(f"{self.case} {name}", make) if self.shelf else make()


def predict_out_of_fold(run: Run, fold: int, *, device: str, listen: Listen) -> None:
    """Fill `out-of-fold/` for the validation cases of a finished fold; scores that its networks made are kept."""
    from segwright.prediction.model import Model

    waiting = run.unjudged(fold)
    if not waiting:
        return
    done = {case: identify(run.scores_file(case)) for case in set(run.split.folds[fold].validation) - set(waiting)}
    signals = {case: run.signals(fold)[case] for case in done if case in run.signals(fold)}
    networks = identify(run.weights(fold))
    listen(Stage("validate", fold=fold, cases=len(waiting)))
    model = Model(run.plan_of(fold), run.weights(fold), device=device, watched=True)
    for case in tracked(waiting, listen, "validate"):
        prediction = model.segment(run.dataset, run.dataset.case(case), keep_scores=True)
        assert prediction.scores is not None
        with atomic_path(run.scores_file(case)) as partial, partial.open("wb") as file:
            np.save(file, prediction.scores)
        if "ordered" in prediction.provenance:
            with atomic_path(run.scores_file(case).with_suffix(".json")) as partial:
                partial.write_text(json.dumps(prediction.provenance["ordered"], indent=1), encoding="utf-8")
        done[case] = identify(run.scores_file(case))
        signals[case] = prediction.signals.to_data() if prediction.signals else {}
        Judged(networks=networks, cases=done, signals=signals).save(run.judged_file(fold))


_PREFIX = ".kept-"


class Shelf:
    """A hidden folder of arrays that goes when the shelf does.

    Reading a label costs decoding, joining and checking; mapping what came of it costs next to nothing, and memory is
    only taken while there is some to spare.

    Args:
        place: Folder to make it in; what a process that was killed has left there is removed.
    """

    def __init__(self, place: Path) -> None:
        for left in place.glob(f"{_PREFIX}*"):
            if not psutil.pid_exists(int(left.name.removeprefix(_PREFIX).partition("-")[0])):
                shutil.rmtree(left, ignore_errors=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        self._files: dict[str, Path] = {}
        self._end = weakref.finalize(self, shutil.rmtree, self._folder, True)

    def keep(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of that name, read-only; `make` is called the first time only."""
        if name not in self._files:
            file = self._folder / f"{len(self._files)}.npy"
            np.save(file, make())
            self._files[name] = file
        mapped: NDArray[Any] = np.asarray(np.load(self._files[name], mmap_mode="r"))
        return mapped

    def close(self) -> None:
        """Remove the folder now."""
        self._end()
