"""LabelMe, COCO and run-length tables as other tools write them, and every kind of damage people make."""

from __future__ import annotations

import base64
import io as memory
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segwright import io
from segwright.core.errors import LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.io.drawn import Drawn
from segwright.io.formats.coco import decompressed

LIKE = Geometry.from_spacing((1, 12, 16))
BOX = [[2, 3], [6, 3], [6, 8], [2, 8]]


def write(path: Path, data) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def read(path: Path, key: str | None = None, like: Geometry = LIKE) -> Drawn:
    form = io.form_of(path)
    assert form is not None
    return form.read(path, key, like)


def box() -> np.ndarray:
    mask = np.zeros((12, 16), bool)
    mask[3:8, 2:6] = True
    return mask


def labelme(path: Path, *shapes, **head) -> Path:
    return write(path, {"shapes": list(shapes), "imagePath": "a.png", "imageHeight": 12, "imageWidth": 16, **head})


def shape(label="heart", points=BOX, **rest) -> dict:
    return {"label": label, "points": points, **rest}


class TestLabelMe:
    def test_both_dialects_hold_the_same_mask(self, tmp_path):
        one = labelme(tmp_path / "one.json", shape(shape_type="polygon"))
        two = write(tmp_path / "two.json", {"annotations": [shape(type="poly_seg")], "filename": "a.png"})
        for path in (one, two):
            assert io.form_of(path).name == "labelme"
            np.testing.assert_array_equal(read(path).masks["heart"][0], box())

    def test_classes_have_planes_of_their_own(self, tmp_path):
        other = [[4, 3], [10, 3], [10, 8], [4, 8]]
        drawn = read(
            labelme(tmp_path / "a.json", shape(), shape("lung", other), shape("lung", [[0, 0], [1, 0], [1, 1], [0, 1]]))
        )
        assert (drawn.masks["heart"] & drawn.masks["lung"]).sum() == 10
        assert drawn.masks["lung"].sum() == 31
        assert drawn.repairs == []

    def test_rectangles_circles_and_pictures(self, tmp_path):
        stream = memory.BytesIO()
        Image.fromarray(np.full((2, 3), 1, np.uint8)).save(stream, "PNG")
        mask = base64.b64encode(stream.getvalue()).decode()
        drawn = read(
            labelme(
                tmp_path / "a.json",
                shape("box", [[2, 3], [6, 8]], shape_type="rectangle"),
                shape("disc", [[8, 6], [8, 2]], shape_type="circle"),
                shape("cut", [[14, 1], [16, 2]], shape_type="mask", mask=mask),
                shape("way", [[0, 0], [4, 4]], shape_type="line"),
            )
        )
        np.testing.assert_array_equal(drawn.masks["box"][0], box())
        y, x = np.mgrid[:12, :16] + 0.5
        expected = np.hypot(x - 8, y - 6) < 4
        assert (drawn.masks["disc"][0] != expected).sum() <= 2
        assert np.argwhere(drawn.masks["cut"][0]).tolist() == [[1, 14], [1, 15], [2, 14], [2, 15]]
        assert not drawn.masks["way"].any()
        assert [text.split(" ", 2)[2] for text in drawn.repairs] == [
            "('cut') reaches out of the image; it is clipped.",
            "('way') is a line, which encloses nothing; it is left out.",
        ]

    @pytest.mark.parametrize(
        ("points", "told", "pixels"),
        [
            ([[-3, 3], [4, 3], [4, 8], [-3, 8]], "reaches 3 pixels out of the image; it is clipped", 20),
            ([[10, 3], [18.5, 3], [18.5, 8], [10, 8]], "reaches 2.5 pixels out", 30),
            ([[2, 2], [6, 6], [6, 2], [2, 6]], "crosses itself; it is filled by the even-odd rule", 4),
            ([[2, 2], [6, 6]], "has 2 points and encloses nothing", 0),
            ([[2, 2], [2, 2], [2, 2]], "has 1 point and encloses nothing", 0),
            ([], "has 0 points", 0),
            ([[20, 20], [30, 20], [30, 30]], "lies outside the image", 0),
            ([[2.1, 2.1], [2.4, 2.1], [2.4, 2.4]], "encloses no pixel's centre", 0),
        ],
    )
    def test_odd_polygons_are_repaired_and_told(self, tmp_path, points, told, pixels):
        drawn = read(labelme(tmp_path / "a.json", shape(points=points)))
        assert len(drawn.repairs) == 1
        assert drawn.repairs[0].startswith("Shape 1 ('heart') ")
        assert told in drawn.repairs[0]
        if "crosses" not in told:
            assert drawn.masks["heart"].sum() == pixels
        else:
            assert 0 < drawn.masks["heart"].sum() <= 2 * pixels

    def test_size_and_labels_and_points_are_checked(self, tmp_path):
        with pytest.raises(LabelError, match=r"another size.*12 x 16.*99 x 16"):
            read(labelme(tmp_path / "a.json", shape(), imageHeight=99))
        with pytest.raises(LabelError, match="Shape 2 has no label"):
            read(labelme(tmp_path / "b.json", shape(), shape(label="")))
        with pytest.raises(LabelError, match="not pairs of numbers"):
            read(labelme(tmp_path / "c.json", shape(points=[["a", 1], [2, 3], [3, 4]])))
        with pytest.raises(LabelError, match="cannot be laid on a volume"):
            read(labelme(tmp_path / "d.json", shape()), like=Geometry.from_spacing((3, 12, 16)))

    def test_broken_and_foreign_json_is_none(self, tmp_path):
        (tmp_path / "broken.json").write_text('{"shapes": [')
        assert io.form_of(tmp_path / "broken.json") is None
        assert io.form_of(write(tmp_path / "sidecar.json", {"EchoTime": 0.03})) is None
        assert io.form_of(write(tmp_path / "list.json", [1, 2])) is None
        assert io.form_of(labelme(tmp_path / "empty.json")).name == "labelme"


