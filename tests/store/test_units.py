import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agora_analytics.errors import StoreConflict, StoreError
from agora_analytics.store import METRICS, open_store, parquet_file

from .making import APP, CREATED, DAY, SAMPLES, call, metrics, sessions, store_call, whole_calls_only

PLACE = {"app_id": APP, "day": DAY}


def test_a_unit_is_not_seen_before_its_call_is_whole(store):
    written = store.put("metrics", "c.00000", metrics("c"), **PLACE, pending=True)
    assert written == SAMPLES
    assert store.counts() == {"calls": 0, "sessions": 0, "metrics": 0, "points": 0}
    units = store.units(APP)
    assert units.pending["metrics"] == {"c.00000": DAY}
    assert units.live["metrics"] == {}
    assert units.is_done("metrics", "c.00000")
    assert not units.is_done("metrics", "c.00001")


def test_promote_shows_the_whole_call(store):
    store_call(store, "c")
    assert whole_calls_only(store) == 1
    assert not any(store.units(APP).pending.values())
    assert store.calls(APP).column("call_id").to_pylist() == ["c"]
    assert store.calls("another").num_rows == 0


def test_promote_again_changes_nothing(store):
    store_call(store, "c")
    names = ["c.00000", "c.00001"]
    seen = store.published("c", **PLACE)
    store.publish(**PLACE, metrics=names, sessions="c", call="c", row=call("c"), before=seen)
    assert whole_calls_only(store) == 1


def test_promote_over_what_another_harvest_has_shown_changes_nothing(store):
    store_call(store, "c", finished=False)
    seen, names = store.published("c", **PLACE), ["c.00000", "c.00001"]
    shorter = {"metrics": names[:1], "sessions": "c", "call": "c", "row": call("c", finished=False)}
    with pytest.raises(StoreConflict, match="another harvest has changed it"):
        store.publish(**PLACE, **shorter)
    store_call(store, "c")
    store.put("metrics", names[0], metrics("c"), **PLACE, pending=True)
    store.publish(**PLACE, **shorter, before=seen)
    assert not any(store.units(APP).pending.values())
    assert store.calls(APP).column("finished").to_pylist() == [True]
    assert whole_calls_only(store) == 1


def test_promote_of_a_missing_unit_shows_no_call(store):
    store.put("metrics", "c.00000", metrics("c"), **PLACE, pending=True)
    with pytest.raises(StoreConflict, match=r"call c: another harvest .*run the same command again"):
        store.publish(**PLACE, metrics=["c.00000"], sessions="c", call="c", row=call("c"))
    assert store.counts()["calls"] == 0


def test_a_second_write_replaces_the_first(store):
    store.put("sessions", "c", sessions("c"), **PLACE, pending=False)
    store.put("sessions", "c", sessions("c", count=2), **PLACE, pending=False)
    assert store.counts()["sessions"] == 2


def test_a_snapshot_gives_way_to_the_finished_call(store):
    store_call(store, "c", batches=3, finished=False)
    assert store.calls(APP).column("finished").to_pylist() == [False]
    store_call(store, "c", batches=2)  # the third batch is named no more
    assert store.calls(APP).column("finished").to_pylist() == [True]
    assert whole_calls_only(store, batches=2) == 1


def test_threads_that_open_a_day_at_one_moment_each_write_their_unit(store):
    days = [f"2026-{month:02d}-{day:02d}" for month in range(1, 11) for day in range(1, 29)]
    threads, together = 4, threading.Barrier(4)

    def write(name):
        for day in days:
            together.wait(timeout=60)
            store.put("sessions", f"{name}.{day}", sessions("c"), app_id=APP, day=day, pending=True)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(threads)))
    assert len(store.units(APP).pending["sessions"]) == threads * len(days)


def test_a_unit_without_rows_counts_as_done(store):
    assert store.put("metrics", "c", [], **PLACE, pending=False) == 0
    assert store.units(APP).is_done("metrics", "c")
    assert store.table("metrics").num_rows == 0


