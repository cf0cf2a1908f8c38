"""Chooses the host of a request. Pure: the time and the result of DNS are arguments; it knows no vendor.

The order is the documented one: the preferred primary, twice; the alternate primary, if the name does not resolve; then
the region next to the one that the primary resolves to. A host that failed rests for a while, and is tried again.
"""

from collections.abc import Iterator, Mapping

from attrs import define, field, frozen

from agora_analytics.core.record import Record

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


_NEVER = float("inf")


@define
class _Health:
    doubted_since: float = -_NEVER
    """The time of its first failure after its last answer; -inf if it has never answered."""
    left_at: float = -_NEVER
    rests_until: float = -_NEVER
    trouble: str = ""
    gone: bool = False

    def is_open(self, now: float, *, rested: float) -> bool:
        return not self.gone and self.rests_until <= now and self.left_at + rested <= now


class Domains:
    """The pool of hosts. One is current; the others rest, or wait as replacements.

    Example:
        >>> pool = Domains(HostTable(preferred="https://api.agora.io", alternate="https://api.sd-rtn.com"))
        >>> pool.failed("https://api.agora.io", "DNS", began=0.0, now=5.0, times=2, dns=True).new
        'https://api.sd-rtn.com'
        >>> pool.pick(now=6.0), pool.pick(now=36.0)
        ('https://api.sd-rtn.com', 'https://api.agora.io')
    """

    def __init__(self, table: HostTable, *, rest: float = REST) -> None:
        self.table = table
        self.area: str | None = None
        """The area that the preferred primary resolves to; None: unknown."""
        self._rest = rest
        self._current = table.preferred
        self._current_since = -_NEVER
        self._unresolved = False
        self._health = {host: _Health() for host in self._roles()}
        self._health[table.preferred].doubted_since = _NEVER  # it is believed to answer

    def pick(self, now: float, *, replayable: bool = True) -> str:
        """Return the host of the next attempt: the current one or, for one request, a preferred one whose rest is over.

        A request that must not be sent twice probes only after the long rest, so usually another request does.
        """
        if better := self._worth_a_probe(now, rested=0.0 if replayable else LONG_REST):
            self._health[better].rests_until = now + _PROBE
            return better
        return self._current

    def is_current(self, host: str) -> bool:
        """Return whether requests go to a host."""
        return host == self._current

    def failed(
        self, host: str, reason: str, *, began: float, now: float, times: int, dns: bool
    ) -> Switch | None:
        """Record that an attempt which began at `began` failed; return the switch that follows, if any.

        A host that used to answer gets a second attempt, by the same call or by another. `times` is how often the call
        has failed at this host. An attempt that began after the first failure also counts as the second. If many calls
        fail at the same time, the first one switches and the others have no effect.
        """
        health = self._health[host]
        if began < health.left_at or (host == self._current and began < self._current_since):
            return None  # another call has reported it already
        if host != self._current:  # a probe
            self._let_rest(health, reason, now)
            return None
        if times < 2 and began <= health.doubted_since:
            health.doubted_since = min(health.doubted_since, now)
            return None
        self._let_rest(health, reason, now)
        if host == self.table.preferred:
            self._unresolved = dns
        return self._go_to(self._next(now), now, reason)

    def answered(self, host: str, *, began: float, now: float) -> Switch | None:
        """Record that an attempt which began at `began` was answered; return the switch that follows, if any."""
        health = self._health[host]
        if began < health.left_at or health.gone:
            return None  # it was sent before the host failed, so it proves nothing
        health.doubted_since, health.trouble, health.rests_until = _NEVER, "", -_NEVER
        if host == self._current or self._rank(host) > self._rank(self._current):
            return None
        return self._go_to(host, now, "it answers again, and is preferred")

    def not_offered(self, host: str, *, now: float) -> tuple[bool, Switch | None]:
        """Stop using a host for good because it does not offer the service, if it is a regional one.

        Returns:
            Whether there is another host to try, and the switch that follows, if any.
        """
        if host in (self.table.preferred, self.table.alternate):
            return False, None
        health = self._health[host]
        health.gone, health.trouble = True, "does not offer the service"
        return True, self._go_to(self._next(now), now, health.trouble) if host == self._current else None

    def state(self, now: float) -> list[DomainState]:
        """Return the state of each host, in the order in which they would be used now."""
        return [
            DomainState(
                host=host,
                role=self._roles()[host],
                current=host == self._current,
                rests=max(health.rests_until - now, 0.0),
                trouble=health.trouble,
                gone=health.gone,
            )
            for host in sorted(self._health, key=self._rank)
            for health in (self._health[host],)
        ]

    def _worth_a_probe(self, now: float, *, rested: float) -> str | None:
        for host in self._order():
            if host == self._current:
                return None
            if self._health[host].is_open(now, rested=rested):
                return host
        return None

    def _next(self, now: float) -> str:
        """Return the first host that does not rest, or the one whose rest ends first."""
        offered = [host for host in self._order() if not self._health[host].gone]
        return min(offered, key=lambda host: max(self._health[host].rests_until, now))

    def _let_rest(self, health: _Health, reason: str, now: float) -> None:
        health.doubted_since, health.trouble = -_NEVER, reason
        health.left_at, health.rests_until = now, now + self._rest

    def _go_to(self, host: str, now: float, reason: str) -> Switch | None:
        old, self._current = self._current, host
        self._current_since = now
        return Switch(old=old, new=host, reason=reason) if host != old else None

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

    def _roles(self) -> dict[str, str]:
        table = self.table
        roles = {host: area for area, hosts in table.regional.items() for host in hosts}
        if table.alternate:
            roles[table.alternate] = "alternate"
        return {table.preferred: "primary"} | roles
