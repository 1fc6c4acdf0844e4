"""Folders that can be read in two ways: what decides, what is told, and how a person states what is meant."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segwright.core.case import Dataset
from segwright.core.errors import ChoiceError, LabelError, LayoutError
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label
from segwright.io.scans import open_images

Plane = NDArray[np.uint8]
PAINT = np.array([(0, 0, 0), (220, 20, 60), (70, 130, 180)], np.uint8)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".nii.gz"):
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    else:
        Image.fromarray(array).save(path)


def drawing(seed: int, *values: int, grow: int = 0) -> Plane:
    """A rectangle a value, a row each; grown by some pixels, as another hand draws it."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((64, 80), np.uint8)
    for rank, value in enumerate(values):
        y, x = 5 + rank * 20, int(rng.integers(5, 50))
        plane[y : y + 12 + grow, x : x + 20 + grow] = value
    return plane


def picture(seed: int, plane: Plane | None = None) -> Plane:
    noise = np.random.default_rng(seed).integers(60, 90, (64, 80)).astype(np.uint8)
    return noise if plane is None else noise + (60 * (plane > 0)).astype(np.uint8)


def areas(dataset: Dataset) -> list[tuple[int, ...]]:
    """Voxels of each structure, case by case."""
    out = []
    for case in dataset.labelled:
        geometry = load_image(dataset, case).geometry
        label = load_label(dataset, case, geometry)
        out.append(tuple(int(dataset.labels.mask(label, i).sum()) for i in range(len(dataset.labels.structures))))
    return out


