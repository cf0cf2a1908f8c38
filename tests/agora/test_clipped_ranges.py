"""A range that is cut to the plan's reach raises one event for each query, which is logged as a warning."""

import logging

import pytest

from agora_analytics.agora.records import Call
from agora_analytics.engine.events import RangeClipped
from tests.agora.harness import scripted
from tests.conftest import NOW, ok

DAY = 86_400
OLD = Call(
    call_id="c", cname="r", created_ts=int(NOW) - 16 * DAY, destroyed_ts=int(NOW) - 14 * DAY, finished=True
)
CALLS, SESSIONS = {"call_lists": [], "total_size": 0}, {"call_info": [], "total_size": 0}

CUT = {
    "calls": (CALLS, lambda c: c.calls("30d").collect(), 30, 15),
    "sessions": (SESSIONS, lambda c: c.sessions(OLD).collect(), 16, 15),
    "metrics": ({"metrics": []}, lambda c: c.metrics(OLD, sids=["S"]).collect(), 16, 15),
    "statistics over time": ({"data": []}, lambda c: c.statistics_over_time(OLD), 16, 15),
    "usage": ({"data": []}, lambda c: c.insights.usage(["userCount", "sessionCount"], "60d"), 60, 30),
    "quality": ({"data": []}, lambda c: c.insights.quality("networkDelay", "60d"), 60, 30),
    "realtime": ({"data": []}, lambda c: c.realtime.usage(since="3h"), 1 / 8, 1 / 24),
}
WHOLE = {
    "calls": (CALLS, lambda c: c.calls("15d").collect()),
    "calls until now": (CALLS, lambda c: c.calls("1h", "now").collect()),
    "usage": ({"data": []}, lambda c: c.insights.usage("userCount", "30d")),
    "realtime": ({"data": []}, lambda c: c.realtime.usage(since="60m")),
    "unchecked": (CALLS, lambda c: c.calls("30d", validate=False).collect()),
}


@pytest.mark.parametrize("name", CUT)
def test_cut_range_raises_one_event(name):
    body, ask, requested, reach = CUT[name]
    harness = scripted(ok(**body))
    harness.run(ask)
    (event,) = harness.events_of(RangeClipped)
    assert event.requested_start == pytest.approx(NOW - requested * DAY, abs=20)
    assert event.start == pytest.approx(NOW - reach * DAY, abs=25)
    assert event.endpoint


@pytest.mark.parametrize("name", WHOLE)
def test_range_within_the_reach_raises_none(name):
    """`15d` of a plan of 15 days lacks seconds, and the last ones before now are never available."""
    body, ask = WHOLE[name]
    harness = scripted(ok(**body))
    harness.run(ask)
    assert harness.events_of(RangeClipped) == []


def test_range_that_ends_in_the_future_raises_an_event():
    harness = scripted(ok(**CALLS))
    harness.run(lambda c: c.calls("1h", NOW + DAY).collect())
    (event,) = harness.events_of(RangeClipped)
    assert event.requested_end == NOW + DAY - 1
    assert NOW - 30 < event.end < NOW


def test_cut_range_is_logged_once_as_a_warning(caplog):
    harness = scripted(ok(data=[]))
    with caplog.at_level(logging.INFO, "agora_analytics"):
        harness.run(lambda c: c.insights.usage(["userCount", "sessionCount"], "60d"), observer=None)
    (record,) = [record for record in caplog.records if "the plan allows" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert len(harness.transport.requests) > 5


def test_cut_range_of_a_legal_window_raises_an_event():
    from agora_analytics.agora.operations import LISTS

    async def job(client):
        return client.legal_window(LISTS, "30d", "1h")

    harness = scripted()
    window = harness.run(job)
    (event,) = harness.events_of(RangeClipped)
    assert (event.start, event.end) == (window.start, window.end)
