"""The page in a real browser: what people click, drop and read, at desktop and phone widths."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from segwright import io
from segwright.api.lock import locked
from segwright.api.run import Run
from segwright.core.case import Case, Dataset, Fold, LabelSource, Source, Split
from segwright.core.errors import LayoutError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, oklab
from segwright.core.plan import Plan
from segwright.core.report import Report, Score
from segwright.core.volume import Volume
from segwright.io.dataset import open_dataset
from segwright.report.html import write_evaluation
from segwright.view.launch import make_viewer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
DESKTOP, PHONE = (1280, 800), (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, started once."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def window(browser: Any, url: str, *, size: tuple[int, int] = DESKTOP, quiet: bool = True) -> Iterator[Any]:
    """A page whose console must stay free of errors."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce")
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    page.goto(url)
    yield page
    context.close()
    assert not quiet or not said, said


def opened(page: Any) -> Any:
    page.wait_for_selector("body[data-painted][data-located]")
    return page


def pixels(page: Any, n: int = 0) -> list[int]:
    """Numbers of clearly coloured and of all pixels of a canvas."""
    return page.evaluate(
        """(n) => { const c = document.querySelectorAll('.pane canvas')[n]; let coloured = 0, bright = 0;
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        for (let i = 0; i < d.length; i += 4) { const rgb = [d[i], d[i + 1], d[i + 2]];
        if (Math.max(...rgb) - Math.min(...rgb) > 40) coloured++; if (rgb[0] + rgb[1] + rgb[2] > 90) bright++; }
        return [coloured, bright]; }""",
        n,
    )


