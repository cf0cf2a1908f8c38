"""What has to be true at the end of every world."""

import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from agora_analytics.agora.plans import CALL_LISTS, CALL_METRICS, CALL_SESSIONS
from agora_analytics.engine.jitter import LARGEST_JITTER
from agora_analytics.engine.ledger import Budget
from agora_analytics.store import open_store, parquet_file
from tests.secret_watch import shows_a_secret
from tests.worlds.secrets_seen import files_with_secrets

if TYPE_CHECKING:
    from tests.worlds.world import Running

_HOLD = 2 * LARGEST_JITTER  # seconds; the least hold after a rate-limit error
_OPEN_FILES = Path("/proc/self/fd")
ENDPOINTS = (CALL_LISTS, CALL_SESSIONS, CALL_METRICS)
Row = tuple[Any, ...]
Rows = dict[Row, Row]
"""The rows of a table: the key of each, and its other values."""


async def check(running: "Running") -> None:
    """Check all invariants."""
    rows(running)
    damage(running)
    rate(running)
    hold(running)
    await quota(running)
    extra_requests(running)
    secrets(running)
    descriptors(running)
    threads(running)


# ---- the tables equal the truth


def rows(running: "Running") -> None:
    """The tables equal the truth; a row may be missing only if a report names what could not be read."""
    store, is_dirty = open_store(running.store), running.settings.dirt is not None
    for table, expected in _truth(running).items():
        stored = [row for file in store.files(table) for row in _stored(file, table)]
        found = dict(stored)
        doubled = [key for key, times in Counter(key for key, _ in stored).items() if times > 1]
        missing = [
            key for key in expected if key not in found and not (is_dirty and _is_excused(running, key))
        ]
        surplus = [key for key in found if key not in expected]
        changed = [key for key, row in expected.items() if not is_dirty and found.get(key, row) != row]
        for what, keys in (
            ("are stored twice", doubled),
            ("are missing", missing),
            ("do not exist", surplus),
            ("have other values", changed),
        ):
            if keys:
                example = min(keys, key=str)
                running.break_invariant(
                    "rows",
                    f"{len(keys)} rows of {table} {what}, such as {example}: "
                    f"{found.get(example)} instead of {expected.get(example)}",
                )


def _truth(running: "Running") -> dict[str, Rows]:
    calls, sessions, metrics = Rows(), Rows(), Rows()
    for call in running.world.calls:
        calls[call.call_id,] = (call.created_ts, call.destroyed_ts, True)
        for stay in call.sessions:
            sessions[call.call_id, stay.sid] = (stay.join_ts, stay.leave_ts, True)
            for series in running.world.points(stay):
                keys = [
                    (call.call_id, stay.sid, series.mid, series.peer_uid, ts) for ts in series.ts.tolist()
                ]
                metrics |= zip(keys, [(value,) for value in _values(series.value)], strict=True)
    return {"calls": calls, "sessions": sessions, "metrics": metrics}


def _values(values: "np.ndarray[Any, Any]") -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


_COLUMNS = {
    "calls": (["call_id"], ["created_ts", "destroyed_ts", "finished"]),
    "sessions": (["call_id", "sid"], ["join_ts", "leave_ts", "finished"]),
    "metrics": (["call_id", "sid", "mid", "peer_uid", "ts"], ["value"]),
}


def _stored(file: Path, name: str) -> list[tuple[Row, Row]]:
    table, _ = parquet_file.read(file, name)
    keys, others = ([_column(table, column) for column in columns] for columns in _COLUMNS[name])
    return list(zip(zip(*keys, strict=True), zip(*others, strict=True), strict=True))


def _column(table: pa.Table, name: str) -> list[Any]:
    column = table.column(name)
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()


def _is_excused(running: "Running", key: Row) -> bool:
    """Whether a row belongs to a record that was sent in a form that no client can read, and that a report names."""
    unreadable = running.simulator.seen.unreadable
    is_lost = any(
        part in record for _, record in unreadable for part in key if isinstance(part, str) and len(part) > 8
    )
    return is_lost and any(report.unreadable or report.unreadable_before for report in running.reports)


def damage(running: "Running") -> None:
    """A kill leaves no damaged file, because every file is written under another name first."""
    for file in (file for report in running.reports for file in report.damaged):
        running.break_invariant("damage", f"{file.path}: {file.reason}")


# ---- the limits


def rate(running: "Running") -> None:
    """No window of the server has more requests than the plan allows, and the server refused none for its rate."""
    seen, limit = running.simulator.seen, running.settings.requests_a_second
    for endpoint in ENDPOINTS:
        if (worst := seen.worst_window(endpoint)) > limit:
            running.break_invariant(
                "rate", f"{worst} requests to {endpoint} in a second; the limit is {limit}"
            )
    if refused := {message: n for (_, message), n in seen.refused.items() if "qps limit error" in message}:
        running.break_invariant("rate", f"the server refused {refused}")


