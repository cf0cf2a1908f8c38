"""The listings of the client against the simulator's own truth."""

import asyncio
import json
import math
from collections import Counter
from contextlib import aclosing

import pytest
from attrs import evolve

pytest.importorskip("numpy")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from agora_analytics.agora.records import Call, Session
from agora_analytics.engine.events import ListingNarrowed, ListingShort
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.errors import (
    DecodeError,
    IncompleteListing,
    InvalidRequest,
    QuotaExhausted,
    WindowOutOfReach,
)
from agora_analytics.simulator import CallTruth, SessionTruth, World
from tests.agora.harness import HOUR, SINCE, UNTIL, call_with_most_sessions, make_harness, small_world
from tests.agora.test_records import CALL as SENT_CALL
from tests.conftest import NOW, nothing_runs, ok, response, slow
from tests.harness import Scripted


def call_of(truth) -> Call:
    return Call(
        call_id=truth.call_id, cname=truth.cname, created_ts=truth.created_ts, destroyed_ts=truth.destroyed_ts, finished=True
    )  # fmt: skip


def points(series):
    return {
        (s.sid, s.mid, s.peer_uid, ts): None if math.isnan(value) else value
        for s in series
        for ts, value in zip(s.ts, s.value, strict=True)
    }


def true_points(world, truth, sids=None):
    return {
        (session.sid, series.mid, series.peer_uid, ts): None if math.isnan(value) else value
        for session in truth.sessions
        if sids is None or session.sid in sids
        for series in world.points(session)
        for ts, value in zip(series.ts.tolist(), series.value.tolist(), strict=True)
    }


def long_call(hours=10, join=0, leave=None):
    begin = int(NOW) - 12 * HOUR
    sessions = tuple(
        SessionTruth(
            sid=f"S{i}", uid=str(i + 1), join_ts=begin + join, leave_ts=begin + (leave or hours * HOUR), key=i
        )
        for i in range(2)
    )
    return CallTruth(
        call_id="long",
        cname="room",
        created_ts=begin,
        destroyed_ts=begin + hours * HOUR,
        sessions=sessions,
    )


# ---- calls


@pytest.mark.parametrize("plan", ["standard", "premium", "enterprise"])
def test_every_call_is_listed_once_newest_first(plan):
    harness = make_harness(plan=plan)
    calls = harness.run(lambda client: client.calls(SINCE, UNTIL).collect())
    assert [call.call_id for call in calls] == [call.call_id for call in harness.world.calls]
    assert (harness.requests, harness.refusals) == ({"call/lists": 1}, {})


def test_a_long_range_is_split_and_costs_the_fewest_requests():
    world = World.generate(since=NOW - 60 * HOUR, until=NOW - 2 * HOUR, calls=300, simple=True)
    harness = make_harness(world)
    calls = harness.run(lambda client: client.calls("60h").collect())
    assert Counter(call.call_id for call in calls) == Counter(call.call_id for call in world.calls)
    assert harness.requests["call/lists"] <= 3 + 3  # three windows, and a hundred calls a page
    assert (calls[0].call_id, calls[-1].call_id) == (world.calls[0].call_id, world.calls[-1].call_id)
    assert harness.refusals == {}


def test_range_is_clipped_to_the_plans_reach():
    harness = make_harness(plan="standard")
    harness.run(lambda client: client.calls("90d").collect())
    assert harness.refusals == {}
    assert harness.requests["call/lists"] == 3  # one day back, in spans of eight hours


@pytest.mark.parametrize("page_size", [1, 7, 100])
def test_pages_have_the_requested_size(page_size):
    async def work(client):
        return [page async for page in client.calls(SINCE, UNTIL, page_size=page_size).pages()]

    harness = make_harness()
    pages = harness.run(work)
    assert [len(page.records) for page in pages[:-1]] == [page_size] * (len(pages) - 1)
    assert len(pages) == math.ceil(40 / page_size)
    assert {page.meta.total for page in pages} == {40}


