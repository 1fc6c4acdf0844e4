"""Outlines of common tools, written as those tools write them, read back as the same pixels and names."""

from __future__ import annotations

import io as memory
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile
from PIL import Image
from skimage.draw import polygon2mask

from segwright import io
from segwright.core.errors import GeometryError, LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.io.dataset import open_dataset, open_labels
from segwright.io.formats.imagej import structure_of
from segwright.io.load import load_image, load_label

ROWS, COLUMNS = 48, 64
LIKE = Geometry.from_spacing((1, ROWS, COLUMNS))
BOX = [[6, 5], [18, 5], [18, 15], [6, 15]]  # 120 pixels
HOLE = [[9, 8], [12, 8], [12, 11], [9, 11]]  # 9 of them
OTHER = [[30, 20], [40, 20], [40, 28], [30, 28]]  # 80
STAR = [[40.3, 30.1], [58.7, 33.2], [44.9, 44.4], [47.2, 36.6]]


def read(path: Path, key: str | None = None, like: Geometry = LIKE):
    form = io.form_of(path)
    assert form is not None and form.paired
    return form.read(path, key, like)


def areas(path: Path, key: str | None = None) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in read(path, key).masks.items()}


def judge(ring) -> int:
    """Pixels whose centre lies inside, by scikit-image."""
    return int(polygon2mask((ROWS, COLUMNS), np.array(ring)[:, ::-1] - 0.5).sum())


# one writer a tool: objects are (name, ring) of one image


def yolo(folder: Path, name: str, objects) -> None:
    kinds = sorted({kind for kind, _ in objects})
    lines = [
        " ".join([str(kinds.index(kind)), *(f"{x / COLUMNS:.6f} {y / ROWS:.6f}" for x, y in ring)])
        for kind, ring in objects
    ]
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (folder.parent / "data.yaml").write_text(json.dumps({"train": "images", "nc": len(kinds), "names": kinds}))


