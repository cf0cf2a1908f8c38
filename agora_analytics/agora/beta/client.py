"""The asyncio client of the 2021 beta API."""

from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from agora_analytics.agora.beta.limits import LIMITS
from agora_analytics.agora.beta.questions import BetaQuestions
from agora_analytics.agora.plans import Plan
from agora_analytics.agora.settings import Region, Settings, from_environment
from agora_analytics.core.limits import Limits
from agora_analytics.engine.client import Client
from agora_analytics.engine.clock import Clock
from agora_analytics.engine.engine import Engine, EngineOptions
from agora_analytics.engine.events import Observer
from agora_analytics.engine.ledger import Ledger
from agora_analytics.engine.request_loop import RetryPolicy
from agora_analytics.engine.transports import Transport
from agora_analytics.messages import Request

if TYPE_CHECKING:
    import httpx


class AsyncAgoraBeta(Client, BetaQuestions):
    """Asks the 2021 BETA of Agora Analytics. Today's API is `AsyncAgora`; this one is for accounts that lack it.

    It has no plans, no pages, shows 10 calls and 10 users at a time, and says PERCENT where today's says fractions.

    Args:
        customer_id: the RESTful API's customer id.
        customer_secret: its secret. It is sent in a header only, and never shown.
        app_id: the project's app id.
        region: where your machine is: `global`, or `cn` inside mainland China.
        base_url: pins one host: a proxy, a test, the simulator. Plain http only to this machine.
        retry: timeouts, deadline, back-off and attempts.
        prefetch: how many requests of one listing are under way at the same time.
        transport: what sends requests; yours is not closed. Default: httpx.
        http_client: your own `httpx.AsyncClient` to send with; it is not closed.
        observer: called with every event; default: a log line.
        ledger: what keeps the day's count; `SqliteLedger(path)` shares it between processes.
        clock: tells the time.
        limits: what each endpoint allows, by name; default: what the page of 2021 says.
        validate: check and cut ranges here; False sends them as they are.

    Raises:
        ConfigurationError: if a setting is missing or cannot be used.

    Example:
        async with AsyncAgoraBeta.from_env() as client:
            async for call in client.calls("6h"):
                print(call.created_at, call.cname)
    """

    def __init__(
        self,
        customer_id: str,
        customer_secret: str,
        *,
        app_id: str,
        region: Region | str = Region.GLOBAL,
        base_url: str | None = None,
        retry: RetryPolicy | None = None,
        prefetch: int = 4,
        transport: Transport | None = None,
        http_client: "httpx.AsyncClient | None" = None,
        observer: Observer | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        limits: Mapping[str, Limits] = LIMITS,
        validate: bool = True,
    ) -> None:
        self.settings = Settings(
            customer_id=customer_id,
            customer_secret=customer_secret,
            app_id=app_id,
            plan=Plan(name="beta of 2021", limits=limits),
            region=region,
            base_url=base_url,
        )
        engine = Engine(
            hosts=self.settings.host_table,
            account="\n".join((customer_id, self.settings.base_url or "")),
            limits=limits,
            shared_budgets={},
            authorize=self._headers,
            options=EngineOptions(
                retry=retry,
                transport=transport,
                http_client=http_client,
                observer=observer,
                ledger=ledger,
                clock=clock,
            ),
        )
        super().__init__(engine, app_id=app_id, prefetch=prefetch, validate=validate)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """Return a client with the settings that the environment names; keywords win over it.

        Reads `AGORA_CUSTOMER_ID`, `AGORA_CUSTOMER_SECRET`, `AGORA_APP_ID`, `AGORA_REGION` and `AGORA_BASE_URL`.

        Raises:
            ConfigurationError: if a setting is missing or cannot be used.
        """
        named: dict[str, Any] = dict.fromkeys(("customer_id", "customer_secret", "app_id"), "")
        named |= from_environment(environment)
        named.pop("plan", None)
        return cls(**(named | {name: value for name, value in settings.items() if value is not None}))

    def __repr__(self) -> str:
        return f"AsyncAgoraBeta({self.settings!r})"

    async def _headers(self, _: Request) -> Mapping[str, str]:
        pair = f"{self.settings.customer_id}:{self.settings.customer_secret}"
        return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
