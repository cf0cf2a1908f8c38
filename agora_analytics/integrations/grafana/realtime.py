"""The dashboard of live calls and of the clients, over Prometheus.

The metrics are those of `agora-analytics export prometheus`. A service that exports them with OpenTelemetry has the same
names after the translation to Prometheus.
"""

from agora_analytics.integrations.grafana.colors import SOURCE, green_above, red_above
from agora_analytics.integrations.grafana.panels import PROMETHEUS, Dashboard, Panel, Query, Variable
from agora_analytics.integrations.metric_names import (
    APP_ID,
    CLIENT_METRICS,
    ENDPOINT,
    LIVE_METRICS,
    METRIC,
    QUALITY_METRICS,
    VENDOR,
    WAIT_REASON,
    WINDOW_METRICS,
    label,
)

_USERS, _CHANNELS = LIVE_METRICS["userCount"].prometheus, LIVE_METRICS["channelCount"].prometheus
_REQUESTS, _WAITS = CLIENT_METRICS["request"].prometheus, CLIENT_METRICS["wait"].prometheus
_LEFT, _LIMIT = CLIENT_METRICS["quota_remaining"].prometheus, CLIENT_METRICS["quota_limit"].prometheus
_END, _LOST = WINDOW_METRICS["time"].prometheus, WINDOW_METRICS["lost"].prometheus
_APP = label(APP_ID)
_SELECTED = f'{{{label(VENDOR)}=~"$vendor", {_APP}=~"$app_id"}}'
_BY_ENDPOINT = f"{{{{{label(ENDPOINT)}}}}}"
_BY_APP = f"{{{{{_APP}}}}}"


def _value(metric: str) -> str:
    return QUALITY_METRICS[metric].prometheus + _SELECTED


def _now(title: str, description: str, metric: str, *, below: bool = False) -> Panel:
    """Return the panel of a share: the worst of the selected apps."""
    worst = "min" if below else "max"
    return Panel(
        title=title,
        description=f"{description} The worst of the selected apps. {SOURCE}",
        kind="stat",
        queries=(Query(f"{worst}({_value(metric)})"),),
        unit="percentunit",
        lowest="red" if below else "green",
        limits=green_above(metric) if below else red_above(metric),
        decimals=2,
        width=4,
        height=5,
    )


def _over_time(title: str, metrics: dict[str, str], *, below: bool = False) -> Panel:
    """Return the panel of shares over time: of each app, or of its worst group with `--by`."""
    first = next(iter(metrics))
    worst = "min" if below else "max"
    return Panel(
        title=title,
        description="; ".join(f"{name}: {QUALITY_METRICS[metric].description}" for metric, name in metrics.items())
        + f" {SOURCE}",
        kind="timeseries",
        queries=tuple(Query(f"{worst} by ({_APP}) ({_value(metric)})", f"{name} {_BY_APP}") for metric, name in metrics.items()),
        unit="percentunit",
        lowest="red" if below else "green",
        limits=green_above(first) if below else red_above(first),
        low=None if below else 0,
        high=1 if below else None,
        interval="20s",
    )  # fmt: skip


