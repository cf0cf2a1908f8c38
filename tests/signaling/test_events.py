"""Events: read once, returned before the next request, and never requested twice."""

import asyncio
import json

import pytest
from attrs import evolve

from agora_analytics import errors
from agora_analytics.messages import FailureKind
from agora_analytics.signaling import EventMemory, EventsUnreadable, EventType, UserEvent
from agora_analytics.signaling.limits import LIMITS
from agora_analytics.simulator.signaling import ServerEvent
from tests.harness import Scripted
from tests.signaling.harness import START, log_in, make_harness, scripted

START_MS = START * 1000


async def batches(events):
    return [batch async for batch in events]


def all_user_events(client):
    return batches(client.user_events())


@pytest.mark.parametrize(
    "row",
    [
        {"group_id": "room", "user_id": "ann", "type": "Join", "ms": 1795046400123},
        {"channel_id": "room", "user_id": "ann", "type": "Join", "ts": 1795046400123},
        {"group_id": "room", "user_id": "ann", "type": "Join", "ms": "1795046400123", "new": {"a": 1}},
    ],
)
def test_both_shapes_of_a_channel_event(row):
    body = json.dumps({"result": "success", "request_id": "r1", "events": [row]}).encode()
    (batch,) = scripted(body).run(lambda c: batches(c.channel_events()))
    (event,) = batch.events
    assert (event.channel, event.user_id, event.type) == ("room", "ann", EventType.JOIN)
    assert event.at.isoformat() == "2026-11-19T00:00:00.123000+00:00"
    assert event.extra == {name: value for name, value in row.items() if name == "new"}
    assert (batch.request_id, batch.host, batch.raw) == ("r1", "https://api.agora.io", body)


@pytest.mark.parametrize("time", ["ms", "ts"])
def test_both_shapes_of_a_user_event(time):
    body = json.dumps({"events": [{"user_id": 7, "type": "Logout", time: START_MS + 5}]}).encode()
    (batch,) = scripted(body).run(all_user_events)
    assert batch.events == [UserEvent(user_id="7", type="Logout", ms=START_MS + 5)]


@pytest.mark.parametrize("legacy", [False, True])
def test_the_queue_is_read_to_its_end(legacy):
    harness = make_harness(legacy=legacy)
    log_in(harness, 1_500)
    harness.simulator.message_store.add_events(
        ServerEvent(kind="Join", user_id="ann", channel="room", ms=START_MS)
    )

    async def job(client):
        return (
            await all_user_events(client),
            await batches(client.channel_events()),
            await all_user_events(client),
        )

    users, channels, after = harness.run(job)
    assert [len(batch.events) for batch in users] == [1_000, 500]
    assert [event.ms - START * 1000 for batch in users for event in batch.events] == list(range(1_500))
    assert [batch.events[0].channel for batch in channels] == ["room"]
    assert after == []
    assert harness.requests["signaling/user_events"] == 3


def test_full_batch_is_followed_by_another_request():
    harness = make_harness()
    log_in(harness, 1_000)
    assert [len(batch.events) for batch in harness.run(all_user_events)] == [1_000]
    assert harness.requests["signaling/user_events"] == 2


def test_events_are_not_prefetched():
    harness = make_harness()
    log_in(harness, 2_000)

    async def job(client):
        async for batch in client.user_events():
            await asyncio.sleep(60)
            assert len(batch.events) == 1_000
            assert harness.requests["signaling/user_events"] == 1
            break

    harness.run(job)
    assert harness.simulator.message_store.pending("api.agora.io", in_channel=False) == 1_000


@pytest.mark.parametrize("fault", ["lost-answer", "cut-off", "reset", "hang", "500", "503-html"])
def test_lost_response_is_reported_and_not_requested_again(fault):
    harness = make_harness(fault)
    log_in(harness, 1_500)

    async def job(client):
        with pytest.raises(
            (errors.TransportError, errors.ServerError), match="up to 1,000 events may be lost"
        ):
            await all_user_events(client)
        assert harness.requests["signaling/user_events"] == 1
        return await all_user_events(client)

    found = sum(len(batch.events) for batch in harness.run(job))
    assert found == (500 if fault in {"lost-answer", "cut-off"} else 1_500)


