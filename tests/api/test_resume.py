"""A run goes on over the very data it was begun with, and trusts nothing that is not what it wrote."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import segwright
from segwright.api.inputs import Inputs
from segwright.api.run import Run
from segwright.core.errors import UsageError

NAMES = ("ann", "ben", "cid", "dan", "eve", "fay")
QUICK = {"steps": 2, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2, "precision": "float32"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `scans` and a finished `run` of them."""
    from segwright import io
    from segwright.core.geometry import Geometry
    from segwright.core.volume import Volume

    home = tmp_path_factory.mktemp("resume")
    geometry = Geometry.from_spacing((1, 32, 28), (None, None, None))
    for number in range(6):
        scan = np.random.default_rng(number).integers(40, 90, (1, 32, 28)).astype(np.uint8)
        mask = np.zeros_like(scan)
        mask[0, 5 + number : 17 + number, 6:18] = 1
        for part, array in (("images", scan + 100 * mask), ("masks", mask)):
            io.write(Volume.of(array, geometry), home / "scans" / part / f"{NAMES[number]}.png")
    segwright.fit(home / "scans", out=home / "run", **QUICK)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def go_on(home: Path) -> list[str]:
    """Notes of a run that goes on."""
    told: list[str] = []
    segwright.fit(
        home / "scans", out=home / "run", resume=True, listen=lambda e: told.append(getattr(e, "text", "")), **QUICK
    )
    return told


def swap(folder: Path, one: str, other: str) -> None:
    first, second = (folder / f"{name}.png" for name in (one, other))
    content, times = first.read_bytes(), first.stat()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    for path in (first, second):
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_changed_labels_and_images_are_refused_by_case_and_what_is_restored_goes_on(home: Path) -> None:
    swap(home / "scans" / "masks", "ben", "eve")
    swap(home / "scans" / "images", "cid", "dan")
    with pytest.raises(UsageError, match="not those that the run was begun with") as told:
        go_on(home)
    assert told.value.got == "changed labels: ben, eve; changed images: cid, dan"
    assert "segwright fit DATA -o" in str(told.value.hint)
    swap(home / "scans" / "masks", "ben", "eve")
    swap(home / "scans" / "images", "cid", "dan")
    before = Inputs.load(home / "run" / Inputs.filename)
    go_on(home)
    after = Inputs.load(home / "run" / Inputs.filename)
    assert after != before, "the times of now are kept"
    assert {k: one.images.content for k, one in after.cases.items()} == {
        k: one.images.content for k, one in before.cases.items()
    }


def test_cases_that_came_or_went_are_named(home: Path) -> None:
    for part in ("images", "masks"):
        (home / "scans" / part / "fay.png").rename(home / "scans" / part / "other.png")
    with pytest.raises(UsageError) as told:
        go_on(home)
    assert told.value.got == "cases gone: fay; new cases: other"


def test_a_run_of_an_earlier_version_goes_on_and_says_that_it_cannot_tell(home: Path) -> None:
    (home / "run" / Inputs.filename).unlink()
    for fold in range(2):
        (home / "run" / f"fold-{fold}" / "judged.json").unlink()
    assert sum("kept no content" in text for text in go_on(home)) == 1


@pytest.mark.parametrize("damage", [b"", b"cut", None], ids=["empty", "cut", "flipped"])
def test_scores_and_weights_that_are_not_what_was_written_are_made_again(home: Path, damage: bytes | None) -> None:
    run = Run(home / "run")
    case = run.split.folds[0].validation[0]
    files = [run.scores_file(case), run.weights(1)[0]]
    whole = [file.read_bytes() for file in files]
    for file, content in zip(files, whole, strict=True):
        file.write_bytes(damage if damage is not None else content[:-1] + bytes([content[-1] ^ 1]))
    assert run.unjudged(0) == [case]
    told = go_on(home)
    assert [file.read_bytes() for file in files] == whole
    assert any("is damaged and made again" in text for text in told)
    assert run.unjudged(0) == run.unjudged(1) == []


def test_scores_of_other_networks_are_made_again(home: Path) -> None:
    run = Run(home / "run")
    shutil.copyfile(run.weights(1)[0], run.weights(0)[0])
    assert set(run.unjudged(0)) == set(run.split.folds[0].validation)


def test_another_recipe_is_refused_by_its_settings(home: Path) -> None:
    with pytest.raises(UsageError, match="planned otherwise") as told:
        segwright.fit(home / "scans", out=home / "run", resume=True, **{**QUICK, "width": 8})
    assert "width=8" in str(told.value.got)
