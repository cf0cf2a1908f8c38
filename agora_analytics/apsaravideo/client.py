"""The asyncio client of ApsaraVideo Live's interaction metrics."""

from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Self, Unpack
from urllib.parse import urlsplit

from agora_analytics.apsaravideo.auth import (
    Credentials,
    CredentialsSource,
    signed_headers,
    with_access_key,
)
from agora_analytics.apsaravideo.listing import (
    OPERATION,
    Filters,
    MetricPosition,
    MetricWindow,
    check_metrics,
    metric_listing,
)
from agora_analytics.apsaravideo.records import MetricPage, MetricPoint, Points, points_table
from agora_analytics.apsaravideo.spec import ACTION, HOST, LIMITS, Metric
from agora_analytics.core.domains import HostTable
from agora_analytics.core.resume_tokens import ResumeTokens, as_asked
from agora_analytics.core.sent_text import check_credential
from agora_analytics.core.windows import Window
from agora_analytics.engine.authentication import Authentication, always
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.engine.pages import Pages
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import Instant
from agora_analytics.kit.client import Client, ClientOptions, ConfigPath
from agora_analytics.kit.listing import Listing
from agora_analytics.messages import Request

ENVIRONMENT = {
    "access_key_id": "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "access_key_secret": "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "security_token": "ALIBABA_CLOUD_SECURITY_TOKEN",
    "app_id": "APSARAVIDEO_APP_ID",
    "base_url": "APSARAVIDEO_BASE_URL",
}
_PORTS = {"http": 80, "https": 443}


class ApsaraVideoSettings(ClientOptions, total=False):
    """The keyword arguments of `AsyncApsaraVideo.from_env`."""

    access_key_id: str | None
    access_key_secret: str | None
    security_token: str | None
    credentials: Credentials | CredentialsSource | None
    app_id: str | None
    account: str | None


