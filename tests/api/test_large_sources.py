"""Every way a large volume is stored leads to the same labels, and what is odd about it is told."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy import ndimage

from segwright import io
from segwright.api.large import by_blocks, segment_large
from segwright.core.errors import DataError, ReadError, UsageError
from segwright.core.events import silent
from segwright.core.geometry import Geometry
from segwright.core.plan import Normalisation, PreparePlan
from segwright.core.volume import Volume
from segwright.io.scans import open_images
from segwright.nets import build
from segwright.prediction.large.plan import Wish
from segwright.prediction.model import Model

_spec = importlib.util.spec_from_file_location("large_plans", Path(__file__).with_name("test_large.py"))
assert _spec is not None and _spec.loader is not None
_plans = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_plans)
plan_of = _plans.plan_of

_SMOOTH = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(8, 64, 60)), (2, 3, 3))
IMAGE = np.clip(_SMOOTH / _SMOOTH.std() * 40 + 128, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory, plan_of) -> Model:
    plan = plan_of()
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "w.safetensors"
    save_file(build(plan.net).state_dict(), path)
    return Model(plan, [path], device="cpu")


def sections(folder: Path, numbers) -> Path:
    folder.mkdir()
    for number, plane in zip(numbers, IMAGE, strict=True):
        Image.fromarray(plane).save(folder / f"s{number:03d}.png")
    return folder


def stored(kind: str, folder: Path) -> Path:
    if kind == "sections":
        return sections(folder / "em", range(len(IMAGE)))
    path = folder / f"em.{kind}"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("raw", data=IMAGE, chunks=(4, 8, 8))
    else:
        io.write(Volume.of(IMAGE, Geometry.from_spacing(IMAGE.shape)), path)
    return path


def test_sources_agree(model, tmp_path):
    answers = {}
    for kind in ("zarr", "h5", "sections"):
        (tmp_path / kind).mkdir()
        dataset = open_images(stored(kind, tmp_path / kind), ("em",))
        case = dataset.cases[0]
        assert not by_blocks(model, dataset, case, Wish(), None)
        assert by_blocks(model, dataset, case, Wish(memory=1.0), None)
        with pytest.raises(UsageError, match="OME-Zarr"):
            by_blocks(model, dataset, case, Wish(workers=1), ".nii.gz")
        done = segment_large(model, dataset, case, tmp_path / "out" / kind, wish=Wish(block=(4, 32, 32)), listen=silent)
        answers[kind] = io.read(done.files[0]).array()
    assert len(np.unique(answers["zarr"])) > 1
    assert np.array_equal(answers["zarr"], answers["h5"]) and np.array_equal(answers["zarr"], answers["sections"])


def test_gaps_are_told_and_odd_sizes_refused(model, tmp_path):
    dataset = open_images(sections(tmp_path / "gap", [1, 2, 3, 4, 7, 8, 9, 10]), ("em",))
    done = segment_large(
        model, dataset, dataset.cases[0], tmp_path / "out", wish=Wish(block=(8, 64, 60)), listen=silent
    )
    assert any("s004.png to s007.png" in note for note in done.notes)
    folder = sections(tmp_path / "odd", range(len(IMAGE)))
    Image.fromarray(IMAGE[0, :10]).save(folder / "s003.png")
    dataset = open_images(tmp_path / "gap", ("em",)).model_copy(update={"root": str(folder)})
    with pytest.raises(ReadError, match="differs") as told:
        segment_large(model, dataset, dataset.cases[0], tmp_path / "out2", wish=Wish(), listen=silent)
    assert "s003.png" in told.value.where


def test_broken_voxels_are_counted(model, tmp_path):
    image = IMAGE.astype(np.float32)
    image[2, 3, 4] = np.nan
    io.write(Volume.of(image, Geometry.from_spacing(image.shape)), tmp_path / "em.zarr")
    dataset = open_images(tmp_path / "em.zarr", ("em",))
    done = segment_large(
        model, dataset, dataset.cases[0], tmp_path / "out", wish=Wish(block=(8, 64, 60)), listen=silent
    )
    assert any("NaN or infinite" in note for note in done.notes)


def test_a_section_cut_short_is_named_and_mended(model, tmp_path):
    folder = stored("sections", tmp_path)
    rule = Normalisation(scheme="fixed", mean=128.0, std=40.0)  # measured intensities would lack the section's
    plan = model.plan.model_copy(update={"prepare": PreparePlan(orientation="SPR", normalise=(rule,))})
    dataset = open_images(folder, ("em",))
    run = partial(
        segment_large, Model(plan, model.weights, device="cpu"), dataset, dataset.cases[0], wish=Wish(block=(4, 32, 32))
    )
    whole = run(folder=tmp_path / "whole", listen=silent)
    file = folder / "s006.png"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    told = []
    with pytest.raises(DataError, match="incomplete") as caught:
        run(folder=tmp_path / "out", listen=told.append)
    assert caught.value.exit_code == 1
    assert "s006.png" in caught.value.got
    assert any("tried again" in getattr(event, "text", "") for event in told)
    assert not (tmp_path / "out" / whole.files[0].name).exists()
    file.write_bytes(content)
    again = run(folder=tmp_path / "out", listen=silent)
    labels = [io.read(done.files[0]).array() for done in (whole, again)]
    assert np.array_equal(*labels)
