"""Large volumes: blocks of any size, any number of workers and any interruption lead to the same files."""

from __future__ import annotations

import csv
import errno
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from safetensors.torch import save_file
from scipy import ndimage

from segwright import io
from segwright.api.large import segment_large
from segwright.core.box import Box
from segwright.core.errors import DataError, OutOfMemoryError, UsageError, WriteError
from segwright.core.events import Progress, silent
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, PreparePlan
from segwright.core.volume import Volume
from segwright.io.scans import open_images
from segwright.nets import build
from segwright.ops.resample import shrink_labels
from segwright.postprocess.chain import Chain
from segwright.prediction.large.job import Record
from segwright.prediction.large.plan import Wish
from segwright.prediction.model import Model

SHAPE = (20, 60, 52)


@pytest.fixture(scope="module")
def plan_of(plain_plan):
    """A function that plans a small 3-D network for a kind of labels."""

    def make(kind: str = "exclusive", orientation: str | None = "SPR", channels: int = 1):
        exclusive = kind == "exclusive"
        space = LabelSpace(structures=[{"name": "a", "values": [3]}, {"name": "b", "values": [7]}], kind=kind)
        net = {
            "in_channels": channels,
            "out_channels": 3 if exclusive else 2,
            "widths": (3, 4),
            "strides": ((1, 1, 1), (1, 2, 2)),
            "kernels": ((3, 3, 3),) * 2,
        }
        return plain_plan(
            space,
            (8, 16, 16),
            net,
            batch=4,
            channels=tuple(f"c{i}" for i in range(channels)),
            prepare=PreparePlan(orientation=orientation, normalise=(Normalisation(),) * channels),
            target="classes" if exclusive else "regions",
        )

    return make


@pytest.fixture(scope="module")
def models(tmp_path_factory, plan_of):
    """A network without training for each kind of labels; what it finds follows the image closely enough."""
    folder = tmp_path_factory.mktemp("models")

    def make(kind: str = "exclusive", seed: int = 0, **options) -> Model:
        plan, path = plan_of(kind), folder / f"{kind}-{seed}.safetensors"
        torch.manual_seed(seed)
        save_file(build(plan.net).state_dict(), path)
        return Model(plan, [path], device="cpu", **options)

    return make


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """A smooth random volume as Zarr, nanometres a voxel."""
    folder = tmp_path_factory.mktemp("scans")
    noise = np.random.default_rng(0).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(noise, (1, 3, 3))
    image = np.clip(smooth / smooth.std() * 40 + 128, 0, 255).astype(np.uint8)
    io.write(Volume.of(image, Geometry.from_spacing(SHAPE, (5e-5, 4e-6, 4e-6))), folder / "em.zarr")
    return folder


def go(model: Model, scans: Path, out: Path, **wishes):
    dataset = open_images(scans / "em.zarr", model.plan.channels)
    return segment_large(model, dataset, dataset.cases[0], out, wish=Wish(**wishes), listen=silent)


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
@pytest.mark.parametrize("block", [(64, 64, 64), (8, 16, 32)])
def test_blocks_give_what_the_whole_gives(models, scans, tmp_path, kind, block):
    model = models(kind)
    dataset = open_images(scans / "em.zarr", model.plan.channels)
    whole = model.segment(dataset, dataset.cases[0], keep_scores=True)
    done = go(model, scans, tmp_path, block=block, scores="uint8")
    written = io.read(tmp_path / "em.zarr")
    assert written.geometry == whole.geometry
    values = model.plan.labels.to_values(whole.labels)[None] if kind == "exclusive" else whole.labels
    assert len(np.unique(values)) > 1
    assert np.mean(written.array() != values) < 1e-4
    scores = io.read(tmp_path / "em.scores.zarr").array().astype(int)
    assert np.abs(scores - whole.scores).max() <= 1
    assert not (tmp_path / "em.incomplete").exists() and {path.name for path in done.files} == {
        "em.zarr",
        "em.scores.zarr",
    }


