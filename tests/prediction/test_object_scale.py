"""Objects are found at the scale of training: what decoders count in voxels holds for scans of any voxel size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segwright import io
from segwright.core.case import Case, Dataset, Source
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, PreparePlan
from segwright.core.volume import Volume
from segwright.postprocess.chain import Chain, ChainStep
from segwright.prediction.model import Model

SPACE = LabelSpace(structures=[{"name": "cell"}], kind="instances")


def scan(spacing: float) -> Volume:
    """Two bright balls in 32 mm: one of 5 mm and one of 1.5 mm, which is too small for a cell."""
    n = round(32 / spacing)
    mm = (np.indices((n, n, n)) + 0.5) * spacing
    inside = [r - np.sqrt(((mm - np.reshape(c, (3, 1, 1, 1))) ** 2).sum(axis=0)) for c, r in BALLS]
    share = np.clip(np.maximum(*inside) / spacing + 0.5, 0, 1)
    return Volume.of(share.astype(np.float32), Geometry.from_spacing((n, n, n), (spacing,) * 3))


BALLS = (((10, 10, 10), 5.0), ((24, 24, 24), 1.5))


def bright(batch: torch.Tensor) -> torch.Tensor:
    """Mask where it is bright, no boundaries."""
    return torch.cat([batch, torch.zeros_like(batch)], dim=1)


@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0])
def test_small_things_are_dropped_by_their_size_in_training(spacing: float, tmp_path: Path, plain_plan) -> None:
    net = {"out_channels": 2, "widths": (4,), "strides": ((1, 1, 1),), "kernels": ((3, 3, 3),)}
    ready = PreparePlan(
        orientation="SAR", spacing=(1.0,) * 3, kept=((0.95, 1.05),) * 3, normalise=(Normalisation(scheme="none"),)
    )
    plan = plain_plan(SPACE, (16, 16, 16), net, target="boundary", prepare=ready)
    decoder = ChainStep(name="seed_components", params={"mask": 0.4, "dilate": 0, "smallest": 60})
    model = Model(plan, (), chain=Chain(decoder=decoder), device="cpu")
    model.__dict__["forward"] = bright
    io.write(scan(spacing), tmp_path / "a.nii.gz")
    case = Case(id="a", images=(Source(path="a.nii.gz"),), group="a")
    labels = model.segment(Dataset(root=str(tmp_path), layout="x", channels=("image",), cases=(case,)), case).labels
    assert labels.shape == (1, *(round(32 / spacing),) * 3) and labels.max() == 1
    assert (labels == 1).sum() * spacing**3 == pytest.approx(4 / 3 * np.pi * 5**3, rel=0.2)
