"""The servers of ledgers, with an empty ledger."""

from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from agora_analytics import PostgresLedger, RedisLedger


@frozen
class Served:
    """A server with an empty ledger.

    Attributes:
        kind: the class of its ledgers.
        url: its address.
        server: the process, with `stop` and `start`.
        port: of the server.
        url_at: returns the address through a proxy's port.
    """

    kind: type[PostgresLedger | RedisLedger]
    url: str
    server: Any
    port: int
    url_at: Callable[[int], str]


@pytest.fixture(params=["postgres", "redis"])
def served(request) -> Served:
    """A real PostgreSQL or Redis."""
    if request.param == "postgres":
        database = request.getfixturevalue("postgres")
        return Served(PostgresLedger, database.dsn, database.server, database.port, database.dsn_at)
    server = request.getfixturevalue("redis_server")
    return Served(RedisLedger, server.url, server, server.port, server.url_at)
