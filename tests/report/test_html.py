"""The page is whole: well-formed, offline, safe against text in the data, and complete for odd runs."""

from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser

import pytest

from segwright.core.events import Restart, Step
from segwright.core.inspection import Finding, Inspection
from segwright.core.report import Report
from segwright.postprocess.chain import Chain, ChainStep
from segwright.postprocess.search import Candidate, Postprocess
from segwright.report.html import render, render_evaluation, write, write_evaluation

VOID = {"meta", "input", "br", "link", "img", "hr"}
LONG = "left_superior_" + "very_" * 40 + "long_lobe"
RUNS = {
    "exclusive 3-D": {},
    "overlapping 3-D": {"kind": "overlapping"},
    "exclusive 2-D": {"shape": (1, 40, 60)},
    "overlapping 2-D": {"shape": (1, 40, 60), "kind": "overlapping", "names": ("heart", "left lung", "right lung")},
    "one structure": {"names": ("tumour",)},
    "61 structures": {"names": tuple(f"structure {i}" for i in range(61)), "shape": (2, 30, 30)},
    "long names": {"names": (LONG, LONG + "_2")},
    "no fold finished": {"finished": False},
    "one case": {"cases": 1},
}


class Page(HTMLParser):
    """Checks that tags close in order, and collects ids, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._seen(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._seen(tag, attrs)

    def _seen(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.attributes.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[key] for key in ("href", "src", "action", "xlink:href") if key in values]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag at {self.getpos()}"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_page_is_well_formed_offline_and_complete(make_run, options):
    text = render(make_run(**options))
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert "http://" not in text and "https://" not in text
    for link in page.links:
        assert link.startswith(("#", "data:image/")), link
        assert not link.startswith("#") or link[1:] in page.ids, f"{link} leads nowhere"
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    wanted = ["Scores", "Distribution over cases", "Worst cases", "Labels worth a second look"]
    wanted += ["Failures and missing values", "All cases"]
    wanted += ["Calibration", "Learning curves", "Data", "Findings", "Plan", "Post-processing", "How to predict"]
    assert [h for h in headings if h != "Comparison"] == [*wanted, "Receipt"]
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text.split("</style>")[1].split("<script>")[0]).lower()


@pytest.mark.parametrize("attack", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</title><b>"])
def test_text_from_data_is_escaped_everywhere(make_run, attack):
    run = make_run(names=(attack, "other " + attack))
    finding = Finding(level="error", code=attack, what=attack, where=attack, hint=attack)
    scores = [score.model_copy(update={"case": attack, "note": attack}) for score in run.report.scores]
    facts = [fact.model_copy(update={"case": attack, "group": attack}) for fact in run.inspection.facts]
    run = dataclasses.replace(
        run,
        title=attack,
        inspection=Inspection(findings=(finding,), facts=facts),
        report=run.report.model_copy(update={"scores": tuple(scores), "notes": (attack,)}),
        plan=run.plan.model_copy(update={"why": {"train.lr": attack, attack: attack}}),
        worst=[dataclasses.replace(item, case=attack, group=attack) for item in run.worst],
        comparison=[{attack: attack}],
        commands={attack: attack},
        receipt={attack: {attack: attack}, "x": attack},
        log={0: [Step(0, 1, elapsed=1.0, loss=1.0), Restart(0, 1, elapsed=1.0, restarted=attack)]},
        postprocess=Postprocess(
            chain=Chain(thresholds={attack: 0.5}, steps=(ChainStep(name=attack, structures=(attack,)),)),
            candidates=(
                Candidate(structure=attack, change=attack, gain=0, error=0, changed=1, improved=1, reason=attack),
            ),
            before={attack: 0.0},
            after={attack: 0.5},
            notes=(attack,),
        ),
    )
    text = render(run)
    page = Page(text)
    assert attack not in text
    assert page.tags.count("script") == 1
    assert "img" not in page.tags and "b" in page.tags
    assert attack in page.text


def test_colours_that_are_no_colours_do_not_reach_the_style(make_run):
    run = make_run()
    odd = run.plan.labels.structures[0].model_copy(update={"colour": "red;background:url(x)"})
    labels = run.plan.labels.model_copy(update={"structures": (odd, *run.plan.labels.structures[1:])})
    assert "url(x)" not in render(dataclasses.replace(run, plan=run.plan.model_copy(update={"labels": labels})))


def test_headline_interval_and_missing_counts(make_run):
    run = make_run()
    text = Page(render(run)).text
    row = run.report.aggregate("mean", "dice")
    assert f"{row.mean:.3f}" in text and f"[{row.low:.3f}, {row.high:.3f}]" in text
    assert "1 undefined" in text
    assert "Empty masks: a note." in text
    assert "2 of 2" in text


def test_no_scores_is_said_not_hidden(make_run):
    text = Page(render(make_run(finished=False))).text
    assert "No scores yet" in text and "0 of 2" in text


def test_post_processing_shows_the_chain_its_effect_and_what_was_rejected(make_run):
    run = make_run()
    words = " ".join(Page(render(run)).text.split())
    assert "liver is present where its score reaches 0.4" in words and "keep largest: liver" in words
    assert "0.8000 0.8100 +0.0100" in words
    assert words.index("accepted gain holds") < words.index("rejected noise")
    assert "4 (3 better) +0.0080" in words and "The rule of choice." in words
    unchanged = dataclasses.replace(run, postprocess=Postprocess())
    assert "predictions are left as they are" in render(unchanged)


def test_tables_can_be_sorted_and_read_without_scripts(make_run):
    page = Page(render(make_run()))
    heads = [values for tag, values in page.attributes if tag == "th" and "data-sort" in values]
    assert {head["data-sort"] for head in heads} == {"text", "number"}
    assert [head["aria-sort"] for head in heads if "aria-sort" in head] == ["ascending"]
    assert "button" not in page.tags  # made by the script only
    assert all("hidden" in values for _, values in page.attributes if "scripted" in (values.get("class") or ""))


def test_all_cases_are_listed_worst_first(make_run):
    run = make_run()
    text = render(run)
    table = text.split('id="cases-table"')[1].split("</table>")[0]
    rows = re.findall(r"<tr[ >].*?</tr>", table.split("<tbody>")[1], re.DOTALL)
    assert len(rows) == 12
    dice = [float(re.findall(r'<td class="num">(.*?)</td>', row)[1]) for row in rows]
    assert dice == sorted(dice)
    assert sum('title="prediction empty"' in row for row in rows) == 1


def test_pictures_are_embedded_once_and_reused(make_run):
    text = render(make_run())
    images = re.findall(r"data:image/(\w+);base64,([^\"]+)", text)
    assert len(images) == 2
    for kind, data in images:
        start = base64.b64decode(data)[:4]
        assert start == b"\x89PNG" if kind == "png" else start[:2] == b"\xff\xd8"
    assert text.count('class="lightbox"') == 2


def test_a_large_run_stays_small(make_run):
    run = make_run(cases=200)
    assert len(render(run).encode()) < 5_000_000


def test_too_many_rows_are_counted_not_dropped_silently(make_run):
    run = make_run(names=tuple(f"s{i}" for i in range(61)), cases=70, shape=(1, 8, 8))
    text = render(run)
    assert "<strong>270 better lines are left out here" in text
    assert "only those beyond the whiskers" in text
    assert len(text.encode()) < 8_000_000


def test_write_leaves_one_whole_file(make_run, tmp_path):
    run = make_run()
    path = write(run, tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8") == render(run)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_same_run_gives_the_same_page(make_run):
    assert render(make_run()) == render(make_run())


def test_evaluation_page(make_run, tmp_path):
    run = make_run()
    text = render_evaluation(run.report, labels=run.plan.labels, receipt={"command": "segwright evaluate a b"})
    page = Page(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert "segwright evaluate a b" in page.text and "Worst cases" not in page.text
    assert write_evaluation(run.report, tmp_path / "e.html").stat().st_size > 1000
    assert "No scores yet" in render_evaluation(Report(scores=(), aggregates=()))
