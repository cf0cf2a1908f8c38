"""Objects that are in no log: a compaction deletes those that no reader and no commit needs any more, and only those."""

import os
import time

import pytest

from agora_analytics.schemas import CALL_TABLES
from agora_analytics.store.bucket import bucket_compaction, keys
from agora_analytics.store.bucket.bucket_store import open_bucket
from agora_analytics.store.bucket.delta_tables import DeltaTables
from agora_analytics.store.bucket.location import BucketLocation
from tests.bucket.sample_calls import APP, DAY, PARTITION, Sample, calls_seen, reopened, unit_names
from tests.bucket.test_publishing import CLOSED, parts, publish_until_step
from tests.store.sample_calls import metrics, sessions


@pytest.fixture
def nothing_is_recent(monkeypatch):
    """Objects that are in no log are old enough to be deleted. The age of an object of S3 cannot be set."""
    monkeypatch.setattr(bucket_compaction, "KEPT_HOURS", 0)


def put_unit(store, unit: str) -> str:
    """Store a unit of metrics as a harvest does, before it publishes the call; return its key."""
    call_id, window, _ = unit.split(".")
    batch = int(window.partition("-")[0]) // 60
    store.writer.put("metrics", unit, metrics(call_id, batch=batch), pending=True, **PARTITION)
    return keys.metrics_unit(unit, **PARTITION)


def stored(store) -> set[str]:
    """Return the URLs of all Parquet objects below the tables, apart from those of the log."""
    return {
        f"{store.url}/{key}".removeprefix("file://")
        for table in CALL_TABLES
        for key in store._objects.list(table)
        if "/_delta_log/" not in key
    }


def in_tables(store) -> set[str]:
    """Return the URLs of the objects that readers see."""
    return {url for table in CALL_TABLES for url in store.files(table)}


@pytest.mark.usefixtures("nothing_is_recent")
def test_compaction_leaves_only_what_is_in_the_tables(sample):
    """Replaced files, a unit that the published state does not have, and files of a commit that was interrupted."""
    sample.add("c1", "c2")
    put_unit(sample.store, "c1.0-90.ffff")
    for table in ("calls", "sessions", "metrics"):
        sample.store._objects.put(f"{keys.day_folder(table, APP, DAY)}/part-0-interrupted.parquet", b"PAR1")
    assert sample.store.writer.compact(closed_before=CLOSED).compacted
    assert stored(sample.store) == in_tables(sample.store)
    sample.assert_exact()


@pytest.mark.usefixtures("nothing_is_recent")
def test_pending_units_are_kept_until_their_call_is_final(sample):
    """A harvest that was killed has stored units of a new call, and more units of a snapshot."""
    sample.add("c1", "c2", day="2026-11-19")
    sample.add("late", finished=False)
    pending = [put_unit(sample.store, unit) for unit in (*unit_names("new"), *unit_names("late", 4)[2:])]
    sample.store.writer.put("sessions", "new", sessions("new"), pending=True, **PARTITION)

    assert sample.store.writer.compact(closed_before=CLOSED).compacted

    assert {*pending} <= {*sample.store._objects.list("metrics")}
    second = reopened(sample.store).writer
    assert sorted(second.units(APP).pending["metrics"]) == sorted(
        [*unit_names("new"), *unit_names("late", 4)[2:]]
    )
    assert second.read("sessions", "new", pending=True, **PARTITION) is not None
    sample.add("new")
    sample.add("late", units=4)
    sample.store.writer.commit()
    sample.assert_exact()


@pytest.mark.usefixtures("nothing_is_recent")
def test_units_of_an_expired_snapshot_are_deleted(sample):
    sample.add("late", finished=False)
    left = put_unit(sample.store, "late.120-179.ffff")
    sample.store.writer.compact(closed_before=CLOSED, calls_expired_before=0)
    assert left in sample.store._objects.list("metrics")
    sample.store.writer.compact(closed_before=CLOSED, calls_expired_before=2**32)
    assert left not in sample.store._objects.list("metrics")
    sample.assert_exact()


@pytest.mark.usefixtures("nothing_is_recent")
@pytest.mark.parametrize("step", ["commit sessions", "commit calls", "delete ready calls"])
def test_units_of_a_call_that_is_committed_in_part_are_kept(sample, step):
    sample.add("c1", "c2", day="2026-11-19")
    sample.store.writer.commit()
    sample.add("c3")
    publish_until_step(sample, step)
    assert bucket_compaction.compact(*parts(sample.store), closed_before=CLOSED).compacted
    reopened(sample.store).writer.commit()
    sample.assert_exact()


@pytest.mark.usefixtures("nothing_is_recent")
@pytest.mark.parametrize("loaded", ["calls", "points", "metrics"])
def test_units_that_are_published_during_the_deletion_are_kept(sample, monkeypatch, loaded):
    """Another process commits a call after one of the tables was loaded."""
    sample.add("c1")
    sample.store.writer.commit()
    sample.add("c2")
    load = DeltaTables.load

    def load_and_commit(tables, table):
        delta = load(tables, table)
        if table == loaded:
            with monkeypatch.context() as unpatched:
                unpatched.setattr(DeltaTables, "load", load)
                reopened(sample.store).writer.commit()
        return delta

    with monkeypatch.context() as patched:
        patched.setattr(DeltaTables, "load", load_and_commit)
        bucket_compaction._delete_unused(*parts(sample.store), 0)
    sample.assert_exact()


@pytest.mark.usefixtures("nothing_is_recent")
def test_replaced_files_are_deleted_after_a_checkpoint_has_forgotten_them(sample):
    """Delta drops the note that a file was replaced from the next checkpoint after the retention."""
    sample.add("c1", "c2")
    sample.store.writer.commit()
    table = sample.store._tables.load("metrics")
    table.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 0 seconds"})
    fenced = sample.store._tables.load_fenced("metrics")
    fenced.compact(APP, DAY)
    sample.store._tables.load("metrics").create_checkpoint()
    assert len(stored(sample.store)) > len(in_tables(sample.store))

    sample.store.writer.compact(closed_before=CLOSED)

    assert stored(sample.store) == in_tables(sample.store)
    sample.assert_exact()


def test_recently_replaced_files_are_kept_for_readers_of_an_older_snapshot(tmp_path):
    """They were written long ago. Objects of that age that have never been in the log are deleted."""
    store = open_bucket(BucketLocation("file", "", f"{tmp_path}/bucket".strip("/")), create=True)
    sample = Sample(store)
    sample.add("c1", "c2")
    unused = put_unit(store, "c1.0-90.ffff")
    store.writer.commit()
    then = time.time() - 10 * 86400
    for path in (tmp_path / "bucket").rglob("*.parquet"):
        os.utime(path, (then, then))
    recent = put_unit(store, "c1.0-91.ffff")
    before = store._snapshot()

    assert store.writer.compact(closed_before=CLOSED).compacted

    assert calls_seen(before) == sample.truth
    left = store._objects.list("metrics")
    assert unused not in left
    assert recent in left


@pytest.mark.usefixtures("nothing_is_recent")
@pytest.mark.parametrize("app_id", ["a b", "ä/ö", "50%", "o'neill", "x" * 180])
def test_files_of_an_app_of_any_name_are_kept(store, app_id):
    """Merged files too: no name is read as another one, in the log or in the bucket."""
    sample = Sample(store, app_id=app_id)
    sample.add("c 1", "c%201", "d'1", "x" * 180)
    for call_id in ("c2", "c3"):
        assert store.writer.compact(closed_before=CLOSED).compacted
        sample.assert_exact()
        sample.add(call_id)
        store.writer.commit()
    sample.assert_exact()
