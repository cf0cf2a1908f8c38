"""Statistics, Data Insights and Real-time of the simulator: what it refuses, and that its numbers agree."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest

from agora_analytics.agora.plans import PLANS
from agora_analytics.simulator import Simulator, World
from agora_analytics.simulator.query_params import STATISTICS_ENDPOINTS

AUTH = ("demo-customer-id", "demo-customer-secret")
T = 1_795_046_400  # 2026-11-19 00:00 UTC
HOUR, DAY = 3600, 86_400
PREFIX = "Service package limit check error, "
WINDOWS = {"call": (T - HOUR, T - 600), "insight": (T - 2 * DAY, T - DAY), "realtime": (T - 600, T - 300)}


@pytest.fixture(scope="module")
def world():
    return World.generate(seed=5, since=T - 3 * DAY, until=T, calls=150, simple=True, minutes=60)


@asynccontextmanager
async def asking(sim):
    transport = httpx.ASGITransport(app=sim.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim", auth=AUTH) as http:

        async def ask(endpoint, **changes):
            form = STATISTICS_ENDPOINTS[endpoint]
            given = good(sim, endpoint) | changes
            given = {name: value for name, value in given.items() if value is not None}
            if form.method == "POST":
                query = {"appid": given.pop("appid")} if "appid" in given else {}
                return (await http.post(form.path, params=query, content=json.dumps(given))).json()
            return (await http.get(form.path, params=given)).json()

        yield ask


def good(sim, endpoint):
    """Return correct parameters."""
    form = STATISTICS_ENDPOINTS[endpoint]
    (world,) = sim.worlds.values()
    start, end = WINDOWS[endpoint.partition("/")[0]]
    values = {
        "appid": world.app_id,
        "call_id": world.calls[0].call_id,
        "metric": min(form.metrics - {"peakConcurrentChannels", "peakConcurrentUsers", "channelCount"}),
        "dimension": "net",
        "aggregateGranularity": "1h",
        "productType": "Native",
        form.ends[1]: end,
        form.ends[0]: start,
    }
    return {name: values[name] for name in form.required}


every_endpoint = pytest.mark.parametrize("endpoint", STATISTICS_ENDPOINTS)


@every_endpoint
async def test_a_correct_question_is_answered(world, endpoint):
    async with asking(Simulator(world, now=lambda: T)) as ask:
        body = await ask(endpoint)
    assert (body["code"], "data" in body) == (200, True)
    assert ("requestId" in body) == endpoint.startswith("call/")  # elsewhere only the header has it


@every_endpoint
async def test_every_required_parameter_is_required_and_must_be_spelt_right(world, endpoint):
    sim = Simulator(world, now=iter(range(T, T + 6000, 60)).__next__)
    async with asking(sim) as ask:
        for name in STATISTICS_ENDPOINTS[endpoint].required:
            other = name.replace("Ts", "_ts") if "Ts" in name else f"{name}Ts"
            assert (await ask(endpoint, **{name: None}))["code"] == 400
            assert (await ask(endpoint, **{name: None, other: good(sim, endpoint)[name]}))["code"] == 400


@pytest.mark.parametrize(
    ("endpoint", "wrong"),
    [
        ("call/statistics", {"metric": "user_count"}),
        ("call/statistics", {"dimension": "channelSize"}),
        ("insight/usage/by_time", {"aggregateGranularity": "1m"}),
        ("insight/usage/by_time", {"metric": "networkDelay"}),
        ("insight/quality/by_time", {"productType": "native"}),
        ("insight/usage/aggregation", {"metric": "peakConcurrentUsers", "dimension": "os"}),
        ("insight/usage/aggregation", {"dimensionValues": ["a"]}),
        ("insight/usage/aggregation", {"dimension": "os", "dimensionValues": '"a"'}),
        (
            "insight/usage/aggregation",
            {"dimension": "os", "filters": [{"name": "country", "value": "India"}]},
        ),
        ("insight/usage/aggregation", {"dimension": "region", "filters": [{"name": "os", "value": "iOS"}]}),
        ("realtime/usage/by_time_20sec", {"metric": "channelCount", "dimension": "os"}),
        ("realtime/usage/by_time_20sec", {"dimension": "os", "dimensionValues": "iOS"}),
        ("realtime/quality/by_time_20sec", {"uids": "7"}),
        ("realtime/quality/by_time_20sec", {"uids": ",".join(map(str, range(11))), "cname": "r"}),
        ("realtime/usage/by_time_20sec", {"endTs": T - 600}),
        ("realtime/usage/dimension/top20", {"metric": "channelCount"}),
        ("realtime/usage/dimension/top20", {"ts": "now"}),
    ],
)
async def test_a_senseless_parameter_is_body_code_400(world, endpoint, wrong):
    async with asking(Simulator(world, now=lambda: T)) as ask:
        assert (await ask(endpoint, **wrong))["code"] == 400


@every_endpoint
async def test_milliseconds_are_an_unknown_error(world, endpoint):
    async with asking(Simulator(world, now=lambda: T)) as ask:
        form = STATISTICS_ENDPOINTS[endpoint]
        body = await ask(endpoint, **dict.fromkeys(form.ends, T * 1000))
    assert (body["code"], body["message"]) == (500, "Unknown Error")


@every_endpoint
@pytest.mark.parametrize("plan", ["standard", "premium", "enterprise"])
async def test_each_bound_of_a_plan_is_strict(world, endpoint, plan):
    limits = PLANS[plan].limits.get(endpoint)
    clock = iter(range(T, T + 100 * 60, 60))
    moments = []

    def now():
        return moments[-1]

    sim = Simulator(world, plan, now=now)
    first, last = STATISTICS_ENDPOINTS[endpoint].ends

    async def verdict(start, end):
        moments.append(next(clock))
        moved = moments[-1] - T
        asked = {first: start + moved, last: end + moved} if first != last else {first: start + moved}
        body = await ask(endpoint, **asked)
        return str(body["message"]).removeprefix(PREFIX) if body["code"] == 300 else body["code"]

    async with asking(sim) as ask:
        if limits is None:
            moments.append(T)
            assert "you have no auth to access this service" in (await ask(endpoint))["message"]
            return
        newest, oldest = T - limits.delay - 1, T - limits.reach + 1
        assert (
            await verdict(newest + 1 if first == last else newest - 100, newest + 1)
            == "query latency limit error"
        )
        assert await verdict(newest if first == last else newest - 100, newest) == 200
        assert await verdict(oldest - 1, oldest + 100) == "query time range limit error"
        assert await verdict(oldest, oldest + 100) == 200
        if limits.span is not None and limits.span < limits.reach - limits.delay:
            assert await verdict(newest - limits.span, newest) == "query time length limit error"
            assert await verdict(newest - limits.span + 1, newest) == 200


@pytest.mark.parametrize(("plan", "a_minute", "a_day"), [("premium", 3, 40), ("enterprise", 10, 60)])
async def test_minutes_and_days_are_counted(world, plan, a_minute, a_day):
    moments = [float(T)]
    sim = Simulator(world, plan, now=lambda: moments[-1])
    codes = []
    async with asking(sim) as ask:
        for minute in range(30):
            moments.append(T + minute * 60)
            for _ in range(a_minute + (minute == 0)):
                body = await ask("insight/usage/by_time")
                codes.append(str(body["message"]).removeprefix(PREFIX) if body["code"] == 300 else 200)
    assert codes[a_minute] == "qpm limit error"
    assert codes.count(200) == a_day
    assert codes[-1] == "qpd limit error"


@pytest.mark.parametrize("method", ["get", "post"])
async def test_the_other_method_has_no_route(world, method):
    sim = Simulator(world, now=lambda: T)
    paths = [form.path for form in STATISTICS_ENDPOINTS.values() if form.method.lower() != method]
    transport = httpx.ASGITransport(app=sim.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim", auth=AUTH) as http:
        for path in paths:
            assert (await getattr(http, method)(path)).status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_a_body_that_is_no_object_is_code_400(world, body):
    sim = Simulator(world, now=lambda: T)
    transport = httpx.ASGITransport(app=sim.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim", auth=AUTH) as http:
        path = STATISTICS_ENDPOINTS["insight/usage/aggregation"].path
        assert (await http.post(path, params={"appid": world.app_id}, content=body)).json()["code"] == 400


async def test_24_hours_are_25_rows_and_70_seconds_are_3_windows(world):
    async with asking(Simulator(world, now=lambda: T)) as ask:
        hours = (await ask("insight/usage/by_time"))["data"]
        live = (await ask("realtime/usage/by_time_20sec", startTs=T - 590, endTs=T - 530))["data"]
        quarter = (await ask("realtime/usage/by_time_20sec", startTs=T - 600, endTs=T - 540))["data"]
    assert [row["ts"] for row in hours] == list(range(T - 2 * DAY, T - DAY + 1, HOUR))
    assert [row["ts"] for row in live] == [T - 600, T - 580, T - 560]
    assert [row["ts"] for row in quarter] == [T - 600, T - 580, T - 560]


async def test_counts_by_group_add_up_for_every_metric_that_is_a_sum(world):
    async with asking(Simulator(world, "enterprise", now=iter(range(T, T + 90_000, 60)).__next__)) as ask:
        for metric in ("userCount", "sessionCount", "totalDuration"):
            total = (await ask("insight/usage/aggregation", metric=metric))["data"][0][metric]
            for dimension in ("country", "net", "sdk", "os", "device", "channelSize"):
                if dimension != "channelSize":
                    rows = (await ask("insight/usage/aggregation", metric=metric, dimension=dimension))[
                        "data"
                    ]
                    assert sum(row[metric] for row in rows) == pytest.approx(total, abs=0.1)
                    assert [row[metric] for row in rows] == sorted(
                        (row[metric] for row in rows), reverse=True
                    )


async def test_a_rate_of_all_is_the_mean_of_its_groups_by_what_they_were_taken_from(world):
    async with asking(Simulator(world, now=lambda: T)) as ask:
        for metric in ("audioFreezeRate", "joinSuccessRate"):
            (total,) = (await ask("insight/quality/aggregation", metric=metric))["data"]
            rows = (await ask("insight/quality/aggregation", metric=metric, dimension="net"))["data"]
            mean = sum(row[metric] * row["refUsage"] for row in rows) / sum(row["refUsage"] for row in rows)
            assert mean == pytest.approx(total[metric], abs=2e-4)


async def test_the_same_question_has_the_same_answer_and_time_6_is_not_sorted(world):
    async with asking(Simulator(world, now=lambda: T)) as ask:
        call = max(
            world.calls,
            key=lambda call: (call.destroyed_ts < T - 600) * (call.destroyed_ts - call.created_ts),
        )
        asked = {
            "call_id": call.call_id,
            "start_ts": call.created_ts,
            "end_ts": min(call.destroyed_ts, call.created_ts + 3 * HOUR),
            "metric": "user_count",
        }
        one = (await ask("call/statistics/time", **asked))["data"]
        two = (await ask("call/statistics/time", **asked))["data"]
    assert one == two
    times = [row["ts"] for row in one]
    assert len(times) > 10
    assert times != sorted(times)
    assert set(times) == set(range(min(times), max(times) + 1, 60))


async def test_a_shared_budget_holds_all_of_real_time(world):
    async with asking(Simulator(world, "premium", now=lambda: T, shared_budget=True)) as ask:
        codes = [
            (await ask(endpoint))["code"]
            for endpoint in STATISTICS_ENDPOINTS
            if endpoint.startswith("realtime/")
        ]
    assert codes == [200, 200, 200, 300]
