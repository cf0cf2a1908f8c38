"""The dashboard of stored calls, over a DuckDB file that `agora-analytics views` wrote.

Grafana replaces `$__from`, `$__to` and `$__interval_ms` by numbers and `${vendor:sqlstring}` by quoted texts, and the
plugin replaces `$__timeFilter(column)`. Every query has a condition on `day`, because it selects the files that are read.
Sums are cast to DOUBLE or BIGINT: the plugin does not convert HUGEINT, the type of a sum of integers.
"""

from agora_analytics.integrations.grafana.colors import SOURCE, grades_of_scores, red_above
from agora_analytics.integrations.grafana.panels import DUCKDB, Dashboard, Panel, Query, Variable

# Samples have the day on which their call began, so the day before is read, too.
_DAYS = (
    "day BETWEEN make_timestamp($__from * 1000)::DATE - 1 AND make_timestamp($__to * 1000)::DATE\n"
    "    AND app_id IN (${app_id:sqlstring})"
)
_SELECTED = f"{_DAYS} AND vendor IN (${{vendor:sqlstring}})"
_HOURS = f"FROM quality_hours\nWHERE {_SELECTED} AND $__timeFilter(hour)"
_SCORES = f"FROM interval_scores\nWHERE {_SELECTED} AND $__timeFilter(ts) AND score IS NOT NULL"
_MEAN_SCORE = "(sum(score * seconds) / sum(seconds))::DOUBLE"
_MEAN = "(sum(value_sum) / nullif(sum(measured), 0))::DOUBLE"
_FROZEN = "(sum(value_sum) / 1000 / nullif(sum(seconds), 0))::DOUBLE"
_METRIC = "${__field.labels.metric}"
_LIMITS = "freezes (audio 3 %, video 5 % of the time), received packet loss (5 %) and round trip (400 ms)"


def _bucket(column: str) -> str:
    return f"time_bucket(to_milliseconds($__interval_ms), {column}) AS time"


def _score(media: str) -> Panel:
    return Panel(
        title=f"{media.capitalize()} score",
        description=f"Mean score of the received {media}, weighted by time: 1 is worst, 4.5 best. The colors are Agora's "
        "bands: green from 3.5, yellow from 3, orange from 2.5.",
        kind="stat",
        queries=(Query(f"SELECT {_MEAN_SCORE} AS score {_SCORES} AND media = '{media}'"),),
        lowest="red",
        limits=grades_of_scores(),
        decimals=2,
        width=4,
        height=5,
    )


def _frozen(media: str) -> Panel:
    return Panel(
        title=f"Frozen {media}",
        description=f"Share of the received time in which the {media} was frozen. {SOURCE}",
        kind="stat",
        queries=(Query(f"SELECT {_FROZEN} AS frozen {_HOURS} AND metric = '{media}_freeze_time'"),),
        unit="percentunit",
        limits=red_above(f"{media}_freeze_time"),
        decimals=2,
        width=4,
        height=5,
    )


def _poor_by(title: str, column: str) -> Panel:
    shares = ",\n    ".join(
        f"(sum(seconds_beyond) FILTER (metric {condition}) / sum(seconds) FILTER (metric {condition}))::DOUBLE AS {name}"
        for name, condition in {
            "freezes": "LIKE '%_freeze_time'",
            "loss": "LIKE '%_packet_loss_received'",
            "delay": "= 'round_trip_time'",
        }.items()
    )
    return Panel(
        title=f"Poor time by {title}",
        description=f"Share of the measured time beyond the limits of the profile agora: {_LIMITS}. The ten groups with the "
        "most measured time. A vendor without a metric has no bar.",
        kind="barchart",
        queries=(
            Query(
                f"SELECT coalesce({column}, 'unknown') AS \"{title}\",\n    {shares}\n{_HOURS} AND seconds_beyond IS NOT NULL\n"
                "GROUP BY 1 ORDER BY sum(seconds) DESC LIMIT 10"
            ),
        ),
        unit="percentunit",
        low=0,
    )


