"""Training steps a second of one 3-D U-Net, as segwright runs it and as a plain float32 instance-norm step.

    python benchmarks/throughput.py [--repeats N]

Both sides run whole steps (cutting patches, augmentation, forward, loss, backward, update, weight average) of the same
network (32/64/128/256 channels, two convolutions a stage) on batches of 7 patches of 40 x 56 x 40, in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch

from segwright.api.provenance import describe_machine
from segwright.augment.compose import Augmenter
from segwright.augment.levels import steps_for
from segwright.core.labels import LabelSpace
from segwright.core.plan import NetSpec
from segwright.core.recipe import PartChoice
from segwright.losses import bind_loss
from segwright.nets import build
from segwright.sample.case import SampleCase
from segwright.sample.patches import Patches
from segwright.targets import build_target
from segwright.train.state import WeightAverage
from segwright.train.optim import Clock
from segwright.train.fabric import make_fabric
from segwright.train.fold import train_step
from segwright.train.optim import adamw
from segwright.train.parts import Parts
from segwright.train.optim import constant
from segwright.train.state import TrainState

PATCH, BATCH = (40, 56, 40), 7
SIDES = {
    "segwright: bfloat16, channels last, batch norm": ("bfloat16", True, "batch"),
    "plain: float32, channels first, instance norm": ("float32", False, "instance"),
}


def cases() -> list[SampleCase]:
    """Volumes the size of hippocampus crops."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(16):
        shape = tuple(int(n) for n in rng.integers((30, 45, 32), (42, 58, 40)))
        image = rng.normal(size=(1, *shape)).astype(np.float32)
        label = (image > 1).astype(np.int16) + (image > 2)
        made.append(
            SampleCase(image, label, {0: np.argwhere(label[0] == 1), 1: np.argwhere(label[0] == 2)}, str(number))
        )
    return made


def steps(precision: str, channels_last: bool, norm: str):
    """An endless series of whole training steps."""
    kernel = (3, 3, 3)
    spec = NetSpec(
        in_channels=1,
        out_channels=3,
        widths=(32, 64, 128, 256),
        strides=((1, 1, 1), *((2, 2, 2),) * 3),
        kernels=(kernel,) * 4,
        encoder_blocks=(2,) * 4,
        decoder_blocks=(2,) * 3,
        norm=norm,
    )
    torch.manual_seed(0)
    net = build(spec).channels_last(channels_last)
    fabric = make_fabric(torch.device("cpu"), precision)
    average = WeightAverage(net, 0.03)
    net, optimiser = fabric.setup(net, adamw(net, lr=1e-3, weight_decay=0.01))
    space = LabelSpace(structures=({"name": "a", "values": (1,)}, {"name": "b", "values": (2,)}))
    light = steps_for("light", dims=3, anisotropic=False, modality="mr")
    parts = Parts(
        patches=Patches(cases(), patch=PATCH, batch=BATCH),
        augment=Augmenter(light, mirror=(2,)),
        encode=build_target("classes", space).encode,
        loss=bind_loss(PartChoice(name="dice_ce")),
        schedule=constant(),
        lr=1e-3,
        clip=1.0,
    )
    state, clock = TrainState(net, optimiser, average), Clock(steps=10**9)
    while True:
        yield train_step(state, parts, clock, fabric, clock.progress(state.step))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    series = {name: steps(*side) for name, side in SIDES.items()}
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    waited: dict[str, list[float]] = {name: [] for name in SIDES}
    for turn in range(repeats + 1):
        for name, run in series.items():
            start = time.perf_counter()
            step = next(run)
            if turn:  # the first of each warms up
                seconds[name].append(time.perf_counter() - start)
                waited[name].append(step.waited)
    ours, plain = (statistics.median(seconds[name]) for name in SIDES)
    for name in SIDES:
        share = sum(waited[name]) / sum(seconds[name])
        print(f"{name:50} {statistics.median(seconds[name]):7.3f} s a step, {share * 100:4.1f} % getting data")
    print(f"{'ratio':50} {plain / ours:7.2f}")
    result = {"date": str(date.today()), "machine": describe_machine(), "seconds": seconds, "ratio": plain / ours}
    path = Path(__file__).parent / "results" / "throughput.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
