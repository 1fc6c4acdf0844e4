"""Pictures tell the truth: the right slice, outlines where the masks are, sides where radiologists expect them."""

from __future__ import annotations

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from segwright.core.labels import LabelSpace
from segwright.report.content import WorstCase
from segwright.report.pictures import drawn, picture, telling_slice, verdict

ONE = LabelSpace(structures=[{"name": "a", "values": [1]}])


def case(shape=(4, 40, 60), spacing=(3.0, 1.0, 1.0), orientation=""):
    zeros = np.zeros((1, *shape), np.int16)
    return WorstCase("c", "g", None, {"a": 0.5}, np.zeros(shape), zeros, zeros.copy(), spacing, orientation)


def corners(path: str) -> np.ndarray:
    return np.array([[float(v) for v in pair.split()] for pair in re.findall(r"[\d.]+ [\d.]+", path)])


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"))


def test_slice_of_largest_disagreement_not_of_largest_structure():
    item = case()
    item.reference[0, 1, 5:30, 5:50] = item.prediction[0, 1, 5:30, 5:50] = 1
    item.prediction[0, 3, 5:8, 5:8] = 1
    assert telling_slice(item, ONE) == 3


def test_ignored_voxels_are_no_disagreement():
    item = case()
    item.reference[0, 2] = -1
    item.prediction[0, 2] = 1
    item.prediction[0, 3, :2, :2] = 1
    assert telling_slice(item, ONE) == 3


def test_slice_without_disagreement_or_structure():
    item = case()
    assert telling_slice(item, ONE) == 2
    item.reference[0, 1, 5, 5] = item.prediction[0, 1, 5, 5] = 1
    assert telling_slice(item, ONE) == 1


def test_outline_lies_on_the_pixel_edges_of_the_mask():
    item = case()
    item.reference[0, 2, 10:20, 30:50] = 1
    drawn = picture(item, ONE)
    unit = drawn.detail.width / 60
    found = corners(drawn.outlines[0].reference) / unit
    np.testing.assert_allclose(found.min(axis=0), (30, 10), atol=0.02)
    np.testing.assert_allclose(found.max(axis=0), (50, 20), atol=0.02)
    assert drawn.outlines[0].prediction == ""
    assert drawn.caption == "slice 3 of 4" and drawn.views[0].title == "across z"


def test_outline_at_the_border_and_holes_are_closed():
    item = case()
    item.prediction[0, 2] = 1
    item.prediction[0, 2, 10:12, 10:12] = 0
    path = picture(item, ONE).outlines[0].prediction
    assert path.count("M") == path.count("Z") == 2


def test_proportions_follow_spacing():
    item = dataclasses.replace(case(), spacing=(1.0, 3.0, 1.0))
    panel = picture(item, ONE).overview
    assert panel.height / panel.width == pytest.approx(40 * 3 / 60, rel=1e-3)
    assert panel.scale_bar is not None
    assert panel.scale_bar[0] / panel.width == pytest.approx(20 / 60, rel=1e-3)
    assert panel.scale_bar[1] == "2 cm"


def test_unknown_spacing_draws_no_scale_bar():
    item = case((1, 40, 60), (None, None, None))
    drawn = picture(item, ONE)
    assert drawn.overview.scale_bar is None and drawn.caption == ""


@pytest.mark.parametrize("orientation", ["SPL", "SAR", "SRA", "ILP", "RSA", "AIR", "PSL", "LPI"])
def test_display_turns_feet_and_back_down_and_the_patients_left_to_the_right(orientation):
    """A bright voxel towards each letter must appear where the page prints that letter."""
    item = dataclasses.replace(case((3, 41, 61), (1.0, 1.0, 1.0)), orientation=orientation)
    for axis in (1, 2):
        end = [1, 20, 30]
        end[axis] = item.image.shape[axis] - 1
        image = np.zeros(item.image.shape)
        image[tuple(end)] = 1.0
        image[1, 0, 0] = 1e-3
        drawn = picture(dataclasses.replace(item, image=image), ONE).overview
        top, right, bottom, left = drawn.letters
        assert (right in "LP") and (bottom in "IPL")
        row, column = np.unravel_index(int(pixels(drawn.uri).argmax()), pixels(drawn.uri).shape)
        height, width = pixels(drawn.uri).shape
        edge = {0: top, height - 1: bottom}.get(int(row)) or {0: left, width - 1: right}[int(column)]
        assert edge == orientation[axis]


