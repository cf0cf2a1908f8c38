"""The log of events: every event has a logger, a level and one readable line, in addition to the observer."""

import logging
import re
from pathlib import Path
from typing import get_args

import pytest

from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.engine import events
from agora_analytics.messages import FailureKind
from tests.faults.fleet import NEIGHBOUR, PRIMARY, ask, dead, make_harness

DOCS = Path(__file__).parents[2] / "docs" / "logging.md"
T = 1_795_089_600  # 2026-11-19 12:00 UTC
UNREADABLE_CALL = SkippedRecord(path="$.call_lists[3]", key="C4", reason="created_ts cannot be 'soon'")
LINES = [
    (
        events.Waited(endpoint="call/lists", rule="10 requests in 1 s", seconds=0.25),
        ("limits", logging.DEBUG, "call/lists: waiting 0.25 s (10 requests in 1 s)"),
    ),
    (
        events.ResponseReceived(
            endpoint="call/lists",
            host="https://api.agora.io",
            status=200,
            size=1234,
            elapsed=0.0512,
            verdict="done",
        ),
        (
            "requests",
            logging.DEBUG,
            "call/lists: HTTP 200 from https://api.agora.io in 0.051 s, 1,234 bytes: done",
        ),
    ),
    (
        events.AttemptFailed(
            endpoint="call/lists", host="https://api.agora.io", kind=FailureKind.RESET, elapsed=1.5
        ),
        (
            "requests",
            logging.INFO,
            "call/lists: no response from https://api.agora.io after 1.500 s: connection reset",
        ),
    ),
    (
        events.AttemptAbandoned(
            endpoint="call/lists", host="https://api.agora.io", reason="CancelledError", elapsed=0.25
        ),
        (
            "requests",
            logging.DEBUG,
            "call/lists: attempt at https://api.agora.io abandoned after 0.250 s: CancelledError",
        ),
    ),
    (
        events.HostSwitched(old="https://api.agora.io", new="https://api.sd-rtn.com", reason="DNS"),
        (
            "hosts",
            logging.WARNING,
            "requests go to https://api.sd-rtn.com instead of https://api.agora.io: DNS",
        ),
    ),
    (
        events.QuotaClosed(endpoint="call/lists", retry_at=T + 43_200.0),
        ("limits", logging.WARNING, "call/lists: the day's quota is spent until 2026-11-20T00:00:00Z"),
    ),
    (
        events.ListingNarrowed(endpoint="call/lists", start=T, end=T + 60),
        (
            "listings",
            logging.INFO,
            "call/lists: the server hides records; fetching 2026-11-19T12:00:00Z to 2026-11-19T12:01:00Z in halves",
        ),
    ),
    (
        events.ListingShort(endpoint="call/lists", start=T, end=T + 60, listed=3, counted=5),
        (
            "listings",
            logging.WARNING,
            "call/lists: the server lists 3 of 5 records of 2026-11-19T12:00:00Z to 2026-11-19T12:01:00Z",
        ),
    ),
    (
        events.RangeClipped(
            endpoint="call/lists", requested_start=T - 60, requested_end=T + 60, start=T, end=T + 60
        ),
        (
            "listings",
            logging.WARNING,
            (
                "call/lists: the plan allows 2026-11-19T12:00:00Z to 2026-11-19T12:01:00Z of the requested "
                "2026-11-19T11:59:00Z to 2026-11-19T12:01:00Z"
            ),
        ),
    ),
    (
        events.NotYetAvailable(endpoint="call/metrics", start=T, end=T + 60, available_at=T + 160),
        (
            "listings",
            logging.INFO,
            (
                "call/metrics: no data of 2026-11-19T12:00:00Z to 2026-11-19T12:01:00Z "
                "before 2026-11-19T12:02:40Z"
            ),
        ),
    ),
    (
        events.FilterIgnored(
            endpoint="opentok/project_data", arguments=("region",), fields=("usage", "errors")
        ),
        (
            "listings",
            logging.WARNING,
            "opentok/project_data: the server does not apply region to usage, errors",
        ),
    ),
    (
        events.WindowsLost(endpoint="realtime/usage", metric="userCount", start=T, end=T + 40, count=2),
        (
            "listings",
            logging.WARNING,
            (
                "realtime/usage: 2 windows of userCount can no longer be fetched: "
                "2026-11-19T12:00:00Z to 2026-11-19T12:00:40Z"
            ),
        ),
    ),
    (
        events.PartialResponse(endpoint="opentok/session_data", code=1012, message="failed"),
        ("requests", logging.WARNING, "opentok/session_data: the response is incomplete (code 1012): failed"),
    ),
    (
        events.RecordsSkipped(endpoint="call/lists", skipped=(UNREADABLE_CALL,)),
        (
            "listings",
            logging.WARNING,
            (
                "call/lists: unreadable records left out: 1; the first is $.call_lists[3] (C4): "
                "created_ts cannot be 'soon'"
            ),
        ),
    ),
]


