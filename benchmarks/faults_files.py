"""Damaged files and files that claim much: every reader, every form of labels and every document is fed what it dreads.

    python benchmarks/faults.py files [--inputs 10000] [--seed 0] [--only NAME] [--keep FOLDER]

Good files of each format are damaged by chance (a bit flipped, bytes cut, inserted, zeroed or exchanged) and read in
child processes with limits of time and memory. Each input is

- `refused`: an error of ours;
- `equal`: read as before the damage, header and voxels;
- `told`: it differs, and a warning that the good file does not give says so;
- `wrong`: it differs in silence where that could have been seen: the bytes have a checksum, or the file has another
  length than its header states;
- `unseen`: it differs, and the format has nothing by which anyone could see it;
- `crashed`: a foreign exception, a signal or too much memory; `hung`: no end within the limit of time.

Files that claim far more than they hold (bombs) must be refused within two seconds and 300 MB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from faults_samples import SAMPLES, Sample, make

RESULTS = Path(__file__).parent / "results" / "faults_files.json"
OUTCOMES = ("refused", "equal", "told", "unseen", "wrong", "crashed", "hung")
SECONDS, BYTES = 30.0, 6 << 30
KINDS = ("flip", "cut", "insert", "zero", "swap", "end")
#: Values that JSON may hold where a document expects others.
ODD = (None, True, -1, 0, 10**30, 1e308, "x", "", [], {}, [[]], {"a": {}}, "\u0000", "../../../etc/passwd", 2**63, -(2**63))


def damaged(data: bytes, kind: str, rng: np.random.Generator) -> tuple[bytes, int, bool]:
    """The bytes after one damage, where it begins, and whether the length is another."""
    reach = len(data) if rng.random() < 0.6 else min(len(data), 512)
    at = int(rng.integers(max(reach, 1)))
    size = int(rng.choice([1, 4, 16, 64, 512]))
    new = bytearray(data)
    if kind == "flip":
        new[at] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        del new[at : at + size]
    elif kind == "end":
        del new[at:]
    elif kind == "insert":
        new[at:at] = rng.bytes(size)
    elif kind == "zero":
        new[at : at + size] = bytes(len(new[at : at + size]))
    else:
        other = int(rng.integers(len(data)))
        size = min(size, abs(at - other), len(data) - max(at, other))
        at, other = min(at, other), max(at, other)
        new[at : at + size], new[other : other + size] = new[other : other + size], new[at : at + size]
    return bytes(new), at, len(new) != len(data)


def odd_value(data: bytes, rng: np.random.Generator) -> bytes:
    """JSON in which one value, chosen by chance, is another, is absent or stands in words that JSON does not have."""
    tree = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            walk(node[key])

    walk(tree)
    if not places:
        return b"[" * 3000
    node, key = places[int(rng.integers(len(places)))]
    choice = int(rng.integers(len(ODD) + 3))
    if choice == len(ODD):
        del node[key]
    else:
        node[key] = ODD[choice] if choice < len(ODD) else "@"
    words = str(rng.choice(["NaN", "1e999", "-Infinity", "9" * 5000, "[" * 3000]))
    return json.dumps(tree, indent=1).replace('"@"', words).encode()


def work(pipe: Connection) -> None:
    """Read what is asked for, until nothing more is."""
    warnings.simplefilter("ignore")
    from segwright.core.errors import SegwrightError

    sys.stderr = open("/dev/null", "w")  # noqa: SIM115 - libraries print what they find odd
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (task := pipe.recv()) is not None:
        name, place = task
        try:
            pipe.send(("read", *SAMPLES[name].probe(Path(place))))
        except SegwrightError as error:
            pipe.send(("refused", str(error), ()))
        except BaseException as error:
            pipe.send(("crashed", f"{type(error).__name__}: {error}"[:300] + _at(error), ()))


def _at(error: BaseException) -> str:
    """Where of our code an exception passed last."""
    last, step = "", error.__traceback__
    while step is not None:
        if "segwright" in step.tb_frame.f_code.co_filename:
            last = f" at {Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
        step = step.tb_next
    return last


class Reader:
    """A child process that reads, made anew after it died or hung."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["faults_samples"])
        self._start()

    def _start(self) -> None:
        self._pipe, far = self._context.Pipe()
        self._child = self._context.Process(target=work, args=(far,), daemon=True)
        self._child.start()
        far.close()

    def read(self, name: str, place: Path, seconds: float = SECONDS) -> tuple[str, str, tuple[str, ...]]:
        """What comes of reading: outcome, fingerprint or reason, and warnings."""
        self._pipe.send((name, str(place)))
        try:
            if self._pipe.poll(seconds):
                answer: tuple[str, str, tuple[str, ...]] = self._pipe.recv()
                return answer
            outcome = ("hung", f"longer than {seconds:g} s", ())
        except (EOFError, ConnectionResetError):
            self._child.join()
            outcome = ("crashed", f"the process ended with {self._child.exitcode}", ())
        self._child.kill()
        self._child.join()
        self._start()
        return outcome

    def close(self) -> None:
        """End the child."""
        self._pipe.send(None)
        self._child.join()