def test_large_image_is_cropped_around_the_structures_and_shrunk():
    item = case((1, 1500, 2000), (None, 0.2, 0.2))
    item.reference[0, 0, 700:760, 900:1000] = 1
    item.prediction[0, 0, 705:765, 900:1000] = 1
    drawn = picture(item, ONE)
    assert not drawn.same and drawn.overview.frame is not None
    assert max(pixels(drawn.overview.uri).shape) <= 640
    x, y, w, h = drawn.overview.frame
    scale = drawn.overview.width / 2000
    assert x < 900 * scale and x + w > 1000 * scale and y < 700 * scale and y + h > 765 * scale
    assert len(drawn.overview.uri) + len(drawn.detail.uri) < 400_000


def test_tiny_structure_in_a_large_image_is_still_drawn():
    space = LabelSpace(structures=[{"name": "a", "values": [1]}, {"name": "b", "values": [2]}])
    item = case((1, 1500, 2000), (None, None, None))
    item.reference[0, 0, 100:1400, 100:1900] = 1
    item.reference[0, 0, 701, 901] = 2
    assert [o.name for o in picture(item, space).outlines if o.reference] == ["a", "b"]


@pytest.mark.parametrize("fill", [np.nan, np.inf, 7.0])
def test_constant_and_non_finite_images_do_not_stop_a_report(fill):
    drawn = picture(dataclasses.replace(case(), image=np.full((4, 40, 60), fill)), ONE)
    assert pixels(drawn.overview.uri).shape == (40, 60)


def test_overlapping_structures_have_an_outline_each():
    space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")
    labels = np.zeros((2, 4, 40, 60), np.int8)
    labels[:, 2, 10:20, 10:20] = 1
    item = dataclasses.replace(case(), reference=labels, prediction=labels)
    assert [(o.name, bool(o.reference), o.score) for o in picture(item, space).outlines] == [
        ("a", True, "0.500"),
        ("b", True, "–"),
    ]


def test_volumes_are_shown_along_all_three_axes_where_they_differ_most():
    item = dataclasses.replace(case((20, 40, 60), (3.0, 1.0, 1.0)), orientation="SAR")
    item.reference[0, 5:15, 10:30, 20:40] = 1
    item.prediction[:] = item.reference
    item.prediction[0, 12:15, 25:30, 20:24] = 0
    drawn = picture(item, ONE)
    assert [view.title for view in drawn.views] == ["axial", "coronal", "sagittal"]
    assert [view.caption for view in drawn.views] == ["slice 13 of 20", "slice 26 of 40", "slice 21 of 60"]
    coronal = drawn.views[1].panel
    assert coronal.height / coronal.width == pytest.approx(20 * 3 / 60, rel=0.02)
    assert coronal.letters == ("S", "L", "I", "R")
    assert all(view.outlines[0].reference and view.outlines[0].prediction for view in drawn.views)


def test_thin_stacks_and_single_planes_have_one_view():
    assert len(picture(case((4, 40, 60)), ONE).views) == 1
    assert len(picture(case((1, 40, 60)), ONE).views) == 1
    assert len(picture(case((7, 400, 600), (0.1, 1.0, 1.0)), ONE).views) == 1


def test_touching_objects_have_outlines_of_their_own():
    space = LabelSpace(structures=[{"name": "cell"}], kind="instances")
    item = case((1, 40, 60), (None, None, None))
    item.reference[0, 0, 10:30, 10:25], item.reference[0, 0, 10:30, 25:40] = 1, 2
    item.prediction[0, 0, 10:30, 10:40] = 7
    outline = picture(item, space).outlines[0]
    assert (outline.reference.count("M"), outline.prediction.count("M")) == (2, 1)
    assert telling_slice(item, space) == 0


def test_a_tumour_that_is_invented_is_named_shown_and_listed_first() -> None:
    labels = LabelSpace(structures=[{"name": "organ", "values": [1]}, {"name": "tumour", "values": [2]}])
    reference = np.zeros((1, 8, 40, 40), np.int16)
    reference[0, 1:3, 5:35, 5:35] = 1
    prediction = reference.copy()
    prediction[0, 1, 5:35, 30:35] = 0  # most voxels differ here
    prediction[0, 6, 10:14, 10:14] = 2
    scores = {"organ": 0.915, "tumour": 0.0, "mean": 0.4575}
    case = WorstCase("a", "a", 0, scores, np.zeros((8, 40, 40)), reference, prediction, (1.0, 1.0, 1.0))
    shown = drawn(case, labels)
    assert shown.note == "tumour 0.000: invented, the reference has none"
    assert telling_slice(case, labels) == 6
    assert shown.picture.legend[0].name == "tumour"
    missed = dataclasses.replace(case, reference=prediction, prediction=reference)
    assert verdict(missed, labels) == "tumour 0.000: missed"
    undefined = dataclasses.replace(case, scores={"organ": 0.915, "tumour": None})
    assert verdict(undefined, labels) == "Lowest: organ 0.915"
