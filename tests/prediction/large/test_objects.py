"""Decoders by blocks: what they make of scores in pieces is what they make of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from segwright import io
from segwright.core.case import Case, Dataset, Source
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, PreparePlan
from segwright.core.volume import Volume
from segwright.io.omezarr import write_box
from segwright.metrics.contingency import Contingency
from segwright.metrics.objects import adapted_rand_error
from segwright.postprocess.instances import build_decoder
from segwright.prediction.large import steps
from segwright.prediction.large.job import Job
from segwright.prediction.large.run import carry_out
from segwright.prediction.large.survey import Survey
from segwright.prediction.large.workers import Serial

SHAPE = (16, 80, 72)


@pytest.fixture(scope="module")
def scores() -> np.ndarray:
    """Mask and boundary of touching cells that grew from random points, some cut off by the volume's faces."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, SHAPE, (60, 3))
    index = np.indices(SHAPE).reshape(3, -1).T
    distance = np.linalg.norm((index[:, None] - points) * (2, 1, 1), axis=2)
    order = np.sort(distance, axis=1)
    mask = np.clip(1.5 - order[:, 0] / 14, 0, 1)
    boundary = np.clip(1.3 - (order[:, 1] - order[:, 0]) / 4, 0, 1)
    both = np.stack([mask, boundary]).reshape(2, *SHAPE)
    return np.rint(ndimage.gaussian_filter(both, (0, 0.5, 1, 1)) * 255).astype(np.uint8)


def job(folder: Path, block: tuple[int, int, int], decoder: str, params: dict, plain_plan) -> Job:
    plan = plain_plan(
        LabelSpace(structures=[{"name": "cell"}], kind="instances"),
        (4, 8, 8),
        {"out_channels": 2, "widths": (2,), "strides": ((1, 1, 1),), "kernels": ((3, 3, 3),)},
        channels=("em",),
        prepare=PreparePlan(normalise=(Normalisation(scheme="none"),)),
        target="boundary",
    )
    io.write(Volume.of(np.zeros(SHAPE, np.uint8), Geometry.from_spacing(SHAPE)), folder / "em.zarr")
    case = Case(id="em", images=(Source(path="em.zarr"),), group="em")
    return Job(
        case="em",
        dataset=Dataset(root=str(folder), layout="images", channels=("em",), cases=(case,)),
        plan=plan,
        weights=(),
        sha256=(),
        shape=SHAPE,
        dtype="uint8",
        block=block,
        chunk=block,
        levels=((1, 1, 1),),
        survey=Survey(channels=(), boxes=0, voxels=0),
        instances="decoder",
        decoder=decoder,
        decoder_params=params,
    )


CASES = [
    ("seed_components", {"mask": 0.6, "boundary": 0.5, "dilate": 0, "smallest": 30}, 0.0),
    ("seed_components", {"mask": 0.6, "boundary": 0.5, "dilate": 2, "smallest": 30}, 0.01),
    ("seed_watershed", {"mask": 0.6, "boundary": 0.4, "smallest": 30}, 0.02),
]


@pytest.mark.parametrize(("decoder", "params", "tolerance"), CASES)
def test_blocks_decode_as_the_whole(scores, tmp_path, monkeypatch, decoder, params, tolerance, plain_plan):
    def predict(bench, index):
        box = bench.blocks().box(index)
        write_box(bench.store("scores"), scores[(slice(None), *box.slices)], box)
        return {}

    monkeypatch.setattr(steps, "predict", predict)
    whole = build_decoder(decoder, **params).decode(scores.astype(np.float32) / np.float32(255))
    assert whole.max() > 20
    for number, block in enumerate([SHAPE, (16, 40, 32), (8, 32, 24)]):
        folder = tmp_path / str(number)
        job(folder, block, decoder, params, plain_plan).save(folder / Job.filename)
        outcome = carry_out(folder, Serial(), lambda event: None)
        assert outcome.complete
        ids = io.read(folder / "instances.zarr").array()[0]
        error = adapted_rand_error(Contingency.from_arrays(whole, ids))
        assert error <= tolerance + 1e-12, (block, error)
        assert abs(int(ids.max()) - int(whole.max())) <= (0 if tolerance == 0 else 2)