def test_request_that_never_left_is_repeated():
    harness = scripted(FailureKind.DNS, FailureKind.REFUSED, b'{"events":[]}')
    assert harness.run(all_user_events) == []
    assert len(harness.transport.requests) == 3


def test_unreadable_response_raises_with_its_body():
    harness = make_harness("broken-json")
    log_in(harness, 3)
    with pytest.raises(EventsUnreadable) as caught:
        harness.run(all_user_events)
    assert b"user 0" in caught.value.raw
    assert caught.value.host == "https://api.agora.io"
    with pytest.raises(EventsUnreadable):
        scripted(b'{"events":{"a":1}}').run(all_user_events)
    with pytest.raises(EventsUnreadable):
        scripted(b"[]").run(all_user_events)


@pytest.mark.parametrize(
    "said",
    [
        {"result": "Success"},
        {"result": "ok"},
        {"result": ""},
        {"result": "failed", "reason": "half of it"},
        {"result": "success", "error": True},
        {"errorCode": 500},
    ],
)
def test_events_are_returned_whatever_the_status_fields_say(said):
    row = {"user_id": "ann", "type": "Login", "ms": START_MS}
    body = json.dumps(said | {"events": [row]}).encode()
    (batch,) = scripted(body).run(all_user_events)
    assert batch.events == [UserEvent(user_id="ann", type="Login", ms=START_MS)]


@pytest.mark.parametrize("events", [[], None])
def test_failure_without_events_is_an_error(events):
    body = json.dumps({"result": "failed", "reason": "why", "events": events}).encode()
    with pytest.raises(errors.APIError, match="why"):
        scripted(body).run(all_user_events)


def test_unreadable_row_does_not_lose_the_others():
    rows = [
        {"user_id": "ann", "type": "Login", "ms": START_MS},
        {"user_id": "bob"},
        None,
        {"user_id": "c", "type": "x", "ms": START_MS + 1},
    ]
    (batch,) = scripted(json.dumps({"events": rows}).encode()).run(all_user_events)
    assert [event.user_id for event in batch.events] == ["ann", "c"]
    assert batch.unreadable == [{"user_id": "bob"}, None]
    assert batch.returned == 4


def test_duplicates_of_another_region_are_recognised():
    harness = make_harness(regions=("api.agora.io", "api.sd-rtn.com"))
    memory = EventMemory()
    log_in(harness, 5, regions=("api.agora.io", "api.sd-rtn.com"))
    log_in(harness, 2, begin=5, regions=("api.sd-rtn.com",))
    (here,) = harness.run(all_user_events, memory=memory)
    (there,) = harness.run(all_user_events, memory=memory, region="cn")
    assert (len(here.events), len(here.duplicates), here.host) == (5, 0, "https://api.agora.io")
    assert (len(there.events), len(there.duplicates), there.host) == (2, 5, "https://api.sd-rtn.com")


def test_duplicates_after_the_host_was_switched():
    row = {"user_id": "ann", "type": "Login", "ms": START_MS}
    body = json.dumps({"events": [row]}).encode()
    harness = scripted(body, FailureKind.DNS, FailureKind.DNS, FailureKind.DNS, body)

    async def job(client):
        return [*await all_user_events(client), *await all_user_events(client)]

    first, second = harness.run(job)
    assert (len(first.events), len(second.events), len(second.duplicates)) == (1, 0, 1)
    assert second.host != first.host


def test_the_memory_is_bounded():
    memory = EventMemory(size=100)
    new, seen = memory.sort_out([UserEvent(user_id=str(i), type="Login", ms=i) for i in range(1_000)])
    assert (len(new), len(seen), len(memory)) == (1_000, 0, 100)
    assert memory.is_new(UserEvent(user_id="0", type="Login", ms=0))
    assert not memory.is_new(UserEvent(user_id="999", type="Login", ms=999))
    assert memory.is_new(UserEvent(user_id="999", type="Logout", ms=999))


