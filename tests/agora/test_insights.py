"""Data Insights against the simulator: splitting, seams, costs, and what is refused before a request is spent."""

import json

import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")

from agora_analytics import errors
from agora_analytics.agora.enums import Dimension, Granularity, Product, QualityMetric, UsageMetric
from tests.agora.cases import DAY, HOUR
from tests.agora.harness import make_harness, scripted, small_world
from tests.conftest import NOW, ok

T = int(NOW)


@pytest.fixture(scope="module")
def world():
    return small_world(since=T - 13 * DAY, until=T - DAY, calls=150)


@pytest.fixture
def harness(world):
    return make_harness(world)


@pytest.mark.parametrize("plan", ["premium", "enterprise"])
def test_long_range_is_split_without_duplicates_or_gaps(world, plan):
    harness = make_harness(world, plan)
    rows = harness.run(lambda client: client.insights.usage("userCount", "10d", granularity="1h"))
    times = [row.ts for row in rows]
    delay = harness.simulator.plan.limits["insight/usage/by_time"].delay
    assert times == list(range(T - 10 * DAY, T - delay - 1, HOUR))
    assert harness.requests == {"insight/usage/by_time": {"premium": 4, "enterprise": 2}[plan]}
    assert harness.refusals == {}


def test_split_ranges_have_the_same_values(world):
    whole = make_harness(world)
    week = whole.run(
        lambda client: client.insights.usage(UsageMetric, T - 9 * DAY, T - 3 * DAY, granularity="1h")
    )
    parts = make_harness(world, "premium")
    days = parts.run(
        lambda client: client.insights.usage(UsageMetric, T - 9 * DAY, T - 3 * DAY, granularity="1h")
    )
    assert list(week) == list(days)
    assert (len(whole.requests), len(week)) == (1, 8 * 6 * 24)
    assert whole.requests["insight/usage/by_time"] == 8
    assert parts.requests["insight/usage/by_time"] == 16


def test_each_day_is_one_row_in_any_time_zone(harness):
    rows = harness.run(lambda client: client.insights.quality(["audioFreezeRate"], T - 12 * DAY, T - DAY))
    assert [row.ts for row in rows] == list(range(rows[0].ts, T - DAY, DAY))
    assert rows[0].ts % DAY == 16 * HOUR
    assert all(0 <= row.value < 1 for row in rows)


def test_both_ends_included_gives_25_hours_and_a_half_open_range_24(harness):
    def times(**more):
        return asking_times(make_harness(harness.world), **more)

    assert len(times()) == 24
    assert len(times(validate=False)) == 25


def asking_times(harness, **more):
    rows = harness.run(
        lambda client: client.insights.quality(
            "networkDelay", T - 3 * DAY, T - 2 * DAY, granularity=Granularity.HOUR, **more
        )
    )
    return [row.ts for row in rows]


def test_repeated_metric_takes_one_request(harness):
    rows = harness.run(
        lambda client: client.insights.usage(
            ["userCount", UsageMetric.USER_COUNT, "sessionCount"], "3d", "1d"
        )
    )
    assert harness.requests == {"insight/usage/by_time": 2}
    assert {row.metric for row in rows} == {"userCount", "sessionCount"}
    users, sessions = (
        {row.ts for row in rows if row.metric == metric} for metric in ("userCount", "sessionCount")
    )
    assert users == sessions


def test_the_groups_of_a_total_add_up_to_it(harness):
    async def work(client):
        insights = client.insights
        all_of_them = await insights.usage_totals(["userCount", "sessionCount"], "10d")
        groups = [
            await insights.usage_totals(["userCount", "sessionCount"], "10d", by=dimension)
            for dimension in ("country", Dimension.NET, "os", "region")
        ]
        return all_of_them, groups

    all_of_them, groups = harness.run(work)
    wanted = {row.metric: row.value for row in all_of_them}
    assert wanted["userCount"] > 100
    for rows in groups:
        for metric, value in wanted.items():
            assert sum(row.value for row in rows if row.metric == metric) == value


def test_values_and_a_country_narrow_a_total(harness):
    async def work(client):
        insights = client.insights
        india = await insights.usage_totals("userCount", "10d", by="region", country="India")
        nets = await insights.quality_totals("audioFreezeRate", "10d", by="net", values=["4G", "Wi-Fi"])
        sizes = await insights.quality_totals(
            "joinSuccessRate", "10d", by=Dimension.CHANNEL_SIZE, product=Product.WEBRTC
        )
        return india, nets, sizes

    india, nets, sizes = harness.run(work)
    assert {row.dimension_value for row in india} == {"Maharashtra", "Karnataka"}
    assert {row.dimension_value for row in nets} == {"4G", "Wi-Fi"}
    assert sizes
    assert all(row.ref_usage > 0 and 0 < row.value <= 1 for row in sizes)


def test_totals_have_their_range_and_the_requested_start(harness):
    async def work(client):
        rows = await client.insights.usage_totals("userCount", "2d")
        with pytest.raises(errors.WindowOutOfReach, match="starts too far back") as caught:
            await client.insights.usage_totals("userCount", "31d")
        return rows, caught.value.legal

    rows, legal = harness.run(work)
    assert rows[0].since == T - 2 * DAY
    assert rows[0].until == pytest.approx(T - 6 * HOUR, abs=4)
    assert legal[0] == pytest.approx(T - 30 * DAY, abs=4)
    assert harness.requests == {"insight/usage/aggregation": 1}


