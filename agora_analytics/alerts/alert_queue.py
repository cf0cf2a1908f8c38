"""The queue of events in the database of alerts. An event stays in it until the receiver accepts it or it is given up."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol
from uuid import uuid4

from attrs import frozen

from agora_analytics.alerts.alert_event import AlertEvent
from agora_analytics.alerts.rules import AlertSource

LONGEST_RETRY = 300.0
"""The longest pause between two attempts, in seconds."""
_FIRST_OF_ALERT = """status = 'waiting' AND NOT EXISTS (
    SELECT 1 FROM events earlier WHERE earlier.key = e.key AND earlier.seq < e.seq AND earlier.status = 'waiting')"""


@frozen
class QueuedEvent:
    """An event that is delivered now.

    Attributes:
        id: the id of the event, the same in each attempt.
        body: the JSON that is sent, the same in each attempt.
        created: when it was queued, UTC epoch seconds.
        attempts: the attempts before this one.
    """

    id: str
    body: bytes
    created: float
    attempts: int


class _Database(Protocol):
    def execute(self, statement: str, values: Iterable[Any] = ()) -> list[Any]: ...
    def transaction(self) -> AbstractContextManager[None]: ...


class AlertQueue:
    """The events of a database. An event waits for earlier events of the same alert only."""

    SCHEMA: ClassVar[str] = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, id TEXT, key TEXT, body TEXT, created REAL, status TEXT DEFAULT 'waiting',
    attempts INTEGER DEFAULT 0, next_at REAL DEFAULT 0, error TEXT DEFAULT ''
) STRICT;
CREATE INDEX waiting ON events (key, seq) WHERE status = 'waiting';
"""

    def __init__(self, database: _Database) -> None:
        self._database = database

    def add(self, events: Sequence[AlertEvent], source: AlertSource, now: float) -> None:
        """Queue the events that no silence covers. Call it in a transaction, with the change that they come from."""
        for event in events:
            if not event.is_silenced:
                body = json.dumps(event.payload(source), ensure_ascii=False)
                row = (f"alert_{uuid4().hex}", json.dumps([source, event.rule.name, event.group]), body, now)
                self._database.execute("INSERT INTO events (id, key, body, created) VALUES (?, ?, ?, ?)", row)

    def take(self, now: float, lease: float) -> QueuedEvent | None:
        """Return an event that is due, and keep it from other processes for `lease` seconds; None if none is due.

        An event with a time that is further away than any pause is due as well: the clock was set back.
        """
        with self._database.transaction():
            rows = self._database.execute(
                f"""
                UPDATE events SET next_at = ?, attempts = attempts + 1 WHERE seq = (
                    SELECT min(seq) FROM events e
                    WHERE (next_at <= ? OR next_at > ?) AND {_FIRST_OF_ALERT})
                RETURNING id, body, created, attempts - 1
                """,
                (now + lease, now, now + LONGEST_RETRY + 1),
            )
        return QueuedEvent(rows[0][0], rows[0][1].encode(), *rows[0][2:]) if rows else None

    def next_due(self) -> float | None:
        """Return the time at which the next event is sent, in epoch seconds; None if no event waits."""
        ((due,),) = self._database.execute(f"SELECT min(next_at) FROM events e WHERE {_FIRST_OF_ALERT}")
        return None if due is None else float(due)

    def delivered(self, event: QueuedEvent) -> None:
        """Note that the receiver accepted an event."""
        self._set(event, status="delivered", error="")

    def failed(self, event: QueuedEvent, error: str) -> None:
        """Note that an event is given up. It stays in the file for a month, with the reason."""
        self._set(event, status="failed", error=error)

    def retry_at(self, event: QueuedEvent, time: float, error: str) -> None:
        """Note when an event is sent again."""
        self._set(event, next_at=time, error=error)

    def counts(self) -> Mapping[str, int]:
        """Return the number of events by status: `waiting`, `delivered` and `failed`."""
        rows = self._database.execute("SELECT status, count(*) FROM events GROUP BY status")
        return {"waiting": 0, "delivered": 0, "failed": 0} | dict(rows)

    def _set(self, event: QueuedEvent, **columns: str | float) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self._database.execute(f"UPDATE events SET {names} WHERE id = ?", (*columns.values(), event.id))