class TestLabelFolders:
    """Several label folders are structures only if they are not copies, readers or a field of view."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Callable[..., Path]:
        def build(**folders: Callable[[int], np.ndarray]) -> Path:
            for i in range(5):
                save(tmp_path / f"images/u{i}.png", picture(i, drawing(i, 1, 1)))
                for name, draw in folders.items():
                    save(tmp_path / name / f"u{i}.png", draw(i))
            return tmp_path

        return build

    def test_a_painted_copy_is_set_aside(self, folder) -> None:
        dataset = open_dataset(
            folder(labels=lambda i: drawing(i, 1, 2), labels_color=lambda i: PAINT[drawing(i, 1, 2)])
        )
        assert [s.values for s in dataset.labels.structures] == [(1,), (2,)]
        assert [(a.path, a.count) for a in dataset.aside] == [("labels_color/ (.png)", 5)]
        assert "painted" in dataset.aside[0].reason

    def test_numbered_objects_beside_classes_are_set_aside(self, folder) -> None:
        def objects(i: int) -> np.ndarray:
            plane = drawing(i, 1, 2)
            plane[:, 40:][plane[:, 40:] == 1] = 3
            return plane

        dataset = open_dataset(folder(labels_class=lambda i: drawing(i, 7, 9), labels_instance=objects))
        assert [s.values for s in dataset.labels.structures] == [(7,), (9,)]

    def test_the_outline_of_all_classes_is_set_aside(self, folder) -> None:
        dataset = open_dataset(folder(masks=lambda i: drawing(i, 1, 2), masks_binary=lambda i: drawing(i, 255, 255)))
        assert [s.values for s in dataset.labels.structures] == [(1,), (2,)]

    def test_another_reader_beside_a_structure_of_a_name(self, folder) -> None:
        place = folder(liver=lambda i: drawing(i, 255), liver_reader2=lambda i: drawing(i, 255, grow=1))
        dataset = open_dataset(place)
        assert dataset.readers == ("liver", "liver_reader2")
        assert areas(dataset) == [(240,)] * 5

    def test_two_readers_are_told_apart_from_two_structures(self, folder) -> None:
        place = folder(masks_reader1=lambda i: drawing(i, 255), masks_reader2=lambda i: drawing(i, 255, grow=2))
        dataset = open_dataset(place)
        assert dataset.readers == ("reader1", "reader2")
        assert areas(dataset) == [(240,)] * 5
        assert "Dice" in dataset.notes[-1] or any("readers" in note for note in dataset.notes)
        (place / "dataset.yaml").write_text("readers: [masks_reader2, masks_reader1]\nimages: images\n")
        assert areas(open_dataset(place)) == [(14 * 22,)] * 5

    def test_structures_that_lie_in_each_other_stay(self, folder) -> None:
        dataset = open_dataset(
            folder(masks_lung=lambda i: drawing(i, 255, grow=4), masks_tumour=lambda i: drawing(i, 255))
        )
        assert len(dataset.labels.structures) == 2

    def test_a_field_of_view_is_no_structure(self, folder) -> None:
        field = np.zeros((64, 80), np.uint8)
        field[2:62, 2:78] = 255
        dataset = open_dataset(folder(manual=lambda i: drawing(i, 255), mask=lambda i: field))
        assert len(dataset.labels.structures) == 1
        assert areas(dataset) == [(240,)] * 5
        assert "field of view" in dataset.aside[0].reason

    def test_maps_beside_other_structures_are_asked_about(self, folder) -> None:
        place = folder(labels_organs=lambda i: drawing(i, 1, 2), labels_lesion=lambda i: drawing(i + 9, 0, 0, 255))
        with pytest.raises(ChoiceError, match="several values") as caught:
            open_dataset(place)
        found = {}
        for reading in caught.value.readings:  # each of the lines does what its words say
            (place / "dataset.yaml").write_text(reading.text)
            dataset = open_dataset(place)
            found[reading.what] = [s.values for s in dataset.labels.structures]
            assert dataset.decisions[0].topic == "stated"
        assert found == {
            "lesion alone: masks of one value, 5 cases": [(255,)],
            "organs alone: maps of several values, 5 cases": [(1,), (2,)],
        }


class TestPlaces:
    """Equal names in two places are two cases."""

    def test_sites_are_put_together(self, tmp_path: Path) -> None:
        for site in ("siteA", "siteB"):
            for i in range(3):
                save(tmp_path / site / "images" / f"p{i}.png", picture(i, drawing(i, 1)))
                save(tmp_path / site / "masks" / f"p{i}.png", drawing(i, 255))
        dataset = open_dataset(tmp_path)
        assert [case.id for case in dataset.cases] == [f"{s}_p{i}" for s in ("siteA", "siteB") for i in range(3)]
        assert len(dataset.channels) == 1

    @pytest.mark.parametrize("count", [1, 2, 5])
    @pytest.mark.parametrize(
        "names",
        [
            ("site{}_images", "site{}_masks"), ("img_{}", "gt_{}"), ("centre{}-scans", "centre{}-labels"),
            ("images{}", "masks{}"), ("{} Scans", "{} Labels"), ("{}/img", "{}/gt"), ("images/{}", "masks/{}"),
        ],
    )  # fmt: skip
    def test_equal_names_in_folders_of_sites_are_cases_of_their_own(self, tmp_path: Path, count: int, names) -> None:
        """One case or several a site; a site without labels stays unlabelled."""
        for s, site in enumerate("ABC"):
            for i in range(count):
                plane = drawing(9 * s + i, 1)
                save(tmp_path / names[0].format(site) / f"x{i}.png", picture(9 * s + i, plane))
                if site != "C" or "/" in names[0]:
                    save(tmp_path / names[1].format(site) / f"x{i}.png", plane * 255)
        dataset = open_dataset(tmp_path)
        assert dataset.labels.names == ("foreground",) and dataset.channels == ("grey",)
        assert len({case.id for case in dataset.cases}) == 3 * count
        assert len({case.group for case in dataset.cases}) == 3 * count
        for case in dataset.cases:
            site = next(letter for letter in "ABC" if letter in case.images[0].path)
            assert site in case.id and site in case.group
            assert all(site in source.path for source in case.label)

    def test_two_labels_of_the_same_pictures_are_no_sites(self, tmp_path: Path) -> None:
        """The pictures were copied beside each structure's masks: one case, two structures."""
        for i in range(4):
            heart, lung = drawing(i, 1), drawing(i + 20, 1)
            for name, plane in (("heart", heart), ("lung", lung)):
                save(tmp_path / f"{name}_images" / f"x{i}.png", picture(i, heart))
                save(tmp_path / f"{name}_masks" / f"x{i}.png", plane * 255)
        dataset = open_dataset(tmp_path)
        assert len(dataset.cases) == 4 and dataset.channels == ("grey",)
        assert dataset.labels.names == ("heart", "lung")

    def test_splits_keep_unlabelled_scans(self, tmp_path: Path) -> None:
        for part, count in (("train", 4), ("valid", 2)):
            for i in range(count):
                save(tmp_path / part / "images" / f"{part}{i}.png", picture(i, drawing(i, 1)))
                save(tmp_path / part / "masks" / f"{part}{i}.png", drawing(i, 255))
        dataset = open_dataset(tmp_path)
        assert len(dataset.labelled) == 6 and not dataset.aside

    def test_films_of_cells(self, tmp_path: Path) -> None:
        for film in ("01", "02"):
            for t in range(3):
                save(tmp_path / film / f"t{t:03d}.tif", picture(t))
                save(tmp_path / f"{film}_GT/SEG/man_seg{t:03d}.tif", drawing(t, 1, 2).astype(np.uint16))
                save(tmp_path / f"{film}_GT/TRA/man_track{t:03d}.tif", drawing(t, 5).astype(np.uint16))
        dataset = open_dataset(tmp_path)
        assert (dataset.layout, len(dataset.labelled), len({c.group for c in dataset.cases})) == ("tracking", 6, 2)
        assert areas(dataset) == [(480,)] * 6
        assert sum(aside.count for aside in dataset.aside) == 6

    def test_several_masks_of_one_structure_are_united(self, tmp_path: Path) -> None:
        for kind in ("benign", "malignant"):
            for i in range(1, 4):
                name = f"{kind} ({i})"
                save(tmp_path / kind / f"{name}.png", picture(i, drawing(i, 1)))
                save(tmp_path / kind / f"{name}_mask.png", drawing(i, 255))
        save(tmp_path / "benign/benign (2)_mask_1.png", drawing(7, 0, 0, 255))
        dataset = open_dataset(tmp_path)
        assert [c.id for c in dataset.cases if len(c.label) == 2] == ["benign_benign (2)"]
        assert sorted(areas(dataset)) == [(240,)] * 5 + [(480,)]

    @pytest.mark.parametrize("reference", ["ST", "GT beside ST"])
    @pytest.mark.parametrize("above", ["", "Fluo/", "PhC {}/"])
    def test_films_with_other_references_and_folders(self, tmp_path: Path, reference: str, above: str) -> None:
        """Of two references that which people drew; frames that it leaves out are unlabelled."""
        for film in ("01", "02", "03"):
            place = tmp_path / above.format(film)
            for t in range(4):
                save(place / film / f"t{t:04d}.tif", picture(t))
                save(place / f"{film}_ST/SEG/man_seg{t:04d}.tif", drawing(t + 9, 1, 1, 1).astype(np.uint16))
                if reference != "ST" and t % 2:
                    save(place / f"{film}_GT/SEG/man_seg{t:04d}.tif", drawing(t, 3, 9).astype(np.uint16))
        dataset = open_dataset(tmp_path)
        assert (dataset.labels.names, dataset.channels) == (("cell",), ("grey",))
        assert (len(dataset.cases), len({case.group for case in dataset.cases})) == (12, 3)
        assert areas(dataset) == ([(720,)] * 12 if reference == "ST" else [(480,)] * 6)

    @pytest.mark.parametrize("second", ["a3_mask_1.png", "a3_mask_2.png"])
    @pytest.mark.parametrize("folder", ["", "p1/"])
    def test_a_second_mask_is_united(self, tmp_path: Path, folder: str, second: str) -> None:
        for i in range(6):
            save(tmp_path / folder / f"a{i}.png", picture(i, drawing(i, 1, i == 3)))
            save(tmp_path / folder / f"a{i}_mask.png", drawing(i, 255))
        save(tmp_path / folder / second, drawing(3, 0, 255))
        assert sorted(areas(open_dataset(tmp_path))) == [(240,)] * 5 + [(480,)]

    @pytest.mark.parametrize(("first", "second"), [("a{}.png", "a3_1.png"), ("a{}_mask.png", "a3_mask_1.png")])
    def test_a_second_mask_in_a_folder_of_masks_is_united(self, tmp_path: Path, first: str, second: str) -> None:
        for i in range(6):
            save(tmp_path / f"images/a{i}.png", picture(i, drawing(i, 1, i == 3)))
            save(tmp_path / f"masks/{first.format(i)}", drawing(i, 255))
        save(tmp_path / "masks" / second, drawing(3, 0, 255))
        dataset = open_dataset(tmp_path)
        assert sorted(areas(dataset)) == [(240,)] * 5 + [(480,)]
        assert any("several masks of one structure, which are united: a3" in note for note in dataset.notes)

    @pytest.mark.parametrize(
        ("image", "mask"),
        [
            ("a{}.png", "a{}_mask{}.png"),
            ("a{}.png", "a{}_mask_{}.png"),
            ("images/a{}.png", "masks/a{}_mask{}.png"),
            ("images/a{}.png", "masks/a{}_mask_{}.png"),
            ("images/a{}.png", "masks/a{}_{}.png"),
        ],
    )
    def test_counted_masks_beside_one_another_are_objects(self, tmp_path: Path, image: str, mask: str) -> None:
        for i in range(6):
            count = 1 + i % 3
            save(tmp_path / image.format(i), picture(i, drawing(i, *[1] * count)))
            for n in range(count):
                save(tmp_path / mask.format(i, n + 1), drawing(i, *[255 * (k == n) for k in range(count)]))
        dataset = open_dataset(tmp_path)
        assert dataset.labels.names == ("foreground",)
        assert areas(dataset) == [(240 * (1 + i % 3),) for i in range(6)]
        assert any("several masks of one structure, which are united" in note for note in dataset.notes)

    def test_a_mask_belongs_to_no_image_whose_name_only_begins_like_its_own(self, tmp_path: Path) -> None:
        for i in range(1, 7):
            save(tmp_path / f"a{i}.png", picture(i, drawing(i, 1)))
            save(tmp_path / f"a{i}_mask.png", drawing(i, 255))
        save(tmp_path / "a2_mask_1.png", drawing(2, 0, 255))
        save(tmp_path / "a10_mask.png", drawing(9, 0, 255))
        dataset = open_dataset(tmp_path)
        assert sorted(areas(dataset)) == [(240,)] * 5 + [(480,)]


