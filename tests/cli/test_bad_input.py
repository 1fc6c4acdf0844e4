"""What a sceptical person tries: damaged files, wrong folders, impossible wishes; always words, never a traceback."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segwright.__main__ import main

QUICK = ("steps=2", "width=4", "levels=2", "--folds", "2", "--device", "cpu")
#: Exit codes of a fit that ran to its end; after a few steps a model is mostly not better than a constant one.
TRAINED = (0, 3)


@dataclass
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


def segwright(*words: object, cwd: Path) -> Done:
    """Run the command line within this process, which spares importing torch again."""
    out, err, argv, here = io.StringIO(), io.StringIO(), sys.argv, Path.cwd()
    try:
        os.chdir(cwd)
        sys.argv = ["segwright", *map(str, words)]
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
            main()
    finally:
        sys.argv = argv
        os.chdir(here)
    done = Done(int(left.value.code or 0), out.getvalue(), err.getvalue())
    assert "Traceback" not in done.stdout + done.stderr
    assert "fault of segwright" not in done.stdout + done.stderr
    return done


def scans(folder: Path, cases: int = 6) -> Path:
    """Small volumes with two structures, as NIfTI in `images` and `labels`."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(cases):
        rng = np.random.default_rng(number)
        image = rng.normal(100, 10, (18, 16, 12)).astype(np.float32)
        label = np.zeros(image.shape, np.uint8)
        label[3:8, 3 + number % 4 : 9, 3:8], label[11:15, 9:13, 4:9] = 1, 2
        image += 50 * label
        for part, array in (("images", image), ("labels", label)):
            nib.save(nib.Nifti1Image(array, np.diag([1, 1, 1.5, 1])), folder / part / f"c{number}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in `run`, made from `scans`."""
    home = tmp_path_factory.mktemp("bad")
    scans(home / "scans")
    done = segwright("fit", "scans", "-o", "run", *QUICK, "-q", cwd=home)
    assert done.returncode in TRAINED, done.stderr
    return home / "run"


def test_a_truncated_first_image_is_one_finding_among_others(tmp_path: Path) -> None:
    folder = scans(tmp_path / "scans")
    broken = folder / "images" / "c0.nii.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    done = segwright("inspect", folder, "--json", cwd=tmp_path)
    assert done.returncode == 1
    found = json.loads(done.stdout)["inspection"]
    assert [(f["code"], f["where"]) for f in found["findings"] if f["level"] == "error"] == [("unreadable-image", "c0")]
    assert len(found["facts"]) == 5


def test_an_image_without_a_finite_voxel_is_an_error(tmp_path: Path) -> None:
    folder = scans(tmp_path / "scans")
    path = folder / "images" / "c0.nii.gz"
    nib.save(nib.Nifti1Image(np.full((18, 16, 12), np.nan, np.float32), np.diag([1, 1, 1.5, 1])), path)
    done = segwright("inspect", folder, "-q", cwd=tmp_path)
    assert done.returncode == 1
    assert "no finite value" in done.stdout
    assert "Warning" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a=["], "Cannot read the value"),
        (["width=abc"], "'width'"),
        (["optimiser=adamm"], "Did you mean 'adamw'"),
        (["schedule=cosinus"], "Did you mean 'cosine'"),
        (["loss.alhpa=0.3"], "without its name"),
        (["loss.name=tversky", "loss.alhpa=0.3"], "Did you mean 'alpha'"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_before_anything_is_written(
    run: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    done = segwright("fit", run.parent / "scans", "-o", "new", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not (tmp_path / "new").exists()


def test_wrong_flags_are_json_too(tmp_path: Path) -> None:
    done = segwright("plan", "scans", "--nosuch", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "--nosuch" in json.loads(done.stdout)["error"]["what"]


def test_a_run_is_not_replaced_and_keeps_its_plan(run: Path) -> None:
    home = run.parent
    again = segwright("fit", "scans", "-o", "run", *QUICK, cwd=home)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    other = segwright("fit", "scans", "-o", "run", "--resume", "width=8", cwd=home)
    assert other.returncode == 2
    assert "width=4" in other.stderr
    beyond = segwright("fit", "scans", "-o", "run", "-f", "7", cwd=home)
    assert beyond.returncode == 2
    assert "There is no fold 7" in beyond.stderr


def test_a_run_goes_on_where_its_data_have_moved(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run.parent / "scans", tmp_path / "here")
    first = segwright("fit", "here", "-o", "run", *QUICK, "-f", "0", "-q", cwd=tmp_path)
    assert first.returncode in TRAINED, first.stderr
    (tmp_path / "here").rename(tmp_path / "there")
    second = segwright("fit", "there", "-o", "run", "--resume", cwd=tmp_path)
    assert second.returncode in TRAINED, second.stderr
    assert "The data have moved" in second.stderr
    assert len(json.loads((tmp_path / "run" / "model" / "manifest.json").read_text())["members"]) == 2


def test_results_never_replace_scans(run: Path) -> None:
    images = run.parent / "scans" / "images"
    before = (images / "c0.nii.gz").read_bytes()
    for source in (images, images / "c0.nii.gz"):
        done = segwright("predict", run, "-i", source, "-o", images, cwd=run.parent)
        assert done.returncode == 2
        assert "among the scans" in done.stderr
    assert (images / "c0.nii.gz").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "file"], 1, "Cannot write to this folder"),
        (["-o", "out", "--format", "dcm"], 2, "Labels cannot be written"),
        (["-o", "out", "--combine", "median"], 2, "Unknown combination"),
        (["-o", "out", "-f", "9"], 2, "The model has no fold 9"),
    ],
)
def test_predictions_refused_at_once(run: Path, words: list[str], code: int, said: str) -> None:
    (run.parent / "file").write_text("in the way")
    done = segwright("predict", run, "-i", "scans/images", *words, cwd=run.parent)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert not (run.parent / "out").exists()


def test_names_of_scans_stay_and_doubts_are_told(run: Path, tmp_path: Path) -> None:
    image = nib.load(run.parent / "scans" / "images" / "c0.nii.gz")
    (tmp_path / "in").mkdir()
    for name in ("Jörg (1)", "y" * 240):
        nib.save(image, tmp_path / "in" / f"{name}.nii.gz")
    flat = nib.Nifti1Image(np.asarray(image.dataobj)[:, :, :1], image.affine)
    nib.save(flat, tmp_path / "in" / "flat.nii.gz")
    done = segwright("predict", run, "-i", "in", "-o", "out", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stdout  # the flat one is refused, the others are predicted
    assert "single plane" in json.loads(done.stdout)["error"]["got"]
    (tmp_path / "in" / "flat.nii.gz").unlink()
    done = segwright("predict", run, "-i", "in", "-o", "out", "--json", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    cases = {row["case"]: row for row in json.loads(done.stdout)["cases"]}
    assert cases["Jörg (1)"]["files"] == ["Jörg (1).nii.gz"]
    assert len(list((tmp_path / "out").glob("y*.nii.gz"))) == 1


def test_scans_of_several_phases_are_not_mixed_into_one_channel(run: Path, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((9, 8, 7, 3), np.float32), np.eye(4)), tmp_path / "4d.nii")
    done = segwright("predict", run, "-i", "4d.nii", "-o", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "has 3 channels" in done.stderr


def damaged(model: Path, kind: str) -> None:
    member, plan = model / "member-0.safetensors", model / "plan.json"
    if kind == "missing member":
        member.unlink()
    elif kind == "short member":
        member.write_bytes(member.read_bytes()[:500])
    elif kind == "changed member":
        content = bytearray(member.read_bytes())
        content[-5] ^= 1
        member.write_bytes(content)
    elif kind == "missing plan":
        plan.unlink()
    elif kind == "cut plan":
        plan.write_text(plan.read_text()[:300])
    else:
        changes = {"other schema": {"schema_number": 99}, "nonsense": {"folds": "many"}, "stranger": {"colour": 1}}
        plan.write_text(json.dumps({**json.loads(plan.read_text()), **changes[kind]}))


@pytest.mark.parametrize(
    "kind",
    [
        "missing member",
        "short member",
        "changed member",
        "missing plan",
        "cut plan",
        "other schema",
        "nonsense",
        "stranger",
    ],
)
def test_a_damaged_model_is_named(run: Path, tmp_path: Path, kind: str) -> None:
    shutil.copytree(run / "model", tmp_path / "model")
    damaged(tmp_path / "model", kind)
    done = segwright("predict", "model", "-i", run.parent / "scans" / "images", "-o", "out", "--json", cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "model" in json.loads(done.stdout)["error"]["where"]
    assert not (tmp_path / "out").exists()


def test_a_dataset_folder_is_a_reference(run: Path, tmp_path: Path) -> None:
    segwright("predict", run, "-i", run.parent / "scans" / "images", "-o", "out", "-q", cwd=tmp_path)
    done = segwright("evaluate", run.parent / "scans", "out", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {row["structure"] for row in json.loads(done.stdout)["scores"]} >= {"structure_1", "structure_2"}
    wrong = segwright("evaluate", run.parent / "scans", "out", "-o", "report.pdf", cwd=tmp_path)
    assert wrong.returncode == 2


def test_two_fits_in_one_folder_and_an_interrupt(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "segwright", "fit", str(run.parent / "scans"), "-o", "new", "steps=100000"]
    heard = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell in the background hands down that it is ignored
    slow = subprocess.Popen([*command, "width=4", "levels=2", "-q"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, heard)
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "new" / "plan.json").exists() and time.monotonic() < until:
            time.sleep(0.1)
        second = segwright("fit", run.parent / "scans", "-o", "new", "--resume", cwd=tmp_path)
        assert second.returncode == 2
        assert "Another segwright process" in second.stderr
        slow.send_signal(signal.SIGINT)
        _, told = slow.communicate(timeout=60)
    finally:
        slow.kill()
    assert slow.returncode == 130
    assert "Interrupted" in told
    assert "--resume" in told
    assert "Traceback" not in told
    early = segwright("report", "new", cwd=tmp_path)
    assert early.returncode == 2
    assert "No fold of this run has finished" in early.stderr


def test_a_broken_first_container_is_a_finding(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for number in range(4):
        rng = np.random.default_rng(number)
        with h5py.File(tmp_path / f"c{number}.h5", "w") as file:
            file["raw"], file["label"] = rng.random((9, 8, 7), np.float32), rng.integers(0, 2, (9, 8, 7), np.uint8)
    first = tmp_path / "c0.h5"
    first.write_bytes(first.read_bytes()[:300])
    done = segwright("inspect", ".", "--json", cwd=tmp_path)
    assert done.returncode == 1
    errors = [f for f in json.loads(done.stdout)["inspection"]["findings"] if f["level"] == "error"]
    assert [finding["where"] for finding in errors] == ["c0"]


def test_images_given_as_labels_are_refused(run: Path) -> None:
    done = segwright("evaluate", "scans/images", "scans/images", cwd=run.parent)
    assert done.returncode == 1
    assert "No case could be scored" in done.stderr


def test_empty_references_count_what_predictions_invent(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for label in (run.parent / "scans" / "labels").iterdir():
        image = nib.load(label)
        nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), tmp_path / "empty" / label.name)
    done = segwright("evaluate", "empty", run.parent / "scans" / "labels", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)["scores"]
    assert {row["value"] for row in scores if row["metric"] == "dice"} == {0.0}
    both = segwright("evaluate", "empty", "empty", cwd=tmp_path)
    assert both.returncode == 0
    assert "Neither references nor predictions" in both.stdout
