"""Measures of drawn bodies whose sizes, axes and angles are known."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon
from skimage.measure import label as components
from skimage.measure import regionprops

from segwright.core.errors import UnknownNameError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.measures import MEASURES
from segwright.measures.measure import Subject


def subject(masks, *, spacing=None, kind="exclusive"):
    """A subject of named masks `(y, x)` or `(z, y, x)`."""
    planes = {name: (mask if mask.ndim == 3 else mask[None]).astype(bool) for name, mask in masks.items()}
    space = LabelSpace(structures=[{"name": name} for name in planes], kind=kind)
    shape = next(iter(planes.values())).shape
    lengths = spacing or (1.0, 1.0, 1.0)
    known = (shape[0] > 1, True, True) if spacing else (False, False, False)
    affine = np.diag([*lengths, 1.0])[[2, 1, 0, 3]]
    return Subject("case", space.from_masks(list(planes.values())), space, Geometry(shape, affine, known))


def values(taken):
    return {(value.structure, value.name): value.value for value in taken.values}


def ellipse(shape, centre, half, turn):
    """Pixels of an ellipse of half axes `half`, its first axis turned anticlockwise from the horizontal by degrees."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle = np.radians(turn)
    u = (x - centre[1]) * np.cos(angle) - (y - centre[0]) * np.sin(angle)
    v = (x - centre[1]) * np.sin(angle) + (y - centre[0]) * np.cos(angle)
    return (u / half[0]) ** 2 + (v / half[1]) ** 2 <= 1


@pytest.mark.parametrize("turn", [0, 20, 45, 90, 130, 175])
def test_an_ellipse_has_its_axes(turn):
    mask = ellipse((200, 200), (100, 95), (60, 25), turn)
    found = values(MEASURES.load("axes")(subject({"a": mask})))
    assert found["a", "length"] == pytest.approx(120, abs=3)
    assert found["a", "width"] == pytest.approx(50, abs=3)
    off = (found["a", "orientation"] - turn) % 180
    assert min(off, 180 - off) < 1


@pytest.mark.parametrize("turn", [10, 60, 100])
def test_directions_are_those_of_scikit_image(turn):
    mask = ellipse((160, 160), (80, 80), (50, 20), turn)
    theirs = np.degrees(regionprops(components(mask))[0].orientation) + 90  # theirs is from the rows, anticlockwise
    ours = values(MEASURES.load("axes")(subject({"a": mask})))["a", "orientation"]
    assert min((ours - theirs) % 180, (theirs - ours) % 180) < 0.5


def test_lengths_are_millimetres_where_spacing_is_known():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 5:45] = True
    known = MEASURES.load("axes")(subject({"a": mask}, spacing=(1.0, 0.5, 0.25)))
    assert values(known)["a", "length"] == pytest.approx(10) and known.values[0].unit == "mm"
    assert values(known)["a", "width"] == pytest.approx(5)
    size = MEASURES.load("size")(subject({"a": mask}, spacing=(1.0, 0.5, 0.25)))
    assert size.values[0].value == pytest.approx(400 * 0.125) and size.values[0].unit == "mm²"
    unknown = MEASURES.load("size")(subject({"a": mask})).values[0]
    assert (unknown.value, unknown.unit, unknown.name) == (400, "pixels", "area")


def test_in_three_dimensions():
    block = np.zeros((10, 20, 30), bool)
    block[2:8, 4:12, 5:25] = True
    taken = subject({"a": block}, spacing=(3.0, 1.0, 1.0))
    size = MEASURES.load("size")(taken).values[0]
    assert (size.name, size.unit, size.value) == ("volume", "mm³", 6 * 8 * 20 * 3)
    found = values(MEASURES.load("axes")(taken))
    assert found["a", "length"] == pytest.approx(20)
    assert found["a", "width"] == pytest.approx(18) and found["a", "thickness"] == pytest.approx(8)
    assert found["a", "orientation"] == pytest.approx(90)
    assert "volume" in MEASURES.load("cobb")(taken).missing
    assert "volume" in MEASURES.load("cardiothoracic")(taken).missing


@pytest.mark.parametrize("name", MEASURES)
def test_contract_empty_structures_and_single_pixels(name):
    empty, dot = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    dot[5, 5] = True
    row = MEASURES.load(name)
    assert row.about and row.name == name
    for masks in ({"heart": empty, "lung": empty}, {"L1": dot, "L2": empty}, {"heart": dot, "left lung": dot}):
        taken = row(subject(masks, kind="overlapping"))
        assert taken.missing or all(v.value is not None or v.note for v in taken.values)
        assert all(v.value is None or np.isfinite(v.value) for v in taken.values)


@pytest.mark.parametrize("name", MEASURES)
def test_contract_unknown_options_are_refused(name):
    with pytest.raises(UnknownNameError, match="option"):
        MEASURES.load(name)(subject({"a": np.ones((4, 4), bool)}), {"no_such": 1})


def chest(heart_width=60, chest_width=120):
    shape = (100, 200)
    masks = {name: np.zeros(shape, bool) for name in ("left lung", "right lung", "heart")}
    left = 100 - chest_width // 2
    masks["right lung"][10:90, left : left + 40] = True
    masks["left lung"][30:70, left + chest_width - 40 : left + chest_width] = True
    masks["heart"][50:90, 80 : 80 + heart_width] = True
    return masks


