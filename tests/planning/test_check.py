"""Each kind of fault in a dataset is found, said where, and given a hint; sound data give no errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from segwright.api.planning import refuse_errors
from segwright.core.case import Dataset
from segwright.core.errors import IntegrityError
from segwright.core.inspection import Finding, Inspection
from segwright.io.dataset import open_dataset
from segwright.planning.check import inspect

Find = Callable[[str], Path]
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def image(seed: int, shape: tuple[int, int, int] = (7, 8, 9)) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def label() -> np.ndarray:
    out = np.zeros((7, 8, 9), np.uint8)
    out[2:4, 2:5, 3:6] = 1
    out[5, 2:5, 3:6] = 2
    return out


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six sound cases."""
    for i in range(6):
        save(tmp_path / f"images/c{i}.nii.gz", image(i))
        save(tmp_path / f"masks/c{i}.nii.gz", label())
    return tmp_path


def found(inspection: Inspection, code: str) -> list[Finding]:
    return [finding for finding in inspection.findings if finding.code == code]


def only(folder: Path, code: str, level: str) -> Finding:
    """The one finding of that code; every finding has a hint."""
    inspection = inspect(open_dataset(folder))
    assert all(finding.hint and finding.what.endswith(".") for finding in inspection.findings)
    findings = found(inspection, code)
    assert len(findings) == 1, inspection.findings
    assert findings[0].level == level
    return findings[0]