class TestFoldersOfMasks:
    """A folder of masks a case: what its files were taken for is told."""

    @staticmethod
    def folder(root: Path, image: str, masks: str, names: Callable[[int], list[str]]) -> Dataset:
        for i in range(6):
            rows = [name for name in names(i) if name]
            save(root / image.format(i), picture(i, drawing(i, *[1] * len(rows))))
            for k, name in enumerate(rows):
                save(root / masks.format(i) / name.format(i), drawing(i, *[0] * k, 255))
        return open_dataset(root)

    @pytest.mark.parametrize(
        ("image", "masks"),
        [("c{0}/images/c{0}.png", "c{0}/masks"), ("c{0}/scan.png", "c{0}/masks"), ("images/c{0}.png", "masks/c{0}")],
    )
    @pytest.mark.parametrize("name", ["{0}f{1}e.png", "{1}.png", "mask_{1}.png", "{{0}}_{1}.png", "c{{0}}_{1}.png"])
    def test_names_that_count_or_never_come_back_are_objects(
        self, tmp_path: Path, image: str, masks: str, name: str
    ) -> None:
        dataset = self.folder(tmp_path, image, masks, lambda i: [name.format(i, k) for k in range(1 + i % 3)])
        assert dataset.labels.names == ("foreground",)
        assert areas(dataset) == [(240 * (1 + i % 3),) for i in range(6)]
        assert any("each is one object" in note for note in dataset.notes)

    @pytest.mark.parametrize(
        ("image", "masks"),
        [("c{0}/images/c{0}.png", "c{0}/masks"), ("c{0}/scan.png", "c{0}/masks"), ("images/c{0}.png", "masks/c{0}")],
    )
    @pytest.mark.parametrize("name", ["{1}.png", "c{{0}}_{1}.png", "c{{0}}-{1}.png"])
    def test_names_that_come_back_are_structures(self, tmp_path: Path, image: str, masks: str, name: str) -> None:
        kinds = ("heart", "lung", "liver")
        dataset = self.folder(
            tmp_path, image, masks, lambda i: [name.format(i, k) for k in kinds[: 2 if i == 4 else 3]]
        )
        assert dataset.labels.names == ("heart", "liver", "lung")
        assert areas(dataset) == [(240, 240 * (i != 4), 240) for i in range(6)]
        assert any("files of one name are one structure" in note for note in dataset.notes)


