"""Near-duplicates of real scans: planted copies that are found, and pairs of other scans that are taken for one.

    python benchmarks/duplicates.py [--data ../shared/data] [--copies 12]

Each set is searched as it is, where every pair found is a false alarm unless both scans have the same voxels; then with
one changed copy at a time of some of its scans.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom
from systems import DATA, keep

from segwright.core.case import Dataset
from segwright.core.inspection import CaseFacts
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image
from segwright.planning.duplicates import sketch, twins

SETS = ("teeth", "chest", "spine-masks", "spine-dicom", "hippocampus", "abdomen-mri", "vertebrae-mr", "lung-lobes",
        "tumour-mri")  # fmt: skip


def facts_of(case: str, image: NDArray[Any], orientation: str) -> CaseFacts:
    """What `twins` reads of a case."""
    return CaseFacts(
        case=case, group=case, shape=image.shape, spacing=(None, None, None), orientation=orientation, image_type="",
        percentiles=(), mean=(), std=(), zero_share=0, content=image.shape, sketch=sketch(image[None], orientation),
    )  # fmt: skip


def resized(image: NDArray[Any], factors: tuple[float, float, float]) -> NDArray[Any]:
    """Another grid over the same field of view."""
    kept = (1.0 if image.shape[0] == 1 else factors[0], *factors[1:])
    return np.asarray(zoom(image, kept, order=1, grid_mode=True, mode="nearest"))


def jpeg(image: NDArray[Any]) -> NDArray[Any]:
    """A film saved as JPEG at quality 30."""
    stream = io.BytesIO()
    Image.fromarray((image[0] * 255).astype(np.uint8)).save(stream, "JPEG", quality=30)
    return np.asarray(Image.open(stream), dtype=np.float32)[None] / 255


def copies(image: NDArray[Any], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Changed copies of a scan `(z, y, x)`, windowed to its percentiles 0.5 and 99.5."""
    low, high = np.percentile(image, (0.5, 99.5))
    grey = ((image.astype(np.float32) - low) / max(high - low, 1e-9)).clip(0, 1)
    noise = rng.normal(size=grey.shape).astype(np.float32)
    found = {
        "windowed": grey,
        "half the size": resized(grey, (0.6, 0.5, 0.5)),
        "other proportions": resized(grey, (0.8, 0.7, 0.55)),
        "noise 5 %": grey + 0.05 * noise,
        "noise 15 %": grey + 0.15 * noise,
        "left to right": grey[..., ::-1],
        "upside down": grey[:, ::-1],
        "inverted": 1 - grey,
        "gamma 0.6": grey**0.6,
        "blurred": gaussian_filter(grey, (0, 2, 2) if len(grey) == 1 else 1),
        "mirrored, small, noisy": resized(grey[..., ::-1], (0.7, 0.6, 0.6)),
    }
    found["mirrored, small, noisy"] = found["mirrored, small, noisy"] + rng.normal(
        0, 0.05, found["mirrored, small, noisy"].shape
    )
    return found | ({"jpeg 30": jpeg(grey)} if len(grey) == 1 else {})


def search(data: Dataset, count: int) -> dict[str, Any]:
    """False alarms and copies found in one set."""
    rng, scans, facts, seconds = np.random.default_rng(0), [], [], 0.0
    for case in data.cases:
        volume = load_image(data, case)
        image, start = volume.array()[0], time.perf_counter()
        facts.append(facts_of(case.id, image, volume.geometry.orientation))
        seconds += time.perf_counter() - start
        scans.append(volume)
    start = time.perf_counter()
    alarms = twins(facts)
    compared = time.perf_counter() - start
    found: dict[str, list[int]] = {}
    others = 0
    for index in rng.permutation(len(facts))[:count]:
        for kind, copy in copies(scans[index].array()[0], rng).items():
            pairs = twins([*facts, facts_of("copy", copy, facts[index].orientation)])
            mine = [pair for pair in pairs if pair[1] == "copy"]
            found.setdefault(kind, []).append((facts[index].case, "copy") in mine)
            others += len([pair for pair in mine if pair[0] != facts[index].case])
    return {
        "scans": len(facts), "pairs": len(facts) * (len(facts) - 1) // 2, "false_alarms": alarms,
        "copies": sum(map(len, found.values())), "copies_found": sum(map(sum, found.values())),
        "copies_taken_for_others": others,
        "missed": {kind: hits.count(False) for kind, hits in found.items() if not all(hits)},
        "seconds_a_sketch": seconds / len(facts), "seconds_to_compare": compared,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the datasets")
    parser.add_argument("--copies", type=int, default=12, help="scans of each set that are copied")
    parser.add_argument("sets", nargs="*", default=SETS, help="which sets")
    options = parser.parse_args()
    result = {}
    for name in options.sets:
        result[name] = one = search(open_dataset(options.data / name), options.copies)
        told = f"{one['copies_found']} of {one['copies']} copies found, missed {one['missed']}"
        print(
            f"{name:14} {one['scans']:4} scans, {one['pairs']:6} pairs, {len(one['false_alarms'])} false; {told}",
            flush=True,
        )
    keep("duplicates", {"sets": result})


if __name__ == "__main__":
    main()
