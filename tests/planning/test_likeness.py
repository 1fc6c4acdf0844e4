"""Copies of a scan are found whatever was done to them, other scans are not, and folds keep copies together."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.inspection import CaseFacts
from segwright.core.labels import LabelSpace
from segwright.planning.duplicates import gathered, sketch, twins
from segwright.planning.split import make_split

#: A common build, of which each scan is a variation: as anatomy is.
COMMON = np.random.default_rng(99).normal(size=(30, 80, 100))


def scan(seed: int, *, flat: bool = True, own: float = 1.0) -> np.ndarray:
    """A smooth picture `(z, y, x)`, half of it common to all."""
    shape = (1, 80, 100) if flat else (30, 50, 40)
    common = COMMON[: shape[0], : shape[1], : shape[2]]
    noise = np.random.default_rng(seed).normal(size=shape)
    sigma = (0, 3, 3) if flat else (3, 3, 3)
    smooth = gaussian_filter(common, sigma) + own * gaussian_filter(noise, sigma)
    return (smooth - smooth.min()) / np.ptp(smooth)


def facts_of(scans: dict[str, np.ndarray], orientations: dict[str, str] | None = None) -> list[CaseFacts]:
    blank: dict[str, Any] = {
        "spacing": (None, None, None), "image_type": "float32", "mean": (), "std": (), "zero_share": 0.0,
        "content": (1, 1, 1),
    }  # fmt: skip
    found = []
    for name, array in scans.items():
        codes = (orientations or {}).get(name, "SPL")
        low, high = float(array.min()), float(array.max())
        found.append(CaseFacts(
            case=name, group=name, shape=array.shape, orientation=codes, sketch=sketch(array[None], codes),
            percentiles=((low, low, low, high, high),), digest=str(hash(array.tobytes())), **blank,
        ))  # fmt: skip
    return found


def jpeg(array: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray((array[0] * 255).astype(np.uint8)).save(stream, "JPEG", quality=30)
    return np.asarray(Image.open(stream))[None] / 255.0


def noisy(array: np.ndarray) -> np.ndarray:
    return array + np.random.default_rng(7).normal(0, 0.1, array.shape)


def resized(array: np.ndarray) -> np.ndarray:
    factors = (1 if len(array) == 1 else 0.7, 0.6, 0.8)
    return np.asarray(zoom(array, factors, order=1, grid_mode=True, mode="nearest"))


CHANGES = {
    "as it is": lambda one: one.copy(),
    "resized": resized,
    "noisy": noisy,
    "left to right": lambda one: one[..., ::-1],
    "upside down": lambda one: one[:, ::-1],
    "inverted": lambda one: 1 - one,
    "brighter": lambda one: one**0.5 * 900 + 30,
    "all at once": lambda one: noisy(resized(1 - one[:, ::-1, ::-1])),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("flat", [True, False])
def test_copies_are_found_and_nothing_else(change: str, flat: bool) -> None:
    scans = {str(seed): scan(seed, flat=flat) for seed in range(12)}
    assert twins(facts_of(scans)) == []
    assert twins(facts_of({**scans, "copy": CHANGES[change](scans["3"])})) == [("3", "copy")]


def test_films_compressed_again_are_found() -> None:
    scans = {str(seed): scan(seed) for seed in range(12)}
    assert twins(facts_of({**scans, "copy": jpeg(scans["5"])})) == [("5", "copy")]


def test_a_volume_stored_along_other_axes_is_the_same() -> None:
    scans = {str(seed): scan(seed, flat=False) for seed in range(6)}
    scans["copy"] = scans["2"].transpose(2, 0, 1)[:, ::-1]
    assert twins(facts_of(scans, {"copy": "LIP"})) == [("2", "copy")]


def test_scans_of_one_place_that_all_look_alike_are_no_copies_of_one_another() -> None:
    alike = {str(seed): scan(seed, own=0.2) for seed in range(12)}
    assert twins(facts_of(alike)) == []
    assert twins(facts_of({**alike, "copy": alike["3"][..., ::-1]})) == [("3", "copy")]


def test_constant_images_and_facts_of_older_versions_are_left_out() -> None:
    facts = facts_of({"a": np.ones((1, 90, 90)), "b": np.zeros((1, 50, 50)), "c": scan(0)})
    old = facts[2].model_copy(update={"case": "d", "sketch": ""})
    assert twins([*facts, old]) == []
    small = scan(0)[:, :40, :40]
    assert twins(facts_of({"a": small, "b": small.copy()})) == []  # too small to tell a picture by


def test_copies_are_told_and_stay_in_one_fold_with_all_of_their_groups() -> None:
    scans = {str(seed): scan(seed) for seed in range(8)}
    facts = facts_of({**scans, "mirrored": scans["1"][..., ::-1], "noisy": noisy(scans["1"]), "equal": scans["4"]})
    facts[2] = facts[2].model_copy(update={"group": "1"})  # another film of the patient
    found, findings = gathered(facts, {})
    told = {finding.where: (finding.code, finding.level) for finding in findings}
    assert told == {"mirrored": ("near-duplicate", "warning"), "noisy": ("near-duplicate", "warning"),
                    "equal": ("duplicate", "warning")}  # fmt: skip
    groups = {fact.case: fact.group for fact in found}
    assert groups["1"] == groups["2"] == groups["mirrored"] == groups["noisy"] == "1" and groups["equal"] == "4"

    cases = tuple(
        Case(id=fact.case, images=(Source(path=fact.case),), label=(LabelSource(path="y"),), group=fact.case)
        for fact in found
    )
    space = LabelSpace.model_validate({"structures": [{"name": "a", "values": [1]}]})
    split = make_split(Dataset(root=".", layout="test", channels=("grey",), cases=cases, labels=space), found, 3, 0)
    for together in ({"1", "2", "mirrored", "noisy"}, {"4", "equal"}):
        assert sum(bool(together & set(fold.validation)) for fold in split.folds) == 1
