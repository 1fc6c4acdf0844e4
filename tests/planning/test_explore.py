"""Exploration against numbers counted by hand or by scikit-image, on drawn labels and on real scans."""

from __future__ import annotations

import json

import numpy as np
import pytest
from skimage.measure import regionprops

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.volume import Volume
from segwright.planning.check import inspect
from segwright.planning.exploration import Exploration, Spread
from segwright.planning.explore import THUMB, Explorer


def space(kind: str, *names: str) -> LabelSpace:
    return LabelSpace(
        structures=[{"name": n, "values": () if kind == "instances" else (i + 1,)} for i, n in enumerate(names)],
        kind=kind,
    )


def written(folder, scans, labels, kind="exclusive", names=("a", "b"), form="") -> Dataset:
    """A dataset of given images `(z, y, x)` and labels: a value map, or a mask a structure."""
    cases = []
    for number, (scan, label) in enumerate(zip(scans, labels, strict=True)):
        geometry = (
            Geometry.from_spacing(scan.shape, (3.0, 1.0, 2.0))
            if scan.shape[0] > 1
            else Geometry.from_spacing(scan.shape)
        )
        end = ".nii.gz" if scan.shape[0] > 1 else ".png"
        io.write(Volume.of(scan, geometry), folder / f"i{number:02d}{end}")
        sources = []
        for index, mask in enumerate([label] if kind == "exclusive" else label):
            path = f"l{number:02d}-{index}{end}"
            io.write(Volume.of(mask.astype(np.uint8), geometry), folder / path)
            sources.append(LabelSource(path=path, structure=None if kind == "exclusive" else names[index]))
        cases.append(
            Case(
                id=f"c{number:02d}",
                images=(Source(path=f"i{number:02d}{end}"),),
                label=sources,
                group=f"p{number // 2}",
            )
        )
    return Dataset(
        root=str(folder), layout="drawn", channels=("grey",), labels=space(form or kind, *names), cases=cases
    )


def explored(dataset: Dataset, thumbs: bool = False) -> tuple[Exploration, Explorer]:
    explorer = Explorer(dataset, thumbs=thumbs)
    return explorer.exploration(inspect(dataset, look=explorer.look)), explorer


@pytest.fixture
def volumes(tmp_path) -> Dataset:
    """Eight volumes of 4 x 10 x 10 with a block `a`, at the edge in every second case; one is 8 times larger."""
    scans, labels = [], []
    for number in range(8):
        rng = np.random.default_rng(number)
        label = np.zeros((4, 10, 10), np.uint8)
        label[1:3, (number % 2) : 2 + (number % 2), 2:4] = 1
        if number == 5:
            label[:, 1:5, 2:6] = 1
        if number != 3:
            label[3, 7:9, 7:9] = 2
        scans.append((100 * label + rng.integers(0, 3, label.shape)).astype(np.int16))
        labels.append(label)
    return written(tmp_path, scans, labels)


def test_sizes_shares_intensities_and_edges_are_those_of_scikit_image(volumes) -> None:
    found, _ = explored(volumes)
    assert (found.dims, found.size_unit, found.cases, found.groups) == (3, "mm³", 8, 4)
    assert found.group_sizes == {2: 4}
    a, b = found.structures
    sizes, means = [], []
    for case in volumes.cases:
        image = io.read(volumes.path(case.images[0])).array()[0]
        label = io.read(volumes.path(case.label[0])).array()[0]
        region = regionprops(label, intensity_image=image, spacing=(3.0, 1.0, 2.0))[0]
        sizes.append(region.area)
        means.append(region.intensity_mean)
        row = next(row for row in found.rows if row.case == case.id)
        assert row.sizes["a"] == pytest.approx(region.area)
        assert row.means["a"][0] == pytest.approx(region.intensity_mean)
        assert row.shares["a"] == pytest.approx(region.area / 6 / 400)
    assert a.size.median == pytest.approx(np.median(sizes))
    assert a.size.q95 == pytest.approx(np.quantile(sizes, 0.95))
    assert a.intensity[0].mean == pytest.approx(np.mean(means))
    assert a.diameter.median == pytest.approx((6 * np.median(sizes) / np.pi) ** (1 / 3))
    assert (a.cases, b.cases) == (8, 7)
    assert (a.at_edge, b.at_edge) == (4, 0)
    assert found.overlaps == ()


def test_unusual_cases_come_first_and_say_why(volumes) -> None:
    found, _ = explored(volumes)
    assert found.rows[0].case == "c05"
    assert found.rows[0].why[0] == "a: size 8 times the usual"
    assert not any("absent" in words for row in found.rows for words in row.why)  # 1 of 8 is more than a tenth
    assert found.rows[-1].outlier < 3.5 and found.rows[-1].why == ()


def test_a_structure_that_one_of_many_lacks_is_told(tmp_path) -> None:
    label = np.zeros((1, 8, 8), np.uint8)
    label[0, 2:5, 2:5] = 1
    scan = (label * 50 + np.arange(8)).astype(np.uint8)
    labels = [label if number != 7 else np.zeros_like(label) for number in range(12)]
    found, _ = explored(written(tmp_path, [scan] * 12, labels, names=("a",)))
    assert found.rows[0].case == "c07"
    assert found.rows[0].why == ("a is absent, as in 1 of 12 cases",)
    assert found.size_unit == "pixels" and found.structures[0].diameter is None


