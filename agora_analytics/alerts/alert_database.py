"""The database of alerts, a SQLite file: the state of each rule and group, and the events that still have to be delivered.

A state and the events of the same window are written in one transaction, so a crash neither loses an event nor repeats it.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import attrs
from attrs import evolve, frozen

from agora_analytics.alerts.alert_event import AlertEvent
from agora_analytics.alerts.conditions import AlertState, closed_by_change
from agora_analytics.alerts.rules import AlertRule, AlertSource
from agora_analytics.errors import ConfigurationError

_BUSY = 30.0  # seconds to wait for another process
_SCHEMA = """
CREATE TABLE IF NOT EXISTS states (
    source TEXT, alert TEXT, grp TEXT, rule TEXT, state TEXT, PRIMARY KEY (source, alert, grp)
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, key TEXT, body TEXT, created REAL, status TEXT DEFAULT 'waiting',
    attempts INTEGER DEFAULT 0, next_at REAL DEFAULT 0, error TEXT DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS incidents (
    alert TEXT, rule TEXT, grp TEXT, since REAL, until REAL, reported_at REAL, PRIMARY KEY (alert, rule, grp, since)
) STRICT;
"""
_FIRST_OF_ALERT = """status = 'waiting' AND NOT EXISTS (
    SELECT 1 FROM events earlier WHERE earlier.key = e.key AND earlier.seq < e.seq AND earlier.status = 'waiting')"""
_NO_GROUP = ""  # the row of a rule without `by`; a group never has this name


@frozen
class QueuedEvent:
    """An event that is delivered now.

    Attributes:
        id: the id of the event.
        body: the JSON that is sent, the same in each attempt.
        created: when it was queued, UTC epoch seconds.
        attempts: the attempts before this one.
    """

    id: str
    body: bytes
    created: float
    attempts: int


@frozen(kw_only=True)
class KnownIncident:
    """An incident of a store that was evaluated before.

    Attributes:
        group: the value of the rule's `by`.
        since, until: the incident in epoch seconds; `until` is None while it is open.
        reported_at: the time of the event `firing` that was queued; None if it was silenced.
    """

    group: str | None
    since: float
    until: float | None
    reported_at: float | None

    def overlaps(self, since: float, until: float | None) -> bool:
        """Whether a time range is part of the same incident."""
        return (until is None or self.since <= until) and (self.until is None or since <= self.until)


class AlertDatabase:
    """The states and events of alerts in a file. Several processes may use it; close it at the end.

    Args:
        path: the file, which is created if it does not exist.

    Raises:
        ConfigurationError: the file cannot be opened, or is not such a database.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as problem:
            raise ConfigurationError(
                f"cannot use {self.path} for the state of alerts: {problem}"
            ) from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything or nothing. Other processes wait."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as problem:
            raise ConfigurationError(
                f"cannot write the state of alerts to {self.path}: {problem}"
            ) from problem

    def states(self, source: AlertSource, rule: AlertRule) -> dict[str | None, AlertState]:
        """Return the state of each group of a rule; none if the rule was changed since it was written."""
        rows = self._connection.execute(
            "SELECT grp, state FROM states WHERE source = ? AND alert = ? AND rule = ?",
            (source, rule.name, _fingerprint(rule)),
        )
        return {group or None: AlertState(**json.loads(state)) for group, state in rows}

    def write_state(self, source: AlertSource, rule: AlertRule, group: str | None, state: AlertState) -> None:
        """Write the state of a group."""
        row = (source, rule.name, group or _NO_GROUP, _fingerprint(rule), json.dumps(attrs.asdict(state)))
        self._connection.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?)", row)

    def drop_changed_rules(self, source: AlertSource, rules: Iterable[AlertRule], now: float) -> int:
        """Drop the states of rules that were changed or removed, and resolve their alerts; return the number of states."""
        current = {rule.name: _fingerprint(rule) for rule in rules}
        with self.transaction():
            rows = self._connection.execute(
                "SELECT alert, grp, rule, state FROM states WHERE source = ?", (source,)
            ).fetchall()
            changed = [row for row in rows if current.get(row[0]) != row[2]]
            for alert, group, text, state in changed:
                rule = _rule(text)
                events = closed_by_change(rule, AlertState(**json.loads(state)), group=group or None)
                self.queue(events, now)
                self._connection.execute(
                    "DELETE FROM states WHERE source = ? AND alert = ? AND grp = ?", (source, alert, group)
                )
        return len(changed)

    def close_changed_incidents(self, rules: Iterable[AlertRule], now: float) -> list[AlertEvent]:
        """Resolve the open incidents of stores whose rules were changed or removed; return the queued events."""
        current = {_fingerprint(rule) for rule in rules}
        events = []
        with self.transaction():
            rows = self._connection.execute(
                "SELECT rule, grp, since, reported_at FROM incidents WHERE until IS NULL"
            ).fetchall()
            for text, group, since, reported_at in rows:
                if text not in current:
                    self._connection.execute(
                        "UPDATE incidents SET until = ? WHERE rule = ? AND grp = ? AND since = ?",
                        (now, text, group, since),
                    )
                    state = AlertState(
                        phase="firing", since=since, end=now, is_reported=reported_at is not None
                    )
                    events += closed_by_change(_rule(text), state, group=group or None)
            self.queue(events, now)
        return [event for event in events if not event.is_silenced]

    def queue(self, events: Iterable[AlertEvent], now: float) -> int:
        """Queue events for delivery; return how many are new. Silenced events are not queued."""
        new = 0
        for event in events:
            if not event.is_silenced:
                row = (event.id, event.key, json.dumps(event.payload(), ensure_ascii=False), now)
                new += self._connection.execute(
                    "INSERT OR IGNORE INTO events (id, key, body, created) VALUES (?, ?, ?, ?)", row
                ).rowcount
        return new

    def incidents(self, rule: AlertRule) -> list[KnownIncident]:
        """Return the known incidents of a rule in stores; none if the rule was changed."""
        rows = self._connection.execute(
            "SELECT grp, since, until, reported_at FROM incidents WHERE alert = ? AND rule = ?",
            (rule.name, _fingerprint(rule)),
        )
        return [
            KnownIncident(group=group or None, since=since, until=until, reported_at=reported_at)
            for group, since, until, reported_at in rows
        ]

    def merge_incident(
        self, rule: AlertRule, fired: AlertEvent, resolved: AlertEvent | None
    ) -> list[AlertEvent]:
        """Write an incident, or extend the known one that it overlaps; return its events, which may be queued already."""
        until = None if resolved is None else resolved.until
        known = [each for each in self.incidents(rule) if each.group == fired.group]
        same = next((each for each in known if each.overlaps(fired.since, until)), None)
        since = fired.since if same is None else same.since
        reported_at = None if fired.is_silenced else fired.at
        if same is not None:
            reported_at = same.reported_at or reported_at
            if same.until is not None:  # it is resolved already, and stays so
                until = max(same.until, until or 0.0)
        row = (rule.name, _fingerprint(rule), fired.group or _NO_GROUP, since, until, reported_at)
        self._connection.execute("INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?, ?)", row)
        if reported_at is None:
            return []
        events = (fired, resolved) if resolved is not None else (fired,)
        return [evolve(event, since=since, is_silenced=False) for event in events]

    def next_event(self, now: float, lease: float) -> QueuedEvent | None:
        """Return an event that is due, and keep it from other processes for `lease` seconds; None if there is none.

        An event waits for earlier events of the same alert, so a receiver never reads `resolved` before `firing`.
        """
        with self.transaction():
            row = self._connection.execute(
                f"""
                UPDATE events SET next_at = ?, attempts = attempts + 1
                WHERE seq = (SELECT min(seq) FROM events e WHERE next_at <= ? AND {_FIRST_OF_ALERT})
                RETURNING id, body, created, attempts - 1
                """,
                (now + lease, now),
            ).fetchone()
        return None if row is None else QueuedEvent(row[0], row[1].encode(), row[2], row[3])

    def delivered(self, event: QueuedEvent) -> None:
        """Note that the receiver accepted an event."""
        self._set(event, status="delivered", error="")

    def failed(self, event: QueuedEvent, error: str) -> None:
        """Note that an event is given up. It stays in the file with the reason."""
        self._set(event, status="failed", error=error)

    def retry_at(self, event: QueuedEvent, time: float, error: str) -> None:
        """Note when an event is sent again."""
        self._set(event, next_at=time, error=error)

    def _set(self, event: QueuedEvent, **columns: str | float) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self._connection.execute(f"UPDATE events SET {names} WHERE id = ?", (*columns.values(), event.id))

    def next_due(self) -> float | None:
        """Return the time at which the next event is sent, in epoch seconds; None if no event waits."""
        (due,) = self._connection.execute(
            f"SELECT min(next_at) FROM events e WHERE {_FIRST_OF_ALERT}"
        ).fetchone()
        return None if due is None else float(due)

    def counts(self) -> Mapping[str, int]:
        """Return the number of events by status: `waiting`, `delivered` and `failed`."""
        rows = self._connection.execute("SELECT status, count(*) FROM events GROUP BY status")
        return {"waiting": 0, "delivered": 0, "failed": 0} | dict(rows.fetchall())


def _fingerprint(rule: AlertRule) -> str:
    values = {name: value for name, value in attrs.asdict(rule).items() if name != "silence"}
    return json.dumps(values, sort_keys=True)


def _rule(text: str) -> AlertRule:
    return AlertRule(**json.loads(text))
