"""What a large prediction is about and how far it is: a document, and one small file a finished block."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from segwright.core.case import Dataset
from segwright.core.disk import atomic_path
from segwright.core.document import Document
from segwright.core.geometry import Triple
from segwright.core.identity import Identity
from segwright.core.plan import Plan
from segwright.postprocess.chain import Chain
from segwright.prediction.large.survey import Survey


class Job(Document):
    """All that a worker needs to do any block.

    Attributes:
        case: Name of the results.
        dataset: The one scan; its root is absolute.
        plan: Of the model.
        chain: Post-processing, whose thresholds are applied.
        weights: Weights file of each member.
        sha256: Of those files.
        tta: Average over mirrored copies.
        combine: How members are combined.
        device: Where networks run.
        threads: CPU threads a worker, `None` for torch's default.
        shape: Voxels `(z, y, x)` of the scan.
        dtype: Type of its voxels.
        block: Voxels a block writes.
        chunk: Chunk of the results.
        levels: Shrink factors of the results' pyramid.
        survey: Intensities.
        scores: Type in which scores are a result; empty where they are not.
        instances: Where objects come from: `components` of the labels, the model's `decoder`, or nowhere.
        decoder: Row of the decoders' table.
        decoder_params: Its numbers.
        working: Voxels of the grid that the network works on, where scores are decoded there and not on the scan's own.
        version: Zarr format of the results.
        outside: In what the scan is unlike those of training.
        inputs: Content of the scan's files; `None` in jobs of earlier versions.
    """

    filename: ClassVar[str] = "job.json"
    case: str
    dataset: Dataset
    plan: Plan
    chain: Chain | None = None
    weights: tuple[str, ...]
    sha256: tuple[str, ...]
    tta: bool = True
    combine: str = "mean"
    device: str = "auto"
    threads: int | None = None
    shape: Triple
    dtype: str
    block: Triple
    chunk: Triple
    levels: tuple[Triple, ...]
    survey: Survey
    scores: Literal["", "uint8", "float32"] = ""
    instances: Literal["", "components", "decoder"] = ""
    decoder: str = ""
    decoder_params: dict[str, Any] = Field(default_factory=dict)
    working: Triple | None = None
    version: int = 2
    outside: tuple[str, ...] = ()
    inputs: Identity | None = None

    @property
    def inputs_mark(self) -> str:
        """Changes with any byte of the scan's files, or any sampled one where these are very large."""
        return (self.inputs.content or self.inputs.stamp) if self.inputs else ""

    @property
    def model_mark(self) -> str:
        """Changes with anything about the model or the wish that changes the result."""
        parts = [self.plan.content_hash(), self.chain.content_hash() if self.chain else "", *self.sha256]
        wish = [self.tta, self.combine, self.scores, self.instances, self.decoder, self.decoder_params]
        wish += [self.working] if self.working else []
        return hashlib.sha256(json.dumps([parts, wish], sort_keys=True).encode()).hexdigest()[:12]

    @property
    def volume_mark(self) -> str:
        """Changes with the volume: its shape, type, and the intensities seen, unless parts could not be read."""
        seen = [] if self.survey.unreadable else [c.model_dump() for c in self.survey.channels]
        return hashlib.sha256(json.dumps([self.shape, self.dtype, seen]).encode()).hexdigest()[:12]

    def same_volume(self, other: Job, *, mended: bool = False) -> bool:
        """Whether two jobs are about one volume; statistics decide only where both are whole.

        Where blocks failed, parts of the scan are expected to be `mended`: then its files may hold something else.
        """
        if self.inputs and other.inputs and self.inputs_mark != other.inputs_mark and not mended:
            return False
        if self.survey.unreadable or other.survey.unreadable:
            return (self.shape, self.dtype) == (other.shape, other.dtype)
        return self.volume_mark == other.volume_mark


@dataclass(frozen=True)
class Record:
    """Which blocks of which step are finished; survives a kill at any moment.

    Attributes:
        folder: Of the job.
    """

    folder: Path

    def finished(self, step: str) -> set[int]:
        """Indices of finished blocks."""
        return _indices(self.folder / "done" / step)

    def failed(self, step: str) -> dict[int, str]:
        """Blocks that failed, with the reason."""
        place = self.folder / "failed" / step
        return {i: json.loads((place / f"{i}.json").read_text(encoding="utf-8"))["error"] for i in _indices(place)}

    @property
    def has_failed(self) -> bool:
        """Whether any block of any step has."""
        return any(_indices(place) for place in (self.folder / "failed").glob("*"))

    def finish(self, step: str, index: int, facts: dict[str, Any]) -> None:
        """Note a block as finished; call it after its results are stored."""
        _write(self.folder / "done" / step / f"{index}.json", facts)
        for kind in ("failed", "under-way"):
            (self.folder / kind / step / f"{index}.json").unlink(missing_ok=True)

    def advance(self, step: str, index: int, share: float) -> None:
        """Note how much of a block is done, for people who watch."""
        _write(self.folder / "under-way" / step / f"{index}.json", {"share": share}, durable=False)

    def under_way(self, step: str) -> float:
        """How many blocks' worth is done of those that are not finished."""
        place, total = self.folder / "under-way" / step, 0.0
        for index in _indices(place):
            with suppress(OSError, ValueError):  # a worker has finished it in the meantime
                total += float(json.loads((place / f"{index}.json").read_text(encoding="utf-8"))["share"])
        return total

    def forget_shares(self, step: str) -> None:
        """Take blocks that an interrupted call left half done for not begun."""
        shutil.rmtree(self.folder / "under-way" / step, ignore_errors=True)

    def fail(self, step: str, index: int, error: str) -> None:
        """Note why a block has no result."""
        _write(self.folder / "failed" / step / f"{index}.json", {"error": error})

    def facts(self, step: str) -> list[dict[str, Any]]:
        """What finished blocks told."""
        place = self.folder / "done" / step
        return [json.loads((place / f"{i}.json").read_text(encoding="utf-8")) for i in sorted(_indices(place))]

    def forget(self, steps: Iterable[str]) -> None:
        """Take steps for undone."""
        for step in steps:
            for kind in ("done", "failed"):
                for index in _indices(self.folder / kind / step):
                    (self.folder / kind / step / f"{index}.json").unlink(missing_ok=True)


def _indices(place: Path) -> set[int]:
    """Numbers of the files `N.json` of a folder, which may be missing."""
    return {int(file.stem) for file in place.glob("[0-9]*.json")} if place.is_dir() else set()


def _write(file: Path, data: dict[str, Any], *, durable: bool = True) -> None:
    with atomic_path(file, durable=durable) as partial:
        partial.write_text(json.dumps(data), encoding="utf-8")
