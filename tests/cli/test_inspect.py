"""`segwright inspect`: one JSON document, a page, and mistakes that are refused before anything is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from segwright.phantoms.write import write_dataset


def segwright(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "segwright", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset("tumour-mri", tmp_path_factory.mktemp("phantoms"), cases=4) / "scans"


def test_numbers_and_page_come_from_one_pass(scans: Path, tmp_path: Path) -> None:
    done = segwright("inspect", scans, "--report", "page.html", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Reading every file once" in done.stderr, "progress belongs on standard error, whatever the results are"
    document = json.loads(done.stdout)
    found = document["exploration"]
    assert found["cases"] == 4 and found["size_unit"] == "mm³"
    facts = {fact["case"]: fact for fact in document["inspection"]["facts"]}
    for row in found["rows"]:
        fact = facts[row["case"]]
        voxel = fact["spacing"][0] * fact["spacing"][1] * fact["spacing"][2]
        assert row["sizes"] == {name: pytest.approx(n * voxel) for name, n in fact["volumes"].items()}
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('class="lightbox"') == 4


def test_text_fits_80_columns_and_progress_stays_off_standard_output(scans: Path, tmp_path: Path) -> None:
    done = segwright("inspect", scans, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert any(line.startswith("structure") and "mm³" in line for line in lines)
    table = lines[lines.index(next(line for line in lines if line.startswith("structure "))) :]
    assert max(map(len, table[:-2])) <= 80
    assert "Reading every file once" in done.stderr and "Reading" not in done.stdout
    assert segwright("inspect", scans, "-q", cwd=tmp_path).stderr == ""


def test_a_page_that_is_no_page_is_refused_before_reading(scans: Path, tmp_path: Path) -> None:
    done = segwright("inspect", scans, "--report", "page.pdf", cwd=tmp_path)
    assert done.returncode == 2 and "page.pdf" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_films_have_a_size_in_pixels(tmp_path: Path) -> None:
    films = write_dataset("spine-xray", tmp_path, cases=3, seed=1) / "scans"
    text = " ".join(segwright("inspect", films, "-q", cwd=tmp_path).stdout.split())
    assert "pixels (height x width)" in text and "1 x" not in text and "voxels (z, y, x)" not in text
