"""Simulated Call Inspector: pages, ongoing calls, points, and that all pages together equal the ground truth."""

import json

import numpy as np
import pytest

from agora_analytics.simulator import CallTruth, SeriesTruth, SessionTruth, Simulator, Totals, World
from tests.conftest import slow


def even_world(t, count):
    """Calls of 60 s, one every 100 s; the newest is c0, which begins 1000 s before t."""
    return World(
        CallTruth(
            call_id=f"c{n}",
            cname=f"room-{n % 3}",
            created_ts=t - 1000 - 100 * n,
            destroyed_ts=t - 940 - 100 * n,
            sessions=(),
        )
        for n in range(count)
    )


async def listed(api, t, **query):
    return await api.body("call/lists", **{"start_ts": t - 80_000, "end_ts": t - 100} | query)


async def test_pages_are_newest_first_twenty_by_default_and_clamped_to_a_hundred(t, clock, connected):
    async with connected(Simulator(even_world(t, 130), now=clock)) as api:
        first = await listed(api, t)
        assert [call["call_id"] for call in first["call_lists"]] == [f"c{n}" for n in range(20)]
        assert (first["total_size"], first["page_no"], first["page_size"], first["has_more"]) == (
            130,
            1,
            20,
            True,
        )
        clamped = await listed(api, t, page_size=500)
        assert (clamped["page_size"], len(clamped["call_lists"]), clamped["has_more"]) == (100, 100, True)
        last = await listed(api, t, page_size=100, page_no=2)
        assert ([call["call_id"] for call in last["call_lists"]][-1], last["has_more"]) == ("c129", False)
        beyond = await listed(api, t, page_size=100, page_no=3)
        assert (beyond["call_lists"], beyond["total_size"], beyond["has_more"]) == ([], 130, False)


async def test_full_last_page_has_no_more(t, clock, connected):
    async with connected(Simulator(even_world(t, 40), now=clock)) as api:
        assert (await listed(api, t, page_no=2))["has_more"] is False


async def test_hidden_calls_set_has_more_on_the_last_page(t, clock, connected):
    async with connected(Simulator(even_world(t, 45), now=clock, hidden_after=30)) as api:
        last = await listed(api, t, page_no=2)
        assert (last["total_size"], len(last["call_lists"]), last["has_more"]) == (30, 10, True)
        assert last["call_lists"][-1]["call_id"] == "c29"
        narrow = await listed(api, t, start_ts=t - 3000, page_size=100)
        assert (narrow["total_size"], narrow["has_more"]) == (21, False)


async def test_call_that_touches_the_window_is_listed(t, clock, connected):
    async with connected(
        Simulator(even_world(t, 3), now=clock)
    ) as api:  # c0 from -1000 to -940, c1 -1100 to -1040

        async def ids(start, end):
            return [
                call["call_id"]
                for call in (await listed(api, t, start_ts=t + start, end_ts=t + end))["call_lists"]
            ]

        assert await ids(-940, -900) == ["c0"]
        assert await ids(-939, -900) == []
        assert await ids(-1030, -1000) == ["c0"]
        assert await ids(-1030, -1001) == []
        assert await ids(-1010, -1010) == []


async def test_cname_filters_calls(t, clock, connected):
    async with connected(Simulator(even_world(t, 10), now=clock)) as api:
        body = await listed(api, t, cname="room-1")
        assert [call["call_id"] for call in body["call_lists"]] == ["c1", "c4", "c7"]
        assert (await listed(api, t, cname="room-9"))["total_size"] == 0


async def test_ongoing_call_ends_now_until_it_finishes(small_world, t, clock, connected):
    async with connected(Simulator(small_world, now=clock)) as api:

        async def seen_at(now):
            clock.now = now
            calls = (await api.body("call/lists", start_ts=t - 7200, end_ts=t - 600))["call_lists"]
            sessions = (await api.body("call/sessions", start_ts=t - 3600, end_ts=t - 600, call_id="now"))[
                "call_info"
            ]
            return calls[0], {
                session["sid"]: (session["finished"], session["leave_ts"]) for session in sessions
            }

        call, sessions = await seen_at(t + 10.7)
        assert (call["call_id"], call["finished"], call["destroyed_ts"]) == ("now", False, t + 10)
        assert sessions == {"S-3": (True, t - 650), "S-4": (False, t + 10)}
        call, sessions = await seen_at(t + 900)
        assert (call["finished"], call["destroyed_ts"]) == (True, t + 900)
        assert sessions["S-4"] == (True, t + 900)


