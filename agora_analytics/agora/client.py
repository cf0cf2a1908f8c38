"""The asyncio client of Agora Analytics."""

import os
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from agora_analytics.agora.call_statistics import CallStatistics
from agora_analytics.agora.insights import Insights
from agora_analytics.agora.operations import SHARED_BUDGET
from agora_analytics.agora.plans import Plan, plans_with
from agora_analytics.agora.realtime import Realtime
from agora_analytics.agora.settings import Region, Settings, from_environment
from agora_analytics.core.domains import DomainState
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


class AsyncAgora(Client, CallStatistics):
    """Asks Agora Analytics, within the limits of a plan.

    Args:
        customer_id: the RESTful API's customer id.
        customer_secret: its secret. It is sent in a header only, and never shown.
        app_id: the project's app id.
        plan: `standard`, `premium`, `enterprise`, or a `Plan` with the numbers of your contract.
        region: where your machine is: `global`, or `cn` inside mainland China.
        base_url: pins one host: a proxy, a test, the simulator. Plain http only to this machine.
        allow_http: let the base URL be plain http to another machine, which shows the secret to all in between.
        regional_hosts: go to the hosts of a single area as the last resort.
        retry: timeouts, deadline, back-off and attempts.
        prefetch: how many pages of one listing are fetched at the same time.
        transport: what sends requests; yours is not closed. Default: httpx.
        http_client: your own `httpx.AsyncClient` to send with; it is not closed.
        observer: called with every event; default: a log line.
        ledger: what keeps the day's count; `SqliteLedger(path)` shares it between processes.
        clock: tells the time.
        shared_budget: read the plan as one quota for sessions, metrics and statistics together, and one for the
            four of real time, instead of one for each.
        validate: False sends what calls ask for as it is, unless they say otherwise. By default whatever cannot be
            answered is refused before a request is spent.

    Attributes:
        settings: who asks, for which app, under which plan and where.
        insights: usage and quality over days and hours.
        realtime: usage and quality at the moment, in windows of 20 seconds.

    Raises:
        ConfigurationError: if a setting is missing or cannot be used.

    Example:
        async with AsyncAgora.from_env() as client:
            async for call in client.calls("6h", "now"):
                print(call.created_at, call.cname)
    """

    def __init__(
        self,
        customer_id: str,
        customer_secret: str,
        *,
        app_id: str,
        plan: Plan | str = "standard",
        region: Region | str = Region.GLOBAL,
        base_url: str | None = None,
        allow_http: bool = False,
        regional_hosts: bool = True,
        retry: RetryPolicy | None = None,
        prefetch: int = 4,
        transport: Transport | None = None,
        http_client: "httpx.AsyncClient | None" = None,
        observer: Observer | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        shared_budget: bool = False,
        validate: bool = True,
    ) -> None:
        self.settings = Settings(
            customer_id=customer_id,
            customer_secret=customer_secret,
            app_id=app_id,
            plan=plan,
            region=region,
            base_url=base_url,
            allow_http=allow_http,
            regional_hosts=regional_hosts,
        )
        engine = Engine(
            hosts=self.settings.host_table,
            account="\n".join((customer_id, self.settings.base_url or "")),
            limits=self.settings.plan.limits,
            shared_budgets=SHARED_BUDGET if shared_budget else {},
            authorize=self._headers,
            describe_missing=self._lacks,
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
        self.insights = Insights(self._asker)
        self.realtime = Realtime(self._asker)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """Return a client with the settings that the environment names; keywords win over it.

        Reads `AGORA_CUSTOMER_ID`, `AGORA_CUSTOMER_SECRET`, `AGORA_APP_ID`, `AGORA_PLAN`, `AGORA_REGION`,
        `AGORA_BASE_URL` and `AGORA_LEDGER` (a file that keeps the day's count).

        Raises:
            ConfigurationError: if a setting is missing or cannot be used.
        """
        environment = os.environ if environment is None else environment
        named: dict[str, Any] = dict.fromkeys(("customer_id", "customer_secret", "app_id"), "")
        named |= from_environment(environment)
        named |= {name: value for name, value in settings.items() if value is not None}
        return cls._with_ledger(environment.get("AGORA_LEDGER"), **named)

    def __repr__(self) -> str:
        return f"AsyncAgora({self.settings!r})"

    def _lacks(self, endpoint: str) -> str:
        plan = self.settings.plan.name
        return (
            f"the {plan} plan does not include {endpoint}; it takes {plans_with(endpoint) or 'another one'}"
        )

    async def domains(self) -> list[DomainState]:
        """Return the hosts as the client sees them now: which one is in use, which ones rest, and why."""
        return self._engine.domains()

    async def _headers(self, _: Request) -> Mapping[str, str]:
        pair = f"{self.settings.customer_id}:{self.settings.customer_secret}"
        return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