REALTIME = Dashboard(
    uid="agora-analytics-realtime",
    title="Call quality: live",
    description="Live quality of Agora's calls, and the requests, waits and quotas of the clients. The data source is a "
    "Prometheus server that scrapes `agora-analytics export prometheus`.",
    source=PROMETHEUS,
    since="now-3h",
    refresh="30s",
    variables=(
        Variable(name="vendor", label="Vendor", query=f"label_values({_USERS}, {label(VENDOR)})"),
        Variable(name="app_id", label="App", query=f"label_values({_USERS}, {_APP})"),
    ),
    rows={
        "Now": (
            Panel(
                title="Users",
                description=LIVE_METRICS["userCount"].description,
                kind="stat",
                queries=(Query(f"sum({_USERS}{_SELECTED})"),),
                width=4,
                height=5,
            ),
            _now("Video freeze", "Share of the time that video was frozen.", "video_freeze_rate"),
            _now("Audio freeze", "Share of the time that audio was frozen.", "audio_freeze_rate"),
            _now("High delay", "Share of the time with a high network delay.", "network_delay_rate"),
            _now("Joins", "Share of the attempts to join that succeeded.", "join_success_rate", below=True),
            _now(
                "Joins in 5 s",
                "Share of the attempts to join that succeeded within five seconds.",
                "join_success_in_5s_rate",
                below=True,
            ),
        ),
        "Quality": (
            _over_time("Freezes", {"video_freeze_rate": "video", "audio_freeze_rate": "audio"}),
            _over_time("High network delay", {"network_delay_rate": "delay"}),
            _over_time(
                "Joins", {"join_success_rate": "joined", "join_success_in_5s_rate": "in 5 s"}, below=True
            ),
            Panel(
                title="Users and channels",
                description="Users in calls, and channels with at least one user.",
                kind="timeseries",
                queries=(
                    Query(f"sum by ({_APP}) ({_USERS}{_SELECTED})", f"users {_BY_APP}"),
                    Query(f"sum by ({_APP}) ({_CHANNELS}{_SELECTED})", f"channels {_BY_APP}"),
                ),
                low=0,
                interval="20s",
            ),
        ),
        "Data": (
            Panel(
                title="Age of the newest window",
                description="Seconds since the end of the newest window with values. It grows until the next request: up to about "
                "six minutes with all metrics, because the daily quota allows no more requests. Red above 15 minutes.",
                kind="timeseries",
                queries=(Query(f"time() - max by ({_APP}) ({_END}{_SELECTED})", _BY_APP),),
                unit="s",
                limits=((900, "red"),),
                low=0,
            ),
            Panel(
                title="Lost windows",
                description="Windows of 20 s that could not be fetched before Agora deleted them, such as after an outage or "
                "when the quota is used up.",
                kind="timeseries",
                queries=(
                    Query(
                        f"sum by ({label(METRIC)}) (increase({_LOST}[$__rate_interval]))",
                        f"{{{{{label(METRIC)}}}}}",
                    ),
                ),
                low=0,
                stacked=True,
            ),
        ),
        "Client": (
            Panel(
                title="Requests",
                description="Requests sent a second, each attempt counted, by endpoint.",
                kind="timeseries",
                queries=(
                    Query(
                        f"sum by ({label(ENDPOINT)}) (rate({_REQUESTS}_count[$__rate_interval]))",
                        _BY_ENDPOINT,
                    ),
                ),
                unit="reqps",
                low=0,
            ),
            Panel(
                title="Errors",
                description="Share of the requests that failed, by endpoint: without a response, or with a status that is an "
                "error. Retries follow most of them.",
                kind="timeseries",
                queries=(
                    Query(
                        f'(sum by ({label(ENDPOINT)}) (rate({_REQUESTS}_count{{error_type!=""}}[$__rate_interval]))\n'
                        f"  or 0 * sum by ({label(ENDPOINT)}) (rate({_REQUESTS}_count[$__rate_interval])))\n"
                        f"/ (sum by ({label(ENDPOINT)}) (rate({_REQUESTS}_count[$__rate_interval])) > 0)",
                        _BY_ENDPOINT,
                    ),
                ),
                unit="percentunit",
                low=0,
            ),
            Panel(
                title="Response time",
                description="95 % of the requests are answered within this time, by endpoint. It contains no waits.",
                kind="timeseries",
                queries=(
                    Query(
                        f"histogram_quantile(0.95, sum by (le, {label(ENDPOINT)}) (rate({_REQUESTS}_bucket[$__rate_interval])))",
                        _BY_ENDPOINT,
                    ),
                ),
                unit="s",
                low=0,
            ),
            Panel(
                title="Waits",
                description="Seconds that requests wait in each second, by reason: the rate limit, the daily quota, a back-off "
                "after an error, the ledger. 3 means that three requests wait all the time.",
                kind="timeseries",
                queries=(
                    Query(
                        f"sum by ({label(WAIT_REASON)}) (rate({_WAITS}_sum[$__rate_interval]))",
                        f"{{{{{label(WAIT_REASON)}}}}}",
                    ),
                ),
                low=0,
            ),
            Panel(
                title="Quota left",
                description="Share of each daily quota that is left today (UTC). Red below 10 %.",
                kind="bargauge",
                queries=(Query(f"{_LEFT} / {_LIMIT}", _BY_ENDPOINT),),
                unit="percentunit",
                lowest="red",
                limits=((0.1, "yellow"), (0.25, "green")),
                low=0,
                high=1,
            ),
            Panel(
                title="Requests left today",
                description="Requests that may still be sent today (UTC), of each daily quota of which some were sent.",
                kind="timeseries",
                queries=(Query(f"{_LEFT} < {_LIMIT}", _BY_ENDPOINT),),
                low=0,
            ),
        ),
    },
)
