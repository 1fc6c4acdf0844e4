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
from segwright.core.trail import Trail
from segwright.io.load import load_image, load_label
from segwright.postprocess.chain import Chain, apply_to_scores
from segwright.postprocess.search import OutOfFold
from segwright.prediction.objects import find_objects
from segwright.prepare.pipeline import prepare_label, trail_from_data, trail_to_data
from segwright.prepare.restore import restore_scores


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

    @cached_property
    def place(self) -> Geometry | Trail:
        """Where the scores lie that were kept: on the scan's own grid, or at the end of the way from it."""
        file = _trail_file(self.run, self.case)
        return trail_from_data(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else self.geometry

    def stored(self) -> NDArray[np.uint8]:
        """The scores as the networks gave them, on `place`; mapped from disk."""
        mapped: NDArray[np.uint8] = np.load(self.run.scores_file(self.case), mmap_mode="r")
        return mapped

    def scores(self) -> NDArray[np.uint8]:
        """Scores `(K, z, y, x)` on the scan's own grid, 255 is 1."""
        place = self.place
        if not isinstance(place, Trail):
            return self.stored()
        return self._kept("scores", lambda: restore_scores(self.stored(), place))

    def reference(self) -> NDArray[Any]:
        """Canonical labels `(P, z, y, x)`."""
        case = self.run.dataset.case(self.case)
        return self._kept("reference", lambda: load_label(self.run.dataset, case, self.geometry))

    def predicted(self, chain: Chain) -> NDArray[Any]:
        """Canonical labels of the out-of-fold scores after post-processing."""
        plan = self.run.plan

        def make() -> NDArray[Any]:
            if plan.labels.instances:
                return find_objects(chain, self.stored(), plan, self.place)
            return apply_to_scores(chain, self.scores(), plan.labels, geometry=self.geometry)

        return self._kept(chain.to_json(), make)

    def at_scale(self) -> OutOfFold:
        """The case on the grid of the scores that were kept, where objects are to be found."""
        return AtScale(self, self.place) if isinstance(self.place, Trail) else self

    def _kept(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        return self.shelf.keep(f"{self.case} {name}", make) if self.shelf else make()


@dataclass
class AtScale:
    """A case as `postprocess.search.OutOfFold` on the grid that the network works on.

    Attributes:
        judged: The case.
        trail: Way to that grid.
    """

    judged: JudgedCase
    trail: Trail

    def __getattr__(self, name: str) -> Any:
        return getattr(self.judged, name)

    @property
    def geometry(self) -> Geometry:
        """The working grid."""
        return self.trail.target

    def scores(self) -> NDArray[np.uint8]:
        """All channels of the target, 255 is 1."""
        return self.judged.stored()

    def reference(self) -> NDArray[Any]:
        """Canonical labels."""
        return prepare_label(self.judged.reference(), self.trail, self.judged.run.plan.labels)


def _trail_file(run: Run, case: str) -> Path:
    return run.scores_file(case).with_suffix(".trail.json")


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
        found = model.scored(run.dataset, run.dataset.case(case))
        assert found.result.scores is not None
        _keep_trail(_trail_file(run, case), found.trail)
        with atomic_path(run.scores_file(case)) as partial, partial.open("wb") as file:
            np.save(file, found.result.scores)
        if "ordered" in found.provenance:
            with atomic_path(run.scores_file(case).with_suffix(".json")) as partial:
                partial.write_text(json.dumps(found.provenance["ordered"], indent=1), encoding="utf-8")
        done[case] = identify(run.scores_file(case))
        signals[case] = found.signals.to_data() if found.signals else {}
        Judged(networks=networks, cases=done, signals=signals).save(run.judged_file(fold))


def _keep_trail(file: Path, trail: Trail | None) -> None:
    """Store the way to the grid of a case's scores, which are not there yet; none where they lie on the scan's own."""
    if trail is None:
        file.unlink(missing_ok=True)
        return
    with atomic_path(file) as partial:
        partial.write_text(json.dumps(trail_to_data(trail)), encoding="utf-8")


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
