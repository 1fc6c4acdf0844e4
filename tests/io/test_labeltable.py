"""Structures are called in DICOM what they are: stated codes are kept, guesses are told, and nothing is made up."""

from __future__ import annotations

import csv
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from segwright import io
from segwright.api.convert import convert
from segwright.core.errors import LabelError
from segwright.core.events import Note
from segwright.core.labels import GENERAL_TYPE, LEFT, RIGHT, Code, LabelSpace, Structure
from segwright.io.dataset import open_dataset
from segwright.io.formats.dicomseg import write as dicomsegout
from segwright.io.labeltable import COLUMNS, FILENAME, applied, is_table, read_table, told_codes, write_table
from segwright.io.load import load_label
from segwright.io.terms import guess, terms_of

SCT = codes.SCT


def series(folder: Path) -> Path:
    """A CT series of six slices."""
    folder.mkdir(parents=True)
    for z in range(6):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.7.{z + 1}"
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = "1.2.9", "1.2.3", "1.2.5"
        ds.PatientID, ds.PatientName, ds.Modality, ds.InstanceNumber = "P7", "Doe^Jane", "CT", z
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.Rows, ds.Columns = 10, 12
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0.0, 0.0, 2.5 * z], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        ds.PixelSpacing, ds.SliceThickness = [0.8, 0.8], 2.5
        ds.PixelData = np.random.default_rng(z).integers(0, 999, (10, 12), dtype=np.uint16).tobytes()
        ds.save_as(folder / f"im{z}.dcm", enforce_file_format=True)
    return folder


@pytest.mark.parametrize(
    ("name", "term", "side"),
    [
        ("left kidney", SCT.Kidney, LEFT), ("right_clavicle", SCT.Clavicle, RIGHT), ("lung_L", SCT.Lung, LEFT),
        ("heart", SCT.Heart, None), ("Kidneys", SCT.Kidney, None), ("liverTumour", SCT.Neoplasm, None),
        ("tooth-11", SCT.Tooth, None), ("vertebra 3", SCT.Vertebra, None), ("L1", codes.CID7602.L1Vertebra, None),
        ("left ventricle", codes.CID7192.LeftVentricle, None), ("anterior hippocampus", SCT.Hippocampus, None),
        ("urine", SCT.Urine, None), ("oedema", SCT.Edema, None), ("femur_right", SCT.Femur, RIGHT),
    ],
)  # fmt: skip
def test_names_are_understood(name: str, term: object, side: Code | None) -> None:
    found = guess(name)
    assert (found.type.value, found.type.scheme) == (term.value, term.scheme_designator)
    assert found.modifier == side and found.basis == "guessed"


@pytest.mark.parametrize("name", ["structure_1", "mitochondria", "WT", "region of interest 5", "x", "42", "of"])
def test_unknown_names_get_a_term_that_is_true(name: str) -> None:
    found = guess(name)
    assert (found.type, found.modifier, found.basis) == (GENERAL_TYPE, None, "general")


def test_general_terms_and_sides_are_those_of_the_standard() -> None:
    assert Code("SCT", SCT.Tissue.value, SCT.Tissue.meaning) == GENERAL_TYPE
    assert (LEFT.value, RIGHT.value) == (codes.CID244.Left.value, codes.CID244.Right.value)
    assert guess("left thingamy").modifier == LEFT, "the side is known even where the thing is not"


def test_categories_fit_their_types() -> None:
    told = {name: guess(name).category.value for name in ("liver", "neoplasm", "urine", "skin")}
    assert told == {
        "liver": SCT.AnatomicalStructure.value, "neoplasm": SCT.MorphologicallyAbnormalStructure.value,
        "urine": SCT.BodySubstance.value, "skin": SCT.Tissue.value,
    }  # fmt: skip


STATED = Structure(
    name="my organ",
    values=(7,),
    colour="#102030",
    category="SCT:91723000:Anatomical Structure",
    type="99LOCAL:12:My organ",
    modifier="SCT:7771000:Left",
)


def test_a_table_comes_back_and_guesses_do_not_become_facts(tmp_path: Path) -> None:
    space = LabelSpace(structures=(STATED, Structure(name="liver", values=(63,)), Structure(name="x", values=(2,))))
    path = write_table(space, tmp_path / FILENAME)
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == COLUMNS and is_table(path)
    assert [row["Codes"] for row in rows] == ["stated", "guessed", "general"]
    assert [row["Type_CodeValue"] for row in rows] == ["12", "10200004", "85756007"]
    assert (rows[0]["Color_R"], rows[0]["Color_G"], rows[0]["Color_B"]) == ("16", "32", "48")
    found = read_table(path)
    assert found[7] == STATED and (found[63].name, found[63].type) == ("liver", "")
    assert found[63].colour == space.colour(1)


