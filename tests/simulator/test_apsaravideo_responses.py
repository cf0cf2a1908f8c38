"""Simulated ApsaraVideo: responses, refusals and the rate limit."""

import pytest
from attrs import evolve

from agora_analytics.apsaravideo.spec import ERRORS, INTERACTION_METRICS, LIMITS, Metric
from agora_analytics.simulator import ApsaraVideoWorld, Faults
from agora_analytics.simulator.apsaravideo import Terminals
from tests.simulator.conftest import Clock, T
from tests.simulator.test_apsaravideo_signatures import QUESTION, WORLD, ask, simulator

DAY_MS = 86_400_000
NOW_MS = T * 1000


def between(begin, end):
    return QUESTION | {"BeginTs": str(begin), "EndTs": str(end)}


async def refusal(query):
    answer = await ask(simulator(), query)
    body = answer.json()
    assert set(body) == {"Code", "Message", "RequestId", "HostId", "Recommend"}
    assert answer.status_code == (ERRORS[body["Code"]].status if body["Code"] in ERRORS else 400)
    return body["Code"], body["Message"]


async def test_scalars_are_text_and_points_match_the_world():
    body = (await ask(simulator())).json()
    assert set(body) == {"Nodes", "RequestId", "SummaryData"}
    assert all(set(node) == {"Timestamp", "Value"} for node in body["Nodes"])
    assert all(isinstance(value, str) for node in body["Nodes"] for value in node.values())
    selection = Terminals(app_id=WORLD.app_ids[0])
    points = WORLD.points("FirstFrameCost", selection, int(QUESTION["BeginTs"]), int(QUESTION["EndTs"]))
    assert [(n["Timestamp"], n["Value"]) for n in body["Nodes"]] == [(str(p.ms), p.value) for p in points]
    mean = sum(float(p.value) for p in points) / len(points)
    assert float(body["SummaryData"]) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("name", ["MetricType", "BeginTs", "EndTs", "AppId"])
async def test_missing_parameter_is_named(name):
    for query in (QUESTION | {name: ""}, {k: v for k, v in QUESTION.items() if k != name}):
        assert (await refusal(query))[0] == f"Missing{name}"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (QUESTION | {"MetricType": "Delay"}, "MetricType Delay"),
        (QUESTION | {"Os": "ios"}, "Os ios"),
        (QUESTION | {"TerminalType": "tv"}, "TerminalType tv"),
        (QUESTION | {"BeginTs": "yesterday"}, "numbers"),
        (between(NOW_MS - 1000, NOW_MS - 1000), "not before"),
        (between(NOW_MS - 1000, NOW_MS - 2000), "not before"),
        (between(NOW_MS - DAY_MS - 1, NOW_MS), "24 hours"),
        (between(NOW_MS - 30 * DAY_MS - 1, NOW_MS - 30 * DAY_MS + 9), "30 days"),
        (between(T - 7200, T - 3600), "30 days"),  # seconds
        (between(NOW_MS + 1000, NOW_MS + 2000), "future"),
    ],
)
async def test_invalid_parameter_is_refused(query, why):
    code, message = await refusal(query)
    assert code == "Meter.ParamError"
    assert message.startswith("Param Error:")
    assert why in message


async def test_bounds_are_inclusive():
    for begin, end in ((NOW_MS - DAY_MS, NOW_MS), (NOW_MS - 30 * DAY_MS, NOW_MS - 29 * DAY_MS)):
        assert (await ask(simulator(), between(begin, end))).status_code == 200


async def test_app_of_another_account_is_refused():
    assert (await refusal(QUESTION | {"AppId": "another"}))[0] == "Meter.AuthError"


