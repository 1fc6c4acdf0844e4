"""How fast the viewer shows the first and the next slice, in a real browser, and how much memory its server takes.

Draws three datasets: radiographs of 2048 x 2048 with 29 overlapping structures, a CT of 512 x 512 x 600 voxels with
labels (`.nii.gz`), and a Zarr volume larger than the machine's memory. For each, `segwright view` is started as people
start it; Chromium opens the page, and the clock runs from there to the slice on the screen, then from a key press to
the next slice.

    python benchmarks/viewer.py [--out benchmarks/results/viewer.json] [--only xray ct zarr]
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zarr
from playwright.sync_api import Page, sync_playwright

import segwright
from segwright import io
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume

HERE = Path(__file__).resolve().parent
STEPS = 20
BONES = 29

#: Presses a key and waits until the page says that another slice is on the screen; milliseconds.
PRESS = """async (key) => { const { body } = document, before = body.dataset.seen, start = performance.now();
window.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
while (body.dataset.seen === before) { await new Promise((done) => setTimeout(done, 1));
  if (performance.now() - start > 20000) throw new Error('no slice'); }
return performance.now() - start; }"""


def draw_radiographs(folder: Path) -> list[str]:
    """Three radiographs of 2048 x 2048, 29 elongated structures each, neighbours overlapping."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:2048, 0:2048].astype(np.float32)
    for case in range(3):
        image = 60 + 40 * np.sin(x / 300) + rng.normal(0, 8, x.shape)
        for bone in range(BONES):
            angle, length = rng.uniform(0, np.pi), rng.uniform(120, 260)
            cy, cx = 250 + 300 * (bone // 5) + rng.uniform(-60, 60), 250 + 380 * (bone % 5) + rng.uniform(-60, 60)
            along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
            across = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
            mask = (along / length) ** 2 + (across / (length * 0.4)) ** 2 < 1
            image[mask] += 35
            stored = Volume.of((mask * 255).astype(np.uint8), Geometry.from_spacing((1, 2048, 2048)))
            io.write(stored, folder / "masks" / f"bone-{bone:02d}" / f"hand{case}.png")
        picture = np.clip(image, 0, 255).astype(np.uint8)
        io.write(Volume.of(picture, Geometry.from_spacing((1, 2048, 2048))), folder / "images" / f"hand{case}.png")
    return [str(folder)]


def draw_ct(folder: Path) -> list[str]:
    """A noisy cylinder with two organs, 512 x 512 x 600 voxels of 16 bits, compressed."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:512, 0:512]
    body = np.where((x - 256) ** 2 + (y - 256) ** 2 < 210**2, 40, -1000).astype(np.int16)
    noise = rng.integers(-25, 26, (8, 512, 512), dtype=np.int16)
    voxels, labels = np.empty((600, 512, 512), np.int16), np.zeros((600, 512, 512), np.uint8)
    for z in range(600):
        radius = 40 + 30 * np.sin(z / 60)
        for organ, cx in enumerate((180, 330), start=1):
            labels[z][(x - cx) ** 2 + (y - 256) ** 2 < radius**2] = organ
        voxels[z] = body + noise[z % 8] + 60 * labels[z]
    geometry = Geometry.from_spacing((600, 512, 512), (1.0, 0.8, 0.8))
    io.write(Volume.of(voxels, geometry), folder / "ct.nii.gz")
    io.write(Volume.of(labels, geometry), folder / "label.nii.gz")
    return [str(folder / "ct.nii.gz"), "--label", str(folder / "label.nii.gz")]


def draw_zarr(folder: Path) -> list[str]:
    """A volume of twice the machine's memory; the sections that are looked at hold data, the others are empty."""
    edge = 4096
    depth = int(2 * psutil.virtual_memory().total // (edge * edge)) + 1
    rng = np.random.default_rng(2)
    array = zarr.create_array(
        str(folder / "em.zarr"), shape=(depth, edge, edge), chunks=(8, 512, 512), dtype="uint8", fill_value=0
    )
    plane = rng.integers(40, 200, (edge // 8, edge // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    start = depth // 2 // 8 * 8
    array[start : start + 32] = np.stack([np.roll(plane, 16 * z, axis=1) for z in range(32)])
    return [str(folder / "em.zarr")]


#: What a reader must know to judge the numbers.
NOTES = {
    "xray": "29 masks of 2048 x 2048 are 29 PNG files a case; the case below is asked for while one is looked at",
    "ct": "one gzip stream: the first slice, from the middle, unpacks half of it",
    "zarr": "chunks of 8 x 512 x 512 without a smaller copy: one slice touches 64 chunks and decodes 134 MB of them, "
    "which the seven beside it share",
}

DRAWN: dict[str, Callable[[Path], list[str]]] = {"xray": draw_radiographs, "ct": draw_ct, "zarr": draw_zarr}


@contextmanager
def viewer(words: list[str]) -> Iterator[tuple[str, psutil.Process, float]]:
    """`segwright view` in a process of its own: address, process, seconds until it listens."""
    command = [sys.executable, "-m", "segwright", "view", *words, "--no-browser", "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the viewer did not start")
        text += line
    try:
        yield json.loads(text)["url"], psutil.Process(process.pid), time.perf_counter() - start
    finally:
        process.kill()
        process.wait(timeout=20)


def peak_bytes(process: psutil.Process) -> int:
    """Largest resident memory of the process so far."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(process.memory_info().rss)


def watch(page: Page, url: str, *, volume: bool) -> dict[str, Any]:
    """Seconds to the first slice and to labels; milliseconds of next slices (or next cases, for pictures)."""
    start = time.perf_counter()
    page.goto(url)
    page.wait_for_selector("body[data-seen]", state="attached")
    seen = time.perf_counter() - start
    page.wait_for_selector("body[data-painted]", state="attached")
    painted = time.perf_counter() - start
    count = STEPS if volume else 2
    steps = [page.evaluate(PRESS, "ArrowRight" if volume else "ArrowDown") for _ in range(count)]
    return {
        "first slice s": round(seen, 3),
        "with labels s": round(painted, 3),
        "next ms median": round(statistics.median(steps), 1),
        "next ms worst": round(max(steps), 1),
        "next": "slice" if volume else "case",
    }


def measure(name: str) -> dict[str, Any]:
    """One dataset from drawing to numbers; the best of three openings, as other work may run on the machine."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    folder = Path(tempfile.mkdtemp(prefix="segwright-bench-"))
    try:
        words = DRAWN[name](folder)
        rounds = []
        for _ in range(3):
            with viewer(words) as (url, process, listening), sync_playwright() as play:
                browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                found = watch(browser.new_page(viewport={"width": 1400, "height": 900}), url, volume=name != "xray")
                time.sleep(4 if name == "ct" else 0.5)  # what goes on in the background counts for memory
                found |= {"listening after s": round(listening, 2), "peak memory MB": round(peak_bytes(process) / 1e6)}
                rounds.append(found)
                browser.close()
        best = min(rounds, key=lambda row: row["first slice s"])
        return best | {"all first slices s": [row["first slice s"] for row in rounds], "note": NOTES[name]}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "viewer.json")
    parser.add_argument("--only", nargs="+", choices=list(DRAWN), default=list(DRAWN))
    wishes = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was drawn is removed even then
    kept = json.loads(wishes.out.read_text()) if wishes.out.exists() else {}
    for name in wishes.only:
        kept[name] = measure(name) | {"date": datetime.date.today().isoformat()}
        print(name, json.dumps(kept[name]))
    kept["machine"] = {
        "cores": psutil.cpu_count(),
        "memory GB": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "segwright": segwright.__version__,
    }
    wishes.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
