import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agora_analytics.errors import StoreConflict, StoreError
from agora_analytics.schemas import METRICS
from agora_analytics.store import open_store, parquet_file

from .sample_calls import (
    APP,
    CREATED,
    DAY,
    PARTITION,
    SAMPLES,
    call,
    metrics,
    sessions,
    store_call,
    whole_calls_only,
)


def test_pending_unit_is_invisible(store):
    written = store.writer.put("metrics", "c.00000", metrics("c"), **PARTITION, pending=True)
    assert written == SAMPLES
    assert store.counts() == {"calls": 0, "sessions": 0, "metrics": 0, "points": 0}
    units = store.writer.units(APP)
    assert units.pending["metrics"] == {"c.00000": DAY}
    assert units.live["metrics"] == {}
    assert units.is_done("metrics", "c.00000")
    assert not units.is_done("metrics", "c.00001")


def test_publish_shows_the_complete_call(store):
    store_call(store, "c")
    assert whole_calls_only(store) == 1
    assert not any(store.writer.units(APP).pending.values())
    assert store.writer.calls(APP).column("call_id").to_pylist() == ["c"]
    assert store.writer.calls("another").num_rows == 0


def test_repeated_publish_changes_nothing(store):
    store_call(store, "c")
    names = ["c.00000", "c.00001"]
    seen = store.writer.published("c", **PARTITION)
    store.writer.publish(
        **PARTITION, metrics=names, sessions=sessions("c"), call="c", row=call("c"), before=seen
    )
    assert whole_calls_only(store) == 1


def test_publish_raises_a_conflict_or_keeps_the_finished_call_of_another_harvest(store):
    store_call(store, "c", finished=False)
    seen, names = store.writer.published("c", **PARTITION), ["c.00000", "c.00001"]
    shorter = {"metrics": names[:1], "sessions": sessions("c"), "call": "c", "row": call("c", finished=False)}
    with pytest.raises(StoreConflict, match="another harvest has changed it"):
        store.writer.publish(**PARTITION, **shorter)
    store_call(store, "c")
    store.writer.put("metrics", names[0], metrics("c"), **PARTITION, pending=True)
    store.writer.publish(**PARTITION, **shorter, before=seen)
    assert not any(store.writer.units(APP).pending.values())
    assert store.writer.calls(APP).column("finished").to_pylist() == [True]
    assert whole_calls_only(store) == 1


def test_publish_with_a_missing_unit_raises_a_conflict(store):
    store.writer.put("metrics", "c.00000", metrics("c"), **PARTITION, pending=True)
    units = {"metrics": ["c.00000", "c.00001"], "sessions": sessions("c")}
    with pytest.raises(StoreConflict, match=r"call c: another harvest .*run the same command again"):
        store.writer.publish(**PARTITION, **units, call="c", row=call("c"))
    assert store.counts() == {"calls": 0, "sessions": 0, "metrics": 0, "points": 0}


def test_publish_writes_the_sessions_of_its_caller_and_removes_the_pending_ones(store):
    store.writer.put("metrics", "c.00000", metrics("c"), **PARTITION, pending=True)
    store.writer.put("sessions", "c", sessions("c", count=1), **PARTITION, pending=True)  # of another harvest
    units = {"metrics": ["c.00000"], "sessions": sessions("c", count=2)}
    store.writer.publish(**PARTITION, **units, call="c", row=call("c"))
    assert store.counts() == {"calls": 1, "sessions": 2, "metrics": SAMPLES, "points": 0}
    assert not any(store.writer.units(APP).pending.values())


