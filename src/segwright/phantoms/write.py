"""Phantoms as files, arranged the way people keep such scans: what the demo and the documentation start from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from segwright.core.errors import UsageError
from segwright.core.labels import LabelSpace
from segwright.core.seed import derive
from segwright.core.volume import Volume
from segwright.io import write
from segwright.phantoms import PHANTOMS
from segwright.phantoms.phantom import Phantom

#: How each phantom is stored: file ending, and whether the training folder follows nnU-Net's names.
STYLE = {"spine-xray": (".png", False), "tumour-mri": (".nii.gz", True)}


def write_dataset(
    name: str, folder: str | Path, *, cases: int, seed: int = 0, held_out: int = 0, patients_share: float = 0.7
) -> Path:
    """Draw a labelled dataset, and scans kept back for a final check.

    The folder then holds `scans/`, to be given to `segwright fit`, and (if asked for) `held-out/images` and
    `held-out/labels`, whose patients do not occur in `scans/`:

    - `spine-xray`: `scans/images/p004_a.png` with `scans/masks/p004_a.png`, values 0 and 255; letters are views
      of one patient;
    - `tumour-mri`: nnU-Net's raw layout, `scans/imagesTr/m004_0000.nii.gz`, `scans/labelsTr/m004.nii.gz` and
      `scans/dataset.json`.

    Args:
        name: Row of `PHANTOMS`.
        folder: Where to write; made if absent.
        cases: Labelled scans.
        seed: Of all of them.
        held_out: Further scans in `held-out/`.
        patients_share: Number of patients as a share of the number of X-rays; the rest are further views of a
            patient already drawn. Volumes are always one a patient.

    Returns:
        The folder.

    Raises:
        UnknownNameError: No phantom has that name.
        UsageError: There is no case to draw.
    """
    folder = Path(folder)
    draw = PHANTOMS.load(name)
    if cases < 1 or held_out < 0:
        raise UsageError("A dataset needs at least one case.", came=f"cases={cases}, held_out={held_out}")
    suffix, nnunet = STYLE.get(name, (".nii.gz", False))
    share = patients_share if suffix == ".png" else 1.0
    views = _views(cases, share, seed)
    further = _views(held_out, share, seed + 1)
    for case_id, patient, view in _named(views, 0, suffix):
        image, label = _training_paths(folder / "scans", case_id, suffix, nnunet)
        _store(draw(seed, patient, view), image, label)
    if nnunet:
        _describe(folder / "scans", draw(seed, 0).space, cases, suffix)
    for case_id, patient, view in _named(further, len(views), suffix):
        held = folder / "held-out"
        _store(
            draw(seed, patient, view), held / "images" / f"{case_id}{suffix}", held / "labels" / f"{case_id}{suffix}"
        )
    return folder


def _views(cases: int, share: float, seed: int) -> list[int]:
    """Views of each patient, so that they sum to `cases`; the second and third views are dealt out at random."""
    patients = min(cases, max(1, -(-cases // 3), round(cases * share))) if cases else 0
    counts = [1] * patients
    rng = derive(seed, "phantom views", cases)
    while sum(counts) < cases:
        open_to_more = [i for i, count in enumerate(counts) if count < 3]
        counts[int(rng.choice(open_to_more))] += 1
    return counts


def _named(views: list[int], first: int, suffix: str) -> Iterator[tuple[str, int, int]]:
    """`(case id, patient, view)` of each scan; X-rays carry the view as a letter."""
    for patient, count in enumerate(views, start=first):
        for view in range(count):
            name = f"p{patient:03d}_{'abc'[view]}" if suffix == ".png" else f"m{patient:03d}"
            yield name, patient, view


def _training_paths(folder: Path, case_id: str, suffix: str, nnunet: bool) -> tuple[Path, Path]:
    if nnunet:
        return folder / "imagesTr" / f"{case_id}_0000{suffix}", folder / "labelsTr" / f"{case_id}{suffix}"
    return folder / "images" / f"{case_id}{suffix}", folder / "masks" / f"{case_id}{suffix}"


def _store(phantom: Phantom, image: Path, label: Path) -> None:
    write(Volume.of(phantom.image, phantom.geometry), image)
    write(Volume.of(phantom.space.to_values(phantom.label)[None], phantom.geometry), label)


def _describe(folder: Path, space: LabelSpace, cases: int, suffix: str) -> None:
    """Write nnU-Net's `dataset.json`."""
    labels = {"background": 0, **{structure.name: structure.values[0] for structure in space.structures}}
    facts = {"channel_names": {"0": "MRI"}, "labels": labels, "numTraining": cases, "file_ending": suffix}
    (folder / "dataset.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
