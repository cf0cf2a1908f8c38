"""Tables of calls with chosen values, for the tests of the peers."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from attrs import field, frozen

from agora_analytics.schemas import METRICS, SESSIONS

BEGIN, STEP = 1_795_000_000, 4
LENGTH = 200


@frozen(kw_only=True)
class User:
    """One user with one session. `values` are samples by metric id and peer, 4 s apart; a number is constant."""

    uid: str
    values: Mapping[tuple[int, str], float | Sequence[float | None]] = field(factory=dict)
    begin: int = BEGIN
    length: int = LENGTH
    sid: str | None = None


def healthy(uid, *peers, values=None, length=LENGTH, **more) -> User:
    """Return a user who sends and receives audio and video without any problem, except for the given values."""
    sent = {20022: 60, 20003: 48, 20015: 0, 20017: 0, 20024: 800, 20008: 15, 20025: levels(length)}
    received = {20004: 48, 20005: 0, 20016: 0, 20009: 700, 20010: 15, 20011: 0, 20018: 0, 20019: 640}
    received[20026] = levels(length)
    found = {(mid, "0"): value for mid, value in sent.items()}
    found |= {(mid, peer): value for peer in peers for mid, value in received.items()}
    return User(uid=uid, values=found | (values or {}), length=length, **more)


def levels(length: int) -> list[float]:
    """Return the levels of somebody who speaks and pauses."""
    return [20.0, 120.0] * (length // STEP // 2)


def tables(*users: User) -> tuple[pa.Table, pa.Table]:
    sessions, samples = [], []
    for number, user in enumerate(users):
        sid = user.sid or f"S{number}"
        sessions.append(
            {
                "call_id": "c",
                "sid": sid,
                "uid": user.uid,
                "join_ts": user.begin,
                "leave_ts": user.begin + user.length,
            }
        )
        count = user.length // STEP
        for (mid, peer), values in user.values.items():
            listed = values if isinstance(values, Sequence) else [values] * count
            samples += [
                {
                    "call_id": "c",
                    "sid": sid,
                    "mid": mid,
                    "peer_uid": peer,
                    "ts": user.begin + STEP * (place + 1),
                    "value": value,
                }
                for place, value in enumerate(listed)
            ]
    return _table(sessions, SESSIONS), _table(samples, METRICS)


def _table(rows: list[dict], schema: pa.Schema) -> pa.Table:
    columns = {
        name: pa.array([row.get(name) for row in rows], pa.int64()).cast(column.type)
        if pa.types.is_timestamp(column.type)
        else pa.array([row.get(name) for row in rows], column.type)
        for name, column in zip(schema.names, schema, strict=True)
    }
    return pa.table(columns, schema=schema)
