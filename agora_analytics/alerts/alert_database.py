"""The database of alerts, a SQLite file: states of Real-time, known incidents of stores, and events to deliver.

What a window or a harvest changes is written with its events in one transaction, so a crash neither loses an event nor
repeats it.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import attrs

from agora_analytics.alerts.alert_event import AlertEvent
from agora_analytics.alerts.alert_queue import AlertQueue
from agora_analytics.alerts.conditions import AlertState, closed_early
from agora_analytics.alerts.incidents import KnownIncident
from agora_analytics.alerts.rules import AlertRule
from agora_analytics.errors import ConfigurationError
from agora_analytics.logs import logger_of
from agora_analytics.store.locks import open_locked

MEMORY = ":memory:"
"""The path of a database that is not kept."""
_APPLICATION, _VERSION = 0x41474F52, 1  # "AGOR"
_BUSY = 30.0  # seconds to wait for another process
_KEPT = 30 * 86_400.0  # seconds for which closed incidents and delivered events are kept
_AHEAD = 300.0  # seconds that a state may be ahead of the clock
_SCHEMA = f"""
CREATE TABLE states (alert TEXT, group_name TEXT, rule TEXT, state TEXT, PRIMARY KEY (alert, group_name)) STRICT;
CREATE TABLE evaluated (query TEXT PRIMARY KEY, until REAL) STRICT;
CREATE TABLE incidents (
    rule TEXT, group_name TEXT, since REAL, until REAL, reported_at REAL, PRIMARY KEY (rule, group_name, since)
) STRICT;
{AlertQueue.SCHEMA}
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""
_ALL = ""  # the group of a rule without `by`; a group never has this name
_CHANGED = "the rule was changed or removed"

_log = logger_of("alerts")


