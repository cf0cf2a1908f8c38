"""The role of `examples/fleet/roles.sql` can do what workers and people need, and cannot change the schemas."""

import asyncio
import time

import pytest

from agora_analytics import PostgresLedger
from agora_analytics.fleet.queue import JobQueue, Timing
from agora_analytics.fleet.queue_schema import create_schema, queue_connections
from agora_analytics.fleet.status import fleet_status
from agora_analytics.fleet.worker import Worker
from agora_analytics.kit.config_file import read_config
from agora_analytics.simulator import serve_in_thread
from agora_analytics.store import open_store
from tests.documents.blocks import ROOT
from tests.fleet.harness import SECRETS, agora_entry, make_fleet, rows, truth, write_config

pytest.importorskip("procrastinate")

ROLES = (ROOT / "examples/fleet/roles.sql").read_text("utf-8")
LONGEST = 60


async def create_schemas(dsn):
    connections, ledger = queue_connections(dsn), PostgresLedger(dsn)
    await create_schema(connections)
    await ledger.create_schema()
    await connections.aclose()
    await ledger.aclose()


def grant(dsn):
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(ROLES)


async def until_complete(connections, names):
    while True:
        accounts = (await fleet_status(connections)).accounts
        if all(name in accounts and accounts[name].outcome for name in names):
            assert {name: accounts[name].outcome for name in names} == dict.fromkeys(names, "complete")
            return
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("first", ["roles", "schemas"])
async def test_worker_needs_no_other_privileges(first, postgres, worker_role, tmp_path, monkeypatch):
    """The statements may be run before or after `fleet init`."""
    if first == "roles":
        grant(postgres.dsn)
    await create_schemas(postgres.dsn)
    if first == "schemas":
        grant(postgres.dsn)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    now = time.time()
    fleet = make_fleet(["one", "two"], now, calls=2)
    dsn = postgres.dsn.replace("postgres@", "worker@")
    with serve_in_thread(fleet.simulator) as url:
        config = read_config(write_config(tmp_path, url, agora_entry("one"), agora_entry("two")))
        connections, ledger = queue_connections(dsn), PostgresLedger(dsn)
        async with asyncio.timeout(LONGEST), JobQueue(dsn, timing=Timing(heartbeat=0.1)) as queue:
            working = asyncio.create_task(Worker(queue, config, ledger=ledger).run())
            await until_complete(connections, ["one", "two"])
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            assert await queue.jobs.remove("one") == (False, True)
            assert await queue.jobs.plan(["one"]) == ["one"]
        await connections.aclose()
        await ledger.aclose()
    stored = rows(open_store(tmp_path / "calls.store"))
    assert stored == {world.app_id: truth(world, now) for world in fleet.worlds.values()}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE agora_queue.mine ()",
        "DROP TABLE agora_queue.account",
        "SELECT * FROM agora_ledger.day",
        "DELETE FROM agora_ledger.fence",
        "CREATE SCHEMA mine",
    ],
)
async def test_worker_cannot_change_the_schemas_or_the_ledger(statement, postgres, worker_role):
    import psycopg

    await create_schemas(postgres.dsn)
    grant(postgres.dsn)
    worker = postgres.dsn.replace("postgres@", "worker@")
    with (
        psycopg.connect(worker, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)