def test_sound_data_have_no_errors_and_exact_facts(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    inspection = inspect(open_dataset(folder), progress=lambda done, total: calls.append((done, total)))
    refuse_errors(inspection, "scans")
    assert [f.level for f in inspection.findings] == ["note"]
    assert calls == [(i, 6) for i in range(1, 7)]
    fact, array = inspection.facts[0], image(0).transpose(2, 1, 0)
    assert (fact.shape, fact.spacing, fact.orientation) == ((9, 8, 7), (2.0, 1.0, 1.0), "SAR")
    np.testing.assert_allclose(fact.percentiles[0], np.percentile(array, (0, 0.5, 50, 99.5, 100)), rtol=1e-5)
    np.testing.assert_allclose((fact.mean[0], fact.std[0]), (array.mean(), array.std()), rtol=1e-5)
    assert fact.volumes == {"structure_1": 18, "structure_2": 9}
    assert fact.label_values == {0: 7 * 8 * 9 - 27, 1: 18, 2: 9}
    inside = array[label().transpose(2, 1, 0) > 0]
    expected = (inside.mean(), inside.std(), *np.percentile(inside, (0.5, 99.5)))
    np.testing.assert_allclose(fact.foreground[0], expected, rtol=1e-5)
    assert Inspection.from_json(inspection.to_json()) == inspection


def test_content_and_zero_share(folder: Path) -> None:
    array = np.zeros((7, 8, 9), np.int16)
    array[1:4, 2:7, 5] = 9
    save(folder / "images/c0.nii.gz", array)
    fact = inspect(open_dataset(folder)).facts[0]
    assert fact.content == (1, 5, 3)
    assert fact.zero_share == pytest.approx(1 - 15 / array.size)


def test_image_without_label_and_label_without_image(folder: Path) -> None:
    (folder / "masks/c0.nii.gz").unlink()
    (folder / "images/c1.nii.gz").unlink()
    assert only(folder, "no-label", "warning").where == "c0"
    assert only(folder, "no-image", "error").where == "c1"


def test_unreadable_file(folder: Path) -> None:
    (folder / "images/c2.nii.gz").write_bytes(b"\x1f\x8bbroken")
    finding = only(folder, "unreadable-image", "error")
    assert finding.where == "c2"
    (folder / "masks/c3.nii.gz").write_bytes(b"\x1f\x8bbroken")
    assert only(folder, "unreadable-label", "error").where == "c3"


def test_faults_of_unlabelled_scans_do_not_stop(folder: Path) -> None:
    (folder / "images/c2.nii.gz").write_bytes(b"\x1f\x8bbroken")
    (folder / "masks/c2.nii.gz").unlink()
    assert only(folder, "unreadable-image", "warning").where == "c2"


def test_other_shape_and_other_place(folder: Path) -> None:
    save(folder / "masks/c0.nii.gz", label()[:-1])
    assert "9 x 8 x 6 voxels" in only(folder, "grid-mismatch", "error").what
    save(folder / "masks/c0.nii.gz", label(), np.diag([1.0, 1.0, 2.5, 1.0]))
    assert "voxels apart" in only(folder, "grid-mismatch", "error").what


def test_empty_rare_and_absent_structures(folder: Path) -> None:
    save(folder / "masks/c0.nii.gz", label() * 0)
    assert only(folder, "empty-label", "warning").where == "c0"
    save(folder / "masks/c1.nii.gz", label() + (label() == 2).astype(np.uint8) * 5)
    assert "structure_7" in only(folder, "structure-rare", "warning").what
    dataset = open_dataset(folder)
    extra = dataset.labels.model_copy(
        update={"structures": (*dataset.labels.structures, dataset.labels.structures[0].model_copy(
            update={"name": "ghost", "values": (99,)}))}
    )  # fmt: skip
    inspection = inspect(dataset.model_copy(update={"labels": extra}))
    assert "ghost" in found(inspection, "structure-absent")[0].what


def test_duplicates(folder: Path) -> None:
    save(folder / "images/c1.nii.gz", image(0))
    finding = only(folder, "duplicate", "warning")
    assert (finding.where, "c0" in finding.what) == ("c1", True)
    groups = {fact.case: fact.group for fact in inspect(open_dataset(folder)).facts}
    assert groups["c1"] == groups["c0"] and len(set(groups.values())) == 5
    save(folder / "masks/c1.nii.gz", np.roll(label(), 1, axis=0))
    assert only(folder, "duplicate-labels", "error").where == "c1"


def test_near_duplicates_of_scans_are_told_and_share_a_group(folder: Path) -> None:
    for number in range(6):
        save(folder / f"images/c{number}.nii.gz", image(number, (21, 16, 18)))
        save(folder / f"masks/c{number}.nii.gz", label().repeat(3, axis=0).repeat(2, axis=1).repeat(2, axis=2))
    save(folder / "images/c1.nii.gz", 2 * image(0, (21, 16, 18))[:, ::-1] + 7)
    finding = only(folder, "near-duplicate", "warning")
    assert (finding.where, "'c0' once more" in finding.what) == ("c1", True)
    assert len({fact.group for fact in inspect(open_dataset(folder)).facts}) == 5


def test_values_that_are_no_numbers(folder: Path) -> None:
    array = image(0)
    array[0, 0, :3] = (np.nan, np.inf, -np.inf)
    save(folder / "images/c0.nii.gz", array)
    assert only(folder, "not-finite", "warning").what.startswith("3 of 504")
    assert np.isfinite(inspect(open_dataset(folder)).facts[0].mean[0])


def test_constant_image(folder: Path) -> None:
    for i in (0, 1):
        save(folder / f"images/c{i}.nii.gz", np.full((7, 8, 9), 5, np.int16))
    findings = found(inspect(open_dataset(folder)), "constant-image")
    assert [finding.where for finding in findings] == ["c0", "c1"]


@pytest.mark.parametrize(
    ("count", "words"), [(2, "the others at one physical scale"), (4, "all are taken as they lie")]
)
def test_what_happens_to_scans_without_spacing_is_told(folder: Path, count: int, words: str) -> None:
    for i in range(count):
        for kind, array in (("images", image(i)), ("masks", label())):
            (folder / kind / f"c{i}.nii.gz").unlink()
            np.save(folder / kind / f"c{i}.npy", array.transpose(2, 1, 0))
    finding = only(folder, "spacing-unknown", "warning")
    assert finding.what.startswith(f"{count} of 6 scans state no spacing") and words in finding.what


def test_odd_spacing_orientation_and_scale(folder: Path) -> None:
    odd = np.diag([1.0, 8.0, 2.0, 1.0])
    save(folder / "images/c0.nii.gz", image(0), odd)
    save(folder / "masks/c0.nii.gz", label(), odd)
    assert only(folder, "spacing-outlier", "warning").where == "c0"
    turned = np.diag([-1.0, 1.0, 2.0, 1.0])
    save(folder / "images/c1.nii.gz", image(1), turned)
    save(folder / "masks/c1.nii.gz", label(), turned)
    assert only(folder, "orientation-outlier", "warning").where == "c1"
    save(folder / "images/c2.nii.gz", image(2) * 1000)
    assert "factor" in only(folder, "intensity-scale", "note").what


def test_unknown_label_value_in_a_stated_table(folder: Path) -> None:
    dataset = open_dataset(folder)
    save(folder / "masks/c4.nii.gz", label() * 3)
    findings = found(inspect(dataset), "label-values")
    assert [finding.where for finding in findings] == ["c4"]
    with pytest.raises(IntegrityError, match="belongs to no structure"):
        refuse_errors(inspect(dataset), "scans")


def test_planes_of_different_size_and_mixed_dimensions(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for i in range(3):
        grey = np.random.default_rng(i).integers(0, 255, (20 + i, 30), dtype=np.uint8)
        Image.fromarray(grey).save(tmp_path / f"images/c{i}.png")
        Image.fromarray(((grey > 128) * (i + 1 < 3) * 255).astype(np.uint8)).save(tmp_path / f"masks/c{i}.png")
    assert "20-22 x 30 pixels" in only(tmp_path, "sizes", "note").what
    save(tmp_path / "images/v.nii.gz", image(0))
    save(tmp_path / "masks/v.nii.gz", (label() > 0).astype(np.uint8) * 255)
    assert only(tmp_path, "mixed-dimensions", "error").where == "v"


def test_missing_slices_stop(shared_data: Find, tmp_path: Path) -> None:
    odd = shared_data("odd")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a").symlink_to(odd / "dicom-missing-slice")
    (tmp_path / "cases.csv").write_text("id,image,label\na,images/a,\n")
    inspection = inspect(open_dataset(tmp_path / "cases.csv"))
    assert found(inspection, "missing-slices")[0].level == "error"
    assert found(inspection, "no-labels")[0].level == "error"


@pytest.mark.parametrize("name", ["abdomen-mri", "lung-lobes", "hippocampus", "chest-2048"])
def test_real_folders_have_no_errors(name: str, shared_data: Find) -> None:
    dataset: Dataset = open_dataset(shared_data(name))
    dataset = dataset.select(case.id for case in dataset.cases[:30])
    inspection = inspect(dataset)
    assert not [f for f in inspection.errors if f.code != "structure-absent"]
    assert len(inspection.facts) == len(dataset.cases)
