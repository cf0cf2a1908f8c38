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
from agora_analytics.engine.events import ListingNarrowed
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.errors import (
    DecodeError,
    IncompleteListing,
    InvalidRequest,
    QuotaExhausted,
    WindowOutOfReach,
)
from agora_analytics.simulator import CallTruth, SessionTruth, World
from tests.agora.stage import HOUR, SINCE, UNTIL, Stage, small_world
from tests.conftest import NOW, Scripted, nothing_runs, ok, response


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
def test_all_calls_come_once_and_the_newest_first(plan):
    stage = Stage(plan=plan)
    calls = stage.run(stage.client.calls(SINCE, UNTIL).collect())
    assert [call.call_id for call in calls] == [call.call_id for call in stage.world.calls]
    assert (stage.asked, stage.refusals) == ({"call/lists": 1}, {})


def test_a_long_range_is_split_and_costs_the_fewest_requests():
    world = World.generate(since=NOW - 60 * HOUR, until=NOW - 2 * HOUR, calls=300, simple=True)
    stage = Stage(world)
    calls = stage.run(stage.client.calls("60h").collect())
    assert Counter(call.call_id for call in calls) == Counter(call.call_id for call in world.calls)
    assert stage.asked["call/lists"] <= 3 + 3  # three windows, and a hundred calls a page
    assert (calls[0].call_id, calls[-1].call_id) == (world.calls[0].call_id, world.calls[-1].call_id)
    assert stage.refusals == {}


def test_a_range_is_cut_to_the_plan_s_reach():
    stage = Stage(plan="standard")
    stage.run(stage.client.calls("90d").collect())
    assert stage.refusals == {}
    assert stage.asked["call/lists"] == 3  # one day back, in spans of eight hours


@pytest.mark.parametrize("page_size", [1, 7, 100])
def test_pages_have_the_size_that_was_asked_for(page_size):
    async def work():
        return [page async for page in stage.client.calls(SINCE, UNTIL, page_size=page_size).pages()]

    stage = Stage()
    pages = stage.run(work())
    assert [len(page.records) for page in pages[:-1]] == [page_size] * (len(pages) - 1)
    assert len(pages) == math.ceil(40 / page_size)
    assert {page.meta.total for page in pages} == {40}


def test_a_page_tells_how_it_came():
    async def work():
        async for page in stage.client.calls(SINCE, UNTIL).pages():
            return page
        return None

    stage = Stage(latency=(0.05, 0.05))
    page = stage.run(work())
    assert (page.meta.status, page.meta.host, page.meta.attempts) == (200, "http://127.0.0.1:9", 1)
    assert page.meta.request_id
    assert page.meta.elapsed == pytest.approx(0.05, abs=0.01)
    assert page.meta.request_id.encode() in page.raw
    assert page.resume_token == ""


def test_one_channel_can_be_asked_for():
    stage = Stage()
    cname = stage.world.calls[3].cname
    calls = stage.run(stage.client.calls(SINCE, UNTIL, cname=cname).collect())
    assert {call.call_id for call in calls} == {c.call_id for c in stage.world.calls if c.cname == cname}


def test_hidden_calls_are_found_by_halving():
    stage = Stage(small_world(calls=90), hidden_after=20)
    calls = stage.run(stage.client.calls(SINCE, UNTIL).collect())
    assert Counter(c.call_id for c in calls) == Counter(c.call_id for c in stage.world.calls)
    assert any(isinstance(event, ListingNarrowed) for event in stage.events)


def test_hidden_calls_within_one_second_are_an_error():
    begin = UNTIL - 2 * HOUR
    crowd = [
        CallTruth(call_id=f"c{i}", cname="r", created_ts=begin, destroyed_ts=begin, sessions=())
        for i in range(9)
    ]
    stage = Stage(World(crowd), hidden_after=5)
    with pytest.raises(IncompleteListing, match=f"one second {begin}"):
        stage.run(stage.client.calls(SINCE, UNTIL).collect())