async def test_future_is_not_visible(small_world, t, clock, connected):
    clock.now = t - 1500
    async with connected(Simulator(small_world, now=clock)) as api:
        assert [call["call_id"] for call in (await listed(api, t, end_ts=t - 1600))["call_lists"]] == [
            "mid",
            "old",
        ]
        query = {"start_ts": t - 2600, "end_ts": t - 1601, "call_id": "now"}
        assert (await api.body("call/sessions", **query))["total_size"] == 0


async def test_sessions_are_paged_by_join_and_server_users_are_hidden(small_world, clock, connected):
    async with connected(Simulator(small_world, now=clock)) as api:
        body = await api.body("call/sessions", call_id="mid")
        assert [session["sid"] for session in body["call_info"]] == ["S-2", "S-1"]
        assert [session["uid"] for session in body["call_info"]] == ["alice-3", 5_000_000_000]
        everybody = await api.body("call/sessions", call_id="mid", exclude_server_user="false")
        assert [session["sid"] for session in everybody["call_info"]] == ["S-2", "S-bot", "S-1"]
        second = await api.body("call/sessions", call_id="mid", page_no=2, page_size=1)
        assert ([session["sid"] for session in second["call_info"]], second["total_size"]) == (["S-1"], 2)
        half = await api.body("call/sessions", call_id="mid", page_no=2)
        assert (half["page_no"], len(half["call_info"])) == (1, 2)  # pagination needs both parameters
        some = await api.body("call/sessions", call_id="mid", uids="alice-3,1")
        assert [session["sid"] for session in some["call_info"]] == ["S-2"]


async def test_unknown_call_returns_an_empty_success(small_world, clock, connected):
    async with connected(Simulator(small_world, now=clock)) as api:
        sessions = await api.body("call/sessions", call_id="nothing")
        metrics = await api.body("call/metrics", call_id="nothing", sids="S-1")
    assert (sessions["code"], sessions["total_size"], sessions["call_info"]) == (200, 0, [])
    assert (metrics["code"], metrics["metrics"]) == (200, [])


async def test_points_of_the_window_include_both_ends_nulls_ints_and_floats(t, clock, connected):
    ts = np.arange(t - 3000, t - 2000, 100)
    whole = np.array([1, np.nan, 3, 4, 5, 6, 7, 8, 9, 10.0])
    points = {
        "S": [
            SeriesTruth(mid=20003, peer_uid="0", ts=ts, value=whole),
            SeriesTruth(mid=20016, peer_uid="bob", peer_is_number=False, ts=ts, value=whole / 4),
            SeriesTruth(mid=20005, peer_uid="9", ts=ts[:1], value=whole[:1]),
        ]
    }
    session = SessionTruth(sid="S", uid="1", join_ts=t - 3000, leave_ts=t - 2000)
    call = CallTruth(call_id="c", cname="r", created_ts=t - 3000, destroyed_ts=t - 2000, sessions=(session,))
    world = World([call], points=points)
    async with connected(Simulator(world, now=clock)) as api:
        response = await api.get("call/metrics", call_id="c", sids="S,T", start_ts=t - 2900, end_ts=t - 2700)
    assert response.json()["metrics"] == [
        {
            "sid": "S",
            "data": [
                {"mid": 20003, "kvs": [[t - 2900, None], [t - 2800, 3], [t - 2700, 4]], "peer_uid": 0},
                {
                    "mid": 20016,
                    "kvs": [[t - 2900, None], [t - 2800, 0.75], [t - 2700, 1.0]],
                    "peer_uid": "bob",
                },
            ],
        }
    ]
    assert b"3]" in response.content
    assert b"3.0]" not in response.content
    assert world.totals() == Totals(
        calls=1, sessions=1, points=21, value_sum=67.25, ts_sum=int(2 * ts.sum() + ts[0])
    )
    assert world.totals(t - 2900).points == 5


