"""Spoiled sections are mended before a fit and before a prediction: only these, told, kept, and never in place."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import segwright
from segwright import io
from segwright.api.restored import IN_RUN, redirected
from segwright.api.run import Run
from segwright.core.case import Dataset
from segwright.core.events import Note
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume
from segwright.io.load import load_image
from segwright.planning.machine import Machine
from segwright.restoration.record import RestorationRecord, RestoredStacks, SectionRow

QUICK = {"width": 4, "levels": 2, "batch": 2, "device": "cpu", "augment": "off", "precision": "float32"}
BAD = {4: "missing", 8: "dark"}
DEPTH = 13


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segwright.api.restored.STEPS", 3)


def write_stack(folder: Path, *, spoiled: bool = True, labelled: bool = True) -> np.ndarray:
    """Textured sections with drifting rods; one is blank and one dark."""
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=(DEPTH + 4, 48, 56)), 2.0)[2:-2]
    grid = np.indices((DEPTH, 48, 56))
    rods = np.zeros(grid.shape[1:], bool)
    for y, x in [(10, 10), (10, 34), (34, 14), (36, 40)]:
        rods |= (grid[1] - y - grid[0] * 0.3) ** 2 + (grid[2] - x) ** 2 < 36
    image = np.clip(120 + 25 * texture / texture.std() + 50 * rods, 0, 255).astype(np.uint8)
    if spoiled:
        image[4], image[8] = 0, np.clip(image[8].astype(int) - 80, 0, 255)
    planes = {"raw": image, "mitochondria": rods.astype(np.uint8) * 255} if labelled else {".": image}
    for name, array in planes.items():
        for z in range(DEPTH):
            plane = Volume.of(array[z : z + 1], Geometry.from_spacing((1, 48, 56)))
            io.write(plane, folder / name / f"section_{z:02d}.png")
    return image


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.png")}


def fitted(tmp_path: Path, **wishes: Any) -> tuple[Run, list[str]]:
    heard: list[str] = []

    def listen(event: dict[str, Any]) -> None:
        if isinstance(event, Note):
            heard.append(event.text)

    asked = {"instances": True, "folds": 2, "steps": 2, "restore_sections": True, **QUICK, **wishes}
    return segwright.fit(tmp_path / "em", out=tmp_path / "run", listen=listen, **asked), heard


def test_a_fit_learns_from_mended_sections_and_tells(tmp_path: Path) -> None:
    image = write_stack(tmp_path / "em")
    before = bytes_of(tmp_path / "em")
    run, heard = fitted(tmp_path)
    assert bytes_of(tmp_path / "em") == before
    assert any("2 of 13 sections of raw mended: 4 missing" in text and "8 dark, lit again" in text for text in heard)
    told = run.plan.why["restore_sections"]
    assert run.plan.restore_sections and "4 missing" in told and "changed by" in told
    assert any("8 dark" in note for note in run.dataset.notes) and "4 missing" in run.page.read_text()
    table = RestoredStacks.load(run.folder / IN_RUN / RestoredStacks.filename)
    assert len(table.stacks) == 1 and {row.section: row.kind for row in table.stacks[0].record.mended} == BAD
    pictures = sorted((run.folder / IN_RUN / table.stacks[0].folder / "before-after").iterdir())
    assert [picture.name for picture in pictures] == ["section-0004.png", "section-0008.png"]
    kept = Dataset.load(run.folder / Dataset.filename)
    assert {case.images[0].path for case in kept.cases} != {case.images[0].path for case in run.dataset.cases}
    for case in run.dataset.cases:
        start, stop = case.sections
        seen = load_image(run.dataset, case).array()[0]
        for z in range(start, stop):
            assert np.array_equal(seen[z - start], image[z]) == (z not in BAD)
            assert seen[z - start].std() > 10

    first = (run.folder / IN_RUN / RestoredStacks.filename).stat().st_mtime_ns
    again = segwright.fit(tmp_path / "em", out=tmp_path / "run", resume=True)
    assert again.finished == run.finished
    assert (run.folder / IN_RUN / RestoredStacks.filename).stat().st_mtime_ns == first
    shutil.move(run.folder, tmp_path / "elsewhere")
    moved = Run.open(tmp_path / "elsewhere").dataset
    assert all(Path(case.images[0].path).is_relative_to((tmp_path / "elsewhere").resolve()) for case in moved.cases)
    assert load_image(moved, moved.cases[0]).array().any()


def test_a_prediction_mends_as_the_training_did(tmp_path: Path) -> None:
    write_stack(tmp_path / "em")
    run, _ = fitted(tmp_path, only=[0])
    write_stack(tmp_path / "new" / "a", labelled=False)
    before = bytes_of(tmp_path / "new")
    found = segwright.predict(run.model, tmp_path / "new" / "a", tmp_path / "out")
    assert bytes_of(tmp_path / "new") == before
    (row,) = found.cases
    assert any("4 missing" in note and "8 dark" in note for note in row.notes), row.notes
    assert "4 missing" in json.loads((tmp_path / "out" / "predictions.json").read_text())["cases"][0]["notes"][0]
    assert (tmp_path / "out" / row.files[0]).exists()
    mended = next((tmp_path / "out" / ".restored").glob("*/a"))
    assert len(list(mended.iterdir())) == DEPTH
    other = segwright.predict(run.model, tmp_path / "new" / "a", tmp_path / "other")
    for file in (tmp_path / "out" / row.files[0], tmp_path / "other" / other.cases[0].files[0]):
        assert io.read(file).array().shape[1:] == (DEPTH, 48, 56)
    same = [io.read(folder / row.files[0]).array() for folder in (tmp_path / "out", tmp_path / "other")]
    assert np.array_equal(*same)


def test_clean_stacks_are_left_and_nothing_is_mended_unasked(tmp_path: Path) -> None:
    write_stack(tmp_path / "em", spoiled=False)
    run, heard = fitted(tmp_path, only=[0])
    assert not any("mended" in text for text in heard)
    assert "none of 13 sections of raw is spoiled" in run.plan.why["restore_sections"]
    assert run.dataset.cases == Dataset.load(run.folder / Dataset.filename).cases
    assert [path.name for path in (run.folder / IN_RUN).iterdir()] == [RestoredStacks.filename]
    shutil.rmtree(run.folder)
    run, _ = fitted(tmp_path, only=[0], restore_sections=False)
    assert not (run.folder / IN_RUN).exists() and not run.plan.restore_sections


def test_changed_files_are_looked_at_anew(tmp_path: Path) -> None:
    from segwright.api.restore_sections import Effort
    from segwright.api.restored import mend
    from segwright.io.dataset import open_dataset

    write_stack(tmp_path / "em")
    dataset, place = open_dataset(tmp_path / "em"), tmp_path / "place"

    def mended() -> set[int]:
        found = mend(dataset, dataset.cases, place, Effort(steps=3), listen=lambda event: None)
        (record,) = found.values()
        return {row.section for row in record.mended}

    assert mended() == set(BAD)
    for folder in [path for path in place.iterdir() if path.is_dir()]:
        (folder / "restoration.json").write_text("{}")  # what is known is not read from there, nor made again
    assert mended() == set(BAD)
    for file in [path for path in (tmp_path / "em").rglob("*") if path.is_file()]:
        os.utime(file, (1, 1))  # only its times are others
    before = {path.name for path in place.iterdir()}
    assert mended() == set(BAD) and {path.name for path in place.iterdir()} == before
    shutil.rmtree(tmp_path / "em")
    write_stack(tmp_path / "em", spoiled=False)
    assert mended() == set()
    assert redirected(dataset, place).cases == dataset.cases


def test_a_stack_too_large_for_memory_is_left_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segwright.api.restore_sections import Effort
    from segwright.api.restored import mend
    from segwright.io.dataset import open_dataset

    write_stack(tmp_path / "em")
    dataset, heard = open_dataset(tmp_path / "em"), []
    monkeypatch.setattr("segwright.api.restored.this_machine", lambda: Machine(cores=1, memory=1000))
    assert mend(dataset, dataset.cases, tmp_path / "place", Effort(steps=3), listen=heard.append) == {}
    assert "raw: its sections were not looked at" in heard[0].text and not (tmp_path / "place").exists()


def test_what_was_left_is_told_with_its_reason() -> None:
    rows = (
        SectionRow(section=0, kind="noisy", score=9, action="left as it is", why="no clean section within 3"),
        SectionRow(section=5, kind="shifted", score=4, action="moved back", change=0.5),
    )
    record = RestorationRecord(source="em", sections=9, rows=rows)
    assert record.told == (
        "1 of 9 sections of em mended: 5 shifted, moved back (changed by 0.50 of the contrast); "
        "spoiled sections left as they are: 0 noisy (no clean section within 3)"
    )
    assert "of em left" in record.model_copy(update={"rows": rows[:1]}).told
