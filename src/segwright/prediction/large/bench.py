"""What a worker keeps open between blocks: the job, the scan, the networks, and where results go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segwright.core.box import Box, tile
from segwright.core.geometry import Geometry, Triple
from segwright.core.volume import Volume
from segwright.io.load import load_image
from segwright.io.omezarr import Pyramid
from segwright.postprocess.decode import decode
from segwright.prediction.large.grid import Blocks
from segwright.prediction.large.job import Job, Record
from segwright.prediction.large.scan import LazyScan
from segwright.prediction.model import Model
from segwright.targets import build_target
from segwright.targets.protocol import Target


@dataclass(frozen=True)
class Bench:
    """A job opened for work.

    Attributes:
        folder: Of the job; results grow in it.
        job: What to do.
    """

    folder: Path
    job: Job

    @cached_property
    def record(self) -> Record:
        """Which blocks are done."""
        return Record(self.folder)

    @cached_property
    def volume(self) -> Volume:
        """The scan, read box by box."""
        return load_image(self.job.dataset, self.job.dataset.cases[0])

    @cached_property
    def scan(self) -> LazyScan:
        """The scan as the network sees it."""
        return LazyScan(self.volume, self.job.plan.prepare, self.job.survey)

    @cached_property
    def geometry(self) -> Geometry:
        """The scan's own grid."""
        return self.volume.geometry

    @cached_property
    def target(self) -> Target:
        """Codec of the plan."""
        return build_target(self.job.plan.target, self.job.plan.labels)

    @cached_property
    def model(self) -> Model:
        """The networks."""
        job = self.job
        if job.threads:
            torch.set_num_threads(job.threads)
        weights = [Path(path) for path in job.weights]
        return Model(job.plan, weights, device=job.device, tta=job.tta, combine=job.combine)

    @property
    def working(self) -> bool:
        """Whether scores stay on the grid that the network works on, and objects are found there."""
        return self.job.working is not None

    @cached_property
    def grid(self) -> Geometry:
        """The grid on which scores are made and objects found: the scan's own, or the one the network works on."""
        return self.geometry if self.job.working is None else self.scan.grid.resample(self.job.working)

    def blocks(self, level: int | None = None) -> Blocks:
        """The blocks of the grid of scores and objects, or of a level of the results."""
        if level is None:
            return Blocks(self.grid.shape, self._at_work(self.job.block))
        return Blocks(self.level_shape(level), self.job.block)

    def _at_work(self, size: Triple) -> Triple:
        """A size on the scan's own grid as about the same part of the grid of objects, in whole chunks."""
        if self.job.working is None:
            return size
        order = self.scan.turned.order if self.scan.turned else (0, 1, 2)
        ends = zip(order, self.job.working, self.scan.grid.shape, strict=True)
        z, y, x = (size[a] // self.job.chunk[a] * max(1, round(self.job.chunk[a] * m / n)) for a, m, n in ends)
        return z, y, x

    def pieces(self, index: int) -> list[Box]:
        """A block in boxes of the turned (or working) grid, a chunk deep each, in the order in which windows pass."""
        box, deep = self.blocks().box(index), 0 if self.working else self.scan.deep
        chunk = self._at_work(self.job.chunk)
        size = [chunk[axis] if axis == deep else n for axis, n in enumerate(box.shape)]
        parts = [piece.shift(box.start) for piece in tile(box.shape, size)]
        return sorted(parts if self.working else map(self.scan.to_turned, parts), key=lambda part: part.start)

    @property
    def has_labels(self) -> bool:
        """Whether structures are decoded voxel by voxel."""
        return self.job.instances != "decoder"

    @property
    def scores(self) -> str:
        """Store of the scores that are kept, as a result or for the objects; empty where none are."""
        if self.working:
            return "working"
        return "scores" if self.job.scores or self.job.instances else ""

    @property
    def results(self) -> tuple[str, ...]:
        """Stores that people get."""
        names = ["labels"] if self.has_labels else []
        return (*names, *(["instances"] if self.job.instances else []), *(["scores"] if self.job.scores else []))

    @property
    def numbered(self) -> str:
        """Store of the final ids on the grid of objects."""
        return "numbered" if self.working else "instances"

    def store(self, name: str) -> Path:
        """Folder of a store: `labels`, `scores`, `parts`, `instances`; `working`, `numbered` on the working grid."""
        return self.folder / f"{name}.zarr"

    def pyramid(self, name: str) -> Pyramid:
        """What a store holds; `instances` are made when their number is known."""
        space = self.job.plan.labels
        planes, dtype, names = space.planes, np.dtype(np.uint8), space.names
        if name == "labels" and space.exclusive:
            dtype = space.to_values(np.zeros((1, 1, 1, 1), np.int16)).dtype
        if name in {"scores", "working"}:
            decoder = self.job.instances == "decoder"
            planes = self.target.channels if decoder else len(space.structures)
            dtype = np.dtype(self.job.scores or "uint8")
            names = () if decoder else names
        if name in {"parts", "numbered", "instances"}:
            planes, dtype = (space.planes if self.has_labels else 1), self._id_type(name)
        if planes == 1:
            names = ()
        result = name in self.results
        grid, chunk = (self.geometry, self.job.chunk) if result else (self.grid, self._at_work(self.job.chunk))
        levels = self.job.levels if result else self.job.levels[:1]
        return Pyramid(planes, dtype, grid, chunk, levels, names, self.receipt(name), self.job.version)

    def level_shape(self, level: int) -> Triple:
        """Voxels `(z, y, x)` of a level of any result."""
        z, y, x = (-(-n // f) for n, f in zip(self.job.shape, self.job.levels[level], strict=True))
        return z, y, x

    def _id_type(self, name: str) -> np.dtype[Any]:
        """Parts are numbered within a block; ids take the smallest type, of 16 bits or more, that holds them all."""
        if name == "parts":
            return np.dtype(np.uint32)
        with np.load(self.folder / "objects.npz") as stored:
            return np.promote_types(np.min_scalar_type(len(stored["voxels"])), np.uint16)

    def receipt(self, name: str) -> dict[str, Any]:
        """What a result says of itself."""
        job = self.job
        told = {"content": name, "model": job.model_mark, "volume": job.volume_mark, "block": list(job.block)}
        names = list(job.plan.labels.names)
        told |= {"inputs": job.inputs_mark} if job.inputs else {}
        return told | {"structures": names, "intensities": str(job.survey)}

    def labels_of(self, scores: NDArray[np.float32]) -> NDArray[Any]:
        """Canonical labels `(P, z, y, x)`, by the chain's thresholds where it has some."""
        chain = self.job.chain
        if chain is None or not chain.needs_scores:
            return self.target.decode(scores)
        whole = quantised(self.target.structure_scores(scores), np.dtype(np.uint8))
        return decode(whole, self.job.plan.labels, thresholds=chain.thresholds, foreground=chain.foreground)

    def stored_labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Canonical labels as they are written: the values of label files, or one mask a structure."""
        space = self.job.plan.labels
        return space.to_values(labels)[None] if space.exclusive else (labels == 1).astype(np.uint8)

    def stored_scores(self, scores: NDArray[np.float32]) -> NDArray[Any]:
        """Scores as they are written."""
        kept = scores if self.job.instances == "decoder" else self.target.structure_scores(scores)
        return quantised(kept, np.dtype(self.job.scores or "uint8"))

    def canonical(self, values: NDArray[Any]) -> NDArray[Any]:
        """Written labels `(P, ...)` as structure numbers from 1, 0 where there is none."""
        space = self.job.plan.labels
        return space.from_values(values[0]) if space.exclusive else values

    def structure_score(self, labels: NDArray[Any], box: Box) -> NDArray[np.float32]:
        """Score `(P, ...)` of each voxel's own structure; of a decoder's objects, the first channel's."""
        from segwright.io.omezarr import read_level

        scores = read_level(self.store(self.scores), box)
        if not self.has_labels:
            chosen = scores[:1]
        elif self.job.plan.labels.exclusive:
            chosen = np.take_along_axis(scores, np.maximum(labels.astype(np.int64) - 1, 0), axis=0)
        else:
            chosen = scores
        return chosen.astype(np.float32) / np.float32(255 if scores.dtype == np.uint8 else 1)


def quantised(scores: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Scores from 0 to 1 as uint8 where 255 is 1, or as they are.

    Example:
        >>> quantised(np.array([0.0, 0.5, 1.0], np.float32), np.dtype("uint8")).tolist()
        [0, 128, 255]
    """
    if dtype == np.uint8:
        return np.rint(np.clip(scores, 0, 1) * 255).astype(np.uint8)
    return scores.astype(dtype, copy=False)


def opened(folder: str | Path) -> Bench:
    """The bench of a job; kept until the job's file changes."""
    file = Path(folder) / Job.filename
    stamp = file.stat()
    return _opened(str(folder), stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=1)
def _opened(folder: str, changed: int, size: int) -> Bench:
    return Bench(Path(folder), Job.load(Path(folder) / Job.filename))
