"""Sessions under impairments: attempts to join that fail, and users who join again after a lost connection."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
from attrs import evolve

from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.simulator.impairments.conditions import conditions_of
from agora_analytics.simulator.impairments.impairment import Impairment

_LEAST = 6  # s offline, after which the SDK joins again with a new session


def sessions_under(call: CallTruth, impairments: Sequence[Impairment]) -> tuple[SessionTruth, ...]:
    """Return the sessions that the users of a call have with these impairments."""
    return tuple(
        part
        for session in call.sessions
        for attempt in _attempts(session, impairments)
        for part in (_parts(call, attempt, impairments) if attempt.joined else (attempt,))
    )


def _attempts(session: SessionTruth, impairments: Sequence[Impairment]) -> Iterator[SessionTruth]:
    """Return the failed attempts before a session and, if a later attempt succeeds, the session."""
    rng = np.random.default_rng([session.key, 6])
    join = session.join_ts
    for impairment in impairments:
        if impairment.cause != "join_failure" or not impairment.acts_on(session):
            continue
        number = 0
        while impairment.since <= join < min(impairment.until, session.leave_ts - 20) and number < 6:
            leave = join + int(rng.integers(2, 9))
            yield evolve(
                session, sid=_sid(session, f"attempt {number}"), join_ts=join, leave_ts=leave,
                speaker=False, video=False, peers=(), joined=False,
            )  # fmt: skip
            join, number = leave + int(rng.integers(1, 6)), number + 1
        if number and impairment.severity > 0.5:
            return  # the user gives up
    yield evolve(session, join_ts=join)


def _parts(
    call: CallTruth, session: SessionTruth, impairments: Sequence[Impairment]
) -> Iterator[SessionTruth]:
    """Return a session, cut where its connection was lost for long. Half of the SDKs keep the session."""
    faults = [each for each in impairments if each.cause == "reconnects" and each.acts_on(session)]
    if not faults or session.key % 2:
        yield session
        return
    online = conditions_of(call, session, impairments).online
    at = np.arange(len(online)) + call.created_ts
    offline = ~online & (at > session.join_ts + 5) & (at < session.leave_ts - 5)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], offline.astype(np.int8), [0]])))
    join = session.join_ts
    for start, end in edges.reshape(-1, 2).tolist():
        if end - start >= _LEAST:
            leave, again = int(at[start]), int(at[end - 1]) + 1
            yield evolve(session, sid=_sid(session, str(join)), join_ts=join, leave_ts=leave)
            join = again
    yield evolve(
        session, sid=_sid(session, str(join)) if join > session.join_ts else session.sid, join_ts=join
    )


def _sid(session: SessionTruth, name: str) -> str:
    return blake2b(f"{session.sid}/{name}".encode(), digest_size=16).hexdigest().upper()