def test_stopping_after_any_page_and_going_on_gives_all_calls():
    async def work():
        listing = {"page_size": 9}
        tokens = [page.resume_token async for page in stage.client.calls(SINCE, UNTIL, **listing).pages()]
        for stop, token in enumerate(tokens):
            rest = await stage.client.calls(SINCE, UNTIL, resume=token, **listing).collect()
            assert [call.call_id for call in rest] == everything[(stop + 1) * 9 :]
        return tokens

    stage = Stage()
    everything = [call.call_id for call in stage.world.calls]
    tokens = stage.run(work())
    assert (len(tokens), tokens[-1]) == (5, "")


# ---- sessions


def test_the_sessions_of_a_call_come_without_users_on_servers():
    world = small_world(server_share=1.0, session_range=(5, 40))
    stage = Stage(world)
    truth = stage.call()
    shown = stage.run(stage.client.sessions(call_of(truth)).collect())
    assert Counter(s.sid for s in shown) == Counter(s.sid for s in truth.sessions if not s.server)
    stage = Stage(world)
    everyone = stage.run(stage.client.sessions(call_of(truth), exclude_server_user=False).collect())
    assert Counter(s.sid for s in everyone) == Counter(s.sid for s in truth.sessions)


def test_hundreds_of_sessions_come_whole_whether_the_answer_says_has_more_or_not():
    world = World.generate(
        since=SINCE, until=UNTIL - HOUR, calls=6, big_share=1.0, long_share=0, ongoing_share=0
    )
    stage = Stage(world)

    async def work():
        for truth in world.calls:
            found = await stage.client.sessions(call_of(truth)).collect()
            assert Counter(s.sid for s in found) == Counter(s.sid for s in truth.sessions if not s.server)

    stage.run(work())
    assert stage.refusals == {}


def test_a_call_id_with_its_time_range_is_as_good_as_the_call():
    stage = Stage()
    truth = stage.call()
    found = stage.run(
        stage.client.sessions(truth.call_id, truth.created_ts, truth.destroyed_ts + 1).collect()
    )
    assert {s.sid for s in found} == {s.sid for s in truth.sessions}


def test_only_some_users_can_be_asked_for():
    stage = Stage()
    truth = stage.call()
    uids = [truth.sessions[0].uid, int(truth.sessions[1].uid)]
    found = stage.run(stage.client.sessions(call_of(truth), uids=uids).collect())
    assert {s.uid for s in found} == {str(uid) for uid in uids}


@pytest.mark.parametrize("counted", [str, float, lambda _: None, lambda _: "many", lambda _: 0])
def test_sessions_come_whole_however_the_server_counts_them(counted):
    rows = [
        {"sid": f"S{i}", "uid": i, "join_ts": SINCE, "leave_ts": UNTIL, "finished": True} for i in range(250)
    ]

    def answer(request):
        page, size = (int(dict(request.query)[name]) for name in ("page_no", "page_size"))
        shown = rows[(page - 1) * size : page * size]
        return ok(total_size=counted(len(rows)), page_no=page, page_size=str(size), call_info=shown)

    transport = Scripted(answer)
    stage = Stage(client={"transport": transport})
    assert len(stage.run(stage.client.sessions("c", SINCE, UNTIL).collect())) == 250
    assert len(transport.requests) == 3


# ---- metrics


def test_the_metrics_of_a_call_are_the_truth_to_the_point():
    stage = Stage(small_world(session_range=(25, 45), calls=8))
    truth = stage.call()
    series = stage.run(stage.client.metrics(call_of(truth)).collect())
    assert points(series) == true_points(stage.world, truth)
    batches = math.ceil(len(truth.sessions) / 20)
    assert stage.asked == {"call/sessions": 1, "call/metrics": batches}


@pytest.mark.parametrize("as_sessions", [True, False])
def test_sessions_and_their_ids_are_equally_good(as_sessions):
    async def work():
        call = call_of(truth)
        sessions = (await stage.client.sessions(call).collect())[:3]
        assert all(isinstance(session, Session) for session in sessions)
        series = await stage.client.metrics(
            call, sids=sessions if as_sessions else [s.sid for s in sessions]
        ).collect()
        return points(series), true_points(stage.world, truth, {s.sid for s in sessions})

    stage = Stage()
    truth = stage.call()
    found, expected = stage.run(work())
    assert found == expected
    assert stage.asked["call/metrics"] == 1