def geojson(folder: Path, name: str, objects) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            "properties": {"objectType": "annotation", "classification": {"name": kind}},
        }
        for kind, ring in objects
    ]
    (folder / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def via(folder: Path, name: str, objects) -> None:
    path = folder / "via_project.json"
    whole = json.loads(path.read_text()) if path.exists() else {"_via_settings": {}, "_via_img_metadata": {}}
    regions = [
        {
            "shape_attributes": {
                "name": "polygon",
                "all_points_x": [p[0] for p in r],
                "all_points_y": [p[1] for p in r],
            },
            "region_attributes": {"quality": "good", "class": kind},
        }
        for kind, r in objects
    ]
    whole["_via_img_metadata"][f"{name}.png123"] = {"filename": f"{name}.png", "size": 123, "regions": regions}
    path.write_text(json.dumps(whole))


def cvat(folder: Path, name: str, objects) -> None:
    path = folder / "annotations.xml"
    old = path.read_text().removesuffix("</annotations>") if path.exists() else "<annotations><version>1.1</version>"
    shapes = "".join(
        f'<polygon label="{kind}" points="{";".join(f"{x},{y}" for x, y in ring)}" z_order="0"/>'
        for kind, ring in objects
    )
    image = f'<image id="0" name="{name}.png" width="{COLUMNS}" height="{ROWS}">{shapes}</image>'
    path.write_text(f"{old}{image}</annotations>")


def imagej(folder: Path, name: str, objects) -> None:
    rois = [
        roifile.ImagejRoi.frompoints(np.array(ring), name=f"{kind}-{i + 1}") for i, (kind, ring) in enumerate(objects)
    ]
    roifile.roiwrite(folder / f"{name}.zip", rois, mode="w")


TOOLS = [yolo, geojson, via, cvat, imagej]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("where", ["annotations", "images"])
def test_a_folder_of_each_tool_is_a_data_set(tmp_path, tool, where):
    """Beside the images or in a folder of their own; a slanted outline too, counted by scikit-image."""
    names = ("cow", "fox", "owl", "hen")
    for folder in {where, "images"}:
        (tmp_path / folder).mkdir()
    for i, name in enumerate(names):
        Image.fromarray(np.full((ROWS, COLUMNS), 60 + i, np.uint8)).save(tmp_path / "images" / f"{name}.png")
        moved = [[x + i, y] for x, y in BOX]
        tool(tmp_path / where, name, [("cell", moved), ("debris", OTHER), ("cell", STAR)])
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "outlines" and dataset.labels.names == ("cell", "debris")
    assert sorted(case.id for case in dataset.cases) == sorted(names)
    for case in dataset.cases:
        labels = load_label(dataset, case, load_image(dataset, case).geometry)
        i = names.index(case.id)
        assert int(dataset.labels.mask(labels, 0).sum()) == 120 + judge(STAR)
        assert np.flatnonzero(dataset.labels.mask(labels, 0)[0, 6])[0] == 6 + i
        assert int(dataset.labels.mask(labels, 1).sum()) == 80


@pytest.mark.parametrize("tool", TOOLS)
def test_labels_and_images_in_two_places(tmp_path, tool):
    for folder in ("scans", "drawn"):
        (tmp_path / folder).mkdir()
    Image.fromarray(np.full((ROWS, COLUMNS), 9, np.uint8)).save(tmp_path / "scans" / "a.png")
    tool(tmp_path / "drawn", "a", [("cell", BOX)])
    dataset = open_labels(tmp_path / "drawn", tmp_path / "scans")
    assert [len(case.label) for case in dataset.cases] == [1] and dataset.labels.names == ("cell",)


class TestYolo:
    def test_names_come_from_yaml_lists_or_numbers(self, tmp_path):
        path = tmp_path / "labels" / "a.txt"
        path.parent.mkdir()
        path.write_text("1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")
        assert list(areas(path)) == ["class_1"]
        (tmp_path / "other").mkdir()
        listed = tmp_path / "other" / "b.txt"
        listed.write_text(path.read_text())
        (tmp_path / "other" / "classes.txt").write_text("cell\ndebris\n")
        assert list(areas(listed)) == ["debris"] and io.form_of(tmp_path / "other" / "classes.txt") is None

    def test_an_empty_file_is_an_image_without_objects(self, tmp_path):
        (tmp_path / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
        (tmp_path / "b.txt").write_text("")
        assert areas(tmp_path / "b.txt") == {}

    def test_boxes_are_left_out_aloud(self, tmp_path):
        (tmp_path / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
        drawn = read(tmp_path / "a.txt")
        assert not drawn.masks["class_0"].any() and "box and no outline" in drawn.repairs[0]

    def test_an_odd_count_is_refused(self, tmp_path):
        (tmp_path / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3\n")
        with pytest.raises(LabelError, match="odd count"):
            read(tmp_path / "a.txt")

    @pytest.mark.parametrize("text", ["a note\n", "1 2 3\n", "12 40 50 60 70 80\n", ""])
    def test_other_text_is_none(self, tmp_path, text):
        (tmp_path / "a.txt").write_text(text)
        assert io.form_of(tmp_path / "a.txt") is None


class TestGeoJson:
    def feature(self, kind, corners, name="cell"):
        shape = {"type": kind, "coordinates": corners}
        return {"type": "Feature", "geometry": shape, "properties": {"classification": {"name": name}}}

    def test_holes_and_several_parts(self, tmp_path):
        several = self.feature("MultiPolygon", [[[*BOX, BOX[0]], [*HOLE, HOLE[0]]], [[*OTHER, OTHER[0]]]])
        (tmp_path / "a.json").write_text(json.dumps([several]))
        assert areas(tmp_path / "a.json") == {"cell": 120 - 9 + 80}

    def test_classes_derived_from_another_and_none(self, tmp_path):
        one = self.feature("Polygon", [BOX])
        one["properties"]["classification"] = {"names": ["Tumor", "Positive"]}
        two = self.feature("Polygon", [OTHER])
        del two["properties"]["classification"]
        (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [one, two]}))
        assert areas(tmp_path / "a.geojson") == {"Tumor: Positive": 120, "unclassified": 80}

    def test_lines_are_left_out_aloud(self, tmp_path):
        (tmp_path / "a.geojson").write_text(json.dumps(self.feature("LineString", BOX)))
        assert "LineString" in read(tmp_path / "a.geojson").repairs[0]

    def test_maps_are_refused(self, tmp_path):
        whole = {"type": "FeatureCollection", "crs": {"type": "name"}, "features": [self.feature("Polygon", [BOX])]}
        (tmp_path / "a.geojson").write_text(json.dumps(whole))
        with pytest.raises(LabelError, match="degrees"):
            read(tmp_path / "a.geojson")


class TestVia:
    def write(self, path, *shapes, attributes=None):
        regions = {str(i): {"shape_attributes": s, "region_attributes": attributes or {}} for i, s in enumerate(shapes)}
        path.write_text(json.dumps({"a.png99": {"filename": "a.png", "size": 99, "regions": regions}}))
        return path

    def test_every_area_of_version_one(self, tmp_path):
        rect = {"name": "rect", "x": 6, "y": 5, "width": 12, "height": 10}
        circle = {"name": "circle", "cx": 40, "cy": 24, "r": 6}
        point = {"name": "point", "cx": 3, "cy": 3}
        path = self.write(tmp_path / "via.json", rect, circle, point)
        drawn = read(path, "a.png")
        assert abs(int(drawn.masks["foreground"].sum()) - 120 - np.pi * 36) < 6
        assert "point" in drawn.repairs[0]

    def test_ticked_boxes_name_a_structure(self, tmp_path):
        rect = {"name": "rect", "x": 6, "y": 5, "width": 12, "height": 10}
        path = self.write(tmp_path / "via.json", rect, attributes={"organ": {"liver": True, "kidney": False}})
        assert areas(path, "a.png") == {"liver": 120}
        with pytest.raises(LabelError, match="no image"):
            read(path, "b.png")


class TestCvat:
    def write(self, path, shapes, size=(ROWS, COLUMNS)):
        image = f'<image id="0" name="a.png" width="{size[1]}" height="{size[0]}">{shapes}</image>'
        path.write_text(f"<annotations>{image}</annotations>")
        return path

    def test_masks_boxes_and_ellipses(self, tmp_path):
        mask = '<mask label="m" rle="1, 2, 2, 3, 4" left="5" top="7" width="4" height="3"/>'
        box = '<box label="b" xtl="6" ytl="5" xbr="18" ybr="15"/>'
        turned = '<box label="t" xtl="20" ytl="20" xbr="30" ybr="24" rotation="90"/>'
        ellipse = '<ellipse label="e" cx="40" cy="24" rx="8" ry="5"/>'
        line = '<polyline label="l" points="1,1;5,5"/>'
        drawn = read(self.write(tmp_path / "a.xml", mask + box + turned + ellipse + line), "a.png")
        assert drawn.masks["m"][0, 7:10, 5:9].astype(int).tolist() == [[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0]]
        assert int(drawn.masks["b"].sum()) == 120 and "polyline" in drawn.repairs[0]
        assert drawn.masks["t"][0].any(axis=1).sum() == 10 and drawn.masks["t"][0].any(axis=0).sum() == 4
        assert abs(int(drawn.masks["e"].sum()) - np.pi * 40) < 5

    def test_another_size_tracks_and_wrong_runs_are_refused(self, tmp_path):
        with pytest.raises(LabelError, match="another size"):
            read(self.write(tmp_path / "a.xml", "", (9, 9)), "a.png")
        with pytest.raises(LabelError, match="run lengths of 3 pixels"):
            read(
                self.write(tmp_path / "b.xml", '<mask label="m" rle="1,2" left="0" top="0" width="2" height="2"/>'),
                "a.png",
            )
        (tmp_path / "c.xml").write_text("<annotations><track id='0' label='m'/></annotations>")
        with pytest.raises(ReadError, match="tracks"):
            read(tmp_path / "c.xml", "a.png")


class TestImageJ:
    def test_names_without_running_numbers(self):
        assert [structure_of(n) for n in ("cell 3", "0001-0002", "cell_a", "T2-lesion-04", "")] == [
            "cell", "foreground", "cell_a", "T2-lesion", "foreground",
        ]  # fmt: skip

    def test_regions_of_a_stack_lie_on_their_slices(self, tmp_path):
        rois = []
        for plane in (2, 4):
            roi = roifile.ImagejRoi.frompoints(np.array(BOX), name=f"cell-{plane}")
            roi.position = plane
            rois.append(roi)
        roifile.roiwrite(tmp_path / "a.zip", rois, mode="w")
        like = Geometry.from_spacing((5, ROWS, COLUMNS))
        assert read(tmp_path / "a.zip", like=like).masks["cell"].sum(axis=(1, 2)).tolist() == [0, 120, 0, 120, 0]
        with pytest.raises(GeometryError, match="slice 4"):
            read(tmp_path / "a.zip", like=Geometry.from_spacing((3, ROWS, COLUMNS)))
        rois[0].position = 0
        roifile.roiwrite(tmp_path / "b.zip", rois, mode="w")
        with pytest.raises(LabelError, match="no slice"):
            read(tmp_path / "b.zip", like=like)

    def test_other_archives_are_none(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("a.txt", "0")
        (tmp_path / "b.zip").write_bytes(memory.BytesIO(b"PK").getvalue())
        assert io.form_of(tmp_path / "a.zip") is None and io.form_of(tmp_path / "b.zip") is None


def test_coco_files_of_splits_whose_images_have_equal_names(tmp_path):
    """Each file speaks of the images beside it; its name may begin with a line."""
    for split, side in (("train", 6), ("valid", 9)):
        (tmp_path / split).mkdir()
        Image.fromarray(np.full((ROWS, COLUMNS), 60, np.uint8)).save(tmp_path / split / "a.png")
        ring = [4, 4, 4 + side, 4, 4 + side, 4 + side, 4, 4 + side]
        whole = {
            "images": [{"id": 1, "file_name": "a.png", "height": ROWS, "width": COLUMNS}],
            "categories": [{"id": 3, "name": "cell"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": [ring]}],
        }
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(whole))
    dataset = open_dataset(tmp_path)
    found = {c.id: int((load_label(dataset, c, load_image(dataset, c).geometry) == 1).sum()) for c in dataset.cases}
    assert found == {"train_a": 36, "valid_a": 81}