class TestNothingIsLeftOut:
    def test_stray_files_are_listed_with_a_reason(self, tmp_path: Path) -> None:
        for i in range(3):
            save(tmp_path / f"images/a{i}.png", picture(i))
            save(tmp_path / f"masks/a{i}.png", drawing(i, 255))
        (tmp_path / "notes.txt").write_text("hello")
        (tmp_path / "more.zip").write_bytes(b"PK")
        (tmp_path / "images/.DS_Store").write_bytes(b"x")
        save(tmp_path / "previews/only.png", picture(9))
        told = {aside.path: aside.reason for aside in open_dataset(tmp_path).aside}
        assert told.keys() == {"notes.txt", "more.zip", "images/.DS_Store", "previews/only.png"}
        assert "archive" in told["more.zip"] and "no case" in told["previews/only.png"]

    def test_accents_pair_however_they_are_stored(self, tmp_path: Path) -> None:
        for name in ("Müller", "José", "Zoë"):
            save(tmp_path / "images" / f"{unicodedata.normalize('NFD', name)}.png", picture(1))
            save(tmp_path / "masks" / f"{unicodedata.normalize('NFC', name)}.png", drawing(1, 255))
        dataset = open_dataset(tmp_path)
        assert {case.id for case in dataset.labelled} == {"Müller", "José", "Zoë"}


