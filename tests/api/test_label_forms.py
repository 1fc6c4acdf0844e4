"""A model's answers in every form of labels, and a fit on labels that were drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import segwright
from segwright import io
from segwright.core.errors import DataError, UsageError
from segwright.core.events import Progress
from segwright.io.dataset import open_labels
from segwright.io.load import load_label

QUICK = {"steps": 3, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2, "postprocess": False}


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
def test_drawn_labels_are_learnt_from_and_answered_in_every_form(
    make_folder: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    """Polygons in, and each form out holds what the plain masks hold."""
    folder = make_folder(kind, 2)
    drawn = segwright.convert(folder, tmp_path / "drawn", to="labelme")
    run = segwright.fit(drawn.dataset, out=tmp_path / "run", **QUICK)
    model, scans = run.model, folder / "images"
    segwright.predict(model, scans, tmp_path / "structures", suffix="structures")
    names = run.dataset.labels.names
    for form in ("labelme", "coco", "rle", "npy", "png"):
        out = tmp_path / form
        done = segwright.predict(model, scans, out, suffix=form)
        assert all((out / name).is_file() for case in done.cases for name in case.files), form
        for number in range(6):
            case = f"case{number:02d}"
            expected = [io.read(tmp_path / "structures" / n / f"{case}.png").array()[0] > 0 for n in names]
            if form == "npy":
                found = list(np.moveaxis(np.load(out / f"{case}.npy"), -1, 0)[:, None] > 0)
            elif form == "png":
                found = _pictures(out, case, names, kind)
            else:
                found = _drawn(out, scans, case, names)
            for name, one, other in zip(names, found, expected, strict=True):
                np.testing.assert_array_equal(one, other, err_msg=f"{form} {name}")


def _pictures(out: Path, case: str, names: tuple[str, ...], kind: str) -> list[np.ndarray]:
    if kind == "overlapping":
        return [io.read(out / name / f"{case}.png").array()[0] > 0 for name in names]
    values = io.read(out / f"{case}.png").array()[0]
    return [values == index for index in range(1, len(names) + 1)]


def _drawn(out: Path, scans: Path, case: str, names: tuple[str, ...]) -> list[np.ndarray]:
    place = next(iter(sorted(out.glob("*.csv"))), out)
    dataset = open_labels(place, scans)
    item = dataset.case(case)
    geometry = io.read(dataset.path(item.images[0])).geometry
    labels = load_label(dataset, item, geometry)
    known = dataset.labels.names
    empty = np.zeros(geometry.shape, bool)
    return [dataset.labels.mask(labels, known.index(n)) if n in known else empty for n in names]


def test_forms_that_cannot_hold_an_answer_say_so(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder("exclusive", 3)
    run = segwright.fit(folder, out=tmp_path / "run", slab=1, **QUICK)
    with pytest.raises(DataError, match=r"6 of 6 scans.*single planes"):
        segwright.predict(run.model, folder / "images", tmp_path / "a", suffix="labelme")
    with pytest.raises(DataError, match="needs the DICOM images"):
        segwright.predict(run.model, folder / "images", tmp_path / "b", suffix="dicomseg")
    with pytest.raises(UsageError, match="labelme"):
        segwright.predict(run.model, folder / "images", tmp_path / "c", suffix="polygon")


@pytest.mark.parametrize(("form", "file"), [("rle", "labels.csv"), ("coco", "annotations.json")])
def test_a_cut_prediction_into_one_file_goes_on(
    make_folder: Callable[..., Path], tmp_path: Path, form: str, file: str
) -> None:
    folder, out = make_folder("overlapping", 2), tmp_path / "out"
    run = segwright.fit(folder, out=tmp_path / "run", **QUICK)
    segwright.predict(run.model, folder / "images", tmp_path / "whole", suffix=form)

    class CutError(Exception):
        pass

    def cut(event: dict) -> None:
        if isinstance(event, Progress) and event.name == "predict" and event.done == 3:
            raise CutError

    with pytest.raises(CutError):
        segwright.predict(run.model, folder / "images", out, suffix=form, listen=cut)
    assert not (out / file).exists()
    done = segwright.predict(run.model, folder / "images", out, suffix=form, resume=True)
    assert sum(case.provenance.get("kept", False) for case in done.cases) == 3
    assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert {path.name for path in out.iterdir()} == {file, "predictions.json"}
    again = segwright.predict(run.model, folder / "images", out, suffix=form, resume=True)
    assert all(case.provenance["kept"] for case in again.cases)
    assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
