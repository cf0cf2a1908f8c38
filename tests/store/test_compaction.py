import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from agora_analytics.errors import StoreError
from agora_analytics.schemas import CALL_TABLES, TABLES
from agora_analytics.store import atomic_exchange, compaction, open_store
from tests.conftest import slow

from .sample_calls import (
    APP,
    CREATED,
    DAY,
    PARTITION,
    POINT,
    SAMPLES,
    metrics,
    sessions,
    store_call,
    whole_calls_only,
)
from .subprocesses import start

NEXT = "2026-11-21"


def rows_of(store) -> dict:
    return {
        table: sorted(map(str, store.table(table).to_pylist())) for table in CALL_TABLES
    }  # whatever their order: every value of every row


def test_compaction_merges_a_closed_day_into_one_file_per_table(store):
    for number in range(20):
        store_call(store, f"c{number}")
    before = rows_of(store)
    (day,) = store.writer.compact(closed_before=NEXT).compacted
    assert (day.app_id, day.day, day.rows) == (APP, DAY, 20 * (1 + 3 + 2 * SAMPLES))
    assert (day.files_before, day.files_after) == (80, 3)
    assert day.bytes_after < day.bytes_before / 5
    assert rows_of(store) == before
    assert [len(store.files(table)) for table in CALL_TABLES] == [1, 1, 1]
    assert whole_calls_only(store) == 20
    assert store.writer.calls(APP).num_rows == 20
    assert not any(store.writer.units(APP).live.values())
    assert list((store.path / "_staging").glob("*")) == []


def test_compaction_skips_open_days_and_other_apps(store):
    store_call(store, "a")
    store_call(store, "b", day=NEXT)
    store_call(store, "c", app_id="other")
    report = store.writer.compact(closed_before=NEXT, app_id=APP)
    assert [(day.app_id, day.day) for day in report.compacted] == [(APP, DAY)]
    assert report.skipped == ()
    assert store.writer.units(APP).live["calls"] == {"b": NEXT}
    assert store.writer.units("other").live["calls"] == {"c": DAY}
    assert store.writer.compact(closed_before=NEXT, app_id=APP).compacted == ()


def test_late_calls_are_merged_into_the_compacted_file(store):
    names = set()
    for call_id in ("a", "b", "c"):
        store_call(store, call_id)
        store.writer.compact(closed_before=NEXT)
        assert whole_calls_only(store) == len(names) + 1
        (path,) = store.files("metrics")
        names.add(path.name)
    assert len(names) == 3  # no name is ever used for other rows


def test_large_day_is_compacted_into_several_files(store, monkeypatch):
    monkeypatch.setattr(compaction, "ROWS_IN_A_FILE", 2 * SAMPLES)
    for number in range(5):
        store_call(store, f"c{number}")
    before = rows_of(store)
    store.writer.compact(closed_before=NEXT)
    assert len(store.files("metrics")) > 1
    assert rows_of(store) == before


def test_compacted_metrics_keep_their_encodings(store):
    store_call(store, "a")
    store_call(store, "b")
    store.writer.compact(closed_before=NEXT)
    group = pq.read_metadata(store.files("metrics")[0]).row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert "DELTA_BINARY_PACKED" in columns["ts"].encodings
    assert "RLE_DICTIONARY" in columns["call_id"].encodings


def test_compaction_keeps_a_table_without_rows(store):
    store_call(store, "a", batches=0)
    store.writer.put("metrics", "a.00000", [], **PARTITION, pending=False)
    store.writer.compact(closed_before=NEXT)
    assert [path.name.startswith("compacted~") for path in store.files("metrics")] == [True]
    assert store.counts() == {"calls": 1, "sessions": 3, "metrics": 0, "points": 0}


def unfinished(store):
    store_call(store, "a", finished=False)
    return "call a was ongoing"


def pending(store):
    store.writer.put("metrics", "b.00000", metrics("b"), **PARTITION, pending=True)
    return "metrics has units of an incomplete call"