def test_read_gives_back_what_was_written(store):
    store.put("metrics", "c", metrics("c"), **PLACE, pending=True)
    rows = store.read("metrics", "c", **PLACE)
    assert rows.schema.equals(METRICS)
    assert rows.column("ts").to_pylist() == metrics("c").column("ts").to_pylist()
    assert rows.column("value").null_count == SAMPLES // 10
    assert store.read("metrics", "another", **PLACE) is None
    store_call(store, "d")
    assert store.read("sessions", "d", **PLACE).column("roles").to_pylist() == [
        ["host", "audience"],
        None,
        [],
    ]


def test_rows_come_in_pieces_of_any_kind(store, monkeypatch):
    monkeypatch.setattr(parquet_file, "ROW_GROUP", 50)
    monkeypatch.setattr(parquet_file, "SMALL", 10)
    plain = metrics("c", batch=1).cast(METRICS)
    pieces = [metrics("c", batch=0), *plain.to_batches(), metrics("c", batch=2)]
    assert store.put("metrics", "c", iter(pieces), **PLACE, pending=False) == 3 * SAMPLES
    path = store.files("metrics")[0]
    assert pq.read_metadata(path).num_row_groups == 2
    assert pq.read_schema(path).field("sid").type == pa.string()
    assert store.sql("select count(distinct sid) from metrics").rows() == [(3,)]


def test_many_tiny_pieces_become_one_row_group(store, monkeypatch):
    monkeypatch.setattr(parquet_file, "_TINY_PIECES", 3)
    pieces = [metrics(f"c{number}") for number in range(8)]
    assert store.put("metrics", "c", iter(pieces), **PLACE, pending=False) == 8 * SAMPLES
    assert pq.read_metadata(store.files("metrics")[0]).num_row_groups == 1
    assert store.sql("select count(distinct call_id) from metrics").rows() == [(8,)]


def test_metrics_are_encoded_as_the_study_found_best(store):
    store.put("metrics", "c", metrics("c"), **PLACE, pending=False)
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
def test_rows_that_do_not_fit_are_refused_and_leave_nothing(store, rows, complaint):
    with pytest.raises(StoreError, match=complaint):
        store.put("calls", "c", pa.table(rows), **PLACE, pending=False)
    assert not [path for path in store.path.rglob("*.parquet") if path.is_file()]


def test_columns_of_the_folder_names_are_left_out_of_the_file(store):
    rows = pa.table({"app_id": ["other"], "call_id": ["c"], "day": ["2000-01-01"]})
    store.put("calls", "c", rows, **PLACE, pending=False)
    assert store.sql("select app_id, day::text from calls").rows() == [(APP, DAY)]


def test_listing_pages_come_back_up_to_the_first_gap(store):
    for seq, resume in ((0, "2"), (1, "3"), (3, "")):
        store.put_listing(APP, CREATED, CREATED + 3600, seq, call(f"c{seq}"), resume)
    store.put_listing(APP, CREATED - 3600, CREATED, 0, call("early"), "")
    early, late = store.listings(APP)
    assert early.whole
    assert (early.start, early.pages, early.resume) == (CREATED - 3600, 1, "")
    assert (late.start, late.end, late.pages, late.resume) == (CREATED, CREATED + 3600, 2, "3")
    assert not late.whole
    assert late.rows.column("call_id").to_pylist() == ["c0", "c1"]
    store.remove_listing(APP, CREATED, CREATED + 3600)
    assert store.listings(APP) == [early]


def test_a_store_is_opened_again(store):
    store_call(store, "c")
    again = open_store(str(store.path), durable=True)
    store_call(again, "d")
    assert whole_calls_only(store) == 2


def test_one_thread_has_the_turn_and_may_take_it_again(store):
    order = []

    def other():
        with store.commit_lock():
            order.append("other")

    thread = threading.Thread(target=other)
    with store.commit_lock(), store.commit_lock():
        thread.start()
        thread.join(0.05)
        store.discard(**PLACE, pending=[("points", "p")])
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]