_AT_A_GLANCE = (
    Panel(
        title="Calls",
        description="Calls that began in the time range: calls of Agora, meetings of OpenTok.",
        kind="stat",
        queries=(
            Query(
                "SELECT count(DISTINCT (app_id, call_id))::BIGINT AS calls FROM (\n"
                f"    SELECT app_id, call_id FROM calls WHERE {_DAYS} AND $__timeFilter(created_ts)\n"
                "        AND 'agora' IN (${vendor:sqlstring})\n"
                f"    UNION ALL SELECT app_id, call_id FROM points WHERE {_SELECTED} AND $__timeFilter(ts)\n"
                ") WHERE call_id IS NOT NULL"
            ),
        ),
        width=4,
        height=5,
    ),
    Panel(
        title="Users",
        description="Distinct users with a sample in the time range.",
        kind="stat",
        queries=(
            Query(
                f"SELECT count(DISTINCT (app_id, user_id))::BIGINT AS users FROM quality\nWHERE {_SELECTED} AND $__timeFilter(ts)"
            ),
        ),
        width=4,
        height=5,
    ),
    _score("audio"),
    _score("video"),
    _frozen("audio"),
    _frozen("video"),
)
_OVER_TIME = (
    Panel(
        title="Score",
        description="Mean score of the received audio and video, weighted by time: 1 is worst, 4.5 best.",
        kind="timeseries",
        queries=(
            Query(
                f"SELECT {_bucket('ts')}, media AS metric, {_MEAN_SCORE} AS score\n{_SCORES}\nGROUP BY 1, 2 ORDER BY 1, 2",
                _METRIC,
            ),
        ),
        lowest="red",
        limits=grades_of_scores(),
        low=1,
        high=4.5,
        decimals=2,
        interval="1m",
    ),
    Panel(
        title="Frozen time",
        description=f"Share of the received time that was frozen. {SOURCE} It is drawn for video; that of audio is 3 %.",
        kind="timeseries",
        queries=(
            Query(
                f"SELECT {_bucket('hour')}, split_part(metric, '_', 1) AS metric, {_FROZEN} AS frozen\n"
                f"{_HOURS} AND metric LIKE '%_freeze_time'\nGROUP BY 1, 2 ORDER BY 1, 2",
                _METRIC,
            ),
        ),
        unit="percentunit",
        limits=red_above("video_freeze_time"),
        low=0,
        interval="1h",
    ),
    Panel(
        title="Received packet loss",
        description=f"Mean share of the packets that did not reach a receiver. {SOURCE}",
        kind="timeseries",
        queries=(
            Query(
                f"SELECT {_bucket('hour')}, vendor || ' ' || split_part(metric, '_', 1) AS metric, {_MEAN} AS loss\n"
                f"{_HOURS} AND metric LIKE '%_packet_loss_received'\nGROUP BY 1, 2 ORDER BY 1, 2",
                _METRIC,
            ),
        ),
        unit="percentunit",
        limits=red_above("audio_packet_loss_received"),
        low=0,
        interval="1h",
    ),
    Panel(
        title="Round trip",
        description=f"Round-trip time between a user and the nearest server: half and 95 % of the samples are below. {SOURCE}",
        kind="timeseries",
        queries=(
            Query(
                f"SELECT {_bucket('ts')}, quantile_cont(value, 0.5)::DOUBLE AS median,\n"
                '    quantile_cont(value, 0.95)::DOUBLE AS "95 %"\n'
                f"FROM quality\nWHERE metric = 'round_trip_time' AND value IS NOT NULL AND {_SELECTED} AND $__timeFilter(ts)\n"
                "GROUP BY 1 ORDER BY 1"
            ),
        ),
        unit="ms",
        limits=red_above("round_trip_time"),
        low=0,
        interval="1m",
    ),
)
_WORST_CALLS = Panel(
    title="Worst calls",
    description="The calls with the lowest mean score of 30 seconds of one received stream, and the user who received it. "
    "`agora-analytics inspect CALL_ID` and `agora-analytics why` show a call.",
    kind="table",
    queries=(
        Query(
            'SELECT min(worst_window)::DOUBLE AS "worst 30 s", arg_min(worst_window_ts, worst_window) AS at,\n'
            "    arg_min(media, worst_window) AS media, arg_min(user_id, worst_window) AS user,\n"
            "    (sum(score * seconds) / sum(seconds))::DOUBLE AS score, count(DISTINCT user_id)::BIGINT AS users,\n"
            "    any_value(channel) AS channel, vendor, call_id, app_id\n"
            f"FROM stream_scores\nWHERE {_SELECTED} AND $__timeFilter(started_ts) AND score IS NOT NULL\n"
            "GROUP BY vendor, app_id, call_id ORDER BY 1, 2 LIMIT 20"
        ),
    ),
    units={"at": "dateTimeAsIso"},
    decimals=2,
    width=24,
    height=11,
)  # fmt: skip
_COMPLETENESS = (
    Panel(
        title="Calls by day",
        description="Stored calls of Agora by the UTC day on which they began. Ongoing calls are snapshots.",
        kind="timeseries",
        queries=(
            Query(
                "SELECT day::TIMESTAMP AS time, sum(calls - ongoing)::BIGINT AS complete, sum(ongoing)::BIGINT AS ongoing\n"
                f"FROM completeness\nWHERE {_DAYS}\nGROUP BY 1 ORDER BY 1"
            ),
        ),
        low=0,
        interval="1d",
        stacked=True,
    ),
    Panel(
        title="Completeness",
        description="The days with data: calls that were ongoing when they were fetched, and units of work that the next "
        "harvest has to finish. A day without data is not listed.",
        kind="table",
        queries=(
            Query(
                f"SELECT day, app_id, complete, calls, ongoing, pending\nFROM completeness\nWHERE {_DAYS}\n"
                "ORDER BY complete, day DESC, app_id LIMIT 100"
            ),
        ),
        units={"day": "dateTimeAsIso"},
    ),
)

STORE = Dashboard(
    uid="agora-analytics-store",
    title="Call quality: store",
    description="Stored calls of Agora and OpenTok: quality over time and by group, the worst calls, and what is still to be "
    "harvested. The data source is a DuckDB file that `agora-analytics views` wrote. Times are UTC.",
    source=DUCKDB,
    since="now-7d",
    refresh="",
    variables=(
        Variable(name="app_id", label="App", query="SELECT DISTINCT app_id FROM completeness ORDER BY 1"),
        Variable(
            name="vendor",
            label="Vendor",
            query="SELECT 'agora' AS vendor FROM calls UNION SELECT vendor FROM points ORDER BY 1",
        ),
    ),
    rows={
        "At a glance": _AT_A_GLANCE,
        "Over time": _OVER_TIME,
        "By group": (
            _poor_by("network", "network"),
            _poor_by("platform", "platform"),
            _poor_by("SDK version", "sdk_version"),
            _poor_by("vendor", "vendor"),
        ),
        "Calls": (_WORST_CALLS,),
        "Completeness": _COMPLETENESS,
    },
)
