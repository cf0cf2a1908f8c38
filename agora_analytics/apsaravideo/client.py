"""The asyncio client of ApsaraVideo Live's interaction metrics."""

import os
from collections.abc import Mapping
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from agora_analytics.apsaravideo.credentials import Credentials, CredentialsSource
from agora_analytics.apsaravideo.facts import ACTION, HOST, LIMITS
from agora_analytics.apsaravideo.judge import judge
from agora_analytics.apsaravideo.metrics import InteractionMetrics
from agora_analytics.apsaravideo.signature import signed_headers
from agora_analytics.core.base_url import checked_base_url, refuse_open
from agora_analytics.core.domains import HostTable
from agora_analytics.engine.client import Client
from agora_analytics.engine.clock import Clock
from agora_analytics.engine.engine import ClientOptions, Engine
from agora_analytics.engine.events import Observer
from agora_analytics.engine.ledger import Ledger
from agora_analytics.engine.request_loop import RetryPolicy
from agora_analytics.engine.transports import Transport
from agora_analytics.errors import ConfigurationError
from agora_analytics.messages import Request

if TYPE_CHECKING:
    import httpx

ENVIRONMENT = {
    "access_key_id": "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "access_key_secret": "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "security_token": "ALIBABA_CLOUD_SECURITY_TOKEN",
    "app_id": "APSARAVIDEO_APP_ID",
    "base_url": "APSARAVIDEO_BASE_URL",
}
_LEDGER = "APSARAVIDEO_LEDGER"
_PORTS = {"http": 80, "https": 443}


class AsyncApsaraVideo(Client, InteractionMetrics):
    """Reads the interaction metrics of an app of ApsaraVideo Real-time Communication.

    Args:
        access_key_id: the id of an access key that RAM allows `live:DescribeLiveInteractionMetricData`.
        access_key_secret: its secret.
        security_token: the token of a temporary key, from the Security Token Service (STS).
        credentials: an async callable that returns `Credentials`, instead of the three above. It is asked for every
            attempt, so it should keep what it has until that is about to expire.
        app_id: the app, the default of every question.
        account: who shares the 50 requests a second, for the ledger. All keys and RAM users of an Alibaba Cloud
            account share them, so give clients with several keys one name. Default: the access key's id, or with
            `credentials` the app.
        base_url: the endpoint: a region's, a proxy, a test, the simulator. Plain http only to this machine.
        allow_http: let the base URL be plain http to another machine.
        retry: timeouts, deadline, back-off and attempts.
        prefetch: how many windows are asked for at the same time.
        transport: what sends requests; yours is not closed. Default: httpx.
        http_client: your own `httpx.AsyncClient` to send with; it is not closed.
        observer: called with every event of the engine; default: a log line.
        ledger: what keeps the pace; `SqliteLedger(path)` shares it between processes.
        clock: tells the time.
        validate: check and split questions here; False sends one request, with what was given as it is.

    Raises:
        ConfigurationError: if a setting is missing or cannot be used.

    Example:
        async with AsyncApsaraVideo("key id", "secret", app_id="app") as client:
            async for point in client.interaction_metrics("VideoStuckRate", "2d"):
                print(point.at, point.value)
    """

    def __init__(
        self,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        *,
        security_token: str | None = None,
        credentials: CredentialsSource | None = None,
        app_id: str,
        account: str | None = None,
        base_url: str | None = None,
        allow_http: bool = False,
        retry: RetryPolicy | None = None,
        prefetch: int = 8,
        transport: Transport | None = None,
        http_client: "httpx.AsyncClient | None" = None,
        observer: Observer | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        validate: bool = True,
    ) -> None:
        if not app_id:
            raise ConfigurationError(f"app_id is missing; pass app_id= or set {ENVIRONMENT['app_id']}")
        if prefetch < 1:
            raise ConfigurationError(f"prefetch={prefetch}, but at least one window must be asked for")
        self._source, key = _credentials(access_key_id, access_key_secret, security_token, credentials)
        self._host = checked_base_url(base_url) or HOST
        refuse_open(self._host, allow_http=allow_http)
        engine = Engine(
            hosts=HostTable(preferred=self._host),
            customer="\n".join(
                ("apsaravideo", account or key or f"app {app_id}", checked_base_url(base_url) or "")
            ),
            limits=LIMITS,
            shares={},
            judge=judge,
            authorize=self._sign,
            means=ClientOptions(
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

        Reads `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET`, `ALIBABA_CLOUD_SECURITY_TOKEN`,
        `APSARAVIDEO_APP_ID`, `APSARAVIDEO_BASE_URL` and `APSARAVIDEO_LEDGER` (a file that keeps the pace of several
        processes).

        Raises:
            ConfigurationError: if a setting is missing or cannot be used.
        """
        environment = os.environ if environment is None else environment
        given = {name: value for name, value in settings.items() if value is not None}
        named: dict[str, Any] = {"app_id": "", **_named_by(environment, given)}
        named |= given
        return cls._with_ledger(environment.get(_LEDGER), **named)

    def __repr__(self) -> str:
        return f"AsyncApsaraVideo(app_id={self.app_id!r}, host={self._host!r})"

    async def _sign(self, request: Request) -> Mapping[str, str]:
        return signed_headers(
            method=request.method,
            host=_host_header(request.base_url),
            path=request.path,
            query=request.query,
            body=request.body,
            content_type=request.headers.get("content-type"),
            action=ACTION,
            credentials=await self._source(),
            now=self._engine.server_time.now(),
            nonce=token_hex(16),
        )


def _named_by(environment: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that the environment names; what belongs to a key that is not used is left out."""
    left_out: set[str] = set()
    if "credentials" in given:
        left_out = {"access_key_id", "access_key_secret", "security_token"}
    elif "access_key_id" in given:
        left_out = {"security_token"}
    wanted = {name: variable for name, variable in ENVIRONMENT.items() if name not in left_out}
    return {name: environment[variable] for name, variable in wanted.items() if environment.get(variable)}


def _credentials(
    key_id: str | None, secret: str | None, token: str | None, source: CredentialsSource | None
) -> tuple[CredentialsSource, str | None]:
    """Return what tells the credentials, and the access key's id where it is always the same."""
    if source is not None:
        if key_id or secret or token:
            raise ConfigurationError("give credentials=, or an access key, not both")
        return source, None
    fixed = Credentials(key_id or "", secret or "", security_token=token)

    async def always() -> Credentials:
        return fixed

    return always, fixed.access_key_id


def _host_header(base_url: str) -> str:
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS.get(parts.scheme)) else f"{host}:{parts.port}"
