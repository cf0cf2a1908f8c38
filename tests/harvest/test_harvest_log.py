"""The log of a harvest and of its store: start, progress, what is left, recovery and end."""

import asyncio
import logging
from functools import partial

import pytest

from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import StoreConflict, StoreError
from agora_analytics.harvest import harvest, harvest_insights
from agora_analytics.harvest.report import CallSkipped
from agora_analytics.simulator import World
from agora_analytics.store import open_store
from tests.harvest.harness import SINCE, UNTIL, make_call, make_harness

HOUR = 3600


@pytest.fixture
def world():
    return World(
        [make_call(f"call-{i}", SINCE + i * HOUR, SINCE + (i + 1) * HOUR, users=2) for i in range(2)]
    )


def lines(caplog, area, level=logging.DEBUG):
    name = f"agora_analytics.{area}"
    return [
        record.getMessage() for record in caplog.records if record.name == name and record.levelno == level
    ]


def test_harvest_logs_its_start_its_progress_and_its_end(world, tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "agora_analytics")
    make_harness(world, tmp_path / "store").harvest()
    start, end = lines(caplog, "harvest", logging.INFO)
    assert start == f"harvest of AsyncAgora from {SINCE} to {UNTIL}"
    assert "; calls: 2, sessions: 4, samples: " in end
    assert end.endswith("skipped: 0, left by the quota: 0")
    progress = lines(caplog, "harvest")
    assert {"stored call call-0; sessions: 2", "stored call call-1; sessions: 2"} <= set(progress)
    assert "all listed: 2" in progress
    published = [line for line in lines(caplog, "store") if line.startswith("published call ")]
    assert len(published) == 2
    (compacted,) = lines(caplog, "store", logging.INFO)
    assert compacted.startswith("compacted 2026-11-18: ")
    assert lines(caplog, "harvest", logging.WARNING) == []


def test_damaged_file_is_a_warning_of_the_store(world, tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "agora_analytics")
    harness = make_harness(world, tmp_path / "store", now=SINCE + 5 * HOUR)
    harness.harvest(until=SINCE + 4 * HOUR)
    damaged = next((tmp_path / "store" / "sessions").rglob("*.parquet"))
    damaged.write_bytes(b"")
    caplog.clear()
    assert harness.harvest(until=SINCE + 4 * HOUR).damaged
    (warning,) = lines(caplog, "store", logging.WARNING)
    assert warning.endswith("is damaged: it is empty; its rows are fetched again")
    infos = lines(caplog, "store", logging.INFO)
    assert "recovery: the damaged data of 2026-11-18 has to be fetched again" in infos
    assert "recovery: the damaged data is stored again" in infos


def test_failed_call_and_what_is_left_are_warnings(world, tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "agora_analytics")
    seen = []

    async def job(client):
        store = open_store(tmp_path / "store", create=True, durable=False)
        store.writer.publish = partial(refuse, StoreConflict("another harvest\nhas changed it"))
        await harvest(client, since=SINCE, until=UNTIL, store=store, observer=seen.append)

    make_harness(world, tmp_path / "store").run(job)
    *failed, end = lines(caplog, "harvest", logging.WARNING)
    reason = "failed and is left for the next run: another harvest has changed it"
    assert sorted(failed) == [f"call-0 {reason}", f"call-1 {reason}"]
    assert "skipped: 2" in end
    assert {event.call_id for event in seen if isinstance(event, CallSkipped)} == {"call-0", "call-1"}


def test_error_that_ends_a_harvest_is_logged(world, tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "agora_analytics")

    async def job(client):
        store = open_store(tmp_path / "store", create=True, durable=False)
        store.writer.publish = partial(refuse, StoreError("the disk is full"))
        with pytest.raises(StoreError):
            await harvest(client, since=SINCE, until=UNTIL, store=store)

    make_harness(world, tmp_path / "store").run(job)
    (line,) = lines(caplog, "harvest", logging.ERROR)
    assert line == "the harvest ended with an error: the disk is full"


@pytest.mark.parametrize("run", [harvest, harvest_insights])
def test_error_before_the_first_request_is_logged(world, tmp_path, caplog, run):
    caplog.set_level(logging.DEBUG, "agora_analytics")
    (tmp_path / "store").write_text("mine")

    async def job(client):
        with pytest.raises(StoreError):
            await run(client, since=SINCE, until=UNTIL, store=tmp_path / "store")

    make_harness(world, tmp_path / "other").run(job)
    (line,) = lines(caplog, "harvest", logging.ERROR)
    assert line.startswith("the harvest ended with an error: ")
    assert "it is a file; a store is a folder" in line


def refuse(error, **_):
    raise error


def test_ledger_logs_the_file_that_it_counts_in(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "agora_analytics")
    ledger = SqliteLedger(tmp_path / "ledger.sqlite3")
    asyncio.run(ledger.spent(Budget("a", "b"), "2026-11-18"))
    ledger.close()
    assert lines(caplog, "ledger") == [f"counting requests in {tmp_path / 'ledger.sqlite3'}"]