def test_page_has_meta_of_its_response():
    async def work(client):
        async for page in client.calls(SINCE, UNTIL).pages():
            return page
        return None

    harness = make_harness(latency=(0.05, 0.05))
    page = harness.run(work, keep_raw=True)
    assert (page.meta.status, page.meta.host, page.meta.attempts) == (200, "http://127.0.0.1:9", 1)
    assert page.meta.request_id
    assert page.meta.elapsed == pytest.approx(0.05, abs=0.01)
    assert page.meta.request_id.encode() in page.raw
    assert page.resume_token == ""


def test_calls_of_one_channel():
    harness = make_harness()
    cname = harness.world.calls[3].cname
    calls = harness.run(lambda client: client.calls(SINCE, UNTIL, cname=cname).collect())
    assert {call.call_id for call in calls} == {c.call_id for c in harness.world.calls if c.cname == cname}


def test_hidden_calls_are_found_by_halving():
    harness = make_harness(small_world(calls=90), hidden_after=20)
    calls = harness.run(lambda client: client.calls(SINCE, UNTIL).collect())
    assert Counter(c.call_id for c in calls) == Counter(c.call_id for c in harness.world.calls)
    assert any(isinstance(event, ListingNarrowed) for event in harness.events)


def test_hidden_calls_within_one_second_are_an_error():
    begin = UNTIL - 2 * HOUR
    crowd = [
        CallTruth(call_id=f"c{i}", cname="r", created_ts=begin, destroyed_ts=begin, sessions=())
        for i in range(9)
    ]
    harness = make_harness(World(crowd), hidden_after=5)
    with pytest.raises(IncompleteListing, match=f"one second {begin}"):
        harness.run(lambda client: client.calls(SINCE, UNTIL).collect())


def test_resuming_after_any_page_lists_all_calls():
    async def work(client):
        listing = {"page_size": 9}
        tokens = [page.resume_token async for page in client.calls(SINCE, UNTIL, **listing).pages()]
        for stop, token in enumerate(tokens):
            rest = await client.calls(SINCE, UNTIL, resume=token, **listing).collect()
            assert [call.call_id for call in rest] == everything[(stop + 1) * 9 :]
        return tokens

    harness = make_harness()
    everything = [call.call_id for call in harness.world.calls]
    tokens = harness.run(work)
    assert (len(tokens), tokens[-1]) == (5, "")


# ---- sessions


def test_sessions_exclude_users_on_servers():
    world = small_world(server_share=1.0, session_range=(5, 40))
    harness = make_harness(world)
    truth = call_with_most_sessions(harness.world)
    shown = harness.run(lambda client: client.sessions(call_of(truth)).collect())
    assert Counter(s.sid for s in shown) == Counter(s.sid for s in truth.sessions if not s.server)
    harness = make_harness(world)
    everyone = harness.run(
        lambda client: client.sessions(call_of(truth), exclude_server_user=False).collect()
    )
    assert Counter(s.sid for s in everyone) == Counter(s.sid for s in truth.sessions)


def test_hundreds_of_sessions_are_listed_with_or_without_has_more():
    world = World.generate(
        since=SINCE, until=UNTIL - HOUR, calls=6, big_share=1.0, long_share=0, ongoing_share=0
    )
    harness = make_harness(world)

    async def work(client):
        for truth in world.calls:
            found = await client.sessions(call_of(truth)).collect()
            assert Counter(s.sid for s in found) == Counter(s.sid for s in truth.sessions if not s.server)

    harness.run(work)
    assert harness.refusals == {}


def test_call_id_with_a_range_equals_the_call():
    harness = make_harness()
    truth = call_with_most_sessions(harness.world)
    found = harness.run(
        lambda client: client.sessions(truth.call_id, truth.created_ts, truth.destroyed_ts + 1).collect()
    )
    assert {s.sid for s in found} == {s.sid for s in truth.sessions}


