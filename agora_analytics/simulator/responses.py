"""The bodies of Call Inspector's responses: calls, sessions, and the metrics of sessions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio.lowlevel
import msgspec
import numpy as np

from agora_analytics.simulator.ground_truth.records import CallTruth, SeriesTruth, SessionTruth
from agora_analytics.simulator.query_params import Query
from agora_analytics.simulator.simulated_api import Reply
from agora_analytics.simulator.world import World

_POINTS_AT_A_TIME = 20_000
_encode = msgspec.json.Encoder().encode


def call_list(world: World, query: Query, now: float, hidden_after: int | None) -> dict[str, Any]:
    """Return a page of the calls that overlap the window, newest first.

    With `hidden_after`, only the newest calls up to that number are listed. If some are hidden, `has_more` stays true
    on the last page.
    """
    positions = world.overlapping(query.start, query.end, now, query.cname)
    hidden = hidden_after is not None and len(positions) > hidden_after
    positions = positions[:hidden_after] if hidden else positions
    after = query.page_no * query.page_size
    page = positions[after - query.page_size : after].tolist()
    return {
        "total_size": len(positions),
        "page_no": query.page_no,
        "page_size": query.page_size,
        "has_more": hidden or after < len(positions),
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
    world: World, query: Query, now: float, last_known: Callable[[float], int] = int
) -> dict[str, Any]:
    """Return a page of the sessions of a call that overlap the window, newest join first.

    `last_known` returns the `leave_ts` of ongoing sessions, from the server's time.
    """
    call = world.call(query.call_id)
    sessions: list[SessionTruth] = []
    if call is not None and call.created_ts <= now:
        sessions = [session for session in call.sessions if _is_selected(session, query, now)]
        sessions.sort(key=lambda session: (-session.join_ts, session.sid))
    after = query.page_no * query.page_size
    page = sessions[after - query.page_size : after]
    body: dict[str, Any] = {
        "total_size": len(sessions),
        "page_no": query.page_no,
        "page_size": query.page_size,
        "call_info": [
            _session(session, call.cname if call else "", now, last_known(now)) for session in page
        ],
    }
    # Not every version of this response has has_more; here half of the calls have it.
    if call is None or sum(call.call_id.encode()) % 2:
        body["has_more"] = after < len(sessions)
    return body


def _is_selected(session: SessionTruth, query: Query, now: float) -> bool:
    return (
        session.join_ts <= min(query.end, now)
        and session.leave_ts >= query.start
        and not (session.server and query.exclude_server_user)
        and (not query.uids or session.uid in query.uids)
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


async def metrics(world: World, query: Query, now: float, head: Mapping[str, Any]) -> Reply:
    """Return a response of `head` and the metrics of sessions.

    Sessions have the order of the request. Unknown sessions, those of other calls and those that have not begun are
    left out. A session without points in the window has an empty `data`.
    """
    call = world.call(query.call_id)
    order = {sid: position for position, sid in enumerate(query.sids)}
    sessions = [
        session
        for session in (call.sessions if call else ())
        if session.sid in order and session.join_ts <= now
    ]
    sessions.sort(key=lambda session: order[session.sid])
    pieces: list[bytes] = []
    points = 0
    for session in sessions:
        data: list[bytes] = []
        pending = 0
        for series in world.points(session, query.start, min(query.end, int(now))):
            data.append(_series(series))
            points += len(series.ts)
            pending += len(series.ts)
            if pending > _POINTS_AT_A_TIME:
                pending = 0
                # Keeps the event loop responsive. A thread would hold the GIL as well, and cannot run on virtual time.
                await anyio.lowlevel.checkpoint()
        pieces.append(b'{"sid":%b,"data":[%b]}' % (_encode(session.sid), b",".join(data)))
        await anyio.lowlevel.checkpoint()
    return Reply(200, b'%b,"metrics":[%b]}' % (_encode(head)[:-1], b",".join(pieces)), points=points)


def _series(series: SeriesTruth) -> bytes:
    return _encode(
        {
            "mid": series.mid,
            "kvs": list(zip(series.ts.tolist(), _json_values(series), strict=True)),
            "peer_uid": _uid(series.peer_uid, is_number=series.peer_is_number),
        }
    )


def _json_values(series: SeriesTruth) -> Sequence[int | float | None]:
    """Return the values as JSON writes them: integers for whole-numbered series, None for missing values."""
    missing = np.isnan(series.value)
    number = np.int64 if series.whole else np.float64
    values = np.where(missing, 0, series.value).astype(number).astype(object)
    values[missing] = None
    listed: list[int | float | None] = values.tolist()
    return listed
