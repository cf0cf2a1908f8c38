"""Simulated call statistics, Data Insights and Real-time: refusals, and consistent numbers."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest

from agora_analytics.agora.plans import PLANS
from agora_analytics.simulator import Impairment, Simulator, World
from agora_analytics.simulator.query_params import STATISTICS_ENDPOINTS

AUTH = ("demo-customer-id", "demo-customer-secret")
T = 1_795_046_400  # 2026-11-19 00:00 UTC
HOUR, DAY = 3600, 86_400
PREFIX = "Service package limit check error, "
WINDOWS = {"call": (T - HOUR, T - 600), "insight": (T - 2 * DAY, T - DAY), "realtime": (T - 600, T - 300)}


@pytest.fixture(scope="module")
def world():
    return World.generate(seed=5, since=T - 3 * DAY, until=T, calls=150, simple=True, minutes=60)


async def test_impairment_adds_to_the_freeze_rate_of_its_users_while_it_acts():
    """Half a minute of a severity of 0.5 adds 20 % of the time to the windows of the affected country, and to no other."""
    where = {"since": T - 540, "until": T - 510, "region": "India"}
    many = {"since": T - 3600, "until": T, "calls": 150, "simple": True, "minutes": 60}
    impaired = World.generate(seed=5, impairments=[Impairment(cause="cpu", severity=0.5, **where)], **many)
    values = []
    for each in (World.generate(seed=5, **many), impaired):
        sim = Simulator(each, "enterprise", now=lambda: T)
        async with connected(sim) as fetch:
            asked = {
                "metric": "videoFreezeRate",
                "dimension": "country",
                "startTs": T - 560,
                "endTs": T - 480,
            }
            rows = (await fetch("realtime/quality/by_time_20sec", **asked))["data"]
        values.append({(row["ts"], row["country"]): row["videoFreezeRate"] for row in rows})
    before, after = values
    added = {key: round(after[key] - before[key], 2) for key in before if after[key] != before[key]}
    assert added == {(T - 540, "India"): 0.2, (T - 520, "India"): 0.1}


@asynccontextmanager
async def connected(sim):
    transport = httpx.ASGITransport(app=sim.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim", auth=AUTH) as http:

        async def fetch(endpoint, **changes):
            spec = STATISTICS_ENDPOINTS[endpoint]
            given = valid_parameters(sim, endpoint) | changes
            given = {name: value for name, value in given.items() if value is not None}
            if spec.method == "POST":
                query = {"appid": given.pop("appid")} if "appid" in given else {}
                return (await http.post(spec.path, params=query, content=json.dumps(given))).json()
            return (await http.get(spec.path, params=given)).json()

        yield fetch


def valid_parameters(sim, endpoint):
    """Return valid parameters of an endpoint."""
    spec = STATISTICS_ENDPOINTS[endpoint]
    (world,) = sim.worlds.values()
    start, end = WINDOWS[endpoint.partition("/")[0]]
    values = {
        "appid": world.app_id,
        "call_id": world.calls[0].call_id,
        "metric": min(spec.metrics - {"peakConcurrentChannels", "peakConcurrentUsers", "channelCount"}),
        "dimension": "net",
        "aggregateGranularity": "1h",
        "productType": "Native",
        spec.ends[1]: end,
        spec.ends[0]: start,
    }
    return {name: values[name] for name in spec.required}


every_endpoint = pytest.mark.parametrize("endpoint", STATISTICS_ENDPOINTS)


@every_endpoint
async def test_valid_request_returns_data(world, endpoint):
    async with connected(Simulator(world, now=lambda: T)) as fetch:
        body = await fetch(endpoint)
    assert (body["code"], "data" in body) == (200, True)
    assert ("requestId" in body) == endpoint.startswith("call/")  # elsewhere only the header has it


@every_endpoint
async def test_missing_or_misspelt_required_parameter_is_refused(world, endpoint):
    sim = Simulator(world, now=iter(range(T, T + 6000, 60)).__next__)
    async with connected(sim) as fetch:
        for name in STATISTICS_ENDPOINTS[endpoint].required:
            other = name.replace("Ts", "_ts") if "Ts" in name else f"{name}Ts"
            assert (await fetch(endpoint, **{name: None}))["code"] == 400
            assert (await fetch(endpoint, **{name: None, other: valid_parameters(sim, endpoint)[name]}))[
                "code"
            ] == 400


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
async def test_invalid_parameter_is_body_code_400(world, endpoint, wrong):
    async with connected(Simulator(world, now=lambda: T)) as fetch:
        assert (await fetch(endpoint, **wrong))["code"] == 400


@every_endpoint
async def test_milliseconds_are_an_unknown_error(world, endpoint):
    async with connected(Simulator(world, now=lambda: T)) as fetch:
        spec = STATISTICS_ENDPOINTS[endpoint]
        body = await fetch(endpoint, **dict.fromkeys(spec.ends, T * 1000))
    assert (body["code"], body["message"]) == (500, "Unknown Error")


@every_endpoint
@pytest.mark.parametrize("plan", ["standard", "premium", "enterprise"])
async def test_bounds_of_plans_are_strict(world, endpoint, plan):
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
        body = await fetch(endpoint, **asked)
        return str(body["message"]).removeprefix(PREFIX) if body["code"] == 300 else body["code"]

    async with connected(sim) as fetch:
        if limits is None:
            moments.append(T)
            assert "you have no auth to access this service" in (await fetch(endpoint))["message"]
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
    async with connected(sim) as fetch:
        for minute in range(30):
            moments.append(T + minute * 60)
            for _ in range(a_minute + (minute == 0)):
                body = await fetch("insight/usage/by_time")
                codes.append(str(body["message"]).removeprefix(PREFIX) if body["code"] == 300 else 200)
    assert codes[a_minute] == "qpm limit error"
    assert codes.count(200) == a_day
    assert codes[-1] == "qpd limit error"


@pytest.mark.parametrize("method", ["get", "post"])
async def test_other_method_gets_404(world, method):
    sim = Simulator(world, now=lambda: T)
    paths = [spec.path for spec in STATISTICS_ENDPOINTS.values() if spec.method.lower() != method]
    transport = httpx.ASGITransport(app=sim.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim", auth=AUTH) as http:
        for path in paths:
            assert (await getattr(http, method)(path)).status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_body_that_is_not_an_object_is_code_400(world, body):
    sim = Simulator(world, now=lambda: T)
    transport = httpx.ASGITransport(app=sim.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim", auth=AUTH) as http:
        path = STATISTICS_ENDPOINTS["insight/usage/aggregation"].path
        assert (await http.post(path, params={"appid": world.app_id}, content=body)).json()["code"] == 400


async def test_24_hours_are_25_rows_and_70_seconds_are_3_windows(world):
    async with connected(Simulator(world, now=lambda: T)) as fetch:
        hours = (await fetch("insight/usage/by_time"))["data"]
        live = (await fetch("realtime/usage/by_time_20sec", startTs=T - 590, endTs=T - 530))["data"]
        quarter = (await fetch("realtime/usage/by_time_20sec", startTs=T - 600, endTs=T - 540))["data"]
    assert [row["ts"] for row in hours] == list(range(T - 2 * DAY, T - DAY + 1, HOUR))
    assert [row["ts"] for row in live] == [T - 600, T - 580, T - 560]
    assert [row["ts"] for row in quarter] == [T - 600, T - 580, T - 560]


async def test_groups_of_additive_metrics_add_up(world):
    async with connected(
        Simulator(world, "enterprise", now=iter(range(T, T + 90_000, 60)).__next__)
    ) as fetch:
        for metric in ("userCount", "sessionCount", "totalDuration"):
            total = (await fetch("insight/usage/aggregation", metric=metric))["data"][0][metric]
            for dimension in ("country", "net", "sdk", "os", "device", "channelSize"):
                if dimension != "channelSize":
                    rows = (await fetch("insight/usage/aggregation", metric=metric, dimension=dimension))[
                        "data"
                    ]
                    assert sum(row[metric] for row in rows) == pytest.approx(total, abs=0.1)
                    assert [row[metric] for row in rows] == sorted(
                        (row[metric] for row in rows), reverse=True
                    )


async def test_total_rate_is_the_weighted_mean_of_its_groups(world):
    async with connected(Simulator(world, now=lambda: T)) as fetch:
        for metric in ("audioFreezeRate", "joinSuccessRate"):
            (total,) = (await fetch("insight/quality/aggregation", metric=metric))["data"]
            rows = (await fetch("insight/quality/aggregation", metric=metric, dimension="net"))["data"]
            mean = sum(row[metric] * row["refUsage"] for row in rows) / sum(row["refUsage"] for row in rows)
            assert mean == pytest.approx(total[metric], abs=2e-4)


async def test_responses_are_reproducible_and_not_sorted(world):
    async with connected(Simulator(world, now=lambda: T)) as fetch:
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
        one = (await fetch("call/statistics/time", **asked))["data"]
        two = (await fetch("call/statistics/time", **asked))["data"]
    assert one == two
    times = [row["ts"] for row in one]
    assert len(times) > 10
    assert times != sorted(times)
    assert set(times) == set(range(min(times), max(times) + 1, 60))


async def test_shared_budget_covers_all_real_time_endpoints(world):
    async with connected(Simulator(world, "premium", now=lambda: T, shared_budget=True)) as fetch:
        codes = [
            (await fetch(endpoint))["code"]
            for endpoint in STATISTICS_ENDPOINTS
            if endpoint.startswith("realtime/")
        ]
    assert codes == [200, 200, 200, 300]
