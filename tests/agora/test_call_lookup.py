"""A call by its id, the calls of a user, and what many views of the same calls cost."""

import asyncio
import random
import time
from collections import Counter
from importlib.util import find_spec

import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from agora_analytics import AsyncAgora, CallNotFound, UserCall, blocking
from agora_analytics.agora.call_lookup import AROUND
from agora_analytics.engine import request_loop
from agora_analytics.errors import BadRequest, DeadlineExceeded, InvalidRequest, RateLimited, WindowOutOfReach
from agora_analytics.simulator import Simulator, serve, serve_in_thread
from tests.agora.harness import HOUR, SINCE, UNTIL, make_harness, scripted, small_world
from tests.conftest import CUSTOMER, NOW, SECRET, nothing_runs, ok, response, slow

LISTS, SESSIONS, METRICS = "call/lists", "call/sessions", "call/metrics"


async def view(client, call_id, **search):
    """Return what a support page shows of a call."""
    call = await client.find_call(call_id, **search)
    sessions, metrics = await asyncio.gather(client.sessions(call).collect(), client.metrics(call).collect())
    return call.call_id, len(sessions), len(metrics)


def busy_world():
    """Return 15 days of calls, several pages for each day, and some that are active now."""
    return small_world(since=int(NOW) - 3 * 24 * HOUR, until=int(NOW) - 60, calls=1200)


# ---- find_call


def test_call_is_found_by_its_id():
    async def job(client):
        return [await client.find_call(call.call_id) for call in harness.world.calls[::10]]

    harness = make_harness()
    assert [call.call_id for call in harness.run(job)] == [call.call_id for call in harness.world.calls[::10]]


def test_time_makes_the_search_cheap():
    async def job(client):
        call = harness.world.calls[-1]
        found = await client.find_call(call.call_id, around=call.created_ts + 100)
        first = harness.requests[LISTS]
        await client.find_call(harness.world.calls[-2].call_id)
        return found.call_id, first, harness.requests[LISTS] - first

    harness = make_harness(busy_world())
    found, narrow, whole = harness.run(job)
    assert found == harness.world.calls[-1].call_id
    assert narrow == 1
    assert whole > 10


def test_search_lists_the_newest_calls_first():
    harness = make_harness(busy_world())
    newest = next(call for call in harness.world.calls if call.created_ts < NOW - HOUR)
    harness.run(lambda client: client.find_call(newest.call_id))
    assert harness.requests[LISTS] <= 6  # with the pages that are prefetched


def test_error_says_which_range_was_searched():
    async def job(client):
        with pytest.raises(CallNotFound) as caught:
            await client.find_call("0" * 20)
        with pytest.raises(CallNotFound, match=r"no call with the id .* in channel room from") as narrow:
            await client.find_call("0" * 20, around=NOW - HOUR, cname="room")
        with pytest.raises(CallNotFound) as recent:
            await client.find_call("0" * 20, around=NOW - 60)
        assert recent.value.until == pytest.approx(NOW, abs=10)
        with pytest.raises(LookupError):
            await client.find_call("0" * 20, since="2h", until="1h")
        return caught.value, narrow.value

    error, narrow = make_harness().run(job)
    assert error.call_id == "0" * 20
    assert error.complete
    assert error.since == pytest.approx(NOW - 15 * 24 * HOUR, abs=10)
    assert error.until == pytest.approx(NOW, abs=1)
    assert "from 2026-11-04" in str(error)
    assert (narrow.since, narrow.until) == (NOW - HOUR - AROUND, NOW - HOUR + AROUND)
    assert narrow.pages == 1


def test_limited_search_says_that_it_is_not_complete():
    async def job(client):
        with pytest.raises(CallNotFound, match=r"among the newest calls .*max_pages") as caught:
            await client.find_call("0" * 20, max_pages=2)
        return caught.value

    harness = make_harness(busy_world())
    error = harness.run(job)
    assert (error.complete, error.pages) == (False, 2)
    assert harness.requests[LISTS] <= 6


@pytest.mark.parametrize(
    ("call_id", "search", "said"),
    [
        ("", {}, "cannot be a call id"),
        ("stand up", {"around": NOW}, "cannot be a call id"),
        ("a/b" * 9, {"around": NOW}, "cannot be a call id"),
        ("7" * 129, {}, "cannot be a call id"),
        ("id\n", {}, "cannot be a call id"),
        ("standup", {}, "does not look like a call id"),
        ("weekly-meeting-of-all-teams", {}, "does not look like a call id"),
        ("1" * 20, {"around": NOW, "since": "2h"}, "exclude each other"),
        ("1" * 20, {"around": NOW * 1000}, "milliseconds"),
        ("1" * 20, {"since": "1h", "until": "2h"}, "not before"),
    ],
)
def test_text_that_cannot_be_a_call_id_takes_no_request(call_id, search, said):
    harness = make_harness()
    with pytest.raises(InvalidRequest, match=said):
        harness.run(lambda client: client.find_call(call_id, **search))
    assert harness.requests == {}