def steady(count: Callable[[], int]) -> int:
    """A number once it has stayed the same for half a second: panels slide in, and canvases follow their size."""
    last, since = count(), time.time()
    while time.time() - since < 0.5:
        time.sleep(0.05)
        now = count()
        if now != last:
            last, since = now, time.time()
    return last


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for something without `eval` in the page, which its own policy forbids."""
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, f"never: {what}"
        time.sleep(0.05)


def address(page: Any) -> str:
    return page.evaluate("location.href")


def canvas_at(page: Any, n: int = 0) -> int:
    return int(page.locator(".pane canvas").nth(n).get_attribute("data-at"))


@pytest.fixture(scope="module")
def volume_site(volumes, shifted) -> Iterator[str]:
    with make_viewer(volumes, results=[shifted]).in_background() as url:
        yield url


@pytest.fixture(scope="module")
def xray_site(xrays) -> Iterator[str]:
    with make_viewer(xrays).in_background() as url:
        yield url


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_dataset_opens_and_structures_switch_without_a_round_trip(browser, volume_site, size):
    with window(browser, volume_site, size=size) as page:
        opened(page)
        if size == PHONE:
            page.get_by_role("button", name="Structures").click()
        until(lambda: pixels(page)[0] > 200, "labels in colour")
        before = steady(lambda: pixels(page)[0])
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for box in page.locator(".structures li input").all():
            box.uncheck()
        until(lambda: pixels(page)[0] < before * 0.2, "colours gone")
        page.get_by_role("button", name="All", exact=True).click()
        until(lambda: pixels(page)[0] > before * 0.8, "colours back")
        assert not [url for url in asked if "/labels/" in url or "/image/" in url]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_worst_first_and_a_link_reopens_the_view(browser, volume_site):
    with window(browser, volume_site) as page:
        opened(page)
        page.get_by_label("Sort", exact=True).select_option("worst")
        until(lambda: page.locator(".row").first.get_attribute("data-id") == "m002", "the worst case first")
        page.locator(".row").first.click()
        page.get_by_role("button", name="Difference").click()
        page.keyboard.press("ArrowRight")
        until(
            lambda: "mode=difference" in address(page) and "case=m002" in address(page) and "z=" in address(page),
            "the address",
        )
        link, shown = address(page), canvas_at(page)
    with window(browser, link) as page:
        opened(page)
        assert page.locator("[aria-selected=true]").get_attribute("data-id") == "m002"
        assert page.get_by_role("button", name="Difference").get_attribute("aria-pressed") == "true"
        assert canvas_at(page) == shown


def test_a_volume_scrolls_by_keyboard_and_wheel_in_three_planes(browser, volume_site):
    with window(browser, volume_site) as page:
        opened(page)
        start = canvas_at(page)
        page.keyboard.press("ArrowRight")
        until(lambda: canvas_at(page) == start + 1, "the next slice")
        page.keyboard.press("Home")
        until(lambda: canvas_at(page) == 0, "the first slice")
        page.locator(".pane canvas").hover()
        page.mouse.wheel(0, 120)
        until(lambda: canvas_at(page) == 3, "the wheel")
        page.keyboard.press("ArrowDown")
        until(lambda: "case=m001" in address(page), "the next case")
        page.get_by_role("button", name="all three").click()
        until(lambda: page.locator(".pane").count() == 3, "three planes")
        until(lambda: all(pixels(page, n)[1] > 500 for n in range(3)), "all painted")
        box = page.locator(".pane canvas").first.bounding_box()
        before = [canvas_at(page, n) for n in range(3)]
        page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
        until(lambda: [canvas_at(page, n) for n in range(3)] != before, "the cross-hair moves the other planes")


def test_labels_and_a_result_are_compared(browser, volume_site):
    with window(browser, f"{volume_site}#case=m002") as page:
        opened(page)
        page.get_by_role("button", name="Side by side").click()
        until(lambda: page.locator(".pane").count() == 3, "image, labels and result")
        until(lambda: pixels(page, 1)[0] > 100 and pixels(page, 2)[0] > 100, "both in colour")
        assert pixels(page, 0)[0] == 0, "the image alone stays grey"
        page.get_by_role("button", name="Difference").click()
        until(lambda: page.locator(".legend").is_visible() and pixels(page)[0] > 100, "the difference")
        for mode in ("Swipe", "Blink", "Overlay"):
            page.get_by_role("button", name=mode).click()
            until(lambda: pixels(page)[1] > 500, mode)
        until(lambda: page.locator(".layers .score").count() > 0, "the score of the visible case")
        assert 0 <= float(page.locator(".layers .score").first.inner_text()) < 1


def test_windows_zoom_and_ruler(browser, volume_site):
    with window(browser, volume_site) as page:
        opened(page)
        box = page.locator(".pane canvas").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = pixels(page)
        page.mouse.move(x, y)
        page.mouse.down(button="right")
        page.mouse.move(x - 150, y + 120, steps=4)
        page.mouse.up(button="right")
        until(lambda: "low=" in address(page) and pixels(page) != before, "another window")
        page.keyboard.press("+")
        until(lambda: "zoom=1.25" in address(page), "zoomed")
        page.keyboard.press("0")
        until(lambda: "zoom" not in address(page), "fitted")
        page.keyboard.press("r")
        page.mouse.move(x - 60, y)
        page.mouse.down()
        page.mouse.move(x + 60, y, steps=3)
        page.mouse.up()
        page.mouse.move(x, y + 20)
        assert "value" in page.locator(".readout").inner_text()
        page.keyboard.press("?")
        assert page.get_by_role("dialog").is_visible()


def test_objects_are_listed_and_jumped_to(browser, volume_site):
    with window(browser, f"{volume_site}#case=m000") as page:
        opened(page)
        page.locator(".structures button[aria-label^='Objects of']").first.click()
        page.locator(".objects tr[data-id]").first.wait_for()
        page.locator(".objects tr[data-id]").first.click()
        until(lambda: "object=" in address(page) and page.locator(".objects tr.on").count() == 1, "the row is marked")


@pytest.fixture(scope="module")
def cells_site(tmp_path_factory) -> Iterator[str]:
    """Six numbered squares on a picture, and a result in which one is missing and one pair is merged."""
    folder, ids = tmp_path_factory.mktemp("cells"), np.zeros((1, 60, 90), np.uint8)
    for number in range(6):
        ids[0, 10 + 25 * (number // 3) : 25 + 25 * (number // 3), 10 + 28 * (number % 3) : 28 + 28 * (number % 3)] = (
            number + 1
        )
    result = np.where(ids == 6, 0, np.where(ids == 2, 1, ids)).astype(np.uint8)
    for name, array in (("images", (ids > 0) * 80 + 40), ("masks", ids), ("result", result)):
        io.write(Volume.of(array.astype(np.uint8), Geometry.from_spacing(ids.shape)), folder / name / "a.png")
    case = Case(id="a", images=(Source(path="images/a.png"),), label=(LabelSource(path="masks/a.png"),), group="a")
    space = LabelSpace(structures=[{"name": "cell"}], kind="instances")
    dataset = Dataset(root=str(folder), layout="t", channels=("grey",), labels=space, cases=(case,))
    dataset.save(folder / "dataset.yaml")
    with make_viewer(folder / "dataset.yaml", results=[folder / "result"]).in_background() as url:
        yield url


def hues(page: Any, n: int = 0) -> int:
    """How many colours cover a noticeable part of a canvas."""
    return page.evaluate(
        """(n) => { const c = document.querySelectorAll('.pane canvas')[n], seen = new Map();
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        for (let i = 0; i < d.length; i += 4) { const rgb = [d[i], d[i + 1], d[i + 2]];
        if (Math.max(...rgb) - Math.min(...rgb) > 40) seen.set(rgb.join(), (seen.get(rgb.join()) || 0) + 1); }
        return [...seen.values()].filter((count) => count > 800).length; }""",
        n,
    )


def test_numbered_objects_have_colours_and_answer_a_click(browser, cells_site):
    with window(browser, cells_site) as page:
        opened(page)
        page.locator(".objects tr[data-id]").first.wait_for()
        assert page.locator(".objects tr[data-id]").count() == 6
        until(lambda: hues(page) >= 6, "six colours")
        box = page.locator(".pane canvas").bounding_box()
        scale = 0.985 * min(box["width"] / 90, box["height"] / 60)
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.click(middle[0] + (47 - 45) * scale, middle[1] + (42 - 30) * scale)
        until(lambda: "object=5" in address(page), "the fifth object is picked")
        assert page.locator(".objects tr.on").get_attribute("data-id") == "5"
        page.locator(".objects tr[data-id='1']").click()
        until(lambda: "object=1" in address(page), "picked in the table")
        page.get_by_role("button", name="Side by side").click()
        until(lambda: page.locator(".pane").count() == 3, "image, labels and result")
        until(lambda: hues(page, 1) >= 6 and hues(page, 2) == 4, "each pane has its own objects")
        assert hues(page, 0) == 0, "the image alone stays grey"


DROP = """([name, text]) => { const data = new DataTransfer(); data.items.add(new File([text], name));
const options = {dataTransfer: data, bubbles: true, cancelable: true};
for (const kind of ['dragenter', 'dragover', 'drop']) window.dispatchEvent(new DragEvent(kind, options)); }"""


def test_a_table_dropped_on_the_page_is_scored(browser, xray_site, table):
    with window(browser, xray_site, quiet=False) as page:
        opened(page)
        page.evaluate(DROP, ["broken.csv", "a,b\n1,2\n"])
        page.get_by_role("alert").wait_for()
        assert "run-length" in page.get_by_role("alert").inner_text()
        page.evaluate(DROP, ["half.csv", table.read_text()])
        page.locator(".result[data-result=half][data-done=true]").wait_for()
        text = page.locator(".result").inner_text()
        assert "Dice" in text and "tail" in text and "0." in text
        page.get_by_role("button", name="Worst cases first").click()
        until(lambda: pixels(page)[0] > 100, "the worst case with its difference")


def test_a_folder_is_sent_whole_and_scored_and_what_is_too_large_is_not_sent(browser, volumes, shifted):
    with make_viewer(volumes).in_background() as url, window(browser, f"{url}#page=runs", quiet=False) as page:
        page.locator("input[webkitdirectory]").set_input_files(shifted)
        page.locator(".result[data-result=shifted][data-done=true]").wait_for()
        assert "3 cases" in page.locator(".result").inner_text()

        def small(route):
            text = re.sub(r'"upload_limit":\d+', '"upload_limit":5', route.fetch().text())
            route.fulfill(body=text, content_type="text/html")

        page.route(re.compile(r"/\?token=[^/]*$"), small)
        page.reload()
        page.locator(".drop").wait_for()
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method))
        page.evaluate(DROP, ["large.csv", "a,b\n1,2\n"])
        page.get_by_role("alert").wait_for()
        assert "too large" in page.get_by_role("alert").inner_text() and "POST" not in sent


@pytest.fixture(scope="module")
def wide_site(tmp_path_factory) -> Iterator[str]:
    """A picture of more than 2048 pixels with a comb of teeth one pixel wide, which only the full picture shows."""
    folder, shape = tmp_path_factory.mktemp("wide"), (1, 64, 2400)
    mask = np.zeros(shape, np.uint8)
    mask[:, :, 1000:1400:2] = 255
    for name, array in (("images/a.png", np.full(shape, 90, np.uint8)), ("masks/comb/a.png", mask)):
        io.write(Volume.of(array, Geometry.from_spacing(shape)), folder / name)
    with make_viewer(folder).in_background() as url:
        yield url


def test_labels_of_large_pictures_are_fine_where_they_are_magnified(browser, wide_site):
    with window(browser, f"{wide_site}#zoom=40&cy=32&cx=1200&opacity=1&style=fill") as page:
        opened(page)
        page.wait_for_selector('.pane canvas[data-detail="1"]')

        def half() -> bool:
            coloured, _ = pixels(page)
            size = page.evaluate(
                "(() => { const c = document.querySelector('.pane canvas'); return c.width * c.height; })()"
            )
            return 0.4 < coloured / size < 0.6

        until(half, "every second column in colour")


def test_a_slice_comes_as_the_screen_shows_it_and_then_in_full(browser, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (1, 1800, 1800)).astype(np.uint8)
    for name in ("a", "b"):
        io.write(Volume.of(picture, Geometry.from_spacing(picture.shape)), tmp_path / "images" / f"{name}.png")
        mask = np.where(picture > 250, 255, 0).astype(np.uint8)
        io.write(Volume.of(mask, Geometry.from_spacing(picture.shape)), tmp_path / "masks" / "dots" / f"{name}.png")
    with make_viewer(tmp_path).in_background() as url, window(browser, url) as page:

        def asked() -> list[str]:
            return page.evaluate(
                "performance.getEntriesByType('resource').map((e) => e.name.split('/api/')[1]).filter(Boolean)"
            )

        opened(page)
        until(lambda: {"cases/0/image/0/0", "cases/0/labels/0/0/0"} <= set(asked()), "the slice in full")
        found = asked()
        assert found.index("cases/0/image/0/0?step=2") < found.index("cases/0/image/0/0")
        assert "state" not in found  # the page came with it
        until(lambda: "cases/1/labels/0/0/0?step=2" in asked(), "the next case is asked for beforehand")
        until(lambda: {"cases/0/thumb.png", "cases/1/thumb.png"} <= set(asked()), "pictures of all cases")
        page.evaluate("performance.clearResourceTimings()")
        page.keyboard.press("ArrowDown")
        until(lambda: page.locator("body").get_attribute("data-painted") == "b", "the next case")
        until(lambda: "cases/1/image/0/0" in asked(), "the next case in full")
        assert not {"cases/1", "cases/1/image/0/0?step=2"} & set(asked())


def test_the_data_page_leads_to_cases(browser, volume_site):
    with window(browser, f"{volume_site}#page=data") as page:
        page.locator(".chart .point").first.wait_for()
        assert page.get_by_role("heading", name="Findings").is_visible()
        marks = page.evaluate("""() => [...document.querySelectorAll('.chart')].map((chart) =>
          [...chart.querySelectorAll('g > line.axis + text:not(.name)')].map((t) =>
            [t.getAttribute('text-anchor'), t.textContent].join(' ')))""")
        assert any(marks) and all(len(set(listed)) == len(listed) for listed in marks)  # no mark says what another says
        page.locator(".chart .point").nth(2).click(force=True)
        opened(page)
        until(lambda: "page=" not in address(page) and "case=" in address(page), "the address of the case")


def running_fit(folder: Path, data: Path) -> Callable[[int], None]:
    """A run as a fit leaves it while it goes on, and a function that adds steps to its log."""
    from segwright.api.planning import plan

    folder.mkdir()
    dataset = open_dataset(data)
    dataset.save(folder / dataset.filename)
    plan(dataset, folds=2).save(folder / Plan.filename)
    ids = [case.id for case in dataset.cases]
    folds = (
        Fold(train=tuple(ids[1:]), validation=tuple(ids[:1])),
        Fold(train=tuple(ids[:1]), validation=tuple(ids[1:])),
    )
    Split(folds=folds, groups={case.id: case.group for case in dataset.cases}).save(folder / Split.filename)
    (folder / "fold-0").mkdir()
    log = folder / "fold-0" / "log.jsonl"
    log.write_text("")

    def step(count: int) -> None:
        done = len(log.read_text().splitlines())
        lines = [
            {"kind": "step", "fold": 0, "step": i, "progress": i / 100, "elapsed": i * 0.5, "loss": 2 / i, "lr": 0.01,
             **({"pseudo_dice": {dataset.labels.names[0]: 1 - 1 / i}} if i % 5 == 0 else {})}
            for i in range(done + 1, done + count + 1)
        ]  # fmt: skip
        with log.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    return step


def test_a_running_fit_is_followed(browser, xrays, tmp_path):
    step = running_fit(tmp_path / "run", xrays)
    step(20)
    with make_viewer(tmp_path / "run").in_background() as url, window(browser, f"{url}#page=runs") as page:
        page.locator("[data-run=run][data-steps='20']").wait_for()
        assert page.locator(".live").is_visible() and page.locator(".chart path.line").count() >= 2
        first = page.locator(".chart path.line").first.get_attribute("d")
        step(30)
        page.locator("[data-run=run][data-steps='50']").wait_for()
        assert page.locator(".chart path.line").first.get_attribute("d") != first
        assert "50 %" in page.locator(".card").first.inner_text()


def test_a_missing_scan_is_told_and_the_others_still_open(browser, copied):
    viewer = make_viewer(copied)
    (copied / "imagesTr" / "m000_0000.nii.gz").unlink()
    with viewer.in_background() as url, window(browser, url, quiet=False) as page:
        page.locator(".veil .problem").wait_for()
        assert "no such file" in page.locator(".veil").inner_text()
        page.keyboard.press("ArrowDown")
        opened(page)
        assert page.locator(".veil").is_hidden()


@pytest.mark.parametrize(
    "where", ["", "#mode=side&plane=all", "#page=data", "#page=runs"], ids=["cases", "side", "data", "runs"]
)
def test_nothing_serious_stands_in_the_way_of_anyone(browser, volume_site, where):
    from axe_playwright_python.sync_playwright import Axe

    for size in (DESKTOP, PHONE):
        with window(browser, volume_site + where, size=size) as page:
            page.locator(".chart .point, body[data-painted] .pane, .result[data-done=true]").first.wait_for()
            found = Axe().run(page).response["violations"]
            grave = [
                f"{v['id']}: {v['nodes'][0]['html'][:160]}" for v in found if v["impact"] in {"serious", "critical"}
            ]
            assert not grave, "\n".join(grave)


def said_in(page: Any, section: str) -> str:
    return page.locator(f"section[aria-label='{section}']").inner_text()


def told_by(url: str, path: str) -> Any:
    return httpx.get(url.split("#")[0].replace("/?", f"/api/{path}?")).json()


def tilt(path: Path) -> None:
    """Mend a label file on disk: every structure is gone but a corner of the first."""
    label = io.read(path)
    values = np.zeros_like(label.array())
    values[0, :3, :9, :9] = 1
    io.write(Volume.of(values, label.geometry), path, like=label)


def test_the_link_is_copied_with_its_token_and_opens_for_a_colleague(browser, volume_site):
    token = volume_site.partition("?token=")[2]
    with window(browser, f"{volume_site}#case=m001&z=5") as page:
        opened(page)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        assert canvas_at(page) == 4, "slices count from 1 in the address"
        page.get_by_role("button", name="Copy link").click()
        until(lambda: page.locator("#status").inner_text() == "Link copied", "copied")
        link = page.evaluate("navigator.clipboard.readText()")
        assert link == address(page) and token in link and "case=m001" in link and "z=5" in link
        page.goto(volume_site.split("?")[0])  # the cookie alone
        opened(page)
        assert token in address(page)
    with window(browser, link) as page:
        opened(page)
        assert canvas_at(page) == 4 and page.locator("[aria-selected=true]").get_attribute("data-id") == "m001"


def test_a_strange_browser_is_not_let_in(browser, volume_site):
    with window(browser, volume_site.split("?")[0], quiet=False) as page:
        assert "asks for a token" in page.inner_text("body")


def test_back_leads_to_the_case_and_page_before(browser, volume_site):
    with window(browser, volume_site) as page:
        opened(page)
        page.keyboard.press("ArrowRight")
        until(lambda: "z=" in address(page), "a slice")
        first = address(page)
        page.wait_for_timeout(800)  # quicker steps are one walk
        page.locator(".row").nth(2).click()
        until(lambda: "case=m002" in address(page), "another case")
        page.wait_for_timeout(800)
        page.get_by_role("link", name="Data").click()
        until(lambda: page.locator(".page.sheet").is_visible(), "the data")
        page.go_back()
        until(lambda: page.locator(".caselist").is_visible() and "case=m002" in address(page), "back to the case")
        page.go_back()
        until(lambda: address(page) == first, "back to the first, at its slice")
        assert page.locator("[aria-selected=true]").get_attribute("data-id") == "m000"


def test_window_zoom_and_slice_stay_when_the_next_case_is_of_the_same_kind(browser, volume_site):
    with window(browser, f"{volume_site}#case=m000&z=7&zoom=2&low=10&high=300") as page:
        opened(page)
        page.keyboard.press("ArrowDown")
        until(lambda: "case=m001" in address(page), "the next case")
        opened(page)
        assert canvas_at(page) == 6
        for part in ("z=7", "zoom=2", "low=10", "high=300"):
            assert part in address(page)


def test_a_dropped_result_shows_on_the_open_case_at_once(browser, volumes, shifted):
    with make_viewer(volumes).in_background() as url, window(browser, f"{url}#case=m002&mode=side") as page:
        opened(page)
        assert page.locator(".pane").count() == 2
        page.get_by_role("link", name="Results").click()
        page.locator("input[webkitdirectory]").set_input_files(shifted)
        page.locator(".result[data-result=shifted]").wait_for()
        page.get_by_role("link", name="Cases", exact=True).click()
        until(lambda: page.locator(".pane").count() == 3 and pixels(page, 2)[0] > 100, "the result beside the labels")
        assert "shifted" in said_in(page, "Labels and results")


def test_worst_cases_first_opens_the_worst(browser, volume_site):
    with window(browser, f"{volume_site}#page=runs&case=m000") as page:
        page.locator(".result[data-done=true]").wait_for()
        page.get_by_role("button", name="Worst cases first").click()
        until(lambda: "case=m002" in address(page) and "mode=difference" in address(page), "the worst is open")
        assert page.locator(".row").first.get_attribute("data-id") == "m002"
        page.get_by_role("link", name="Results").click()
        page.get_by_text("Rules and tolerances").click()
        assert page.get_by_text("Surface Dice counts border voxels within 1 mm").first.is_visible()


def test_labels_mended_on_disk_appear_after_reload_and_are_scored_anew(browser, copied, shifted):
    with make_viewer(copied, results=[shifted]).in_background() as url, window(browser, f"{url}#case=m000&z=2") as page:
        opened(page)
        before = steady(lambda: pixels(page)[0])
        until(lambda: told_by(url, "results/1/scores")["done"], "scored")
        dice = told_by(url, "results/1/scores")["rows"]["m000"]["mean"]["dice"]
        tilt(copied / "labelsTr" / "m000.nii.gz")
        time.sleep(0.4)
        page.reload()
        opened(page)
        until(lambda: pixels(page)[0] != before, "the mended label")
        until(
            lambda: told_by(url, "results/1/scores")["rows"].get("m000", {}).get("mean", {}).get("dice") != dice, "new"
        )


def test_a_bad_result_is_asked_for_once_and_the_banner_names_file_and_cure(browser, volumes, shifted, tmp_path):
    bad = Path(shutil.copytree(shifted, tmp_path / "bad"))
    (bad / "m000.nii.gz").write_bytes(b"no volume")
    with (
        make_viewer(volumes, results=[bad]).in_background() as url,
        window(browser, f"{url}#case=m000", quiet=False) as page,
    ):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/labels/1/" in request.url else None)
        opened(page)
        until(lambda: page.locator(".pane-note").is_visible(), "the banner")
        before = len(asked)
        for _ in range(4):
            at = canvas_at(page)
            page.keyboard.press("ArrowRight")
            until(lambda at=at: canvas_at(page) == at + 1, "scrolled")
        assert len(asked) == before <= 3
        banner = page.locator(".pane-note").inner_text()
        assert "m000.nii.gz" in banner and len(banner.splitlines()) >= 2 and str(tmp_path) not in banner


def test_what_is_unknown_is_not_in_millimetres_and_volumes_not_in_pixels(browser, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    mask = np.zeros((12, 40, 50), np.uint8)
    mask[3:9, 10:30, 10:30] = 1
    for name in ("a", "b"):
        np.save(tmp_path / "images" / f"{name}.npy", rng.integers(0, 200, mask.shape).astype(np.uint16))
        np.save(tmp_path / "masks" / f"{name}.npy", mask)
        (tmp_path / "out").mkdir(exist_ok=True)
        np.save(tmp_path / "out" / f"{name}.npy", np.roll(mask, 3, axis=2))
    with make_viewer(tmp_path, results=[tmp_path / "out"]).in_background() as url, window(browser, url) as page:
        opened(page)
        assert "voxels" in said_in(page, "Structures") and "px" not in said_in(page, "Structures")
        page.locator(".pane canvas").first.hover(position={"x": 200, "y": 200})
        assert re.match(r"x \d+  y \d+  z \d+", page.locator(".readout").inner_text())
        until(lambda: told_by(url, "results/1/scores")["done"], "scored")
        units = {row["label"]: row["unit"] for row in told_by(url, "results/1/scores")["metrics"]}
        assert units["HD95"] == "voxels"


def test_letters_and_sizes_come_in_one_order_and_slices_count_from_one(browser, volume_site):
    with window(browser, f"{volume_site}#case=m000&z=1&plane=0") as page:
        opened(page)
        about = said_in(page, "This case")
        geometry = told_by(volume_site, "cases/0")
        assert " × ".join(map(str, geometry["shape"][::-1])) in about
        assert f"{geometry['orientation']} (x, y, z)" in about
        assert " 1 / " in page.locator(".pane-title").first.inner_text()
        box = page.locator(".pane canvas").first.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        until(lambda: page.locator(".readout").inner_text().startswith("x "), "a read-out")
        assert "z 1 " in page.locator(".readout").inner_text()


@pytest.mark.parametrize(("modality", "word"), [("em", "Specimen"), ("mr", "Patient"), ("other", "Group")])
def test_patients_are_in_patient_data_alone(browser, volumes, modality, word):
    viewer = make_viewer(volumes)
    viewer.session.dataset = viewer.session.dataset.model_copy(update={"modality": modality})
    with viewer.in_background() as url, window(browser, url) as page:
        opened(page)
        assert word in said_in(page, "This case") and ("Patient" in said_in(page, "This case")) == (word == "Patient")


def test_three_planes_share_one_scale_and_stand_side_by_side(browser, volume_site):
    with window(browser, f"{volume_site}#case=m000&plane=all") as page:
        opened(page)
        until(lambda: page.locator(".pane").count() == 3, "three planes")
        page.get_by_role("button", name="Ruler").click()
        bars = [scale_bar(page, n) for n in range(3)]
        assert max(bars) - min(bars) <= 1, bars
        page.get_by_role("button", name="Side by side").click()
        until(lambda: page.locator(".pane").count() == 9, "image, labels and result in three planes")
        until(lambda: all(pixels(page, n)[1] > 200 for n in range(9)), "all painted")
        counts = [pixels(page, n)[0] for n in range(9)]  # the cross-hair is coloured, and the same in all of a row
        assert all(counts[3 * row] < min(counts[3 * row + 1 : 3 * row + 3]) - 200 for row in range(3)), counts


def scale_bar(page: Any, n: int) -> int:
    """Pixels of the scale bar's line, which is 2 cm where scales are one."""
    return page.evaluate(
        """(n) => { const c = document.querySelectorAll('.pane canvas')[n], x = c.getContext('2d');
        const y = c.height - 16, row = x.getImageData(0, y - 1, c.width / 2, 3).data; let count = 0;
        for (let i = 0; i < row.length / 3; i += 4) if (row[i] > 200 && row[i + 2] > 200) count++; return count; }""",
        n,
    )