@pytest.mark.parametrize("renames", range(4))
def test_publish_removes_the_metrics_of_an_interrupted_one_with_other_units(store, monkeypatch, renames):
    """Another harvest with another session list ended before one of its four renames."""
    for name in ("c.a", "c.b", "c.others"):
        store.writer.put("metrics", name, metrics("c"), **PARTITION, pending=True)
    rename, done = Path.replace, []

    def interrupted(path, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(rename(path, target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.writer.publish(
                **PARTITION, metrics=["c.a", "c.b"], sessions=sessions("c"), call="c", row=call("c")
            )
    units = {"metrics": ["c.others"], "sessions": sessions("c", count=1)}
    store.writer.publish(**PARTITION, **units, call="c", row=call("c"))
    assert store.counts() == {"calls": 1, "sessions": 1, "metrics": SAMPLES, "points": 0}


def test_second_write_replaces_the_first(store):
    store.writer.put("sessions", "c", sessions("c"), **PARTITION, pending=False)
    store.writer.put("sessions", "c", sessions("c", count=2), **PARTITION, pending=False)
    assert store.counts()["sessions"] == 2


@pytest.mark.parametrize("pending", [True, False])
def test_second_write_of_metrics_keeps_the_first(store, pending):
    """A later response may lack samples that have left the retention."""
    store.writer.put("metrics", "c.a", metrics("c"), **PARTITION, pending=pending)
    assert store.writer.put("metrics", "c.a", metrics("c", count=2), **PARTITION, pending=True) == 0
    store.writer.publish(**PARTITION, metrics=["c.a"], sessions=sessions("c"), call="c", row=call("c"))
    assert store.counts()["metrics"] == SAMPLES


def test_finished_call_replaces_its_snapshot(store):
    store_call(store, "c", batches=3, finished=False)
    assert store.writer.calls(APP).column("finished").to_pylist() == [False]
    store_call(store, "c", batches=2)  # without the third batch
    assert store.writer.calls(APP).column("finished").to_pylist() == [True]
    assert whole_calls_only(store, batches=2) == 1


def test_threads_that_create_a_day_concurrently_write_all_units(store):
    days = [f"2026-{month:02d}-{day:02d}" for month in range(1, 11) for day in range(1, 29)]
    threads, barrier = 4, threading.Barrier(4)

    def write(name):
        for day in days:
            barrier.wait(timeout=60)
            store.writer.put("sessions", f"{name}.{day}", sessions("c"), app_id=APP, day=day, pending=True)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(threads)))
    assert len(store.writer.units(APP).pending["sessions"]) == threads * len(days)


def test_unit_without_rows_counts_as_done(store):
    assert store.writer.put("metrics", "c", [], **PARTITION, pending=False) == 0
    assert store.writer.units(APP).is_done("metrics", "c")
    assert store.table("metrics").num_rows == 0


def test_read_returns_the_written_rows(store):
    store.writer.put("metrics", "c", metrics("c"), **PARTITION, pending=True)
    rows = store.writer.read("metrics", "c", **PARTITION, pending=True)
    assert rows.schema.equals(METRICS)
    assert rows.column("ts").to_pylist() == metrics("c").column("ts").to_pylist()
    assert rows.column("value").null_count == SAMPLES // 10
    assert store.writer.read("metrics", "c", **PARTITION, pending=False) is None
    store_call(store, "d")
    assert store.writer.read("sessions", "d", **PARTITION, pending=False).column("roles").to_pylist() == [
        ["host", "audience"],
        None,
        [],
    ]


def test_rows_are_accepted_as_tables_batches_and_iterators(store, monkeypatch):
    monkeypatch.setattr(parquet_file, "ROW_GROUP", 50)
    monkeypatch.setattr(parquet_file, "SMALL", 10)
    plain = metrics("c", batch=1).cast(METRICS)
    pieces = [metrics("c", batch=0), *plain.to_batches(), metrics("c", batch=2)]
    assert store.writer.put("metrics", "c", iter(pieces), **PARTITION, pending=False) == 3 * SAMPLES
    path = store.files("metrics")[0]
    assert pq.read_metadata(path).num_row_groups == 2
    assert pq.read_schema(path).field("sid").type == pa.string()
    assert store.sql("select count(distinct sid) from metrics").fetchall() == [(3,)]


def test_many_small_pieces_become_one_row_group(store, monkeypatch):
    monkeypatch.setattr(parquet_file, "_PIECES_TO_COMBINE", 3)
    pieces = [metrics(f"c{number}") for number in range(8)]
    assert store.writer.put("metrics", "c", iter(pieces), **PARTITION, pending=False) == 8 * SAMPLES
    assert pq.read_metadata(store.files("metrics")[0]).num_row_groups == 1
    assert store.sql("select count(distinct call_id) from metrics").fetchall() == [(8,)]


def test_metrics_have_the_measured_best_encodings(store):
    store.writer.put("metrics", "c", metrics("c"), **PARTITION, pending=False)
    group = pq.read_metadata(store.files("metrics")[0]).row_group(0)
    encodings = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
    assert "DELTA_BINARY_PACKED" in encodings["ts"]
    assert all("RLE_DICTIONARY" in encodings[name] for name in ("call_id", "sid", "mid", "peer_uid", "value"))


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({"call_id": ["c"], "colour": ["red"]}, "no column colour"),
        ({"cname": ["room"]}, "call_id is a key"),
        ({"call_id": [None]}, "call_id is a key"),
        ({"call_id": ["c"], "created_ts": ["yesterday"]}, "created_ts does not fit"),
    ],
)
def test_invalid_rows_are_refused_and_leave_no_file(store, rows, complaint):
    with pytest.raises(StoreError, match=complaint):
        store.writer.put("calls", "c", pa.table(rows), **PARTITION, pending=False)
    assert not [path for path in store.path.rglob("*.parquet") if path.is_file()]


def test_partition_columns_are_not_written_to_the_file(store):
    rows = pa.table({"app_id": ["other"], "call_id": ["c"], "day": ["2000-01-01"]})
    store.writer.put("calls", "c", rows, **PARTITION, pending=False)
    assert store.sql("select app_id, day::text from calls").fetchall() == [(APP, DAY)]


def test_listing_ends_at_the_first_missing_page(store):
    for seq, resume in ((0, "2"), (1, "3"), (3, "")):
        store.writer.put_listing(APP, CREATED, CREATED + 3600, seq, call(f"c{seq}"), resume)
    store.writer.put_listing(APP, CREATED - 3600, CREATED, 0, call("early"), "")
    early, late = store.writer.listings(APP)
    assert early.whole
    assert (early.start, early.pages, early.resume) == (CREATED - 3600, 1, "")
    assert (late.start, late.end, late.pages, late.resume) == (CREATED, CREATED + 3600, 2, "3")
    assert not late.whole
    assert late.rows.column("call_id").to_pylist() == ["c0", "c1"]
    store.writer.remove_listing(APP, CREATED, CREATED + 3600)
    assert store.writer.listings(APP) == [early]


def test_store_can_be_reopened(store):
    store_call(store, "c")
    again = open_store(str(store.path), durable=True)
    store_call(again, "d")
    assert whole_calls_only(store) == 2


def test_commit_lock_is_exclusive_and_reentrant(store):
    order = []

    def other():
        with store.writer.commit_lock(APP):
            order.append("other")

    thread = threading.Thread(target=other)
    with store.writer.commit_lock(APP), store.writer.commit_lock(APP):
        thread.start()
        thread.join(0.05)
        store.writer.discard(**PARTITION, pending=[("points", "p")])
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]
