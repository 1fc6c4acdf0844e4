"""Pages as people use them, driven in a real browser: sorting, filtering, pictures, phones, printing, accessibility."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from segwright.core.report import Score
from segwright.metrics.calibration import Calibration, StructureCalibration
from segwright.report.comparison import Contest, Contestant, ContestContent, PairedDifference, write_contest
from segwright.report.html import write, write_evaluation

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser, tmp_path) -> Iterator[Callable[..., object]]:
    """`visit(path, **context)` opens a page that may ask for nothing else and may complain about nothing."""
    troubles: list[str] = []
    contexts = []

    def go(path: Path, anchor: str = "", **options: object) -> object:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: troubles.append(told.text) if told.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda asked: troubles.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(path.as_uri() + anchor)
        return page

    yield go
    for context in contexts:
        context.close()
    assert not troubles


def calibrated(names) -> Calibration:
    counts = tuple(1000 // (i + 1) for i in range(16))
    return Calibration(
        cases=6,
        structures=tuple(
            StructureCalibration(
                structure=name,
                voxels=counts,
                inside=tuple(count * i // 18 for i, count in enumerate(counts)),
                score=tuple(count * (i + 0.5) / 16 for i, count in enumerate(counts)),
                below=5000,
                missed=20,
                error=0.05,
            )
            for name in names
        ),
    )


@pytest.fixture
def page_of(make_run, tmp_path) -> Callable[..., Path]:
    """A function from the options of `make_run` to a written page with every section filled."""

    def make(**options: object) -> Path:
        run = make_run(**options)
        names = run.plan.labels.names
        filled = type(run)(**{**vars(run), "calibration": calibrated(names)})
        return write(filled, tmp_path / "report.html")

    return make


def column(page, number: int) -> list[str]:
    cells = page.locator(f"#cases-table tbody tr td:nth-child({number})")
    return cells.all_inner_texts()


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_round(page_of, visit):
    page = visit(page_of())
    heads = page.locator("#cases-table thead th").all_inner_texts()
    place = next(i for i, head in enumerate(heads, start=1) if head.startswith("HD95"))
    button = page.locator(f"#cases-table thead th:nth-child({place}) button")
    button.click()
    values = [float(v) for v in column(page, place) if v != "–"]
    assert values == sorted(values) and column(page, place)[-1] == "–"
    button.click()
    values = [float(v) for v in column(page, place) if v != "–"]
    assert values == sorted(values, reverse=True) and column(page, place)[-1] == "–"
    assert page.locator("#cases-table th[aria-sort]").count() == 1


def test_the_filter_keeps_lines_that_hold_every_word(page_of, visit):
    page = visit(page_of())
    page.fill("input[data-filter=cases-table]", "liver case_003")
    shown = page.locator("#cases-table tbody tr:visible")
    assert shown.count() == 1 and "case_003" in shown.inner_text()
    assert page.locator("output[data-count=cases-table]").inner_text() == "1 of 12 lines"
    page.fill("input[data-filter=cases-table]", "")
    assert shown.count() == 12


def test_pictures_open_large_turn_with_the_keyboard_and_close(page_of, visit):
    page = visit(page_of(shape=(9, 40, 30)), viewport={"width": 1200, "height": 900})
    page.locator(".card a").first.click()
    first = page.locator("#case-0")
    assert first.is_visible()
    assert first.locator(".shot").count() == 4  # image and three planes
    assert first.locator(".shots svg").first.bounding_box()["height"] > 250
    page.keyboard.press("ArrowRight")
    assert page.locator("#case-1").is_visible() and not first.is_visible()
    page.keyboard.press("Escape")
    assert page.locator(".lightbox:visible").count() == 0


def test_switching_a_structure_off_changes_the_pixels_of_the_picture(page_of, visit):
    page = visit(page_of(), anchor="#case-0", viewport={"width": 1200, "height": 900})
    picture = page.locator("#case-0 .shots .shot:nth-child(2) svg")
    whole = picture.screenshot()
    page.locator("#case-0 input.t0").uncheck()
    without = picture.screenshot()
    page.locator("#case-0 input.t0").check()
    assert without != whole and picture.screenshot() == whole
    page.locator("#case-0 input.show-pred").uncheck()
    page.locator("#case-0 input.show-ref").uncheck()
    assert picture.screenshot() == without  # the only structure in the plane


def test_curves_tell_their_values_under_the_pointer(page_of, visit):
    page = visit(page_of())
    field = page.locator(".field").first
    field.scroll_into_view_if_needed()
    field.hover(position={"x": 40, "y": 60})
    told = page.locator(".tip").inner_text()
    assert "minutes" in told and "fold 0:" in told and "fold 1:" in told
    page.locator(".strip circle.dot").first.hover(force=True)
    assert page.locator(".tip").inner_text().startswith("case_")


@pytest.mark.parametrize(
    "options",
    [{}, {"names": tuple(f"structure_number_{i}" for i in range(20)), "shape": (1, 50, 40), "kind": "overlapping"}],
    ids=["volumes", "many structures"],
)
def test_a_phone_never_scrolls_sideways(page_of, visit, options):
    page = visit(page_of(**options), **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".card a").first.click()
    box = page.locator("#case-0 svg.panel").first.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation_of_accessibility(page_of, visit, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    options = {"resultTypes": ["violations"]}
    path = page_of()
    for anchor in ("", "#case-0"):
        page = visit(path, anchor=anchor, color_scheme=scheme)
        found = axe.run(page, options=options).response["violations"]
        serious = [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in {"serious", "critical"}]
        assert not serious


def test_everything_can_be_read_without_scripts(page_of, visit):
    page = visit(page_of(), java_script_enabled=False)
    assert page.locator("#cases-table tbody tr").count() == 12
    assert not page.locator("input[data-filter]").is_visible()
    page.locator(".card a").first.click()
    assert page.locator("#case-0").is_visible()
    page.locator("#case-0 .go a").last.click()
    assert not page.locator("#case-0").is_visible()
    assert page.locator(".reliability svg").first.is_visible() and page.locator(".field path").first.is_visible()


def test_printing_hides_what_only_works_on_a_screen(page_of, visit, tmp_path):
    page = visit(page_of())
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible() and not page.locator("input[data-filter]").is_visible()
    assert page.locator("#cases-table").is_visible() and page.locator(".card").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000


def contestant(name: str, run) -> Contestant:
    dice = {row.structure: row for row in run.report.aggregates if row.metric == "dice"}
    facts = {"parameters": 10, "step_seconds": 0.1, "steps": 5, "train_seconds": 1.0, "memory": 2**20, "run": name}
    return Contestant(name=name, dice=dice, **facts)


def test_comparison_and_evaluation_pages_work_the_same_way(make_run, tmp_path, visit):
    run = make_run()
    difference = PairedDifference(name="b", structure="mean", mean=0.02, low=0.01, high=0.03, p=0.01, wins=5, losses=1)
    content = ContestContent(
        title="two",
        contest=Contest(contestants=(contestant("a", run), contestant("b", run)), differences=(difference,)),
        labels=run.plan.labels,
        reports={"a": run.report, "b": run.report},
        cases=((case.case, {"a": case, "b": case}) for case in run.worst),
    )
    page = visit(write_contest(content, tmp_path / "contest.html"), **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator(".forest .better").count() == 1
    assert page.locator(".card").count() == 4
    page.locator(".card a").nth(3).click()
    assert page.locator("#case-3").is_visible()

    score = Score(case="case_009", group="g", structure="liver", metric="dice", value=0.0)
    report = run.report.model_copy(update={"scores": (*run.report.scores, score)})
    path = write_evaluation(report, tmp_path / "e.html", labels=run.plan.labels, worst=run.worst)
    page = visit(path, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert "do not touch" in page.locator("#gaps-table").inner_text()
    page.locator(".card a").first.click()
    assert page.locator("#case-0").is_visible()