def test_response_in_progress_outlives_a_cancelled_caller():
    harness = make_harness(latency=(1.0, 1.0))
    log_in(harness, 1_200)

    async def job(client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7):  # the server has taken the events out by then
                await all_user_events(client)
        await asyncio.sleep(5)
        return await all_user_events(client)

    assert sum(len(batch.events) for batch in harness.run(job)) == 1_200
    assert harness.requests["signaling/user_events"] == 2


@pytest.mark.parametrize("kind", ["user", "channel"])
def test_response_in_progress_outlives_the_deadline_of_its_caller(kind):
    row = {"user_id": "ann", "group_id": "room", "type": "Join", "ms": START * 1000}
    harness = scripted(json.dumps({"events": [row]}).encode())
    harness.transport = Scripted(json.dumps({"events": [row]}).encode(), b'{"events": []}', seconds=2)

    async def job(client):
        events = client.user_events if kind == "user" else client.channel_events
        with pytest.raises(errors.DeadlineExceeded, match=r"timed out after 0\.5 s while reading events"):
            await batches(events(deadline=0.5))
        return await batches(events(deadline=5))

    assert [len(batch.events) for batch in harness.run(job)] == [1]
    assert len(harness.transport.requests) == 2


def test_events_whose_turn_comes_later_than_max_wait_are_not_requested():
    async def job(client):
        async def read(**options):
            return await batches(client.user_events(**options))

        reading = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.sleep(0.1)
        with pytest.raises(errors.RateLimited, match="the next rate-limit slot"):
            await batches(client.channel_events(max_wait=0.2))
        for task in reading:
            await task

    limits = {name: evolve(row, requests=1) for name, row in LIMITS.items()}
    harness = scripted(*[b'{"events": []}'] * 3)
    harness.run(job, limits=limits)
    assert all("user_events" in request.path for request in harness.transport.requests)


def test_leftover_response_does_not_end_the_next_iteration():
    harness = make_harness(latency=(1.0, 1.0))
    log_in(harness, 10)

    async def job(client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7):
                await all_user_events(client)
        log_in(harness, 5, begin=10)
        return await all_user_events(client)

    assert [len(batch.events) for batch in harness.run(job)] == [10, 5]


def test_concurrent_readers_share_the_queue():
    harness = make_harness(latency=(0.1, 0.1))
    log_in(harness, 2_000)

    async def job(client):
        return await asyncio.gather(*(all_user_events(client) for _ in range(3)))

    found = [event.ms for reader in harness.run(job) for batch in reader for event in batch.events]
    assert sorted(found) == [START * 1000 + i for i in range(2_000)]


def test_closing_the_client_ends_the_iteration_with_an_error():
    harness = make_harness("hang")

    async def job(client):
        reading = asyncio.create_task(all_user_events(client))
        await asyncio.sleep(1)
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed while its events"):
            await reading

    harness.run(job)


def test_ten_a_second_for_both_kinds_together():
    harness = make_harness()

    async def job(client):
        for _ in range(40):
            await asyncio.gather(all_user_events(client), batches(client.channel_events()))

    harness.run(job)
    seen = harness.simulator.seen
    asked = sorted(seen.arrivals["signaling/user_events"] + seen.arrivals["signaling/channel_events"])
    assert len(asked) == 80
    assert max(sum(begin <= at < begin + 1 for at in asked) for begin in asked) <= 10
    assert asked[-1] - asked[0] < 10
    assert not seen.refused


def test_the_server_keeps_two_thousand():
    harness = make_harness()
    log_in(harness, 2_500)
    assert sum(len(batch.events) for batch in harness.run(all_user_events)) == 2_000
    assert harness.simulator.message_store.dropped == 500
