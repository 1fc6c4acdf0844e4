"""Workers that die and runs that are killed: the command comes back to the same bytes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from distributed import Client
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
SHAPE = (32, 512, 512)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A model folder with an untrained network, and a volume of four chunks."""
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
    weights = {0: (folder / "fold-0.safetensors",)}
    write_bundle(folder / "model", plan=plan, weights=weights, report=report, beside=(), name="tiny")
    rng = np.random.default_rng(0)
    small = ndimage.gaussian_filter(rng.normal(size=(8, 128, 128)), 2)
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
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.monotonic() < until
        time.sleep(0.02)


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def whole(desk) -> Path:
    """The result of an undisturbed run in one process."""
    out = desk / "whole"
    done = subprocess.run(command(desk, out, "--memory", "800M"), capture_output=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stdout
    assert any("objects" in note for note in json.loads(done.stdout)["cases"][0]["notes"])
    return out


@pytest.mark.slow
def test_killed_workers_and_killed_runs_change_nothing(desk, whole, tmp_path):
    done = tmp_path / "cut" / "em.incomplete" / "done" / "predict"
    cut = command(desk, tmp_path / "cut", "--workers", "2", "--memory", "1.6G")
    with subprocess.Popen(cut, env=ENVIRONMENT, start_new_session=True, stdout=subprocess.DEVNULL) as first:
        wait_for(lambda: done.is_dir() and any(done.glob("*.json")), first)
        worker = next(p for p in psutil.Process(first.pid).children(recursive=True) if "spawn_main" in str(p.cmdline()))
        worker.kill()
        wait_for(lambda: len(list(done.glob("*.json"))) >= 2, first)
        os.killpg(first.pid, signal.SIGKILL)
    finished = len(list(done.glob("*.json")))
    assert not (tmp_path / "cut" / "em.zarr").exists()
    again = subprocess.run(cut, capture_output=True, env=ENVIRONMENT, check=False)
    assert again.returncode == 0, again.stdout
    if finished < 4:
        assert any("finished by an earlier run" in note for note in json.loads(again.stdout)["cases"][0]["notes"])
    assert contents(whole) == contents(tmp_path / "cut")


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


@dataclass
class Running:
    """A scheduler and its workers, started by a person with dask's own commands."""

    address: str
    scheduler: subprocess.Popen
    workers: list[subprocess.Popen]

    def there(self) -> int:
        with Client(self.address, set_as_default=False) as client:
            return len(client.scheduler_info(n_workers=-1)["workers"])


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Running]:
    """Two workers without nannies, so that a killed one stays dead."""
    folder = tmp_path_factory.mktemp("dask")
    start = partial(subprocess.Popen, env=ENVIRONMENT, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    dask = [sys.executable, "-m", "dask"]
    file = folder / "scheduler.json"
    scheduler = start([*dask, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)])
    processes = [scheduler]
    try:
        wait_for(file.exists, scheduler)
        address = json.loads(file.read_text())["address"]
        words = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        workers = [start(words) for _ in range(2)]
        processes += workers
        cluster = Running(address, scheduler, workers)
        wait_for(lambda: cluster.there() == 2, scheduler)
        yield cluster
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_running_scheduler_is_used_and_stays(desk, whole, running, tmp_path):
    done = tmp_path / "out" / "em.incomplete" / "done" / "predict"
    words = command(desk, tmp_path / "out", "--scheduler", running.address, "--memory", "1.6G")
    with subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE) as run:
        wait_for(lambda: done.is_dir() and any(done.glob("*.json")), run)
        running.workers[0].kill()
        told, _ = run.communicate(timeout=600)
    assert run.returncode == 0, told
    assert contents(whole) == contents(tmp_path / "out")
    assert running.scheduler.poll() is None
    assert running.workers[1].poll() is None
    assert running.there() == 1


@pytest.mark.slow
def test_what_does_not_fit_a_running_scheduler_is_told(running, tmp_path, monkeypatch):
    from segwright.core.errors import SegwrightError, UsageError
    from segwright.prediction.large import workers

    with workers.hired(0, running.address) as crew, pytest.raises(UsageError, match="does not see the folder"):
        crew.refuse_unseen(tmp_path / "not there")
    with monkeypatch.context() as patch:
        patch.setattr(workers, "_versions", lambda: [("segwright", "0.0.0", (version, "segwright"))])
        with pytest.raises(UsageError, match="another segwright"), workers.hired(0, running.address):
            pass
    monkeypatch.setattr(workers, "NEXT_WORKER", 1.0)
    monkeypatch.setattr(workers, "FIRST_WORKER", 0.5)
    with workers.hired(0, running.address) as crew:
        for process in running.workers:
            process.kill()
        with pytest.raises(SegwrightError, match="cluster went away") as lost:
            list(crew.map(time.sleep, [60]))
    assert lost.value.exit_code == 1
    with pytest.raises(UsageError, match="has no worker"), workers.hired(0, running.address):
        pass


def test_somebody_else_at_the_address_is_told(monkeypatch):
    from segwright.core.errors import UsageError
    from segwright.prediction.large import workers

    monkeypatch.setattr(workers, "ANSWER", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UsageError, match="does not answer"), workers.hired(0, nobody):
            pass
