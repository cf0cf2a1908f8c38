"""Connections to PostgreSQL for each event loop, with a timeout that also ends when the network swallows packets."""

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from agora_analytics.engine.network.per_loop import PerLoop
from agora_analytics.errors import (
    AgoraAnalyticsError,
    ConfigurationError,
    LedgerUnavailable,
    QueueUnavailable,
)
from agora_analytics.logs import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from psycopg import AsyncConnection

T = TypeVar("T")

_CONNECT_TIMEOUT = 5  # seconds, as those below
_TIMEOUT = 5
_IDLE = 10  # between two statements of a transaction, after which the server ends it and releases its locks
_MOST = 4  # connections of an event loop
_INVALID = (
    "the connection string of the {} is not valid; in a URL, write @ in a password as %40, and / as %2F"
)
# The server's answers for a wrong setting. It has no codes for them before a connection is established.
_REFUSALS = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")


@define(eq=False)
class _LoopConnections:
    idle: "list[AsyncConnection[Any]]" = field(factory=list)
    free: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(_MOST))


class PostgresConnections:
    """Opens connections on demand and keeps them until `aclose`.

    Args:
        dsn: a connection string. Its own timeouts and options take precedence over those of this class.
        purpose: what is in the database, for messages.
        unavailable: the error if the server cannot be reached.
        timeout: seconds for one round trip. Default: 5.
        schema: the schema in which names are looked up first; empty: that of the server's settings.

    Attributes:
        address: the server and the database, without credentials.
        settings: the parameters of a connection, with the credentials.

    Raises:
        ConfigurationError: psycopg is not installed, or the connection string is not valid.
    """

    def __init__(
        self,
        dsn: str,
        *,
        purpose: str = "ledger",
        unavailable: type[LedgerUnavailable | QueueUnavailable] = LedgerUnavailable,
        schema: str = "",
        timeout: float | None = None,
    ) -> None:
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            raise ConfigurationError(
                f"a {purpose} in PostgreSQL needs psycopg: pip install 'agora-analytics[postgres]' ({error})"
            ) from error
        try:
            settings = conninfo_to_dict(dsn)
            [int(port) for port in str(settings.get("port") or 0).split(",")]
        except (psycopg.ProgrammingError, ValueError):  # its message repeats parts of the text
            raise ConfigurationError(_INVALID.format(purpose)) from None
        if "://" in dsn and "@" in f"{settings.get('host', '')}{settings.get('dbname', '')}":
            raise ConfigurationError(_INVALID.format(purpose))  # a part of the password
        timeout = timeout or _TIMEOUT
        self._purpose, self._unavailable, self._timeout = purpose, unavailable, timeout
        self.address = f"{settings.get('host', 'localhost')}/{settings.get('dbname', '')}"
        defaults: dict[str, Any] = {
            "application_name": "agora-analytics",
            "connect_timeout": _CONNECT_TIMEOUT,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": _CONNECT_TIMEOUT * 1000,
            "options": f"-c statement_timeout={int(timeout * 1000)} "
            f"-c idle_in_transaction_session_timeout={int(_IDLE * 1000)}",
        }
        self.settings = defaults | settings
        if schema:
            self.settings["options"] += f" -c search_path={schema}"
        self._of_loop = PerLoop(_LoopConnections)

    async def run(self, work: "Callable[[AsyncConnection[Any]], Awaitable[T]]") -> T:
        """Run `work` with a connection.

        Raises:
            LedgerUnavailable, QueueUnavailable: the server cannot be reached, or does not answer in time.
            ConfigurationError: the server refuses the connection or the statement.
        """
        running = asyncio.ensure_future(self._run(work))
        running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        # A round trip is not interrupted: psycopg would wait for the server to cancel it.
        done, _ = await asyncio.wait({running}, timeout=self._timeout)
        if done:
            return running.result()
        running.cancel()
        raise self._unavailable(f"PostgreSQL at {self.address} did not answer in {self._timeout:g} s")

    async def aclose(self) -> None:
        """Close the idle connections of the running event loop."""
        if (connections := self._of_loop.pop()) is not None:
            await _close(connections)

    async def _run(self, work: "Callable[[AsyncConnection[Any]], Awaitable[T]]") -> T:
        import psycopg

        connections = self._of_loop.get()
        async with connections.free:
            connection = None
            try:
                connection = connections.idle.pop() if connections.idle else await self._connect()
                return await work(connection)
            except psycopg.Error as error:
                await _close(connections)  # if the server was restarted, none of them works
                raise self._translated(error, connection) from None
            finally:
                if connection is not None:
                    await self._put_back(connection, connections)

    async def _connect(self) -> "AsyncConnection[Any]":
        from psycopg import AsyncConnection

        # Prepared statements would need one session for all of them, which a proxy such as pgbouncer does not keep.
        return await AsyncConnection.connect(**self.settings, autocommit=True, prepare_threshold=None)

    async def _put_back(self, connection: "AsyncConnection[Any]", connections: _LoopConnections) -> None:
        from psycopg.pq import TransactionStatus

        usable = not connection.broken and connection.info.transaction_status is TransactionStatus.IDLE
        if usable and self._of_loop.is_current(connections):
            connections.idle.append(connection)
        else:
            await connection.close()

    def _translated(self, error: Exception, connection: "AsyncConnection[Any] | None") -> AgoraAnalyticsError:
        from psycopg import InterfaceError, OperationalError
        from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction

        reason = one_line(str(error))
        passing = OperationalError, InterfaceError, IdleInTransactionSessionTimeout, ReadOnlySqlTransaction
        is_refused = (
            any(text in reason for text in _REFUSALS)
            if connection is None
            else not isinstance(error, passing)
        )
        if is_refused:
            return ConfigurationError(
                f"the {self._purpose} in PostgreSQL at {self.address} refuses the client: {reason}; "
                "check the user, the password, the database and the privileges"
            )
        return self._unavailable(f"PostgreSQL at {self.address} is unavailable: {reason}")


async def _close(connections: _LoopConnections) -> None:
    while connections.idle:
        await connections.idle.pop().close()
