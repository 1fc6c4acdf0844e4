"""A prediction is stored as `predict` stores it, and reads back as what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segwright import LabelSpace, Prediction, Volume, WriteError, io
from segwright.core.geometry import Geometry


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
def test_what_is_saved_reads_back(tmp_path: Path, kind: str) -> None:
    space = LabelSpace(structures=[{"name": "a", "values": (1,)}, {"name": "b", "values": (2,)}], kind=kind)
    planes = 1 if kind == "exclusive" else 2
    labels = np.random.default_rng(0).integers(0, 3 if planes == 1 else 2, (planes, 4, 5, 6)).astype(np.uint8)
    geometry = Geometry.from_spacing((4, 5, 6), (2.0, 1.0, 1.0))
    source = Volume(np.zeros((1, 4, 5, 6), np.float32), geometry)
    one = Prediction("scan", labels, space, source)
    files = one.save(tmp_path / "out", ".nii.gz")
    assert len(files) == planes and all(file.exists() for file in files)
    back = np.concatenate([io.read(file).array() for file in files])
    assert (back.astype(bool) == labels.astype(bool)).all()
    assert repr(one) == "Prediction('scan', 2 structures on 4x5x6 voxels)"
    assert np.allclose(io.read(files[0]).geometry.spacing, (2.0, 1.0, 1.0))


def test_a_form_that_cannot_hold_the_labels_is_refused(tmp_path: Path) -> None:
    space = LabelSpace(structures=[{"name": "cell"}], kind="instances")
    source = Volume(np.zeros((1, 1, 5, 6), np.float32), Geometry.from_spacing((1, 5, 6), (None, 1.0, 1.0)))
    many = Prediction("scan", np.full((1, 1, 5, 6), 1 << 20, np.int32), space, source)
    with pytest.raises(WriteError):
        many.save(tmp_path, "png")
