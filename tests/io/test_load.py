"""Loading a case: channels stacked on one grid, labels turned onto the image's grid and never guessed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import GeometryError, LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, Structure
from segwright.io.grids import onto_grid
from segwright.io.load import load_image, load_label, mapped, read_label
from segwright.io.masks import binary, is_soft, one_plane, value_counts

Find = Callable[[str], Path]
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
ONE = LabelSpace(structures=(Structure(name="a", values=(1,)), Structure(name="b", values=(2,))))


def nii(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> str:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path.name


def make(root: Path, images: list[str], sources: list[LabelSource], **rest: object) -> tuple[Dataset, Case]:
    case = Case(id="c", images=tuple(Source(path=p) for p in images), label=tuple(sources), group="c")
    fields = {"channels": ("grey",), "labels": ONE, **rest}
    return Dataset(root=str(root), layout="test", cases=(case,), **fields), case  # type: ignore[arg-type]


def label3() -> np.ndarray:
    out = np.zeros((6, 5, 4), np.uint8)
    out[1:3, 1:4, 2] = 1
    out[4, 0, 1:] = 2
    return out


def noise(seed: int = 0, shape: tuple[int, ...] = (6, 5, 4)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


class TestLabel:
    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
    def test_every_stored_orientation_is_turned_back(
        self, tmp_path: Path, order: tuple[int, int, int], flips: tuple[int, ...]
    ) -> None:
        image = nib.Nifti1Image(label3(), AFFINE)
        nib.save(image, tmp_path / "image.nii.gz")
        ornt = np.array([[axis, -1 if axis in flips else 1] for axis in order])
        nib.save(image.as_reoriented(ornt), tmp_path / "label.nii.gz")
        dataset, case = make(tmp_path, ["image.nii.gz"], [LabelSource(path="label.nii.gz")])
        volume = load_image(dataset, case)
        np.testing.assert_array_equal(load_label(dataset, case, volume.geometry), volume.array())

    def test_flipped_label_of_a_dicom_series(self, shared_data: Find) -> None:
        odd = shared_data("odd")
        volume = io.read(odd / "dicom-series")
        raw = io.read(odd / "dicom-series-label.nii.gz")
        values = [v for v in np.unique(raw.array()).tolist() if v]
        space = LabelSpace(structures=tuple(Structure(name=f"s{v}", values=(int(v),)) for v in values))
        source = LabelSource(path="dicom-series-label.nii.gz")
        dataset, case = make(odd, ["dicom-series"], [source], labels=space)
        label = load_label(dataset, case, volume.geometry)
        for index, value in enumerate(values):
            here = np.argwhere(label[0] == index + 1).mean(axis=0)
            there = np.argwhere(raw.array()[0] == value).mean(axis=0)
            apart = volume.geometry.to_world(here) - raw.geometry.to_world(there)
            assert np.linalg.norm(apart) < 0.1

    def test_other_place_is_refused_with_both_places_named(self, tmp_path: Path) -> None:
        moved = AFFINE.copy()
        moved[0, 3] = 1.0
        nii(tmp_path / "i.nii.gz", noise())
        nii(tmp_path / "l.nii.gz", label3(), moved)
        dataset, case = make(tmp_path, ["i.nii.gz"], [LabelSource(path="l.nii.gz")])
        with pytest.raises(GeometryError, match=r"0\.5 voxels apart"):
            load_label(dataset, case, load_image(dataset, case).geometry)

    def test_other_shape_is_refused(self, tmp_path: Path) -> None:
        nii(tmp_path / "i.nii.gz", noise())
        nii(tmp_path / "l.nii.gz", label3()[:-1])
        dataset, case = make(tmp_path, ["i.nii.gz"], [LabelSource(path="l.nii.gz")])
        with pytest.raises(GeometryError, match="4 x 5 x 6 voxels"):
            load_label(dataset, case, load_image(dataset, case).geometry)

    def test_exchanged_rows_and_columns_are_named(self) -> None:
        flat = Geometry.from_spacing((1, 4, 6))
        with pytest.raises(GeometryError, match="transpose"):
            onto_grid(np.zeros((1, 6, 4)), Geometry.from_spacing((1, 6, 4)), flat, where="a.png")

    def test_label_without_a_place_is_taken_as_it_lies(self, tmp_path: Path) -> None:
        flat = noise(shape=(6, 5))
        Image.fromarray(flat).save(tmp_path / "i.png")
        savemat(tmp_path / "l.mat", {"label": label3()[:, :, 2]})
        dataset, case = make(tmp_path, ["i.png"], [LabelSource(path="l.mat")])
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        np.testing.assert_array_equal(label[0, 0], label3()[:, :, 2])

    def test_whole_floats_pass_and_fractions_do_not(self, tmp_path: Path) -> None:
        nii(tmp_path / "i.nii.gz", noise())
        nii(tmp_path / "l.nii.gz", label3().astype(np.float32))
        dataset, case = make(tmp_path, ["i.nii.gz"], [LabelSource(path="l.nii.gz")])
        geometry = load_image(dataset, case).geometry
        assert load_label(dataset, case, geometry).max() == 2
        nii(tmp_path / "l.nii.gz", label3() * np.float32(0.5))
        with pytest.raises(LabelError, match="whole numbers"):
            load_label(dataset, case, geometry)

    def test_unknown_value_names_the_file(self, tmp_path: Path) -> None:
        nii(tmp_path / "i.nii.gz", noise())
        nii(tmp_path / "l.nii.gz", label3() * 3)
        dataset, case = make(tmp_path, ["i.nii.gz"], [LabelSource(path="l.nii.gz")])
        with pytest.raises(LabelError, match=r"l\.nii\.gz"):
            load_label(dataset, case, load_image(dataset, case).geometry)

    def test_exclusive_masks_must_not_overlap(self, tmp_path: Path) -> None:
        nii(tmp_path / "i.nii.gz", noise())
        sources = []
        for name, shift in (("a", 0), ("b", 1)):
            sources.append(
                LabelSource(path=nii(tmp_path / f"{name}.nii.gz", np.roll(label3(), shift, 0)), structure=name)
            )
        dataset, case = make(tmp_path, ["i.nii.gz"], sources)
        geometry = load_image(dataset, case).geometry
        with pytest.raises(LabelError, match="overlapping"):
            load_label(dataset, case, geometry)
        both = dataset.model_copy(update={"labels": ONE.model_copy(update={"kind": "overlapping"})})
        label = load_label(both, case, geometry)
        assert (label.shape[0], label.sum(axis=0).max()) == (2, 2)

    def test_masks_of_one_structure_are_united(self, tmp_path: Path) -> None:
        nii(tmp_path / "i.nii.gz", noise())
        names = [nii(tmp_path / f"{k}.nii.gz", (label3() == k).astype(np.uint8)) for k in (1, 2)]
        dataset, case = make(tmp_path, ["i.nii.gz"], [LabelSource(path=n, structure="a") for n in names])
        label = load_label(dataset, case, load_image(dataset, case).geometry)
        np.testing.assert_array_equal(label[0] == 1, label3().transpose(2, 1, 0) > 0)

    def test_counts_are_those_on_disk(self, tmp_path: Path) -> None:
        nii(tmp_path / "i.nii.gz", noise())
        nii(tmp_path / "l.nii.gz", label3())
        dataset, case = make(tmp_path, ["i.nii.gz"], [LabelSource(path="l.nii.gz")])
        counts = read_label(dataset, case, load_image(dataset, case).geometry).counts
        assert counts == {int(v): int(n) for v, n in zip(*np.unique(label3(), return_counts=True), strict=True)}

    @given(
        st.lists(st.integers(-3, 300), min_size=1, max_size=40),
        st.sampled_from([np.int16, np.int32, np.int64]),
        st.booleans(),
    )
    @settings(max_examples=40, deadline=None)
    def test_table_equals_the_sorting_way(self, values: list[int], kind: type, exclusive: bool) -> None:
        raw = np.array(values, dtype=kind).reshape(1, 1, -1)
        known = sorted(set(values) - {0, -1})
        structures = tuple(Structure(name=f"s{v}", values=(v,)) for v in known)
        space = LabelSpace(structures=structures, kind="exclusive" if exclusive else "overlapping", ignore=-1)
        if known:
            np.testing.assert_array_equal(mapped(raw, space, value_counts(raw), where=""), space.from_values(raw))


class TestImage:
    def test_channels_are_stacked_in_order_and_turned(self, tmp_path: Path) -> None:
        nii(tmp_path / "a.nii.gz", noise(0))
        second = nib.Nifti1Image(noise(1).astype(np.int16), AFFINE)
        nib.save(second.as_reoriented(np.array([[2, -1], [0, 1], [1, 1]])), tmp_path / "b.nii.gz")
        dataset, case = make(tmp_path, ["a.nii.gz", "b.nii.gz"], [], channels=("a", "b"))
        volume = load_image(dataset, case)
        np.testing.assert_array_equal(volume.array()[0], noise(0).transpose(2, 1, 0))
        np.testing.assert_array_equal(volume.array()[1], noise(1).transpose(2, 1, 0))
        assert volume.channels == ("a", "b")
        part = volume.data[(slice(1, 2), slice(0, 2), slice(1, 3), slice(0, 6))]
        np.testing.assert_array_equal(part, volume.array()[1:2, 0:2, 1:3, 0:6])

    def test_channels_on_other_grids_name_both_files(self, tmp_path: Path) -> None:
        nii(tmp_path / "a.nii.gz", noise())
        nii(tmp_path / "b.nii.gz", noise(), np.diag([2.0, 2.0, 2.0, 1.0]))
        dataset, case = make(tmp_path, ["a.nii.gz", "b.nii.gz"], [], channels=("a", "b"))
        with pytest.raises(GeometryError) as caught:
            load_image(dataset, case)
        assert "a.nii.gz" in str(caught.value)
        assert "b.nii.gz" in str(caught.value)
        assert caught.value.hint

    def test_colour_becomes_luminance_and_equal_planes_stay_exact(self, tmp_path: Path) -> None:
        grey = noise(shape=(6, 5))
        Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "g.png")
        colour = noise(1, (6, 5, 3))
        Image.fromarray(colour).save(tmp_path / "c.png")
        dataset, case = make(tmp_path, ["g.png"], [])
        np.testing.assert_array_equal(load_image(dataset, case).array()[0, 0], grey)
        dataset, case = make(tmp_path, ["c.png"], [])
        expected = np.asarray(Image.fromarray(colour).convert("L"), dtype=int)
        assert np.abs(load_image(dataset, case).array()[0, 0].astype(int) - expected).max() <= 1

    def test_grey_file_in_a_colour_dataset_is_repeated(self, tmp_path: Path) -> None:
        grey = noise(shape=(6, 5))
        Image.fromarray(grey).save(tmp_path / "g.png")
        dataset, case = make(tmp_path, ["g.png"], [], channels=("red", "green", "blue"))
        volume = load_image(dataset, case)
        np.testing.assert_array_equal(volume.array()[:, 0], np.stack([grey] * 3))
        assert "repeated" in volume.header["adapted"][0]

    def test_missing_channel_and_missing_image(self, tmp_path: Path) -> None:
        nii(tmp_path / "a.nii.gz", noise())
        dataset, case = make(tmp_path, ["a.nii.gz"], [], channels=("a", "b"))
        with pytest.raises(ReadError, match="1 channel"):
            load_image(dataset, case)
        dataset, case = make(tmp_path, [], [LabelSource(path="l.png")])
        with pytest.raises(ReadError, match="no image"):
            load_image(dataset, case)

    def test_planes_of_a_file_are_channels(self, tmp_path: Path) -> None:
        stack = noise(shape=(6, 5, 7))
        savemat(tmp_path / "i.mat", {"I": stack})
        case = Case(id="c", images=(Source(path="i.mat", plane=6), Source(path="i.mat", plane=0)), group="c")
        dataset = Dataset(root=str(tmp_path), layout="test", channels=("a", "b"), cases=(case,))
        np.testing.assert_array_equal(load_image(dataset, case).array()[:, 0], stack[..., [6, 0]].transpose(2, 0, 1))


class TestMasks:
    def test_colours_become_numbers(self) -> None:
        planes = np.zeros((3, 1, 1, 2), np.uint8)
        planes[0, 0, 0, 1] = 255
        assert one_plane(planes, where="").tolist() == [[[0, 0xFF0000]]]

    def test_different_planes_that_are_no_colours_are_refused(self) -> None:
        with pytest.raises(LabelError, match="different planes"):
            one_plane(np.arange(5).reshape(5, 1, 1, 1), where="a")

    def test_soft_masks(self) -> None:
        edge = np.zeros((1, 20, 30), np.uint8)
        edge[0, :, 15:] = 255
        edge[0, :, 12:16] = [2, 5, 100, 200]
        assert is_soft(edge)
        assert int(binary(edge).sum()) == 15 * 20
        assert not is_soft(np.arange(256, dtype=np.uint8).reshape(1, 16, 16))
        assert not is_soft(np.array([[[0, 1, 2]]], np.uint8))
        assert int(binary(np.array([[[0, 1, 2]]], np.uint8)).sum()) == 2

    @given(st.lists(st.integers(-5, 70000), max_size=30))
    @settings(max_examples=40, deadline=None)
    def test_value_counts_equal_numpy(self, values: list[int]) -> None:
        array = np.array(values, dtype=np.int32)
        found, numbers = np.unique(array, return_counts=True)
        assert value_counts(array) == dict(zip(found.tolist(), numbers.tolist(), strict=True))
