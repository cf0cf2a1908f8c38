"""`diagnose`: why a user's call was poor, from a store."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agora_analytics.agora.metric_ids import METRIC_IDS
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import InvalidRequest
from agora_analytics.insight.diagnosis.call_timeline import CallTimeline
from agora_analytics.insight.diagnosis.diagnose_timeline import diagnose_timeline
from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis
from agora_analytics.instants import Instant, epoch_seconds, iso
from agora_analytics.scoring.profiles import DEFAULT_PROFILE, find_profile
from agora_analytics.store.sql_guard import quoted
from agora_analytics.store.stream import reader

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.store import BucketStore, ParquetStore

_MOST_SECONDS = 400_000
"""Seconds of all sessions of a call that are read from a store: those of the user, then those that overlap them most. An hour
with 110 users has as many. It bounds the memory."""
_AT_ONCE = 40_000  # seconds of sessions that are read together
_AROUND = 3600  # s before and after the time of a complaint that are read

_MEMORY = {"app_memory", "system_memory"}
_MIDS = sorted(metric.mid for metric in METRIC_IDS.values() if metric.name not in _MEMORY)


def diagnose(
    store: "ParquetStore | BucketStore",
    call_id: str,
    uid: str,
    *,
    at: Instant | None = None,
    profile: str = DEFAULT_PROFILE,
) -> CallDiagnosis:
    """Return why a user's call was poor, from the samples of all its users. Sends no request.

    The rules compare the seconds in which the user's media were poor with what the devices and networks of all participants
    reported at the time; docs/diagnosis.md explains each. The cause that explains the most is returned if it explains more
    than healthy calls have. Reads the samples of this call only; of a large
    call those of the user and of the users that were with the user the longest.

    Args:
        store: with the call. Only Agora sends what a diagnosis needs.
        call_id: the call.
        uid: the user who complains.
        at: when the user complained: only the minute before and after it counts. UTC; None: the whole call.
        profile: the name of the threshold profile whose limits of loss and delay are applied.

    Raises:
        InvalidRequest: there is no such call, user or profile, or `at` is not within the call.
        StoreError: a file is damaged or cannot be read.

    Example::

        diagnosis = diagnose(open_store("calls.store"), call_id, "1042", at="2026-11-20T14:05:00Z")
        print(diagnosis.side, diagnosis.cause, diagnosis.party)
    """
    find_profile(profile)
    fetch = reader(store)
    calls = fetch(
        f"SELECT app_id, day::VARCHAR AS day FROM calls WHERE call_id = {quoted(call_id)}"
    ).to_pylist()
    if not calls:
        raise InvalidRequest(
            f"the store has no Agora call {call_id}; harvest its day, or leave out the store and ask the API. "
            "The other vendors send no samples of all participants"
        )
    of_call = " AND ".join(
        f"{name} = {quoted(value)}{cast}"
        for name, value, cast in (
            ("call_id", call_id, ""),
            ("app_id", calls[0]["app_id"], ""),
            ("day", calls[0]["day"], "::DATE"),
        )
    )
    columns = "sid, uid, join_ts, leave_ts, speaker, platform, device_type"
    sessions = fetch(f"SELECT {columns} FROM sessions WHERE {of_call}")
    check_user(call_id, uid, sessions["uid"].to_pylist())
    start, end = _span(sessions)
    moment = moment_within(at, start, end)
    if moment is not None:
        start, end = max(start, moment - _AROUND), min(end, moment + _AROUND)
    chosen = _nearest(sessions, uid, start, end)
    of_range = (
        f"{of_call} AND mid IN ({', '.join(map(str, _MIDS))}) "
        f"AND ts BETWEEN make_timestamptz({round(start)}000000) AND make_timestamptz({round(end)}000000)"
    )
    parts = (
        fetch(f"SELECT sid, mid, peer_uid, ts, value FROM metrics WHERE {of_range} AND sid IN ({sids})")
        for sids in _sids(chosen)
    )
    timeline = CallTimeline.of_tables(chosen, parts)
    omitted = sessions.num_rows - chosen.num_rows
    return diagnose_timeline(timeline, call_id, uid, at=moment, profile=profile, omitted=omitted)


def check_user(call_id: str, uid: str, uids: Sequence[str]) -> None:
    """Refuse a user who is not in the call."""
    if uid not in uids:
        known = sorted(set(uids))
        advice = did_you_mean(uid, known) or f"; it has {', '.join(known[:10])}" + (
            " ..." if len(known) > 10 else ""
        )
        raise InvalidRequest(f"call {call_id} has no user {uid}{advice}")


def moment_within(at: Instant | None, start: float, end: float) -> float | None:
    """Return a time in epoch seconds; None: the whole call. Refuses one that is not within the call."""
    if at is None:
        return None
    moment = epoch_seconds(at, now=time.time(), name="at")
    if not start <= moment <= end:
        raise InvalidRequest(f"at={at} is not within the call, which lasted from {iso(start)} to {iso(end)}")
    return moment


def _span(sessions: "pa.Table") -> tuple[float, float]:
    """Return the first join and the last leave, in epoch seconds."""
    import pyarrow.compute as pc

    return pc.min(sessions["join_ts"]).as_py().timestamp(), pc.max(sessions["leave_ts"]).as_py().timestamp()


def _sids(sessions: "pa.Table") -> Iterator[str]:
    """Yield the sids of sessions as lists of SQL, each for about `_AT_ONCE` seconds."""
    sids: list[str] = []
    seconds = 0.0
    for row in sessions.select(["sid", "join_ts", "leave_ts"]).to_pylist():
        sids.append(quoted(row["sid"]))
        seconds += (row["leave_ts"] - row["join_ts"]).total_seconds()
        if seconds >= _AT_ONCE:
            yield ", ".join(sids)
            sids, seconds = [], 0.0
    if sids:
        yield ", ".join(sids)


def _nearest(sessions: "pa.Table", uid: str, start: float, end: float) -> "pa.Table":
    """Return the sessions of a user and those that overlap them most in a time range, at most `_MOST_SECONDS` of all others."""
    rows = sessions.select(["uid", "join_ts", "leave_ts", "speaker"]).to_pylist()
    spans = [(max(row["join_ts"].timestamp(), start), min(row["leave_ts"].timestamp(), end)) for row in rows]
    own = [span for span, row in zip(spans, rows, strict=True) if row["uid"] == uid]

    def rank(at: int) -> tuple[bool, bool, float]:
        return rows[at]["uid"] == uid, bool(rows[at]["speaker"]), overlap(own, spans[at])

    chosen, seconds = [], 0.0
    for at in sorted(range(len(rows)), key=rank, reverse=True):
        seconds += max(spans[at][1] - spans[at][0], 0)
        if rows[at]["uid"] == uid or seconds <= _MOST_SECONDS:
            chosen.append(at)
    return sessions if len(chosen) == len(rows) else sessions.take(chosen)


def overlap(own: Sequence[tuple[float, float]], span: tuple[float, float]) -> float:
    """Return for how many seconds a time span overlaps others."""
    return sum(max(min(end, span[1]) - max(start, span[0]), 0) for start, end in own)
