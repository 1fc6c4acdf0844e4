"""A volume larger than memory, predicted by blocks: memory, blocks a second, and what a terabyte would take.

    python benchmarks/large_volume.py [--gigabytes 20] [--workers 1 2] [--blocks 24 0] [--memory 2.8G] [--kill 2]

The volume is an OME-Zarr image of uint8 with one chunk of a seeded pattern, to which all others are links: it costs
seconds to make and a megabyte to keep, each chunk is decoded on its own, and the disk is read once only. A small 3-D
U-Net (two levels, 4 and 8 channels, untrained, in bfloat16 and channels-last as fits choose them on CPUs) segments it
once for each number of workers, with the command a person would type; the memory of all its processes is watched.
Beside each run stands what its network alone would need: the windows a block touches at the speed of the bare network
in one process. `--blocks` stops the runs after so many blocks (0: to the end) and extrapolates. With `--kill` a volume
of so many gigabytes is predicted twice, once disturbed: a worker is killed, then the whole run, then the same command
goes on; the results must be equal, byte by byte. With `--workers` and no number after it only this is done, by two
workers, and what was measured before is kept beside it.

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
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

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
from segwright.prediction.large.box import touching
from segwright.prediction.model import Model
from segwright.prediction.window import axis_covers

LIMIT_GB = 3.0
PART = PartChoice(name="x")
WINDOW, OVERLAP = (32, 128, 128), 1 / 16


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
        kernels=((1, 3, 3), (3, 3, 3)),
        encoder_blocks=(1, 1),
        decoder_blocks=(1,),
        norm="batch",
        params={"up": "nearest", "join": "add"},
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
        train=train.model_copy(update={"precision": "bfloat16", "channels_last": True}),
        window=WindowPlan(size=WINDOW, overlap=OVERLAP, batch=1),
        folds=1,
    )
    torch.manual_seed(0)
    weights = folder / "fold-0.safetensors"
    save_file(build(plan.net).state_dict(), weights)
    report = Report(title="none", scores=(), aggregates=())
    write_bundle(folder / "model", plan=plan, weights={0: (weights,)}, report=report, chain=None, name="benchmark")
    return folder / "model"


def bare_network(model: Path, seconds: float = 2.0) -> dict[str, float]:
    """Speed of the network alone on windows that are in memory, on one thread, and its operations a voxel."""
    torch.set_num_threads(1)
    forward = Model.load(model, device="cpu").forward
    batch = torch.rand(1, 1, *WINDOW)
    times = []
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            forward(batch)
        while sum(times) < seconds:
            begin = time.perf_counter()
            forward(batch)
            times.append(time.perf_counter() - begin)
    voxels, best = math.prod(WINDOW), min(times)
    speeds = {"megavoxels_a_second": voxels / best / 1e6, "gflop_a_second": counter.get_total_flops() / best / 1e9}
    return {"flop_a_voxel": round(counter.get_total_flops() / voxels)} | {k: round(v, 1) for k, v in speeds.items()}


def repeats(shape: tuple[int, ...], block: tuple[int, ...]) -> float:
    """How often the network sees a voxel: windows overlap, and those on faces are predicted for each block."""
    cover = axis_covers(shape, WindowPlan(size=WINDOW, overlap=OVERLAP), (1, 2, 2))
    return math.prod(
        sum(len(touching(c, start, min(start + b, n))) for start in range(0, n, b)) * w / n
        for c, n, b, w in zip(cover, shape, block, WINDOW, strict=True)
    )


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
        threads: Threads of each worker.
        seconds: From the first process to the end of the last.
    """

    peak: int = 0
    speed: float = 0.0
    blocks: int = 0
    total: int = 0
    code: int | None = None
    block: tuple[int, ...] = ()
    threads: int = 1
    seconds: float = 0.0


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


