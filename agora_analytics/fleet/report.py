"""The result of a pass over an account, and the events of the passes of many accounts."""

from collections.abc import Callable
from typing import TypeAlias

from attrs import frozen

from agora_analytics.engine.engine import Quota
from agora_analytics.engine.events import Event
from agora_analytics.harvest.report import HarvestEvent, HarvestReport


@frozen(kw_only=True)
class AccountBegun:
    """The pass over an account has begun."""

    vendor: str


@frozen(kw_only=True)
class AccountReport:
    """The result of one pass over an account.

    Attributes:
        account: its name in the configuration file.
        vendor: its vendor.
        store: the folder or URL of the store; None if none is named.
        report: the report of the harvest; None if an error ended it.
        insights: the report of the harvest of Data Insights; None if the account has none, or if an error ended it.
        error: what ended the pass; None: nothing.
        quota: the state of each daily quota at the end, as the ledger knows it; empty if the client could not be opened.
    """

    account: str
    vendor: str
    store: str | None = None
    report: HarvestReport | None = None
    insights: HarvestReport | None = None
    error: Exception | None = None
    quota: tuple[Quota, ...] = ()

    @property
    def complete(self) -> bool:
        """True if everything that can be fetched and read is in the store."""
        return self.error is None and all(report.complete for report in self.reports)

    @property
    def retry_at(self) -> float | None:
        """When the account can be harvested again (UTC epoch seconds), if a quota ended the pass; otherwise None."""
        times = [report.retry_at for report in self.reports]
        times.append(getattr(self.error, "retry_at", None))
        return max((time for time in times if time is not None), default=None)

    @property
    def reports(self) -> tuple[HarvestReport, ...]:
        """The reports of the harvests that ended."""
        return tuple(report for report in (self.report, self.insights) if report is not None)


AccountEvent: TypeAlias = AccountBegun | AccountReport | HarvestEvent | Event
"""What the observer of passes receives: the begin and the end of a pass, and the events of its harvest and client."""
AccountObserver: TypeAlias = Callable[[str, AccountEvent], None]
"""A function that is called with the name of an account and each event of its pass."""
