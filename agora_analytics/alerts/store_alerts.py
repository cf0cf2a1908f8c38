"""Evaluates rules on a store: after a harvest, or for a backtest. Both find the incidents of a time range in the same way."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from agora_analytics.alerts.alert_database import AlertDatabase
from agora_analytics.alerts.alert_event import AlertEvent
from agora_analytics.alerts.incidents import Incident, incidents_of, reconcile
from agora_analytics.alerts.rules import AlertRule, Silence, check_rules
from agora_analytics.alerts.store_values import STORE_WINDOW, data_end, store_values
from agora_analytics.core.record import Record
from agora_analytics.core.windows import Window
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant, epoch_seconds, iso
from agora_analytics.store.stream import reader

if TYPE_CHECKING:
    from agora_analytics.store import BucketStore, ParquetStore


@frozen(kw_only=True)
class AlertBacktest(Record):
    """What would have fired.

    Attributes:
        since, until: the time range in epoch seconds.
        windows: for each rule, the number of minutes and groups with a value. Without any, a rule could not fire.
        incidents: in the order of the time at which they fired.
    """

    since: float
    until: float
    windows: dict[str, int]
    incidents: tuple[Incident, ...] = field(repr=False)


def backtest(
    store: "ParquetStore | BucketStore",
    rules: Sequence[AlertRule],
    *,
    since: Instant = "7d",
    until: Instant = "now",
    silences: Sequence[Silence] = (),
    now: float | None = None,
) -> AlertBacktest:
    """Return what would have fired in a time range. Delivers nothing and keeps no state.

    Args:
        store: a store of calls.
        rules: the rules.
        since, until: the time range: an aware datetime, ISO 8601 text, epoch seconds, or a time ago, such as `7d`. UTC.
        silences: times in which alerts do not fire.
        now: the present, which `7d` refers to; None: the machine's clock.

    Raises:
        InvalidRequest: a rule has no values in a store, or the range is empty.
        StoreError: a file is damaged or cannot be read.

    Example::

        for incident in backtest(store, read_rules("alerts.toml").rules, since="7d").incidents:
            print(incident.fired)
    """
    window = _window(since, until, now)
    _check(rules, silences)
    fetch, windows, incidents = reader(store), dict[str, int](), list[Incident]()
    end = data_end(fetch, window)
    for rule in rules:
        values = store_values(fetch, rule, window)
        windows[rule.name] = len(values)
        incidents += incidents_of(rule, values, silences, end=end)
    incidents.sort(
        key=lambda incident: (incident.fired.at, incident.fired.rule.name, incident.fired.group or "")
    )
    return AlertBacktest(since=window.start, until=window.end, windows=windows, incidents=tuple(incidents))


def evaluate_store(
    store: "ParquetStore | BucketStore",
    rules: Sequence[AlertRule],
    database: AlertDatabase,
    *,
    since: Instant = "1d",
    silences: Sequence[Silence] = (),
    now: float | None = None,
) -> list[AlertEvent]:
    """Evaluate rules on the newest data of a store, and queue the events that are new; return them.

    The whole range is evaluated each time, so data that a harvest stores late counts. An incident that overlaps a known
    one is the same incident, so each one fires once. If later data shows that it lasted longer than was reported, the rest
    is another one. Incidents that are still open extend the range back to their begin. Let one process at a time do this
    with a database.

    Args:
        store: a store of calls.
        rules: the rules.
        database: the known incidents and the queue.
        since: the beginning of the range. Choose more than the time between two harvests.
        silences: times in which alerts do not fire.
        now: the present in epoch seconds; None: the machine's clock.

    Raises:
        InvalidRequest: a rule has no values in a store, or the range is empty.
        StoreError: a file is damaged or cannot be read.
    """
    present = time.time() if now is None else now
    window = _window(since, "now", present)
    _check(rules, silences)
    fetch, new = reader(store), database.close_changed_incidents(rules, present)
    end = data_end(fetch, window)
    for rule in rules:
        known = database.incidents(rule)
        start = min([window.start, *(each.since for each in known if each.until is None)])
        values = store_values(fetch, rule, Window(int(start), window.end))
        before = {
            each.group: each.reported_at for each in known if each.reported_at and each.reported_at < start
        }
        found = incidents_of(rule, values, silences, end=end, reported_at=before)
        incidents, events = reconcile(rule, known, found, end)
        with database.transaction():
            database.write_incidents(rule, incidents, present)
            database.queue.add(events, "store", present)
        new += events
    database.drop_old_events(present)
    return new


def _check(rules: Sequence[AlertRule], silences: Sequence[Silence]) -> None:
    check_rules(rules, silences)
    for rule in rules:
        rule.check_source("store")


def _window(since: Instant, until: Instant, now: float | None) -> Window:
    """Return the range in whole minutes."""
    present = time.time() if now is None else now
    start, end = (
        epoch_seconds(since, now=present, name="since"),
        epoch_seconds(until, now=present, name="until"),
    )
    first, last = int(start // STORE_WINDOW) * STORE_WINDOW, int(end // STORE_WINDOW) * STORE_WINDOW
    if first >= last:
        raise InvalidRequest(
            f"there is no whole minute from {iso(start)} to {iso(end)}; give a longer time range"
        )
    return Window(first, last)
