"""A volume larger than memory, predicted by blocks: memory, blocks a second, and what a terabyte would take.

    python benchmarks/large_volume.py [--gigabytes 20] [--workers 1 2] [--memory 3G] [--blocks N]

The volume is an OME-Zarr image of uint8 with one chunk of a seeded pattern, to which all others are links: it costs
seconds to make and a megabyte to keep, each chunk is decoded on its own, and the disk is read once only. A small 3-D
U-Net segments it once for each number of workers, with the command a person would type; the memory of all its processes
is watched. `--blocks` stops after so many blocks and extrapolates. With `--kill` the run is disturbed: a worker is
killed, then the whole run, then the same command goes on; the result must equal that of the unbroken run, byte by byte.

Prints one table and keeps it in `benchmarks/results/large_volume.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from safetensors.torch import save_file

from segwright.core.box import tile
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
from segwright.export.bundle import write_bundle
from segwright.io.omezarr import CHUNK, Pyramid, create, write_box
from segwright.nets import build

LIMIT_GB = 3.0
PART = PartChoice(name="x")
WINDOW = (32, 128, 128)


def shape_of(gigabytes: float) -> tuple[int, int, int]:
    """Voxels of a slab-like volume of so many gigabytes of uint8."""
    edge = round((gigabytes * 2**30 / 0.3) ** (1 / 3) / 256) * 256 or 256
    return max(32, round(gigabytes * 2**30 / edge**2 / 32) * 32), edge, edge


def draw(path: Path, shape: tuple[int, int, int]) -> int:
    """Write the volume: one chunk, and links to it for all others; returns bytes on disk."""
    rng = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.linspace(0, 2 * np.pi, n, endpoint=False) for n in CHUNK), indexing="ij")
    waves = sum(np.sin(a * z + b * y + c * x + rng.uniform(0, 6)) for a, b, c in rng.integers(1, 9, (8, 3)))
    block = np.clip(waves * 24 + 128, 0, 255).astype(np.uint8)[None]
    create(path, Pyramid(1, np.dtype(np.uint8), Geometry.from_spacing(shape, (3e-5, 8e-6, 8e-6))))
    first, *others = tile(shape, CHUNK)
    write_box(path, block, first)
    drawn = path / "0" / "0" / "0" / "0"
    for box in others:
        place = path.joinpath("0", *(str(start // edge) for start, edge in zip(box.start, CHUNK, strict=True)))
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(drawn, place)
    return sum({file.stat().st_ino: file.stat().st_size for file in path.rglob("*") if file.is_file()}.values())


def make_model(folder: Path, width: int) -> Path:
    """A model folder with an untrained 3-D U-Net of two levels."""
    net = NetSpec(
        in_channels=1,
        out_channels=2,
        widths=(width, 2 * width),
        strides=((1, 1, 1), (1, 2, 2)),
        kernels=((1, 3, 3), (1, 3, 3)),
        encoder_blocks=(1, 1),
        decoder_blocks=(1,),
    )
    train = TrainPlan(batch=1, steps=1, loss=PART, optimiser=PART, schedule=PART, lr=1.0, weight_decay=0.0)
    plan = Plan(
        channels=("em",),
        modality="em",
        labels=LabelSpace(structures=[{"name": "mitochondria", "values": [1]}]),
        prepare=PreparePlan(orientation="SPR", normalise=(Normalisation(),)),
        net=net,
        target="classes",
        sample=SamplePlan(policy=PART, patch=WINDOW),
        augment=AugmentPlan(),
        train=train.model_copy(update={"precision": "float32"}),
        window=WindowPlan(size=WINDOW, overlap=0.25, batch=1),
        folds=1,
    )
    torch.manual_seed(0)
    weights = folder / "fold-0.safetensors"
    save_file(build(plan.net).state_dict(), weights)
    report = Report(title="none", scores=(), aggregates=())
    write_bundle(folder / "model", plan=plan, weights={0: weights}, report=report, chain=None, name="benchmark")
    return folder / "model"


@dataclass
class Watched:
    """What a run showed.

    Attributes:
        peak: Bytes of all its processes together, shared pages counted once for each.
        speed: Blocks a second once the first block is there.
        blocks: Blocks finished while watched.
        total: All blocks.
        code: Exit code, `None` where it was stopped.
        block: Voxels a block.
    """

    peak: int = 0
    speed: float = 0.0
    blocks: int = 0
    total: int = 0
    code: int | None = None
    block: tuple[int, ...] = ()


def memory_of(pid: int) -> int:
    """Proportional memory of a process and all below it."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return total


def command(model: Path, image: Path, out: Path, workers: int, memory: str) -> list[str]:
    """What a person would type."""
    words = ["predict", model, "-i", image, "-o", out, "--workers", workers, "--memory", memory, "--device", "cpu"]
    return [sys.executable, "-m", "segwright", *map(str, words), "--quiet"]