def test_every_event_has_a_logger_a_level_and_an_example():
    assert set(events._LOGGED) | events.NOT_LOGGED == set(get_args(events.Event))
    assert {type(event) for event, _ in LINES} <= set(get_args(events.Event))


@pytest.mark.parametrize(("event", "logged"), LINES, ids=lambda value: type(value).__name__)
def test_event_is_one_readable_line(event, logged, caplog):
    caplog.set_level(logging.DEBUG)
    events.log_event(event)
    area, level, text = logged
    assert caplog.record_tuples == [(f"agora_analytics.{area}", level, text)]


@pytest.mark.parametrize("event", get_args(events.Event))
def test_every_event_has_a_line_of_its_own(event):
    assert event.__str__ is not object.__str__


def test_the_documented_levels_are_the_real_ones():
    rows = re.findall(
        r"^\| (?:`agora_analytics\.(\w+)`)? ?\| (\w+) \| (.*) \|$", DOCS.read_text(), re.MULTILINE
    )
    documented, area = {}, ""
    for name, level, text in rows:
        area = name or area
        documented |= dict.fromkeys(re.findall(r"`([A-Z]\w+)`", text), (area, level))
    real = {
        event.__name__: (logger.name.rpartition(".")[2], logging.getLevelName(level))
        for event, (logger, level) in events._LOGGED.items()
    }
    assert documented == real


def test_text_of_a_server_stays_on_one_line():
    message = "failed\r\n2026-11-19 ERROR root: forged\x1b[31m line"
    assert str(events.PartialResponse(endpoint="e", code=None, message=message)) == (
        "e: the response is incomplete: failed 2026-11-19 ERROR root: forged [31m line"
    )


def test_observer_adds_to_the_log(caplog):
    caplog.set_level(logging.DEBUG, "agora_analytics")
    harness = make_harness(dead(PRIMARY, by=FailureKind.REFUSED))
    harness.run(ask)
    seen = [str(event) for event in harness.events if type(event) not in events.NOT_LOGGED]
    assert seen
    assert [
        record.getMessage() for record in caplog.records if record.name.startswith("agora_analytics.")
    ] == seen


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
    assert failed_events >= {"AttemptFailed", "Waited", "HostSwitched", "ResponseReceived", "RequestEnded"}


def test_events_that_are_not_logged_are_documented():
    page = DOCS.read_text().split("## Events in a program")[1]
    assert events.NOT_LOGGED
    assert all(f"`{event.__name__}`" in page for event in events.NOT_LOGGED)
    assert all(
        str(event(**fields))
        for event, fields in [
            (events.RequestStarted, {"endpoint": "call/lists"}),
            (events.AttemptStarted, {"endpoint": "call/lists", "host": "h", "method": "GET", "path": "/"}),
            (events.RequestEnded, {"endpoint": "call/lists", "error": "", "attempts": 1, "elapsed": 0.1}),
        ]
    )


def test_each_of_several_observers_receives_every_event():
    def faulty(event):
        raise KeyError("the observer's own fault")

    first, second = [], []
    harness = make_harness(dead(PRIMARY, by=FailureKind.REFUSED))
    harness.run(ask, observer=[first.append, faulty, second.append])
    assert first == second != []