def test_a_call_longer_than_the_span_is_asked_for_in_parts_and_the_seam_comes_once():
    stage = Stage(World([long_call(hours=10)]))
    series = stage.run(stage.client.metrics(call_of(stage.call())).collect())
    times = [(s.sid, s.mid, s.peer_uid, ts) for s in series for ts in s.ts]
    assert len(times) == len(set(times))
    assert points(series) == true_points(stage.world, stage.call())
    assert stage.asked["call/metrics"] == 2  # ten hours in spans of six
    assert stage.refusals == {}


def test_sessions_are_asked_for_only_in_the_parts_that_they_were_there():
    stage = Stage(World([long_call(hours=11, join=9 * HOUR, leave=10 * HOUR)]))
    stage.run(stage.client.metrics(call_of(stage.call())).collect())
    assert stage.asked["call/metrics"] == 1


@pytest.mark.parametrize("last_known", [int, lambda _: 0, lambda now: int(now) - 9 * HOUR])
def test_sessions_that_go_on_are_asked_for_to_the_end_whatever_is_known_of_it(last_known):
    async def work():
        (call,) = await stage.client.calls("12h").collect()
        sessions = await stage.client.sessions(call).collect()
        assert not call.finished
        at_once = points(await stage.client.metrics(call).collect())
        await asyncio.sleep(7 * HOUR)
        later = await stage.client.metrics(call, sids=sessions).collect()
        by_id = await stage.client.metrics(call, sids=[session.sid for session in sessions]).collect()
        return at_once, points(later), points(by_id)

    stage = Stage(World([long_call(hours=18)]), last_known=last_known)
    at_once, later, by_id = stage.run(work())
    truth = true_points(stage.world, stage.call())
    assert later == by_id == truth
    delay = 100
    assert at_once == {key: value for key, value in truth.items() if key[-1] < NOW - delay}


def test_a_session_that_comes_twice_is_asked_for_once():
    async def work():
        call = call_of(truth)
        sessions = await stage.client.sessions(call).collect()
        ids = [session.sid for session in sessions]
        return points(await stage.client.metrics(call, sids=[*sessions, *ids, *sessions]).collect())

    stage = Stage(small_world(session_range=(15, 20), calls=3))
    truth = stage.call()
    assert stage.run(work()) == true_points(stage.world, truth)
    assert stage.asked["call/metrics"] == 1


def test_metrics_can_be_gone_on_with_behind_any_page():
    async def work():
        call = call_of(stage.call())
        pages = [page async for page in stage.client.metrics(call).pages()]
        for stop, page in enumerate(pages):
            rest = await stage.client.metrics(call, resume=page.resume_token).collect()
            expected = {s.sid for later in pages[stop + 1 :] for s in later.records}
            assert {s.sid for s in rest} == expected
        return pages

    stage = Stage(small_world(session_range=(50, 70), calls=3))
    pages = stage.run(work())
    assert len(pages) >= 3
    assert pages[-1].resume_token == ""
    assert all(len(page.columns) == sum(map(len, page.records)) for page in pages)


# ---- what is refused before it costs anything