def test_a_post_is_a_json_body_and_the_app_in_the_query():
    harness = scripted(ok(data=[]))
    harness.run(
        lambda client: client.insights.usage_totals(
            "userCount", "2d", "1d", by="region", values=["a,", "c"], country="India"
        ),
    )
    (request,) = harness.transport.requests
    assert (request.method, request.query) == ("POST", (("appid", "app"),))
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "startTs": T - 2 * DAY,
        "endTs": T - DAY - 1,
        "metric": "userCount",
        "dimension": "region",
        "dimensionValues": ["a,", "c"],
        "filters": [{"name": "country", "value": "India"}],
    }


def test_estimate_returns_the_cost_without_a_request(harness):
    async def work(client):
        mixed = await client.insights.estimate([*UsageMetric, *QualityMetric], "20d")
        totals = await client.insights.estimate("userCount", "20d", totals=True)
        return mixed, totals

    mixed, totals = harness.run(work)
    costs = {cost.endpoint: (cost.requests, cost.left, cost.affordable) for cost in mixed}
    assert costs == {"insight/usage/by_time": (24, 60, True), "insight/quality/by_time": (15, 60, True)}
    assert [(cost.endpoint, cost.requests) for cost in totals] == [("insight/usage/aggregation", 1)]
    assert harness.requests == {}


def test_estimate_equals_the_actual_cost(harness):
    async def work(client):
        (cost,) = await client.insights.estimate(QualityMetric, "12d")
        await client.insights.quality(QualityMetric, "12d")
        (after,) = await client.insights.estimate("networkDelay", "1d")
        return cost, after

    cost, after = harness.run(work)
    assert harness.requests == {"insight/quality/by_time": cost.requests}
    assert after.left == 60 - cost.requests
    assert harness.refusals == {}


def test_query_beyond_the_quota_takes_no_request(world):
    harness = make_harness(world, "premium")

    async def work(client):
        await client.insights.usage(UsageMetric, "12d")  # 8 metrics in 4 parts
        with pytest.raises(
            errors.QuotaExhausted, match="takes 32 requests, and 8 of 40 are left today"
        ) as caught:
            await client.insights.usage(UsageMetric, "12d")
        return caught.value.retry_at

    assert harness.run(work) == T + 12 * HOUR
    assert harness.requests == {"insight/usage/by_time": 32}


def test_error_has_the_records_of_earlier_responses():
    script = [ok(data=[{"ts": T - DAY, "userCount": 7}]), ok(data={"ts": T - DAY})]
    with pytest.raises(errors.DecodeError) as caught:
        scripted(*script).run(lambda client: client.insights.usage(["userCount", "sessionCount"], "2d"))
    assert [row.value for row in caught.value.partial] == [7]
    with pytest.raises(errors.DecodeError) as caught:
        scripted(script[1]).run(lambda client: client.insights.usage("userCount", "2d"))
    assert caught.value.partial is None


def test_an_older_spelling_of_a_field_is_read():
    rows = scripted(ok(data=[{"ts": T - DAY, "peakCurrentUsers": 9}])).run(
        lambda client: client.insights.usage("peakConcurrentUsers", "2d"),
    )
    assert (rows[0].metric, rows[0].value) == ("peakConcurrentUsers", 9)


REFUSED = {
    "no metric is given": lambda i: i.usage([], "2d"),
    "networkDelay is not a metric of this endpoint; it has channelCount": lambda i: i.usage(
        "networkDelay", "2d"
    ),
    "userCount is not a metric of this endpoint; it has audioFreezeRate": lambda i: i.quality(
        "userCount", "2d"
    ),
    "looks like milliseconds": lambda i: i.usage("userCount", (T - DAY) * 1000, T),
    "give the earlier time first": lambda i: i.usage("userCount", T - DAY, T - 2 * DAY),
    "the same time": lambda i: i.usage("userCount", T - DAY, T - DAY),
    "the time range is too recent": lambda i: i.usage("userCount", "2h"),
    "the time range is too far back: the plan reaches 720 h": lambda i: i.quality(
        "networkDelay", "60d", "50d"
    ),
    "peakConcurrentUsers takes no dimension": lambda i: i.usage_totals("peakConcurrentUsers", "2d", by="os"),
    "channelSize is not a dimension of this endpoint; it has country, device, net": lambda i: i.usage_totals(
        "userCount", "2d", by="channelSize"
    ),
    "values= needs a dimension": lambda i: i.usage_totals("userCount", "2d", values=["iOS"]),
    "contains a double quote": lambda i: i.usage_totals("userCount", "2d", by="os", values=['a"b']),
    "country= needs the dimension region": lambda i: i.usage_totals(
        "userCount", "2d", by="os", country="India"
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_invalid_arguments_take_no_request(why):
    harness = scripted(ok(data=[]))
    with pytest.raises(errors.InvalidRequest, match=why):
        harness.run(lambda client: REFUSED[why](client.insights))
    assert harness.transport.requests == []


def test_unknown_names_are_sent():
    harness = scripted(ok(data=[]))
    harness.run(lambda client: client.insights.usage_totals("newMetric", "2d", by="newDimension"))
    assert json.loads(harness.transport.requests[0].body)["metric"] == "newMetric"


def test_validate_false_sends_the_query_unchanged():
    harness = scripted(ok(data=[]))
    harness.run(
        lambda client: client.insights.usage("networkDelay", T * 1000, 5),
        validate=False,
    )
    sent = dict(harness.transport.requests[0].query)
    assert (sent["startTs"], sent["endTs"], sent["metric"]) == (str(T * 1000), "5", "networkDelay")