def test_scans_are_smooth_until_pixels_are_asked_for(browser, volume_site):
    with window(browser, f"{volume_site}#case=m000&hide=0.1&zoom=4") as page:
        opened(page)
        smooth = shades(page)
        page.keyboard.press("x")
        until(lambda: "pixels=true" in address(page) and shades(page) < smooth / 2, "blocks")
        page.keyboard.press("x")
        until(lambda: shades(page) == smooth, "smooth again")


def shades(page: Any) -> int:
    """Changes of grey along the middle of the canvas."""
    return page.evaluate(
        """() => { const c = document.querySelector('.pane canvas'), x = c.getContext('2d');
        const d = x.getImageData(0, c.height / 2 - 40, c.width, 1).data; let n = 0;
        for (let i = 4; i < d.length; i += 4) if (d[i] !== d[i - 4]) n++; return n; }"""
    )


@pytest.mark.parametrize("size", [(1280, 720), (800, 900), PHONE], ids=["1280", "800", "phone"])
@pytest.mark.parametrize("view", ["plane=0", "plane=all", "plane=all&mode=side", "mode=difference"])
def test_nothing_covers_anything(browser, volume_site, size, view):
    with window(browser, f"{volume_site}#case=m002&{view}", size=size) as page:
        opened(page)
        page.wait_for_timeout(300)
        covered = page.evaluate(
            """() => { const seen = (e) => e.offsetParent !== null && e.getBoundingClientRect().width > 0;
            const sets = ['.bar > *', '.tools > *, .view, .readout, .sheets', '.page.cases > *', '.panes > *',
              '.controls > *', '.pane:first-child > :not(canvas)'], found = [];
            for (const set of sets) { const nodes = [...document.querySelectorAll(set)].filter(seen);
              for (const a of nodes) for (const b of nodes) { if (a === b || a.contains(b) || b.contains(a)) continue;
                const p = a.getBoundingClientRect(), q = b.getBoundingClientRect();
                const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
                const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
                if (wide > 1.5 && high > 1.5)
                  found.push([a.className, b.className, a.textContent.slice(0, 20)]); } }
            return found; }"""
        )
        assert not covered
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_phones_have_help(browser, volume_site):
    with window(browser, volume_site, size=PHONE) as page:
        opened(page)
        page.get_by_role("button", name="Keyboard shortcuts").click()
        assert page.get_by_role("dialog").is_visible()