def pending_of_a_snapshot(store):
    store_call(store, "b", finished=False)
    store.writer.put("sessions", "b", sessions("b"), **PARTITION, pending=True)
    return "call b was ongoing"


def orphans(store):
    store.writer.put("sessions", "b", sessions("b"), **PARTITION, pending=False)
    return "sessions has rows of call b, which is incomplete"


def duplicated(store):
    unit = store._layout.unit("calls", "whole", **PARTITION)
    kept = unit.read_bytes()
    store.writer.compact(closed_before=NEXT)
    unit.write_bytes(kept)  # from a backup, say: no harvest does it
    return "call whole is stored twice"


def incomplete_points(store):
    store.writer.compact(closed_before=NEXT)
    store.writer.put("points", "m", POINT, **PARTITION, pending=False)
    store.writer.put("points", "m", [], **PARTITION, pending=True)
    return "m was incomplete when it was fetched"


def duplicated_points(store):
    unit = store._layout.unit("points", "m", **PARTITION)
    store.writer.put("points", "m", POINT, **PARTITION, pending=False)
    kept = unit.read_bytes()
    store.writer.compact(closed_before=NEXT)
    unit.write_bytes(kept)
    return "m is stored twice"


@pytest.mark.parametrize(
    "situation",
    [
        unfinished,
        pending,
        pending_of_a_snapshot,
        orphans,
        duplicated,
        incomplete_points,
        duplicated_points,
    ],
)
def test_compaction_skips_an_incomplete_day(store, situation):
    store_call(store, "whole")
    reason = situation(store)
    files = [store.files(table) for table in TABLES]
    report = store.writer.compact(closed_before=NEXT)
    assert report.compacted == ()
    (skipped,) = report.skipped
    assert reason in skipped.reason
    assert [store.files(table) for table in TABLES] == files


@pytest.mark.parametrize("situation", [unfinished, pending, orphans, incomplete_points])
def test_day_that_cannot_be_fetched_any_more_is_compacted_as_it_is(store, situation):
    store_call(store, "whole")
    situation(store)
    before = {table: store.table(table).sort_by("call_id").to_pylist() for table in TABLES}
    after_the_day = CREATED + 86_400
    report = store.writer.compact(
        closed_before=NEXT, calls_expired_before=after_the_day, points_expired_before=after_the_day
    )
    assert report.skipped == ()
    assert report.compacted != ()
    assert {table: store.table(table).sort_by("call_id").to_pylist() for table in TABLES} == before
    assert all(path.name.startswith("compacted~") for table in TABLES for path in store.files(table))


def test_unfinished_call_keeps_its_day_while_it_can_be_fetched(store):
    store_call(store, "a", finished=False)
    last_seen = CREATED + 600
    assert store.writer.compact(closed_before=NEXT, calls_expired_before=last_seen).compacted == ()
    assert len(store.writer.compact(closed_before=NEXT, calls_expired_before=last_seen + 1).compacted) == 1
    assert store.writer.published("a", **PARTITION).finished  # a later harvest does not duplicate it
    store_call(store, "a")
    assert store.counts()["calls"] == 1


def test_call_that_lasts_longer_than_its_day_is_kept_stays_open(store):
    """Its day cannot be listed any more, but the call is still active and grows."""
    store_call(store, "a", finished=False, seconds=100_000)
    assert store.writer.compact(closed_before=NEXT, calls_expired_before=CREATED + 90_000).compacted == ()


@pytest.mark.parametrize("is_cached", [True, False])
def test_harvest_that_began_before_a_compaction_duplicates_no_call(store, is_cached):
    other = open_store(store.path)
    if is_cached:
        store_call(other, "b")
    store_call(store, "a")
    for batch in range(2):
        other.writer.put("metrics", f"a.{batch:05d}", metrics("a", batch=batch), **PARTITION, pending=True)
    assert len(store.writer.compact(closed_before=NEXT).compacted) == 1
    store_call(other, "a")
    store_call(other, "c")
    assert whole_calls_only(store) == 2 + is_cached
    assert not any(store.writer.units(APP).pending.values())
    assert len(store.writer.compact(closed_before=NEXT).compacted) == 1
    store_call(other, "a")
    assert whole_calls_only(store) == 2 + is_cached