class AlertDatabase:
    """The states and events of alerts in a file. Several processes may use it; close it at the end.

    Args:
        path: the file, which is created if it does not exist; `:memory:`: no file.

    Raises:
        ConfigurationError: the file cannot be opened, or belongs to another program. Every method raises it too, if the
            file cannot be read or written.

    Example:
        >>> with AlertDatabase(":memory:") as database:
        ...     dict(database.queue.counts())
        {'waiting': 0, 'delivered': 0, 'failed': 0}
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
        except sqlite3.Error as problem:
            raise self._error(problem) from problem
        try:
            self._create()
        except BaseException:
            self.close()
            raise

    def _create(self) -> None:
        self.execute("PRAGMA journal_mode = WAL")
        with self.transaction():
            ((application,),) = self.execute("PRAGMA application_id")
            ((tables,),) = self.execute("SELECT count(*) FROM sqlite_master")
            if not tables:
                for statement in filter(str.strip, _SCHEMA.split(";\n")):
                    self.execute(statement)
                return
            ((version,),) = self.execute("PRAGMA user_version")
        if (application, version) != (_APPLICATION, _VERSION):
            raise ConfigurationError(
                f"{self.path} is not a database of alerts of this version; name another file with --state"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @cached_property
    def queue(self) -> AlertQueue:
        """The events that are to be delivered."""
        return AlertQueue(self)

    def execute(self, statement: str, values: Iterable[Any] = ()) -> list[Any]:
        """Run a statement and return its rows."""
        try:
            return self._connection.execute(statement, tuple(values)).fetchall()
        except sqlite3.Error as problem:
            raise self._error(problem) from problem

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything or nothing. Other processes wait."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Be the only process that evaluates Real-time with this file.

        Raises:
            ConfigurationError: another process does.
        """
        if str(self.path) == MEMORY:
            with nullcontext():
                yield
            return
        descriptor, is_locked = open_locked(Path(f"{self.path}.lock"), shared=False, wait=False)
        try:
            if not is_locked:
                raise ConfigurationError(
                    f"another process follows Real-time with {self.path}; stop it, or name another file with --state"
                )
            yield
        finally:
            os.close(descriptor)

    def states(self, rule: AlertRule) -> dict[str | None, AlertState]:
        """Return the state of each group of a rule on Real-time."""
        rows = self.execute(
            "SELECT group_name, state FROM states WHERE alert = ? AND rule = ?", (rule.name, _text(rule))
        )
        return {group or None: AlertState(**json.loads(state)) for group, state in rows}

    def write_state(self, rule: AlertRule, group: str | None, state: AlertState) -> None:
        """Write the state of a group."""
        row = (rule.name, group or _ALL, _text(rule), json.dumps(attrs.asdict(state)))
        self.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?)", row)

    def drop_unusable_states(self, rules: Iterable[AlertRule], now: float) -> list[AlertEvent]:
        """Resolve and drop the states of changed or removed rules, and those of a clock that was ahead; return the events."""
        current, events = {_text(rule) for rule in rules}, list[AlertEvent]()
        with self.transaction():
            for alert, group, rule, text in self.execute("SELECT * FROM states"):
                state = AlertState(**json.loads(text))
                if rule in current and state.end <= now + _AHEAD:
                    continue
                reason = "the clock was set back" if rule in current else _CHANGED
                events += closed_early(_rule(rule), state, group=group or None, at=state.end, reason=reason)
                self.execute("DELETE FROM states WHERE alert = ? AND group_name = ?", (alert, group))
            self.execute("DELETE FROM evaluated WHERE until > ?", (now + _AHEAD,))
            self.queue.add(events, "realtime", now)
        if events:
            _log.warning("states of alerts that cannot be continued: %d", len(events))
        return events

    def evaluated_until(self, query: str) -> float | None:
        """Return the end of the last window of a query; None if there is none."""
        rows = self.execute("SELECT until FROM evaluated WHERE query = ?", (query,))
        return float(rows[0][0]) if rows else None

    def write_evaluated(self, query: str, until: float) -> None:
        """Write the end of the last window of a query."""
        self.execute("INSERT OR REPLACE INTO evaluated VALUES (?, ?)", (query, until))

    def incidents(self, rule: AlertRule) -> list[KnownIncident]:
        """Return the known incidents of a rule in stores, in the order of time."""
        rows = self.execute(
            "SELECT group_name, since, until, reported_at FROM incidents WHERE rule = ? ORDER BY since",
            (_text(rule),),
        )
        return [
            KnownIncident(group=group or None, since=since, until=until, reported_at=reported_at)
            for group, since, until, reported_at in rows
        ]

    def write_incidents(self, rule: AlertRule, incidents: Iterable[KnownIncident], now: float) -> None:
        """Replace the known incidents of a rule. Those that ended long ago are dropped."""
        self.execute("DELETE FROM incidents WHERE rule = ?", (_text(rule),))
        for each in incidents:
            if each.until is None or each.until > now - _KEPT:
                row = (_text(rule), each.group or _ALL, each.since, each.until, each.reported_at)
                self.execute("INSERT INTO incidents VALUES (?, ?, ?, ?, ?)", row)

    def close_changed_incidents(self, rules: Iterable[AlertRule], now: float) -> list[AlertEvent]:
        """Resolve the open incidents in stores of rules that were changed or removed; return the events."""
        current, events = {_text(rule) for rule in rules}, list[AlertEvent]()
        with self.transaction():
            for rule, group, since, until, reported_at in self.execute("SELECT * FROM incidents"):
                if rule in current:
                    continue
                if until is None and reported_at is not None:
                    state = AlertState(phase="firing", since=since, end=now, is_reported=True)
                    events += closed_early(_rule(rule), state, group=group or None, at=now, reason=_CHANGED)
                self.execute("DELETE FROM incidents WHERE rule = ?", (rule,))
            self.queue.add(events, "store", now)
        return events

    def drop_old_events(self, now: float) -> None:
        """Drop the events that were delivered or given up long ago."""
        self.execute("DELETE FROM events WHERE status <> 'waiting' AND created < ?", (now - _KEPT,))

    def _error(self, problem: sqlite3.Error) -> ConfigurationError:
        return ConfigurationError(f"cannot use {self.path} for the state of alerts: {problem}")


def _text(rule: AlertRule) -> str:
    values: Mapping[str, Any] = {
        name: value for name, value in attrs.asdict(rule).items() if name != "silence"
    }
    return json.dumps(values, sort_keys=True)


def _rule(text: str) -> AlertRule:
    return AlertRule(**json.loads(text))