def coco(path: Path, *objects, size=(12, 16), **extra) -> Path:
    images = [{"id": 7, "file_name": "a.png", "height": size[0], "width": size[1]}, {"id": 8, "file_name": "b.png"}]
    whole = [{"id": i, "image_id": 7, "category_id": 3, **o} for i, o in enumerate(objects, start=1)]
    categories = [{"id": 3, "name": "heart"}, {"id": 5, "name": "lung"}]
    return write(path, {"images": images, "categories": categories, "annotations": whole, **extra})


class TestCoco:
    flat = tuple(float(v) for point in BOX for v in point)

    def test_polygons_of_one_object_are_united(self, tmp_path):
        path = coco(tmp_path / "c.json", {"segmentation": [self.flat, [0, 0, 1, 0, 1, 1, 0, 1]]})
        assert io.form_of(path).name == "coco"
        mask = read(path, "a.png").masks["heart"][0]
        assert mask[0, 0]
        assert mask.sum() == 21

    def test_run_lengths_go_down_the_columns(self, tmp_path):
        counts = [2 * 12 + 3, 5, 7, 5, 7, 5, 7, 5, 10 * 12 + 4]
        path = coco(tmp_path / "c.json", {"segmentation": {"size": [12, 16], "counts": counts}, "iscrowd": 1})
        drawn = read(path, "a.png")
        np.testing.assert_array_equal(drawn.masks["heart"][0], box())
        assert "crowd" in drawn.repairs[0]

    def test_compressed_run_lengths(self, tmp_path):
        """The example that the format's own documentation gives."""
        assert decompressed("61X13mN000`0").tolist() == [6, 1, 40, 4, 5, 4, 5, 4, 21]
        with pytest.raises(ValueError, match="middle of a number"):
            decompressed("61X")

    def test_compressed_against_an_encoder_written_from_the_published_code(self, tmp_path):
        rng = np.random.default_rng(2)
        for _ in range(20):
            counts = rng.integers(0, 3000, int(rng.integers(1, 40)))
            np.testing.assert_array_equal(decompressed(_compress(counts.tolist())), counts)
        path = coco(
            tmp_path / "c.json",
            {"segmentation": {"size": [12, 16], "counts": _compress([27, 5, 7, 5, 7, 5, 7, 5, 124])}},
        )
        np.testing.assert_array_equal(read(path, "a.png").masks["heart"][0], box())

    def test_an_image_without_objects_is_empty(self, tmp_path):
        assert read(coco(tmp_path / "c.json", {"segmentation": [self.flat]}), "b.png").masks == {}

    @pytest.mark.parametrize(
        ("thing", "told"),
        [
            ({"image_id": 99}, "image that is not listed"),
            ({"category_id": 4}, "class that is not listed"),
        ],
    )
    def test_dangling_numbers_are_refused(self, tmp_path, thing, told):
        path = coco(tmp_path / "c.json", {"segmentation": [self.flat], **thing})
        with pytest.raises(LabelError, match=told):
            io.form_of(path).entries(path)

    def test_run_lengths_must_fit(self, tmp_path):
        for counts in ([10, 20], [-5, 5, 192], "zz{"):
            path = coco(tmp_path / "c.json", {"segmentation": {"size": [12, 16], "counts": counts}})
            with pytest.raises(LabelError, match="Run lengths of Object 1"):
                read(path, "a.png")
        with pytest.raises(LabelError, match="another size"):
            read(coco(tmp_path / "d.json", {"segmentation": [self.flat]}, size=(13, 16)), "a.png")

    def test_a_box_without_outline_is_told(self, tmp_path):
        drawn = read(coco(tmp_path / "c.json", {"bbox": [1, 2, 3, 4], "segmentation": []}), "a.png")
        assert drawn.repairs == ["Object 1 ('heart') has a box and no outline; it is left out."]

    def test_unknown_images_are_named(self, tmp_path):
        with pytest.raises(LabelError, match=r"no image 'z.png'.*a.png, b.png"):
            read(coco(tmp_path / "c.json"), "z.png")