@takes_call_options
class AsyncApsaraVideo(Client):
    """Reads the interaction metrics of an app of ApsaraVideo Real-time Communication.

    Args:
        access_key_id: the id of an access key that RAM allows `live:DescribeLiveInteractionMetricData`.
        access_key_secret: its secret.
        security_token: the token of a temporary key, from the Security Token Service (STS).
        credentials: `Credentials` in place of the three above, or a coroutine function that returns them. It is
            called for every attempt, so it should keep the credentials until they are about to expire. If the server
            refuses credentials and the function then returns others, the request is sent once more.
        app_id: the app whose metrics the listings return by default.
        account: names who shares the 50 requests a second. All keys and RAM users of an Alibaba Cloud account share
            them, so pass the same name to clients with different keys. Default: the access key's id, or with
            `credentials` the app.
        **options: see `ClientOptions`. The default of `prefetch` is 8.

    Raises:
        ConfigurationError: a setting is missing or cannot be used.

    Example:
        async with AsyncApsaraVideo("key-id", "secret", app_id="app") as client:
            async for point in client.interaction_metrics("VideoStuckRate", "2d"):
                print(point.at, point.value)
    """

    _arguments = staticmethod(with_access_key)

    def __init__(
        self,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        *,
        security_token: str | None = None,
        credentials: Credentials | CredentialsSource | None = None,
        app_id: str,
        account: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        if not app_id:
            raise ConfigurationError(f"app_id is missing; pass app_id= or set {ENVIRONMENT['app_id']}")
        check_credential("app_id", app_id)
        super().__init__({"prefetch": 8, **options})
        self.app_id = app_id
        self._credentials, key_id = _source(access_key_id, access_key_secret, security_token, credentials)
        self._host = self._base_url or HOST
        self._engine = self._connect(
            hosts=HostTable(preferred=self._host),
            account=("apsaravideo", account or key_id or f"app {app_id}"),
            limits=LIMITS,
            authentication=Authentication(self._credentials, self._sign),
        )

    @classmethod
    def from_env(
        cls, environment: Mapping[str, str] | None = None, **settings: Unpack[ApsaraVideoSettings]
    ) -> Self:
        """Return a client with the settings of environment variables; keyword arguments take precedence.

        Reads `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET`, `ALIBABA_CLOUD_SECURITY_TOKEN`,
        `APSARAVIDEO_APP_ID`, `APSARAVIDEO_BASE_URL` and `AGORA_LEDGER`: see docs/configuration.md.

        Raises:
            ConfigurationError: a setting is missing or cannot be used.
        """
        replaced: set[str] = set()  # variables that belong to a key that is not used
        if settings.get("credentials") is not None:
            replaced = {"access_key_id", "access_key_secret", "security_token"}
        elif settings.get("access_key_id") is not None:
            replaced = {"security_token"}
        return cls._from_environment(
            environment,
            {name: variable for name, variable in ENVIRONMENT.items() if name not in replaced},
            settings,
            required=("app_id",),
        )

    @classmethod
    def from_config(
        cls, name: str | None = None, path: ConfigPath | None = None, **settings: Unpack[ApsaraVideoSettings]
    ) -> Self:
        """Return a client for an account of a configuration file, see `AsyncAgora.from_config`.

        Raises:
            ConfigurationError: the file or the account is missing, or a setting cannot be used.
        """
        return cls._from_config(name, path, settings, vendor="apsaravideo", variables=ENVIRONMENT)

    def __repr__(self) -> str:
        return f"AsyncApsaraVideo(app_id={self.app_id!r}, host={self._host!r})"

    def reach(self) -> Window:
        """Return the seconds that can be requested now: the last 30 days."""
        return self._engine.reach(OPERATION)

    def interaction_metrics(
        self,
        metric: Metric | str,
        begin: Instant,
        end: Instant = "now",
        *,
        os: str | None = None,
        terminal_type: str | None = None,
        channel_id: str | None = None,
        app_id: str | None = None,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[MetricPoint, MetricPage]:
        """List the points of a metric, one for each 5 minutes of `begin <= t < end`, the earliest first.

        What lies outside the last 30 days is cut off. The rest is split into windows of 24 hours, which are fetched in
        parallel; each is a page with its `summary`. A point that two responses have is returned once. The server may
        also return the 5 minutes in which `begin` lies; they are kept.

        Args:
            metric: a `Metric`, or a raw name.
            begin: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            end: likewise.
            os: an `Os` or a raw name; None: all.
            terminal_type: a `TerminalType` or a raw name; None: all.
            channel_id: one channel; None: all.
            app_id: another app than the client's.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments. The
                range is that of the token.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `begin` not before `end`, an empty or misspelled name, a
                resume token of other arguments.
            WindowOutOfReach: no part of the range can be requested; no request was sent.
            BadRequest, AuthenticationError, AccessDenied, RateLimited: the server refused the request.
            TransportError, ServerError: there was no good response.
            DecodeError: a response cannot be read. A value that is not a number is not an error: see `MetricPoint.raw`.

        Example:
            listing = client.interaction_metrics(Metric.FIRST_FRAME_COST, "7d", os="iOS")
            print([page.summary async for page in listing.pages()])

        Source: Alibaba Cloud, "ApsaraVideo Live: DescribeLiveInteractionMetricData".
        """
        return self.all_metrics(
            begin,
            end,
            metrics=(metric,),
            os=os,
            terminal_type=terminal_type,
            channel_id=channel_id,
            app_id=app_id,
            resume=resume,
        )

    def all_metrics(
        self,
        begin: Instant,
        end: Instant = "now",
        *,
        metrics: Sequence[Metric | str] | str = tuple(Metric),
        os: str | None = None,
        terminal_type: str | None = None,
        channel_id: str | None = None,
        app_id: str | None = None,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[MetricPoint, MetricPage]:
        """List the points of several metrics, one metric after the other. Args and Raises: as `interaction_metrics`.

        Args:
            metrics: one metric or several; default: every `Metric`.
            resume: a page's `resume_token`; pass the same other arguments.

        Example:
            table = await client.all_metrics("1d").to_arrow()
        """
        names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        filters = Filters(
            app_id=self.app_id if app_id is None else app_id,
            os=os,
            terminal_type=terminal_type,
            channel_id=channel_id,
        )

        async def paginator() -> Listing[MetricWindow, Points, MetricPage]:
            limits = None
            if self._options.validate:
                check_metrics(names)
                filters.check()
                limits = self._engine.limits(OPERATION)
            window = self._window(begin, end, names=("begin", "end"))
            tokens = ResumeTokens(OPERATION.name, names, filters.query, as_asked(begin), as_asked(end))
            position = None
            if resume is not None:
                position = tokens.read(resume, MetricPosition) or MetricPosition.at_end(window)
            return metric_listing(self._engine, names, filters, window, limits, tokens, position)

        return self._pages(paginator, table=points_table)

    def _sign(self, request: Request, credentials: Credentials) -> Mapping[str, str]:
        return signed_headers(
            method=request.method,
            host=_host_header(request.base_url),
            path=request.path,
            query=request.query,
            body=request.body,
            content_type=request.headers.get("content-type"),
            action=ACTION,
            credentials=credentials,
            now=self._now(),
            nonce=token_hex(16),
        )


def _source(
    key_id: str | None,
    secret: str | None,
    token: str | None,
    source: Credentials | CredentialsSource | None,
) -> tuple[CredentialsSource, str | None]:
    """Return the source of credentials, and the access key's id if it is always the same."""
    if source is not None:
        if key_id or secret or token:
            raise ConfigurationError("pass either credentials= or an access key, not both")
        if not isinstance(source, Credentials):
            return source, None
    fixed = source or Credentials(key_id or "", secret or "", security_token=token)
    return always(fixed), fixed.access_key_id


def _host_header(base_url: str) -> str:
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS.get(parts.scheme)) else f"{host}:{parts.port}"
