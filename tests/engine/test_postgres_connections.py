"""Connections to PostgreSQL of a process that stands still."""

import pytest

from agora_analytics import LedgerUnavailable
from agora_analytics.engine.network import postgres_connections

LOCK = "SELECT pg_advisory_xact_lock(15)"


@pytest.fixture
async def connections(postgres, monkeypatch):
    monkeypatch.setattr(postgres_connections, "_IDLE", 0.3)
    connections = postgres_connections.PostgresConnections(postgres.dsn)
    yield connections
    await connections.aclose()


async def test_process_that_stands_still_in_a_transaction_loses_its_locks(connections):
    """Otherwise a frozen process would keep others from everything that it has locked."""

    async def take(connection):
        await connection.execute(LOCK)

    async def stand_still(connection):
        async with connection.transaction():
            await connection.execute(LOCK)
            await connections.run(take)  # waits until the server has ended the transaction
            await connection.execute("SELECT 1")

    with pytest.raises(LedgerUnavailable, match="idle-in-transaction timeout"):
        await connections.run(stand_still)
    await connections.run(take)