def test_deadline_of_a_search_does_not_end_that_of_another_caller():
    async def job(client):
        call_id = harness.world.calls[-1].call_id
        searches = (client.find_call(call_id, deadline=0.2), client.find_call(call_id))
        return await asyncio.gather(*searches, return_exceptions=True)

    harness = make_harness(busy_world(), latency=(0.1, 0.2))
    error, call = harness.run(job)
    assert isinstance(error, DeadlineExceeded)
    assert call.call_id == harness.world.calls[-1].call_id


def test_deadline_of_a_search_leaves_out_the_decoding(monkeypatch):
    """Also that of the pages that another page had to wait for."""
    monkeypatch.setattr(request_loop, "THREAD_FROM_BYTES", 1)

    async def slow_thread(read):
        await asyncio.sleep(10)
        return read()

    async def job(client):
        client._engine.shared._sender._read_in_thread = slow_thread
        return await client.find_call(harness.world.calls[-1].call_id, deadline=5)

    harness = make_harness(busy_world())
    assert harness.run(job).call_id == harness.world.calls[-1].call_id


def test_search_that_may_not_wait_is_refused_at_once():
    async def job(client):
        searches = (client.find_call(f"{i:020}", max_wait=0.1) for i in range(5))
        return await asyncio.gather(*searches, return_exceptions=True)

    errors = make_harness(plan="standard").run(job)
    assert RateLimited in {type(error) for error in errors}


def test_cancelled_search_leaves_nothing_running():
    async def job(client):
        search = asyncio.create_task(client.find_call(harness.world.calls[-1].call_id))
        await asyncio.sleep(0.3)
        search.cancel()
        await asyncio.wait([search])
        return await nothing_runs()

    harness = make_harness(busy_world(), latency=(0.1, 0.2))
    assert harness.run(job)


# ---- many views of the same calls


def cost(job, **settings):
    """Return the result of a job against a new simulated project, and the requests that it sent."""
    harness = make_harness(busy_world(), latency=(0.02, 0.08), **settings)
    result = harness.run(job)
    assert harness.refusals == {}
    return result, harness.requests


@pytest.mark.parametrize("index", [0, 400, -1], ids=["newest", "older", "oldest"])
def test_fifty_simultaneous_views_of_a_call_send_as_many_requests_as_one(index):
    call_id = busy_world().calls[index].call_id
    one, requests = cost(lambda client: view(client, call_id))
    fifty, same = cost(lambda client: asyncio.gather(*(view(client, call_id) for _ in range(50))))
    assert same == requests
    assert set(fifty) == {one}


@pytest.mark.parametrize("count", [60, *map(slow, (1000,))])
def test_many_views_of_twenty_finished_calls_send_as_many_requests_as_twenty(count):
    calls = [call.call_id for call in busy_world().calls if call.destroyed_ts < NOW - HOUR][::40][:20]
    views = calls * 50
    random.shuffle(views)

    async def one_after_the_other(client, call_ids):
        slots = asyncio.Semaphore(10)

        async def view_in_a_slot(call_id):
            async with slots:
                return await view(client, call_id)

        return await asyncio.gather(*map(view_in_a_slot, call_ids))

    twenty, requests = cost(lambda client: one_after_the_other(client, calls))
    many, same = cost(lambda client: one_after_the_other(client, [*calls, *views[: count - 20]]))
    assert len(many) == count
    assert same == requests
    assert set(many) == set(twenty)


def test_views_of_a_finished_call_are_the_same_without_the_cache():
    async def job(client):
        call = harness.world.calls[3]
        results = [await view(client, call.call_id) for _ in range(3)]
        return results, harness.requests

    harness = make_harness()
    cached, requests = harness.run(job)
    harness = make_harness()
    fresh, more = harness.run(job, cache_bytes=0)
    assert cached == fresh
    assert more == {name: count * 3 for name, count in requests.items()}


def test_call_that_has_left_the_reach_of_the_plan_is_not_in_the_cache():
    async def job(client):
        call = await client.find_call(harness.world.calls[3].call_id)
        assert await client.sessions(call).collect()
        await asyncio.sleep(15 * 24 * HOUR)
        for listing in (client.sessions(call), client.metrics(call)):
            with pytest.raises(WindowOutOfReach):
                await listing.collect()
        with pytest.raises(CallNotFound):
            await client.find_call(call.call_id)

    harness = make_harness()
    harness.run(job)


