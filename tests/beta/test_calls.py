"""Calls and their details: a response has at most ten, and a truncated listing is an error."""

import json

import pytest

from agora_analytics import errors
from agora_analytics.agora.beta.limits import LIMITS
from agora_analytics.engine.events import RangeClipped
from agora_analytics.simulator import World
from agora_analytics.simulator.ground_truth.records import CallTruth
from tests.agora.test_records import SESSION
from tests.beta.harness import SINCE, UNTIL, make_harness, make_world, scripted

CALL = {
    "call_id": "c1",
    "cname": "room",
    "created_ts": 1795000000,
    "destroyed_ts": 1795000100,
    "finished": True,
}


def alive(world, since, until):
    return [c.call_id for c in world.calls if c.created_ts < until and c.destroyed_ts >= since]


def test_golden_call_list():
    body = {
        "code": 200,
        "message": "",
        "has_more": False,
        "call_lists": [CALL, CALL | {"call_id": "c2", "new": 1}],
    }
    harness = scripted(json.dumps(body).encode())

    async def job(client):
        return [page async for page in client.calls("2h", "1h", cname="room").pages()]

    (page,) = harness.run(job)
    assert [call.call_id for call in page.records] == ["c1", "c2"]
    assert page.records[1].extra == {"new": 1}
    assert page.resume_token == ""
    assert harness.transport.requests[0].url == (
        f"https://api.agora.io/beta/analytics/call/lists?start_ts={UNTIL - 3600}&end_ts={UNTIL - 1}"
        "&appid=app&cname=room"
    )


@pytest.mark.parametrize("calls", [0, 9, 10, 11, 200])
def test_every_call_is_listed(calls):
    world = make_world(calls)
    harness = make_harness(world=world)

    async def job(client):
        return [page async for page in client.calls(SINCE, UNTIL).pages()]

    pages = harness.run(job)
    assert [call.call_id for page in pages for call in page.records] == alive(world, SINCE, UNTIL)
    assert len(pages) <= calls / 9 + 3
    assert not harness.refusals
    assert harness.simulator.seen.worst_window("beta/call/lists") <= 3


def crowd(number, *, begun=10, apart=7):
    return World(
        CallTruth(
            call_id=f"c{i:03}",
            cname="room",
            created_ts=SINCE - begun * 60 + i * apart,
            destroyed_ts=SINCE + 600 + i,
            sessions=(),
        )
        for i in range(number)
    )


def test_many_calls_that_began_before_the_range():
    world = crowd(45)
    harness = make_harness(world=world)
    found = harness.run(lambda c: c.calls(SINCE + 300, SINCE + 400).collect())
    assert [call.call_id for call in found] == alive(world, SINCE + 300, SINCE + 400)
    assert len(found) == 45


def test_calls_that_ended_before_the_range_are_left_out():
    old = CallTruth(call_id="old", cname="r", created_ts=SINCE - 500, destroyed_ts=SINCE + 1, sessions=())
    world = World([old, *crowd(45).calls])
    found = make_harness(world=world).run(lambda c: c.calls(SINCE + 300, SINCE + 400).collect())
    assert "old" not in {call.call_id for call in found}
    assert len(found) == 45


def test_more_than_ten_calls_in_one_second_are_an_error():
    harness = make_harness(world=crowd(12, apart=0))
    with pytest.raises(errors.IncompleteListing, match="more than 10 records"):
        harness.run(lambda c: c.calls(SINCE, UNTIL).collect())


OLD = UNTIL + 9 * 3600 - 4 * 86_400  # a day before the reach begins


def active_calls(number):
    return [
        CallTruth(call_id=f"old{i}", cname="r", created_ts=OLD - i, destroyed_ts=UNTIL + 86_400, sessions=())
        for i in range(number)
    ]


def test_active_calls_that_began_before_the_reach_are_listed_after_newer_ones():
    world = World([*active_calls(9), *crowd(45).calls])
    harness = make_harness(world=world)
    found = harness.run(lambda c: c.calls(SINCE - 3600, UNTIL).collect())
    assert {call.call_id for call in found} == {call.call_id for call in world.calls}
    assert not harness.refusals


def test_more_than_ten_active_calls_that_began_before_the_reach_are_an_error():
    harness = make_harness(world=World([*active_calls(12), *crowd(5).calls]))
    with pytest.raises(errors.IncompleteListing, match="more than 10 records"):
        harness.run(lambda c: c.calls(SINCE - 3600, UNTIL).collect())
    assert harness.requests.total() <= 5
    assert not harness.refusals