CALL = Call(call_id="c", cname="r", created_ts=UNTIL - HOUR, destroyed_ts=UNTIL, finished=True)
OLD = Call(
    call_id="c", cname="r", created_ts=int(NOW) - 9_000_000, destroyed_ts=int(NOW) - 8_999_000, finished=True
)
NEW = Call(call_id="c", cname="r", created_ts=int(NOW) - 50, destroyed_ts=int(NOW) - 5, finished=True)


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
        (lambda c: c.sessions(CALL, uids=range(11)), InvalidRequest, "11 uids, but a request takes 10"),
        (lambda c: c.sessions("c"), InvalidRequest, "a call id needs since= and until="),
        (lambda c: c.sessions("c", SINCE), InvalidRequest, "a call id needs since= and until="),
        (lambda c: c.sessions(OLD), WindowOutOfReach, "too far back"),
        (lambda c: c.sessions(NEW), WindowOutOfReach, "too recent: data comes 100 s late"),
        (lambda c: c.metrics("c"), InvalidRequest, "a call id needs since= and until="),
        (lambda c: c.metrics(OLD), WindowOutOfReach, "too far back"),
        (lambda c: c.metrics(CALL, sids=["S"], resume="nonsense"), InvalidRequest, "not a resume token"),
        (lambda c: c.sessions(CALL, uids="1234"), InvalidRequest, "uids"),
        (lambda c: c.metrics(CALL, sids="S1234"), InvalidRequest, "sids"),
    ],
)
def test_what_cannot_be_asked_is_refused_without_a_request(ask, error, said):
    async def work():
        with pytest.raises(error, match=said) as caught:
            await ask(stage.client).collect()
        return caught.value, [quota.spent for quota in await stage.client.quota()]

    stage = Stage()
    failure, spent = stage.run(work())
    assert stage.asked == {}
    assert set(spent) == {0}
    if isinstance(failure, WindowOutOfReach):
        start, end = failure.legal
        assert start > NOW - 15 * 24 * HOUR
        assert end < NOW - 20
        assert "the plan allows 2026-11-04 12:00:" in str(failure)


def test_wrong_arguments_are_refused_where_they_are_given_and_not_when_they_are_used():
    stage = Stage()
    with pytest.raises(InvalidRequest):
        stage.client.calls(UNTIL, SINCE)
    stage.run(asyncio.sleep(0))


# ---- answers that cannot be read


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ok(), r"\$\.call_lists"),
        (ok(call_lists={}), r"\$\.call_lists"),
        (ok(call_lists=[{"call_id": "x"}]), r"\$\.call_lists\[0\]"),
        (response(b'{"code":200,"call_lists":[],"x":"\xff"}'), "cannot be read"),
        (response(b'{"code":200,"call_lists":[],"x":1e999}'), "cannot be read"),
    ],
)
def test_an_answer_that_is_not_as_documented_is_a_decode_error_with_its_place(answer, said):
    stage = Stage(client={"transport": Scripted(answer)})
    with pytest.raises(DecodeError, match=said) as caught:
        stage.run(stage.client.calls(SINCE, UNTIL).collect())
    assert (caught.value.endpoint, caught.value.host) == ("call/lists", "http://127.0.0.1:9")


# ---- leaving


async def by_break(stage):
    async for _ in stage.client.calls(SINCE, UNTIL, page_size=3):
        break


async def by_closing_the_client(stage):
    async with aclosing(stage.client.calls(SINCE, UNTIL, page_size=3).pages()) as pages:
        await anext(pages)
        await stage.client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            async for _ in pages:
                pass


async def by_cancellation(stage):
    task = asyncio.create_task(stage.client.calls(SINCE, UNTIL, page_size=3).collect())
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [by_break, by_closing_the_client, by_cancellation])
def test_leaving_a_listing_early_leaves_nothing_running(leave):
    async def work():
        await leave(stage)
        assert await nothing_runs()
        return stage.asked["call/lists"]

    stage = Stage(latency=(0.05, 0.3))
    assert stage.run(work()) <= 10  # of 14


def test_a_closed_client_says_so():
    async def work():
        await stage.client.aclose()
        await stage.client.calls(SINCE, UNTIL).collect()

    stage = Stage()
    with pytest.raises(RuntimeError, match="client is closed"):
        stage.run(work())
    assert stage.asked == {}


def test_a_spent_day_is_said_in_its_place_and_what_came_before_is_given():
    async def work():
        read = []
        with pytest.raises(QuotaExhausted) as caught:  # noqa: PT012
            async for call in stage.client.calls(SINCE, UNTIL, page_size=1):
                read.append(call.call_id)  # noqa: PERF401
        return read, caught.value.retry_at, await stage.client.quota()

    stage = Stage(World.generate(since=SINCE, until=UNTIL - HOUR, calls=1200, simple=True), plan="standard")
    read, retry_at, quota = stage.run(work())
    assert read == [call.call_id for call in stage.world.calls[:1000]]
    (lists,) = [row for row in quota if row.endpoint == "call/lists"]
    assert (lists.spent, lists.left, lists.opens_at) == (1000, 0, retry_at)
    assert (stage.asked["call/lists"], stage.refusals) == (1000, {})


