"""Runs and models under faults: tampered models, kills at random moments, full disks, inputs that changed.

    python benchmarks/faults.py runs [--tampered 120] [--kills 200] [--full 20] [--changed 1] [--seed 0]
                                   [--minutes 600]

Data are drawn and tiny, so that a try takes about a second. Each try runs in a forked process of its own: what ends it
is one of our errors (refused), another exception or signal (crashed), or the clock (hung). A try is silently wrong if it
ends well with anything else than what an undisturbed call leaves, byte for byte. Full disks need the right to mount.
No kill is begun after `--minutes`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import segwright
from segwright import io
from segwright.api.fold import prepare_cases
from segwright.core.errors import SegwrightError
from segwright.core.events import silent
from segwright.core.geometry import Geometry
from segwright.core.disk import is_full
from segwright.core.volume import Volume
from segwright.export.bundle import write_bundle
from segwright.io.dataset import open_dataset
from segwright.nets import build
from segwright.postprocess.chain import Chain, ChainStep
from segwright.train import fold as fold_module

RESULTS = Path(__file__).resolve().parent / "results" / "faults_runs.json"
NAMES = ("ann", "ben", "cid", "dan", "eve", "fay")
QUICK = {"steps": 4, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2, "precision": "float32"}
#: Seconds after which a try counts as hung.
LIMIT = 180.0
OUTCOMES = ("tried", "crashed", "hung", "silently wrong", "refused")


def draw(folder: Path) -> Path:
    """Six pictures with a square each."""
    geometry = Geometry.from_spacing((1, 32, 28), (None, None, None))
    for number, name in enumerate(NAMES):
        scan = np.random.default_rng(number).integers(40, 90, (1, 32, 28)).astype(np.uint8)
        mask = np.zeros_like(scan)
        mask[0, 5 + number : 17 + number, 6:18] = 1
        for part, array in (("images", scan + 100 * mask), ("masks", mask)):
            io.write(Volume.of(array, geometry), folder / part / f"{name}.png")
    return folder


def attempt(work: Callable[[], Any], *, kill: float | None = None) -> str:
    """How a piece of work ends in a process of its own: `done`, `refused`, `full`, `killed`, `crashed`, or `hung`."""
    child = os.fork()
    if not child:
        code = 3
        try:
            with open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 2)
            work()
            code = 0
        except SegwrightError as error:
            code = 2 if is_full(error) else 1
        finally:
            os._exit(code)
    begin = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        spent = time.monotonic() - begin
        if kill is not None and spent > kill:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "killed"
        if spent > LIMIT:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hung"
        time.sleep(0.002)
    return {0: "done", 1: "refused", 2: "full"}.get(os.waitstatus_to_exitcode(status), "crashed")


def content(folder: Path, patterns: tuple[str, ...]) -> dict[str, bytes]:
    """Files that must be the same, byte for byte."""
    found = (file.relative_to(folder) for pattern in patterns for file in folder.glob(pattern) if file.is_file())
    shown = (name for name in found if not any(part.startswith(".") for part in name.parts))  # leftovers are hidden
    return {name.as_posix(): (folder / name).read_bytes() for name in shown}


class Task:
    """A kind of work: how it is begun or gone on with, and what it leaves."""

    def __init__(self, name: str, home: Path, model: Path, scans: Path) -> None:
        self.name, self.home, self.model, self.scans = name, home, model, scans
        self.folder = home / f"whole-{name}"
        begin = time.monotonic()
        assert attempt(lambda: self.work(self.folder)) == "done", name
        self.seconds = time.monotonic() - begin
        self.whole = self.left(self.folder)
        assert self.whole, name

    def work(self, out: Path) -> None:
        """Begin, or go on with what an earlier call left."""
        if self.name == "fit":
            fold_module.CHECKPOINT_EVERY = 0.0
            segwright.fit(self.scans, out=out, resume=(out / "plan.json").exists(), **QUICK)
        elif self.name == "predict":
            segwright.predict(self.model, self.scans / "images", out, resume=True, device="cpu")
        elif self.name == "convert":
            segwright.convert(self.scans, out, to="rle", resume=True)
        else:
            dataset = open_dataset(self.scans)
            prepare_cases(dataset, segwright.Run.open(self.home / "whole-fit").plan, out, listen=silent)

    def left(self, out: Path) -> dict[str, bytes]:
        """What counts of its results."""
        if self.name == "fit":
            found = content(out, ("fold-*/weights.safetensors", "out-of-fold/*.npy", "model/*.safetensors"))
            report = json.loads((out / "report" / "report.json").read_text())
            return found | {"scores": json.dumps(report["scores"]).encode()}
        if self.name == "cache":
            return content(out, ("*/*.npy",))
        return content(out, ("*.png", "*.csv"))

    def judge(self, out: Path, ended: str) -> str:
        """The outcome of a call that should end well."""
        if ended == "done":
            return "" if self.left(out) == self.whole else "silently wrong"
        return ended


def kills(
    tasks: list[Task], count: int, draw_from: random.Random, home: Path, *, until: float
) -> dict[str, Counter[str]]:
    """SIGKILL at a random moment, up to three times in a row, then once to the end."""
    found: dict[str, Counter[str]] = {}
    for number in range(count):
        if time.monotonic() > until:
            break
        task = tasks[number % len(tasks)]
        out, tally = home / f"kill-{number}", found.setdefault(f"kills of {task.name}", Counter())
        for _ in range(draw_from.randint(1, 3)):
            attempt(lambda task=task, out=out: task.work(out), kill=draw_from.uniform(0, 1.1 * task.seconds))
        note(tally, task.judge(out, attempt(lambda task=task, out=out: task.work(out))))
        shutil.rmtree(out, ignore_errors=True)
    return found


def full_disks(tasks: list[Task], count: int, draw_from: random.Random, home: Path) -> dict[str, Counter[str]]:
    """A disk that is too small, then one that is not: one clear error, and the same results afterwards."""
    found: dict[str, Counter[str]] = {}
    place = home / "disk"
    place.mkdir()
    for number in range(count):
        task = tasks[number % len(tasks)]
        tally = found.setdefault(f"full disks of {task.name}", Counter())
        size = sum(file.stat().st_size for file in task.folder.rglob("*") if file.is_file())
        room = max(8, int(size * draw_from.uniform(0.05, 1.0) / 1024))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}k", "tmpfs", place], check=True)
        try:
            ended = attempt(lambda task=task: task.work(place / "out"))
            outcome = "full" if ended == "full" else task.judge(place / "out", ended)
            outcome = "not told as full" if outcome == "refused" else outcome
            subprocess.run(["mount", "-o", "remount,size=1g", place], check=True)
            again = task.judge(place / "out", attempt(lambda task=task: task.work(place / "out")))
            note(tally, again or outcome)
        finally:
            subprocess.run(["umount", place], check=True)
    return found


def tampered(model: Path, scans: Path, count: int, draw_from: random.Random, home: Path) -> dict[str, Counter[str]]:
    """Files of a model cut, overwritten, emptied, exchanged or with other bytes: refused, or no different."""
    kinds = ("plan.json", "manifest.json", "member-0.safetensors", "chain.json", "labels.csv")
    found: dict[str, Counter[str]] = {}
    segwright.predict(model, scans / "images" / "ann.png", home / "right", device="cpu")
    right = (home / "right" / "ann.png").read_bytes()
    for number in range(count):
        kind = kinds[number % len(kinds)]
        tally = found.setdefault(f"tampered {kind}", Counter())
        folder, out = home / "tampered", home / "tampered-out"
        shutil.copytree(model, folder)
        spoil(folder / kind, number // len(kinds), draw_from)

        def work(folder: Path = folder, out: Path = out) -> None:
            segwright.predict(folder, scans / "images" / "ann.png", out, device="cpu")

        ended = attempt(work)
        if ended == "done":
            ended = "" if (out / "ann.png").read_bytes() == right else "silently wrong"
        note(tally, ended)
        for path in (folder, out):
            shutil.rmtree(path, ignore_errors=True)
    return found


def spoil(file: Path, way: int, draw_from: random.Random) -> None:
    """Change a file in one of nine ways."""
    data = bytearray(file.read_bytes())
    at = draw_from.randrange(len(data))
    some = min(len(data) - at, draw_from.randint(1, 200))
    match way % 9:
        case 0 | 1 | 2:
            data[at] ^= 1 << draw_from.randrange(8)
        case 3:
            del data[at:]
        case 4:
            data[at : at + some] = bytes(some)
        case 5:
            data[at : at + some] = draw_from.randbytes(some)
        case 6:
            data[at:at] = data[at : at + some]
        case 7:
            data = bytearray(draw_from.randbytes(len(data)))
        case _:
            file.unlink()
            return
    file.write_bytes(bytes(data))


def changes(tasks: list[Task], home: Path) -> dict[str, Counter[str]]:
    """Each kind of input and result changed, touched, replaced or removed between two calls."""
    found: dict[str, Counter[str]] = {}
    ways: dict[str, Callable[[Path], object]] = {
        "touched": lambda file: os.utime(file, (1, 1)),
        "copied": lambda file: (shutil.copyfile(file, file.with_suffix(".x")), file.with_suffix(".x").replace(file)),
        "changed": lambda file: io.write(mirrored(file), file),
        "replaced": lambda file: shutil.copyfile(file.with_name("fay.png"), file),
        "removed": lambda file: file.unlink(),
    }
    for task in tasks:
        if task.name == "cache":
            continue
        tally = found.setdefault(f"changed inputs of {task.name}", Counter())
        for part in ("images",) if task.name == "predict" else ("images", "masks"):
            for way, change in ways.items():
                place = home / "changes"
                shutil.copytree(task.scans, place / "scans")
                shutil.copytree(task.folder, place / "out")
                change(place / "scans" / part / "ann.png")
                moved = Task.__new__(Task)
                moved.__dict__ = {**task.__dict__, "scans": place / "scans"}
                ended = attempt(lambda moved=moved, place=place: moved.work(place / "out"))
                note(tally, expected(moved, place, ended, same=way in {"touched", "copied"}))
                shutil.rmtree(place)
    return found


def expected(task: Task, place: Path, ended: str, *, same: bool) -> str:
    """Unchanged content goes on to the same end; changed content is refused by a fit, and made anew by others."""
    if same:
        return task.judge(place / "out", ended)
    if task.name == "fit":
        return "refused as it should be" if ended == "refused" else "silently wrong"
    if ended != "done":
        return ended
    fresh = place / "fresh"
    assert attempt(lambda: task.work(fresh)) == "done"
    right, left = task.left(fresh), task.left(place / "out")
    return "" if right == {name: left.get(name) for name in right} else "silently wrong"


def mirrored(file: Path) -> Volume:
    volume = io.read(file)
    return Volume.of(volume.array()[0][:, ::-1].copy(), volume.geometry)


def note(tally: Counter[str], outcome: str) -> None:
    tally["tried"] += 1
    if outcome:
        tally["refused" if outcome in {"refused as it should be", "full"} else outcome] += 1


def small_model(home: Path, plan: Any) -> Path:
    """A model without training whose plan is that of a run."""
    torch.manual_seed(0)
    save_file(build(plan.net).state_dict(), home / "w.safetensors")
    chain = Chain(steps=(ChainStep(name="keep_largest"),))
    weights = {0: [home / "w.safetensors"]}
    write_bundle(home / "model", plan=plan, weights=weights, report=None, beside=[chain], name="small")
    return home / "model"


def main(words: list[str]) -> int:
    """Every part; 1 if anything crashed, hung or was silently wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("tampered", 120), ("kills", 200), ("full", 20), ("changed", 1), ("seed", 0), ("minutes", 600)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    until = time.monotonic() + 60 * asked.minutes
    home = Path(tempfile.mkdtemp(prefix="faults-"))
    draw_from, found = random.Random(asked.seed), {}
    try:
        scans = draw(home / "scans")
        fit = Task("fit", home, home / "model", scans)
        model = small_model(home, segwright.Run.open(home / "whole-fit").plan)
        tasks = [fit, *(Task(name, home, model, scans) for name in ("predict", "convert", "cache"))]
        found |= tampered(model, scans, asked.tampered, draw_from, home)
        found |= changes(tasks, home) if asked.changed else {}
        if asked.full and os.geteuid() == 0:
            found |= full_disks(tasks, asked.full, draw_from, home)
        found |= kills(tasks, asked.kills, draw_from, home, until=until)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    total: Counter[str] = sum(found.values(), Counter())
    print(f"{'':34}" + "".join(f"{name:>16}" for name in OUTCOMES))
    for name, tally in [*found.items(), ("in all", total)]:
        print(f"{name:34}" + "".join(f"{tally[one]:16,}" for one in OUTCOMES))
    rows = {name: {one: tally[one] for one in OUTCOMES} | dict(tally) for name, tally in found.items()}
    before = json.loads(RESULTS.read_text(encoding="utf-8"))["found"] if RESULTS.exists() else {}
    rows = before | rows  # what this call left out stays as it was found
    RESULTS.write_text(json.dumps({"asked": vars(asked), "found": rows}, indent=1) + "\n", encoding="utf-8")
    return int(any(total[one] for one in set(total) - {"tried", "refused"}))
