"""`diagnose`: why a user's call was poor, from a store."""

import time
from collections.abc import Sequence
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

_MOST_SESSIONS = 300
"""Sessions of a large call that are read from a store: those of the user, and those that overlap them most."""

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
    than healthy calls have. Reads the samples of this call only, of at most 300 sessions.

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
    sessions = _nearest(sessions, uid)
    sids = ", ".join(map(quoted, sessions["sid"].to_pylist()))
    mids = ", ".join(map(str, _MIDS))
    metrics = fetch(
        f"SELECT sid, mid, peer_uid, ts, value FROM metrics WHERE {of_call} AND mid IN ({mids}) AND sid IN ({sids})"
    )
    timeline = CallTimeline.of(sessions, metrics)
    seconds = moment_within(at, timeline.start, timeline.start + timeline.seconds)
    return diagnose_timeline(timeline, call_id, uid, at=seconds, profile=profile)


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


def _nearest(sessions: "pa.Table", uid: str) -> "pa.Table":
    """Return the sessions of a user and those that overlap them most, at most `_MOST_SESSIONS`."""
    if sessions.num_rows <= _MOST_SESSIONS:
        return sessions
    rows = sessions.select(["uid", "join_ts", "leave_ts", "speaker"]).to_pylist()
    own = [(row["join_ts"].timestamp(), row["leave_ts"].timestamp()) for row in rows if row["uid"] == uid]

    def rank(at: int) -> tuple[bool, bool, float]:
        row = rows[at]
        span = (row["join_ts"].timestamp(), row["leave_ts"].timestamp())
        return row["uid"] == uid, bool(row["speaker"]), overlap(own, span)

    order = sorted(range(len(rows)), key=rank, reverse=True)[:_MOST_SESSIONS]
    return sessions.take(order)


def overlap(own: Sequence[tuple[float, float]], span: tuple[float, float]) -> float:
    """Return for how many seconds a time span overlaps others."""
    return sum(max(min(end, span[1]) - max(start, span[0]), 0) for start, end in own)