def test_objects_do_not_depend_on_the_blocks(models, scans, tmp_path):
    """The same ids and the same table, not merely equal up to renaming; equal to numbering the whole."""
    model, answers, tables = models(), [], []
    for number, block in enumerate([(64, 64, 64), (8, 16, 32), (4, 60, 16), (20, 8, 8)]):
        go(model, scans, tmp_path / str(number), block=block, instances=True)
        answers.append(io.read(tmp_path / str(number) / "em.instances.zarr").array()[0])
        tables.append((tmp_path / str(number) / "em.instances.csv").read_text())
    assert all(np.array_equal(answers[0], other) for other in answers[1:])
    assert len(set(tables)) == 1
    labels = io.read(tmp_path / "0" / "em.zarr").array()[0]
    expected = sum(ndimage.label(labels == value, np.ones((3, 3, 3)))[1] for value in (3, 7))
    rows = list(csv.DictReader(tables[0].splitlines()))
    assert answers[0].max() == expected == len(rows) > 20
    for row in rows:
        mask = answers[0] == int(row["id"])
        assert mask.sum() == int(row["voxels"])
        assert float(row["volume_nm3"]) == pytest.approx(mask.sum() * 50 * 4 * 4, rel=1e-5)
        assert set(np.unique(labels[mask])) == {{"a": 3, "b": 7}[row["structure"]]}
        box = ndimage.find_objects(mask.astype(int))[0]
        assert [part.start for part in box] == [int(row[f"{a}_start"]) for a in "zyx"]
        assert [part.stop for part in box] == [int(row[f"{a}_stop"]) for a in "zyx"]
        assert ndimage.center_of_mass(mask) == pytest.approx([float(row[f"{a}_centre"]) for a in "zyx"], abs=0.006)
        assert 1 / 3 - 0.01 < float(row["score"]) <= 1


def test_pyramid_and_units(models, scans, tmp_path, monkeypatch):
    monkeypatch.setattr("segwright.prediction.large.plan.level_factors", lambda g: ((1, 1, 1), (1, 2, 2), (1, 4, 4)))
    go(models(), scans, tmp_path, block=(8, 16, 32), scores="float32")
    group = zarr.open_group(str(tmp_path / "em.zarr"), mode="r")
    scale = group.attrs["multiscales"][0]
    assert [axis["unit"] for axis in scale["axes"]] == ["nanometer"] * 3
    steps = [level["coordinateTransformations"][0]["scale"] for level in scale["datasets"]]
    assert np.allclose(steps, [[50, 4, 4], [50, 8, 8], [50, 16, 16]])
    assert np.allclose(scale["datasets"][2]["coordinateTransformations"][1]["translation"], [0, 6, 6])
    assert group["1"].shape == (20, 30, 26) and group["2"].shape == (20, 15, 13)
    full, half = group["0"][:], group["1"][:]
    assert np.array_equal(half, shrink_labels(full[None], (1, 2, 2))[0])
    scores = zarr.open_group(str(tmp_path / "em.scores.zarr"), mode="r")
    assert scores["0"].dtype == np.float32 and scores["0"].shape == (2, *SHAPE)
    mean = scores["0"][:].reshape(2, 20, 30, 2, 26, 2).mean(axis=(3, 5))
    assert np.allclose(scores["1"][:], mean, atol=1e-6)


def interrupted(monkeypatch, after: int, error: BaseException):
    """Make the step `predict` end with an error once some blocks are done."""
    from segwright.prediction.large import steps

    real, count = steps.predict, [0]

    def predict(bench, index):
        count[0] += 1
        if count[0] > after:
            raise error
        return real(bench, index)

    monkeypatch.setattr(steps, "predict", predict)
    return count


