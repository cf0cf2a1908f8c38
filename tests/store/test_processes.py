"""Processes that are killed while they write or compact, and processes that do the same work concurrently."""

import pytest

from agora_analytics.schemas import CALL_TABLES
from agora_analytics.store import open_store
from tests.conftest import slow

from .sample_calls import APP, PARTITION, call, sessions, store_call, whole_calls_only
from .subprocesses import run, start

CALLS = 3


def finish(store) -> None:
    """Resume the work of a killed process, as a harvest does: stored units are not written again."""
    done = set(store.writer.calls(APP).column("call_id").to_pylist())
    units = store.writer.units(APP)
    for call_id in (f"call{number:05d}" for number in range(CALLS)):
        names = [f"{call_id}.00000", f"{call_id}.00001"]
        if call_id in done:
            continue
        if all(units.is_done("metrics", name) for name in names) and units.is_done("sessions", call_id):
            store.writer.publish(
                **PARTITION, metrics=names, sessions=sessions(call_id), call=call_id, row=call(call_id)
            )
        else:
            store_call(store, call_id)


# the renames of the first two calls, without that of _store.json: 3 pending units, 3 published units and 1 row each;
# even numbers kill before the rename, odd ones after it
@pytest.mark.parametrize("moment", [0, 8, 12, *map(slow, (1, 5, 6, 10, 11, 13, 20))])
def test_process_killed_at_any_rename_leaves_only_complete_calls_visible(tmp_path, moment):
    code, _ = run("writer_process.py", tmp_path / "store", 0, CALLS, moment)
    assert code == -9
    store = open_store(tmp_path / "store")
    assert whole_calls_only(store) == (moment + 1) // 14
    finish(store)
    assert whole_calls_only(store) == CALLS
    assert store.counts() == {"calls": CALLS, "sessions": 3 * CALLS, "metrics": 80 * CALLS, "points": 0}
    assert len(store.writer.compact(closed_before="2027-01-01").compacted) == 1
    # what the killed process left
    assert not any(store.writer.units(APP).pending.values())
    assert list((store.path / "_staging").glob("*")) == []
    assert whole_calls_only(store) == CALLS


@pytest.mark.parametrize("after", [1, 17])
def test_process_killed_at_any_time_leaves_a_valid_store(tmp_path, after):
    with start("writer_process.py", tmp_path / "store", 0, 10_000) as process:
        for _ in range(after):
            process.stdout.readline()
        process.kill()
    store = open_store(tmp_path / "store")
    assert whole_calls_only(store) >= after


@pytest.mark.slow
def test_two_processes_with_the_same_work_store_it_once(tmp_path):
    calls = 40
    both = [start("writer_process.py", tmp_path / "store", 0, calls) for _ in range(2)]
    for process in both:
        with process:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0, output
    store = open_store(tmp_path / "store")
    assert whole_calls_only(store) == calls
    assert store.counts() == {"calls": calls, "sessions": 3 * calls, "metrics": 80 * calls, "points": 0}
    assert not list((store.path / "_staging").rglob("*.parquet"))


# three folders are exchanged, each before and after
@pytest.mark.parametrize("moment", [1, 4, *map(slow, (0, 2, 3, 5))])
def test_process_killed_in_a_compaction_loses_and_duplicates_no_row(tmp_path, moment):
    store = open_store(tmp_path / "store", create=True)
    for number in range(CALLS):
        store_call(store, f"call{number:05d}")
    code, output = run(
        "writer_process.py", store.path, "compact", "2027-01-01", moment + 2
    )  # 0 and 1: the probe
    assert code == -9, output
    assert whole_calls_only(store) == CALLS
    report = store.writer.compact(closed_before="2027-01-01")
    assert len(report.compacted) == (moment < 5)
    assert whole_calls_only(store) == CALLS
    assert sum(len(store.files(table)) for table in CALL_TABLES) == 3
    assert report.compacted == () or list((store.path / "_staging").glob("*")) == []
