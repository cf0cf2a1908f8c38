"""The events of a request: numbered, and each start has one end in the same task."""

import asyncio
from collections import defaultdict

import pytest

from agora_analytics.engine.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    RequestEnded,
    RequestStarted,
    ResponseReceived,
    Waited,
    WaitReason,
)
from agora_analytics.errors import DeadlineExceeded, RateLimited, TransportError
from agora_analytics.messages import FailureKind
from tests.agora.harness import SINCE, UNTIL, make_harness, scripted
from tests.conftest import SIMULATOR, ok, response

GOOD = ok(call_lists=[], total_size=0)
LIMITED = response({"code": 429, "message": "request too frequent"})
ENDS = (ResponseReceived, AttemptFailed, AttemptAbandoned)


def numbered(harness):
    """Return the events of each request, by its number."""
    found = defaultdict(list)
    for event in harness.events:
        if hasattr(event, "request"):
            found[event.request].append(event)
    return list(found.values())


def calls(client):
    return client.calls("2h", "1h").collect()


def test_retried_request_has_one_number_and_an_end_for_each_attempt():
    harness = scripted(FailureKind.RESET, LIMITED, response({"message": "try again"}, status=503), GOOD)
    harness.run(calls)
    (events,) = numbered(harness)
    assert [type(event) for event in events if not isinstance(event, Waited)] == [
        RequestStarted,
        *(AttemptStarted, AttemptFailed),
        *(AttemptStarted, ResponseReceived) * 3,
        RequestEnded,
    ]
    assert [event.attempt for event in events if isinstance(event, ENDS)] == [1, 2, 3, 4]
    assert [event.error for event in events if isinstance(event, ResponseReceived)] == [
        "RateLimited",
        "ServerError",
        "",
    ]
    assert {event.reason for event in events if isinstance(event, Waited)} >= {WaitReason.BACK_OFF}
    assert (events[-1].error, events[-1].attempts) == ("", 4)


def test_start_of_an_attempt_names_what_is_requested_without_values():
    harness = scripted(GOOD)
    harness.run(calls)
    (start,) = harness.events_of(AttemptStarted)
    assert (start.method, start.path) == ("GET", "/beta/analytics/call/lists")
    assert {"start_ts", "end_ts"} < set(start.parameters)
    assert start.window is not None
    assert start.window.end - start.window.start == 3599


@pytest.mark.parametrize(("line", "error"), [(LIMITED, RateLimited), (FailureKind.RESET, TransportError)])
def test_end_of_a_failed_request_names_the_class_of_its_error(line, error):
    harness = scripted(line)
    with pytest.raises(error):
        harness.run(calls)
    (end,) = harness.events_of(RequestEnded)
    assert end.error == error.__name__
    assert end.attempts == len(harness.transport.requests)


def abandoned(harness):
    return [(event.reason, event.attempt) for event in harness.events_of(AttemptAbandoned)]


def test_cancelled_request_ends_with_its_attempt():
    async def cancel(client):
        task = asyncio.create_task(calls(client))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    harness = scripted(GOOD, seconds=20)
    harness.run(cancel)
    assert abandoned(harness) == [("CancelledError", 1)]
    (end,) = harness.events_of(RequestEnded)
    assert (end.error, end.attempts, end.elapsed) == ("CancelledError", 1, pytest.approx(5, abs=0.01))


def test_deadline_ends_the_attempt_in_flight():
    harness = scripted(GOOD, seconds=20)
    with pytest.raises(DeadlineExceeded):
        harness.run(lambda client: client.calls("2h", "1h", deadline=5).collect())
    assert abandoned(harness) == [("CancelledError", 1)]
    assert [event.error for event in harness.events_of(RequestEnded)] == ["DeadlineExceeded"]


def test_parallel_pages_have_numbers_of_their_own():
    for name in SIMULATOR:
        pytest.importorskip(name)
    harness = make_harness(latency=(0.02, 0.08))
    harness.run(lambda client: client.calls(SINCE, UNTIL, page_size=5).collect())
    requests = numbered(harness)
    assert len(requests) == harness.requests["call/lists"] > 4
    for events in requests:
        assert [type(event) for event in events if not isinstance(event, Waited)] == [
            RequestStarted,
            AttemptStarted,
            ResponseReceived,
            RequestEnded,
        ]


async def test_template_stands_for_the_ids_of_a_path():
    from agora_analytics.signaling.operations import HISTORY, at

    parts = {"app_id": "a", "user_id": "alice", "channel_type": "1", "channel": "room"}
    operation = at(HISTORY, **parts)
    assert "alice" in operation.path
    assert operation.template == HISTORY.path
