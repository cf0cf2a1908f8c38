"""The default observer: every event has its line in the log, and what loses data is a warning."""

import logging
from typing import get_args

import pytest

from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.engine import events
from agora_analytics.messages import FailureKind
from tests.faults.fleet import NEIGHBOUR, PRIMARY, ask, dead, make_harness


def test_every_event_has_a_level():
    assert set(events._LOGGED) == set(get_args(events.Event))


UNREADABLE_CALL = SkippedRecord(path="$.call_lists[3]", key="C4", reason="created_ts cannot be 'soon'")


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (events.PartialResponse(endpoint="opentok/session_data", code=1012, message="failed"), "1012"),
        (events.RecordsSkipped(endpoint="call/lists", skipped=(UNREADABLE_CALL,)), "C4"),
    ],
)
def test_incomplete_response_is_logged_as_a_warning(event, named, caplog):
    events.log_event(event)
    ((name, level, text),) = caplog.record_tuples
    assert level == logging.WARNING
    assert name in {"agora_analytics.requests", "agora_analytics.listings"}
    assert named in text


@pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.RESET])
def test_exception_of_the_observer_loses_no_response_and_no_charge(kind, caplog):
    class Faulty(list):
        def append(self, _):
            raise KeyError("the observer's own fault")

    async def job(client):
        host, _ = await ask(client)
        return host, next(quota.spent for quota in await client.quota() if quota.endpoint == "call/lists")

    harness = make_harness(dead(PRIMARY, by=kind))
    harness.events = Faulty()
    assert harness.run(job) == (NEIGHBOUR, 1 if kind.never_left else 3)
    failed_events = {record.args[0] for record in caplog.records if record.exc_info}
    assert failed_events == {"AttemptFailed", "Waited", "HostSwitched", "ResponseReceived"}