def watch(words: list[str], work: Path, *, stop_after: int | None, disturb: bool = False) -> Watched:
    """Run a command to its end, or until so many blocks are done; kill a worker and then all of it if asked."""
    seen, marks = Watched(), work / "done" / "predict"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first: tuple[float, int] | None = None
    with subprocess.Popen(words, env=environment, start_new_session=True, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            seen.peak = max(seen.peak, memory_of(run.pid))
            done = sum(1 for _ in marks.glob("*.json")) if marks.is_dir() else 0
            if done and first is None and (work / "job.json").exists():
                first = time.perf_counter(), done
                seen.block, seen.total = planned(work)
                if disturb:
                    kill_worker(run.pid)
            if first and done > first[1]:
                seen.speed, seen.blocks = (done - first[1]) / (time.perf_counter() - first[0]), done
            if (stop_after and done >= stop_after) or (disturb and done >= max(2, seen.total // 2)):
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                return seen
            time.sleep(1.0)
        seen.code = run.returncode
    return seen


def planned(work: Path) -> tuple[tuple[int, ...], int]:
    """Block of a running job, and how many there are."""
    job = json.loads((work / "job.json").read_text())
    counts = [-(-n // b) for n, b in zip(job["shape"], job["block"], strict=True)]
    return tuple(job["block"]), math.prod(counts)


def kill_worker(pid: int) -> None:
    """End one worker without warning."""
    below = psutil.Process(pid).children(recursive=True)
    workers = [one for one in below if "spawn_main" in " ".join(one.cmdline())]
    workers[0].kill()


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same bytes, but for the list of cases."""
    marks = []
    for root in (one, other):
        files = sorted(f for f in root.rglob("*") if f.is_file() and f.name != "predictions.json")
        marks.append([(f.relative_to(root).as_posix(), digest(f)) for f in files])
    return bool(marks[0]) and marks[0] == marks[1]


def digest(file: Path) -> str:
    """Of a file's bytes, read piece by piece."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cost_model(seen: Watched, shape: tuple[int, ...], machines: int = 100, voxels: float = 1e12) -> dict[str, Any]:
    """Hours for a terabyte on many single-worker machines, with what is assumed."""
    halo = [2 * w if n > b else 0 for w, b, n in zip(WINDOW, seen.block, shape, strict=True)]
    read = math.prod((b + h) / b for b, h in zip(seen.block, halo, strict=True))
    blocks = voxels / math.prod(seen.block)
    hours = blocks / max(seen.speed, 1e-9) / machines / 3600
    return {
        "voxels": voxels,
        "workers": machines,
        "hours": round(hours, 2),
        "blocks": round(blocks),
        "read_factor_at_most": round(read, 2),
        "assumed": "speed of one worker here; blocks are independent; reading "
        f"{read * voxels / max(hours, 1e-9) / 3600 / 1e9:.2f} GB/s in all; joining objects is not counted",
    }


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All that is measured."""
    shape = shape_of(options.gigabytes)
    begin = time.perf_counter()
    stored = draw(folder / "em.zarr", shape)
    model = make_model(folder, options.width)
    result: dict[str, Any] = {
        "shape": list(shape),
        "gigabytes": round(math.prod(shape) / 2**30, 2),
        "drawn_seconds": round(time.perf_counter() - begin, 1),
        "stored_mb": round(stored / 2**20),
        "runs": [],
    }
    for workers in options.workers:
        out = folder / f"out-{workers}"
        words = command(model, folder / "em.zarr", out, workers, options.memory)
        seen = watch(words, out / "em.incomplete", stop_after=options.blocks)
        gigabytes = round(seen.peak / 2**30, 2)
        row = {"workers": workers, "blocks_a_second": round(seen.speed, 4), "block": seen.block, "blocks": seen.total}
        row |= {"watched": seen.blocks, "peak_gb": gigabytes, "holds": gigabytes < LIMIT_GB, "exit_code": seen.code}
        row["megavoxels_a_second"] = round(seen.speed * math.prod(seen.block or (0,)) / 1e6, 2)
        result["runs"].append(row)
        if workers == 1:
            result["terabyte"] = cost_model(seen, shape)
    if options.kill and not options.blocks:
        result["killed"] = disturbed(folder, model, options)
    return result


def disturbed(folder: Path, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Kill a worker, then the run; go on; compare with the unbroken run of as many workers."""
    workers = max(options.workers)
    out = folder / "killed"
    words = command(model, folder / "em.zarr", out, workers, options.memory)
    seen = watch(words, out / "em.incomplete", stop_after=None, disturb=True)
    done = len(list((out / "em.incomplete" / "done" / "predict").glob("*.json")))
    again = watch(words, out / "em.incomplete", stop_after=None)
    identical = same(out, folder / f"out-{workers}")
    return {"blocks": seen.total, "done_when_killed": done, "exit_code": again.code, "identical": identical}


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--memory", default="2.8G", help="for all processes together")
    parser.add_argument("--width", type=int, default=2, help="channels of the finest level")
    parser.add_argument("--blocks", type=int, default=None, help="stop each run after so many blocks")
    parser.add_argument("--kill", action="store_true", help="also disturb a run and compare")
    parser.add_argument("--folder", type=Path, default=None, help="where everything lies for the time")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        result = measure(folder, options)
    finally:
        for child in psutil.Process().children(recursive=True):
            child.kill()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=1))
    target = Path(__file__).parent / "results" / "large_volume.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