def test_sessions_of_some_users():
    harness = make_harness()
    truth = call_with_most_sessions(harness.world)
    uids = [truth.sessions[0].uid, int(truth.sessions[1].uid)]
    found = harness.run(lambda client: client.sessions(call_of(truth), uids=uids).collect())
    assert {s.uid for s in found} == {str(uid) for uid in uids}


@pytest.mark.parametrize("counted", [str, float, lambda _: None, lambda _: "many", lambda _: 0])
def test_sessions_are_complete_with_any_total(counted):
    rows = [
        {"sid": f"S{i}", "uid": i, "join_ts": SINCE, "leave_ts": UNTIL, "finished": True} for i in range(250)
    ]

    def answer(request):
        page, size = (int(dict(request.query)[name]) for name in ("page_no", "page_size"))
        shown = rows[(page - 1) * size : page * size]
        return ok(total_size=counted(len(rows)), page_no=page, page_size=str(size), call_info=shown)

    transport = Scripted(answer)
    harness = make_harness(client={"transport": transport})
    assert len(harness.run(lambda client: client.sessions("c", SINCE, UNTIL).collect())) == 250
    assert len(transport.requests) == 3


# ---- metrics


def test_metrics_equal_the_ground_truth():
    harness = make_harness(small_world(session_range=(25, 45), calls=8))
    truth = call_with_most_sessions(harness.world)
    series = harness.run(lambda client: client.metrics(call_of(truth)).collect())
    assert points(series) == true_points(harness.world, truth)
    batches = math.ceil(len(truth.sessions) / 20)
    assert harness.requests == {"call/sessions": 1, "call/metrics": batches}


@pytest.mark.parametrize("as_sessions", [True, False])
def test_sessions_and_session_ids_give_the_same_metrics(as_sessions):
    async def work(client):
        call = call_of(truth)
        sessions = (await client.sessions(call).collect())[:3]
        assert all(isinstance(session, Session) for session in sessions)
        series = await client.metrics(
            call, sids=sessions if as_sessions else [s.sid for s in sessions]
        ).collect()
        return points(series), true_points(harness.world, truth, {s.sid for s in sessions})

    harness = make_harness()
    truth = call_with_most_sessions(harness.world)
    found, expected = harness.run(work)
    assert found == expected
    assert harness.requests["call/metrics"] == 1


def test_long_call_is_split_and_no_sample_is_repeated():
    harness = make_harness(World([long_call(hours=10)]))
    series = harness.run(
        lambda client: client.metrics(call_of(call_with_most_sessions(harness.world))).collect()
    )
    times = [(s.sid, s.mid, s.peer_uid, ts) for s in series for ts in s.ts]
    assert len(times) == len(set(times))
    assert points(series) == true_points(harness.world, call_with_most_sessions(harness.world))
    assert harness.requests["call/metrics"] == 2  # ten hours in spans of six
    assert harness.refusals == {}


def test_sessions_are_requested_only_in_windows_they_overlap():
    harness = make_harness(World([long_call(hours=11, join=9 * HOUR, leave=10 * HOUR)]))
    harness.run(lambda client: client.metrics(call_of(call_with_most_sessions(harness.world))).collect())
    assert harness.requests["call/metrics"] == 1


@pytest.mark.parametrize("last_known", [lambda now: int(now) - 9 * HOUR, slow(int), slow(lambda _: 0)])
def test_ongoing_sessions_are_requested_to_the_end(last_known):
    async def work(client):
        (call,) = await client.calls("12h").collect()
        sessions = await client.sessions(call).collect()
        assert not call.finished
        at_once = points(await client.metrics(call).collect())
        await asyncio.sleep(7 * HOUR)
        later = await client.metrics(call, sids=sessions).collect()
        by_id = await client.metrics(call, sids=[session.sid for session in sessions]).collect()
        return at_once, points(later), points(by_id)

    harness = make_harness(World([long_call(hours=18)]), last_known=last_known)
    at_once, later, by_id = harness.run(work)
    truth = true_points(harness.world, call_with_most_sessions(harness.world))
    assert later == by_id == truth
    delay = 100
    assert at_once == {key: value for key, value in truth.items() if key[-1] < NOW - delay}


