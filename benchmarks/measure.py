"""Cobb angles of reference masks against those of the masks' own corner points; cardiothoracic ratios of chest films.

    python benchmarks/measure.py SPINE_MASKS CHEST

Each vertebra of the spine data was drawn as a quadrilateral. Its corners are recovered here by the outline's contour
at half a pixel, simplified (Douglas and Peucker 1973) with the smallest tolerance that leaves four points: another way
than the package's, which drops sides of the convex hull and fits lines to the border. From corners the angles follow
as in the AASCE challenge: a vertebra's direction joins the middles of its left and right corners, and the main angle
is the largest one between any two vertebrae. Only masks with 17 separate bodies are compared; the others are listed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours, label, regionprops

from segwright.api.measure import source_of
from segwright.api.provenance import describe_machine
from segwright.measures import MEASURES
from segwright.measures.measure import Subject, Taken

RESULTS = Path(__file__).parent / "results" / "measure.json"
BODIES = 17
NAMES = ("cobb upper", "cobb main", "cobb lower", "cobb main by centre line")


def corners_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Four corners `(y, x)` of one body."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    low = np.array([rows[0], columns[0]])
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    outline = max(find_contours(np.pad(part, 2).astype(float), 0.5), key=len)
    for tolerance in np.arange(0.5, 60, 0.25):
        points = approximate_polygon(outline, tolerance)
        if len(points) <= 5:
            break
    return points[:4] - 2 + low


def aasce_angles(bodies: list[NDArray[np.float64]]) -> dict[str, float]:
    """Upper, main and lower angle of corners from the top, by mid-lines."""
    lines = []
    for corners in bodies:
        by_column = corners[np.argsort(corners[:, 1])]
        lines.append(by_column[2:].mean(axis=0) - by_column[:2].mean(axis=0))
    tilts = np.degrees([np.arctan2(y, x) for y, x in lines])
    angles = np.abs(tilts[:, None] - tilts[None])
    top, bottom = sorted(int(i) for i in np.unravel_index(int(angles.argmax()), angles.shape))
    return {
        "cobb main": float(angles[top, bottom]),
        "cobb upper": float(angles[top, : top + 1].max()),
        "cobb lower": float(angles[bottom, bottom:].max()),
    }


def reference(subject: Subject) -> dict[str, float] | None:
    """Angles from the corner points; `None` if the bodies are not all apart."""
    numbered = label(subject.mask(subject.names[0])[0], connectivity=1)
    regions = [region for region in regionprops(numbered) if region.area > 50]
    if len(regions) != BODIES:
        return None
    regions.sort(key=lambda region: region.centroid[0])
    return aasce_angles([corners_of(numbered == region.label) for region in regions])


def spines(folder: Path) -> dict[str, Any]:
    """Differences of both ways over a folder."""
    cobb = MEASURES.load("cobb")
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    sizes, left, flagged = [], [], 0
    for one in source_of(folder):
        subject: Subject = one.subject  # type: ignore[union-attr]
        truth, taken = reference(subject), cobb(subject)
        if truth is None:
            left.append(subject.case)
            continue
        sizes.append(truth["cobb main"])
        flagged += any("differ by" in note for note in taken.notes)
        for name, value in values(taken).items():
            if name in found and value is not None:
                found[name].append(abs(value - truth[name.removesuffix(" by centre line")]))
    rows = {name: spread(np.array(differences)) for name, differences in found.items()}
    angles = {"median": float(np.median(sizes)), "most": float(np.max(sizes))}
    return {"cases": len(sizes), "left out": left, "flagged": flagged, "main angle": angles, "difference": rows}


def values(taken: Taken) -> dict[str, float | None]:
    """Readings by name."""
    return {value.name: value.value for value in taken.values}


def spread(numbers: NDArray[np.float64]) -> dict[str, float]:
    """Median, 90th percentile, largest, and share within 3 and 5 degrees."""
    row = {"median": np.median(numbers), "p90": np.percentile(numbers, 90), "most": numbers.max()}
    row |= {"within 3": np.mean(numbers <= 3), "within 5": np.mean(numbers <= 5)}
    return {name: round(float(value), 3) for name, value in row.items()}


def chests(folder: Path) -> dict[str, Any]:
    """Ratios of a folder, and the largest difference to those of the structures' enclosing boxes."""
    ratios, off = [], []
    measure = MEASURES.load("cardiothoracic")
    for one in source_of(folder):
        subject: Subject = one.subject  # type: ignore[union-attr]
        ratio = values(measure(subject))["cardiothoracic ratio"]
        heart = regionprops(subject.mask("heart")[0].astype(np.uint8))[0].bbox
        lungs = np.logical_or.reduce([subject.mask(name)[0] for name in subject.names if "lung" in name.lower()])
        wide = max(int(np.ptp(np.flatnonzero(row))) + 1 for row in lungs if row.any())
        ratios.append(ratio)
        off.append(abs(ratio - (heart[3] - heart[1]) / wide))
    numbers = np.array(ratios)
    return {
        "cases": len(numbers),
        "median": round(float(np.median(numbers)), 3),
        "p5": round(float(np.percentile(numbers, 5)), 3),
        "p95": round(float(np.percentile(numbers, 95)), 3),
        "half or more": round(float(np.mean(numbers >= 0.5)), 3),
        "largest difference to boxes": float(np.max(off)),
    }


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spines", type=Path)
    parser.add_argument("chests", type=Path)
    options = parser.parse_args()
    document = {"machine": describe_machine(), "cobb": spines(options.spines), "cardiothoracic": chests(options.chests)}
    print(json.dumps({name: document[name] for name in ("cobb", "cardiothoracic")}, indent=1))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