class TestScansWithoutLabels:
    def test_a_folder_and_a_single_scan_have_no_labels_yet(self, tmp_path: Path) -> None:
        for i in range(3):
            save(tmp_path / f"p{i}.nii.gz", np.random.default_rng(i).normal(100, 20, (9, 8, 7)).astype(np.float32))
        for place, count in ((tmp_path, 3), (tmp_path / "p1.nii.gz", 1)):
            dataset = open_dataset(place)
            assert (len(dataset.cases), len(dataset.labelled)) == (count, 0)
            assert "There are no labels yet." in dataset.notes

    def test_labels_alone_are_not_taken_for_scans(self, tmp_path: Path) -> None:
        for i in range(3):
            save(tmp_path / f"m{i}.png", drawing(i, 255))
        with pytest.raises(LayoutError, match="not understood"):
            open_dataset(tmp_path)

    @pytest.mark.parametrize("layout", ["pairs", "patients", "parts", "suffix", "totalsegmentator"])
    def test_ids_are_those_that_training_gave(self, layout: str, tmp_path: Path) -> None:
        for i in range(4):
            scan, label = picture(i, drawing(i, 1)), drawing(i, 255)
            places = {
                "pairs": (f"images/c{i}_img.png", f"masks/c{i}_mask.png"),
                "patients": (f"p{i}/scan.png", f"p{i}/label.png"),
                "parts": (f"site{i % 2}/images/c{i}.png", f"site{i % 2}/masks/c{i}.png"),
                "suffix": (f"c{i}.png", f"c{i}_mask.png"),
                "totalsegmentator": (f"s{i}/ct.png", f"s{i}/segmentations/liver.png"),
            }[layout]
            save(tmp_path / places[0], scan)
            save(tmp_path / places[1], label)
        learnt = open_dataset(tmp_path)
        assert learnt.layout == layout
        predicted = open_images(tmp_path, learnt.channels)
        assert {case.id: case.images[0].path for case in predicted.cases} == {
            case.id: case.images[0].path for case in learnt.cases
        }


