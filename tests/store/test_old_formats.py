"""Stores of format 2, whose only lock is the file `_lock`: they open, and are upgraded while no older version writes."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agora_analytics.errors import StoreError
from agora_analytics.store import open_store
from agora_analytics.store.locks import open_locked
from tests.store.sample_calls import APP, store_call, whole_calls_only


@pytest.fixture
def old(tmp_path):
    """Return a store with a call, as version 2 of the format has it."""
    store = open_store(tmp_path / "store", create=True)
    store_call(store, "a")
    for app in (store.path / "_lock").iterdir():
        for file in app.iterdir():
            file.unlink()
        app.rmdir()
    (store.path / "_lock").rmdir()
    (store.path / "_lock").write_bytes(b"..")
    (store.path / "_commit_lock").touch()
    (store.path / "_staging" / "77-abc").mkdir(parents=True)
    (store.path / "_store.json").write_text(json.dumps({"format": 2, "created_by": "agora-analytics 0.0.9"}))
    return store.path


def format_of(path):
    return json.loads((path / "_store.json").read_text())["format"]


def test_old_store_is_read_without_an_upgrade(old):
    store = open_store(old)
    assert whole_calls_only(store) == 1
    assert len(store.writer.units(APP).live["metrics"]) > 0
    assert format_of(old) == 2


def test_first_write_upgrades_an_old_store(old):
    store = open_store(old, create=True)
    store_call(store, "b")
    assert whole_calls_only(open_store(old)) == 2
    assert format_of(old) == 3
    assert (old / "_lock").is_dir()
    assert not (old / "_commit_lock").exists()
    assert not (old / "_staging" / "77-abc").exists()
    assert len(store.writer.compact(closed_before="2026-11-21").compacted) == 1


def test_upgrade_waits_for_a_writer_of_an_older_version(old):
    writer = threading.Thread(target=store_call, args=(open_store(old), "b"))
    descriptor, locked = open_locked(old / "_lock", shared=True, wait=True)
    assert locked
    writer.start()
    writer.join(0.05)
    assert format_of(old) == 2
    os.close(descriptor)
    writer.join(10)
    assert format_of(old) == 3
    assert whole_calls_only(open_store(old)) == 2


def test_writers_that_upgrade_at_the_same_time_all_succeed(old):
    stores = [open_store(old) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store_call, stores, "bcdefghi"))
    assert whole_calls_only(open_store(old)) == 9
    assert format_of(old) == 3


def test_older_version_that_has_the_store_open_cannot_lock_it_any_more(old):
    store_call(open_store(old), "b")
    with pytest.raises(StoreError, match="cannot lock"):
        open_locked(old / "_lock", shared=True, wait=True)


def test_interrupted_upgrade_is_completed(old):
    (old / "_store.json").write_text(json.dumps({"format": 3, "created_by": "agora-analytics 0.1.0"}))
    store_call(open_store(old), "b")
    assert (old / "_lock").is_dir()
    assert whole_calls_only(open_store(old)) == 2
