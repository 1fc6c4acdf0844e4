"""A tiny task that a tiny network learns in seconds: bright balls in noise."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.plan import (
    AugmentPlan,
    NetSpec,
    Normalisation,
    Plan,
    PreparePlan,
    SamplePlan,
    TrainPlan,
    WindowPlan,
)
from segwright.core.recipe import PartChoice
from segwright.sample.case import SampleCase


def ball_case(number: int, size: int = 16) -> SampleCase:
    """A cube with one bright ball, labelled 1."""
    rng = np.random.default_rng(number)
    centre = rng.uniform(5, size - 5, 3)
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1)
    label = (np.linalg.norm(grid - centre, axis=-1) < 4).astype(np.int16)
    image = label * 2.0 + rng.normal(0, 0.5, label.shape)
    return SampleCase(image[None].astype(np.float32), label[None], {0: np.argwhere(label)}, f"ball-{number}")


@pytest.fixture
def cases() -> list[SampleCase]:
    return [ball_case(number) for number in range(6)]


@pytest.fixture
def plan() -> Plan:
    kernel = (3, 3, 3)
    return Plan(
        channels=("mr",),
        labels={"structures": [{"name": "ball", "values": [1]}]},
        prepare=PreparePlan(normalise=(Normalisation(),)),
        net=NetSpec(
            in_channels=1,
            out_channels=2,
            widths=(4, 8),
            strides=((1, 1, 1), (2, 2, 2)),
            kernels=(kernel, kernel),
            encoder_blocks=(1, 1),
            decoder_blocks=(1,),
            norm="batch",
        ),
        target="classes",
        sample=SamplePlan(policy=PartChoice(name="foreground"), patch=(16, 16, 16)),
        augment=AugmentPlan(steps=(PartChoice(name="brightness", params={"p": 0.5}),), mirror=(2,)),
        train=TrainPlan(
            batch=2,
            steps=40,
            loss=PartChoice(name="dice_ce"),
            optimiser=PartChoice(name="adamw"),
            schedule=PartChoice(name="cosine"),
            lr=1e-2,
            weight_decay=0.0,
            ema=0.1,
            precision="float32",
        ),
        window=WindowPlan(size=(16, 16, 16)),
        folds=0,
    )