def test_labels_and_result_differ_by_stroke(browser, volume_site):
    """The same mask twice: the labels' outline is whole, that of a result beside them has gaps."""
    with window(browser, f"{volume_site}#case=m000&style=outline&resultStyle=outline&off=1") as page:
        opened(page)
        whole = steady(lambda: pixels(page)[0])
    with window(browser, f"{volume_site}#case=m000&style=outline&resultStyle=outline&mode=swipe&swipe=0.02") as page:
        opened(page)
        dashed = steady(lambda: pixels(page)[0])
    assert 0.3 * whole < dashed < 0.75 * whole


def test_many_structures_are_searched_told_apart_and_listed_by_slice(browser, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    names = [f"part {i:02}" for i in range(61)]
    label = np.zeros((1, 61, 8, 8), np.uint8)
    for i in range(61):
        label[0, i, 2:6, 2:6] = i + 1
    geometry = Geometry.from_spacing((61, 8, 8), (1.0, 1.0, 1.0))
    io.write(
        Volume.of(np.arange(61 * 64, dtype=np.int16).reshape(1, 61, 8, 8), geometry), tmp_path / "images" / "a.nii.gz"
    )
    io.write(Volume.of(label, geometry), tmp_path / "labels" / "a.nii.gz")
    space = LabelSpace(structures=[{"name": name, "values": [i + 1]} for i, name in enumerate(names)])
    case = Case(
        id="a", images=(Source(path="images/a.nii.gz"),), label=(LabelSource(path="labels/a.nii.gz"),), group="a"
    )
    dataset = Dataset(root=str(tmp_path), layout="list", channels=("image",), labels=space, cases=(case,))
    dataset.save(tmp_path / "dataset.yaml")
    with make_viewer(tmp_path / "dataset.yaml").in_background() as url, window(browser, f"{url}#plane=0&z=8") as page:
        opened(page)
        colours = [row["colour"] for row in told_by(url, "state")["structures"]]
        places = oklab(np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], np.uint8))
        apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(61)
        assert apart.min() > 0.06, "no two of 61 are nearer than the nearest of the first twelve"
        page.get_by_label("Find a structure").fill("part 4")
        until(lambda: page.locator(".structures li").count() == 15, "04, 14, ... and 40 to 49")
        page.get_by_label("Find a structure").fill("")
        page.get_by_label("In this slice").check()
        until(lambda: page.locator(".structures li").all_inner_texts() != [], "listed")
        until(
            lambda: (
                "part 07" in page.locator(".structures ul").inner_text() and page.locator(".structures li").count() == 1
            ),
            "one",
        )
        page.keyboard.press("Escape")
        page.locator(".pane canvas").first.focus()
        page.keyboard.press("ArrowRight")
        until(lambda: "part 08" in page.locator(".structures ul").inner_text(), "the next")


