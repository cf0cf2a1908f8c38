"""The bodies of successful answers, as JSON; big ones are made piece by piece so that the loop stays free."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio.lowlevel
import msgspec
import numpy as np

from agora_analytics.simulator.ground_truth.records import CallTruth, SeriesTruth, SessionTruth
from agora_analytics.simulator.rules import CallQuery
from agora_analytics.simulator.world import World

_POINTS_AT_A_TIME = 20_000
_encode = msgspec.json.Encoder().encode


def call_list(world: World, asked: CallQuery, now: float, hidden_after: int | None) -> dict[str, Any]:
    """Return a page of calls that overlap the window, newest first.

    With `hidden_after`, only the newest so many calls exist for the list; then `has_more` stays true on its last page.
    """
    found = world.overlapping(asked.start, asked.end, now, asked.cname)
    hidden = hidden_after is not None and len(found) > hidden_after
    found = found[:hidden_after] if hidden else found
    after = asked.page_no * asked.page_size
    page = found[after - asked.page_size : after].tolist()
    return {
        "total_size": len(found),
        "page_no": asked.page_no,
        "page_size": asked.page_size,
        "has_more": hidden or after < len(found),
        "call_lists": [_call(world.calls[position], now) for position in page],
    }


def _call(call: CallTruth, now: float) -> dict[str, Any]:
    return {
        "call_id": call.call_id,
        "cname": call.cname,
        "created_ts": call.created_ts,
        "destroyed_ts": min(call.destroyed_ts, int(now)),
        "finished": call.finished(now),
        **call.extra,
    }


def session_list(
    world: World, asked: CallQuery, now: float, last_known: Callable[[float], int] = int
) -> dict[str, Any]:
    """Return a page of the sessions of a call that overlap the window, newest join first.

    `last_known` makes of the time the `leave_ts` of those that go on.
    """
    call = world.call(asked.call_id)
    found: list[SessionTruth] = []
    if call is not None and call.created_ts <= now:
        found = [session for session in world.sessions(call) if _asked_for(session, asked, now)]
        found.sort(key=lambda session: (-session.join_ts, session.sid))
    after = asked.page_no * asked.page_size
    page = found[after - asked.page_size : after]
    body: dict[str, Any] = {
        "total_size": len(found),
        "page_no": asked.page_no,
        "page_size": asked.page_size,
        "call_info": [
            _session(session, call.cname if call else "", now, last_known(now)) for session in page
        ],
    }
    # has_more is not in every version of this answer; half of the calls do without.
    if call is None or sum(call.call_id.encode()) % 2:
        body["has_more"] = after < len(found)
    return body


def _asked_for(session: SessionTruth, asked: CallQuery, now: float) -> bool:
    return (
        session.join_ts <= min(asked.end, now)
        and session.leave_ts >= asked.start
        and not (session.server and asked.exclude_server_user)
        and (asked.uids is None or session.uid in asked.uids)
    )


def _session(session: SessionTruth, cname: str, now: float, last_known: int) -> dict[str, Any]:
    return {
        "sid": session.sid,
        "cname": cname,
        "uid": _uid(session.uid, is_number=session.uid_is_number),
        "network": session.network,
        "platform": session.platform,
        "speaker": session.speaker,
        "sdk_version": session.sdk_version,
        "device_type": session.device_type,
        "join_ts": session.join_ts,
        "leave_ts": session.leave_ts if session.finished(now) else last_known,
        "finished": session.finished(now),
        **session.extra,
    }


def _uid(uid: str, *, is_number: bool) -> int | str:
    return int(uid) if is_number else uid


async def metrics(world: World, asked: CallQuery, now: float) -> tuple[bytes, int]:
    """Return the JSON array of `metrics` and how many points it has.

    Sessions come in the order that they were asked for in; unknown ones, those of other calls and those that have
    not begun are left out. One that has nothing in the window has an empty `data`.
    """
    call = world.call(asked.call_id)
    wanted = {sid: place for place, sid in enumerate(asked.sids)}
    known = [
        session
        for session in (world.sessions(call) if call else ())
        if session.sid in wanted and session.join_ts <= now
    ]
    known.sort(key=lambda session: wanted[session.sid])
    pieces: list[bytes] = []
    points = 0
    for session in known:
        data: list[bytes] = []
        pending = 0
        for series in world.points(call, session, asked.start, min(asked.end, int(now))) if call else ():
            data.append(_series(series))
            points += len(series.ts)
            pending += len(series.ts)
            if pending > _POINTS_AT_A_TIME:
                pending = 0
                # A thread would hold the GIL as well, and has no place on a loop with virtual time.
                await anyio.lowlevel.checkpoint()
        pieces.append(b'{"sid":%b,"data":[%b]}' % (_encode(session.sid), b",".join(data)))
        await anyio.lowlevel.checkpoint()
    return b"[%b]" % b",".join(pieces), points


def _series(series: SeriesTruth) -> bytes:
    return _encode(
        {
            "mid": series.mid,
            "kvs": list(zip(series.ts.tolist(), _json_values(series), strict=True)),
            "peer_uid": _uid(series.peer_uid, is_number=series.peer_is_number),
        }
    )


def _json_values(series: SeriesTruth) -> Sequence[int | float | None]:
    """Return whole-numbered series as ints; in the others msgspec writes NaN as null by itself."""
    value = series.value
    if not series.whole:
        floats: list[float] = value.tolist()
        return floats
    missing = np.isnan(value)
    if not missing.any():
        whole: list[int] = value.astype(np.int64).tolist()
        return whole
    patched: list[int | None] = np.where(missing, 0, value).astype(np.int64).tolist()
    for position in np.flatnonzero(missing).tolist():
        patched[position] = None
    return patched
