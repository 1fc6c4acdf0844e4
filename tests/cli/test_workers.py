"""Workers that die and runs that are killed: the command comes back to the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage

from segwright import io
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
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
from segwright.core.report import Report
from segwright.core.volume import Volume
from segwright.export.bundle import write_bundle
from segwright.nets import build

PART = PartChoice(name="x")
SHAPE = (64, 512, 512)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A model folder with an untrained network, and a volume of eight chunks."""
    folder = tmp_path_factory.mktemp("desk")
    net = NetSpec(
        in_channels=1,
        out_channels=2,
        widths=(2, 2),
        strides=((1, 1, 1), (1, 2, 2)),
        kernels=((1, 3, 3),) * 2,
        encoder_blocks=(1, 1),
        decoder_blocks=(1,),
    )
    train = TrainPlan(
        batch=1, steps=1, loss=PART, optimiser=PART, schedule=PART, lr=1.0, weight_decay=0.0, precision="float32"
    )
    plan = Plan(
        channels=("em",),
        labels=LabelSpace(structures=[{"name": "mitochondria", "values": [1]}]),
        prepare=PreparePlan(orientation="SPR", normalise=(Normalisation(scheme="fixed", mean=128, std=40),)),
        net=net,
        target="classes",
        sample=SamplePlan(policy=PART, patch=(16, 128, 128)),
        augment=AugmentPlan(),
        train=train,
        window=WindowPlan(size=(16, 128, 128), overlap=0.25, batch=1),
        folds=1,
    )
    torch.manual_seed(0)
    save_file(build(plan.net).state_dict(), folder / "fold-0.safetensors")
    report = Report(title="none", scores=(), aggregates=(), notes=())
    write_bundle(
        folder / "model", plan=plan, weights={0: folder / "fold-0.safetensors"}, report=report, chain=None, name="tiny"
    )
    rng = np.random.default_rng(0)
    small = ndimage.gaussian_filter(rng.normal(size=(16, 128, 128)), 2)
    image = np.clip(ndimage.zoom(small / small.std(), 4, order=1) * 40 + 128, 0, 255).astype(np.uint8)
    io.write(Volume.of(image, Geometry.from_spacing(SHAPE, (3e-5, 8e-6, 8e-6))), folder / "em.zarr")
    return folder


def command(desk: Path, out: Path, *more: str) -> list[str]:
    words = ["predict", str(desk / "model"), "-i", str(desk / "em.zarr"), "-o", str(out), "--json", "--device", "cpu"]
    return [sys.executable, "-m", "segwright", *words, "--instances", *more]


def contents(folder: Path) -> dict[str, bytes]:
    """Result files with their bytes; the list of cases tells times and is left out."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "predictions.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def wait_for(condition, process: subprocess.Popen) -> None:
    until = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_workers_and_killed_runs_change_nothing(desk, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    alone = command(desk, tmp_path / "whole", "--memory", "800M")
    serial = subprocess.run(alone, capture_output=True, env=environment, check=False)
    assert serial.returncode == 0, serial.stdout
    told = json.loads(serial.stdout)["cases"][0]
    assert any("objects" in note for note in told["notes"])
    done = tmp_path / "cut" / "em.incomplete" / "done" / "predict"
    cut = command(desk, tmp_path / "cut", "--workers", "2", "--memory", "1.6G")
    with subprocess.Popen(cut, env=environment, start_new_session=True, stdout=subprocess.DEVNULL) as first:
        wait_for(lambda: done.is_dir() and any(done.glob("*.json")), first)
        worker = next(p for p in psutil.Process(first.pid).children(recursive=True) if "spawn_main" in str(p.cmdline()))
        worker.kill()
        wait_for(lambda: len(list(done.glob("*.json"))) >= 2, first)
        os.killpg(first.pid, signal.SIGKILL)
    finished = len(list(done.glob("*.json")))
    assert not (tmp_path / "cut" / "em.zarr").exists()
    again = subprocess.run(cut, capture_output=True, env=environment, check=False)
    assert again.returncode == 0, again.stdout
    if finished < 8:
        assert any("finished by an earlier run" in note for note in json.loads(again.stdout)["cases"][0]["notes"])
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")


def test_wrong_wishes_are_told(desk, tmp_path):
    from segwright.core.errors import UsageError
    from segwright.prediction.large.workers import hired

    with pytest.raises(UsageError, match="started here or belong"), hired(2, "tcp://127.0.0.1:1"):
        pass
    with pytest.raises(UsageError, match="0 or more"), hired(-1):
        pass
    for nobody in ("tcp://127.0.0.1:1", "nowhere"):
        with pytest.raises(UsageError, match="does not answer"), hired(0, nobody):
            pass
