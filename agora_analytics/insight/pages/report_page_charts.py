"""The charts of the page of a report: rates over time with their intervals, and rates by group."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agora_analytics.insight.pages.call_page_charts import date_time
from agora_analytics.insight.pages.html_page import PageChart
from agora_analytics.insight.quality_report.report_records import (
    MeasureRate,
    PanelGroup,
    QualityReport,
    ReportPanel,
)

if TYPE_CHECKING:
    import altair as alt

MEASURE_COLOURS: Mapping[str, str] = {"freeze": "#0b7bc0", "loss": "#c66a00", "delay": "#0a9c74"}
VERDICT_COLOURS: Mapping[str, str] = {
    "worse": "#d1495b",
    "better": "#0a9c74",
    "none": "#8a94a0",
    "unknown": "#8a94a0",
}
_ROW, _HEIGHT = 22, 130  # pixels
_AXIS = 38  # pixels of the labels of a vertical axis, so that charts above each other begin at the same place
_DAY = 86_400
_LEAST_SCALE = 1.0  # %
_UNIT = "% of the time"


def over_time(report: QualityReport, measure: str) -> PageChart:
    """Return the rate of a measure in each interval as a line, with its 95 % interval as a band."""
    import altair as alt

    rows = []
    for each in report.over_time:
        rate = next(rate for rate in each.rates if rate.measure == measure)
        at = 500 * (each.start + each.end)
        rows.append({"at": at, "calls": each.calls, "users": each.users, **_numbers(rate)})
    colour = MEASURE_COLOURS[measure]
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X("at:T"),
        tooltip=[
            alt.Tooltip("at:T", title="around (UTC)", formatType="utc", format="%Y-%m-%d %H:%M"),
            *_tooltips(),
        ],
    )
    y = alt.Y("rate:Q", title=_UNIT, scale=_scale(rows), axis=_rate_axis())
    layers = [
        base.mark_line(color=colour, strokeWidth=1.5).encode(x=_time_axis(report), y=y),
        base.mark_point(color=colour, filled=True, size=22, opacity=1).encode(y=alt.Y("rate:Q")),
    ]
    if _has_intervals(rows):
        layers.append(base.mark_area(color=colour, opacity=0.22).encode(y=alt.Y("low:Q"), y2="high:Q"))
    return PageChart(alt.layer(*layers).properties(width="container", height=_HEIGHT), {"rows": rows})


def _time_axis(report: QualityReport) -> "alt.X":
    """Return the axis of time, over the whole period. Only one layer has it: Vega-Lite cannot merge two domains."""
    import altair as alt

    days = (report.until - report.since) // _DAY
    most = days if days > 3 else 24
    return alt.X(
        "at:T",
        title=None,
        scale=alt.Scale(type="utc", nice=False, domain=[date_time(report.since), date_time(report.until)]),
        axis=alt.Axis(
            labelExpr="utcFormat(datum.value, utchours(datum.value) ? '%H:%M' : '%b %-d')",
            tickCount=alt.ExprRef(f"max(2, min({most}, floor(width / 60)))"),
            labelOverlap="greedy",
            labelSeparation=8,
        ),
    )


def by_group(report: QualityReport, panel: ReportPanel, measure: str) -> PageChart:
    """Return the rate of each group of a panel as a point with its 95 % interval, and that of all users as a line."""
    rows = [_row(group, measure) for group in panel.groups]
    total = report.total.rate(measure)
    overall = [{"rate": _percent(total.rate if total else None)}]
    drawing = _columns(rows) if panel.by == "hour_of_day" else _bars(rows)
    return PageChart(drawing, {"rows": rows, "overall": overall})


def _bars(rows: Sequence[Mapping[str, Any]]) -> "alt.LayerChart":
    """Return a chart with a line for each group."""
    import altair as alt

    base = _base().encode(
        y=alt.Y(
            "group:N",
            title=None,
            sort=[row["group"] for row in rows],
            axis=alt.Axis(ticks=False, domain=False, labelLimit=110, labelPadding=8, minExtent=70),
        )
    )
    x = alt.X("rate:Q", title=_UNIT, scale=_scale(rows), axis=alt.Axis(tickCount=4))
    return alt.layer(
        _overall().encode(x=x),
        *(
            [base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q")]
            if _has_intervals(rows)
            else []
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(x=alt.X("rate:Q")),
    ).properties(width="container", height=max(50, _ROW * len(rows)))


def _columns(rows: Sequence[Mapping[str, Any]]) -> "alt.LayerChart":
    """Return a chart with a column for each hour of the day."""
    import altair as alt

    hours = [f"{hour:02}:00" for hour in range(24)]
    base = _base().encode(
        x=alt.X(
            "group:N",
            title=None,
            sort=hours,
            scale=alt.Scale(domain=hours),
            axis=alt.Axis(
                labelAngle=0, labelOverlap="greedy", labelSeparation=6, ticks=False, labelPadding=6
            ),
        )
    )
    y = alt.Y("rate:Q", title=_UNIT, scale=_scale(rows), axis=_rate_axis())
    return alt.layer(
        _overall().encode(y=y),
        *(
            [base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q")]
            if _has_intervals(rows)
            else []
        ),
        base.mark_point(filled=True, size=40, opacity=1).encode(y=alt.Y("rate:Q")),
    ).properties(width="container", height=_HEIGHT)


def _rate_axis() -> "alt.Axis":
    import altair as alt

    return alt.Axis(tickCount=4, minExtent=_AXIS, maxExtent=_AXIS)


def _scale(rows: Sequence[Mapping[str, Any]]) -> "alt.Scale":
    """Return the scale of rates. It begins at 0, and ends at 1 % or later, so that tiny rates look tiny."""
    import altair as alt

    values = [value for row in rows for name in ("rate", "high") if (value := row[name]) is not None]
    return alt.Scale(domain=[0, max([_LEAST_SCALE, *values])], nice=True)


def _has_intervals(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether any row has an interval. Vega warns about a layer without values."""
    return any(row["low"] is not None for row in rows)


def _base() -> "alt.Chart":
    import altair as alt

    scale = alt.Scale(domain=list(VERDICT_COLOURS), range=list(VERDICT_COLOURS.values()))
    return alt.Chart(alt.NamedData("rows")).encode(
        color=alt.Color("verdict:N", scale=scale, legend=None),  # the tables have the words
        tooltip=[alt.Tooltip("group:N"), *_tooltips(), alt.Tooltip("verdict:N")],
    )


def _overall() -> "alt.Chart":
    import altair as alt

    return alt.Chart(alt.NamedData("overall")).mark_rule(
        strokeDash=[3, 3], color="currentColor", opacity=0.55
    )


def _tooltips() -> list["alt.Tooltip"]:
    import altair as alt

    return [
        *(
            alt.Tooltip(f"{name}:Q", title=f"{name}, {_UNIT}", format=".1f")
            for name in ("rate", "low", "high")
        ),
        alt.Tooltip("calls:Q", format=","),
        alt.Tooltip("users:Q", format=","),
    ]


def _row(group: PanelGroup, measure: str) -> dict[str, Any]:
    rate = group.rate(measure)
    numbers = _numbers(rate) if rate else {}
    verdict = rate.verdict if rate else "unknown"
    return {
        "group": group.group,
        "calls": group.calls,
        "users": group.users,
        "verdict": verdict,
        **numbers,
    }


def _numbers(rate: MeasureRate) -> dict[str, float | None]:
    return {"rate": _percent(rate.rate), "low": _percent(rate.low), "high": _percent(rate.high)}


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)