def test_repeated_session_is_requested_once():
    async def work(client):
        call = call_of(truth)
        sessions = await client.sessions(call).collect()
        ids = [session.sid for session in sessions]
        return points(await client.metrics(call, sids=[*sessions, *ids, *sessions]).collect())

    harness = make_harness(small_world(session_range=(15, 20), calls=3))
    truth = call_with_most_sessions(harness.world)
    assert harness.run(work) == true_points(harness.world, truth)
    assert harness.requests["call/metrics"] == 1


def test_metrics_can_be_resumed_after_any_page():
    async def work(client):
        call = call_of(call_with_most_sessions(harness.world))
        pages = [page async for page in client.metrics(call).pages()]
        for stop, page in enumerate(pages):
            rest = await client.metrics(call, resume=page.resume_token).collect()
            expected = {s.sid for later in pages[stop + 1 :] for s in later.records}
            assert {s.sid for s in rest} == expected
        return pages

    harness = make_harness(small_world(session_range=(50, 70), calls=3))
    pages = harness.run(work)
    assert len(pages) >= 3
    assert pages[-1].resume_token == ""
    assert all(len(page.columns) == sum(map(len, page.records)) for page in pages)


# ---- what is refused before it costs anything

CALL = Call(call_id="c", cname="r", created_ts=UNTIL - HOUR, destroyed_ts=UNTIL, finished=True)
OLD = Call(
    call_id="c", cname="r", created_ts=int(NOW) - 9_000_000, destroyed_ts=int(NOW) - 8_999_000, finished=True
)
FUTURE = Call(call_id="c", cname="r", created_ts=int(NOW) + 9, destroyed_ts=int(NOW) + 99, finished=True)


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda c: c.calls(UNTIL, SINCE), InvalidRequest, "not before until"),
        (lambda c: c.calls(SINCE, SINCE), InvalidRequest, "the same time"),
        (lambda c: c.calls(SINCE * 1000, UNTIL * 1000), InvalidRequest, "looks like milliseconds"),
        (lambda c: c.calls(SINCE, UNTIL * 1000), InvalidRequest, "until=.*looks like milliseconds"),
        (lambda c: c.calls("whenever"), InvalidRequest, "is not a time"),
        (lambda c: c.calls("90d", "80d"), WindowOutOfReach, "too far back: the plan reaches 360 h"),
        (lambda c: c.calls("10s"), WindowOutOfReach, "too recent: data comes 20 s late"),
        (lambda c: c.calls(SINCE, page_size=0), InvalidRequest, "page_size=0"),
        (lambda c: c.calls(SINCE, page_size=101), InvalidRequest, "page_size=101"),
        (lambda c: c.calls(SINCE, resume="nonsense"), InvalidRequest, "not a resume token"),
        (lambda c: c.sessions(CALL, uids=range(11)), InvalidRequest, "at most 10 uids, not 11"),
        (lambda c: c.sessions("c"), InvalidRequest, "a call id needs since= and until="),
        (lambda c: c.sessions("c", SINCE), InvalidRequest, "a call id needs since= and until="),
        (lambda c: c.sessions(OLD), WindowOutOfReach, "too far back"),
        (lambda c: c.sessions(FUTURE), WindowOutOfReach, "too recent: data comes 100 s late"),
        (lambda c: c.metrics(FUTURE), WindowOutOfReach, "too recent: data comes 100 s late"),
        (lambda c: c.calls(SINCE, deadline=0), InvalidRequest, "deadline=0"),
        (lambda c: c.metrics("c"), InvalidRequest, "a call id needs since= and until="),
        (lambda c: c.metrics(OLD), WindowOutOfReach, "too far back"),
        (lambda c: c.metrics(CALL, sids=["S"], resume="nonsense"), InvalidRequest, "not a resume token"),
        (lambda c: c.sessions(CALL, uids="1234"), InvalidRequest, "uids"),
        (lambda c: c.metrics(CALL, sids="S1234"), InvalidRequest, "sids"),
    ],
)
def test_invalid_arguments_take_no_request(ask, error, said):
    async def work(client):
        with pytest.raises(error, match=said) as caught:
            await ask(client).collect()
        return caught.value, [quota.spent for quota in await client.quota()]

    harness = make_harness()
    failure, spent = harness.run(work)
    assert harness.requests == {}
    assert set(spent) == {0}
    if isinstance(failure, WindowOutOfReach):
        start, end = failure.legal
        assert start > NOW - 15 * 24 * HOUR
        assert end < NOW - 20
        assert "the plan allows 2026-11-04 12:00:" in str(failure)