class TestTables:
    @staticmethod
    def files(root: Path, *, images: str = "Bilder", labels: str = "Zeichnungen") -> list[str]:
        for i, name in enumerate("abcde"):
            save(root / images / f"{name} 1.PNG", picture(i, drawing(i, 1)))
            save(root / labels / f"{name} 2.PNG", drawing(i, 255))
        return list("abcde")

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
    @pytest.mark.parametrize(
        ("header", "root"),
        [
            ("Image;Mask;Patient", ""),
            ("Datei;Maske;Patienten-ID;Größe", "C:\\Users\\me\\"),
            ("id;image;label;group", ""),
        ],
    )
    def test_any_headers_and_paths_of_windows(self, tmp_path: Path, encoding: str, header: str, root: str) -> None:
        rows = [header]
        for i, name in enumerate(self.files(tmp_path)):
            cells = [f"{root}Bilder\\{name} 1.png", f"{root}zeichnungen\\{name} 2.PNG", f"P{i // 2}", "3"]
            rows.append(";".join(([name] if header.startswith("id") else []) + cells[: 3 + header.count("Größe")]))
        (tmp_path / "liste.csv").write_bytes("\r\n".join(rows).encode(encoding))
        dataset = open_dataset(tmp_path)
        assert (dataset.layout, len(dataset.labelled)) == ("table", 5)
        if "Patienten" not in header:
            assert [case.group for case in dataset.cases] == ["P0", "P0", "P1", "P1", "P2"]
        assert areas(dataset) == [(240,)] * 5

    def test_a_table_of_patients_beside_the_folders_groups_the_cases(self, tmp_path: Path) -> None:
        rows = ["file,Subject ID,age"]
        rows += [
            f"{name} 1.png,S{i // 3},50" for i, name in enumerate(self.files(tmp_path, images="images", labels="masks"))
        ]
        (tmp_path / "clinical.csv").write_text("\n".join(rows))
        dataset = open_dataset(tmp_path)
        assert dataset.layout == "pairs"
        assert sorted({case.group for case in dataset.cases}) == ["S0", "S1"]
        assert dataset.group_rule == "column 'subject id' of clinical.csv"


@pytest.mark.parametrize(("image", "label"), [(".jpg", ".png"), (".tif", ".png"), (".jpeg", ".bmp"), (".png", ".tif")])
def test_same_name_with_another_suffix(tmp_path: Path, image: str, label: str) -> None:
    for i in range(4):
        save(tmp_path / f"{i}{image}", picture(i, drawing(i, 1)))
        save(tmp_path / f"{i}{label}", drawing(i, 255))
    dataset = open_dataset(tmp_path)
    assert {case.label[0].path for case in dataset.labelled} == {f"{i}{label}" for i in range(4)}


@pytest.mark.parametrize("key", ["desc", "acq"])
def test_files_of_a_bids_subject_are_told_apart(tmp_path: Path, key: str) -> None:
    for s in range(1, 4):
        scan = np.random.default_rng(s).normal(100, 9, (8, 9, 7)).astype(np.float32)
        save(tmp_path / f"sub-{s:02d}/anat/sub-{s:02d}_T1w.nii.gz", scan)
        for rank, name in enumerate(("brain", "lesion")):
            mask = np.zeros((8, 9, 7), np.uint8)
            mask[1 : 7 - 3 * rank, 2:6, 2:5] = 1
            place = tmp_path / f"derivatives/x/sub-{s:02d}/anat/sub-{s:02d}"
            save(Path(f"{place}_{key}-{name}_mask.nii.gz"), mask)
            save(Path(f"{place}_space-MNI_{key}-{name}_mask.nii.gz"), np.ones((4, 4, 4), np.uint8))
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("brain", "lesion")
    assert areas(dataset) == [(6 * 4 * 3, 3 * 4 * 3)] * 3
    assert sum(aside.count for aside in dataset.aside) == 6


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "labels.txt",
            '# ITK-SnAP\n 0 0 0 0 0 0 0 "Clear Label"\n 1 255 0 0 1 1 1 "liver"\n 2 0 255 0 1 1 1 "spleen"\n',
        ),
        ("masks.ctbl", "# Slicer\n0 Background 0 0 0 0\n1 liver 255 0 0 255\n2 spleen 0 255 0 255\n"),
        ("classes.csv", "id,name\n1,liver\n2,spleen\n3,kidney\n"),
    ],
)
def test_legends_name_values(tmp_path: Path, name: str, text: str) -> None:
    for i in range(3):
        save(tmp_path / f"images/a{i}.png", picture(i))
        save(tmp_path / f"masks/a{i}.png", drawing(i, 1, 2))
    (tmp_path / "masks" / name).write_text(text)
    assert open_dataset(tmp_path).labels.names == ("liver", "spleen")


def test_legends_name_colours(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"JPEGImages/a{i}.jpg", picture(i))
        save(tmp_path / f"SegmentationClass/a{i}.png", PAINT[drawing(i, 1, 2)])
    (tmp_path / "labelmap.txt").write_text(
        "# label:color\nbackground:0,0,0::\nstroma:70,130,180::\ntumour:220,20,60::\n"
    )
    assert {s.name: s.values for s in open_dataset(tmp_path).labels.structures} == {
        "stroma": (0x4682B4,),
        "tumour": (0xDC143C,),
    }


