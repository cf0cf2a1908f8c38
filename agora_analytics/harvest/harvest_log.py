"""Logs a harvest: its start, its events and its end, to the logger `agora_analytics.harvest`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from agora_analytics.harvest.report import (
    CallSkipped,
    CallsListed,
    CallStored,
    HarvestEvent,
    HarvestReport,
    PointsStored,
)
from agora_analytics.instants import Instant
from agora_analytics.logs import logger_of, one_line
from agora_analytics.store.records import FileDamaged, Unreadable

_log = logger_of("harvest")


@contextmanager
def log_run(client: object, since: Instant, until: Instant) -> Iterator[None]:
    """Log what a harvest fetches, and the error that ends it, unless it is cancelled."""
    _log.info("harvest of %s from %s to %s", type(client).__name__, since, until)
    try:
        yield
    except Exception as error:
        _log.error("the harvest ended with an error: %s", one_line(str(error)))
        raise


def log_event(event: HarvestEvent) -> None:
    """Log an event: what a later run has to fetch again is a warning, progress is for debugging."""
    match event:
        case CallsListed():
            _log.debug("%s: %d", "listed so far" if event.more else "all listed", event.calls)
        case PointsStored():
            _log.debug("stored samples of %s: %d", event.call_id, event.points)
        case CallStored():
            state = "stored" if event.finished else "stored the ongoing"
            _log.debug("%s call %s; sessions: %d", state, event.call_id, event.sessions)
        case CallSkipped():
            _log.warning("%s failed and is left for the next run: %s", event.call_id, one_line(event.reason))
        case Unreadable():
            where = event.record if event.record == event.unit else f"{event.record} of {event.unit}"
            _log.warning("%s cannot be read and is left out: %s", one_line(where), one_line(event.reason))
        case FileDamaged():  # the store has warned of it
            _log.debug("%s is fetched again", event.path)


def log_end(report: HarvestReport) -> None:
    """Log the totals of a run. It is a warning if a later run has to fetch the rest."""
    text = (
        f"harvest ended after {report.seconds:.1f} s; calls: {report.calls:,}, sessions: {report.sessions:,}, "
        f"samples: {report.points:,}, requests: {sum(report.requests.values()):,}, skipped: {len(report.skipped):,}, "
        f"left by the quota: {report.left:,}"
    )
    _log.log(logging.INFO if report.complete else logging.WARNING, "%s", text)