# ---- answers that cannot be read


@pytest.mark.parametrize(
    "answer",
    [
        ok(call_lists={}),
        ok(call_lists="none"),
        response(b'\xef\xbb\xbf{"code":200,"call_lists":{},"x":1e999}'),
    ],
)
def test_undocumented_response_is_a_decode_error_with_its_path(answer):
    harness = make_harness(client={"transport": Scripted(answer)})
    with pytest.raises(DecodeError, match=r"\$\.call_lists") as caught:
        harness.run(lambda client: client.calls(SINCE, UNTIL).collect())
    assert (caught.value.endpoint, caught.value.host) == ("call/lists", "http://127.0.0.1:9")


@pytest.mark.parametrize("envelope", [{}, {"total_size": 2, "page_size": 2}, {"has_more": "false"}])
def test_unreadable_record_costs_no_request_and_no_other_record(envelope):
    """The server counts the record too, so the listing is complete without it."""
    transport = Scripted(ok(call_lists=[{"call_id": "x"}, SENT_CALL], **envelope))
    harness = make_harness(client={"transport": transport})

    async def job(client):
        return [page async for page in client.calls(SINCE, UNTIL).pages()]

    pages = harness.run(job)
    assert [call.call_id for page in pages for call in page.records] == ["c1"]
    assert {(each.path, each.key) for page in pages for each in page.skipped} == {("$.call_lists[0]", "x")}
    # Without a count, the listing ends at the page that has no new record.
    assert len(transport.requests) == len(pages) == (1 if envelope else 2)
    assert not harness.events_of(ListingShort)


# ---- leaving


async def by_break(client):
    async for _ in client.calls(SINCE, UNTIL, page_size=3):
        break


async def by_closing_the_client(client):
    async with aclosing(client.calls(SINCE, UNTIL, page_size=3).pages()) as pages:
        await anext(pages)
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            async for _ in pages:
                pass


async def by_cancellation(client):
    task = asyncio.create_task(client.calls(SINCE, UNTIL, page_size=3).collect())
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [by_break, by_closing_the_client, by_cancellation])
def test_leaving_a_listing_early_leaves_nothing_running(leave):
    async def work(client):
        await leave(client)
        assert await nothing_runs()
        return harness.requests["call/lists"]

    harness = make_harness(latency=(0.05, 0.3))
    assert harness.run(work) <= 10  # of 14


def test_closed_client_raises():
    async def work(client):
        await client.aclose()
        await client.calls(SINCE, UNTIL).collect()

    harness = make_harness()
    with pytest.raises(RuntimeError, match="client is closed"):
        harness.run(work)
    assert harness.requests == {}


def test_exhausted_quota_is_raised_after_the_earlier_records():
    async def work(client):
        read = []
        with pytest.raises(QuotaExhausted) as caught:  # noqa: PT012
            async for call in client.calls(SINCE, UNTIL, page_size=1):
                read.append(call.call_id)  # noqa: PERF401
        return read, caught.value.retry_at, await client.quota()

    harness = make_harness(
        World.generate(since=SINCE, until=UNTIL - HOUR, calls=1200, simple=True), plan="standard"
    )
    read, retry_at, quota = harness.run(work)
    assert read == [call.call_id for call in harness.world.calls[:1000]]
    (lists,) = [row for row in quota if row.endpoint == "call/lists"]
    assert (lists.spent, lists.left, lists.opens_at) == (1000, 0, retry_at)
    assert (harness.requests["call/lists"], harness.refusals) == (1000, {})