def test_a_fit_that_predicts_is_running_and_one_without_a_plan_is_no_empty_folder(browser, xrays, tmp_path):
    step = running_fit(tmp_path / "run", xrays)
    step(20)
    (tmp_path / "run" / "report").mkdir(exist_ok=True)
    os.utime(next((tmp_path / "run").rglob("*.jsonl")), (1, 1))  # no event for a long time
    with make_viewer(tmp_path / "run").in_background() as url, window(browser, f"{url}#page=runs") as page:
        page.locator("[data-run=run]").wait_for()
        assert "not running" in page.locator("[data-run=run]").inner_text()
        with locked(tmp_path / "run"):
            page.locator("[data-run=run] .live").wait_for()
            assert page.locator("[data-run=run] .live").inner_text() in {"training", "predicting"}
    with locked(tmp_path / "new"), pytest.raises(LayoutError, match="still reading its data"):
        make_viewer(tmp_path / "new")


def test_a_case_of_a_report_leads_into_the_viewer(browser, xrays, tmp_path):
    running_fit(tmp_path / "run", xrays)(20)
    run = Run(tmp_path / "run")
    case = run.dataset.cases[1]
    scores = tuple(
        Score(case=c.id, group=c.group, structure=n, metric="dice", value=0.5)
        for c in run.dataset.cases
        for n in run.dataset.labels.names
    )
    report = Report(scores=scores, aggregates=())
    write_evaluation(report, run.page, labels=run.dataset.labels)
    with make_viewer(tmp_path / "run").in_background() as url, window(browser, url, quiet=False) as page:
        opened(page)
        page.goto(url.split("?")[0] + "report/0")
        page.get_by_role("link", name=f"view {case.id}").first.click()
        until(lambda: f"case={case.id}" in address(page), "the case")
        opened(page)
        assert page.evaluate("document.cookie") == ""
