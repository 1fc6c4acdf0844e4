"""Decides how a large scan is predicted: whether by blocks at all, how large they are, and what is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segwright.core.case import Case, Dataset
from segwright.core.errors import DataError
from segwright.core.geometry import Triple
from segwright.core.identity import digest_of, identify
from segwright.core.plan import Plan
from segwright.core.volume import Volume
from segwright.io.companions import files_of_case
from segwright.io.load import load_image
from segwright.io.omezarr import CHUNK, level_factors
from segwright.planning.machine import this_machine, usable_cores
from segwright.planning.memory import prediction_bytes, scan_bytes
from segwright.prediction.admit import admit, refuse_coarse, refuse_plane
from segwright.prediction.large.box import DEEP
from segwright.prediction.large.grid import LARGEST, block_size
from segwright.prediction.large.job import Job
from segwright.prediction.large.scan import LazyScan
from segwright.prediction.large.survey import BOXES, survey
from segwright.prediction.model import Model
from segwright.prediction.objects import objects_at_scale, usual_chain
from segwright.prepare.pipeline import seen_grid, target_shape
from segwright.targets import build_target, target_info

#: Bytes of a worker's interpreter and libraries, before it reads a voxel.
BASE = 600 * 2**20

#: Share of the memory that is free now which is used where nobody says how much.
SHARE = 0.6

#: Blocks for each worker at least, so that all of them are busy nearly to the end.
BLOCKS_EACH = 8

#: Formats of which a box can be read without decoding the whole file.
SLICED = frozenset({"zarr", "n5", "hdf5", "sections", "npy", "tiff"})


@dataclass(frozen=True)
class Wish:
    """What a person asks of a large prediction.

    Attributes:
        workers: Processes on this machine; 0 for none beside this one.
        scheduler: Address of a dask scheduler.
        memory: Bytes for all workers together; a share of what is free, if not given.
        scores: Keep scores as well, in this type.
        instances: Number the connected components of the labels.
        block: Voxels `(z, y, x)` a block, instead of what memory allows.
        strict: Refuse scans that are unlike those the model learnt from.
        refuse_flagged: Keep results that a person should look at apart from the others.
        hands: Blocks that the workers of the scheduler do at once, found by asking it.
    """

    workers: int = 0
    scheduler: str | None = None
    memory: float | None = None
    scores: Literal["", "uint8", "float32"] = ""
    instances: bool = False
    block: Triple | None = None
    strict: bool = False
    refuse_flagged: bool = False
    hands: int = 0

    @property
    def asked(self) -> bool:
        """Whether something was asked that only blocks give."""
        return bool(self.workers or self.scheduler or self.scores or self.instances or self.block)

    @property
    def budget(self) -> float:
        """Bytes for all workers together."""
        return self.memory if self.memory is not None else SHARE * this_machine().memory


def too_large(volume: Volume, plan: Plan, budget: float) -> bool:
    """Whether a scan is better read by boxes: it would not fit in memory, and its format can be."""
    if volume.header.get("format") not in SLICED:
        return False
    raw = math.prod(volume.data.shape) * (volume.dtype.itemsize + 4)
    shape = target_shape(seen_grid(volume.geometry, plan.prepare), plan.prepare)
    labels = math.prod(volume.geometry.shape) * 2 * plan.labels.planes
    return raw + labels + scan_bytes(plan.net, plan.window.size, shape) + BASE > budget


def plan_job(model: Model, dataset: Dataset, case: Case, wish: Wish) -> Job:
    """Everything about predicting one scan by blocks.

    Raises:
        OutOfMemoryError: Not even one block fits.
        ReadError: The scan cannot be read.
        DomainError: It is a single plane where depth is needed, or unlike those of training where that is refused.
    """
    alone = dataset.select([case.id]).model_copy(update={"root": str(Path(dataset.root).resolve())})
    volume = load_image(alone, case)
    refuse_plane(volume, model.plan)
    refuse_coarse(volume, model.plan)
    decoder, params = _decoder(model)
    seen = survey(volume, model.plan.prepare.normalise, model.plan.seed)
    few, domain = seen.boxes < BOXES, model.domain
    outside = admit(volume, seen.appearance, model.plan, domain=domain, strict=wish.strict, whole=few)
    scan = LazyScan(volume, model.plan.prepare, seen)
    chunk, block = _block(model, scan, wish, bool(wish.instances or decoder))
    hashes = {} if model.manifest is None else {one.weights: one.sha256 for one in model.manifest.members}
    return Job(
        case=case.id,
        dataset=alone,
        plan=model.plan,
        chain=model.chain,
        weights=tuple(str(Path(path).resolve()) for path in model.weights),
        sha256=tuple(hashes.get(Path(path).name, "") or digest_of(Path(path)) for path in model.weights),
        tta=model.tta,
        combine=model.combine,
        device=model.device,
        threads=max(1, usable_cores() // wish.workers) if wish.workers else None,
        shape=volume.geometry.shape,
        dtype=str(volume.dtype),
        block=block,
        chunk=chunk,
        levels=level_factors(volume.geometry),
        survey=seen,
        scores=wish.scores,
        instances="decoder" if decoder else "components" if wish.instances else "",
        decoder=decoder,
        decoder_params=params,
        working=scan.shape if decoder and objects_at_scale(model.plan) and scan.shape != scan.grid.shape else None,
        version=int(volume.header.get("zarr_format", 2)),
        outside=outside,
        inputs=identify(files_of_case(alone, case)),
    )


def _decoder(model: Model) -> tuple[str, dict[str, Any]]:
    """Row and numbers of the decoder that makes the model's objects; empty for a model of structures."""
    if not model.plan.labels.instances:
        return "", {}
    chosen = (model.chain.decoder if model.chain else None) or usual_chain(model.plan.target).decoder
    assert chosen is not None
    return chosen.name, dict(chosen.params)