async def test_session_without_points_in_the_window_has_empty_data(small_world, t, clock, connected):
    async with connected(Simulator(small_world, now=clock)) as api:
        query = {"call_id": "mid", "start_ts": t - 900, "end_ts": t - 800}
        body = await api.body("call/metrics", sids="S-2,S-old,S-1", **query)
    assert body["metrics"] == [{"sid": "S-2", "data": []}, {"sid": "S-1", "data": []}]


async def test_request_ids_are_unique_and_messages_vary(small_world, clock, connected):
    messages, ids = set(), set()
    async with connected(Simulator(small_world, now=clock)) as api:
        for _ in range(10):
            response = await api.get("call/lists")
            body = response.json()
            assert body["requestId"] == response.headers["x-request-id"]
            ids.add(body["requestId"])
            message = body["message"]
            messages.add(message.split(":")[0] if message else message)
    assert len(ids) == 10
    assert messages == {"", "success", "Success request", "null", None}


async def test_gzip_needs_the_setting_and_the_accept_header(t, clock, connected):
    for compress in (False, True):
        async with connected(Simulator(even_world(t, 100), now=clock, compress=compress)) as api:
            response = await api.get("call/lists", start_ts=t - 20_000, end_ts=t - 100)
            assert response.json()["total_size"] == 100
            assert ("content-encoding" in response.headers) is compress


@pytest.mark.parametrize("quirks", [True, slow(False)])
async def test_reading_all_pages_gives_the_exact_totals(t, clock, connected, quirks):
    world = World.generate(
        seed=3, since=t - 30_000, until=t, calls=25, quirks=quirks, long_share=0.08, big_share=0.04, big_range=(110, 130),
        ongoing_share=0.1, server_share=0.3, minutes=2, sigma=0.4, interval=30,
    )  # fmt: skip
    sim = Simulator(world, now=clock)
    start, end = t - 30_000, t - 101
    windows = [(low, min(low + 21_599, end)) for low in range(start, end, 21_600)]
    points: dict[tuple, float | None] = {}
    sessions: set[tuple[str, str]] = set()

    async with connected(sim) as api:

        async def paged(endpoint, field, **query):
            number, records = 0, []
            while True:
                number, clock.now = number + 1, clock.now + 0.1
                body = await api.body(endpoint, page_no=number, page_size=100, **query)
                assert body["code"] == 200, body
                records += body[field]
                if len(records) >= body["total_size"]:
                    return records

        calls = await paged("call/lists", "call_lists", start_ts=start, end_ts=end)
        for call in calls:
            for low, high in windows:
                window = {"start_ts": low, "end_ts": high, "call_id": call["call_id"]}
                sids = [session["sid"] for session in await paged("call/sessions", "call_info", **window)]
                sessions |= {(call["call_id"], sid) for sid in sids}
                for first in range(0, len(sids), 20):
                    clock.now += 0.1
                    body = await api.body("call/metrics", sids=",".join(sids[first : first + 20]), **window)
                    for session in body["metrics"]:
                        for series in session["data"]:
                            for ts, value in series["kvs"]:
                                assert low <= ts <= high
                                key = (session["sid"], series["mid"], json.dumps(series["peer_uid"]), ts)
                                assert key not in points
                                points[key] = value
    truth = world.totals(end)
    assert truth.points > 10_000
    assert truth == Totals(
        calls=len({call["call_id"] for call in calls}),
        sessions=len(sessions),
        points=len(points),
        value_sum=sum(value for value in points.values() if value is not None),
        ts_sum=sum(ts for *_, ts in points),
    )
    assert sim.seen.worst_window("call/metrics") <= 10
    assert not sim.seen.refused
    assert sim.seen.points["call/metrics"] == len(points)
