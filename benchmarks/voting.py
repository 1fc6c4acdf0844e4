"""Hard voting of run-length tables: this package against the published loop that decodes, adds, thresholds, encodes.

Tables are made here: hands of 29 bones drawn as tapered, bent shafts with knobby ends at 2048 x 2048, each model with
borders of its own and now and then a bone missed. Both sides start from the CSV files and write a CSV file; the loop
is the published one (`decode_rle_to_mask`, sum into a float array, `> threshold`, `encode_mask_to_rle`), except that
rows are looked up in a dictionary, where the original searched each table anew for every row.

    python benchmarks/voting.py [--images 20] [--large 300] [--repeats 3]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from segwright.api.voting import vote_tables
from segwright.core.runs import Runs
from segwright.io.formats.rle.table import RleTable, open_rle, writing_rle

HERE = Path(__file__).resolve().parent
SIZE, MODELS, THRESHOLD = 2048, 3, 1
FINGERS = [f"finger-{i}" for i in range(1, 20)]
CARPUS = ["Trapezium", "Trapezoid", "Capitate", "Hamate", "Scaphoid", "Lunate", "Triquetrum", "Pisiform"]
BONES = [*FINGERS, *CARPUS, "Radius", "Ulna"]


def bone(rng: np.random.Generator, name: str, place: int) -> tuple[float, ...]:
    """Centre, half length, half width, tilt and bend of a bone in pixels."""
    if name in FINGERS:
        ray, joint = divmod(place, 4)
        length, width = rng.uniform(70, 150), rng.uniform(22, 38)
        return 350 + ray * 330 + rng.normal(0, 25), 450 + joint * 230, length, width, rng.normal(0, 0.25), rng.normal()
    if name in CARPUS:
        k = place - len(FINGERS)
        return 700 + (k % 4) * 190, 1480 + (k // 4) * 130, rng.uniform(45, 80), rng.uniform(40, 65), rng.normal(), 0.0
    side = place - len(FINGERS) - len(CARPUS)
    return 800 + side * 380, 1860, 240.0, 95.0, rng.normal(0, 0.08), rng.normal()


def runs_of(rng: np.random.Generator, shape: tuple[float, ...]) -> Runs:
    """One model's opinion of a bone, drawn row by row; its border wavers by a pixel or two."""
    cx, cy, length, width, tilt, bend = shape
    y = np.arange(max(0, int(cy - length)), min(SIZE, int(cy + length)))
    along = (y - cy) / length
    half = width * np.sqrt(np.clip(1 - along**6, 0, None)) * (0.75 + 0.35 * along**2)
    middle = cx + tilt * (y - cy) + 12 * bend * along**2
    wave = np.cumsum(rng.normal(0, 0.35, (2, len(y))), axis=1) + rng.normal(0, 2, (2, 1))
    left = np.clip(np.rint(middle - half + wave[0]), 0, SIZE).astype(np.int64)
    right = np.clip(np.rint(middle + half + wave[1]), 0, SIZE).astype(np.int64)
    return Runs(y * SIZE + left, np.maximum(right - left, 0)).normal()


def make_tables(folder: Path, images: int) -> list[Path]:
    """One table a model, all of the same hands."""
    paths = [folder / f"model-{model}-{images}.csv" for model in range(MODELS)]
    for model, path in enumerate(paths):
        with writing_rle(path) as table:
            for image in range(images):
                for place, name in enumerate(BONES):
                    shape = bone(np.random.default_rng([image, place]), name, place)
                    rng = np.random.default_rng([image, place, model])
                    table.add((f"hand-{image:04d}.png", name), Runs() if rng.random() < 0.02 else runs_of(rng, shape))
    return paths


def decode_rle_to_mask(rle: str, height: int, width: int) -> np.ndarray:
    """As published."""
    s = rle.split()
    starts, lengths = (np.asarray(x, dtype=int) for x in (s[0:][::2], s[1:][::2]))
    starts -= 1
    img = np.zeros(height * width, dtype=np.uint8)
    for lo, hi in zip(starts, starts + lengths, strict=True):
        img[lo:hi] = 1
    return img.reshape(height, width)


def encode_mask_to_rle(mask: np.ndarray) -> str:
    """As published."""
    pixels = np.concatenate([[0], mask.flatten(), [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(x) for x in runs)


def direct(paths: list[Path], out: Path, images: int) -> None:
    """The published loop over the rows of the first table, for the first `images` images."""
    tables = []
    for path in paths:
        with path.open(newline="") as stream:
            tables.append({(row["image_name"], row["class"]): row["rle"] for row in csv.DictReader(stream)})
    with out.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image_name", "class", "rle"])
        for key in list(tables[0])[: images * len(BONES)]:
            image = np.zeros((SIZE, SIZE))
            for table in tables:
                image += decode_rle_to_mask(table.get(key, ""), SIZE, SIZE)
            image[image <= THRESHOLD] = 0
            image[image > THRESHOLD] = 1
            writer.writerow([*key, encode_mask_to_rle(image)])


def rows(path: Path) -> dict[tuple[str, ...], str]:
    """Keys and texts of a table."""
    table: RleTable = open_rle(path)
    return {row.key: row.text for row in table.rows()}


def timed(work) -> float:
    """Seconds of processor time, which other work on the machine does not bend."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_of_vote(paths: list[Path], out: Path) -> tuple[float, float]:
    """Peak memory (GB) and seconds of a vote by the command line in a process of its own."""
    code = (
        "import resource, subprocess, sys, time\nstart = time.perf_counter()\n"
        "words = [sys.executable, '-m', 'segwright', 'ensemble', *sys.argv[1:]]\n"
        "subprocess.run(words, check=True, capture_output=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, time.perf_counter() - start)"
    )
    words = [sys.executable, "-c", code, *map(str, paths), "-o", str(out), "--threshold", str(THRESHOLD)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    peak, seconds = map(float, done.stdout.split())
    return peak, seconds


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.processor())
    versions = {"numpy": importlib.metadata.version("numpy")}
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}


def main() -> None:
    """Measure, check that both results are the same, print, keep JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--large", type=int, default=300, help="images of the memory measurement")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = make_tables(folder, options.images)
        ours = [
            timed(lambda: vote_tables(paths, folder / "ours.csv", threshold=THRESHOLD)) for _ in range(options.repeats)
        ]
        theirs = timed(lambda: direct(paths, folder / "direct.csv", options.images))
        same = rows(folder / "ours.csv") == rows(folder / "direct.csv")
        assert same, "the two results differ"
        large = make_tables(folder, options.large)
        peak, seconds = peak_of_vote(large, folder / "large.csv")
        result = {
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "models": MODELS,
            "images": options.images,
            "classes": len(BONES),
            "size": SIZE,
            "rows": len(rows(folder / "ours.csv")),
            "runs_read": sum(len(runs) for path in paths for _, runs in open_rle(path).runs()),
            "processor_seconds": {"segwright": ours, "direct": theirs},
            "ratio": theirs / statistics.median(ours),
            "same_result": same,
            "large": {
                "images": options.large,
                "tables_mb": sum(path.stat().st_size for path in large) / 1e6,
                "peak_gb": peak,
                "wall_seconds": seconds,
            },
        }
    print(json.dumps(result, indent=1))
    target = HERE / "results" / "voting.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