async def test_future_points_are_not_visible():
    body = (await ask(simulator(), between(NOW_MS - 600_000, NOW_MS + DAY_MS // 2))).json()
    assert max(int(node["Timestamp"]) for node in body["Nodes"]) <= NOW_MS


@pytest.mark.parametrize("with_header", [True, False])
async def test_fifty_requests_a_second_are_accepted(with_header):
    clock = Clock(T + 0.75)
    sim = simulator(clock=clock, retry_after=with_header)
    answers = [await ask(sim, nonce=str(i)) for i in range(52)]
    assert [answer.status_code for answer in answers] == [200] * 50 + [400] * 2
    assert answers[-1].json()["Code"] == "Throttling.User"
    wait = answers[-1].headers.get("x-acs-retry-after")
    assert (wait is not None) == with_header
    if with_header:
        assert 250 <= int(wait) <= 252
    clock.now = T + 1.0
    assert (await ask(sim, nonce="later")).status_code == 200
    assert sim.seen.requests[INTERACTION_METRICS] == 53
    assert sim.seen.accepted[INTERACTION_METRICS] == 51
    assert sim.seen.refused == {(INTERACTION_METRICS, "400"): 2}


async def test_forged_request_spends_no_limit():
    sim = simulator(limits=evolve(LIMITS[INTERACTION_METRICS], requests=1))
    assert (await ask(sim, more={"authorization": "forged"})).status_code == 403
    assert (await ask(sim)).status_code == 200


async def test_keys_of_one_account_share_its_limit():
    from agora_analytics.apsaravideo import Credentials

    sim = simulator(keys={"a": "1", "b": "2"}, limits=evolve(LIMITS[INTERACTION_METRICS], requests=1))
    assert (await ask(sim, credentials=Credentials("a", "1"))).status_code == 200
    assert (await ask(sim, credentials=Credentials("b", "2"), nonce="m")).json()["Code"] == "Throttling.User"


async def test_faults_are_injected():
    sim = simulator(faults=Faults(script=("503-html", "500", "broken-json")))
    page = await ask(sim)
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html")
    assert (await ask(sim, nonce="m")).status_code == 500
    assert (await ask(sim, nonce="o")).text.endswith(',,"')
    assert sim.seen.faults == {"503-html": 1, "500": 1, "broken-json": 1}


def points(world=WORLD, metric="VideoStuckRate", **terminals):
    selection = Terminals(**({"app_id": WORLD.app_ids[0]} | terminals))
    return world.points(metric, selection, NOW_MS - 7 * DAY_MS, NOW_MS - 1)


def test_world_follows_from_its_seed():
    assert ApsaraVideoWorld.generate(seed=7) == WORLD
    assert points(ApsaraVideoWorld.generate(seed=7)) == points()
    assert ApsaraVideoWorld.generate(seed=8).app_ids != WORLD.app_ids


def test_points_do_not_depend_on_the_requested_range():
    week = points()
    selection = Terminals(app_id=WORLD.app_ids[0])
    days = [
        point
        for day in range(7)
        for point in WORLD.points(
            "VideoStuckRate", selection, NOW_MS - (7 - day) * DAY_MS, NOW_MS - (6 - day) * DAY_MS - 1
        )
    ]
    assert days == week


def test_every_selection_of_terminals_has_its_own_values():
    parts = [
        points(),
        points(os="iOS"),
        points(os="Android"),
        points(terminal_type="web"),
        points(channel_id=WORLD.channel_ids[0]),
        points(app_id=WORLD.app_ids[1]),
        points(metric="AudioStuckRate"),
    ]
    assert len({tuple((p.ms, p.value) for p in part) for part in parts}) == len(parts)


@pytest.mark.parametrize("metric", list(Metric))
def test_values_are_plausible_and_some_are_missing(metric):
    week = points(metric=metric)
    assert 7 * 288 * 0.95 < len(week) < 7 * 288
    values = [float(point.value) for point in week]
    assert min(values) >= 0
    assert len(set(values)) > 1000
    if metric is not Metric.FIRST_FRAME_COST:
        assert max(values) <= 100
    assert all(len(point.value.partition(".")[2]) == 6 for point in week)
