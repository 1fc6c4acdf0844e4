"""Whether a scan of another voxel size is segmented as well as one of the size that a model learnt from.

    python benchmarks/spacing.py [--steps 200] [--only isotropic,thick] [--out runs/spacing]

Abdomens are drawn in millimetres: two kidneys, a liver, a spine and round distractors that differ from kidneys in size
alone. One model each learns from isotropic volumes, anisotropic ones, thick slices of several thicknesses, and DICOM
films with PixelSpacing; then the same unseen patients are scanned at the voxel size of training, at twice and at half
of it, and in other proportions. Dice of both kidneys is taken on each scan's own grid. The last columns are the same
model without its physical scale, as all models were before they had one. Kept in `benchmarks/results/spacing.json`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

import segwright
from segwright import io
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume

RESULTS = Path(__file__).with_name("results") / "spacing.json"
EXTENT = (180.0, 130.0, 190.0)
CASES, TESTS = 8, 2
#: A small network is enough: what is measured is the loss beside the voxel size of training.
QUICK = {"folds": 0, "mirror": (), "width": 8, "batch": 2, "augment": "off", "tta": False, "minutes": 2}
#: Kidneys are told from distractors by their size and from one another by the spine, 50 mm from their outer edge: what
#: a network sees must reach that far. Three levels see 22 voxels to each side, five levels more than 90.
PATCH = {"isotropic": (16, 24, 24), "anisotropic": (12, 32, 40), "thick": (1, 80, 112), "films": (1, 96, 128)}
LEVELS = {"isotropic": 3, "anisotropic": 3, "thick": 5, "films": 5}
#: Rows of the table: factors of the voxel edges `(z, y, x)` of training.
SCANS = {"as trained": (1, 1, 1), "x 2": (2, 2, 2), "/ 2": (0.5, 0.5, 0.5), "other proportions": (0.6, 1.5, 1.5)}
Spacing = tuple[float | None, float, float]
Field = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A training set: voxel sizes that its scans take in turn."""

    spacings: tuple[Spacing, ...]

    @property
    def flat(self) -> bool:
        return self.spacings[0][0] is None

    def usual(self) -> Spacing:
        return self.spacings[len(self.spacings) // 2]


SERIES = {
    "isotropic": Series(((3.0, 3.0, 3.0),)),
    "anisotropic": Series(((4.0, 2.4, 1.8),)),
    "thick": Series(((11.0, 1.6, 1.6), (12.0, 1.7, 1.7), (13.0, 1.8, 1.8))),
    "films": Series(((None, 1.6, 1.6),)),
}


def _ball(mm: list[Field], centre: Any, radii: Any) -> Field:
    """About how many mm a point lies inside an ellipsoid."""
    parts = sum(((axis - c) / r) ** 2 for axis, c, r in zip(mm, centre, radii, strict=True))
    return (1 - np.sqrt(parts)) * min(radii)


def anatomy(patient: int, mm: list[Field]) -> tuple[Field, list[Field]]:
    """Signal, and how many mm each point lies inside each kidney; `mm` are `(z, y, x)` from the middle of the body."""
    rng = np.random.default_rng([7, patient])
    body = _ball(mm[1:], (0, 0), rng.normal((55, 82), 2))
    signal = 300 * _soft(body) + 60 * np.sin(mm[0] / 9 + mm[1] / 7) * _soft(body - 6)
    signal += 350 * _soft(_ball(mm[1:], (32, 0), (14, 16)))
    signal += 220 * _soft(_ball(mm, rng.normal((20, -14, -38), 3), (45, 26, 30)))
    kidneys = []
    for side in (1, -1):
        centre = rng.normal((0, 14, 44 * side), 3)
        kidneys.append(_ball(mm, centre, rng.normal((55, 25, 22), 1)))
        signal += 420 * _soft(kidneys[-1])
    for _ in range(10):
        centre = rng.uniform((-70, -40, -50), (70, -20, 50))
        signal += 420 * _soft(_ball(mm, centre, (9, 9, 9)))
    return signal, kidneys


def _soft(inside: Field) -> Field:
    return np.clip(inside / 1.5 + 0.5, 0, 1)


def drawn(patient: int, spacing: Spacing) -> tuple[Volume, NDArray[np.uint8]]:
    """A scan with the blur of its voxels and noise, and its label."""
    flat = spacing[0] is None
    edges = [step or EXTENT[0] for step in spacing]
    shape = [max(1, round(extent / edge)) for extent, edge in zip(EXTENT, edges, strict=True)]
    parts = [max(1, round(edge / (1.2 if axis else 6.0 if flat else 3.0))) for axis, edge in enumerate(edges)]
    centres = [
        (np.arange(n * p) + 0.5) * edge / p - n * edge / 2 for n, p, edge in zip(shape, parts, edges, strict=True)
    ]
    total, inside = np.zeros(shape), [np.zeros(shape) for _ in range(2)]
    slab = parts[0]
    for z in range(shape[0]):
        mm = list(np.meshgrid(centres[0][z * slab : (z + 1) * slab], *centres[1:], indexing="ij", sparse=True))
        signal, kidneys = anatomy(patient, mm)
        total[z] = _binned(signal, parts, shape)
        for share, kidney in zip(inside, kidneys, strict=True):
            held = kidney > 0
            share[z] = _binned(
                (held.any(axis=0, keepdims=True) if flat else held).astype(float),
                [1 if flat else slab, *parts[1:]],
                shape,
            )
    noise = np.random.default_rng([9, patient, *shape]).normal(0, 12, shape)
    label = np.zeros(shape, np.uint8)
    for value, share in enumerate(inside, start=1):
        label[share > 0.5] = value
    return Volume.of(np.clip(total + noise, 0, 4095).astype(np.uint16), Geometry.from_spacing(shape, spacing)), label


def _binned(block: Field, parts: list[int], shape: list[int]) -> Field:
    """Means over the parts of each voxel of one slice."""
    block = np.broadcast_to(block, (block.shape[0], shape[1] * parts[1], shape[2] * parts[2]))
    return block.reshape(block.shape[0], shape[1], parts[1], shape[2], parts[2]).mean(axis=(0, 2, 4))


def write(volume: Volume, path: Path) -> Path:
    """A NIfTI volume, or a film as DICOM with its PixelSpacing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if volume.geometry.shape[0] > 1:
        io.write(volume, path.with_suffix(".nii.gz"))
        return path.with_suffix(".nii.gz")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = (
        ExplicitVRLittleEndian,
        DigitalXRayImageStorageForPresentation,
    )
    meta.MediaStorageSOPInstanceUID = generate_uid()
    film = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    film.SOPClassUID, film.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    film.Modality, film.PatientID, film.PhotometricInterpretation = "DX", path.stem, "MONOCHROME2"
    film.SeriesInstanceUID, film.StudyInstanceUID = generate_uid(), generate_uid()
    _, film.Rows, film.Columns = volume.geometry.shape
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation, film.SamplesPerPixel = 16, 12, 11, 0, 1
    film.PixelSpacing = [f"{step:.6g}" for step in volume.geometry.spacing[1:] if step]
    film.PixelData = volume.array().tobytes()
    pydicom.dcmwrite(path.with_suffix(".dcm"), film, enforce_file_format=True)
    return path.with_suffix(".dcm")


def training_set(series: Series, folder: Path) -> Path:
    for patient in range(CASES):
        volume, label = drawn(patient, series.spacings[patient % len(series.spacings)])
        write(volume, folder / "images" / f"p{patient:02d}")
        place = folder / "masks" / f"p{patient:02d}{'.png' if series.flat else '.nii.gz'}"
        io.write(Volume.of(label, volume.geometry), place)
    return folder


def dice(label: NDArray[Any], found: NDArray[Any]) -> list[float]:
    return [
        2 * float(((label == v) & (found == v)).sum()) / float((label == v).sum() + (found == v).sum()) for v in (1, 2)
    ]


def table(name: str, series: Series, out: Path, steps: int) -> dict[str, Any]:
    """Train on a series and scan its unseen patients at every voxel size."""
    data = out / name / "scans"
    if not data.exists():
        training_set(series, data)
    run = segwright.fit(data, out=out / name / "run", steps=steps, patch=PATCH[name], levels=LEVELS[name], **QUICK)
    model = run.model
    unscaled = model.plan.model_copy(
        update={"prepare": model.plan.prepare.model_copy(update={"spacing": None, "kept": None})}
    )
    rows = {}
    for title, factors in SCANS.items():
        if title == "other proportions" and series.flat:
            factors = (1, 1, 1.7)
        spacing = tuple(step and step * f for step, f in zip(series.usual(), factors, strict=True))
        with_scale, without = [], []
        for patient in range(100, 100 + TESTS):
            volume, label = drawn(patient, spacing)  # type: ignore[arg-type]
            path = write(volume, out / name / "unseen" / f"p{patient}-{title.replace(' ', '').replace('/', 'half')}")
            with_scale.append(dice(label, model.predict(path).labels[0]))
            plain = segwright.Model(unscaled, model.weights)
            without.append(dice(label, plain.predict(path).labels[0]))
        both = [[round(mean(values), 3) for values in zip(*scores, strict=True)] for scores in (with_scale, without)]
        size = " x ".join(f"{step:.3g}" for step in spacing if step)
        told, before = ("  ".join(f"{value:.3f}" for value in values) for values in both)
        print(f"{name:12} {title:18} {size:18} {told}   without scale {before}", flush=True)
        rows[title] = {"spacing": spacing, "dice": both[0], "without scale": both[1]}
    return {"plan": {"spacing": model.plan.prepare.spacing, "kept": model.plan.prepare.kept}, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", default=",".join(SERIES))
    parser.add_argument("--out", type=Path, default=Path("runs/spacing"))
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in options.only.split(","):
        kept[name] = {"steps": options.steps, **table(name, SERIES[name], options.out, options.steps)}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    worst = min(min(row["dice"]) for entry in kept.values() for row in entry["rows"].values())
    print(f"lowest Dice of any row {worst:.3f}: {'holds' if worst >= 0.95 else 'DOES NOT HOLD'} (at least 0.95)")


if __name__ == "__main__":
    main()
