"""Drawn scans as people keep them, with results that are wrong in known ways, and a desk with all of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from segwright import io
from segwright.core.runs import Runs
from segwright.core.volume import Volume
from segwright.io.dataset import open_dataset
from segwright.io.formats.rle.table import write_rle
from segwright.phantoms.write import write_dataset


@pytest.fixture(scope="session")
def volumes(tmp_path_factory) -> Path:
    """Three MR volumes with tumours in nnU-Net's layout."""
    return write_dataset("tumour-mri", tmp_path_factory.mktemp("volumes"), cases=3, seed=3) / "scans"


@pytest.fixture(scope="session")
def xrays(tmp_path_factory) -> Path:
    """Four X-rays with masks."""
    return write_dataset("spine-xray", tmp_path_factory.mktemp("xrays"), cases=4, seed=5) / "scans"


@pytest.fixture(scope="session")
def shifted(volumes, tmp_path_factory) -> Path:
    """A result: the labels of `volumes`, each moved by its number of voxels, so that the last case is the worst."""
    folder = tmp_path_factory.mktemp("results") / "shifted"
    for by, path in enumerate(sorted((volumes / "labelsTr").iterdir())):
        label = io.read(path)
        moved = np.roll(label.array(), 2 * by, axis=3)
        io.write(Volume.of(moved, label.geometry), folder / path.name, like=label)
    return folder


@pytest.fixture(scope="session")
def table(xrays, tmp_path_factory) -> Path:
    """A result as run-length table: the masks of `xrays` without their upper half, a stranger and an unknown class."""
    dataset = open_dataset(xrays)
    rows = []
    for path in sorted((xrays / "masks").iterdir()):
        mask = io.read(path).array()[0, 0] > 0
        mask[: np.flatnonzero(mask.any(axis=1)).mean().astype(int)] = False
        rows.append(((path.name, dataset.labels.names[0]), Runs.of_mask(mask)))
    rows.append((("nobody.png", dataset.labels.names[0]), Runs.parse("1 5")))
    rows.append(((path.name, "tail"), Runs.parse("1 5")))
    target = tmp_path_factory.mktemp("tables") / "half.csv"
    write_rle(target, rows)
    return target


@pytest.fixture
def copied(volumes, tmp_path) -> Path:
    """`volumes`, free to be damaged."""
    return Path(shutil.copytree(volumes, tmp_path / "scans"))