def test_overlap_is_counted_pair_by_pair(tmp_path) -> None:
    one, two, three = (np.zeros((1, 12, 12), bool) for _ in range(3))
    one[0, 0:6, 0:6], two[0, 4:8, 4:8], three[0, 5:6, 5:6] = True, True, True
    clear = [one, np.zeros_like(one), three]
    scans = [np.arange(144, dtype=np.uint8).reshape(1, 12, 12)] * 2
    dataset = written(tmp_path, scans, [[one, two, three], clear], kind="overlapping", names=("one", "two", "three"))
    found, _ = explored(dataset)
    rows = {(row.first, row.second): row for row in found.overlaps}
    assert set(rows) == {("one", "two"), ("one", "three"), ("two", "three")}
    assert (rows["one", "two"].cases, rows["one", "two"].voxels) == (1, 4)
    assert rows["one", "two"].of_smaller.median == pytest.approx(4 / 16)
    assert (rows["one", "three"].cases, rows["one", "three"].of_smaller.low) == (2, 1.0)
    assert found.overlaps[-1].first == "one" and found.overlaps[-1].second == "two"
    assert found.overlapping


def test_thinned_intensities_stay_true_and_small_structures_are_not_lost(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("segwright.planning.explore._ENOUGH", 2000)
    rng = np.random.default_rng(0)
    label = np.zeros((1, 120, 130), np.uint8)
    label[0, :60] = 1
    label[0, 100, 100:104] = 2
    scan = np.where(label == 1, 80, 20) + rng.integers(-9, 10, label.shape)
    scan[label == 2] = 200
    found, _ = explored(written(tmp_path, [scan.astype(np.uint8)], [label]))
    assert found.rows[0].means["a"][0] == pytest.approx(80, abs=1.0)
    assert found.rows[0].means["b"][0] == 200


def test_thumbnails_show_the_fullest_slice_small_with_its_labels(tmp_path) -> None:
    label = np.zeros((5, 300, 500), np.uint8)
    label[3, 100:200, 50:150] = 1
    scan = np.full(label.shape, 10, np.int16)
    scan[:, :, 250:] = 1000
    _, explorer = explored(written(tmp_path, [scan], [label], names=("a",)), thumbs=True)
    made = explorer.thumbs["c00"]
    assert (made.index, made.slices, made.stride) == (3, 5, 3)
    assert max(made.image.shape) <= THUMB and made.image.shape == (100, 167)
    assert made.labels.shape == (1, 100, 167)
    assert (made.labels[0] == 1).mean() == pytest.approx(10000 / 150000, rel=0.05)
    assert made.image[:, :80].max() == 0 and made.image[:, 90:].min() == 255
    assert len(made.packed) < 2000


def test_the_document_is_json_and_comes_back(volumes) -> None:
    found, _ = explored(volumes)
    data = json.loads(found.to_json())
    assert data["structures"][0]["size"]["median"] == found.structures[0].size.median
    assert Exploration.from_json(found.to_json()) == found


def test_unlabelled_and_unmeasured_cases_are_said(volumes) -> None:
    bare = volumes.model_copy(update={"cases": tuple(c.model_copy(update={"label": ()}) for c in volumes.cases)})
    found, _ = explored(bare)
    assert (found.cases, found.labelled, found.structures[0].size) == (8, 0, None)
    blind = Explorer(volumes).exploration(inspect(volumes))
    assert blind.structures[0].intensity == () and "8 of 8" in blind.notes[0]


def test_spread_ignores_what_is_not_a_number() -> None:
    spread = Spread.of([1.0, float("nan"), 3.0, float("inf")])
    assert spread is not None and (spread.count, spread.mean) == (2, 2.0)
    assert Spread.of([]) is None


def test_real_radiographs_overlap_as_anatomy_does(shared_data) -> None:
    """Clavicles lie in front of the lungs, the heart beside them."""
    from segwright.io.dataset import open_dataset

    dataset = open_dataset(shared_data("chest-2048"))
    found, _ = explored(dataset.select([case.id for case in dataset.cases[:2]]))
    rows = {frozenset((row.first, row.second)): row.of_smaller.median for row in found.overlaps}
    assert rows[frozenset(("left_clavicle", "left_lung"))] > 0.5
    assert rows[frozenset(("heart", "left_lung"))] < 0.05


def test_objects_count_together(tmp_path) -> None:
    label = np.zeros((1, 20, 30), np.uint8)
    label[0, 0:4, 2:6], label[0, 8:12, 2:6], label[0, 8:12, 6:9] = 1, 2, 3
    scan = np.where(label > 0, 90, 10).astype(np.uint8)
    found, explorer = explored(
        written(tmp_path, [scan], [label], kind="exclusive", names=("cell",), form="instances"), True
    )
    view = found.structures[0]
    assert view.size.median == 16 + 16 + 12
    assert view.intensity[0].median == 90 and view.at_edge == 1
    assert (explorer.thumbs["c00"].labels > 0).sum() == 44
