"""Compactions after a publisher was killed, and at the same time as other publishers: every row once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agora_analytics.schemas import TABLES
from agora_analytics.store import CompactReport, parquet_file
from agora_analytics.store.bucket import bucket_compaction, bucket_writer, publisher
from agora_analytics.store.bucket.delta_tables import FencedTable, Overtaken
from tests.bucket.sample_calls import APP, DAY, PARTITION, Sample, reopened
from tests.bucket.test_publishing import CLOSED, parts, publish_until_step
from tests.store.sample_calls import POINT, SAMPLES


@pytest.mark.parametrize("step", ["commit sessions", "commit calls", "delete ready calls"])
def test_day_with_a_call_that_is_committed_in_part_is_not_compacted(sample, step):
    sample.add("c0")
    sample.store.writer.commit()
    sample.add("c1")
    publish_until_step(sample, step)

    report = bucket_compaction.compact(*parts(sample.store), closed_before=CLOSED)

    assert not report.compacted
    assert [(day.day, day.reason) for day in report.skipped] == [
        (DAY, "it has calls that are not committed yet; a later compaction merges it")
    ]
    reopened(sample.store).writer.commit()
    sample.assert_exact()
    assert sample.store.writer.compact(closed_before=CLOSED).compacted
    sample.assert_exact()


@pytest.mark.parametrize("table", TABLES)
def test_compaction_keeps_the_values_of_rows(sample, table, monkeypatch):
    """Files of several row groups are merged to such a file. DuckDB and pyarrow read the same."""
    monkeypatch.setattr(parquet_file, "ROW_GROUP", 50)
    for number in range(3):
        sample.add(f"c{number}")
        sample.store.writer.put("points", f"u{number}", POINT, pending=False, **PARTITION)
        sample.store.writer.commit()
    before = sample.store.table(table)
    sample.store._tables.load_fenced(table).compact(APP, DAY)
    assert len(sample.store.files(table)) == 1
    assert sorted(sample.store.table(table).to_pylist(), key=str) == sorted(before.to_pylist(), key=str)
    columns = ", ".join(before.column_names)
    rows = sample.store.sql(f"select {columns} from {table}").to_arrow_table()
    assert sorted(map(str, rows.cast(before.schema).to_pylist())) == sorted(map(str, before.to_pylist()))


def test_other_days_are_compacted(sample):
    sample.add("c0", "c1", day="2026-11-19")
    sample.store.writer.commit()
    sample.add("c2")
    publish_until_step(sample, "commit sessions")
    report = bucket_compaction.compact(*parts(sample.store), closed_before=CLOSED)
    assert [day.day for day in report.compacted] == ["2026-11-19"]
    assert [day.day for day in report.skipped] == [DAY]


def test_nothing_is_compacted_while_other_publishers_are_faster(sample, monkeypatch, caplog):
    """Each attempt to commit is overtaken: another publisher commits after this one has loaded the tables."""
    sample.add("c0", "c1")
    sample.store.writer.commit()
    sample.add("c2")
    publish, number = publisher.publish, 0

    def overtaken(objects, tables) -> bool:
        def at(step: str) -> None:
            nonlocal number
            if step == "commit calls":
                number += 1
                other = Sample(reopened(sample.store), sample.truth)
                other.add(f"d{number}")
                publish(*parts(other.store))
                sample.add(f"e{number}")

        return publish(objects, tables, at)

    waits: list[float] = []
    with monkeypatch.context() as patched:
        patched.setattr(publisher, "publish", overtaken)
        patched.setattr(bucket_writer.time, "sleep", waits.append)
        assert sample.store.writer.compact(closed_before=CLOSED) == CompactReport()
    assert waits[0] == 0
    assert all(waits[1:])
    assert "other publishers were faster 5 times" in caplog.text
    sample.store.writer.commit()
    sample.assert_exact()


@pytest.mark.parametrize("table", ["metrics", "sessions", "calls"])
def test_second_of_two_compactions_of_a_day_is_refused(sample, table):
    """Both have loaded the table before the first one merges its files."""
    for call_id in ("c0", "c1"):
        sample.add(call_id)
        sample.store.writer.commit()
    first, second = (sample.store._tables.load_fenced(table) for _ in range(2))
    first.compact(APP, DAY)
    with pytest.raises(Overtaken):
        second.compact(APP, DAY)
    sample.assert_exact()
    assert len(sample.store.files(table)) == 1


def test_two_compactions_at_once_keep_every_row_once(sample):
    stores = [reopened(sample.store) for _ in range(2)]
    for number in range(4):
        sample.add(f"c{number}", f"d{number}")
        sample.store.writer.commit()
        start = threading.Barrier(2)

        def compact(store, start=start) -> CompactReport:
            start.wait()
            return store.writer.compact(closed_before=CLOSED)

        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(compact, stores))
        assert any(report.compacted for report in reports)
        sample.assert_exact()


@pytest.mark.parametrize("change", ["append", "replace"])
def test_publisher_may_commit_to_a_day_during_its_compaction(sample, change, monkeypatch):
    """The day is left to the next compaction. Days that have not changed are merged."""
    sample.add("c0", "c1", day="2026-11-19")
    sample.add("c2", "late", finished=False)
    sample.store.writer.commit()
    compact, changed = FencedTable.compact, []

    def commit_first(fenced, app_id, day) -> None:
        if not changed:
            changed.append(day)
            names = ["c3", "c4"] if change == "append" else ["late", "c2"]
            sample.add(*names, units=4)
            sample.store.writer.commit()
        compact(fenced, app_id, day)

    monkeypatch.setattr(FencedTable, "compact", commit_first)
    report = bucket_compaction.compact(*parts(sample.store), closed_before=CLOSED, calls_expired_before=2**32)
    assert [day.day for day in report.compacted] == ["2026-11-19"]
    assert report.compacted[0].files_after == 1
    sample.assert_exact()


@pytest.mark.parametrize("step", ["commit sessions", "replace sessions", "commit calls", "replace calls"])
def test_publisher_that_slept_through_a_compaction_adds_nothing_twice(sample, step):
    for call_id in ("c0", "c1"):
        sample.add(call_id)
        sample.store.writer.commit()
    sample.add("late", finished=False)
    sample.store.writer.commit()
    sample.add("late", units=4)
    sample.add("c2")
    slept = []

    def sleep_at(reached: str) -> None:
        if reached == step and not slept:
            slept.append(step)
            for table in ("sessions", "calls"):
                sample.store._tables.load_fenced(table).compact(APP, DAY)

    publisher.publish(*parts(sample.store), sleep_at)
    reopened(sample.store).writer.commit()
    assert slept
    sample.assert_exact()


def test_call_that_is_committed_in_part_during_a_compaction_is_not_merged(sample, monkeypatch):
    """A publisher commits the samples of a call of another app before the first app is merged, and is killed."""
    apps = [APP, "b" * 32]
    calls = {app_id: Sample(sample.store, app_id=app_id) for app_id in apps}
    for app_id in apps:
        calls[app_id].add("c0", "c1")
    sample.store.writer.commit()
    compact, merged = FencedTable.compact, []

    def merge(fenced, app_id, day) -> None:
        if fenced.name == "metrics" and not merged:
            (other,) = {*apps} - {app_id}
            calls[other].add("c2")
            publish_until_step(sample, "commit sessions")
        merged.append((fenced.name, app_id))
        compact(fenced, app_id, day)

    with monkeypatch.context() as patched:
        patched.setattr(FencedTable, "compact", merge)
        assert bucket_compaction.compact(*parts(sample.store), closed_before=CLOSED).compacted
    reopened(sample.store).writer.commit()
    assert sample.store.counts()["metrics"] == SAMPLES * 2 * 5
    sample.store.writer.compact(closed_before=CLOSED)
    assert sample.store.counts()["metrics"] == SAMPLES * 2 * 5
