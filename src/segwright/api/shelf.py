"""Arrays that are made once and mapped from a file from then on, for work that comes back to every case."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

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
