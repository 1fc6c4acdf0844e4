"""Round trips of real scans: what a label loses on its way through the planned grid stays small."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, PreparePlan
from segwright.io import read
from segwright.prepare.pipeline import prepare_image, prepare_label
from segwright.prepare.restore import restore_labels


@pytest.mark.parametrize(
    ("folder", "spacing", "least"),
    [
        ("hippocampus", (1.0, 1.0, 1.0), 1.0),
        ("hippocampus", (1.5, 0.8, 0.8), 0.93),
        ("abdomen-mri", (7.7, 1.6, 1.6), 0.96),
    ],
)
def test_labels_of_real_scans_survive(shared_data, folder: str, spacing: tuple, least: float) -> None:
    root = shared_data(folder)
    plan = PreparePlan(orientation="SAR", crop=True, spacing=spacing, normalise=(Normalisation(),))
    for path in sorted((root / "labelsTr").glob("*.nii*"))[:3]:
        image = next((root / "imagesTr").glob(path.name.split(".")[0] + "*"))
        raw = read(path).array()[0]
        values = [int(value) for value in np.unique(raw) if value]
        space = LabelSpace(structures=[{"name": f"s{v}", "values": [v]} for v in values])
        labels = space.from_values(raw)
        trail = prepare_image(read(image), plan).trail
        back = restore_labels(prepare_label(labels, trail, space), trail, space)
        for index in range(len(values)):
            a, b = space.mask(labels, index), space.mask(back, index)
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) >= least
