"""The runner of units: concurrency, skipping, the circuit breaker, quotas and counts."""

import asyncio
from types import SimpleNamespace

import pytest

from agora_analytics.core.windows import Window
from agora_analytics.errors import (
    DecodeError,
    NotFound,
    QuotaExhausted,
    RateLimited,
    RowsRefused,
    StoreDamaged,
    StoreError,
    TransportError,
)
from agora_analytics.harvest.report import CallSkipped, CallsListed
from agora_analytics.harvest.unit_runner import MAX_FAILURES_IN_A_ROW, Outcome, Unit, UnitRunner
from agora_analytics.testing import VirtualClock, run_virtual


def unit(name, result=Outcome.STORED):
    """Return a unit that takes a second, and then returns an outcome or raises an error."""

    async def run():
        await asyncio.sleep(1)
        if isinstance(result, Exception):
            raise result
        return result

    return Unit(name=name, run=run)


def run(*batches, concurrency=1, quota=None):
    """Run batches of units; return the report and the events. `quota` ends the listing."""
    events = []

    async def listing():
        for batch in batches:
            yield batch
        if quota is not None:
            raise quota

    async def job():
        runner = UnitRunner(SimpleNamespace(sent={}), events.append, concurrency=concurrency)
        await runner.run(listing())
        return runner.report(Window(0, 1))

    return run_virtual(job(), VirtualClock(0)), events


def test_units_run_concurrently_up_to_the_limit():
    report, _ = run([unit(str(number)) for number in range(10)], concurrency=5)
    assert report.seconds == pytest.approx(2, abs=0.01)


def test_a_name_is_run_once():
    report, events = run([unit("a"), unit("a"), unit("b")], [unit("b"), unit("c")])
    assert report.seconds == pytest.approx(3, abs=0.01)
    listed = [(event.calls, event.more) for event in events if isinstance(event, CallsListed)]
    assert listed == [(2, True), (3, True), (3, False)]


def test_outcomes_are_counted():
    report, _ = run([unit("a"), unit("b", Outcome.ALREADY_STORED), unit("c", Outcome.TOO_RECENT)])
    assert (report.known_before, report.too_recent, report.complete) == (1, 1, True)


def test_failed_unit_is_skipped_and_the_others_run():
    report, events = run([unit("a", NotFound("no such call", status=404)), unit("b", Outcome.ALREADY_STORED)])
    assert list(report.skipped) == [event for event in events if isinstance(event, CallSkipped)]
    assert [(skipped.call_id, skipped.reason) for skipped in report.skipped] == [("a", "no such call")]
    assert (report.known_before, report.complete) == (1, False)


@pytest.mark.parametrize("error", [DecodeError("not JSON"), RowsRefused("a time is out of range")])
def test_unit_that_cannot_be_read_is_reported_and_left_to_no_other_run(error):
    report, events = run([unit("a", ExceptionGroup("tasks", [error])), unit("b", Outcome.ALREADY_STORED)])
    (unreadable,) = report.unreadable
    assert (unreadable.unit, unreadable.record, unreadable.reason) == ("a", "a", str(error))
    assert unreadable in events
    assert (report.known_before, report.complete, report.skipped) == (1, True, ())


def test_unit_with_a_temporary_and_a_permanent_error_is_left_for_the_next_run():
    errors = [DecodeError("not JSON"), TransportError("no answer")]
    report, _ = run([unit("a", ExceptionGroup("tasks", errors)), unit("b", StoreDamaged("a file is empty"))])
    assert [skipped.reason for skipped in report.skipped] == ["no answer", "a file is empty"]
    assert report.unreadable == ()


@pytest.mark.parametrize("error", [TransportError("no answer"), RateLimited("no answer", status=429)])
def test_circuit_breaker_ends_the_run_after_failures_in_a_row(error):
    names = [str(number) for number in range(2 * MAX_FAILURES_IN_A_ROW - 2)]
    failures = [unit(name, error) for name in names]
    with pytest.raises(type(error), match="no answer"):
        run(failures)
    half = MAX_FAILURES_IN_A_ROW - 1
    report, _ = run([*failures[:half], unit("success"), *failures[half:]])
    assert len(report.skipped) == len(failures)


def test_error_of_the_data_does_not_count_for_the_circuit_breaker():
    report, _ = run([unit(str(number), DecodeError("not JSON")) for number in range(20)])
    assert len(report.unreadable) == 20


def test_fatal_error_ends_the_run():
    with pytest.raises(StoreError, match="full"):
        run([unit("a", StoreError("the disk is full")), unit("b")], concurrency=2)


def test_exhausted_quota_of_a_unit_leaves_it_for_a_later_run():
    """Errors of a unit's own tasks arrive as a group."""
    spent = [QuotaExhausted("daily quota exhausted", retry_at=at) for at in (100.0, 200.0)]
    report, _ = run([unit("a", ExceptionGroup("tasks", spent)), unit("b")])
    assert (report.left, report.retry_at, report.skipped) == (1, 200.0, ())


def test_exhausted_quota_of_the_listing_still_runs_the_listed_units():
    report, events = run([unit("a", Outcome.ALREADY_STORED)], quota=QuotaExhausted("spent", retry_at=100.0))
    assert (report.listing_left, report.retry_at, report.left, report.known_before) == (True, 100.0, 0, 1)
    assert CallsListed(calls=1, more=False) in events
