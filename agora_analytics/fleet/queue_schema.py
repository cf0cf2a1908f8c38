"""The schema of a fleet's queue in PostgreSQL: the tables of Procrastinate and of this package."""

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora_analytics.engine.network.postgres_connections import PostgresConnections
from agora_analytics.errors import ConfigurationError, QueueUnavailable

if TYPE_CHECKING:
    from psycopg import AsyncConnection

SCHEMA = "agora_queue"
_VERSION = 1
_ADVISORY_LOCK = 0x41_47_51_31
MIGRATION_TIMEOUT = 600
"""Seconds that a migration of a large queue may take."""
# A proxy may have removed the search path of the connection. Then the tables would be created in another schema.
_IN_SCHEMA = f"SET LOCAL search_path = {SCHEMA}".encode()
_INIT = "run: agora-analytics fleet init"


def queue_connections(dsn: str, *, timeout: float | None = None) -> PostgresConnections:
    """Return connections to the schema of a queue.

    The tables of Procrastinate are found by the search path only, and another program may have its own in the database.

    Args:
        dsn: a connection string of PostgreSQL.
        timeout: seconds for one round trip. Default: 5.

    Raises:
        ConfigurationError: the extra `[fleet]` is not installed, or the connection string is not valid.
    """
    try:
        import procrastinate  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"a queue needs procrastinate: pip install 'agora-analytics[fleet]' ({error})"
        ) from error
    return PostgresConnections(
        dsn, purpose="queue", unavailable=QueueUnavailable, schema=SCHEMA, timeout=timeout
    )


async def create_schema(connections: PostgresConnections) -> None:
    """Create the schema, or apply the migrations that it lacks. Safe to repeat.

    Raises:
        ConfigurationError: the role may not create it.
        QueueUnavailable: the server does not answer.
    """
    await connections.run(_create)
    for migration in _migrations():
        statements = migration.read_bytes()
        await connections.run(partial(_apply, name=migration.name, statements=statements))


async def fleet_id(connections: PostgresConnections) -> str:
    """Return the id of the fleet, after a check of the schema's version.

    Raises:
        ConfigurationError: the schema does not exist, or is older or newer than this library.
        QueueUnavailable: the server does not answer.
    """
    return await connections.run(_checked_id)


async def _create(connection: "AsyncConnection[Any]") -> None:
    from procrastinate.schema import SchemaManager

    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        if await _exists(connection):
            return
        await connection.execute(_IN_SCHEMA)
        # The privilege for the database is not needed if the schema was created before.
        found = await connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [SCHEMA])
        if await found.fetchone() is None:
            await connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        await connection.execute(SchemaManager.get_schema().encode())
        await connection.execute(files(__package__).joinpath("queue.sql").read_bytes())
        await connection.execute(
            "INSERT INTO fleet (version, procrastinate) VALUES (%s, %s)", [_VERSION, _migrations()[-1].name]
        )


async def _apply(connection: "AsyncConnection[Any]", *, name: str, statements: bytes) -> None:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        await connection.execute(_IN_SCHEMA)
        found = await connection.execute("SELECT procrastinate FROM fleet")
        (applied,) = await found.fetchone() or ("",)
        if name > applied:
            await connection.execute(statements)
            await connection.execute("UPDATE fleet SET procrastinate = %s", [name])


async def _checked_id(connection: "AsyncConnection[Any]") -> str:
    if not await _exists(connection):
        raise ConfigurationError(f"the database has no queue; {_INIT}")
    found = await connection.execute("SELECT current_schema()")
    if await found.fetchone() != (SCHEMA,):
        raise ConfigurationError(
            f"the connection does not have search_path={SCHEMA}, for example because a proxy removes it; set it for the role: "
            f"ALTER ROLE ... SET search_path = {SCHEMA}"
        )
    found = await connection.execute("SELECT version, procrastinate, id FROM fleet")
    version, applied, identifier = await found.fetchone() or (0, "", "")
    if version > _VERSION:
        raise ConfigurationError(
            f"the queue has version {version} of its schema, and this library knows {_VERSION}; update agora-analytics"
        )
    if applied < _migrations()[-1].name:
        raise ConfigurationError(
            f"the schema of the queue is older than the installed Procrastinate; {_INIT}"
        )
    return str(identifier)


async def _exists(connection: "AsyncConnection[Any]") -> bool:
    found = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.fleet"])
    row = await found.fetchone()
    return bool(row and row[0])


def _migrations() -> list[Path]:
    """Return the migrations of the installed Procrastinate in the order of their versions, which their names begin with."""
    from procrastinate.schema import migrations_path

    return sorted(migrations_path.glob("*.sql"))
