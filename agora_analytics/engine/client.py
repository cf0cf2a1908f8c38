"""What the clients of all vendors are beside their questions: a connection that is closed, a ledger of their own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from agora_analytics.engine.engine import Engine, Quota
from agora_analytics.engine.ledger import SqliteLedger


class Client:
    """The base of the asyncio clients."""

    _engine: Engine
    _own_ledger: SqliteLedger | None = None

    if TYPE_CHECKING:

        def __init__(self, *args: Any, **settings: Any) -> None: ...

    @classmethod
    def _with_ledger(cls, file: str | None, *args: Any, **settings: Any) -> Self:
        """Return a client with a ledger in a file, which it closes; without one if none is named, or one is given."""
        if "ledger" in settings or not file:
            return cls(*args, **settings)
        ledger = SqliteLedger(file)
        try:
            client = cls(*args, ledger=ledger, **settings)
        except BaseException:
            ledger.close()
            raise
        client._own_ledger = ledger
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the requests in progress, and close what the client opened itself."""
        await self._engine.aclose()
        if self._own_ledger is not None:
            await self._own_ledger.aclose()

    @property
    def sent(self) -> Mapping[str, int]:
        """Number of requests sent, by endpoint name; every attempt counts."""
        return self._engine.sent

    async def quota(self) -> list[Quota]:
        """Return what is left of the day of each endpoint, as far as this client's ledger knows.

        Where no quota of a day is documented, `per_day` is what the pace comes to.
        """
        return await self._engine.quota()