def test_a_table_of_another_program_is_stated(tmp_path: Path) -> None:
    head = "LabelValue,Name,Color_R,Color_G,Color_B,Color_A,Category_CodingSchemeDesignator,Category_CodeValue,"
    head += "Category_CodeMeaning,Type_CodingSchemeDesignator,Type_CodeValue,Type_CodeMeaning\n"
    line = "0,Background,0,0,0,0,,,,,,\n1,Liver,221,130,101,255,SCT,123037004,Anatomical Structure,SCT,10200004,Liver\n"
    (tmp_path / FILENAME).write_text(head + line)
    (found,) = read_table(tmp_path / FILENAME).values()
    terms = terms_of(found)
    assert (terms.category.value, terms.type.value, terms.basis) == ("123037004", "10200004", "stated")


@pytest.mark.parametrize("line", ["one,Liver,1,2,3,255", "1,Liver,1,2,300,255", "1,A,1,2,3,255\n1,B,1,2,3,255"])
def test_a_table_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / FILENAME).write_text("LabelValue,Name,Color_R,Color_G,Color_B,Color_A\n" + line + "\n")
    with pytest.raises(LabelError) as told:
        read_table(tmp_path / FILENAME)
    assert f"{FILENAME}, line" in told.value.where


def test_tables_of_run_lengths_are_no_label_tables(tmp_path: Path) -> None:
    (tmp_path / FILENAME).write_text("image_name,class,rle\na.png,liver,1 5\n")
    assert not is_table(tmp_path / FILENAME) and not is_table(tmp_path / "none.csv")


def test_a_data_set_takes_names_colours_and_codes_of_its_table(tmp_path: Path) -> None:
    for index in range(2):
        plane = np.zeros((20, 24), np.uint8)
        plane[4:9, 4:12], plane[12:16, 4:12] = 1, 2
        for name, array in (("images", plane * 90 + index), ("masks", plane)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / name / f"c{index}.png")
    before = open_dataset(tmp_path)
    assert before.labels.names == ("structure_1", "structure_2")
    named = LabelSpace(
        structures=(Structure(name="spleen", values=(2,), type="SCT:78961009:Spleen", colour="#0000FF"),)
    )
    write_table(named, tmp_path / FILENAME)
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("structure_1", "spleen") and dataset.labels.colour(1) == "#0000FF"
    assert terms_of(dataset.labels.structures[1]).basis == "stated"
    assert any("come from labels.csv" in note for note in dataset.notes)
    like = io.read(tmp_path / "images" / "c0.png").geometry
    assert np.array_equal(load_label(dataset, dataset.cases[0], like), load_label(before, before.cases[0], like))


def test_names_of_a_table_that_clash_are_not_taken() -> None:
    space = LabelSpace(structures=(Structure(name="a", values=(1,)), Structure(name="b", values=(2,))))
    assert applied(space, {2: Structure(name="a", values=(2,))}) == (space, "")


def test_segments_carry_codes_and_sides(tmp_path: Path) -> None:
    """Read back by another library, and by ours."""
    volume = io.read(series(tmp_path / "series"))
    structures = [Structure(name="left kidney"), STATED, Structure(name="thing")]
    masks = {one.name: np.ones(volume.geometry.shape, bool) for one in structures}
    terms = [terms_of(one) for one in structures]
    path = dicomsegout.write(tmp_path / "seg.dcm", masks, volume, ["#FF0000"] * 3, terms, model="m")
    seg = highdicom.seg.segread(path)
    told = [seg.get_segment_description(number) for number in (1, 2, 3)]
    assert [one.segmented_property_type.value for one in told] == ["64033007", "12", "85756007"]
    assert {one.segmented_property_category.value for one in told} == {"91723000"}
    sides = [
        [code.CodeValue for code in one.SegmentedPropertyTypeCodeSequence[0].get(
            "SegmentedPropertyTypeModifierCodeSequence", [])]
        for one in pydicom.dcmread(path).SegmentSequence
    ]  # fmt: skip
    assert sides == [["7771000"], ["7771000"], []]


def test_a_conversion_tells_its_guesses_and_leaves_a_table(tmp_path: Path) -> None:
    volume = io.read(series(tmp_path / "scan" / "series"))
    masks = {"right lung": np.zeros(volume.geometry.shape, bool), "thing": np.zeros(volume.geometry.shape, bool)}
    masks["right lung"][1:4, 2:6], masks["thing"][2:5, 6:9] = True, True
    dicomsegout.write(tmp_path / "scan" / "seg.dcm", masks, volume)
    heard = []
    convert(tmp_path / "scan", tmp_path / "out", to="dicomseg", listen=heard.append)
    told = " ".join(event.text for event in heard if isinstance(event, Note))
    assert "guessed from names: right lung = Lung, right (SCT 39607008)" in told
    assert "No DICOM term is known for thing" in told and FILENAME in told
    assert {row.name for row in read_table(tmp_path / "out" / FILENAME).values()} == {"right lung", "thing"}
    back = open_dataset(tmp_path / "out" / "dataset.yaml")
    assert set(back.labels.names) == {"right lung", "thing"}


def test_nothing_is_told_of_stated_codes() -> None:
    assert list(told_codes(LabelSpace(structures=(STATED,)))) == []
