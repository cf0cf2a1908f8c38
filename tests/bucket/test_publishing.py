"""Publishing into the Delta logs: every row once, whatever is killed, frozen or started twice."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agora_analytics.schemas import TABLES
from agora_analytics.store.bucket import bucket_compaction, bucket_writer, keys, publisher
from agora_analytics.store.bucket.bucket_store import open_bucket
from tests.bucket.sample_calls import DAY, PARTITION, Sample, calls_seen, reopened, unit_names
from tests.store.sample_calls import POINT, call, metrics, sessions

CLOSED = "2026-11-21"


class Killed(Exception):
    pass


def parts(store):
    return store._objects, store._tables


def steps_of(sample: Sample) -> list[str]:
    """Publish, and return the steps."""
    seen: list[str] = []
    assert publisher.publish(*parts(sample.store), seen.append)
    return seen


def publish_until(sample: Sample, number: int) -> None:
    """Publish until the step with a number, where the publisher is killed."""
    left = iter(range(number))

    def at(step: str) -> None:
        if next(left, None) is None:
            raise Killed(step)

    with pytest.raises(Killed):
        publisher.publish(*parts(sample.store), at)


def publish_until_step(sample: Sample, step: str) -> None:
    """Publish until a step, where the publisher is killed."""

    def at(reached: str) -> None:
        if reached == step:
            raise Killed(step)

    with pytest.raises(Killed):
        publisher.publish(*parts(sample.store), at)


def test_published_call_is_visible_after_the_commit(sample):
    sample.add("c1", "c2")
    assert sample.store.counts()["calls"] == 0
    sample.store.writer.commit()
    sample.assert_exact()


def test_second_commit_adds_nothing(sample):
    sample.add("c1")
    sample.store.writer.commit()
    versions = {table: sample.store._tables.load(table).version() for table in ("metrics", "calls")}
    sample.store.writer.commit()
    assert {table: sample.store._tables.load(table).version() for table in versions} == versions


@pytest.mark.parametrize("again", ["another process", "after a compaction"])
def test_publisher_killed_at_each_step_loses_and_repeats_nothing(sample, again):
    other_day = "2026-11-19"  # no day with a snapshot is compacted
    sample.add("warm-up", "snapshot", finished=False, day=other_day)
    sample.store.writer.commit()
    compacted = []

    def prepare(number: int) -> None:
        sample.add(f"c{number}", f"d{number}")
        sample.add("snapshot", units=3 + number, finished=False, day=other_day)
        sample.store.writer.put("points", f"u{number}", POINT, pending=False, **PARTITION)

    prepare(0)
    steps = steps_of(sample)
    assert {"commit metrics", "commit sessions", "replace sessions", "replace calls", "commit points"} <= {
        *steps
    }
    for number in range(len(steps)):
        prepare(number + 1)
        publish_until(sample, number)
        if again == "after a compaction":
            report = bucket_compaction.compact(*parts(sample.store), closed_before=CLOSED)
            compacted += [day.day for day in report.compacted]
        reopened(sample.store).writer.commit()
        assert calls_seen(sample.store._snapshot()) == sample.truth
        assert sample.store.counts()["points"] == number + 2
    assert set(compacted) == ({DAY} if again == "after a compaction" else set())


def values(store) -> list[float]:
    return store.table("points")["value"].to_pylist()


def put_points(store, *values: float) -> list[str]:
    """Store a unit of points several times; return the keys of its ready objects, oldest first."""
    for value in values:
        rows = POINT.set_column(POINT.schema.get_field_index("value"), "value", [[value]])
        store.writer.put("points", "u", rows, pending=False, **PARTITION)
    return sorted(store._objects.list(keys.READY_POINTS))


def test_publisher_that_is_killed_keeps_the_newest_points(sample):
    """Older ready points are deleted before the newest, in another request, which may be executed in part."""
    *_, newest = put_points(sample.store, 1.0, 2.0, 3.0)
    publish_until_step(sample, "delete ready points")
    assert list(sample.store._objects.list(keys.READY_POINTS)) == [newest]
    reopened(sample.store).writer.commit()
    assert values(sample.store) == [3.0]


def test_newer_points_replace_those_of_a_host_whose_clock_is_ahead(sample, monkeypatch):
    ahead = time.time_ns() + 3600 * 10**9
    with monkeypatch.context() as patched:
        patched.setattr(bucket_writer.time, "time_ns", lambda: ahead)
        put_points(sample.store, 1.0)
    put_points(sample.store, 2.0)
    assert sample.store.writer.read("points", "u", pending=False, **PARTITION)["value"].to_pylist() == [2.0]
    sample.store.writer.commit()
    assert values(sample.store) == [2.0]


def test_older_points_do_not_replace_those_of_another_publisher(sample):
    """The other publisher has committed the newest points, and deletes them after this one has listed all."""
    older, newest = put_points(sample.store, 1.0, 2.0)
    content = sample.store._objects.get(older)
    assert content is not None
    sample.store.writer.commit()
    sample.store._objects.put(older, content)
    loaded = {"points": sample.store._tables.load_fenced("points")}
    publisher._Publisher(sample.store._objects, loaded, lambda _: None).publish_points([older, newest])
    assert values(sample.store) == [2.0]
    assert not sample.store._objects.list(keys.READY_POINTS)


@pytest.mark.parametrize(
    "step", ["load", "read", "commit metrics", "commit sessions", "commit calls", "delete ready calls"]
)
def test_publisher_that_slept_through_publish_and_compaction_adds_nothing(sample, step):
    """Two publishers by mistake: one falls asleep at a step, the other publishes and compacts, and the first wakes up.

    The tables are empty before. Of files that the first one has loaded, Delta notices that they were replaced.
    """
    sample.add("c1", "c2")
    slept = False

    def sleep_at(reached: str) -> None:
        nonlocal slept
        if reached == step and not slept:
            slept = True
            other = reopened(sample.store)
            other.writer.commit()
            report = other.writer.compact(closed_before=CLOSED)
            assert report.compacted

    publisher.publish(*parts(sample.store), sleep_at)
    assert slept
    sample.assert_exact()
    sample.add("c3")
    sample.store.writer.commit()
    sample.assert_exact()


def test_two_publishers_at_once_add_every_call_once(sample):
    stores = [reopened(sample.store) for _ in range(2)]
    for number in range(6):
        sample.add(*(f"c{number}-{i}" for i in range(3)))
        start = threading.Barrier(2)

        def commit(store, start=start):
            start.wait()
            store.writer.commit()

        threads = [threading.Thread(target=commit, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sample.store.writer.commit()
    sample.assert_exact()


def test_publishers_of_one_process_do_not_overtake_each_other(sample, monkeypatch):
    """Each publishes what is ready, of all of them."""
    stores = [sample.store, *(open_bucket(sample.store._tables.location) for _ in range(3))]
    publish, results = publisher.publish, []

    def recorded(*args) -> bool:
        results.append(publish(*args))
        return results[-1]

    monkeypatch.setattr(publisher, "publish", recorded)
    sample.add("c1", "c2")
    start = threading.Barrier(len(stores))

    def commit(store) -> None:
        start.wait()
        store.writer.commit()

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(commit, stores))
    assert results == [True] * len(stores)
    sample.assert_exact()


def test_reads_during_publishing_and_compaction_see_whole_calls(sample, location):
    """No call without its sessions and samples, and no row twice. The writer continues until the last read."""
    reads = 200 if location.scheme == "s3" else 15
    for table in TABLES:  # a reader fetches all commits since the last checkpoint, which takes moto long
        sample.store._tables.load(table).alter.set_table_properties({"delta.checkpointInterval": "10"})

    def read() -> None:
        before = 0
        for _ in range(reads):
            seen = calls_seen(sample.store._snapshot())
            assert len(seen) >= before
            before = len(seen)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for number in itertools.count():
            sample.add(*(f"c{number}-{i}" for i in range(4)))
            growing, state = divmod(number, 4)
            sample.add(f"growing-{growing}", units=2 + state, finished=state == 3, day="2026-11-19")
            sample.store.writer.commit()
            assert sample.store.writer.compact(closed_before=CLOSED).compacted
            if reader.done():
                break
    reader.result()
    sample.assert_exact()


def test_call_with_a_missing_unit_is_not_published(sample, caplog):
    sample.add("c1", "c2")
    name = unit_names("c1")[0]
    (key,) = [key for key in sample.store._objects.list("metrics") if name in key]
    sample.store._objects.delete([key])

    sample.store.writer.commit()

    del sample.truth["c1"]
    sample.assert_exact()
    assert "c1 is not published: units of it are missing" in caplog.text
    assert reopened(sample.store).writer.published("c1", **PARTITION) is None


def test_first_of_two_conflicting_snapshots_wins(sample, caplog):
    """Two harvests of one app take different snapshots of a call, whose samples overlap."""
    other = reopened(sample.store).writer
    assert other.published("c1", **PARTITION) is None
    sample.add("c1", finished=False)
    other.put("metrics", "c1.0-90.ffff", metrics("c1"), pending=True, **PARTITION)
    other.publish(
        metrics=["c1.0-90.ffff"],
        sessions=sessions("c1"),
        call="c1",
        row=call("c1", finished=False, seconds=900),
        **PARTITION,
    )
    sample.store.writer.commit()
    assert caplog.text.count("another harvest has stored another state") == 1
    assert sample.store.counts()["calls"] == 1
    assert [*calls_seen(sample.store._snapshot())] == ["c1"]


def test_snapshot_that_was_compacted_after_its_retention_is_final(sample):
    sample.add("c1", finished=False)
    sample.add("c2")
    sample.store.writer.commit()
    assert sample.store.writer.compact(closed_before=CLOSED, calls_expired_before=2**32).compacted
    assert reopened(sample.store).writer.published("c1", **PARTITION).finished
    units = dict(sample.truth)
    sample.add("c1", units=4)
    sample.store.writer.commit()
    sample.truth = units
    sample.assert_exact()


def test_compaction_keeps_the_day_of_a_snapshot(sample):
    sample.add("c1", "c2")
    sample.add("late", finished=False)
    sample.store.writer.commit()
    report = sample.store.writer.compact(closed_before=CLOSED)
    assert [skipped.day for skipped in report.skipped] == [DAY]
    assert not report.compacted
    sample.assert_exact()


def test_compaction_reports_files_and_rows(sample):
    sample.add("c1", "c2", "c3")
    sample.store.writer.commit()
    (day,) = sample.store.writer.compact(closed_before=CLOSED).compacted
    assert (day.files_before, day.files_after, day.rows) == (6, 1, 240)
    sample.assert_exact()
    assert not sample.store.writer.compact(closed_before=CLOSED).compacted


def test_compaction_keeps_units_that_are_not_published(sample):
    sample.add("c1", "c2")
    sample.store.writer.put("metrics", "d.0-59.00", metrics("d"), pending=True, **PARTITION)
    sample.store.writer.commit()
    for fenced in map(sample.store._tables.load_fenced, ("metrics", "sessions")):
        fenced.compact(PARTITION["app_id"], DAY)
        fenced.delta.update_incremental()
        fenced.delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    sample.assert_exact()
    left = reopened(sample.store).writer.units(PARTITION["app_id"]).pending["metrics"]
    assert left == {"d.0-59.00": DAY}


@pytest.mark.parametrize("app_id", ["a b", "ä/ö", "50%", "o'neill", "x" * 180])
def test_app_of_any_name_is_stored(store, app_id):
    where = {"app_id": app_id, "day": DAY}
    for call_id in ("c 1", "c%201", "d'1"):
        store.writer.put("metrics", f"{call_id}.0-59.00", metrics(call_id), pending=True, **where)
        store.writer.publish(
            metrics=[f"{call_id}.0-59.00"],
            sessions=sessions(call_id),
            call=call_id,
            row=call(call_id),
            **where,
        )
        store.writer.put("points", call_id, POINT, pending=False, **where)
    store.writer.commit()
    assert {table: set(store.table(table)["app_id"].to_pylist()) for table in store.counts()} == {
        table: {app_id} for table in store.counts()
    }
    assert sorted(store.table("calls")["call_id"].to_pylist()) == ["c 1", "c%201", "d'1"]
    assert set(reopened(store).writer.units(app_id).live["points"]) == {"c 1", "c%201", "d'1"}
