"""Calls whose data is not available yet: empty listings with an event, and lists without these calls."""

import asyncio
import logging
from importlib.util import find_spec

import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")

from agora_analytics.agora.beta.client import AsyncAgoraBeta
from agora_analytics.agora.records import Call
from agora_analytics.engine.events import NotYetAvailable, log_event
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.testing import VirtualClock
from tests.agora.harness import HOUR, make_harness, small_world
from tests.conftest import NOW
from tests.harness import Harness, Scripted

DELAYS = {"standard": 300, "premium": 150, "enterprise": 100}


def busy_world(**knobs):
    """Return a project whose calls began up to a second ago."""
    return small_world(since=int(NOW) - 720, until=int(NOW), calls=60, **knobs)


def call_that_began(seconds_ago, *, lasted=None):
    began = int(NOW) - seconds_ago
    ended = began if lasted is None else began + lasted
    return Call(call_id="c", cname="r", created_ts=began, destroyed_ts=ended, finished=lasted is not None)


OF_A_CALL = {
    "sessions": lambda c, call: c.sessions(call).collect(),
    "sessions to_arrow": lambda c, call: c.sessions(call).to_arrow(),
    "sessions by id": lambda c, call: c.sessions("c", call.created_ts, call.created_ts + 1).collect(),
    "metrics": lambda c, call: c.metrics(call).collect(),
    "metrics of sessions": lambda c, call: c.metrics(call, sids=["s"]).collect(),
    "metrics to_arrow": lambda c, call: c.metrics(call).to_arrow(),
    "statistics": lambda c, call: c.statistics(call, "audio_freeze_rate"),
    "freeze_distribution": lambda c, call: c.freeze_distribution(call, "audio_freeze_rate"),
    "statistics_over_time": lambda c, call: c.statistics_over_time(call),
}


@pytest.mark.parametrize("plan", DELAYS)
def test_first_program_runs_on_a_project_with_calls_that_began_seconds_ago(plan):
    """The first program of the README, and a gather of the metrics of all calls."""
    pytest.importorskip("pyarrow")

    async def job(client):
        tables = [await client.metrics(call).to_arrow() async for call in client.calls("6h")]
        calls = await client.calls("6h").collect()
        gathered = await asyncio.gather(*(client.metrics(call).to_arrow() for call in calls[:50]))
        return calls, tables, gathered

    harness = make_harness(busy_world(), plan)
    calls, tables, gathered = harness.run(job)
    recent = [call for call in calls if call.created_ts > NOW - DELAYS[plan]]
    assert recent
    assert len(recent) < len(calls)
    assert sum(table.num_rows > 0 for table in tables) > 10
    assert len(gathered) == min(50, len(calls))
    assert harness.refusals == {}
    assert {event.endpoint for event in harness.events_of(NotYetAvailable)} == {"call/metrics"}


@pytest.mark.parametrize("plan", DELAYS)
@pytest.mark.parametrize("name", OF_A_CALL)
def test_call_whose_data_is_not_available_is_empty_with_one_event(name, plan):
    if "arrow" in name:
        pytest.importorskip("pyarrow")
    call = call_that_began(DELAYS[plan] - 10)
    harness = make_harness(plan=plan)
    assert len(harness.run(lambda client: OF_A_CALL[name](client, call))) == 0
    (event,) = harness.events_of(NotYetAvailable)
    assert event.start == call.created_ts
    assert event.available_at == pytest.approx(NOW + 10, abs=4)
    assert harness.requests == {}


@pytest.mark.parametrize("name", OF_A_CALL)
def test_call_that_is_available_from_the_time_of_the_event_on(name):
    if "arrow" in name:
        pytest.importorskip("pyarrow")
    world = small_world()

    async def job(client):
        call = call_that_began(50)
        await OF_A_CALL[name](client, call)
        (event,) = harness.events_of(NotYetAvailable)
        await asyncio.sleep(event.available_at - NOW - 1.1)
        await OF_A_CALL[name](client, call)
        assert harness.requests == {}
        await asyncio.sleep(1.1)
        await OF_A_CALL[name](client, call)

    harness = make_harness(world)
    harness.run(job)
    assert harness.requests.total() == 1
    assert len(harness.events_of(NotYetAvailable)) == 2
    assert harness.refusals == {}


@pytest.mark.parametrize("name", OF_A_CALL)
@pytest.mark.parametrize(("ago", "why"), [(-60, "too recent"), (16 * 24 * HOUR, "too far back")])
def test_call_in_the_future_or_too_far_back_is_an_error(name, ago, why):
    if "arrow" in name:
        pytest.importorskip("pyarrow")
    call = call_that_began(ago, lasted=30)
    harness = make_harness()
    if name == "statistics" or name == "freeze_distribution":
        why = "too recent" if ago < 0 else "too far back"
    with pytest.raises(WindowOutOfReach, match=why):
        harness.run(lambda client: OF_A_CALL[name](client, call))
    assert harness.requests == {}
    assert harness.events_of(NotYetAvailable) == []