def test_calls_with_an_unknown_end_are_listed():
    def answer(has_more, *times, **more):
        calls = [CALL | {"call_id": f"c{ts}", "created_ts": ts, **more} for ts in times]
        return json.dumps({"code": 200, "has_more": has_more, "call_lists": calls}).encode()

    before = UNTIL - 7200
    harness = scripted(
        answer(True, before - 5, finished=False, destroyed_ts=None),
        answer(False, before - 5, before - 9, finished=False, destroyed_ts=0),
    )
    found = harness.run(lambda c: c.calls(before, "1h").collect())
    assert [call.created_ts for call in found] == [before - 5, before - 9]


@pytest.mark.parametrize("has_more", [None, "yes", 2])
def test_full_list_without_a_readable_has_more_may_be_truncated(has_more):
    def answer(has_more, times):
        calls = [
            CALL | {"call_id": f"c{ts}", "created_ts": ts, "destroyed_ts": ts + 90_000_000} for ts in times
        ]
        return json.dumps({"code": 200, "has_more": has_more, "call_lists": calls}).encode()

    first = UNTIL - 7200
    harness = scripted(
        answer(has_more, range(first + 19, first + 9, -1)), answer(has_more, range(first + 10, first + 7, -1))
    )
    found = harness.run(lambda c: c.calls(first, "1h").collect(), prefetch=1)
    assert [call.created_ts for call in found] == list(range(first + 19, first + 7, -1))


def test_range_of_an_unordered_list_is_halved():
    def answer(has_more, *times):
        calls = [
            CALL | {"call_id": f"c{ts}", "created_ts": ts, "destroyed_ts": ts + 90_000_000} for ts in times
        ]
        return json.dumps({"code": 200, "has_more": has_more, "call_lists": calls}).encode()

    harness = scripted(answer(True, 5, 9, 7), answer(False, 9), answer(False, 5, 7, 3))
    found = harness.run(lambda c: c.calls("2h", "1h").collect(), prefetch=1)
    assert [call.created_ts for call in found] == [5, 9, 7, 3]
    ends = [dict(request.query) for request in harness.transport.requests]
    assert [(int(e["start_ts"]), int(e["end_ts"])) for e in ends[1:]] == [
        (UNTIL - 1800, UNTIL - 1),
        (UNTIL - 3600, UNTIL - 1801),
    ]


def test_listing_resumes_after_a_page():
    harness = make_harness(world=make_world(60))

    async def job(client):
        pages = [page async for page in client.calls(SINCE, UNTIL).pages()]
        return pages, await client.calls(SINCE, UNTIL, resume=pages[2].resume_token).collect()

    pages, rest = harness.run(job)
    ids = {call.call_id for page in pages[3:] for call in page.records}
    assert ids <= {call.call_id for call in rest}
    assert len(rest) - len(ids) <= 1  # the call at the seam


@pytest.mark.parametrize("fault", ["500", "reset", "cut-off", "broken-json", "lost-answer", "429", "hang"])
def test_under_faults(fault):
    world = make_world(30)
    harness = make_harness(None, fault, world=world)
    found = harness.run(lambda c: c.calls(SINCE, UNTIL).collect())
    assert [call.call_id for call in found] == alive(world, SINCE, UNTIL)


def test_details_of_a_call():
    world = make_world(10)
    harness = make_harness(world=world)
    truth = max(world.calls, key=lambda call: len(call.sessions))

    async def job(client):
        (call,) = [c for c in await client.calls(SINCE, UNTIL).collect() if c.call_id == truth.call_id]
        (details,) = await client.details(call).collect()
        (bare,) = await client.details(
            call.call_id, call.created_ts, call.destroyed_ts + 1, metrics=False
        ).collect()
        return details, bare

    details, bare = harness.run(job)
    people = [session for session in truth.sessions if not session.server]
    assert len(details.sessions) == min(10, len(people))
    assert details.may_hide_users == (len(people) >= 10)
    assert [s.join_ts for s in details.sessions] == sorted(
        (s.join_ts for s in details.sessions), reverse=True
    )
    assert {series.sid for series in details.columns} == {s.sid for s in details.sessions}
    assert len(details.columns) == harness.simulator.seen.points["beta/call/details"]
    assert (bare.sessions, len(bare.columns), bare.call_id) == (details.sessions, 0, truth.call_id)


