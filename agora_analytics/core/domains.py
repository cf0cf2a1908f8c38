"""Chooses the host of a request. Pure: the time and the result of DNS are arguments; it knows no vendor.

The order is the documented one: the preferred primary, twice; the alternate primary, if the name does not resolve; then
the region next to the one that the primary resolves to. A host that failed rests for a while, and is tried again.

A lease is the host of one attempt with the epoch of that host. The epoch increases when the host fails, is dropped or
becomes current, and the result of an older lease is ignored. So many failures at the same time count once.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from attrs import define, field, frozen

from agora_analytics.core.record import Record
from agora_analytics.core.verdicts import Done, Retry, Verdict
from agora_analytics.errors import TransportError
from agora_analytics.messages import FailureKind

REST = 30.0
"""Seconds for which a host that failed is not used."""
LONG_REST = 300.0
"""The same for a request that must not be sent twice: it is lost if the host hangs, so it probes rarely."""
_PROBE = 10.0  # seconds after which another request may probe a host although the first probe has no result


@frozen(kw_only=True)
class HostTable:
    """The hosts (base URLs) of one API, as data.

    Attributes:
        preferred: the primary host.
        alternate: the primary host under the other suffix.
        regional: the hosts of each area, the preferred suffix first; empty: regional hosts are not used.
        neighbours: the area that takes over for an area.
        assumed: the area of the primary until DNS has answered.
    """

    preferred: str
    alternate: str | None = None
    regional: Mapping[str, tuple[str, ...]] = field(factory=dict)
    neighbours: Mapping[str, str] = field(factory=dict)
    assumed: str | None = None


@frozen(kw_only=True)
class Switch:
    """Requests go to the host `new` from now on."""

    old: str
    new: str
    reason: str


@frozen(kw_only=True)
class DomainState(Record):
    """The state of one host.

    Attributes:
        host: the base URL.
        role: "primary", "alternate" or the area.
        current: whether requests go there.
        rests: for how many more seconds it is not used.
        trouble: why it was last abandoned; "" after it has answered again.
        gone: whether it does not offer the service.
    """

    host: str
    role: str
    current: bool
    rests: float
    trouble: str
    gone: bool


@frozen
class Lease:
    """The host of one attempt, and the epoch of the host when the attempt began."""

    host: str
    epoch: int


_FOREVER = float("inf")


@define
class _Host:
    role: str
    trusted: bool = False
    """Whether it has answered since its last failure. If so, one failure does not lead to a switch."""
    epoch: int = 0
    rests_until: float = -_FOREVER
    trouble: str = ""


class Domains:
    """The pool of hosts. One is current; the others rest, or wait as replacements.

    Attributes:
        table: the hosts.
        area: the area that the preferred primary resolves to; None: unknown.
        on_switch: called after each switch to another host.
        on_failure: called after each failure.

    Example:
        >>> pool = Domains(HostTable(preferred="https://api.agora.io", alternate="https://api.sd-rtn.com"))
        >>> pool.failed(pool.pick(now=0.0), "DNS", now=5.0, again=True, dns=True)
        >>> pool.pick(now=6.0).host, pool.pick(now=36.0).host
        ('https://api.sd-rtn.com', 'https://api.agora.io')
    """

    def __init__(self, table: HostTable) -> None:
        self.table = table
        self.area: str | None = None
        self.on_switch: Callable[[Switch], None] = lambda _: None
        self.on_failure: Callable[[], None] = lambda: None
        self._current = table.preferred
        self._unresolved = False
        self._hosts = {host: _Host(area) for area, hosts in table.regional.items() for host in hosts}
        if table.alternate:
            self._hosts[table.alternate] = _Host("alternate")
        self._hosts[table.preferred] = _Host("primary", trusted=True)

    def pick(self, now: float, *, replayable: bool = True) -> Lease:
        """Return the host of the next attempt: the current one or, for one request, a preferred one whose rest is over.

        A request that must not be sent twice probes only after the long rest, so usually another request does.
        """
        latest = now if replayable else now - (LONG_REST - REST)
        for name in takewhile(lambda name: name != self._current, self._order()):
            if self._hosts[name].rests_until <= latest:
                self._hosts[name].rests_until = now + _PROBE
                return Lease(name, self._hosts[name].epoch)
        return Lease(self._current, self._hosts[self._current].epoch)

    def is_current(self, host: str) -> bool:
        """Return whether requests go to a host."""
        return host == self._current

    def report(self, lease: Lease, verdict: Verdict[Any], failed_at: set[str], *, now: float) -> None:
        """Record the result of an attempt. `failed_at` holds the hosts at which the same request has failed."""
        if isinstance(verdict, Done):
            self.answered(lease)
        elif verdict.other_host:
            # With Retry-After, an immediate second attempt would fail too.
            again = lease.host in failed_at or (isinstance(verdict, Retry) and bool(verdict.after))
            failed_at.add(lease.host)
            error = verdict.error
            dns = isinstance(error, TransportError) and error.kind is FailureKind.DNS
            self.failed(lease, error.message, now=now, again=again, dns=dns)
            self.on_failure()

    def answered(self, lease: Lease) -> None:
        """Record that an attempt was answered, and return to its host if it precedes the current one."""
        host = self._hosts[lease.host]
        if lease.epoch < host.epoch:
            return
        host.trusted, host.trouble, host.rests_until = True, "", -_FOREVER
        if self._rank(lease.host) < self._rank(self._current):
            self._go_to(lease.host, "it answers again, and is preferred")

    def failed(
        self, lease: Lease, reason: str, *, now: float, again: bool = False, dns: bool = False
    ) -> None:
        """Record that an attempt failed. The second failure of the current host leads to a switch.

        A host that has not answered since its last failure gets no second attempt. The second failure may be of the
        same request (`again`), or of any attempt that began after the first failure.
        """
        host = self._hosts[lease.host]
        if lease.epoch < host.epoch:
            return
        host.epoch += 1
        was_trusted, host.trusted = host.trusted, False
        if self.is_current(lease.host):
            if was_trusted and not again:
                return
            if lease.host == self.table.preferred:
                self._unresolved = dns
        self._abandon(lease.host, reason, until=now + REST, now=now)

    def drop(self, name: str, *, now: float) -> bool:
        """Stop using a regional host that does not offer the service, and return whether there is another to try."""
        if name in (self.table.preferred, self.table.alternate):
            return False
        self._hosts[name].epoch += 1
        self._abandon(name, "does not offer the service", until=_FOREVER, now=now)
        return True

    def state(self, now: float) -> list[DomainState]:
        """Return the state of each host, in the order in which they would be used now."""
        return [
            DomainState(
                host=name,
                role=host.role,
                current=self.is_current(name),
                rests=0.0 if host.rests_until == _FOREVER else max(host.rests_until - now, 0.0),
                trouble=host.trouble,
                gone=host.rests_until == _FOREVER,
            )
            for name, host in sorted(self._hosts.items(), key=lambda item: self._rank(item[0]))
        ]

    def _abandon(self, name: str, reason: str, *, until: float, now: float) -> None:
        """Let a host rest. If it is current, switch to the first one that does not, or whose rest ends first."""
        self._hosts[name].trouble, self._hosts[name].rests_until = reason, until
        if self.is_current(name):
            self._go_to(
                min(self._order(), key=lambda other: max(self._hosts[other].rests_until, now)), reason
            )

    def _go_to(self, name: str, reason: str) -> None:
        if self.is_current(name):  # there is no other host
            return
        old, self._current = self._current, name
        self._hosts[name].epoch += 1
        self.on_switch(Switch(old=old, new=name, reason=reason))

    def _order(self) -> Iterator[str]:
        table = self.table
        yield table.preferred
        if table.alternate and self._unresolved:
            yield table.alternate
        home = self.area or table.assumed
        yield from table.regional.get(table.neighbours.get(home or "", ""), ())
        if table.alternate and not self._unresolved:
            yield table.alternate

    def _rank(self, host: str) -> int:
        order = list(self._order())
        return order.index(host) if host in order else len(order)
