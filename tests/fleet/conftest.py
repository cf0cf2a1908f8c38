"""Fixtures of a fleet: its queue in a real PostgreSQL."""

import pytest

from agora_analytics.fleet.queue import JobQueue, Timing
from agora_analytics.fleet.queue_schema import create_schema, queue_connections
from tests.fleet.harness import SECRETS
from tests.services.fixtures import needs


@pytest.fixture
def secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def queue_dsn(postgres):
    """The DSN of a database with the schema of a queue."""
    needs("procrastinate", "queue", "agora-analytics[fleet]")
    connections = queue_connections(postgres.dsn)
    await create_schema(connections)
    await connections.aclose()
    return postgres.dsn


@pytest.fixture
async def queue(queue_dsn):
    """An open queue. Its workers look for jobs often, and a worker without a heartbeat is replaced after a minute."""
    async with JobQueue(queue_dsn, timing=Timing(heartbeat=0.05, stalled=60.0, check=0.05)) as opened:
        yield opened


@pytest.fixture
async def sql(queue_dsn):
    """Execute a statement in the schema of the queue and return its rows: `await sql("SELECT ...")`."""
    connections = queue_connections(queue_dsn)

    async def execute(statement, *arguments):
        async def rows(connection):
            cursor = await connection.execute(statement, arguments)
            return await cursor.fetchall() if cursor.description else []

        return await connections.run(rows)

    yield execute
    await connections.aclose()
