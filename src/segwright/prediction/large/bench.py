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

    def blocks(self, shape: Triple | None = None) -> Blocks:
        """The blocks of the scan, or of a smaller level of a result."""
        return Blocks(shape or self.job.shape, self.job.block)

    def pieces(self, index: int) -> list[Box]:
        """A block in pieces of a chunk's depth along the axis in which windows pass over it."""
        box, deep = self.blocks().box(index), self.scan.deep
        size = [self.job.chunk[axis] if axis == deep else n for axis, n in enumerate(box.shape)]
        return [piece.shift(box.start) for piece in tile(box.shape, size)]

    @property
    def has_labels(self) -> bool:
        """Whether structures are decoded voxel by voxel."""
        return self.job.instances != "decoder"

    @property
    def keeps_scores(self) -> bool:
        """Whether scores are stored, as a result or for the objects."""
        return bool(self.job.scores or self.job.instances)

    @property
    def results(self) -> tuple[str, ...]:
        """Stores that people get."""
        names = ["labels"] if self.has_labels else []
        return (*names, *(["instances"] if self.job.instances else []), *(["scores"] if self.job.scores else []))

    def store(self, name: str) -> Path:
        """Folder of a store: `labels`, `scores`, `parts`, `instances`."""
        return self.folder / f"{name}.zarr"

    def pyramid(self, name: str) -> Pyramid:
        """What a store holds; `instances` are made when their number is known."""
        space = self.job.plan.labels
        planes, dtype, names = space.planes, np.dtype(np.uint8), space.names
        if name == "labels" and space.exclusive:
            dtype = space.to_values(np.zeros((1, 1, 1, 1), np.int16)).dtype
        if name == "scores":
            decoder = self.job.instances == "decoder"
            planes = self.target.channels if decoder else len(space.structures)
            dtype = np.dtype(self.job.scores or "uint8")
            names = () if decoder else names
        if name in {"parts", "instances"}:
            planes, dtype = (space.planes if self.has_labels else 1), self._id_type(name)
        if planes == 1:
            names = ()
        levels = self.job.levels if name in self.results else self.job.levels[:1]
        return Pyramid(
            planes, dtype, self.geometry, self.job.chunk, levels, names, self.receipt(name), self.job.version
        )

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

        scores = read_level(self.store("scores"), box)
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
