"""When the next pass over an account is due."""

import pytest

from agora_analytics import AccountReport
from agora_analytics.core.windows import Window
from agora_analytics.errors import (
    AuthenticationError,
    ConfigurationError,
    LedgerUnavailable,
    QuotaExhausted,
    StoreError,
)
from agora_analytics.fleet.schedule import EVERY, schedule
from agora_analytics.harvest import CallSkipped, HarvestReport

BEGUN, ENDED = 1000.0, 1100.0


def report(**changes):
    numbers = dict.fromkeys(
        ("calls", "ongoing", "known_before", "sessions", "points", "too_recent", "left"), 0
    )
    return HarvestReport(
        **numbers
        | {"window": Window(0, 1000), "requests": {}, "skipped": (), "listing_left": False, "retry_at": None, "seconds": 1.0}
        | changes
    )  # fmt: skip


def after(*, error=None, failures=0, every=600.0, **changes):
    ended = AccountReport(
        account="acme", vendor="agora", error=error, report=None if error else report(**changes)
    )
    return schedule(ended, begun=BEGUN, ended=ENDED, every=every, failures=failures)


def test_complete_pass_is_repeated_after_the_interval_from_its_begin():
    assert (after().outcome, after().due, after().reason) == ("complete", BEGUN + 600, "")
    assert after(every=None).due == BEGUN + EVERY


def test_pass_that_took_longer_than_the_interval_is_repeated_at_once():
    assert after(every=60.0).due == ENDED


@pytest.mark.parametrize("retry_at", [ENDED + 5000, ENDED + 1])
def test_spent_quota_schedules_the_next_pass_when_it_resets(retry_at):
    result = after(left=7, retry_at=retry_at, failures=3)
    assert (result.outcome, result.failures) == ("quota used up", 0)
    assert result.due == max(retry_at, BEGUN + 600)
    assert result.reason == "the day's quota is used up; 7 calls are left"


def test_quota_that_ends_a_pass_with_an_error_does_not_count_as_a_failure():
    result = after(error=QuotaExhausted("the quota is spent", retry_at=ENDED + 5000))
    assert (result.outcome, result.due) == ("quota used up", ENDED + 5000)


@pytest.mark.parametrize(
    "error",
    [AuthenticationError("HTTP 401", status=401, code=None), ConfigurationError("no secret")],
    ids=lambda error: type(error).__name__,
)
def test_error_that_needs_a_person_parks_the_account(error):
    result = after(error=error)
    assert (result.outcome, result.due, result.reason) == ("parked", None, str(error))


def test_failures_in_a_row_double_the_back_off_up_to_an_hour():
    errors = (StoreError("the bucket is away"), LedgerUnavailable("no answer"))
    waits = [after(error=errors[n % 2], failures=n).due - ENDED for n in range(9)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert after(error=errors[0], failures=10_000).due == ENDED + 3600
    assert after(error=errors[0], failures=4).failures == 5
    assert after(failures=4).failures == 0


def test_skipped_calls_are_counted_and_the_first_is_named():
    skipped = [CallSkipped(call_id=f"call-{n}", reason="HTTP 500\nbroken") for n in range(2)]
    result = after(skipped=skipped)
    assert (result.outcome, result.due) == ("incomplete", BEGUN + 600)
    assert result.reason == "2 calls could not be harvested, the first is call-0: HTTP 500 broken"
