"""Refusals of the Agora simulator: authentication, parameters and time windows."""

import pytest

from agora_analytics.simulator import Simulator

PREFIX = "Service package limit check error, "
BAD_PARAMETERS = [
    ("call/lists", {"start_ts": None}),
    ("call/lists", {"start_ts": None, "startTs": 1_795_040_000}),
    ("call/lists", {"appid": None, "appId": "x"}),
    ("call/lists", {"end_ts": "soon"}),
    ("call/lists", {"start_ts": 1_795_045_000, "end_ts": 1_795_044_000}),
    ("call/lists", {"page_no": 0}),
    ("call/lists", {"page_size": "many"}),
    ("call/sessions", {}),
    ("call/sessions", {"call_id": "mid", "uids": ",".join(map(str, range(11)))}),
    ("call/sessions", {"call_id": "mid", "exclude_server_user": "maybe"}),
    ("call/metrics", {"call_id": "mid"}),
    ("call/metrics", {"call_id": "mid", "sids": ",".join(f"S{n}" for n in range(21))}),
]


@pytest.mark.parametrize("auth", [None, ("demo-customer-id", "wrong"), ("nobody", "demo-customer-secret")])
async def test_invalid_credentials_get_401_and_spend_no_quota(small_world, clock, connected, auth):
    sim = Simulator(small_world, now=clock)
    async with connected(sim, auth) as api:
        response = await api.get("call/lists")
    assert (response.status_code, response.json()) == (401, {"message": "Invalid authentication credentials"})
    assert sim.seen.requests["call/lists"] == 1
    assert sim.seen.accepted["call/lists"] == 0


@pytest.mark.parametrize("header", ["Basic ???", "Basic /w==", "Bearer abc", "Basic"])
async def test_malformed_authorization_gets_401(small_world, clock, connected, header):
    async with connected(Simulator(small_world, now=clock), None) as api:
        response = await api.http.get("/beta/analytics/call/lists", headers={"Authorization": header})
    assert response.status_code == 401


async def test_unknown_path_or_method_gets_404(small_world, clock, connected):
    async with connected(Simulator(small_world, now=clock)) as api:
        for response in (
            await api.get("call/list"),
            await api.get("call/lists/"),
            await api.http.post("/beta/analytics/call/lists"),
        ):
            assert (response.status_code, response.json()) == (
                404,
                {"message": "no Route matched with those values"},
            )


@pytest.mark.parametrize(("endpoint", "query"), BAD_PARAMETERS)
async def test_invalid_parameter_is_body_code_400_with_http_200(
    small_world, clock, connected, endpoint, query
):
    async with connected(Simulator(small_world, now=clock)) as api:
        body = await api.body(endpoint, **query)
    assert body["code"] == 400
    assert body["requestId"]


async def test_ten_uids_and_twenty_sids_are_accepted(small_world, clock, connected):
    async with connected(Simulator(small_world, now=clock)) as api:
        ten = ",".join(map(str, range(10)))
        twenty = ",".join(f"S{n}" for n in range(20))
        assert (await api.body("call/sessions", call_id="mid", uids=ten))["code"] == 200
        assert (await api.body("call/metrics", call_id="mid", sids=twenty))["code"] == 200


async def test_milliseconds_are_an_unknown_error(small_world, clock, connected, t):
    async with connected(Simulator(small_world, now=clock)) as api:
        body = await api.body("call/lists", start_ts=(t - 3600) * 1000, end_ts=(t - 600) * 1000)
    assert (body["code"], body["message"]) == (500, "Unknown Error")


async def test_other_app_is_forbidden(small_world, clock, connected):
    async with connected(Simulator(small_world, now=clock)) as api:
        assert (await api.body("call/lists", appid="0" * 32))["code"] == 403


@pytest.mark.parametrize(
    ("plan", "endpoint", "delay", "reach", "span"),
    [
        ("standard", "call/lists", 60, 86_400, 8 * 3600),
        ("standard", "call/sessions", 300, 86_400, 3600),
        ("premium", "call/lists", 20, 7 * 86_400, 16 * 3600),
        ("premium", "call/metrics", 150, 7 * 86_400, 3 * 3600),
        ("enterprise", "call/lists", 20, 15 * 86_400, 24 * 3600),
        ("enterprise", "call/metrics", 100, 15 * 86_400, 6 * 3600),
    ],
)
async def test_bounds_of_windows_are_strict(
    small_world, clock, connected, t, plan, endpoint, delay, reach, span
):
    more = {"call_id": "mid", "sids": "S-1"}
    sim = Simulator(small_world, plan, now=clock)

    async def verdict(start, end):
        clock.now += 1  # a new rate window; the bounds move too
        moved = clock.now - t
        body = await api.body(endpoint, start_ts=int(start + moved), end_ts=int(end + moved), **more)
        return body["code"], str(body["message"]).removeprefix(PREFIX)

    async with connected(sim) as api:
        assert await verdict(t - delay - 100, t - delay) == (300, "query latency limit error")
        assert (await verdict(t - delay - 100, t - delay - 1))[0] == 200
        assert await verdict(t - reach, t - reach + 100) == (300, "query time range limit error")
        assert (await verdict(t - reach + 1, t - reach + 100))[0] == 200
        assert await verdict(t - delay - 1 - span, t - delay - 1) == (300, "query time length limit error")
        assert (await verdict(t - delay - span, t - delay - 1))[0] == 200
    assert sim.seen.refused[endpoint, PREFIX + "query latency limit error"] == 1


async def test_clock_skew_shifts_the_windows(small_world, clock, connected, t):
    async with connected(Simulator(small_world, now=clock, clock_skew=-30)) as api:
        late = await api.get("call/lists", end_ts=t - 25)
        assert late.json()["message"].endswith("query latency limit error")
        assert late.headers["date"] == "Wed, 18 Nov 2026 23:59:30 GMT"


async def test_plan_without_the_api_has_no_access(small_world, clock, connected):
    async with connected(Simulator(small_world, "starter", now=clock)) as api:
        body = await api.body("call/lists")
    assert body["code"] == 300
    assert "you have no auth to access this service" in body["message"]
