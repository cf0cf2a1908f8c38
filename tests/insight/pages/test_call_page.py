"""The page of a call: what is on it, and how it looks in a browser."""

import asyncio
import json
import re

import pytest
from attrs import evolve

from agora_analytics.insight.call_charts import CallCharts

altair = pytest.importorskip("altair", reason="needs agora-analytics[insight]")
pytest.importorskip("vl_convert", reason="needs agora-analytics[insight]")

from agora_analytics.insight.pages.call_page import call_page  # noqa: E402
from agora_analytics.insight.pages.html_page import json_in_html  # noqa: E402
from tests.insight.pages.conftest import fetch_call  # noqa: E402
from tests.insight.pages.page_checks import EVIL, OVERLAPS, SIZES, specs, without_library  # noqa: E402
from tests.services.browser import colours  # noqa: E402

MARKS = """() => [...document.querySelectorAll("figure")].map(figure =>
  [figure.dataset.chart, [...figure.querySelectorAll(".mark-rect path, .mark-line path")].filter(path => {
    const box = path.getBBox(); return box.width > 5 && box.height > 0;
  }).length])"""


@pytest.fixture(scope="module")
def fetched(planted):
    return asyncio.run(fetch_call(planted))


@pytest.fixture(scope="module")
def charts(fetched):
    return fetched[0]


@pytest.fixture(scope="module")
def file(fetched, tmp_path_factory):
    charts, findings = fetched
    path = tmp_path_factory.mktemp("page") / "call.html"
    path.write_text(call_page(charts, findings=findings), encoding="utf-8")
    return path


def test_what_was_wrong_comes_first_in_words(file, fetched):
    _, findings = fetched
    text = file.read_text(encoding="utf-8")
    verdict = "Packets were lost between servers, for several users at once: 11:0"
    assert text.index("What was wrong") < text.index(verdict) < text.index("<h2>Users</h2>")
    (found,) = [each for each in findings.found if "between servers" in each.text]
    assert len(found.uids) >= 3
    named = {*findings.healthy, *findings.unknown, *(uid for each in findings.found for uid in each.uids)}
    assert len(named) == 7, "each user has a verdict"


def test_a_page_without_findings_has_no_such_section(charts):
    assert "What was wrong" not in call_page(charts)


def test_page_has_the_users_their_means_and_a_chart_for_each_measure(charts, planted):
    page = call_page(charts)
    assert specs(page).keys() == {"lanes", "loss", "freeze", "sent", "received", "delay"}
    for session in planted.call.sessions:
        assert f"<td>{session.uid}</td>" in page
    assert planted.call.call_id in page
    assert "poor" in re.search(rf"<tr><td>{planted.uid}</td>.*?</tr>", page, re.DOTALL)[0]


def test_page_loads_nothing():
    page = call_page(CallCharts(call_of_nobody(), (), bins=10))
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", without_library(page))
    assert "No session of this call was returned." in page


def call_of_nobody(cname="empty"):
    from agora_analytics import Call

    return Call(call_id="c", cname=cname, created_ts=1_795_000_000, destroyed_ts=1_795_000_060, finished=True)


def test_texts_of_the_vendor_are_only_text(charts):
    sessions = [evolve(session, uid=EVIL, account=EVIL, network=EVIL) for session in charts.sessions[:1]]
    page = call_page(CallCharts(call_of_nobody(EVIL), sessions, bins=10))
    assert EVIL not in page
    assert "<img" not in without_library(page)
    assert specs(page)["lanes"]["layer"]


def test_json_cannot_end_its_element():
    assert "<" not in json_in_html({"a": "</script><!--"})
    assert json.loads(json_in_html({"a": "</script><!--"})) == {"a": "</script><!--"}


def test_gaps_are_no_values(charts):
    data = specs(call_page(charts))["delay"]["datasets"]["rows"]
    assert {type(row["value"]) for row in data} <= {float, int, type(None)}
    assert any(row["value"] is None for row in data)  # before a user joins


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "scheme"), [("desktop", "light"), ("tablet", "light"), ("phone", "light"), ("desktop", "dark")]
)
def test_page_is_drawn_and_nothing_overlaps(browser, file, size, scheme):
    def look(page):
        page.wait_for_selector('figure[data-chart="chart-delay"] svg')
        return (
            dict(page.evaluate(MARKS)),
            page.evaluate(OVERLAPS),
            page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
            page.screenshot(full_page=True),
            page.evaluate("getComputedStyle(document.body).backgroundColor"),
        )

    looked, problems = browser.look(file, look, width=SIZES[size], scheme=scheme)
    marks, overlaps, fits, screenshot, background = looked
    assert problems == []
    assert marks.keys() == {
        f"chart-{name}" for name in ("lanes", "loss", "freeze", "sent", "received", "delay")
    }
    assert all(count >= 7 for count in marks.values()), marks  # one or more for each user
    assert overlaps == []
    assert fits
    assert colours(screenshot) > 50
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 25, 31)"}[scheme]


@pytest.mark.slow
def test_page_prints_dark_on_white(browser, file):
    def look(page):
        page.wait_for_selector('figure[data-chart="chart-delay"] svg')
        return (
            page.evaluate("getComputedStyle(document.body).backgroundColor"),
            page.evaluate("getComputedStyle(document.body).color"),
            page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
            page.pdf()[:4],
        )

    looked, problems = browser.look(file, look, width=794, scheme="dark", media="print")
    assert problems == []
    assert looked == ("rgb(255, 255, 255)", "rgb(0, 0, 0)", True, b"%PDF")


@pytest.mark.slow
def test_scripts_in_names_do_not_run(browser, charts, tmp_path):
    sessions = [evolve(session, uid=EVIL) for session in charts.sessions[:2]]
    path = tmp_path / "evil.html"
    path.write_text(call_page(CallCharts(call_of_nobody(EVIL), sessions, bins=10)), encoding="utf-8")

    def look(page):
        page.wait_for_selector('figure[data-chart="chart-lanes"] svg')
        return page.title(), page.locator("h1").text_content()

    (title, heading), problems = browser.look(path, look, width=800)
    assert problems == []
    assert title.startswith("Call </script>")
    assert heading == EVIL


@pytest.mark.slow
def test_an_open_browser_leaves_the_event_loop_of_tests_alone(browser):
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"
