"""A ledger in Redis."""

import asyncio
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define

from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.network.ledger import NetworkLedger
from agora_analytics.engine.network.per_loop import PerLoop
from agora_analytics.engine.network.server import LeaseReply, LeaseRequest, Unused
from agora_analytics.errors import ConfigurationError, LedgerUnavailable
from agora_analytics.logs import one_line

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

    from agora_analytics.engine.clock import Clock

_TIMEOUT = 5.0  # seconds for connecting and one round trip
# In the errors of a server that is busy, out of memory or failing over.
_TEMPORARY = (
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "maxmemory",
    "MISCONF",
    "NOREPLICAS",
    "TRYAGAIN",
)
_PREFIX = "{agora-analytics}"
"""Of all keys. The braces put them into one slot of a Redis Cluster, because the script uses several."""


class RedisLedger(NetworkLedger):
    """A ledger in Redis 5 or later, shared by all machines that can reach it.

    Its keys begin with `{agora-analytics}`, and all but the fencing tokens expire. No credential is stored: an account is
    stored as a digest. Redis forgets what it has not persisted when it restarts, and a fail-over may lose the last second.
    Then the vendor may refuse some requests, and its count of the day decides. Use `PostgresLedger` where that matters.

    Args:
        url: `redis://host:6379/0`, `rediss://...` with TLS, or `unix:///path`.
        clock: the clock of its clients. Default: the machine's clocks.

    Raises:
        ConfigurationError: the extra `[redis]` is not installed, or the URL is not valid. Every method raises it too: the
            server refuses the credentials or the script.
        LedgerUnavailable: every method, if the server does not answer in 5 seconds.

    Example:
        client = AsyncAgora.from_env(ledger=RedisLedger("redis://ledger.internal:6379/0"))
    """

    def __init__(self, url: str, *, clock: "Clock | None" = None) -> None:
        super().__init__(RedisServer(url), clock=clock)


@define(eq=False)
class _Connection:
    client: "Redis"
    script: "AsyncScript"
    users: int = 0
    is_closed: bool = False

    async def close_if_unused(self) -> None:
        """Close the connection after the last command that uses it."""
        if self.is_closed and not self.users:
            await self.client.aclose()


class RedisServer:
    """Runs `redis.lua`: see `LedgerServer`.

    Attributes:
        address: the server, without credentials.
    """

    def __init__(self, url: str) -> None:
        try:
            from redis.asyncio import Redis
        except ImportError as error:
            raise ConfigurationError(
                f"a ledger in Redis needs redis: pip install 'agora-analytics[redis]' ({error})"
            ) from error
        try:
            pool: Any = Redis.from_url(url).connection_pool
            pool.make_connection()  # does not connect
            parts = urlsplit(url)
            self.address = (
                f"{parts.hostname or ''}:{parts.port or 6379}{parts.path}" if parts.hostname else parts.path
            )
        except (TypeError, ValueError):  # its message may repeat parts of the text
            raise ConfigurationError("the URL of the ledger in Redis is not valid") from None
        self._url = url
        self._lua = files(__package__).joinpath("redis.lua").read_text("utf-8")
        self._of_loop = PerLoop(self._connect)

    async def reserve(self, request: LeaseRequest) -> LeaseReply:
        """See `LedgerServer.reserve`."""
        phase, fence = request.phase, request.fence
        now, outcome, *values = await self._run(
            request.budget,
            request.day,
            "reserve",
            request.per_day,
            request.requests,
            request.period,
            request.gap,
            request.burst,
            request.late,
            request.delay,
            request.ahead,
            request.most,
            phase.low if phase else "",
            phase.high if phase else "",
            fence.name if fence else "",
            fence.token if fence else 0,
        )
        if outcome == "fenced":
            return LeaseReply(now=float(now), newest_token=int(values[0]))
        if outcome == "spent":
            return LeaseReply(now=float(now), spent=True)
        if outcome == "early":
            return LeaseReply(now=float(now), next_slot=float(values[0]))
        seq, *numbers = values
        places = list(map(float, numbers))
        return LeaseReply(
            now=float(now), seq=int(seq), slots=places[::3], predecessors=places[1::3], frees=places[2::3]
        )

    async def postpone(self, budget: Budget, seq: int, arrived: float) -> None:
        """See `LedgerServer.postpone`."""
        await self._run(budget, "", "postpone", seq, arrived)

    async def release(self, budget: Budget, day: str, unused: Sequence[Unused]) -> None:
        """See `LedgerServer.release`."""
        numbers = [number for place in unused for number in (place.seq, place.predecessor, place.free)]
        await self._run(budget, day, "release", *numbers)

    async def hold(self, budget: Budget, seconds: float) -> None:
        """See `LedgerServer.hold`."""
        await self._run(budget, "", "hold", seconds)

    async def close_day(self, budget: Budget, day: str) -> None:
        """See `LedgerServer.close_day`."""
        await self._run(budget, day, "close")

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """See `LedgerServer.spent`."""
        count, closed = await self._run(budget, day, "spent")
        return int(float(count)), bool(closed)

    async def aclose(self) -> None:
        """See `LedgerServer.aclose`."""
        if (connection := self._of_loop.pop()) is not None:
            connection.is_closed = True
            await connection.close_if_unused()

    async def _run(self, budget: Budget, day: str, operation: str, *arguments: str | float) -> Any:
        from redis import exceptions

        name = f"{_PREFIX}:{budget.account}:{budget.group}"
        keys = [f"{name}:queue", f"{name}:places", f"{name}:day:{day}", f"{_PREFIX}:fences"]
        connection = self._of_loop.get()
        connection.users += 1
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await connection.script(keys=keys, args=[operation, *arguments])
        except (TimeoutError, exceptions.TimeoutError):
            raise LedgerUnavailable(f"Redis at {self.address} did not answer in {_TIMEOUT:g} s") from None
        except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
            raise self._refused(error) from None
        except (exceptions.RedisError, OSError) as error:
            away = isinstance(error, exceptions.ConnectionError | exceptions.ReadOnlyError | OSError)
            if away or any(code in str(error) for code in _TEMPORARY):
                raise LedgerUnavailable(
                    f"Redis at {self.address} is unavailable: {one_line(str(error))}"
                ) from None
            raise self._refused(error) from None
        finally:
            connection.users -= 1
            await connection.close_if_unused()

    def _refused(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"the ledger in Redis at {self.address} refuses the client: {one_line(str(error))}; "
            "check the user, the password and the permission to run scripts"
        )

    def _connect(self) -> _Connection:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # The client must not repeat a reservation whose reply was lost: the limiter tries again.
        client = Redis.from_url(
            self._url,
            decode_responses=True,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        return _Connection(client, client.register_script(self._lua))
