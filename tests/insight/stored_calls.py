"""Writes calls with chosen freezes, networks and SDK versions to a store, as a harvest does."""

from collections.abc import Iterable

import pyarrow as pa
from attrs import field, frozen

from agora_analytics.instants import utc_day
from agora_analytics.store import ParquetStore

APP = "0123456789abcdef0123456789abcdef"
FREEZE, ROUND_TRIP = 20011, 20022
BEFORE = 1_793_491_200  # 2026-11-01T00:00:00Z
AFTER = BEFORE + 7 * 86_400
PERIODS = {"before": "2026-11-01..2026-11-08", "after": "2026-11-08..2026-11-15"}


@frozen(kw_only=True)
class User:
    """One user of a call. `values` are the samples of a metric id, 4 s apart."""

    uid: str
    values: dict[int, list[float | None]]
    sdk_version: str | None = "4.5.0"
    network: str | None = "WiFi"
    platform: str | None = "iOS"
    device_type: str | None = "iPhone"


@frozen(kw_only=True)
class StoredCall:
    call_id: str
    start: int
    users: list[User] = field(factory=list)
    channel: str = "room"
    app_id: str = APP
    seconds: int = 600


def store_calls(store: ParquetStore, calls: Iterable[StoredCall]) -> None:
    for call in calls:
        day = utc_day(call.start)
        place = {"app_id": call.app_id, "day": day}
        store.writer.put("metrics", f"{call.call_id}.0", _metrics(call), pending=True, **place)
        store.writer.publish(
            metrics=[f"{call.call_id}.0"],
            sessions=_sessions(call),
            call=call.call_id,
            row=pa.table(
                {
                    "call_id": [call.call_id],
                    "cname": [call.channel],
                    "created_ts": pa.array([call.start], pa.timestamp("s", "UTC")),
                    "destroyed_ts": pa.array([call.start + call.seconds], pa.timestamp("s", "UTC")),
                    "finished": [True],
                }
            ),
            **place,
        )


def _sessions(call: StoredCall) -> pa.Table:
    names = ("uid", "sdk_version", "network", "platform", "device_type")
    columns = {name: pa.array([getattr(user, name) for user in call.users], pa.string()) for name in names}
    return pa.table(
        {
            "call_id": [call.call_id] * len(call.users),
            "sid": [f"{call.call_id}-{place}" for place in range(len(call.users))],
            "cname": [call.channel] * len(call.users),
            "join_ts": pa.array([call.start] * len(call.users), pa.timestamp("s", "UTC")),
            **columns,
        }
    )


def _metrics(call: StoredCall) -> pa.Table:
    rows = [
        (f"{call.call_id}-{place}", mid, call.start + 4 * number, value)
        for place, user in enumerate(call.users)
        for mid, values in user.values.items()
        for number, value in enumerate(values)
    ]
    sids, mids, times, values = zip(*rows, strict=True)
    return pa.table(
        {
            "call_id": [call.call_id] * len(rows),
            "sid": list(sids),
            "mid": pa.array(mids, pa.int32()),
            "peer_uid": ["0"] * len(rows),
            "ts": pa.array(times, pa.timestamp("s", "UTC")),
            "value": pa.array(values, pa.float64()),
        }
    )