def test_call_in_the_cache_is_not_found_in_another_channel():
    async def job(client):
        call = await client.find_call(harness.world.calls[3].call_id)
        assert await client.find_call(call.call_id, cname=call.cname) == call
        with pytest.raises(CallNotFound):
            await client.find_call(call.call_id, cname="another")

    harness = make_harness()
    harness.run(job)


def test_ongoing_and_recent_calls_are_requested_again():
    world = small_world(since=int(NOW) - 720, until=int(NOW), calls=60)
    unsettled = [
        call for call in world.calls if call.destroyed_ts > NOW - 100 and call.created_ts < NOW - 120
    ]
    assert unsettled

    async def job(client):
        for _ in range(2):
            call = await client.find_call(unsettled[-1].call_id, around=unsettled[-1].created_ts)
            await client.sessions(call).collect()

    harness = make_harness(world)
    harness.run(job)
    assert harness.requests == {LISTS: 2, SESSIONS: 2}


def test_cached_responses_become_records_and_tables():
    if find_spec("pyarrow") is None:
        pytest.skip("needs pyarrow")

    async def job(client):
        call = await client.find_call(harness.world.calls[3].call_id)
        sessions, metrics = client.sessions(call), client.metrics(call, sids=None)
        first = (
            await sessions.collect(),
            await sessions.to_arrow(),
            await metrics.collect(),
            await metrics.to_arrow(),
        )
        sent = harness.requests
        again = (
            await sessions.collect(),
            await sessions.to_arrow(),
            await metrics.collect(),
            await metrics.to_arrow(),
        )
        assert harness.requests == sent
        assert first[0] == again[0]
        assert [str(list(each.value)) for each in first[2]] == [str(list(each.value)) for each in again[2]]
        assert first[1].equals(again[1])
        assert first[3].equals(again[3])
        again[0][0].extra["changed"] = "by a caller"
        return await sessions.collect()

    harness = make_harness()
    assert all("changed" not in session.extra for session in harness.run(job))


def test_body_of_a_cached_response_is_kept_for_a_client_that_keeps_bodies():
    async def job(client):
        call = await client.find_call(harness.world.calls[3].call_id)
        return [[page.raw async for page in client.sessions(call).pages()] for _ in range(2)]

    harness = make_harness()
    first, again = harness.run(job, keep_raw=True)
    assert first == again
    assert first[0]


