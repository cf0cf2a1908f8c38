"""The charts of the page of a call: a lane for each user, and loss, freeze, bitrates and delay over time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from agora_analytics.insight.call_charts import CallCharts, Measure, UserCharts, Values
from agora_analytics.insight.pages.html_page import PageChart

if TYPE_CHECKING:
    import altair as alt

PALETTE = ("#0b7bc0", "#d1760a", "#0a9c74", "#c4579b", "#8d6fd1", "#b08d00", "#5aa7d6", "#c0504d")
"""One colour for each user, that can be told apart on white and on black, and by people who see few colours."""

LINES: Sequence[tuple[str, str, str, str]] = (
    ("loss", "Packet loss", "%", ".1f"),
    ("freeze", "Share of the time frozen", "%", ".1f"),
    ("sent", "Bitrate sent", "kbit/s", ",.0f"),
    ("received", "Bitrate received", "kbit/s", ",.0f"),
    ("delay", "Round trip to the server", "ms", ",.0f"),
)
"""The charts over time: name, title, unit, and the format of a value."""

_LANE = 22  # pixels
_LEAST_LINE, _LINE_HEIGHT = 60, 150
_AXIS = 44  # pixels of the labels of a vertical axis, so that all charts begin at the same place
_SHORT = 600  # s, up to which the axis of time shows seconds


def lanes(charts: CallCharts, users: Sequence[UserCharts], labels: Sequence[str]) -> PageChart:
    """Return the chart with a lane for each user: when the user was in the call, and when the media froze."""
    import altair as alt

    stays = [
        {"user": label, "from": _ms(session.join_ts), "to": _ms(max(session.leave_ts, session.join_ts + 1))}
        for user, label in zip(users, labels, strict=True)
        for session in user.sessions
    ]
    cells = [
        {"user": label, "from": start, "to": end, "frozen": round(100 * float(share), 1)}
        for user, label in zip(users, labels, strict=True)
        for start, end, share in _intervals(charts, user.values(Measure.FREEZE))
        if share > 0.005
    ]
    order = alt.Y(
        "user:N", title=None, sort=list(labels), axis=alt.Axis(ticks=False, domain=False, labelLimit=150)
    )
    stay = alt.Chart(alt.NamedData("stays")).mark_bar(
        height=_LANE - 8, color="#8a94a0", opacity=0.45, cornerRadius=2
    )
    frozen = alt.Chart(alt.NamedData("cells")).mark_bar(height=_LANE - 8)
    color = alt.Color(
        "frozen:Q",
        title="Share of the time frozen, in %",
        scale=alt.Scale(domain=[0, 30], range=["#f2c14e", "#d1495b", "#7b1e3a"], clamp=True),
        legend=alt.Legend(gradientLength=140, gradientThickness=10),
    )
    tooltip = [alt.Tooltip("user:N"), _at("from"), alt.Tooltip("frozen:Q", title="% frozen")]
    layers = [
        stay.encode(
            x=_time_axis(charts, "from", of_call=False),
            x2="to:T",
            y=order,
            tooltip=[alt.Tooltip("user:N"), _at("from"), _at("to")],
        )
    ]
    if cells:
        layers.append(frozen.encode(x=alt.X("from:T"), x2="to:T", y=order, color=color, tooltip=tooltip))
    height = max(_LEAST_LINE, _LANE * len(users))
    return PageChart(
        alt.layer(*layers).properties(width="container", height=height), {"stays": stays, "cells": cells}
    )


def line(
    name: str, unit: str, number: str, charts: CallCharts, users: Sequence[UserCharts], labels: Sequence[str]
) -> PageChart | None:
    """Return the chart of one measure over time with a line for each user; None if there are no samples."""
    import altair as alt

    rows = [
        {
            "user": label,
            "at": (start + end) // 2,
            "value": None if np.isnan(value) else round(float(value), 2),
        }
        for user, label in zip(users, labels, strict=True)
        for start, end, value in _intervals(charts, measured(user, name))
    ]
    if all(row["value"] is None for row in rows):
        return None
    near = alt.selection_point(
        fields=["user"], on="pointerover", nearest=True, clear="pointerout", empty=False
    )
    scale = alt.Scale(domain=list(labels), range=list(PALETTE[: len(labels)]))
    base = alt.Chart(alt.NamedData("rows")).encode(
        y=alt.Y("value:Q", title=unit, axis=alt.Axis(tickCount=4, minExtent=_AXIS, maxExtent=_AXIS)),
        color=alt.Color("user:N", scale=scale, legend=None),  # the page has one legend for all charts
        tooltip=[alt.Tooltip("user:N"), _at("at"), alt.Tooltip("value:Q", title=unit, format=number)],
    )
    width = alt.condition(near, alt.value(3), alt.value(1.5))
    drawing = alt.layer(
        base.mark_line(interpolate="monotone").encode(x=_time_axis(charts, "at"), strokeWidth=width),
        base.mark_point(size=60, opacity=0).encode(x=alt.X("at:T")).add_params(near),  # a line is hard to hit
    ).properties(width="container", height=_LINE_HEIGHT)
    return PageChart(drawing, {"rows": rows})


def measured(user: UserCharts, name: str) -> Values:
    """Return the values of a chart of `LINES` in its unit; NaN where nothing was measured."""
    match name:
        case "loss":
            return 100 * user.loss
        case "freeze":
            return 100 * user.values(Measure.FREEZE)
        case _:
            return user.values(
                {"sent": Measure.SENT, "received": Measure.RECEIVED, "delay": Measure.DELAY}[name]
            )


def _intervals(charts: CallCharts, values: Values) -> list[tuple[int, int, float]]:
    """Return the start and the end of each interval in UTC epoch milliseconds, and its value."""
    start, seconds = charts.axis.start, charts.axis.seconds
    return [
        (round(1000 * (start + place * seconds)), round(1000 * (start + (place + 1) * seconds)), value)
        for place, value in enumerate(values.tolist())
    ]


def _time_axis(charts: CallCharts, field: str, *, of_call: bool = True) -> "alt.X":
    """Return the axis of time, from the begin to the end of the call, or of the data.

    Only the first layer of a chart needs it, and bars cannot have that of the call: Vega-Lite cannot merge two domains.
    """
    import altair as alt

    domain = [date_time(charts.axis.start), date_time(charts.axis.end)]
    is_short = charts.axis.end - charts.axis.start < _SHORT
    return alt.X(
        f"{field}:T",
        title=None,
        scale=alt.Scale(type="utc", nice=False, **({"domain": domain} if of_call else {})),
        axis=alt.Axis(
            format="%H:%M:%S" if is_short else "%H:%M",
            tickCount=alt.ExprRef("max(2, floor(width / 75))"),
            labelOverlap="greedy",
            labelSeparation=8,
        ),
    )


def date_time(ts: int) -> "alt.DateTime":
    """Return a UTC timestamp as a value of a domain."""
    import altair as alt

    at = datetime.fromtimestamp(ts, UTC)
    return alt.DateTime(
        year=at.year,
        month=at.month,
        date=at.day,
        hours=at.hour,
        minutes=at.minute,
        seconds=at.second,
        utc=True,
    )


def _at(field: str) -> "alt.Tooltip":
    import altair as alt

    return alt.Tooltip(f"{field}:T", title=field, formatType="utc", format="%H:%M:%S")


def _ms(ts: int) -> int:
    return 1000 * ts
