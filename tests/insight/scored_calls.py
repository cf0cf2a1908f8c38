"""Calls whose samples are inputs of scores, for tests of every layer above the store."""

import random

import pyarrow as pa

from agora_analytics.schemas import CALLS, METRICS, SESSIONS

APP, DAY, BEGIN = "0123456789abcdef0123456789abcdef", "2026-11-20", 1_795_161_600  # 2026-11-20T08:00:00Z
CALL_SECONDS = 120


def put_call(store, call_id, channel, begin, samples, users=("1", "2")):
    """Publish a call: `samples` are (user, peer or "0", mid, second of the call, value)."""
    rows = [
        {"call_id": call_id, "sid": f"{call_id}-{user}", "mid": mid, "peer_uid": peer, "ts": begin + second, "value": value}
        for user, peer, mid, second, value in samples
    ]  # fmt: skip
    sessions = [
        {"call_id": call_id, "sid": f"{call_id}-{user}", "cname": channel, "uid": user, "join_ts": begin, "leave_ts": begin + 600, "finished": True}
        for user in users
    ]  # fmt: skip
    call = {
        "call_id": call_id,
        "cname": channel,
        "created_ts": begin,
        "destroyed_ts": begin + CALL_SECONDS,
        "finished": True,
    }
    store.writer.put("metrics", f"{call_id}.0", table(rows, METRICS), app_id=APP, day=DAY, pending=True)
    store.writer.publish(
        app_id=APP,
        day=DAY,
        metrics=[f"{call_id}.0"],
        sessions=table(sessions, SESSIONS),
        call=call_id,
        row=table([call], CALLS),
    )


def table(rows, schema):
    columns = {name: pa.array([row.get(name) for row in rows]) for name in schema.names}
    return pa.table({name: column.cast(schema.field(name).type) for name, column in columns.items()})


def agora_samples(seed, losses):
    """Both users receive each other every 4 s. `losses` are the per cent that user 1 loses; user 2 loses little."""
    draws = random.Random(seed)
    for place, loss in enumerate(losses, start=1):
        second = 4 * place
        for user, peer, lost in (("1", "2", loss), ("2", "1", draws.choice([0, 0.25, 1]))):
            yield user, peer, 20016, second, lost
            yield user, "0", 20022, second - 1, draws.choice([20, 40, 90, None])
            yield user, peer, 20011, second, draws.choice([0, 0, 0, 400])
            yield user, peer, 20010, second, draws.choice([12, 15])
            if place % 8 == 1:
                yield user, peer, 20019, second, 640
                yield user, peer, 20020, second, 360


def point(vendor, metric, second, value, **more):
    return {
        "vendor": vendor,
        "metric": metric,
        "unit": "",
        "ts": (BEGIN + second) * 1000,
        "value": value,
        "source_metric": metric,
    } | more


def opentok_points():
    publisher = {"channel": "1_MX4", "call_id": "meeting", "session_id": "p", "user_id": "sender"}
    subscriber = publisher | {"session_id": "s", "user_id": "receiver", "peer_id": "sender"}
    for second in (30, 60, 90):
        yield point("opentok", "audio_packet_loss_sent", second, 0.05, **publisher)
        yield point("opentok", "audio_latency_sent", second, 20.0, **publisher)
        yield point("opentok", "audio_packet_loss_received", second, 0.1, **subscriber)
        yield point("opentok", "audio_latency_received", second, 30.0, **subscriber)
