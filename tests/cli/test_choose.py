"""A folder that can be understood in two ways: asked at a terminal and kept, an error with the lines elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import ChoiceError
from segwright.io.dataset import open_dataset
from segwright.io.layouts.judge import Proposal, choose


@pytest.fixture
def two_ways(tmp_path: Path) -> Path:
    """Pictures of two sites, or channels; one folder of masks."""
    rng = np.random.default_rng(0)
    for i in range(4):
        mask = np.zeros((40, 44), np.uint8)
        mask[5 + i : 25 + i, 8:30] = 255
        for folder, picture in (("north", mask // 2), ("south", rng.permuted(mask, axis=0) // 2), ("masks", mask)):
            (tmp_path / "scans" / folder).mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 40, mask.shape).astype(np.uint8) if folder != "masks" else 0
            Image.fromarray(picture + noise).save(tmp_path / "scans" / folder / f"c{i}.png")
    return tmp_path / "scans"


def test_the_lines_of_each_reading_do_what_its_words_say(two_ways: Path) -> None:
    with pytest.raises(ChoiceError, match="show different things") as caught:
        open_dataset(two_ways)
    found = {}
    for reading in caught.value.readings:
        (two_ways / "dataset.yaml").write_text(reading.text)
        dataset = open_dataset(two_ways)
        found[reading.what] = len(dataset.labelled), len(dataset.channels), dataset.cases[0].images[0].path
    assert found == {
        "north alone: 4 cases of 1 channel": (4, 1, "north/c0.png"),
        "south alone: 4 cases of 1 channel": (4, 1, "south/c0.png"),
        "channels of one scan: 4 cases of 2 channels": (4, 2, "north/c0.png"),
    }


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "segwright", "inspect", str(folder), "-q", "-o", str(folder.parent / "out.yaml")]


def test_without_a_terminal_it_is_an_error_that_shows_all(two_ways: Path) -> None:
    done = subprocess.run(command(two_ways), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1
    assert "1. north alone: 4 cases of 1 channel" in done.stderr
    assert "images: [north, south]" in done.stderr and not (two_ways / "dataset.yaml").exists()


@pytest.mark.parametrize(("typed", "code", "kept"), [("2\n", 0, "images: south\nlabels: masks\n"), ("0\n", 1, "")])
def test_at_a_terminal_the_answer_is_asked_for_and_kept(two_ways: Path, typed: str, code: int, kept: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command(two_ways), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:
        pass  # the other end was closed
    assert process.wait() == code, shown.decode()
    assert b"Which is meant?" in shown
    file = two_ways / "dataset.yaml"
    assert (file.read_text() if file.exists() else "") == kept


def proposal(layout: str, worth: float, *labels: str) -> Proposal:
    images = [Source(path=f"{i}.png") for i in range(2)]
    cases = [
        Case(id=f"{layout}{i}", images=(image,), label=(LabelSource(path=label),), group="")
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    return Proposal(layout, Dataset(root="scans", layout=layout, channels=(), cases=tuple(cases)), worth)


def test_readings_that_explain_nearly_as_much_are_asked_about_only_if_they_pair_other_files() -> None:
    first, same = proposal("pairs", 0.90, "a", "b"), proposal("suffix", 0.88, "a", "b")
    crossed, worse = proposal("patients", 0.87, "b", "a"), proposal("stacked", 0.80, "b", "a")
    assert (chosen := choose([first, same, worse])) is not None and chosen.layout == "pairs"
    with pytest.raises(ChoiceError, match="2 ways") as caught:
        choose([first, same, crossed])
    assert [one.text for one in caught.value.readings] == ["layout: pairs\n", "layout: patients\n"]
    assert caught.value.readings[1].what == "patients: 2 cases, 2 with a label, 87% of the files"