def watch(words: list[str], work: Path, *, stop_after: int, disturb: bool = False) -> Watched:
    """Run a command to its end, or until so many blocks are done; kill a worker and then all of it if asked."""
    seen, marks = Watched(), work / "done" / "predict"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first: tuple[float, int] | None = None
    begin = time.perf_counter()
    with subprocess.Popen(words, env=environment, start_new_session=True, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            seen.peak = max(seen.peak, memory_of(run.pid))
            done = sum(1 for _ in marks.glob("*.json")) if marks.is_dir() else 0
            if done and first is None and (work / "job.json").exists():
                first = time.perf_counter(), done
                seen.block, seen.total, seen.threads = planned(work)
                if disturb:
                    kill_worker(run.pid)
            if first and done > max(first[1], seen.blocks):  # later steps must not count as time between blocks
                seen.speed, seen.blocks = (done - first[1]) / (time.perf_counter() - first[0]), done
            if (stop_after and done >= stop_after) or (disturb and done >= max(2, seen.total // 2)):
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                return seen
            time.sleep(1.0)
        seen.code, seen.seconds = run.returncode, time.perf_counter() - begin
    return seen


def planned(work: Path) -> tuple[tuple[int, ...], int, int]:
    """Block of a running job, how many there are, and threads of a worker."""
    job = json.loads((work / "job.json").read_text())
    counts = [-(-n // b) for n, b in zip(job["shape"], job["block"], strict=True)]
    return tuple(job["block"]), math.prod(counts), job["threads"] or 1


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
    result["network"] = bare_network(model)
    for workers, blocks in zip_longest(options.workers, options.blocks, fillvalue=0):
        out = folder / f"out-{workers}"
        words = command(model, folder / "em.zarr", out, workers, options.memory)
        seen = watch(words, out / "em.incomplete", stop_after=blocks)
        result["runs"].append(told(seen, workers, shape, result["network"]["megavoxels_a_second"]))
        if workers == 1:
            result["terabyte"] = cost_model(seen, shape)
        shutil.rmtree(out, ignore_errors=True)
    if options.kill:
        result["killed"] = disturbed(folder, model, options)
    return result


def told(seen: Watched, workers: int, shape: tuple[int, ...], network: float) -> dict[str, Any]:
    """One row of the table; `network` is the speed of the network alone, in Mvoxel/s of a thread."""
    gigabytes = round(seen.peak / 2**30, 2)
    speed, seen_times = seen.speed * math.prod(seen.block or (0,)) / 1e6, repeats(shape, seen.block)
    return {
        "workers": workers,
        "threads_each": seen.threads,
        "block": seen.block,
        "blocks": seen.total,
        "watched": seen.blocks,
        "blocks_a_second": round(seen.speed, 4),
        "megavoxels_a_second": round(speed, 2),
        "network_sees_a_voxel": round(seen_times, 2),
        "share_of_network": round(speed * seen_times / (network * workers * seen.threads), 2),
        "whole_run_seconds": round(seen.seconds) if seen.code is not None else None,
        "predicting_would_take_seconds": round(seen.total / max(seen.speed, 1e-9)),
        "peak_gb": gigabytes,
        "holds": gigabytes < LIMIT_GB,
        "exit_code": seen.code,
    }


def disturbed(folder: Path, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Kill a worker, then the run; go on; compare with an unbroken run of as many workers."""
    workers, shape = max(options.workers, default=2), shape_of(options.kill)
    draw(folder / "small" / "em.zarr", shape)
    runs = [folder / name for name in ("unbroken", "killed")]
    words = [command(model, folder / "small" / "em.zarr", out, workers, options.memory) for out in runs]
    whole = watch(words[0], runs[0] / "em.incomplete", stop_after=0)
    seen = watch(words[1], runs[1] / "em.incomplete", stop_after=0, disturb=True)
    done = len(list((runs[1] / "em.incomplete" / "done" / "predict").glob("*.json")))
    again = watch(words[1], runs[1] / "em.incomplete", stop_after=0)
    codes = [whole.code, again.code]
    return {
        "shape": shape,
        "gigabytes": round(math.prod(shape) / 2**30, 2),
        "workers": workers,
        "peak_gb": [round(one.peak / 2**30, 2) for one in (whole, seen, again)],
        "seconds_unbroken": round(whole.seconds),
        "seconds_to_go_on": round(again.seconds),
        "blocks": seen.total,
        "done_when_killed": done,
        "exit_codes": codes,
        "identical": same(*runs),
    }


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--memory", default="2.8G", help="for all processes together")
    parser.add_argument("--width", type=int, default=4, help="channels of the finest level")
    parser.add_argument("--blocks", type=int, nargs="+", default=[], help="for each run, blocks to stop after; 0: none")
    parser.add_argument(
        "--kill", type=float, default=0.0, metavar="GB", help="also disturb a run over so much and compare"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where everything lies for the time")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    target = Path(__file__).parent / "results" / "large_volume.json"
    try:
        if options.workers:
            result = measure(folder, options)
        else:
            earlier = json.loads(target.read_text("utf-8")) if target.exists() else {}
            result = earlier | {"killed": disturbed(folder, make_model(folder, options.width), options)}
    finally:
        for child in psutil.Process().children(recursive=True):
            child.kill()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=1))
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
