"""Calls for tests of a bucket, stored as a harvest does, and a check of what readers see."""

import threading

from attrs import define, field

from agora_analytics.store import BucketStore
from agora_analytics.store.bucket.bucket_query import Snapshot
from agora_analytics.store.bucket.bucket_store import open_bucket
from tests.store.sample_calls import APP, DAY, PARTITION, SAMPLES, SESSIONS, call, metrics, sessions

UNITS = 2
SECONDS = 600


def unit_names(call_id: str, units: int = UNITS) -> list[str]:
    """Return the names of the units of a call, as a harvest names them: call, window, digest of the sessions."""
    return [f"{call_id}.{60 * number}-{60 * number + 59}.{number:016x}" for number in range(units)]


@define
class Sample:
    """A store with calls. `truth` has the number of units of each call that was stored."""

    store: BucketStore
    truth: dict[str, int] = field(factory=dict)
    app_id: str = APP

    def add(self, *call_ids: str, units: int = UNITS, finished: bool = True, day: str = DAY) -> None:
        """Store calls completely; readers see them after a commit."""
        partition = {"app_id": self.app_id, "day": day}
        writer = self.store.writer
        for call_id in call_ids:
            for number, name in enumerate(unit_names(call_id, units)):
                rows = metrics(call_id, batch=number)
                writer.put("metrics", name, rows, pending=True, **partition)
            writer.put("sessions", call_id, sessions(call_id), pending=True, **partition)
            writer.publish(
                metrics=unit_names(call_id, units),
                sessions=sessions(call_id),
                call=call_id,
                row=call(call_id, finished=finished, seconds=SECONDS + units),
                before=writer.published(call_id, **partition),
                **partition,
            )
            self.truth[call_id] = units

    def assert_exact(self) -> None:
        """Check that readers see every stored call with all its rows, once."""
        assert calls_seen(self.store._snapshot()) == self.truth
        assert self.store.counts() == {
            "calls": len(self.truth),
            "sessions": SESSIONS * len(self.truth),
            "metrics": SAMPLES * sum(self.truth.values()),
            "points": 0,
        }


def calls_seen(snapshot: Snapshot) -> dict[str, int]:
    """Return the calls that a reader sees, with their units. Checks that each has its sessions and samples once."""
    rows = snapshot.fetch(
        """
        select c.call_id, c.n, s.n, s.d, m.n, m.d from (select call_id, count(*) n from calls group by 1) c
        left join (select call_id, count(*) n, count(distinct sid) d from sessions group by 1) s using (call_id)
        left join (select call_id, count(*) n, count(distinct (sid, mid, peer_uid, ts)) d from metrics group by 1) m
        using (call_id)
        """,
        lambda relation: relation.fetchall(),
    )
    for call_id, calls, session_rows, session_ids, samples, sample_keys in rows:
        assert (calls, session_rows, session_ids) == (1, SESSIONS, SESSIONS), call_id
        assert samples == sample_keys, call_id
        assert samples % SAMPLES == 0, call_id
    return {row[0]: row[4] // SAMPLES for row in rows}


def reopened(store: BucketStore) -> BucketStore:
    """Return the store as another process opens it. It does not wait until this process has committed."""
    other = open_bucket(store._tables.location)
    other.writer._committing = threading.Lock()
    return other


__all__ = ["APP", "DAY", "PARTITION", "Sample", "calls_seen", "reopened", "unit_names"]
