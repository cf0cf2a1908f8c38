"""How a pass ended, and when the next one is due. Pure: times are UTC epoch seconds."""

from typing import Literal

from attrs import frozen

from agora_analytics.errors import AccessDenied, AuthenticationError, ConfigurationError, InvalidRequest
from agora_analytics.fleet.report import AccountReport
from agora_analytics.logs import one_line

Outcome = Literal["complete", "incomplete", "quota used up", "failed", "parked"]

EVERY = 1_800.0
"""Seconds between the beginnings of two passes over an account whose configuration has no `every`."""
_FIRST_BACKOFF = 60.0
_LONGEST_BACKOFF = 3_600.0
_FOR_A_PERSON = (AccessDenied, AuthenticationError, ConfigurationError, InvalidRequest)


@frozen
class Schedule:
    """The end of a pass.

    Attributes:
        outcome: `parked` if an error needs a person, such as wrong credentials.
        reason: why the pass is not complete; empty: it is.
        failures: how many passes in a row have failed, this one included.
        due: when the next pass begins; None: after a person has planned it.
    """

    outcome: Outcome
    reason: str
    failures: int
    due: float | None


def schedule(
    report: AccountReport, *, begun: float, ended: float, every: float | None, failures: int
) -> Schedule:
    """Return the outcome of a pass and when the next one begins.

    Args:
        report: of the pass.
        begun: when it began.
        ended: when it ended.
        every: seconds between the beginnings of two passes; None: `EVERY`.
        failures: how many passes before it have failed in a row.

    Example:
        >>> schedule(AccountReport(account="a", vendor="agora"), begun=0.0, ended=50.0, every=600.0, failures=0).due
        600.0
    """
    due = max(begun + (every or EVERY), ended)
    if report.retry_at is not None:
        return Schedule("quota used up", _quota_reason(report), 0, max(due, report.retry_at))
    if report.error is not None:
        reason = one_line(str(report.error)) or type(report.error).__name__
        if isinstance(report.error, _FOR_A_PERSON):
            return Schedule("parked", reason, failures + 1, None)
        backoff = min(_FIRST_BACKOFF * 2 ** min(failures, 10), _LONGEST_BACKOFF)
        return Schedule("failed", reason, failures + 1, ended + backoff)
    if skipped := [call for each in report.reports for call in each.skipped]:
        reason = f"{len(skipped):,} calls could not be harvested, the first is {skipped[0].call_id}: {skipped[0].reason}"
        return Schedule("incomplete", one_line(reason), 0, due)
    return Schedule("complete", "", 0, due)


def _quota_reason(report: AccountReport) -> str:
    if report.error is not None:
        return one_line(str(report.error))
    left = sum(each.left for each in report.reports)
    return f"the day's quota is used up; {left:,} calls are left"
