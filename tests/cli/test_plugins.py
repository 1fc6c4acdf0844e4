"""Parts that another package brings by entry points are used by fit, evaluate and predict as our own are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

#: What the package brings: group, name, and its place in the module.
POINTS = {
    "segwright.targets": {"plain": "INFO"},
    "segwright.nets": {"two-layers": "two_layers"},
    "segwright.losses": {"squared": "squared"},
    "segwright.augments": {"darker": "Darker"},
    "segwright.metrics": {"counted": "counted"},
    "segwright.postprocess": {"as_it_is": "as_it_is"},
    "segwright.readers": {"grey": "FORMAT"},
    "segwright.layouts": {"marked": "MARKED"},
}

MODULE = '''
"""A package beside segwright. Every part writes its name down when it is used."""
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segwright.augment.protocol import Step
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.registry import TargetInfo
from segwright.io import npy
from segwright.postprocess.steps import step
from segwright.targets.classes import ClassesTarget

INFO = TargetInfo("beside:Plain", kinds=("exclusive",), loss="squared", beside=1, background=True, per_structure=True)


def used(name):
    with open(os.environ["USED"], "a") as file:
        print(name, file=file)


class Plain(ClassesTarget):
    """As `classes`."""

    def activate(self, logits):
        used("plain")
        return super().activate(logits)


def two_layers(spec):
    """Two convolutions."""
    used("two-layers")
    kind = nn.Conv3d if spec.spatial_dims == 3 else nn.Conv2d
    inputs = spec.in_channels * max(1, spec.slab)
    return nn.Sequential(kind(inputs, 4, 3, padding=1), nn.ReLU(), kind(4, spec.out_channels, 1))


def squared(logits, target, weight=None):
    """Mean squared error of the scores."""
    used("squared")
    return ((logits.float().softmax(1) - target) ** 2).mean()


@dataclass(frozen=True, kw_only=True)
class Darker(Step):
    """Takes something away."""

    def change(self, image, label, values):
        used("darker")
        return image - 0.1, label


def counted(reference, prediction, *, spacing):
    """Voxels of the prediction."""
    used("counted")
    return float(prediction.sum())


@step(lambda facts: [{}])
def as_it_is(labels, space, *, geometry, structures):
    """Changes nothing."""
    used("as_it_is")
    return labels.copy()


def read(path, key=None):
    used("grey")
    return npy.read(path, key)


FORMAT = replace(npy.FORMAT, name="grey", suffixes=(".grey",), read=read, writes=(".grey",))


class Marked:
    """`7.one.grey` is the label of `7.two.grey`, which nobody could know."""

    looks_like = "7.two.grey with 7.one.grey"
    stated = True

    def matches(self, folder):
        return any(Path(folder).glob("*.one.grey"))

    def open(self, folder):
        used("marked")
        names = sorted(path.name.split(".")[0] for path in Path(folder).glob("*.two.grey"))
        cases = [Case(id=name, group=name, images=(Source(path=f"{name}.two.grey"),),
                      label=(LabelSource(path=f"{name}.one.grey"),)) for name in names]
        return Dataset(root=str(folder), layout="marked", channels=("grey",), cases=tuple(cases))


MARKED = Marked()
'''


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the package is installed as pip would leave it."""
    site = tmp_path / "site"
    facts = site / "beside-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "beside.py").write_text(MODULE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: beside\nVersion: 1.0\n")
    points = [
        f"[{group}]\n" + "\n".join(f"{n} = beside:{v}" for n, v in rows.items()) for group, rows in POINTS.items()
    ]
    (facts / "entry_points.txt").write_text("\n".join(points) + "\n")
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    return {**os.environ, "PYTHONPATH": path, "USED": str(tmp_path / "used"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        label = np.zeros((32, 32), np.uint8)
        y, x = rng.integers(4, 16, 2)
        label[y : y + 10, x : x + 10] = 1
        for name, array in (("two", label * 2.0 + rng.normal(0, 0.2, label.shape)), ("one", label)):
            with (folder / f"{number}.{name}.grey").open("wb") as file:
                np.save(file, array.astype(np.float32 if name == "two" else np.uint8))
    return folder


def call(environment: dict[str, str], *words: object) -> str:
    command = [sys.executable, "-m", "segwright", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 3}, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_parts_of_another_package_work_from_the_command_line(installed, scans, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "target: plain\nnet: two-layers\nloss: squared\naugment: [darker]\nsteps: 3\nfolds: 2\nwidth: 4\nbatch: 2\n"
    )
    call(installed, "fit", scans, "-o", run, "-r", recipe, "--device", "cpu", "--json")
    call(installed, "predict", run / "model", "-i", scans / "0.two.grey", "-o", out, "--device", "cpu")
    report = call(installed, "evaluate", scans, out, "-m", "counted")
    assert "Counted" in report and "dice" not in report.lower()
    names = {name for rows in POINTS.values() for name in rows}
    assert set(Path(installed["USED"]).read_text().split()) == names
    told = call(installed, "doctor")
    assert all(f"{name} (from beside)" in told for name in names)