def judged(sample: Sample, good: tuple[str, str, tuple[str, ...]], got: tuple[Any, ...], change: Any) -> str:
    """The outcome of one input; `change` is the file, where its damage begins, and whether its length is another."""
    if got[0] != "read":
        return str(got[0])
    if got[1] == good[1]:
        return "equal"
    if set(got[2]) - set(good[2]):
        return "told"
    return "wrong" if sample.could_be_seen(*change) else "unseen"


def fuzz(arguments: argparse.Namespace) -> dict[str, Any]:
    """Count outcomes by format; print each input that is wrong, and how to make it again."""
    names = [name for name in SAMPLES if not arguments.only or arguments.only in name]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    faults: list[dict[str, Any]] = []
    root, reader = Path(tempfile.mkdtemp(prefix="faults-")), Reader()
    good = {}
    for name in names:
        place = make(name, root / "good" / name.replace(" ", "_"))
        good[name] = (place, reader.read(name, place, 600.0))  # with what it imports
        if good[name][1][0] != "read":
            raise SystemExit(f"the undamaged {name} is not read: {good[name][1]}")
    for number in range(arguments.inputs):
        name = names[number % len(names)]
        rng = np.random.default_rng((arguments.seed, number))
        place, before = good[name]
        base = place if place.is_dir() else place.parent
        copy = root / "now"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(base, copy)
        files = sorted(p for p in copy.rglob("*") if p.is_file() and SAMPLES[name].damages(p.relative_to(copy)))
        file = files[int(rng.integers(len(files)))]
        kind = str(rng.choice(KINDS))
        if file.read_bytes()[:1] in {b"{", b"["} and rng.random() < 0.6:
            kind, data, at, longer = "value", odd_value(file.read_bytes(), rng), 0, False
        else:
            data, at, longer = damaged(file.read_bytes(), kind, rng)
        if data == file.read_bytes():
            continue
        file.write_bytes(data)
        got = reader.read(name, copy if place.is_dir() else copy / place.name)
        inside = file.relative_to(copy)
        outcome = judged(SAMPLES[name], before, got, (base / inside, at, longer))
        counts[name][outcome] += 1
        if outcome in {"wrong", "crashed", "hung"}:
            faults.append({"format": name, "outcome": outcome, "input": number, "kind": kind, "file": str(inside), "at": at, "why": got[1][:300]})  # fmt: skip
            print(f"{outcome:8} {name}, input {number}: {kind} of {inside} at {at}: {got[1][:200]}", flush=True)
            if arguments.keep:
                shutil.copytree(copy, Path(arguments.keep) / f"{name.replace(' ', '_')}-{number}", dirs_exist_ok=True)
    reader.close()
    shutil.rmtree(root)
    return {"formats": {name: dict(count) for name, count in counts.items()}, "faults": faults}


def show(counts: dict[str, dict[str, int]]) -> Counter[str]:
    """Print a line a format, and their sum."""
    total: Counter[str] = Counter()
    print(f"{'format':24} {'tried':>6} " + " ".join(f"{name:>8}" for name in OUTCOMES))
    for name, count in sorted(counts.items()):
        total.update(count)
        print(f"{name:24} {sum(count.values()):6d} " + " ".join(f"{count.get(o, 0):8d}" for o in OUTCOMES))
    print(f"{'all':24} {total.total():6d} " + " ".join(f"{total[o]:8d}" for o in OUTCOMES))
    return total


def main(words: list[str] | None = None) -> int:
    """Run the fuzz; 1 where any input crashed, hung, or was silently wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="Formats whose name holds this.")
    parser.add_argument("--keep", default="", help="Folder for inputs that were read wrongly.")
    parser.add_argument("-o", "--output", type=Path, default=None)
    arguments = parser.parse_args(words)
    begun = time.monotonic()
    found = fuzz(arguments)
    total = show(found["formats"])
    found |= {"total": dict(total), "seconds": round(time.monotonic() - begun), "seed": arguments.seed}
    if arguments.output or not arguments.only:
        (arguments.output or RESULTS).write_text(json.dumps(found, indent=1) + "\n")
    return int(bool(total["wrong"] + total["crashed"] + total["hung"]))


if __name__ == "__main__":
    sys.exit(main())
