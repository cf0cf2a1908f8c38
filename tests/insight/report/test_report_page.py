"""The page of a report: what is on it, that it is only text, and how it looks in a browser."""

import re

import pytest
from attrs import evolve

from agora_analytics.insight import report
from agora_analytics.store import open_store
from tests.insight.pages.page_checks import EVIL, OVERLAPS, SIZES, specs, without_library
from tests.insight.report.report_calls import SINCE, UNTIL, random_calls
from tests.insight.stored_calls import store_calls
from tests.services.browser import colours

pytest.importorskip("altair", reason="needs agora-analytics[insight]")
pytest.importorskip("vl_convert", reason="needs agora-analytics[insight]")

CHARTS = {
    f"{panel}_{measure}"
    for panel in ("time", "network", "platform", "sdk_version", "hour_of_day")
    for measure in ("freeze", "loss", "delay")
}
MARKS = """() => [...document.querySelectorAll("figure")].map(figure =>
  [figure.dataset.chart, figure.querySelectorAll(".mark-symbol path, .mark-line path").length])"""
LAST = 'figure[data-chart="chart-hour_of_day_delay"] svg'


@pytest.fixture(scope="module")
def page(planted):
    return planted.to_html()


@pytest.fixture(scope="module")
def file(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "week.html"
    path.write_text(page, encoding="utf-8")
    return path


def evil_call(call):
    users = [
        evolve(user, uid=f"{EVIL}{user.uid}", network=EVIL, sdk_version=f"{user.sdk_version}{EVIL}")
        for user in call.users
    ]
    return evolve(call, call_id=f"{EVIL[:20]}{call.call_id}", channel=EVIL, users=users)


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_library(page)))


def test_page_has_the_summary_the_panels_and_a_chart_for_each_measure(page, planted):
    assert specs(page).keys() == CHARTS
    text = text_of(page)
    for sentence in planted.summary:
        assert sentence.split(":")[0] in text
    assert "freeze worse: +" in text
    assert "No panel by region: No vendor sends the region of a user" in text
    assert "Limits of the profile agora" in text
    assert "AgoraIO/Docs-Source" in text


def test_groups_without_a_verdict_say_why(page, planted):
    (panel,) = (each for each in planted.panels if each.by == "hour_of_day")
    assert min(group.calls for group in panel.groups) < 20
    assert "too few calls" in page
    assert "no difference found" in page


def test_worst_calls_have_commands_that_show_more(page, planted):
    worst = planted.worst_calls[0]
    assert f"agora-analytics inspect {worst.call_id} -o call.html" in page
    assert f"agora-analytics why --store STORE --call {worst.call_id} --uid {worst.uid}" in page


def test_page_loads_nothing(page):
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", without_library(page))


def test_page_of_one_channel_has_nothing_of_the_others(planted_store):
    found = report(planted_store, since=SINCE, until=UNTIL, channels=["other"])
    text = without_library(found.to_html())
    assert "other-3-" in text
    assert "room" not in text
    assert "room" not in found.to_json()


def test_texts_of_users_are_only_text(store):
    store_calls(store, map(evil_call, random_calls(calls=22, seed=6)))
    found = report(store, since=SINCE, until=UNTIL, channels=[EVIL])
    page = found.to_html()
    assert EVIL not in page
    assert "<img" not in without_library(page)
    assert specs(page).keys() == CHARTS
    assert "--uid &#39;" in page  # quoted for a shell


def test_page_of_one_call_has_no_verdicts(store):
    store_calls(store, random_calls(calls=1, seed=4))
    text = text_of(report(store, since=SINCE, until=UNTIL).to_html())
    assert "too few calls to compare groups" in text
    assert "worse:" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "scheme"), [("desktop", "light"), ("tablet", "light"), ("phone", "light"), ("desktop", "dark")]
)
def test_page_is_drawn_and_nothing_overlaps(browser, file, size, scheme):
    def look(page):
        page.wait_for_selector(LAST)
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
    assert marks.keys() == {f"chart-{name}" for name in CHARTS}
    assert all(count >= 1 for count in marks.values()), marks
    assert overlaps == []
    assert fits
    assert colours(screenshot) > 50
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 25, 31)"}[scheme]


@pytest.mark.slow
def test_page_prints_dark_on_white(browser, file):
    def look(page):
        page.wait_for_selector(LAST)
        return (
            page.evaluate("getComputedStyle(document.body).backgroundColor"),
            page.evaluate("getComputedStyle(document.body).color"),
            page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
            page.evaluate(OVERLAPS),
            page.pdf()[:4],
        )

    looked, problems = browser.look(file, look, width=794, scheme="dark", media="print")
    assert problems == []
    assert looked == ("rgb(255, 255, 255)", "rgb(0, 0, 0)", True, [], b"%PDF")


@pytest.mark.slow
def test_scripts_in_names_do_not_run(browser, tmp_path):
    store = open_store(tmp_path / "store", create=True, durable=False)
    store_calls(store, map(evil_call, random_calls(calls=22, seed=6)))
    path = tmp_path / "evil.html"
    path.write_text(report(store, since=SINCE, until=UNTIL).to_html(), encoding="utf-8")

    def look(page):
        page.wait_for_selector(LAST)
        return page.title(), page.locator(".calls td.words").first.text_content()

    (title, channel), problems = browser.look(path, look, width=800)
    assert problems == []
    assert title.startswith("Call quality, 2026-11-17")
    assert channel == EVIL
