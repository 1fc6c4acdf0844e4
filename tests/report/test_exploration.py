"""The exploratory page and its terminal text: complete, offline, escaped, and narrow enough."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.volume import Volume
from segwright.planning.check import inspect
from segwright.planning.explore import Explorer
from segwright.report.content import ExplorationContent
from segwright.report.exploration import render_exploration, write_exploration
from segwright.report.explored import contact_sheet, explored_page, spread_plot
from segwright.report.text import exploration_text

spec = importlib.util.spec_from_file_location("html_checks", Path(__file__).with_name("test_html.py"))
html_checks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(html_checks)


def dataset(folder: Path, names, kind="overlapping", shape=(1, 40, 60), cases=8, labelled=True) -> Dataset:
    """Blocks of growing width, each overlapping the next; the last case is ten times brighter."""
    made, end = [], ".png" if shape[0] == 1 else ".nii.gz"
    geometry = Geometry.from_spacing(shape, (None, None, None) if shape[0] == 1 else (3.0, 1.0, 1.0))
    for number in range(cases):
        rng = np.random.default_rng(number)
        scan = rng.integers(1, 20, shape) * (10 if number == cases - 1 else 1)
        io.write(Volume.of(scan.astype(np.uint8), geometry), folder / f"i{number}{end}")
        sources = []
        for index, name in enumerate(names if kind == "overlapping" else names[:1]):
            mask = np.zeros(shape, np.uint8)
            mask[shape[0] // 2, 5 + 3 * index : 12 + 3 * index + number % 3, 10:40] = 1
            io.write(Volume.of(mask, geometry), folder / f"l{number}-{index}{end}")
            sources.append(
                LabelSource(path=f"l{number}-{index}{end}", structure=name if kind == "overlapping" else None)
            )
        images = (Source(path=f"i{number}{end}"),)
        made.append(Case(id=f"c{number}", images=images, label=sources if labelled else (), group=f"p{number // 2}"))
    space = LabelSpace(structures=[{"name": n, "values": (i + 1,)} for i, n in enumerate(names)], kind=kind)
    return Dataset(root=str(folder), layout="drawn", channels=("grey",), labels=space, cases=made)


def content_of(data: Dataset) -> ExplorationContent:
    explorer = Explorer(data, thumbs=True)
    found = inspect(data, look=explorer.look)
    return ExplorationContent("scans", data, found, explorer.exploration(found), explorer.thumbs, {"command": "x"})


OPTIONS = {
    "overlapping 2-D": {"names": ("a", "b", "c")},
    "exclusive 3-D": {"names": ("a",), "kind": "exclusive", "shape": (7, 30, 50)},
    "many structures": {"names": tuple(f"s{i}" for i in range(15)), "cases": 2, "shape": (1, 70, 60)},
    "no labels": {"names": (), "labelled": False},
    "one case": {"names": ("a",), "cases": 1},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_page_is_whole_and_offline(tmp_path, options):
    text = render_exploration(content_of(dataset(tmp_path, **options)))
    page = html_checks.Page(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert "http://" not in text and "https://" not in text
    assert all(link.startswith("data:image/") or link[1:] in page.ids for link in page.links)
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    wanted = ["Structures", "Overlaps", "Unusual cases", "Pictures", "Grids", "Groups", "Findings", "Data", "Receipt"]
    assert headings == wanted
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text.split("</style>")[1].split("<script>")[0]).lower()


def test_page_tells_what_was_counted(tmp_path):
    content = content_of(dataset(tmp_path, ("a", "b", "c")))
    words = " ".join(html_checks.Page(render_exploration(content)).text.split())
    assert "8 of 8" in words
    row = next(row for row in content.exploration.overlaps if (row.first, row.second) == ("a", "b"))
    assert f"{row.voxels:,}" in words
    assert "range of intensities 10 times the usual" in words
    assert "4 groups" in words and "Every image has 40 × 60 pixels (y × x)" in words


def test_sheet_shows_unusual_cases_first_with_outlines_of_every_structure(tmp_path):
    content = content_of(dataset(tmp_path, ("a", "b", "c")))
    sheet = contact_sheet(content.exploration, content.thumbs, content.dataset.labels)
    assert len(sheet) == 8
    assert sheet[0].case == "c7" and "10 times" in sheet[0].note
    assert [outline.name for outline in sheet[0].picture.outlines] == ["a", "b", "c"]
    assert all(outline.reference and not outline.prediction for outline in sheet[0].picture.outlines)


def test_a_sheet_of_many_cases_is_an_even_selection(tmp_path):
    content = content_of(dataset(tmp_path, ("a",)))
    thumb = content.thumbs["c0"]
    row = content.exploration.rows[-1]
    rows = [row.model_copy(update={"case": f"n{i:03d}", "why": ("odd",) if i % 10 == 0 else ()}) for i in range(500)]
    many = content.exploration.model_copy(update={"rows": tuple(rows)})
    thumbs = {r.case: dataclasses.replace(thumb, case=r.case) for r in rows}
    sheet = contact_sheet(many, thumbs, content.dataset.labels)
    assert len(sheet) == 60
    assert [d.case for d in sheet[:3]] == ["n000", "n010", "n020"]
    numbers = [int(d.case[1:]) for d in sheet[30:]]
    assert numbers == sorted(numbers) and numbers[0] < 10 and numbers[-1] > 470


def test_text_is_escaped(tmp_path):
    attack = "<script>alert(1)</script>"
    content = content_of(dataset(tmp_path, (attack, "b")))
    row = content.exploration.rows[0].model_copy(update={"why": (attack,)})
    found = content.exploration.model_copy(update={"rows": (row, *content.exploration.rows[1:]), "notes": (attack,)})
    text = render_exploration(dataclasses.replace(content, title=attack, exploration=found))
    assert attack not in text and attack in html_checks.Page(text).text


@pytest.mark.parametrize("names", [("a", "b"), tuple(f"a_very_long_structure_name_number_{i}" for i in range(60))])
def test_terminal_text_fits_80_columns_and_says_what_it_leaves_out(tmp_path, names):
    text = exploration_text(content_of(dataset(tmp_path, names, cases=6, shape=(1, 220, 60))).exploration)
    assert max(map(len, text.splitlines())) <= 80
    assert ("and 20 more structures" in text) == (len(names) == 60)


def test_axes_hold_every_value_and_wide_ones_are_logarithmic():
    for values in ([1, 2, 3], [0.001, 5.0], [3, 4000], [5, 5], [0, 70000], [-3, 8], [333_000, 1_060_000]):
        plot = spread_plot("t", {"a": [(str(i), float(v)) for i, v in enumerate(values)]})
        assert all(0 <= dot.x <= 100 for dot in plot.strips[0].dots)
        assert all(-0.01 <= tick.at <= 100.01 for tick in plot.ticks) and len(plot.ticks) >= 2
        assert bool(plot.note) == (min(values) > 0 and max(values) > 30 * min(values))
        assert all("e+" not in tick.label and len(tick.label) < 8 for tick in plot.ticks)
    assert spread_plot("t", {"a": []}) is None


def test_whole_page_is_written_or_nothing(tmp_path):
    content = content_of(dataset(tmp_path / "data", ("a",)))
    path = write_exploration(content, tmp_path / "deep" / "page.html")
    assert path.read_text(encoding="utf-8") == render_exploration(content)
    assert explored_page(content.exploration).structures[0].cases == "8 of 8"
