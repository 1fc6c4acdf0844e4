"""Prepared cases on disk, keyed by everything they depend on; safe under several writers and under a kill."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset
from segwright.core.disk import atomic_path
from segwright.core.errors import WriteError
from segwright.core.geometry import Spacing
from segwright.core.identity import Identity, identify, still
from segwright.core.labels import LabelSpace
from segwright.core.plan import PreparePlan
from segwright.core.seed import derive
from segwright.core.trail import Trail
from segwright.io.companions import files_of_case, reading_of
from segwright.prepare.pipeline import Prepared, trail_from_data, trail_to_data

#: Raised whenever what is stored, or how it is made, changes.
VERSION = 2
#: Where a stored case says what it is, and digits that its name ends with.
RECORD, DIGITS = "case.json", 16
#: Foreground positions kept a structure.
MOST_POSITIONS = 10_000
#: Leftovers of killed writers are removed after this many seconds.
STALE_SECONDS = 6 * 3600

Make = Callable[[], tuple[Prepared, NDArray[Any] | None]]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedCase:
    """A case ready to sample from; arrays are mapped from disk and read where touched.

    Attributes:
        folder: Where it lies; pickling sends only this.
        image: `(C, z, y, x)`.
        label: Canonical labels `(P, z, y, x)`, or `None` for a case without.
        foreground: For each structure, up to 10,000 of its voxels, int32 `(n, 3)`; a fixed random choice if more.
        trail: Spatial steps from the source grid.
        repaired: Voxels that were not finite.
    """

    folder: Path
    image: NDArray[Any]
    label: NDArray[Any] | None
    foreground: tuple[NDArray[np.int32], ...]
    trail: Trail
    repaired: int

    @property
    def spacing(self) -> Spacing:
        """Millimetres a voxel of the prepared grid; `None` where unknown."""
        return self.trail.target.spacing

    def __reduce__(self) -> tuple[Callable[[Path], PreparedCase], tuple[Path]]:
        return open_case, (self.folder,)


class Cache:
    """A folder of prepared cases.

    Args:
        folder: Created where missing; leftovers of killed writers in it are removed.
        space: Meaning of the labels, needed to list foreground voxels.
        dtype: Of stored images: `float32`, or `float16` at half the size.
    """

    def __init__(self, folder: str | Path, *, space: LabelSpace, dtype: str = "float32") -> None:
        self.folder = Path(folder)
        self.space = space
        self.dtype = np.dtype(dtype)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self._sweep()

    def key(self, dataset: Dataset, case: Case, plan: PreparePlan) -> str:
        """A name that changes with the content of the case's files, how they are read, and the plan."""
        files = [identify(files_of_case(dataset, case, labels=labels)) for labels in (False, True)]
        parts = {
            "version": VERSION,
            "dtype": self.dtype.name,
            "reading": reading_of(dataset, case, labels=True),
            "files": [[one.sample, one.content or one.stamp] for one in files],
            "labels": self.space.model_dump(mode="json"),
            "plan": plan.model_dump(mode="json"),
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:DIGITS]
        return f"{case.id}-{digest}"

    def get(self, key: str, make: Make) -> PreparedCase:
        """The case stored under `key`; made and stored first if it is absent or damaged.

        Raises:
            WriteError: The disk takes no more, or the folder refuses writing.
        """
        for _ in range(3):  # a writer next door may replace the entry between our writing and opening
            found = self.find(key)
            if found is not None:
                return found
            self._store(key, *make())
        raise WriteError(
            "A prepared case cannot be read back.",
            where=self.folder / key,
            hint="Delete the cache folder and check the disk.",
        )

    def find(self, key: str) -> PreparedCase | None:
        """The case stored under `key`, or `None` if it is absent or not what was written."""
        try:
            folder = self.folder / key
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            if still(Identity.model_validate(record["content"]), _arrays(folder)) is None:
                return None
            return open_case(folder)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None

    def _store(self, key: str, prepared: Prepared, label: NDArray[Any] | None) -> None:
        try:
            with atomic_path(self.folder / key) as partial:
                partial.mkdir()
                self._write(partial, prepared, label)
            self._sweep_others(key)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
                # another writer was faster and its entry is as good as ours; what both moved aside is nobody's
                for old in self.folder.glob(f".old-*-{glob.escape(key)}"):
                    shutil.rmtree(old, ignore_errors=True)
                return
            raise _unwritable(self.folder, error) from error

    def _write(self, folder: Path, prepared: Prepared, label: NDArray[Any] | None) -> None:
        np.save(folder / "image.npy", prepared.array.astype(self.dtype, copy=False))
        if label is not None:
            np.save(folder / "label.npy", label)
        lists = foreground_of(label, self.space) if label is not None else ()
        np.save(folder / "foreground.npy", np.concatenate([np.zeros((0, 3), np.int32), *lists]))
        record = {
            "shape": list(prepared.array.shape),
            "labelled": label is not None,
            "counts": [len(positions) for positions in lists],
            "repaired": prepared.repaired,
            "trail": trail_to_data(prepared.trail),
            "content": identify(_arrays(folder)).model_dump(),
        }
        (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")

    def _sweep_others(self, key: str) -> None:
        """Remove what the same case was before its files, or the plan, changed."""
        name = glob.escape(key[:-DIGITS])
        for other in self.folder.glob(name + "[0-9a-f]" * DIGITS):
            if other.name != key:
                shutil.rmtree(other, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed writers left behind long ago; younger ones may still be at work."""
        for pattern in (".partial-*", ".old-*"):
            for path in self.folder.glob(pattern):
                try:
                    old = time.time() - path.stat().st_mtime > STALE_SECONDS
                except OSError:
                    continue  # its writer has just finished
                if old:
                    shutil.rmtree(path, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> WriteError:
    return WriteError(
        "Cannot write to the cache.",
        got=str(error),
        where=folder,
        hint="Free disk space, or choose another folder for the cache.",
    )


def _arrays(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def open_case(folder: Path) -> PreparedCase:
    """Map a stored case.

    Raises:
        OSError, ValueError, KeyError: A file is missing, cut short, or disagrees with the others.
    """
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    image = _mapped(folder / "image.npy")
    label = _mapped(folder / "label.npy") if record["labelled"] else None
    positions = np.load(folder / "foreground.npy", allow_pickle=False)
    trail = trail_from_data(record["trail"])
    if list(image.shape) != record["shape"] or image.shape[1:] != trail.target.shape:
        raise ValueError(f"{folder}: image and record differ in shape")
    if label is not None and label.shape[1:] != image.shape[1:]:
        raise ValueError(f"{folder}: image and label differ in shape")
    if len(positions) != sum(record["counts"]):
        raise ValueError(f"{folder}: foreground and record differ")
    lists = np.split(positions, np.cumsum(record["counts"])[:-1]) if record["counts"] else []
    return PreparedCase(folder, image, label, tuple(lists), trail, int(record["repaired"]))


def _mapped(path: Path) -> NDArray[Any]:
    """An array mapped read-only; refuses a file that is shorter than its header says."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def foreground_of(label: NDArray[Any], space: LabelSpace) -> tuple[NDArray[np.int32], ...]:
    """Voxel positions int32 `(n, 3)` of each structure, at most 10,000, chosen at random but always the same.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}])
        >>> foreground_of(np.array([[[[0, 1, 1]]]]), space)[0].tolist()
        [[0, 0, 1], [0, 0, 2]]
    """
    lists = []
    for index, name in enumerate(space.names):
        flat = np.flatnonzero(space.mask(label, index))
        if len(flat) > MOST_POSITIONS:
            flat = np.sort(derive(0, "foreground", name).choice(flat, MOST_POSITIONS, replace=False))
        lists.append(np.stack(np.unravel_index(flat, label.shape[1:]), axis=1).astype(np.int32))
    return tuple(lists)
