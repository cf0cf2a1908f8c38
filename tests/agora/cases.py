"""Endpoints 4 to 14: how each is asked, a golden answer, and what must come of it."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from agora_analytics.agora.stat_records import FreezeBucket, GroupStatistic, Point, TopGroup, Total
from tests.conftest import NOW

T = int(NOW)
HOUR, DAY = 3600, 86_400
CALL_ENDS = {"since": T - 2 * HOUR, "until": T - HOUR}
RANGE = (T - 2 * DAY, T - DAY)
LIVE = (T - 600, T - 540)
ENDS = {"since": T - 2 * HOUR, "until": T - HOUR - 1}
TOTAL_ENDS = {"since": RANGE[0], "until": RANGE[1] - 1}


@frozen(kw_only=True)
class EndpointCase:
    """One method and its endpoint. `data` is a golden answer, `optional` the fields of its rows that may be missing."""

    endpoint: str
    ask: Callable[..., Awaitable[Any]]
    data: Any
    expected: list[Any]
    optional: tuple[str, ...] = ()
    required: tuple[str, ...]


CASES = [
    EndpointCase(
        endpoint="call/statistics",
        ask=lambda client, **more: client.statistics("c1", "video_freeze_rate", "net", **CALL_ENDS, **more),
        data=[
            {"dimension_value": "Wi-Fi", "user_count": 7, "value": 0.0648},
            {"dimension_value": None, "user_count": 1, "value": None},
        ],
        expected=[
            GroupStatistic(
                metric="video_freeze_rate",
                dimension="net",
                dimension_value="Wi-Fi",
                user_count=7,
                value=0.0648,
                **ENDS,
            ),
            GroupStatistic(
                metric="video_freeze_rate",
                dimension="net",
                dimension_value=None,
                user_count=1,
                value=None,
                **ENDS,
            ),
        ],
        optional=("user_count",),
        required=("dimension_value", "value"),
    ),
    EndpointCase(
        endpoint="call/freeze/bucket",
        ask=lambda client, **more: client.freeze_distribution("c1", "audio_freeze_rate", **CALL_ENDS, **more),
        data=[{"bucket": "[10%,100%)", "user_count": 2}, {"bucket": "[0%,3%)", "user_count": 9}],
        expected=[
            FreezeBucket(metric="audio_freeze_rate", bucket="[0%,3%)", user_count=9, **ENDS),
            FreezeBucket(metric="audio_freeze_rate", bucket="[10%,100%)", user_count=2, **ENDS),
        ],
        required=("bucket", "user_count"),
    ),
    EndpointCase(
        endpoint="call/statistics/time",
        ask=lambda client, **more: client.statistics_over_time("c1", "user_count", **CALL_ENDS, **more),
        data=[{"ts": T - 3660, "value": 8}, {"ts": T - 7200, "value": 3}, {"ts": T - 7140, "value": None}],
        expected=[
            Point(ts=T - 7200, metric="user_count", value=3),
            Point(ts=T - 7140, metric="user_count", value=None),
            Point(ts=T - 3660, metric="user_count", value=8),
        ],
        required=("ts", "value"),
    ),
    EndpointCase(
        endpoint="insight/usage/by_time",
        ask=lambda client, **more: client.insights.usage("userCount", *RANGE, **more),
        data=[{"ts": T - DAY - 8 * HOUR, "userCount": 42}, {"ts": T - 2 * DAY, "userCount": 5_000_000_000}],
        expected=[
            Point(ts=T - 2 * DAY, metric="userCount", value=5_000_000_000),
            Point(ts=T - DAY - 8 * HOUR, metric="userCount", value=42),
        ],
        required=("ts", "userCount"),
    ),
    EndpointCase(
        endpoint="insight/quality/by_time",
        ask=lambda client, **more: client.insights.quality("networkDelay", *RANGE, granularity="1h", **more),
        data=[{"ts": T - 2 * DAY, "networkDelay": 0.0648}, {"ts": T - 2 * DAY + HOUR, "networkDelay": None}],
        expected=[
            Point(ts=T - 2 * DAY, metric="networkDelay", value=0.0648),
            Point(ts=T - 2 * DAY + HOUR, metric="networkDelay", value=None),
        ],
        required=("ts", "networkDelay"),
    ),
    EndpointCase(
        endpoint="insight/usage/aggregation",
        ask=lambda client, **more: client.insights.usage_totals("userCount", *RANGE, by="country", **more),
        data=[{"country": "India", "userCount": 9}, {"country": "", "userCount": 2}],
        expected=[
            Total(metric="userCount", value=9, dimension="country", dimension_value="India", **TOTAL_ENDS),
            Total(metric="userCount", value=2, dimension="country", dimension_value="", **TOTAL_ENDS),
        ],
        required=("country", "userCount"),
    ),
    EndpointCase(
        endpoint="insight/quality/aggregation",
        ask=lambda client, **more: client.insights.quality_totals("joinSuccessRate", *RANGE, by="os", **more),
        data=[{"os": "iOS", "joinSuccessRate": 0.99, "refUsage": 1200}],
        expected=[
            Total(
                metric="joinSuccessRate",
                value=0.99,
                dimension="os",
                dimension_value="iOS",
                ref_usage=1200,
                **TOTAL_ENDS,
            )
        ],
        optional=("refUsage",),
        required=("os", "joinSuccessRate"),
    ),
    EndpointCase(
        endpoint="realtime/usage/by_time_20sec",
        ask=lambda client, **more: client.realtime.usage("userCount", *LIVE, by="net", **more),
        data=[{"ts": T - 580, "userCount": 7, "net": "4G"}, {"ts": T - 600, "userCount": 6, "net": "4G"}],
        expected=[
            Point(ts=T - 600, metric="userCount", value=6, dimension="net", dimension_value="4G"),
            Point(ts=T - 580, metric="userCount", value=7, dimension="net", dimension_value="4G"),
        ],
        optional=("net",),
        required=("ts", "userCount"),
    ),
    EndpointCase(
        endpoint="realtime/quality/by_time_20sec",
        ask=lambda client, **more: client.realtime.quality(
            "audioFreezeRate", *LIVE, cname="room", uids=[2303692334, "alice"], **more
        ),
        data=[
            {"uid": 2303692334, "values": [{"ts": T - 600, "audioFreezeRate": 0.01}]},
            {"uid": "alice", "values": [{"ts": T - 600, "audioFreezeRate": None}]},
        ],
        expected=[
            Point(ts=T - 600, metric="audioFreezeRate", value=0.01, uid="2303692334"),
            Point(ts=T - 600, metric="audioFreezeRate", value=None, uid="alice"),
        ],
        required=("uid", "values"),
    ),
    EndpointCase(
        endpoint="realtime/usage/dimension/top20",
        ask=lambda client, **more: client.realtime.top_usage("country", T - 300, **more),
        data={
            "list": [{"country": "India", "userCount": 7, "windowStartTs": T - 300, "windowEndTs": T - 280}]
        },
        expected=[
            TopGroup(
                dimension="country",
                dimension_value="India",
                metric="userCount",
                value=7,
                user_count=7,
                window_start_ts=T - 300,
                window_end_ts=T - 280,
            )
        ],
        required=("country", "userCount", "windowStartTs", "windowEndTs"),
    ),
    EndpointCase(
        endpoint="realtime/quality/dimension/top20",
        ask=lambda client, **more: client.realtime.top_quality("videoFreezeRate", "sdk", T - 300, **more),
        data={
            "list": [
                {
                    "sdk": "4.5.0",
                    "videoFreezeRate": 0.02,
                    "userCount": 7,
                    "windowStartTs": T - 300,
                    "windowEndTs": T - 280,
                }
            ]
        },
        expected=[
            TopGroup(
                dimension="sdk",
                dimension_value="4.5.0",
                metric="videoFreezeRate",
                value=0.02,
                user_count=7,
                window_start_ts=T - 300,
                window_end_ts=T - 280,
            )
        ],
        optional=("userCount",),
        required=("sdk", "videoFreezeRate", "windowStartTs", "windowEndTs"),
    ),
]
"""One for each of the endpoints 4 to 14."""


def name_of(case: EndpointCase) -> str:
    return case.endpoint


def rows_in(data: Any) -> list[dict[str, Any]]:
    """Return the rows of a golden answer."""
    return data["list"] if isinstance(data, dict) else data