def test_details_as_arrow_table():
    pytest.importorskip("pyarrow")
    harness = make_harness(world=make_world(10))

    async def job(client):
        call = (await client.calls(SINCE, UNTIL).collect())[0]
        (details,) = await client.details(call).collect()
        return details, await client.details(call).to_arrow()

    details, table = harness.run(job)
    assert table.num_rows == len(details.columns) > 0


def test_long_call_is_requested_in_windows_of_three_hours():
    harness = make_harness(world=make_world(3))
    found = harness.run(lambda c: c.details("c", SINCE, SINCE + 7 * 3600).collect())
    assert [(part.window.start - SINCE, part.window.end - SINCE) for part in found] == [
        (0, 10_799),
        (10_800, 21_599),
        (21_600, 25_199),
    ]
    assert not harness.refusals
    assert harness.simulator.seen.worst_window("beta/call/details") == 1


def test_golden_details():
    body = {
        "code": 200,
        "message": "",
        "call_id": "00057b6093a5d3e8b1fc67aa",
        "call_info": [
            {
                "sid": "S1",
                "cname": "room",
                "uid": 630985881,
                "network": "Wi-Fi",
                "platform": "Android",
                "speaker": True,
                "sdk_version": "2.2.0.07_14",
                "device_type": "Android (6.0)",
                "join_ts": 1548670251,
                "leave_ts": 1548670815,
                "finished": True,
            }
        ],
        "metrics": [
            {
                "sid": "S1",
                "data": [{"mid": 20003, "kvs": [[1548670255, 215], [1548670257, None]], "peer_uid": 0}],
            }
        ],
    }
    (details,) = scripted(json.dumps(body).encode()).run(lambda c: c.details("c", "2h", "1h").collect())
    assert details.call_id == "00057b6093a5d3e8b1fc67aa"
    assert (details.sessions[0].uid, details.sessions[0].device_type) == ("630985881", "Android (6.0)")
    (series,) = details.columns
    assert (series.mid, series.peer_uid, list(series.ts)) == (20003, "0", [1548670255, 1548670257])
    assert series.value[0] == 215
    assert not details.may_hide_users


def test_session_that_cannot_be_read_does_not_cost_the_details():
    body = json.dumps({"code": "200", "call_info": [{"sid": "S1"}, SESSION], "metrics": None}).encode()

    async def job(client):
        return [page async for page in client.details("c", "2h", "1h").pages()]

    (page,) = scripted(body).run(job)
    assert [session.sid for session in page.records[0].sessions] == ["S1"]
    assert [(each.path, each.key) for each in page.skipped] == [("$.call_info[0]", "S1")]


def test_details_of_another_shape_are_a_decode_error():
    body = b'{"code":200,"requestId":"r1","call_info":{"sid":"S1"}}'
    with pytest.raises(errors.DecodeError, match=r"call_info") as caught:
        scripted(body).run(lambda c: c.details("c", "2h", "1h").collect())
    assert (caught.value.endpoint, caught.value.request_id) == ("beta/call/details", "r1")
    with pytest.raises(errors.InvalidRequest, match="a call id needs"):
        scripted().run(lambda c: c.details("c").collect())


def test_the_reach_of_three_days():
    with pytest.raises(errors.WindowOutOfReach, match="72 h"):
        scripted().run(lambda c: c.calls("9d", "8d").collect())
    with pytest.raises(errors.WindowOutOfReach, match="20 s late"):
        scripted().run(lambda c: c.calls("5s").collect())
    harness = make_harness()
    with pytest.raises(errors.WindowRefused, match="query time range"):
        harness.run(lambda c: c.calls("9d", "8d").collect(), validate=False)


def test_the_limits_name_their_source():
    assert all(row.source.endswith(name) for name, row in LIMITS.items())
    assert {name: (row.requests, row.period, row.per_day) for name, row in LIMITS.items()} == {
        "beta/call/lists": (3, 1.0, 1_000),
        "beta/call/details": (1, 1.0, 1_000),
        "beta/insight/usage/by_time": (1, 60, 10),
        "beta/live/scale/by_time": (1, 1.0, 1_000),
        "beta/live/experience/by_time": (1, 1.0, 1_000),
        "beta/live/net/by_time": (1, 1.0, 1_000),
        "beta/live/diagnosis": (1, 1.0, 1_000),
    }


def test_range_before_the_retention_raises_one_event():
    harness = make_harness()
    harness.run(lambda c: c.calls("10d").collect())
    (event,) = harness.events_of(RangeClipped)
    assert event.start - event.requested_start == pytest.approx(7 * 86_400, abs=5)
