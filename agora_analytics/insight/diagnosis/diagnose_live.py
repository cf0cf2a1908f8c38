"""`diagnose_live`: why a user's call was poor, from the API, with few requests."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agora_analytics.errors import InvalidRequest
from agora_analytics.insight.diagnosis.call_timeline import CallTimeline
from agora_analytics.insight.diagnosis.diagnose import check_user, moment_within, overlap
from agora_analytics.insight.diagnosis.diagnose_timeline import diagnose_timeline
from agora_analytics.instants import Instant
from agora_analytics.scoring.profiles import DEFAULT_PROFILE, find_profile

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.records import Call, Session
    from agora_analytics.core.columns import Series
    from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis

MOST_REQUESTS = 6
"""The most requests of a diagnosis, with those that found the call."""
_PER_REQUEST = 20  # sessions of a request for metrics
_MAX_WAIT = 3600.0  # s; with such a limit, a listing fetches no page ahead


async def diagnose_live(
    client: "AsyncAgora",
    call: "Call",
    uid: str,
    *,
    at: Instant | None = None,
    profile: str = DEFAULT_PROFILE,
) -> "CallDiagnosis":
    """Return why a user's call was poor, with at most six requests of the client.

    The user's own samples come first, then those of the speakers and others that were with the user the longest. Sessions whose
    samples would take more requests are left out, and the evidence says how many.

    Args:
        client: of the app. The requests that it has sent already, such as those that found the call, count.
        call: the call; see `AsyncAgora.find_call`.
        uid: the user who complains.
        at: when the user complained: only the minute before and after it counts. UTC; None: the whole call. Needed for a call
            that is longer than a few windows of the plan: only the window around this time is requested then.
        profile: the name of the threshold profile whose limits of loss and delay are applied.

    Raises:
        InvalidRequest: there is no such user or profile, `at` is not within the call, or the call is too long without it.
        AgoraAnalyticsError: a request failed.

    Example::

        async with AsyncAgora(customer_id, secret, app_id=app_id) as client:
            diagnosis = await diagnose_live(client, await client.find_call(call_id), "1042")
    """
    find_profile(profile)
    moment = moment_within(at, call.created_ts, call.destroyed_ts)
    since, until, windows = _range(client, call, moment)
    sessions: list[Session] = []
    async for page in client.sessions(call.call_id, since, until, max_wait=_MAX_WAIT).pages():
        sessions += page.records
        if _sent(client) + windows >= MOST_REQUESTS:
            break
    check_user(call.call_id, uid, [session.uid for session in sessions])
    left = max((MOST_REQUESTS - _sent(client)) // windows, 1)
    chosen = _by_overlap(sessions, uid)[: left * _PER_REQUEST]
    series: list[Series] = []
    async for metrics in client.metrics(call.call_id, since, until, sids=chosen, max_wait=_MAX_WAIT).pages():
        series += metrics.records
    return diagnose_timeline(
        CallTimeline.of_records(chosen, series),
        call.call_id,
        uid,
        at=moment,
        profile=profile,
        requests=_sent(client),
        omitted=len(sessions) - len(chosen),
    )


def _range(client: "AsyncAgora", call: "Call", moment: float | None) -> tuple[float, float, int]:
    """Return the time range to request, in epoch seconds, and in how many windows of the plan."""
    from agora_analytics.agora.operations import METRICS

    start, end = float(call.created_ts), float(call.destroyed_ts + 1)
    span = float(client.limits(METRICS).span or end - start)
    windows = math.ceil((end - start) / span)
    if _sent(client) + 2 * windows <= MOST_REQUESTS:
        return start, end, windows
    if moment is None:
        raise InvalidRequest(
            f"call {call.call_id} takes more than {MOST_REQUESTS} requests; name a time with at (--at), or diagnose it "
            "from a store (--store)"
        )
    since = min(max(moment - span / 2, start), max(end - span, start))
    return since, min(since + span, end), 1


def _sent(client: "AsyncAgora") -> int:
    sent: Mapping[str, int] = client.sent
    return sum(sent.values())


def _by_overlap(sessions: Sequence["Session"], uid: str) -> list["Session"]:
    """Return the sessions of a user, then those of speakers and others, the longest together with the user first."""
    own = [(session.join_ts, session.leave_ts) for session in sessions if session.uid == uid]

    def rank(session: "Session") -> tuple[bool, bool, float]:
        return session.uid == uid, bool(session.speaker), overlap(own, (session.join_ts, session.leave_ts))

    return sorted(sessions, key=rank, reverse=True)