@pytest.mark.parametrize("name", OF_A_CALL)
def test_recent_call_of_a_client_whose_clock_is_fast_is_empty_too(name):
    """The server refuses the first request, and its response corrects the clock."""
    if "arrow" in name:
        pytest.importorskip("pyarrow")

    class Fast:
        def now(self):
            return harness.clock.now() + 300

    harness = make_harness(client={"clock": Fast()})
    call = call_that_began(90)
    assert len(harness.run(lambda client: OF_A_CALL[name](client, call))) == 0
    assert len(harness.events_of(NotYetAvailable)) == 1
    assert harness.requests.total() == 1


def test_details_of_the_beta_are_empty_too():
    settings = {"app_id": "a", "base_url": "http://127.0.0.1:9"}
    transport = Scripted()
    harness = Harness(AsyncAgoraBeta, ("x", "y"), settings, VirtualClock(NOW), transport=transport)
    assert harness.run(lambda client: client.details(call_that_began(140)).collect()) == []
    assert [event.endpoint for event in harness.events_of(NotYetAvailable)] == ["beta/call/details"]
    with pytest.raises(WindowOutOfReach, match="too recent"):
        harness.run(lambda client: client.details(call_that_began(-60)).collect())


def test_details_of_the_beta_are_empty_too_if_the_clock_is_fast():
    pytest.importorskip("starlette")
    from tests.beta.harness import make_harness as make_beta_harness

    class Fast:
        def now(self):
            return harness.clock.now() + 300

    harness = make_beta_harness(now=NOW)
    details = harness.run(lambda client: client.details(call_that_began(100)).collect(), clock=Fast())
    assert details == []
    assert len(harness.events_of(NotYetAvailable)) == 1


def test_event_is_logged_as_information(caplog):
    with caplog.at_level(logging.INFO, logger="agora_analytics"):
        log_event(NotYetAvailable(endpoint="call/metrics", start=1, end=2, available_at=103))
    assert [record.levelname for record in caplog.records] == ["INFO"]


@pytest.mark.parametrize("plan", DELAYS)
def test_settled_calls_are_finished_and_complete(plan):
    async def job(client):
        settled = await client.calls("6h", settled=True).collect()
        table = None
        if has_pyarrow:
            table = await client.calls("6h", settled=True).to_arrow()
        metrics = [await client.metrics(call).collect() for call in settled[:5]]
        return await client.calls("6h").collect(), settled, table, metrics

    has_pyarrow = find_spec("pyarrow") is not None
    harness = make_harness(busy_world(), plan)
    calls, settled, table, metrics = harness.run(job)
    complete_until = NOW - DELAYS[plan] - 4
    assert [call.call_id for call in settled] == [
        call.call_id for call in calls if call.finished and call.destroyed_ts < complete_until
    ]
    assert 0 < len(settled) < len(calls)
    assert table is None or table["call_id"].to_pylist() == [call.call_id for call in settled]
    assert all(metrics)
    assert harness.events_of(NotYetAvailable) == []


def test_settled_calls_of_the_beta_are_finished_and_complete():
    from tests.conftest import ok

    rows = [
        {"call_id": f"{ago}", "cname": "r", "created_ts": int(NOW) - 900, "destroyed_ts": int(NOW) - ago}
        | more
        for ago, more in ((100, {"finished": True}), (200, {"finished": True}), (300, {"finished": False}))
    ]
    settings = {"app_id": "a", "base_url": "http://127.0.0.1:9"}
    transport = Scripted(ok(call_lists=rows, has_more=False))
    harness = Harness(AsyncAgoraBeta, ("x", "y"), settings, VirtualClock(NOW), transport=transport)
    for settled, expected in ((False, {"100", "200", "300"}), (True, {"200"})):
        calls = harness.run(lambda client, settled=settled: client.calls("1h", settled=settled).collect())
        assert {call.call_id for call in calls} == expected


def test_settled_listing_resumes_with_its_own_token_only():
    from agora_analytics.errors import InvalidRequest

    async def job(client):
        asked = {"settled": True, "page_size": 5}
        whole = await client.calls("6h", **asked).collect()
        pages = client.calls("6h", **asked).pages()
        page = await anext(pages)
        await pages.aclose()
        rest = await client.calls("6h", **asked, resume=page.resume_token).collect()
        assert [*page.records, *rest] == whole
        with pytest.raises(InvalidRequest, match="another listing"):
            await client.calls("6h", page_size=5, resume=page.resume_token).collect()

    make_harness().run(job)
