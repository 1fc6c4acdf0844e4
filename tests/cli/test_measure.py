"""`segwright measure` on masks, with tables, pictures and clear words where something is missing."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest

from segwright import write
from segwright.cli import app as cli
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume


def folder(path, masks):
    """One subfolder a structure, one mask a case."""
    for name, mask in masks.items():
        (path / name).mkdir(parents=True)
        geometry = Geometry.from_spacing((1, *mask.shape))
        write(Volume.of(mask.astype(np.uint8)[None, None] * 255, geometry), path / name / "p1.png")
    return path


def chest():
    shape = (80, 120)
    masks = {name: np.zeros(shape, bool) for name in ("left lung", "right lung", "heart")}
    masks["right lung"][10:70, 10:40] = True
    masks["left lung"][10:70, 70:110] = True
    masks["heart"][40:70, 45:85] = True
    return masks


def call(monkeypatch, capsys, *words):
    """Exit code, standard output and error of a command."""
    monkeypatch.setattr(sys, "argv", ["segwright", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.run()
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err


def test_a_folder_becomes_a_table_and_pictures(tmp_path, monkeypatch, capsys):
    source = folder(tmp_path / "masks", chest())
    table = tmp_path / "table.csv"
    code, out, _ = call(monkeypatch, capsys, "measure", source, "-o", table, "-q")
    assert code == 0 and "cardiothoracic ratio" in out
    rows = list(csv.DictReader(table.open()))
    ratio = next(row for row in rows if row["quantity"] == "cardiothoracic ratio")
    assert float(ratio["value"]) == pytest.approx(0.4)
    assert {row["measure"] for row in rows} == {"size", "axes", "cardiothoracic"}
    assert (tmp_path / "table-overlays" / "p1.png").stat().st_size > 5000


def test_json_is_one_document_with_findings(tmp_path, monkeypatch, capsys):
    masks = {name: mask for name, mask in chest().items() if name != "heart"}
    source = folder(tmp_path / "masks", masks)
    code, out, _ = call(monkeypatch, capsys, "measure", source, "-m", "size", "-m", "cardiothoracic", "--json")
    document = json.loads(out)
    assert code == 0 and document["readings"]
    assert any(f["level"] == "warning" and "heart" in f["what"] for f in document["findings"])


def test_options_name_structures(tmp_path, monkeypatch, capsys):
    renamed = dict(zip(("a", "b", "c"), chest().values(), strict=True))
    source = folder(tmp_path / "masks", renamed)
    words = ("-m", "cardiothoracic", "--set", "heart=c", "--set", "lungs=a,b", "--json")
    code, out, _ = call(monkeypatch, capsys, "measure", source, *words)
    assert code == 0 and json.loads(out)["readings"][0]["value"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("-m", "cob"), 2, "'cobb'"),
        (("-o", "table.xlsx"), 2, ".csv"),
        (("--set", "hart=c"), 2, "'heart'"),
        (("--set", "heart"), 2, "name=value"),
        (("-m", "cardiothoracic", "--set", "heart=d"), 2, "structure"),
        (("-m", "cobb"), 1, "--set structures=NAME,NAME"),
    ],
)
def test_wrong_usage_is_told(tmp_path, monkeypatch, capsys, words, exit_code, said):
    source = folder(tmp_path / "masks", chest())
    code, _, err = call(monkeypatch, capsys, "measure", source, *words, "-q")
    assert code == exit_code and said in err and "Traceback" not in err
    assert not list(tmp_path.glob("*.xlsx"))


def test_an_empty_folder_and_a_missing_one(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    assert call(monkeypatch, capsys, "measure", tmp_path / "empty")[0] == 1
    assert call(monkeypatch, capsys, "measure", tmp_path / "absent")[0] == 1