def test_compacted_points_list_their_units(store):
    names = {"meeting one", "_two", "x" * 300}
    for name in names:
        store.writer.put("points", name, POINT, **PARTITION, pending=False)
    store.writer.put("points", "empty", [], **PARTITION, pending=False)
    store.writer.put("points", "tomorrow", POINT, app_id=APP, day=NEXT, pending=False)
    before, units = store.table("points").to_pylist(), store.writer.units(APP).live["points"]
    (day,) = store.writer.compact(closed_before=NEXT).compacted
    assert (day.rows, day.files_before, day.files_after) == (3, 4, 1)
    assert store.table("points").to_pylist() == before
    assert store.writer.units(APP).live["points"] == units
    assert len(units) == 5
    assert store.writer.compact(closed_before=NEXT).compacted == ()


def test_late_points_are_merged_and_compacted_units_are_not_replaced(store):
    other = open_store(store.path)
    for late in ("a", "b", "c"):
        store.writer.put("points", late, POINT, **PARTITION, pending=False)
        assert other.writer.put("points", "zero", POINT, **PARTITION, pending=False) == (late == "a")
        store.writer.compact(closed_before=NEXT)
        assert other.writer.put("points", late, POINT, **PARTITION, pending=False) == 0
        assert other.writer.put("points", late, [], **PARTITION, pending=True) == 0
        assert len(store.files("points")) == 1
    assert store.counts()["points"] == 4
    assert set(store.writer.units(APP).live["points"]) == {"a", "b", "c", "zero"}
    assert not any(store.writer.units(APP).pending.values())


def test_pending_leftovers_of_a_finished_call_are_removed(store):
    store_call(store, "a")
    store.writer.put(
        "metrics", "a.00000", metrics("a"), **PARTITION, pending=True
    )  # a second process, ended before promoting
    store.writer.put("metrics", "a.other", metrics("a"), **PARTITION, pending=True)
    store.writer.put("metrics", "a.empty", [], **PARTITION, pending=True)
    assert len(store.writer.compact(closed_before=NEXT).compacted) == 1
    assert not any(store.writer.units(APP).pending.values())
    assert store.counts()["metrics"] == 2 * SAMPLES


def test_writer_keeps_compaction_out(store):
    store_call(store, "a")
    with store.writer.writing(APP), store.writer.writing(APP):
        (skipped,) = open_store(store.path).writer.compact(closed_before=NEXT).skipped
        assert "a harvest is writing" in skipped.reason
        assert store.writer.compact(closed_before=NEXT).compacted == ()
    assert len(store.writer.compact(closed_before=NEXT).compacted) == 1


def test_writer_of_another_app_does_not_keep_compaction_out(store):
    """With hundreds of apps in a store, one of them is always being written."""
    store_call(store, "a")
    with store.writer.writing("other"), open_store(store.path).writer.commit_lock("another"):
        assert len(store.writer.compact(closed_before=NEXT, app_id=APP).compacted) == 1
        store_call(store, "b")
        assert len(open_store(store.path).writer.compact(closed_before=NEXT).compacted) == 1
    assert whole_calls_only(store) == 2


def test_compaction_leaves_the_files_that_other_apps_are_writing(store):
    store_call(store, "a")
    staged = store.path / "_staging" / "app_id=other" / "1-a" / "0.parquet"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"half a file")
    store.writer.compact(closed_before=NEXT)
    assert staged.exists()


def test_writer_waits_for_a_running_compaction(store):
    writer = threading.Thread(target=store_call, args=(store, "a"))
    with open_store(store.path).writer._apps[APP].lock.exclusive() as alone:
        assert alone
        writer.start()
        writer.join(0.05)
        assert store.counts()["calls"] == 0
    writer.join(10)
    assert whole_calls_only(store) == 1