def test_a_killed_run_goes_on_where_it_stopped(models, scans, tmp_path, monkeypatch):
    model, wish = models(), {"block": (8, 16, 32), "instances": True}
    go(model, scans, tmp_path / "whole", **wish)
    with monkeypatch.context() as patch:
        interrupted(patch, 5, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            go(model, scans, tmp_path / "cut", **wish)
    assert not list((tmp_path / "cut").glob("em*.zarr"))
    half_written = next((tmp_path / "cut" / "em.incomplete" / "labels.zarr" / "0").rglob("[0-9]*"))
    (half_written.parent / "0.abc.partial").write_bytes(b"half a chunk")
    with monkeypatch.context() as patch:
        count = interrupted(patch, 10**9, KeyboardInterrupt())
        go(model, scans, tmp_path / "cut", block=(4, 8, 8), instances=True)
    assert count[0] == 3 * 4 * 2 - 5
    for name in ("em.zarr", "em.instances.zarr", "em.instances.csv"):
        assert contents(tmp_path / "whole" / name) == contents(tmp_path / "cut" / name)


def contents(path: Path) -> dict[str, bytes]:
    """Every file below a path with its bytes."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files}


def test_a_bad_chunk_is_named_and_the_rest_is_done(models, plan_of, scans, tmp_path):
    rule = Normalisation(scheme="fixed", mean=128.0, std=40.0)
    plan = plan_of().model_copy(update={"prepare": PreparePlan(orientation="SPR", normalise=(rule,))})
    model = Model(plan, models().weights, device="cpu")
    array = zarr.create_array(str(tmp_path / "raw.zarr"), shape=SHAPE, chunks=(20, 16, 16), dtype="u1", zarr_format=2)
    array[...] = io.read(scans / "em.zarr").array()[0]
    bad = tmp_path / "raw.zarr" / "0.2.1"
    whole = bad.read_bytes()
    dataset = open_images(tmp_path / "raw.zarr", model.plan.channels)
    wish = Wish(block=(20, 16, 16), instances=True)
    listened: list[dict] = []
    run = lambda out: segment_large(model, dataset, dataset.cases[0], out, wish=wish, listen=listened.append)  # noqa: E731
    run(tmp_path / "good")
    bad.write_bytes(b"damaged")
    with pytest.raises(DataError, match="incomplete") as told:
        run(tmp_path / "out")
    assert "chunk 0.2.1" in told.value.got and "raw.zarr" in told.value.got
    assert "needed by 9 blocks" in told.value.got
    assert any("tried again" in getattr(event, "text", "") for event in listened)
    part = io.read(tmp_path / "out" / "raw.incomplete" / "labels.zarr").array()[0]
    good = io.read(tmp_path / "good" / "raw.zarr").array()[0]
    assert np.array_equal(part[:, :, 48:], good[:, :, 48:]) and not part[:, 16:60, :48].any()
    bad.write_bytes(whole)
    run(tmp_path / "out")
    assert np.array_equal(io.read(tmp_path / "out" / "raw.zarr").array()[0], good)
    ids = [io.read(tmp_path / name / "raw.instances.zarr").array() for name in ("good", "out")]
    assert np.array_equal(*ids)


def test_foreign_results_are_refused_and_own_ones_kept(models, scans, tmp_path, monkeypatch):
    wish = {"block": (8, 64, 64)}
    go(models(), scans, tmp_path, **wish)
    assert go(models(), scans, tmp_path, **wish).provenance["kept"]
    with pytest.raises(UsageError, match="another model"):
        go(models(seed=1), scans, tmp_path, **wish)
    with pytest.raises(UsageError, match="another model"):
        go(models(tta=False), scans, tmp_path, **wish)
    image = io.read(scans / "em.zarr")
    io.write(Volume.of(image.array() // 2, image.geometry), tmp_path / "other" / "em.zarr")
    with pytest.raises(UsageError, match="another volume"):
        go(models(), tmp_path / "other", tmp_path, **wish)
    interrupted(monkeypatch, 1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        go(models(), scans, tmp_path / "begun", **wish)
    with pytest.raises(UsageError, match="another model"):
        go(models(seed=1), scans, tmp_path / "begun", **wish)


def test_a_full_disk_is_told_and_resumable(models, scans, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupted(patch, 3, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(WriteError, match="disk is full"):
            go(models(), scans, tmp_path, block=(8, 16, 32))
    assert len(list((tmp_path / "em.incomplete" / "done" / "predict").glob("*.json"))) == 3
    go(models(), scans, tmp_path, block=(8, 16, 32))


def test_no_object_is_no_error(models, scans, tmp_path):
    model = models()
    faint = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    io.write(Volume.of(faint, Geometry.from_spacing(SHAPE)), tmp_path / "em.zarr")
    chained = Model(model.plan, model.weights, Chain(foreground=1.0), device="cpu")
    done = go(chained, tmp_path, tmp_path / "out", block=(8, 32, 32), instances=True)
    assert "no object was found" in done.notes
    assert len((tmp_path / "out" / "em.instances.csv").read_text().splitlines()) == 1
    assert not io.read(tmp_path / "out" / "em.instances.zarr").array().any()


def test_memory_decides_the_block(models, scans, tmp_path):
    from segwright.prediction.large.plan import plan_job

    model = models()
    grid = Geometry.from_spacing((512, 4096, 4096))
    store = zarr.create_array(
        str(tmp_path / "big.zarr"), shape=grid.shape, chunks=(64, 256, 256), dtype="u1", zarr_format=2
    )
    assert store.nchunks_initialized == 0
    dataset = open_images(tmp_path / "big.zarr", model.plan.channels)
    sizes = []
    for memory in (0.68e9, 0.75e9, 6e9):
        job = plan_job(model, dataset, dataset.cases[0], Wish(memory=memory))
        assert all(b % c == 0 for b, c in zip(job.block, job.chunk, strict=True))
        sizes.append(np.prod(job.block))
    assert sizes[0] < sizes[1] < sizes[2], sizes
    with pytest.raises((OutOfMemoryError, DataError), match=r"fits|suffice"):
        plan_job(model, dataset, dataset.cases[0], Wish(memory=0.3e9))


def test_the_box_of_a_block_is_all_that_is_read(models, plan_of, scans, tmp_path):
    """Reading a block of a huge volume reads its surroundings only."""
    from segwright.prediction.large.box import reach

    plan = plan_of()
    net = (plan.net.context, plan.net.divisor)
    box = reach((512, 4096, 4096), plan.window, Box((64, 512, 512), (96, 768, 768)), *net)
    assert all(n <= b + 2 * w for n, b, w in zip(box.shape, (32, 256, 256), plan.window.size, strict=True))


def test_the_job_says_what_it_is(models, scans, tmp_path, monkeypatch):
    interrupted(monkeypatch, 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        go(models(), scans, tmp_path, block=(8, 16, 32))
    job = json.loads((tmp_path / "em.incomplete" / "job.json").read_text())
    assert job["case"] == "em" and job["survey"]["voxels"] == int(np.prod(SHAPE))


def test_blocks_under_way_are_told_before_the_first_is_done(models, scans, tmp_path, monkeypatch):
    """One large block can take minutes; a bar that stands at 0 looks like a command that hangs."""
    from segwright.prediction.large import run, steps

    monkeypatch.setattr(steps, "TELL", 0.0)
    monkeypatch.setattr(run, "LOOK", 0.01)
    slow = Record.advance

    def advance(record, step, index, share):
        slow(record, step, index, share)
        time.sleep(0.02)

    monkeypatch.setattr(Record, "advance", advance)
    heard = []
    model = models()
    dataset = open_images(scans / "em.zarr", model.plan.channels)
    wish = Wish(block=(64, 64, 64))
    segment_large(model, dataset, dataset.cases[0], tmp_path / "out", wish=wish, listen=heard.append)
    assert any(getattr(event, "name", None) == "Predicting block by block: 1 block" for event in heard)
    shares = [
        event.share for event in heard if isinstance(event, Progress) and event.share is not None and event.done == 0
    ]
    assert any(0 < share < 1 for share in shares) and shares == sorted(shares)
    assert not list((tmp_path / "out").rglob("under-way"))


def test_a_volume_that_changed_anywhere_is_not_gone_on_with(models, scans, tmp_path, monkeypatch):
    """Also where no sample of its intensities lies; a touched one is the same."""
    import os
    import shutil

    folder = shutil.copytree(scans / "em.zarr", tmp_path / "em.zarr")
    model, out = models(), tmp_path / "out"
    go(model, tmp_path, out, block=(8, 16, 32))
    chunk = max((f for f in (folder / "0").rglob("*") if f.is_file() and f.name.isdigit()), key=lambda f: f.name)
    os.utime(chunk, (1, 1))
    assert go(model, tmp_path, out, block=(8, 16, 32)).provenance["kept"]
    from segwright.prediction.large.job import Job

    monkeypatch.setattr(Job, "volume_mark", "the same statistics")
    array = zarr.open_array(str(folder / "0"), mode="r+")
    array[-1, -1, -1] = 255 - int(array[-1, -1, -1])
    with pytest.raises(UsageError, match="another volume"):
        go(model, tmp_path, out, block=(8, 16, 32))
