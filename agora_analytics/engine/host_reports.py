"""Reports the outcome of attempts to the hosts of a vendor, and a switch to another host to the observer."""

import asyncio
from collections.abc import Callable
from typing import Any

from agora_analytics.core.domains import Domains, Switch
from agora_analytics.core.verdicts import Done, Retry, Verdict
from agora_analytics.engine.events import HostSwitched, Observer
from agora_analytics.messages import FailureKind, Response, TransportFailure


class HostReports:
    """The hosts of a vendor, as the request loop uses them. `on_failure` is called after each failure of a host."""

    def __init__(self, domains: Domains, observer: Observer, on_failure: Callable[[], None]) -> None:
        self._domains = domains
        self._observer = observer
        self._on_failure = on_failure
        self.pick = domains.pick
        self.is_current = domains.is_current

    def report_answer(self, host: str, *, began: float, now: float) -> None:
        """Record that an attempt which began at `began` was answered."""
        self._report(self._domains.answered(host, began=began, now=now))

    def report_failure(
        self,
        host: str,
        verdict: Verdict[Any],
        outcome: Response | TransportFailure,
        failed_at: dict[str, int],
        *,
        began: float,
    ) -> None:
        """Record an attempt if its host failed; `failed_at` counts the failures of the request by host."""
        if isinstance(verdict, Done) or not verdict.other_host:
            return
        failed_at[host] = failed_at.get(host, 0) + 1
        self._on_failure()
        dns = isinstance(outcome, TransportFailure) and outcome.kind is FailureKind.DNS
        # With Retry-After, an immediate second attempt would fail too.
        says_when = isinstance(verdict, Retry) and bool(verdict.after)
        self.report_doubt(
            host, verdict.error.message, began=began, times=failed_at[host] + says_when, dns=dns
        )

    def report_doubt(
        self, host: str, reason: str, *, began: float, times: int = 1, dns: bool = False
    ) -> None:
        """Record that an attempt failed at a host."""
        self._report(self._domains.failed(host, reason, began=began, now=_now(), times=times, dns=dns))

    def drop(self, host: str) -> bool:
        """Stop using a host that does not offer the service, and return whether there is another."""
        another, switch = self._domains.not_offered(host, now=_now())
        self._report(switch)
        return another

    def _report(self, switch: Switch | None) -> None:
        if switch is not None:
            self._observer(HostSwitched(old=switch.old, new=switch.new, reason=switch.reason))


def _now() -> float:
    return asyncio.get_running_loop().time()