# ---- Arrow


def test_arrow_tables_are_the_truth():
    pa = pytest.importorskip("pyarrow")
    compute = pytest.importorskip("pyarrow.compute")
    from agora_analytics.store import CALLS, METRICS, SESSIONS

    async def work():
        calls = await stage.client.calls(SINCE, UNTIL).to_arrow()
        tables = [
            (await stage.client.sessions(call).to_arrow(), await stage.client.metrics(call).to_arrow())
            for call in await stage.client.calls(SINCE, UNTIL).collect()
        ]
        return calls, pa.concat_tables(s for s, _ in tables), pa.concat_tables(m for _, m in tables)

    stage = Stage(
        World.generate(since=SINCE, until=UNTIL - HOUR, calls=6, long_share=0, ongoing_share=0, big_share=0)
    )
    calls, sessions, metrics = stage.run(work())
    truth = stage.world.totals(server_users=True)
    assert (calls.num_rows, metrics.num_rows) == (truth.calls, truth.points)
    assert sessions.num_rows == stage.world.totals().sessions
    values = metrics.column("value").cast(pa.float64())
    total = compute.sum(compute.if_else(compute.is_nan(values), None, values)).as_py()
    assert total == truth.value_sum
    assert [calls.schema.names, sessions.schema.names] == [CALLS.names, SESSIONS.names]
    assert set(metrics.schema.names) == set(METRICS.names)


def test_a_table_is_that_of_the_records_repeated_ones_and_odd_pages_included():
    pytest.importorskip("pyarrow")
    from agora_analytics.agora.arrow import calls_table

    class Odd:
        """Changes the answers on their way."""

        async def send(self, request):
            answer = await AsgiTransport(stage.sim.app).send(request)
            page = json.loads(answer.body)
            if dict(request.query)["page_no"] == "2":  # this page has to be read the careful way
                page["call_lists"][0] |= {"new_field": 1, "call_pcu": "7"}
            page["call_lists"] += page["call_lists"][:2]
            return evolve(answer, body=json.dumps(page).encode())

    async def work():
        listing = stage.client.calls(SINCE, UNTIL, page_size=10)
        return await listing.to_arrow(), await listing.collect()

    stage = Stage(client={"transport": Odd()})
    table, calls = stage.run(work())
    assert table.equals(calls_table(calls))
    assert table.num_rows == len(stage.world.calls)
    assert table["extra"].to_pylist().count('{"new_field":1}') == 1


def test_roles_that_nobody_told_are_null_in_a_table():
    pytest.importorskip("pyarrow")
    row = {"uid": 7, "join_ts": SINCE, "leave_ts": UNTIL, "finished": True}
    told = [{}, {"roles": None}, {"roles": []}, {"roles": "host"}, {"roles": ["host", "audience"]}]
    rows = [row | more | {"sid": f"S{i}"} for i, more in enumerate(told)]

    def answer(shown):
        return ok(total_size=len(shown), page_no=1, page_size=100, call_info=shown)

    for new in ({}, {"new_field": 1}):  # read the quick way, and the careful one
        stage = Stage(client={"transport": Scripted(answer([row | new for row in rows]))})
        table = stage.run(stage.client.sessions("c", SINCE, UNTIL).to_arrow())
        assert table["roles"].to_pylist() == [None, None, None, ["host"], ["host", "audience"]]


def test_an_empty_listing_is_an_empty_table_with_all_columns():
    pytest.importorskip("pyarrow")
    from agora_analytics.store import CALLS

    stage = Stage(World([]))
    table = stage.run(stage.client.calls(SINCE, UNTIL).to_arrow())
    assert (table.num_rows, table.schema.names) == (0, CALLS.names)