def test_harvest_does_not_fill_the_cache(tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("duckdb")
    from agora_analytics.harvest import harvest

    async def job(client):
        await harvest(client, since=SINCE, until=UNTIL, store=tmp_path / "calls.store")
        return client._engine.shared.final.size

    assert make_harness(small_world(calls=5)).run(job) == 0


def real_world():
    """Return calls that ended an hour ago, for the tests in real time."""
    now = int(time.time())
    return small_world(since=now - 4 * HOUR, until=now - 2 * HOUR, calls=20)


def successes(simulator):
    """Return the successful requests by endpoint. In real time, one that comes too late for its range is refused, and sent again."""
    refused = Counter[str]()
    for (endpoint, _), count in simulator.seen.refused.items():
        refused[endpoint] += count
    return simulator.seen.requests - refused


async def test_views_over_a_socket():
    simulator = Simulator(world := real_world())
    call_id = world.calls[2].call_id
    async with serve(simulator) as url:
        options = {"app_id": world.app_id, "plan": "enterprise", "base_url": url}
        async with AsyncAgora(CUSTOMER, SECRET, **options) as client:
            first = await view(client, call_id)
        one = successes(simulator)
        async with AsyncAgora(CUSTOMER, SECRET, **options) as client:
            views = await asyncio.gather(*(view(client, call_id) for _ in range(50)))
            again = [await view(client, call_id) for _ in range(5)]
    assert set(views) == set(again) == {first}
    assert successes(simulator) - one == one


# ---- the calls of a user


def truth_of_user(world, uid):
    return {
        call.call_id: sorted(session.sid for session in call.sessions if str(session.uid) == uid)
        for call in world.calls
        if any(str(session.uid) == uid for session in call.sessions)
    }


def user_with_most_calls(world):
    uids = {str(session.uid) for call in world.calls for session in call.sessions}
    return max(sorted(uids), key=lambda uid: len(truth_of_user(world, uid)))


def test_calls_of_a_user_are_those_with_a_session_of_the_user():
    async def job(client):
        return await client.calls_of_user(uid, SINCE, UNTIL).collect()

    world = small_world()
    uid = user_with_most_calls(world)
    harness = make_harness(world)
    found = harness.run(job)
    assert all(isinstance(each, UserCall) for each in found)
    assert {each.call.call_id: sorted(s.sid for s in each.sessions) for each in found} == truth_of_user(
        world, uid
    )
    assert {session.uid for each in found for session in each.sessions} == {uid}
    assert harness.requests == {LISTS: 1, SESSIONS: len(world.calls)}
    assert harness.refusals == {}


def test_calls_of_a_server_user_are_found():
    world = small_world(simple=False)
    uid = next(str(session.uid) for call in world.calls for session in call.sessions if session.server)

    async def job(client):
        return await client.calls_of_user(uid, SINCE, UNTIL).collect()

    found = make_harness(world).run(job)
    assert {each.call.call_id: sorted(s.sid for s in each.sessions) for each in found} == truth_of_user(
        world, uid
    )


def listed_call(**more):
    return {
        "call_id": "c",
        "cname": "r",
        "created_ts": int(NOW) - 7000,
        "destroyed_ts": int(NOW) - 6000,
    } | more


def test_call_that_leaves_the_reach_of_the_plan_after_it_is_listed_is_left_out():
    began = int(NOW) - 15 * 24 * HOUR + 8
    old = listed_call(created_ts=began, destroyed_ts=began + 1, finished=True)
    harness = scripted(ok(call_lists=[old], total_size=1), seconds=10.0)
    assert harness.run(lambda client: client.calls_of_user("1", "14d", "13d").collect()) == []
    assert len(harness.transport.requests) == 1


def test_call_that_two_pages_list_is_returned_once():
    """A call that begins during the listing moves the last call of a page to the next page."""
    session = {
        "sid": "S",
        "uid": 1,
        "join_ts": int(NOW) - 7000,
        "leave_ts": int(NOW) - 6000,
        "finished": True,
    }

    def answer(request):
        if request.path.endswith("/sessions"):
            return ok(call_info=[session], total_size=1)
        page = int(dict(request.query)["page_no"]) - 1
        calls = [
            listed_call(call_id=str(page * 99 + i), finished=True) for i in range(100 if page == 0 else 2)
        ]
        return ok(call_lists=calls, total_size=102)

    harness = scripted(answer)
    found = harness.run(lambda client: client.calls_of_user("1", "3h").collect())
    assert [each.call.call_id for each in found] == [str(i) for i in range(101)]


def test_error_of_the_sessions_is_the_error_of_the_listing():
    no_sessions = response({"code": 400, "message": "no"}, status=400)
    harness = scripted(ok(call_lists=[listed_call(finished=True)], total_size=1), no_sessions)
    with pytest.raises(BadRequest):
        harness.run(lambda client: client.calls_of_user("1", "3h").collect())


def test_calls_of_a_user_resume_and_become_a_table():
    pytest.importorskip("pyarrow")
    world = small_world(calls=110)
    uid = user_with_most_calls(world)
    expected = truth_of_user(world, uid)

    async def job(client):
        listing = client.calls_of_user(uid, SINCE, UNTIL)
        pages = listing.pages()
        page = await anext(pages)
        await pages.aclose()
        rest = await client.calls_of_user(uid, SINCE, UNTIL, resume=page.resume_token).collect()
        with pytest.raises(InvalidRequest, match="another listing"):
            await client.calls_of_user("another", SINCE, UNTIL, resume=page.resume_token).collect()
        with pytest.raises(InvalidRequest, match="another listing"):
            await client.calls(SINCE, UNTIL, resume=page.resume_token).collect()
        return [*page.records, *rest], await listing.to_arrow()

    harness = make_harness(world)
    found, table = harness.run(job)
    assert {each.call.call_id for each in found} == expected.keys()
    assert sorted(table["sid"].to_pylist()) == sorted(s.sid for each in found for s in each.sessions)
    assert harness.refusals == {}


def test_blocking_client_finds_calls_and_users():
    world = real_world()
    uid = user_with_most_calls(world)
    with serve_in_thread(Simulator(world)) as url:
        options = {"app_id": world.app_id, "plan": "enterprise", "base_url": url}
        with blocking.Agora(CUSTOMER, SECRET, **options) as client:
            call_id = world.calls[1].call_id
            assert client.find_call(call_id, around=world.calls[1].created_ts).call_id == call_id
            with pytest.raises(CallNotFound):
                client.find_call("0" * 20, since="5h")
            newest = min(truth_of_user(world, uid), key=lambda each: -world.call(each).created_ts)
            since = world.call(newest).created_ts
            found = client.calls_of_user(uid, since, since + 60).collect()
            assert newest in {each.call.call_id for each in found}
