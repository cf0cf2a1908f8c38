"""The page of a report: the result in words, quality over time and by group, the worst calls, and what is missing."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from agora_analytics.insight.pages.html_page import PageChart, render
from agora_analytics.insight.pages.report_page_charts import VERDICT_COLOURS, by_group, over_time
from agora_analytics.insight.quality_report.report_records import (
    MediaScore,
    PanelGroup,
    QualityReport,
    ReportPanel,
    WorstCall,
)
from agora_analytics.insight.quality_report.report_text import (
    TITLES,
    count,
    group_words,
    interval,
    minute,
    missing_sentences,
    percent,
    time_range,
)

_LEGEND = (
    ("worse", "worse than the rest"),
    ("better", "better than the rest"),
    ("none", "no difference found, or too few calls"),
)
_CAPTIONS = {"freeze": "Freeze", "loss": "Packet loss", "delay": "Delay"}


def report_page(report: QualityReport) -> str:
    """Return the page of a report as one HTML file.

    Raises:
        ModuleNotFoundError: the extra `[insight]` is not installed.
    """
    measures = report.measures
    charts: dict[str, PageChart] = {f"time_{name}": over_time(report, name) for name in measures}
    panels = [panel for panel in report.panels if panel.groups]
    for panel in panels:
        charts |= {f"{panel.by}_{name}": by_group(report, panel, name) for name in measures}
    return render(
        "report.html",
        charts,
        report=report,
        period=time_range(report.since, report.until),
        facts=list(_facts(report)),
        measures=[(name, _CAPTIONS[name]) for name in measures],
        media=[each.media for each in report.total.scores],
        interval_text=_interval_text(report),
        legend=[(words, VERDICT_COLOURS[name]) for name, words in _LEGEND],
        panels=[_panel(panel, report) for panel in panels],
        total=_group(report.total, report),
        worst=[_worst(call, report) for call in report.worst_calls],
        missing=list(missing_sentences(report)),
        titles=TITLES,
    )


def _facts(report: QualityReport) -> Iterator[tuple[str, str]]:
    yield "time", time_range(report.since, report.until)
    if report.channels:
        yield "channels", ", ".join(report.channels)
    yield "calls", f"{report.calls:,}"
    yield "users", f"{report.users:,}"
    yield "vendor", report.vendor
    yield "limits", f"profile {report.profile}"


def _interval_text(report: QualityReport) -> str:
    """Return the length of the intervals of the charts over time in words."""
    if not report.over_time:
        return ""
    hours = max(each.end - each.start for each in report.over_time) // 3600
    if hours % 24 == 0:
        return count(hours // 24, "day")
    return count(hours, "hour")


def _panel(panel: ReportPanel, report: QualityReport) -> dict[str, Any]:
    title = TITLES[panel.by]
    return {
        "by": panel.by,
        "title": f"By {title}",
        "column": title,
        "rows": [_group(group, report) for group in panel.groups],
        "left_out": panel.left_out,
    }


def _group(group: PanelGroup, report: QualityReport) -> dict[str, Any]:
    scores = {each.media: each for each in group.scores}
    return {
        "name": group.group,
        "calls": f"{group.calls:,}",
        "users": f"{group.users:,}",
        "rates": [
            (
                percent(rate.rate),
                "" if rate.low is None or rate.high is None else interval(rate.low, rate.high),
                rate.verdict,
            )
            for rate in group.rates
        ],
        "scores": _scores(scores.get(each.media) for each in report.total.scores),
        "words": group_words(group),
        "kind": _kind(group),
    }


def _kind(group: PanelGroup) -> str:
    verdicts = {rate.verdict for rate in group.rates}
    return next((name for name in ("worse", "better") if name in verdicts), "")


def _scores(scores: Any) -> list[tuple[str, str]]:
    """Return the mean and the worst window of each medium as texts."""
    found: Sequence[MediaScore | None] = list(scores)
    return [
        (_score(each.mean), _score(each.worst_window)) if each is not None else ("-", "-") for each in found
    ]


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _worst(call: WorstCall, report: QualityReport) -> dict[str, Any]:
    shares = dict(call.shares)
    scores = {each.media: each for each in call.scores}
    until = "" if call.end is None else f" to {minute(call.end)[11:]}"
    return {
        "time": f"{minute(call.start)}{until}",
        "ongoing": not call.finished,
        "channel": call.channel or "",
        "call_id": call.call_id,
        "users": f"{call.poor_users:,} of {call.users:,}",
        "shares": [percent(shares.get(measure)) for measure in report.measures],
        "scores": _scores(scores.get(each.media) for each in report.total.scores),
        "commands": _commands(call),
    }


def _commands(call: WorstCall) -> list[str]:
    """Return the commands that show more of a call. Only Agora's calls can be inspected."""
    if call.vendor != "agora":
        return []
    call_id, uid = shlex.quote(call.call_id), shlex.quote(call.uid)
    found = [f"agora-analytics inspect {call_id} -o call.html"]
    return [*found, f"agora-analytics why --store STORE --call {call_id} --uid {uid}"] if call.uid else found