def refusal(model: Model) -> str:
    """Why a model cannot work block by block; empty if it can."""
    if type(model) is not Model:
        return "an ensemble of several models mixes whole scans"
    if target_info(model.plan.target).ordered:
        return "its structures are named over the whole scan"
    return ""


def _block(model: Model, scan: LazyScan, wish: Wish, instances: bool) -> tuple[Triple, Triple]:
    """Chunk and block of the results."""
    shape = scan.volume.geometry.shape
    if wish.block is not None:
        wanted = [min(b, n) for b, n in zip(wish.block, shape, strict=True)]
        z, y, x = (min(c, w) for c, w in zip(CHUNK, wanted, strict=True))
        size = [-(-w // c) * c for w, c in zip(wanted, (z, y, x), strict=True)]
        return (z, y, x), (size[0], size[1], size[2])
    z, y, x = (min(c, n) for c, n in zip(CHUNK, shape, strict=True))
    workers = max(1, wish.workers, wish.hands)
    memory = wish.budget / workers - BASE
    if memory <= 0:
        raise DataError(
            "Memory does not suffice for so many workers.",
            expected=f"more than {BASE / 2**30:.2g} GB a worker",
            got=f"{wish.budget / workers / 2**30:.2g} GB",
            hint="Allow more with --memory, or use fewer workers.",
        )
    cost = _Cost(model, scan, instances)
    margin = tuple(2 * m for m in cost.margin)
    largest = min(LARGEST, math.prod(shape) // (BLOCKS_EACH * workers))
    return (z, y, x), block_size(shape, (z, y, x), margin, cost=cost, memory=memory, largest=largest)  # type: ignore[arg-type]


class _Cost:
    """Bytes at the peak of predicting a block, by count of the arrays that live together."""

    def __init__(self, model: Model, scan: LazyScan, instances: bool) -> None:
        plan = model.plan
        self.channels = len(plan.channels)
        self.outputs = build_target(plan.target, plan.labels).channels
        self.raw = scan.volume.dtype.itemsize
        self.ratio = [p / g for p, g in zip(scan.shape, scan.grid.shape, strict=True)]
        if scan.turned is not None:
            self.ratio = [self.ratio[scan.turned.order.index(axis)] for axis in range(3)]
        self.resampled = any(r != 1 for r in self.ratio)
        window = [w + 2 * c for w, c in zip(plan.window.size, plan.net.context, strict=True)]
        if scan.turned is not None:
            window = [window[scan.turned.order.index(axis)] for axis in range(3)]
        self.deep, self.window = scan.deep, max(1, round(window[scan.deep] / self.ratio[scan.deep]))
        self.chunk = CHUNK[scan.deep]
        self.margin = [max(1, round(w / r)) if n > w else 0
                       for w, r, n in zip(window, self.ratio, scan.volume.geometry.shape, strict=True)]  # fmt: skip
        self.forward = prediction_bytes(
            plan.net, plan.window.size, plan.window.batch, members=max(1, len(model.weights))
        )
        self.instances = instances

    def __call__(self, size: Triple) -> float:
        around = [s + 2 * m for s, m in zip(size, self.margin, strict=True)]
        depth = min(around[self.deep], DEEP)
        planes = min(around[self.deep], self.window + DEEP)
        plane = math.prod(around) / around[self.deep] * self.channels
        read = plane * depth * (self.raw + 5 + (4 * math.prod(self.ratio) if self.resampled else 0))
        image = plane * planes * math.prod(self.ratio) * 4
        chunk = min(size[self.deep], self.chunk)
        voxels = math.prod(size) / size[self.deep]
        sums = voxels * min(size[self.deep], self.window + 2 * chunk) * math.prod(self.ratio) * self.outputs * 4
        piece = voxels * chunk * (self.outputs * (5 if self.resampled else 1) + 6)
        objects = math.prod(size) * max(1, math.prod(self.ratio)) * (self.outputs * 6 + 32) if self.instances else 0.0
        return max(read + image + sums + piece + self.forward, objects)