def test_cardiothoracic_ratio():
    taken = MEASURES.load("cardiothoracic")(subject(chest(), kind="overlapping"))
    found = values(taken)
    assert found["heart", "cardiothoracic ratio"] == pytest.approx(0.5)
    assert found["heart", "heart width"] == 60 and found["lungs", "chest width"] == 120
    assert "enlarged" in taken.values[0].note
    assert [mark.text for mark in taken.marks if mark.text] == ["heart / chest 0.50"]


def test_cardiothoracic_by_given_names_and_what_is_missing():
    masks = chest()
    renamed = {"a": masks["left lung"], "b": masks["right lung"], "c": masks["heart"]}
    row = MEASURES.load("cardiothoracic")
    assert "heart and lungs" in row(subject(renamed, kind="overlapping")).missing
    found = values(row(subject(renamed, kind="overlapping"), {"heart": "c", "lungs": ["a", "b"]}))
    assert found["heart", "cardiothoracic ratio"] == pytest.approx(0.5)
    with pytest.raises(UnknownNameError, match="structure"):
        row(subject(renamed, kind="overlapping"), {"heart": "hart"})
    masks["heart"][:] = False
    taken = row(subject(masks, kind="overlapping"))
    assert taken.missing == "heart empty" and taken.values[0].value is None


def spine(tilts, *, size=(30.0, 16.0), gap=6.0, shape=(700, 300), touching=()):
    """Masks of rectangles stacked along a centre line that is square to them; tilts in degrees, from the top."""
    masks, centre = [], np.array([30.0, 150.0])
    for index, degrees in enumerate(tilts):
        angle = np.radians(degrees)
        across, down = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
        corners = [
            centre + a * size[0] * across + b * size[1] / 2 * down
            for a, b in ((-0.5, -1), (0.5, -1), (0.5, 1), (-0.5, 1))
        ]
        corners = np.array(corners)
        mask = np.zeros(shape, bool)
        mask[polygon(corners[:, 0], corners[:, 1], shape)] = True
        masks.append(mask)
        centre = centre + (size[1] + (0.0 if index in touching else gap)) * down
    return masks


BENT = [0, -4, -9, -14, -10, -3, 5, 12, 18, 20, 15, 8, 2, -3, -6, -6, -4]


@pytest.mark.parametrize("scale", [1, 2])
def test_cobb_angles_of_a_drawn_spine(scale):
    masks = spine(BENT, size=(30.0 * scale, 16.0 * scale), gap=6.0 * scale, shape=(500 * scale, 400))
    taken = MEASURES.load("cobb")(subject({f"T{i + 1}": mask for i, mask in enumerate(masks)}))
    found = values(taken)
    assert found["spine", "cobb main"] == pytest.approx(34, abs=3 / scale + 0.5)
    assert found["spine", "cobb upper"] == pytest.approx(14, abs=3 / scale + 0.5)
    assert found["spine", "cobb lower"] == pytest.approx(26, abs=3 / scale + 0.5)
    assert found["spine", "cobb main by centre line"] == pytest.approx(34, abs=5)
    assert found["spine", "vertebrae"] == 17
    assert taken.values[1].note == "T4 to T10"


def test_one_binary_mask_gives_the_same_and_parts_what_touches():
    masks = spine(BENT, touching=(3, 9))
    apart = values(MEASURES.load("cobb")(subject({f"T{i + 1}": mask for i, mask in enumerate(masks)})))
    taken = MEASURES.load("cobb")(subject({"vertebrae": np.logical_or.reduce(masks)}))
    assert values(taken)["spine", "vertebrae"] == 17
    assert values(taken)["spine", "cobb main"] == pytest.approx(apart["spine", "cobb main"], abs=2)
    assert any("parted" in note for note in taken.notes)


def test_wide_pixels_do_not_change_an_angle():
    masks = spine(BENT)
    tall = {f"T{i + 1}": mask[::2] for i, mask in enumerate(masks)}
    found = values(MEASURES.load("cobb")(subject(tall, spacing=(1.0, 0.6, 0.3))))
    assert found["spine", "cobb main"] == pytest.approx(34, abs=4)


def test_a_straight_spine_has_no_angle():
    found = values(MEASURES.load("cobb")(subject({f"L{i}": mask for i, mask in enumerate(spine([0] * 6), 1)})))
    assert found["spine", "cobb main"] < 1
    assert found["spine", "cobb main by centre line"] < 1


def test_what_disagrees_is_told():
    masks = spine(BENT)
    y, x = np.mgrid[:700, :300]
    centre = np.argwhere(masks[3]).mean(axis=0)
    turned = (np.abs((y - centre[0]) + 0.9 * (x - centre[1])) < 8) & (np.abs(x - centre[1]) < 12)
    masks[3] = turned
    taken = MEASURES.load("cobb")(subject({f"T{i + 1}": mask for i, mask in enumerate(masks)}))
    assert any("differ by" in note for note in taken.notes)


def test_cobb_says_what_it_took_for_vertebrae():
    row = MEASURES.load("cobb")
    masks = spine([0, 5, 10, 5])
    alike = {f"structure_{i}": mask for i, mask in enumerate(masks)}
    assert any("alike" in note for note in row(subject(alike)).notes)
    assert "structures=" in row(subject(chest(), kind="overlapping")).missing
    assert values(row(subject(alike), {"structures": ["structure_0", "structure_1"]}))["spine", "vertebrae"] == 2
    with pytest.raises(UnknownNameError):
        row(subject(alike), {"structures": ["structure_9"]})