class TestFoldersOfEqualNames:
    @staticmethod
    def folders(root: Path, second: Callable[[int], Plane]) -> None:
        for i in range(4):
            save(root / "north" / f"p{i}.png", picture(i, drawing(i, 1)))
            save(root / "south" / f"p{i}.png", second(i))
            save(root / "masks" / f"p{i}.png", drawing(i, 255))

    def test_one_scene_is_channels(self, tmp_path: Path) -> None:
        self.folders(tmp_path, lambda i: 200 - picture(90 + i, drawing(i, 1)))
        assert open_dataset(tmp_path).channels == ("north", "south")

    def test_two_scenes_are_asked_about(self, tmp_path: Path) -> None:
        self.folders(tmp_path, lambda i: picture(70 + i, drawing(70 + i, 1)))
        with pytest.raises(LayoutError, match="different things") as caught:
            open_dataset(tmp_path)
        assert "images: [north, south]" in str(caught.value)
        (tmp_path / "dataset.yaml").write_text("images: [north, south]\nlabels: masks\n")
        assert open_dataset(tmp_path).channels == ("north", "south")


@pytest.mark.parametrize("marks", [("plan.json", "splits.json"), ("plan.json", "manifest.json"), ("predictions.json",)])
def test_results_in_the_folder_are_no_data(tmp_path: Path, marks: tuple[str, ...]) -> None:
    for i in range(3):
        save(tmp_path / f"images/p{i}.png", picture(i, drawing(i, 1)))
        save(tmp_path / f"masks/p{i}.png", drawing(i, 255))
        save(tmp_path / f"results/p{i}.png", drawing(i, 255, grow=1))
    for mark in marks:
        (tmp_path / "results" / mark).write_text("{}")
    dataset = open_dataset(tmp_path)
    assert not dataset.readers and len(dataset.labelled) == 3
    assert [(a.path, a.count) for a in dataset.aside] == [("results", 1)]
    assert "of segwright" in dataset.aside[0].reason


def test_a_value_that_counts_nowhere_in_one_late_file_is_found(tmp_path: Path) -> None:
    """Files of structures are all looked at, not the first dozen."""
    for i in range(30):
        save(tmp_path / f"images/c{i:02d}.png", picture(i, drawing(i, 1, 1)))
        save(tmp_path / f"heart/c{i:02d}.png", drawing(i, 1, 255 if i == 17 else 0))
        save(tmp_path / f"lung/c{i:02d}.png", drawing(i + 90, 0, 0, 1))
    dataset = open_dataset(tmp_path)
    told = " ".join(dataset.notes)
    assert dataset.labels.ignore == 255 or "'heart' hold values 1 and 255" in told


def test_a_copy_that_is_none_in_one_case_is_refused_by_name(tmp_path: Path) -> None:
    for i in range(40):
        plane = drawing(i, 1, 2)
        save(tmp_path / f"images/c{i:02d}.png", picture(i, plane))
        save(tmp_path / f"masks/c{i:02d}.png", plane)
        save(tmp_path / f"masks_color/c{i:02d}.png", PAINT[drawing(i + 500, 1, 2) if i == 33 else plane])
    with pytest.raises(LabelError, match="not in case 'c33'"):
        open_dataset(tmp_path)


OUTLINES = ("labelme", "coco", "via", "geojson")