def test_compaction_needs_atomic_exchange(store, monkeypatch):
    def refused(one: Path, other: Path) -> None:
        raise OSError(22, "Invalid argument")

    store_call(store, "a")
    monkeypatch.setattr(atomic_exchange, "exchange", refused)
    (skipped,) = store.writer.compact(closed_before=NEXT).skipped
    assert "cannot exchange two folders atomically" in skipped.reason
    assert whole_calls_only(store) == 1


def test_compaction_rejects_a_merge_with_missing_rows(store, monkeypatch):
    def losing_rows(limit: int, pieces: Iterator) -> Iterator:
        yield from list(pieces)[1:]

    for number in range(3):
        store_call(store, f"c{number}")
    before = rows_of(store)
    monkeypatch.setattr(compaction, "_up_to", losing_rows)
    with pytest.raises(StoreError, match=r"nothing was changed"):
        store.writer.compact(closed_before=NEXT)
    monkeypatch.undo()
    assert rows_of(store) == before
    assert list((store.path / "_staging").glob("*")) == []


def test_file_added_during_compaction_is_not_lost(store, monkeypatch):
    def with_a_stranger(merged) -> None:
        (merged.live / "stranger.parquet").write_bytes(b"")
        real(merged)

    real = compaction._verify
    store_call(store, "a")
    monkeypatch.setattr(compaction, "_verify", with_a_stranger)
    with pytest.raises(StoreError, match=r"files were added to .* during its compaction"):
        store.writer.compact(closed_before=NEXT)
    assert len(store.files("metrics")) == 3


def test_replaced_folder_is_kept_for_open_readers(store, monkeypatch):
    for number in range(5):
        store_call(store, f"c{number}")
    folder = store.files("calls")[0].parent
    with os.scandir(folder) as listing:
        first = next(listing).name
        store.writer.compact(closed_before=NEXT)
        seen = {first, *(entry.name for entry in listing)}
    assert seen == {f"c{number}.parquet" for number in range(5)}
    assert len(list((store.path / "_replaced").iterdir())) == len(CALL_TABLES)
    monkeypatch.setattr(compaction, "LISTED_WITHIN", -1.0)
    store.writer.compact(closed_before=NEXT)
    assert list((store.path / "_replaced").iterdir()) == []
    assert whole_calls_only(store) == 5


def test_exchange_swaps_folders_or_raises(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    (one / "file").touch()
    with pytest.raises(FileNotFoundError):
        atomic_exchange.exchange(one, other)
    other.mkdir()
    atomic_exchange.exchange(one, other)
    assert not list(one.iterdir())
    assert [path.name for path in other.iterdir()] == ["file"]
    assert atomic_exchange.works_in(tmp_path / "new")


@pytest.mark.parametrize("reader", ["sql", *map(slow, ("glob", "table", "dataset", "views"))])
@pytest.mark.slow
def test_concurrent_reader_sees_every_row_once(store, tmp_path, reader):
    days = [f"2026-11-{day:02d}" for day in range(1, 6)]
    for number in range(100):
        store_call(store, f"c{number}", day=days[number % 5])
    original = tmp_path / "original"
    shutil.copytree(store.path, original)
    place = store.path
    if reader == "views":
        place = tmp_path / "calls.duckdb"
        store.write_views(place)
    with start("reader_process.py", place, reader, 100, 2 * SAMPLES * 100) as process:
        assert process.stdout.readline() == "reading\n"
        for round_number in range(3):
            for day in range(2, 7):  # a day at a time, while the reader reads
                store.writer.compact(closed_before=f"2026-11-{day:02d}")
            for day in (
                days
            ):  # late calls, compacted again, and taken away again, would change the counts: units come back
                for table in CALL_TABLES:
                    live = store._layout.day(table, app_id=APP, day=day)
                    fresh = tmp_path / f"{round_number}-{table}-{day}"
                    shutil.copytree(original / live.relative_to(store.path), fresh)
                    atomic_exchange.exchange(fresh, live)
        process.stdin.close()
        output = process.stdout.read()
        assert process.wait(60) == 0, output
    reads, again = map(int, output.split())
    assert reads >= 3
    assert again >= 0
