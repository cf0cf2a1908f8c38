"""The schema of the queue: created once, migrated, and checked by each worker."""

import asyncio
import sys

import pytest

from agora_analytics.errors import ConfigurationError
from agora_analytics.fleet.queue import JobQueue
from agora_analytics.fleet.queue_schema import create_schema, queue_connections

MIGRATIONS = "SELECT procrastinate FROM fleet"


@pytest.fixture
async def connections(postgres):
    pytest.importorskip("procrastinate")
    opened = queue_connections(postgres.dsn)
    yield opened
    await opened.aclose()


async def test_two_processes_may_create_the_schema_at_the_same_time(connections, postgres):
    other = queue_connections(postgres.dsn)
    await asyncio.gather(create_schema(connections), create_schema(other))
    await create_schema(connections)
    await other.aclose()
    async with JobQueue(postgres.dsn) as queue:
        assert await queue.jobs.plan(["acme"]) == ["acme"]


async def test_database_without_a_queue_is_refused_with_the_command_that_creates_it(connections, postgres):
    with pytest.raises(ConfigurationError, match="has no queue; run: agora-analytics fleet init"):
        async with JobQueue(postgres.dsn):
            pass


async def test_older_schema_is_refused_and_migrated(queue_dsn, sql, monkeypatch, tmp_path):
    """A migration that a newer Procrastinate brings is applied once, by `fleet init`."""
    from procrastinate import schema

    (newest,) = (await sql(MIGRATIONS))[0]
    for path in schema.migrations_path.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "99.00.00_01_pre_new.sql").write_text("ALTER TABLE procrastinate_jobs ADD COLUMN extra int;")
    monkeypatch.setattr(schema, "migrations_path", tmp_path)
    with pytest.raises(
        ConfigurationError, match="older than the installed Procrastinate; run: agora-analytics fleet init"
    ):
        async with JobQueue(queue_dsn):
            pass
    connections = queue_connections(queue_dsn)
    await create_schema(connections)
    await create_schema(connections)
    await connections.aclose()
    assert newest < "99"
    assert await sql(MIGRATIONS) == [("99.00.00_01_pre_new.sql",)]
    async with JobQueue(queue_dsn) as queue:
        assert await queue.jobs.plan(["acme"]) == ["acme"]


async def test_newer_schema_of_this_package_is_refused(queue_dsn, sql):
    await sql("UPDATE fleet SET version = 99")
    with pytest.raises(
        ConfigurationError, match="version 99 of its schema, and this library knows 1; update"
    ):
        async with JobQueue(queue_dsn):
            pass


async def test_missing_privilege_is_a_configuration_error(connections, postgres):
    postgres.server.execute(f"CREATE ROLE visitor_{postgres.name} LOGIN")
    visitor = queue_connections(postgres.dsn.replace("postgres@", f"visitor_{postgres.name}@"))
    try:
        with pytest.raises(ConfigurationError, match="permission denied"):
            await create_schema(visitor)
    finally:
        await visitor.aclose()
        postgres.server.execute(f"DROP ROLE visitor_{postgres.name}")


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "procrastinate", None)
    with pytest.raises(
        ConfigurationError, match=r"a queue needs procrastinate: pip install 'agora-analytics\[fleet\]'"
    ):
        queue_connections("postgresql://queue.internal/agora")
