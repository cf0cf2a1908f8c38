"""The incidents in a time range of a store, and how they continue those that are known from earlier ranges. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from agora_analytics.alerts.alert_event import AlertEvent
from agora_analytics.alerts.conditions import AlertState, AlertValue, closed_early, evaluate, expire
from agora_analytics.alerts.rules import AlertRule, Silence
from agora_analytics.core.record import Record


@frozen(kw_only=True)
class Incident(Record):
    """A time in which an alert fired.

    Attributes:
        fired: the event with which it began; `fired.is_silenced` if no event of it is delivered.
        resolved: the event with which it ended; None if it had not ended at the end of the data.
    """

    fired: AlertEvent
    resolved: AlertEvent | None = None

    @property
    def until(self) -> float | None:
        """The end in UTC epoch seconds; None if it had not ended."""
        return None if self.resolved is None else self.resolved.until


@frozen(kw_only=True)
class KnownIncident:
    """An incident of an earlier evaluation.

    Attributes:
        group: the value of the rule's `by`.
        since, until: the incident in epoch seconds; `until` is None while it is open.
        reported_at: the time of the event `firing` that was queued; None if it was silenced.
    """

    group: str | None
    since: float
    until: float | None
    reported_at: float | None

    def overlaps(self, incident: Incident) -> bool:
        """Whether an incident is the same one, or a part of it."""
        return (incident.until is None or self.since <= incident.until) and (
            self.until is None or incident.fired.since <= self.until
        )


def incidents_of(
    rule: AlertRule,
    values: Iterable[AlertValue],
    silences: Sequence[Silence],
    *,
    end: float,
    reported_at: Mapping[str | None, float] | None = None,
) -> list[Incident]:
    """Return the incidents in the values of a time range.

    Args:
        rule: the rule.
        values: the values of all groups, in the order of time.
        silences: times in which alerts do not fire.
        end: the time up to which there is data, epoch seconds.
        reported_at: for each group, when an alert fired before the range.
    """
    states: dict[str | None, AlertState] = {}
    events: list[AlertEvent] = []
    earlier = reported_at or {}
    for value in values:
        state = states.get(value.group) or AlertState(reported_at=earlier.get(value.group))
        states[value.group], more = evaluate(rule, state, value, silences)
        events += more
    for group, state in states.items():
        events += expire(rule, state, end, group=group)[1]
    incidents: dict[tuple[str | None, float], Incident] = {}
    for event in events:
        key = (event.group, event.since)
        if event.status == "resolved":
            incidents[key] = evolve(incidents[key], resolved=event)
        elif key not in incidents or not event.is_silenced:
            incidents[key] = Incident(fired=event)
    return list(incidents.values())


def reconcile(
    rule: AlertRule, known: Iterable[KnownIncident], found: Iterable[Incident], end: float
) -> tuple[list[KnownIncident], list[AlertEvent]]:
    """Return the known incidents after an evaluation, and the events that are new.

    Args:
        rule: the rule.
        known: the known incidents. The evaluated range begins at the oldest open one, or before it.
        found: the incidents of the range.
        end: the time up to which there is data, epoch seconds.
    """
    known_of, found_of = (
        defaultdict[str | None, list[KnownIncident]](list),
        defaultdict[str | None, list[Incident]](list),
    )
    for one in known:
        known_of[one.group].append(one)
    for other in found:
        found_of[other.fired.group].append(other)
    rows, events = list[KnownIncident](), list[AlertEvent]()
    for group in known_of.keys() | found_of.keys():
        more, new = _of_group(rule, known_of[group], found_of[group], end)
        rows += more
        events += new
    return rows, sorted(events, key=lambda event: (event.at, event.group or ""))


def _of_group(
    rule: AlertRule, known: list[KnownIncident], found: list[Incident], end: float
) -> tuple[list[KnownIncident], list[AlertEvent]]:
    rows, events = list(known), list[AlertEvent]()
    confirmed: set[float] = set()
    for incident in sorted(found, key=lambda each: each.fired.since):
        same = [row for row in rows if row.overlaps(incident)]
        opened = next((row for row in same if row.until is None), None)
        if opened is not None:
            row, more = _continued(opened, incident)
            rows[rows.index(opened)] = row
        else:
            ended = max((row.until for row in same if row.until is not None), default=None)
            if ended is not None and not _lasts_longer(rule, incident, ended):
                continue
            row, more = _begun(incident, incident.fired.since if ended is None else ended)
            rows.append(row)
        confirmed.add(row.since)
        events += more
    for number, row in enumerate(rows):
        if row.until is None and row.since not in confirmed:
            rows[number] = evolve(row, until=row.since)
            state = AlertState(
                phase="firing", since=row.since, end=end, is_reported=row.reported_at is not None
            )
            closed = closed_early(
                rule, state, group=row.group, at=end, reason="later data does not confirm it"
            )
            events += [event for event in closed if not event.is_silenced]
    return rows, events


def _begun(incident: Incident, since: float) -> tuple[KnownIncident, list[AlertEvent]]:
    """Return a new incident with its events. It begins where a resolved one ended, if later data shows that it lasted longer."""
    fired = evolve(incident.fired, since=since, at=max(since, incident.fired.at))
    reported_at = None if fired.is_silenced else fired.at
    row = KnownIncident(group=fired.group, since=since, until=incident.until, reported_at=reported_at)
    if fired.is_silenced:
        return row, []
    return row, [fired] if incident.resolved is None else [fired, evolve(incident.resolved, since=since)]


def _continued(opened: KnownIncident, incident: Incident) -> tuple[KnownIncident, list[AlertEvent]]:
    """Return an open incident after a later evaluation, with its new events."""
    reported_at, events = opened.reported_at, list[AlertEvent]()
    if reported_at is None and incident.resolved is None and not incident.fired.is_silenced:
        reported_at = incident.fired.at  # a silence has ended
        events.append(evolve(incident.fired, since=opened.since))
    if reported_at is not None and incident.resolved is not None:
        events.append(evolve(incident.resolved, since=opened.since, is_silenced=False))
    return evolve(opened, until=incident.until, reported_at=reported_at), events


def _lasts_longer(rule: AlertRule, incident: Incident, ended: float) -> bool:
    return incident.until is None or incident.until > ended + rule.duration
