"""`segwright convert` from the command line: results, JSON, exit codes and words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segwright.cli.app import app
from segwright.core.errors import DataError, LayoutError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(3):
        (tmp_path / "in/images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 24), dtype=np.uint8)).save(tmp_path / f"in/images/x{i}.png")
        points = [[i - 1, 2], [i + 7, 2], [i + 7, 9], [i - 1, 9]]
        document = {"shapes": [{"label": "heart", "points": points}], "imageHeight": 20, "imageWidth": 24}
        (tmp_path / f"in/images/x{i}.json").write_text(json.dumps(document))
    return tmp_path / "in"


def run(*words: object):
    return CliRunner().invoke(app, ["convert", *map(str, words)])


def test_text_tells_what_was_written_and_repaired(folder, tmp_path):
    result = run(folder, "-o", tmp_path / "out", "--to", "rle")
    assert result.exit_code == 0
    assert "3 labels written" in result.stdout
    assert "Repaired: 1 label; conversion.json lists what." in result.stdout
    assert "x0: Shape 1 ('heart') reaches 1 pixels out of the image; it is clipped." in result.stderr
    assert (tmp_path / "out" / "labels.csv").read_text().startswith("image_name,class,rle\nx0.png,heart,49 7 73 7")


def test_json_is_one_document(folder, tmp_path):
    result = run(folder, "-o", tmp_path / "out", "--to", "structures", "--json")
    told = json.loads(result.stdout)
    assert [case["case"] for case in told["cases"]] == ["x0", "x1", "x2"]
    assert told["cases"][0]["notes"]
    assert Path(told["dataset"]).is_file()


def test_labels_and_images_apart(folder, tmp_path):
    (tmp_path / "polygons").mkdir()
    for path in (folder / "images").glob("*.json"):
        path.rename(tmp_path / "polygons" / path.name)
    result = run(tmp_path / "polygons", "-i", folder / "images", "-o", tmp_path / "out", "--to", "png")
    assert result.exit_code == 0
    assert np.asarray(Image.open(tmp_path / "out" / "x1.png")).sum() == 7 * 8
    alone = run(tmp_path / "polygons", "-o", tmp_path / "alone", "--to", "png")
    assert alone.exit_code == 0, alone.exception
    np.testing.assert_array_equal(Image.open(tmp_path / "alone/x1.png"), Image.open(tmp_path / "out/x1.png"))


def test_tables_need_images_to_know_sizes(folder, tmp_path):
    run(folder, "-o", tmp_path / "out", "--to", "rle")
    lost = run(tmp_path / "out" / "labels.csv", "-o", tmp_path / "masks", "--to", "png")
    assert isinstance(lost.exception, DataError)
    assert "--images" in str(lost.exception)
    good = run(tmp_path / "out" / "labels.csv", "-i", folder / "images", "-o", tmp_path / "masks", "--to", "png")
    assert good.exit_code == 0


def test_columns_take_the_names_a_contest_wants(folder, tmp_path):
    assert (
        run(folder, "-o", tmp_path / "s.csv", "--to", "rle", "--columns", "ImageId,Bone,EncodedPixels").exit_code == 0
    )
    assert (tmp_path / "s.csv").read_text().startswith("ImageId,Bone,EncodedPixels\nx0.png,heart,49 7")
    back = run(tmp_path / "s.csv", "-i", folder / "images", "-o", tmp_path / "masks", "--to", "png", "--json")
    assert json.loads(back.stdout)["cases"][0]["files"] == ["x0.png"]
    for form, names in (("rle", "a,b"), ("rle", "a,a,b"), ("coco", "a,b,c")):
        wrong = run(folder, "-o", tmp_path / "no", "--to", form, "--columns", names)
        assert isinstance(wrong.exception, UsageError)


def test_masks_alone_become_a_table(tmp_path):
    for name in ("heart", "lung"):
        (tmp_path / "masks" / name).mkdir(parents=True)
        Image.fromarray(np.full((4, 5), 255, np.uint8)).save(tmp_path / "masks" / name / "x.png")
    assert run(tmp_path / "masks", "-o", tmp_path / "t.csv", "--to", "rle").exit_code == 0
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "image_name,class,rle",
        "x.png,heart,1 20",
        "x.png,lung,1 20",
    ]


def test_wrong_usage_and_bad_places(folder, tmp_path):
    assert isinstance(run(folder, "-o", tmp_path / "out", "--to", "gif").exception, UsageError)
    assert isinstance(run(folder, "-o", folder / "images", "--to", "png").exception, UsageError)
    assert isinstance(run(tmp_path / "nowhere", "-o", tmp_path / "out", "--to", "png").exception, LayoutError)
    assert run(folder, "--to", "png").exit_code == 2


def test_polygons_score_as_the_masks_they_convert_to(folder, tmp_path):
    """Predictions are scored in any form; both are perfect."""
    run(folder, "-o", tmp_path / "masks", "--to", "structures")
    (tmp_path / "drawn").mkdir()
    for path in (folder / "images").glob("*.json"):
        (tmp_path / "drawn" / path.name).write_bytes(path.read_bytes())
    for name in ("drawn", "masks"):
        scored = CliRunner().invoke(app, ["evaluate", str(folder), str(tmp_path / name), "--json"])
        dice = {row["value"] for row in json.loads(scored.stdout)["scores"] if row["metric"] == "dice"}
        assert dice == {1.0}