def _compress(counts: list[int]) -> str:
    """Six bits a letter, written anew from the description of the format."""
    letters = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            code = value & 31
            value >>= 5
            more = value != -1 if code & 16 else value != 0
            letters.append(chr((code | 32 if more else code) + 48))
    return "".join(letters)


class TestRuns:
    def table(self, tmp_path: Path, text: str, name: str = "t.csv") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    def test_rows_from_one_along_lines(self, tmp_path):
        path = self.table(tmp_path, "image_name,class,rle\na.png,heart,2 3 17 1\na.png,lung,\nb.png,heart,nan\n")
        assert io.form_of(path).name == "rle"
        drawn = read(path, "a.png")
        assert np.argwhere(drawn.masks["heart"][0]).tolist() == [[0, 1], [0, 2], [0, 3], [1, 0]]
        assert not drawn.masks["lung"].any()
        assert not read(path, "b.png").masks["heart"].any()

    @pytest.mark.parametrize(
        "head", ["ImageId,Bone,EncodedPixels", "class;filename;rle", "structure,fold,id,pixels", "id,mask_rle"]
    )
    def test_columns_under_other_names(self, tmp_path, head):
        sign = ";" if ";" in head else ","
        cells = {"EncodedPixels": "1 4 20 2", "rle": "1 4 20 2", "pixels": "1 4 20 2", "mask_rle": "1 4 20 2",
                 "fold": "3", "ImageId": "a.png", "filename": "a.png", "id": "a.png"}  # fmt: skip
        row = sign.join(cells.get(name, "heart") for name in head.split(sign))
        path = self.table(tmp_path, f"{head}\n{row}\n")
        (entry,) = io.form_of(path).entries(path)
        assert entry.image == entry.key == "a.png"
        assert entry.names == (("foreground",) if "mask_rle" in head else ("heart",))
        assert sum(mask.sum() for mask in read(path, "a.png").masks.values()) == 6

    def test_beyond_odd_and_doubled_rows_name_their_line(self, tmp_path):
        beyond = self.table(tmp_path, "image_name,class,rle\na.png,heart,190 9\n", "b.csv")
        with pytest.raises(LabelError, match=r"beyond the image.*192 pixels.*line 2"):
            read(beyond, "a.png")
        odd = self.table(tmp_path, "image_name,class,rle\na.png,heart,1 2\na.png,lung,1 2 3\n", "o.csv")
        with pytest.raises(LabelError, match=r"odd count.*line 3 \(a.png, lung\)"):
            io.form_of(odd).entries(odd)
        two = self.table(tmp_path, "image_name,class,rle\na.png,heart,1 2\na.png,heart,5 2\n", "d.csv")
        with pytest.raises(LabelError, match="Two rows"):
            io.form_of(two).entries(two)

    def test_repeated_rows_and_disorder_are_repaired_and_told(self, tmp_path):
        text = "image_name,class,rle\na.png,heart,5 3 1 2\nb.png,heart,1 1\na.png,heart,5 3 1 2\n"
        path = self.table(tmp_path, text)
        drawn = read(path, "a.png")
        assert drawn.masks["heart"].sum() == 5
        assert len(drawn.repairs) == 2
        assert any("not in order" in told for told in drawn.repairs)
        assert any("repeats line 2" in told for told in drawn.repairs)
        assert read(path, "b.png").repairs == []

    def test_tables_of_other_things_are_none(self, tmp_path):
        assert io.form_of(self.table(tmp_path, "id,image,label\n1,a.png,b.png\n")) is None
        assert io.form_of(self.table(tmp_path, "image_name,age\na.png,44\n")) is None


def test_errors_of_decoders_become_ours(tmp_path):
    from segwright.io.drawn import Form

    def broken(path, key, like):
        raise KeyError("pixels")

    with pytest.raises(ReadError, match="KeyError"):
        Form("odd", lambda path: (), broken, lambda path: True).read(tmp_path / "x", None, LIKE)
