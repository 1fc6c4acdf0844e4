"""Results are kept only while scan, model, options and the result itself are what they were."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import segwright
from segwright import io
from segwright.api.lock import NAME, locked, locked_beside
from segwright.api.results import JOURNAL
from segwright.core.errors import UsageError
from segwright.core.geometry import Geometry
from segwright.core.prediction import Predictions
from segwright.core.volume import Volume

CASES = ("a", "b", "c")


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path]) -> Path:
    return make_model()


def scan(path: Path, seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 255, (1, 24, 20)).astype(np.uint8)
    io.write(Volume.of(array, Geometry.from_spacing((1, 24, 20), (None, None, None))), path)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for seed, name in enumerate(CASES):
        scan(tmp_path / "scans" / f"{name}.png", seed)
    return tmp_path / "scans"


def again(model: Path, scans: Path, out: Path, **options) -> tuple[set[str], list[str]]:
    """Cases that a resumed call predicts anew, and what it tells of them."""
    told: list[str] = []
    before = {file.name: file.read_bytes() for file in out.glob("*.png")} if not options else {}
    done = segwright.predict(
        model, scans, out, resume=True, device="cpu", listen=lambda e: told.append(getattr(e, "text", "")), **options
    )
    assert not before or before.keys() == {file.name for file in out.glob("*.png")}
    return {row.case for row in done.cases if not row.provenance.get("kept")}, [t for t in told if "made again" in t]


def first(model: Path, scans: Path, out: Path, **options) -> dict[str, bytes]:
    segwright.predict(model, scans, out, device="cpu", **options)
    return {file.name: file.read_bytes() for file in out.iterdir() if not file.name.startswith("predictions")}


def test_nothing_is_done_again_where_nothing_changed(model: Path, scans: Path, tmp_path: Path) -> None:
    first(model, scans, tmp_path / "out")
    assert again(model, scans, tmp_path / "out") == (set(), [])
    for file in (*scans.iterdir(), *(tmp_path / "out").glob("*.png")):
        os.utime(file, (1, 1))
    assert again(model, scans, tmp_path / "out") == (set(), [])
    scans.rename(tmp_path / "moved")
    assert again(model, tmp_path / "moved", tmp_path / "out") == (set(), [])


def test_a_changed_scan_is_done_again_even_with_its_old_date(model: Path, scans: Path, tmp_path: Path) -> None:
    whole = first(model, scans, tmp_path / "out")
    times = (scans / "b.png").stat()
    scan(scans / "b.png", 9)
    os.utime(scans / "b.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert again(model, scans, tmp_path / "out") == (
        {"b"},
        ["1 result made again, for their scans changed: b."],
    )
    assert (tmp_path / "out" / "b.png").read_bytes() != whole["b.png"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: shutil.copyfile(file.with_name("c.png"), file),
        lambda file: file.unlink(),
    ],
    ids=["empty", "cut", "another", "gone"],
)
def test_a_result_that_is_not_what_was_written_is_done_again(
    model: Path, scans: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    out = tmp_path / "out"
    whole = first(model, scans, out)
    damage(out / "a.png")
    segwright.predict(model, scans, out, resume=True, device="cpu")
    assert {name: (out / name).read_bytes() for name in whole} == whole
    done = Predictions.load(out / "predictions.json")
    assert [bool(row.provenance.get("kept")) for row in done.cases] == [False, True, True]


def test_another_model_other_options_and_another_format_are_done_again(
    model: Path, make_model: Callable[..., Path], scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first(model, scans, out)
    found, told = again(make_model(seed=1), scans, out)
    assert found == set(CASES) and told == ["3 results made again, for the model is another: a, b, c."]
    found, told = again(model, scans, out)
    assert found == set(CASES)
    found, told = again(model, scans, out, tta=False)
    assert found == set(CASES) and told == ["3 results made again, for options are others (tta): a, b, c."]
    found, told = again(model, scans, out, tta=False, suffix=".nii.gz")
    assert found == set(CASES) and "(format)" in told[0]


def test_results_of_unknown_origin_are_done_again(model: Path, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first(model, scans, out)
    data = json.loads((out / "predictions.json").read_text())
    for row in data["cases"]:
        del row["origin"]  # as earlier versions wrote it
    (out / "predictions.json").write_text(json.dumps(data))
    found, told = again(model, scans, out)
    assert found == set(CASES) and "it is not known what they were made from" in told[0]


@pytest.mark.parametrize("form", [None, "npy", "rle", "coco", "labelme"])
def test_a_call_that_was_killed_goes_on_and_ends_alike(
    model: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str | None
) -> None:
    whole, out = first(model, scans, tmp_path / "whole", suffix=form), tmp_path / "out"
    from segwright.prediction.model import Model

    segment, seen = Model.segment, []

    def stopped(self: Model, dataset, case, **options):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(case.id)
        return segment(self, dataset, case, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Model, "segment", stopped)
        with pytest.raises(KeyboardInterrupt):
            segwright.predict(model, scans, out, device="cpu", suffix=form)
    with (out / JOURNAL).open("a") as stream:
        stream.write('{"case": "b", "fil')  # cut off by the kill
    found, told = again(model, scans, out, suffix=form)
    assert found == {"c"} and not told
    assert {f.name: f.read_bytes() for f in out.iterdir() if not f.name.startswith("predictions")} == whole
    assert again(model, scans, out, suffix=form) == (set(), [])
    scan(scans / "a.png", 7)
    assert again(model, scans, out, suffix=form)[0] == {"a"}


def test_two_calls_do_not_write_into_one_folder(model: Path, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with locked(out), pytest.raises(UsageError, match="at work in this folder") as told:
        segwright.predict(model, scans, out, device="cpu")
    assert f"process {os.getpid()}" in str(told.value.got) and "since 20" in str(told.value.got)
    first(model, scans, out)
    assert not (out / NAME).exists()


@pytest.mark.parametrize("without", [False, True], ids=["flock", "no flock"])
def test_the_lock_of_a_dead_process_is_taken_over_and_that_of_a_living_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: bool
) -> None:
    from segwright.api import lock

    hold = f"import sys; from pathlib import Path; from segwright.api.lock import locked\n\
with locked(Path({str(tmp_path)!r})): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        if without:
            monkeypatch.setattr(lock, "fcntl", None)  # as on network shares without locks, and on Windows
            monkeypatch.delattr(os, "pwrite")
        with pytest.raises(UsageError) as told, locked(tmp_path):
            pass
        assert f"process {holder.pid}" in str(told.value.got)
        holder.kill()
    assert (tmp_path / NAME).exists()
    with locked(tmp_path), pytest.raises(UsageError), locked(tmp_path):
        pass
    assert not (tmp_path / NAME).exists()


def test_a_lock_of_another_machine_is_respected_and_it_is_said_how_to_lift_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segwright.api import lock

    monkeypatch.setattr(lock, "fcntl", None)
    (tmp_path / NAME).write_text(json.dumps({"pid": 1, "began": 0.0, "host": "elsewhere", "since": "today"}))
    with pytest.raises(UsageError, match="elsewhere") as told, locked(tmp_path):
        pass
    assert f"delete {tmp_path / NAME}" in str(told.value.hint)


def test_a_folder_that_is_replaced_is_locked_from_beside_it(tmp_path: Path) -> None:
    with locked_beside(tmp_path / "model"), pytest.raises(UsageError), locked_beside(tmp_path / "model"):
        pass
    assert not list(tmp_path.iterdir())


def labelled(folder: Path) -> Path:
    for seed, name in enumerate(CASES):
        scan(folder / "images" / f"{name}.png", seed)
        mask = np.zeros((1, 24, 20), np.uint8)
        mask[0, 4 : 10 + seed, 5:12] = 1
        io.write(
            Volume.of(mask, Geometry.from_spacing((1, 24, 20), (None, None, None))), folder / "masks" / f"{name}.png"
        )
    return folder


@pytest.mark.parametrize("form", ["png", "rle", "coco"])
def test_labels_are_converted_again_where_their_files_changed(tmp_path: Path, form: str) -> None:
    folder, out, told = labelled(tmp_path / "in"), tmp_path / "out", []

    def listen(event: dict) -> None:
        told.append(getattr(event, "text", "") if "made again" in getattr(event, "text", "") else "")

    def files() -> dict[str, bytes]:
        hidden = [file for file in out.rglob(".*") if file.is_file()]
        assert not hidden
        found = (file for file in out.rglob("*") if file.is_file() and file.name != "conversion.json")
        return {file.name: file.read_bytes() for file in found}

    segwright.convert(folder, out, to=form)
    whole = files()
    segwright.convert(folder, out, to=form, resume=True, listen=listen)
    assert files() == whole and not any(told)
    shutil.copyfile(folder / "masks" / "a.png", folder / "masks" / "b.png")
    segwright.convert(folder, out, to=form, resume=True, listen=listen)
    assert [text for text in told if text] == ["1 result made again, for their labels or images changed: b."]
    changed = files()
    segwright.convert(folder, tmp_path / "fresh", to=form)
    out = tmp_path / "fresh"
    assert files() == changed != whole


def test_a_conversion_is_not_made_by_two_at_once(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "in")
    with locked(tmp_path / "out"), pytest.raises(UsageError, match="at work"):
        segwright.convert(folder, tmp_path / "out", to="png")
