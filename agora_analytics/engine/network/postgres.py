"""A ledger in PostgreSQL."""

from collections.abc import Sequence
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.network.ledger import NetworkLedger
from agora_analytics.engine.network.postgres_connections import PostgresConnections
from agora_analytics.engine.network.server import LeaseReply, LeaseRequest, Unused
from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from agora_analytics.engine.clock import Clock

_VERSION = 1
_ADVISORY_LOCK = 0x41_47_4C_32
_RESERVE = "SELECT * FROM agora_ledger.reserve({})".format(", ".join(["%s"] * 16))


class PostgresLedger(NetworkLedger):
    """A ledger in PostgreSQL 14 or later, shared by all machines that can reach it.

    It is in the schema `agora_ledger`, which the first request creates. All access is through functions, so a role that
    may not create the schema needs `GRANT USAGE ON SCHEMA agora_ledger` only. No credential is stored: an account is
    stored as a digest.

    Args:
        dsn: a connection string of PostgreSQL: `postgresql://user@host/database`, or `host=... dbname=...`. What is missing
            is read from the variables `PGHOST`, `PGUSER` and so on, and from `~/.pgpass`.
        clock: the clock of its clients. Default: the machine's clocks.

    Raises:
        ConfigurationError: the extra `[postgres]` is not installed, or the connection string is not valid. Every method
            raises it too: the server refuses the credentials, or a privilege is missing.
        LedgerUnavailable: every method, if the server does not answer in 5 seconds.

    Example:
        client = AsyncAgora.from_env(ledger=PostgresLedger("postgresql://ledger.internal/agora"))
    """

    def __init__(self, dsn: str, *, clock: "Clock | None" = None) -> None:
        self._connections = PostgresConnections(dsn)
        super().__init__(PostgresServer(self._connections), clock=clock)

    async def create_schema(self) -> None:
        """Create or migrate the schema. The first request does so too, if its role has the privilege."""
        await self._connections.run(_ensure_schema)


class PostgresServer:
    """Calls the functions of `postgres.sql`: see `LedgerServer`."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections
        self.address = connections.address
        self._has_schema = False

    async def reserve(self, request: LeaseRequest) -> LeaseReply:
        """See `LedgerServer.reserve`."""
        phase, fence = request.phase, request.fence
        arguments = (
            *request.budget,
            date.fromisoformat(request.day),
            request.per_day,
            request.requests,
            request.period,
            request.gap,
            request.burst,
            request.late,
            request.delay,
            request.ahead,
            request.most,
            phase.low if phase else None,
            phase.high if phase else None,
            fence.name if fence else None,
            fence.token if fence else None,
        )
        now, seq, slots, predecessors, frees, next_slot, spent, newest = await self._call(_RESERVE, arguments)
        return LeaseReply(
            now=now,
            seq=seq,
            slots=slots,
            predecessors=predecessors,
            frees=frees,
            next_slot=next_slot,
            spent=spent,
            newest_token=newest,
        )

    async def postpone(self, budget: Budget, seq: int, arrived: float) -> None:
        """See `LedgerServer.postpone`."""
        await self._call("SELECT agora_ledger.postpone(%s, %s, %s, %s)", (*budget, seq, arrived))

    async def release(self, budget: Budget, day: str, unused: Sequence[Unused]) -> None:
        """See `LedgerServer.release`."""
        arguments = (
            *budget,
            date.fromisoformat(day),
            [place.seq for place in unused],
            [place.predecessor for place in unused],
            [place.free for place in unused],
        )
        await self._call("SELECT agora_ledger.release(%s, %s, %s, %s::int8[], %s, %s)", arguments)

    async def hold(self, budget: Budget, seconds: float) -> None:
        """See `LedgerServer.hold`."""
        await self._call("SELECT agora_ledger.hold(%s, %s, %s)", (*budget, seconds))

    async def close_day(self, budget: Budget, day: str) -> None:
        """See `LedgerServer.close_day`."""
        await self._call("SELECT agora_ledger.close_day(%s, %s, %s)", (*budget, date.fromisoformat(day)))

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """See `LedgerServer.spent`."""
        row = await self._call(
            "SELECT * FROM agora_ledger.spent(%s, %s, %s)", (*budget, date.fromisoformat(day))
        )
        return row[0], row[1]

    async def aclose(self) -> None:
        """See `LedgerServer.aclose`."""
        await self._connections.aclose()

    async def _call(self, statement: str, arguments: Sequence[Any]) -> Any:
        if not self._has_schema:
            await self._connections.run(_ensure_schema)
            self._has_schema = True

        async def call(connection: "AsyncConnection[Any]") -> Any:
            return await (await connection.execute(statement, arguments)).fetchone()

        return await self._connections.run(call)


async def _ensure_schema(connection: "AsyncConnection[Any]") -> None:
    from psycopg import errors

    try:
        found = await _version(connection)
        if found < _VERSION:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
                if await _version(connection) < _VERSION:
                    schema = files(__package__).joinpath("postgres.sql").read_text("utf-8")
                    await connection.execute(schema.encode())
    except errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"the ledger needs a privilege in PostgreSQL: {error.diag.message_primary}; run "
            "`GRANT USAGE ON SCHEMA agora_ledger TO ...` if the schema exists, or else let a role that may create it "
            "call `PostgresLedger.create_schema`"
        ) from None
    if found > _VERSION:
        raise ConfigurationError(
            f"the ledger has version {found} of its schema, and this library knows {_VERSION}; update agora-analytics"
        )


async def _version(connection: "AsyncConnection[Any]") -> int:
    """Return the version of the schema; 0: there is none."""
    # From the tables of the catalog: a look-up by name may be from a cache that is older than the advisory lock.
    find = "SELECT 1 FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'agora_ledger') AND proname = 'version'"
    if await (await connection.execute(find)).fetchone() is None:
        return 0
    row = await (await connection.execute("SELECT agora_ledger.version()")).fetchone()
    return int(row[0]) if row else 0