# ---- Arrow


def test_arrow_tables_equal_the_ground_truth():
    pa = pytest.importorskip("pyarrow")
    compute = pytest.importorskip("pyarrow.compute")
    from agora_analytics.schemas import CALLS, SAMPLES, SESSIONS

    async def work(client):
        calls = await client.calls(SINCE, UNTIL).to_arrow()
        tables = [
            (await client.sessions(call).to_arrow(), await client.metrics(call).to_arrow())
            for call in await client.calls(SINCE, UNTIL).collect()
        ]
        return calls, pa.concat_tables(s for s, _ in tables), pa.concat_tables(m for _, m in tables)

    harness = make_harness(
        World.generate(since=SINCE, until=UNTIL - HOUR, calls=6, long_share=0, ongoing_share=0, big_share=0)
    )
    calls, sessions, metrics = harness.run(work)
    truth = harness.world.totals(server_users=True)
    assert (calls.num_rows, metrics.num_rows) == (truth.calls, truth.points)
    assert sessions.num_rows == harness.world.totals().sessions
    values = metrics.column("value").cast(pa.float64())
    total = compute.sum(compute.if_else(compute.is_nan(values), None, values)).as_py()
    assert total == truth.value_sum
    assert [calls.schema.names, sessions.schema.names] == [CALLS.names, SESSIONS.names]
    assert metrics.schema.equals(SAMPLES, check_metadata=True)


def test_table_equals_the_records_with_repeats_and_odd_pages():
    pytest.importorskip("pyarrow")
    from agora_analytics.agora.arrow import calls_table

    class Odd:
        """Changes the answers on their way."""

        async def send(self, request):
            answer = await AsgiTransport(harness.simulator.app).send(request)
            page = json.loads(answer.body)
            if dict(request.query)["page_no"] == "2":  # this page has to be read the careful way
                page["call_lists"][0] |= {"new_field": 1, "call_pcu": "7"}
            page["call_lists"] += page["call_lists"][:2]
            return evolve(answer, body=json.dumps(page).encode())

    async def work(client):
        listing = client.calls(SINCE, UNTIL, page_size=10)
        return await listing.to_arrow(), await listing.collect()

    harness = make_harness(client={"transport": Odd()})
    table, calls = harness.run(work)
    assert table.equals(calls_table([calls]))
    assert table.num_rows == len(harness.world.calls)
    assert table["extra"].to_pylist().count('{"new_field":1}') == 1


def test_missing_roles_are_null_in_a_table():
    pytest.importorskip("pyarrow")
    row = {"uid": 7, "join_ts": SINCE, "leave_ts": UNTIL, "finished": True}
    sent = [{}, {"roles": None}, {"roles": []}, {"roles": "host"}, {"roles": ["host", "audience"]}]
    rows = [row | more | {"sid": f"S{i}"} for i, more in enumerate(sent)]

    def answer(shown):
        return ok(total_size=len(shown), page_no=1, page_size=100, call_info=shown)

    for new in ({}, {"new_field": 1}):  # read the quick way, and the careful one
        harness = make_harness(client={"transport": Scripted(answer([row | new for row in rows]))})
        table = harness.run(lambda client: client.sessions("c", SINCE, UNTIL).to_arrow())
        assert table["roles"].to_pylist() == [None, None, None, ["host"], ["host", "audience"]]


def test_an_empty_listing_is_an_empty_table_with_all_columns():
    pytest.importorskip("pyarrow")
    from agora_analytics.schemas import CALLS

    harness = make_harness(World([]))
    table = harness.run(lambda client: client.calls(SINCE, UNTIL).to_arrow())
    assert (table.num_rows, table.schema.names) == (0, CALLS.names)