def hold(running: "Running") -> None:
    """After a rate-limit error, no process sends more than the request that has its slot, until the hold is over."""
    sent = [(name, request) for name, network in running.networks.items() for request in network.sent]
    for refused_by, refusal in sent:
        if refusal.status != 429 or refusal.delivered_at is None:
            continue
        early = Counter(
            name
            for name, request in sent
            if request.endpoint == refusal.endpoint
            and refusal.delivered_at < request.sent_at < refusal.delivered_at + _HOLD
            and (running.settings.shared_ledger or name == refused_by)
        )
        for name, requests in early.items():
            if requests > 1:
                running.break_invariant(
                    "hold", f"{name} sent {requests} requests to {refusal.endpoint} within {_HOLD} s of a 429"
                )


async def quota(running: "Running") -> None:
    """The ledger's count of each day is the server's.

    A killed process leaves the charge of a request that it did not send. Near midnight the day of a process's first
    request is not certain if the clock of the machine is wrong, so only the sum is compared then.
    """
    settings, refused = running.settings, running.simulator.seen.refused
    if not settings.shared_ledger:
        return
    if settings.has_right_clock and (
        times := sum(n for (_, why), n in refused.items() if "qpd limit error" in why)
    ):
        running.break_invariant("quota", f"the server refused {times} requests over the quota of the day")
    ledger = running.open_ledger()
    try:
        for endpoint in ENDPOINTS:
            counted = {day: n for (name, day), n in running.simulator.seen.by_day.items() if name == endpoint}
            days = {day: counted.get(day, 0) for day in _days(running)}
            charged = {day: (await ledger.spent(Budget(running.account, endpoint), day))[0] for day in days}
            if not settings.has_right_clock:
                charged, days = {"in all": sum(charged.values())}, {"in all": sum(days.values())}
            for day, spent in charged.items():
                if not 0 <= spent - days[day] <= 2 * len(running.kills):
                    running.break_invariant(
                        "quota",
                        f"{endpoint}, {day}: the ledger counts {spent} requests, the server {days[day]}",
                    )
    finally:
        await ledger.aclose()


def _days(running: "Running") -> list[str]:
    start, end = int(running.settings.start) // 86_400 - 1, int(running.true_time.now()) // 86_400 + 1
    return [datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d") for day in range(start, end + 1)]


# ---- no request too many


def extra_requests(running: "Running") -> None:
    """A response that was stored is not requested again. Compared in worlds in which it is known what is necessary.

    A failed request is repeated. A killed process loses the requests whose responses it could not store: those of the
    same time as the kill, and the pages of session lists, which are stored as a whole.
    """
    settings = running.settings
    finished = all(call.destroyed_ts < settings.start - 400 for call in settings.calls)
    alone = settings.harvests == 1 and not settings.lookups and not settings.web_requests
    if not (
        finished
        and alone
        and settings.has_right_clock
        and settings.dirt is None
        and settings.requests_a_day > 100
    ):
        return
    killed_at = {process.name: at for process, at in running.kills}
    for endpoint in (CALL_METRICS, CALL_SESSIONS):
        needed, sent, lost = set(), 0, 0
        for name, network in running.networks.items():
            of_endpoint = [request for request in network.sent if request.endpoint == endpoint]
            needed |= {request.query for request in of_endpoint}
            sent += len(of_endpoint)
            at = killed_at.get(name)
            lost += sum(
                request.delivered_at is None
                or (at is not None and (endpoint == CALL_SESSIONS or request.delivered_at >= at - 0.001))
                for request in of_endpoint
            )
        faults = sum(running.simulator.seen.faults.values())
        if sent - len(needed) > lost + faults:
            running.break_invariant(
                "extra requests",
                f"{sent} requests to {endpoint} for {len(needed)} responses, after {faults} faults and {lost} lost",
            )


# ---- nothing is shown, and nothing is left


def secrets(running: "Running") -> None:
    """No secret is in a log record, an error, a URL or a file."""
    seen = set(running.seen_secrets)
    seen |= {f"the error of {name}" for name, ending in running.endings if shows_a_secret(repr(ending))}
    seen |= {"a URL" for network in running.networks.values() if any(map(shows_a_secret, network.urls))}
    seen |= {f"the file {name}" for name in files_with_secrets(running.folder)}
    for where in sorted(seen):
        running.break_invariant("secrets", f"a secret is in {where}")


def descriptors(running: "Running") -> None:
    """No file of the world is open."""
    for descriptor in _OPEN_FILES.iterdir() if _OPEN_FILES.is_dir() else ():
        with suppress(OSError):  # that of the listing itself
            path = descriptor.readlink()
            if path.is_relative_to(running.folder) and path.exists():
                running.break_invariant("descriptors", f"{path.relative_to(running.folder)} is still open")


def threads(running: "Running") -> None:
    """No thread is left, neither of the world nor of Python."""
    left = running.loop.threads + threading.active_count() - running.python_threads
    if left:
        running.break_invariant("threads", f"{left} threads have not ended")