def outlines(root: Path, form: str, reader: str, shift: int, name: str = "tumour") -> None:
    """One rectangle a picture, in a file a picture or one for all."""
    listed: dict[str, object] = {}
    corners = {}
    for i in range(4):
        y, x = 6 + 2 * i + shift, 8 + 3 * i
        corners[f"c{i}"] = [[x, y], [x + 18, y], [x + 18, y + 14], [x, y + 14]]
    for number, (case, points) in enumerate(corners.items()):
        flat = [value for point in points for value in point]
        if form == "labelme":
            shape = {"label": name, "points": points, "shape_type": "polygon"}
            listed[f"{reader}/{case}.json"] = {
                "shapes": [shape], "imagePath": f"{case}.png", "imageHeight": 64, "imageWidth": 80,
            }  # fmt: skip
        elif form == "geojson":
            area = {"type": "Polygon", "coordinates": [[*points, points[0]]]}
            feature = {"type": "Feature", "geometry": area, "properties": {"classification": {"name": name}}}
            listed[f"{reader}/{case}.geojson"] = {"type": "FeatureCollection", "features": [feature]}
        elif form == "coco":
            whole = listed.setdefault(f"{reader}.json", {"images": [], "annotations": [], "categories": []})
            whole["images"].append({"id": number, "file_name": f"{case}.png", "height": 64, "width": 80})
            whole["annotations"].append(
                {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "segmentation": [flat]}
            )
            whole["categories"] = [{"id": 1, "name": name}]
        else:
            shape = {"name": "polygon", "all_points_x": flat[::2], "all_points_y": flat[1::2]}
            region = {"shape_attributes": shape, "region_attributes": {"type": name}}
            whole = listed.setdefault(f"{reader}/via.json", {})
            whole[f"{case}.png9"] = {"filename": f"{case}.png", "size": 9, "regions": [region], "file_attributes": {}}
    for path, document in listed.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(document))


@pytest.mark.parametrize("form", OUTLINES)
def test_outlines_of_two_readers_are_offered_as_such(tmp_path: Path, form: str) -> None:
    for i in range(4):
        save(tmp_path / f"images/c{i}.png", picture(i))
    outlines(tmp_path, form, "reader1", 0)
    outlines(tmp_path, form, "reader2", 2)
    dataset = open_dataset(tmp_path)
    assert dataset.readers == ("reader1", "reader2")
    assert {sum(counts) for counts in areas(dataset)} == {18 * 14}
    assert any("drawn by another reader: Dice 0.86" in one.reason for one in dataset.aside)
    (tmp_path / "dataset.yaml").write_text("readers: [reader2, reader1]\nconsensus: majority\n")
    assert {sum(counts) for counts in areas(open_dataset(tmp_path))} == {18 * 12}  # what both drew


@pytest.mark.parametrize("form", OUTLINES)
def test_outlines_of_other_structures_in_a_second_file_are_united_and_told(tmp_path: Path, form: str) -> None:
    for i in range(4):
        save(tmp_path / f"images/c{i}.png", picture(i))
    outlines(tmp_path, form, "reader1", 0)
    outlines(tmp_path, form, "reader2", 2, name="rim")
    dataset = open_dataset(tmp_path)
    assert sorted(dataset.labels.names) == ["rim", "tumour"] and not dataset.readers
    assert "Outlines of one image in reader1 and reader2 are united, in 4 cases." in dataset.notes


def _blurred(seed: int, count: int) -> list[Plane]:
    """Planes that differ in noise and drift of one bright disc: as sections do, in order."""
    rows, columns = np.mgrid[:64, :80]
    noise = np.random.default_rng(seed)
    return [
        np.rint(
            60 + 120 * ((rows - 30) ** 2 + (columns - 15 - 7 * k) ** 2 < 150) + noise.normal(0, 6, (64, 80))
        ).astype("u1")
        for k in range(count)
    ]


@pytest.mark.parametrize(("count", "order", "layout"), [(4, range(4), "asked"), (8, range(8), "sections"),
                                                       (8, (0, 5, 2, 7, 4, 1, 6, 3), "pairs")])  # fmt: skip
def test_numbered_pictures_are_sections_by_evidence_or_asked_about(
    tmp_path: Path, count: int, order: range, layout: str
) -> None:
    planes = _blurred(1, count)
    for number, k in enumerate(order):
        save(tmp_path / f"images/{number}.png", planes[k])
        save(tmp_path / f"masks/{number}.png", np.uint8(255) * (planes[k] > 120))
    if layout != "asked":
        assert open_dataset(tmp_path).layout == layout
        return
    with pytest.raises(ChoiceError) as caught:
        open_dataset(tmp_path)
    assert [one.text for one in caught.value.readings] == ["layout: sections\n", "layout: pairs\n"]
    for name, cases in (("sections", 1), ("pairs", 4)):
        (tmp_path / "dataset.yaml").write_text(f"layout: {name}\n")
        assert len(open_dataset(tmp_path).cases) == cases
