"""The base class of the asynchronous clients, and their common options."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypedDict, TypeVar, Unpack

from attrs import frozen

from agora_analytics.core.base_url import checked_base_url, refuse_open
from agora_analytics.core.windows import Window, time_range
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.engine.engine_options import EngineOptions
from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import httpx
    import pyarrow as pa

    from agora_analytics.core.domains import HostTable
    from agora_analytics.core.limits import Limits
    from agora_analytics.core.record_list import Records
    from agora_analytics.engine.authentication import Authentication
    from agora_analytics.engine.clock import Clock
    from agora_analytics.engine.engine import Engine, Quota
    from agora_analytics.engine.events import Observer
    from agora_analytics.engine.ledger import Ledger
    from agora_analytics.engine.pages import Page, Pages, Paginator
    from agora_analytics.engine.retry_policy import RetryPolicy
    from agora_analytics.engine.shared_resources import SharedResources
    from agora_analytics.engine.transports import Transport
    from agora_analytics.instants import Instant
    from agora_analytics.kit.config_file import Account

T = TypeVar("T")
P = TypeVar("P", bound="Page[Any]")

ConfigPath = str | os.PathLike[str]
"""The path of a configuration file."""
_OF_THE_MACHINE = ("base_url", "region")
"""The settings that do not describe an account, so that the environment overrides the configuration file."""


def basic_auth(user: str, password: str) -> Mapping[str, str]:
    """Return the header of HTTP Basic authentication."""
    from base64 import b64encode

    return {"authorization": f"Basic {b64encode(_encoded(f'{user}:{password}')).decode()}"}


def _encoded(credential: str) -> bytes:
    try:
        return credential.encode()
    except UnicodeEncodeError:  # the error must not show the value
        raise ConfigurationError(
            "a credential contains half of a surrogate pair, which is not text; copy it again"
        ) from None


class ClientOptions(TypedDict, total=False):
    """The keyword arguments that every client takes.

    Attributes:
        base_url: a host that replaces the vendor's hosts: a proxy, a test server, the simulator. Plain http is accepted for
            this machine only.
        allow_http: accept plain http for another machine. The credentials are then sent unencrypted.
        retry: timeouts, deadline, back-off and number of attempts.
        prefetch: how many pages of a listing are fetched at the same time. Default: 4.
        keep_raw: keep the response body of each page as `Page.raw`. By default, it is freed as soon as it is decoded.
        transport: sends the requests; the client does not close it. Default: that of `resources`, or `HttpxTransport()`.
        http_client: your own `httpx.AsyncClient`; the client does not close it.
        observer: called with every event, in addition to the log; or several, each called with every event. Their
            exceptions are logged and otherwise ignored.
        ledger: counts the day's requests and paces them; the client does not close it. Default: the file that all
            programs of the user share, see docs/configuration.md. `SqliteLedger(path)` is another file,
            `PostgresLedger` and `RedisLedger` are shared by several machines, and `MemoryLedger()` shares nothing.
        clock: returns the time, see `agora_analytics.engine.clock.Clock`. Default: the machine's clocks. With a clock of
            its own, a client counts in memory unless `ledger` is passed.
        cache_bytes: the most bytes of responses that the client keeps, of calls that are finished and whose data is complete.
            A repeated request for them is not sent again. Default: 16,000,000; 0: none is kept.
        resources: connections and memory that the client shares with other clients of its event loop, see `SharedResources`.
        validate: False sends the arguments unchanged. By default, arguments that the vendor would refuse raise an error
            before a request is spent, and time ranges are cut to what the plan allows.
    """

    base_url: str | None
    allow_http: bool
    retry: RetryPolicy | None
    prefetch: int
    keep_raw: bool
    transport: Transport | None
    http_client: httpx.AsyncClient | None
    observer: Observer | Sequence[Observer] | None
    ledger: Ledger | None
    clock: Clock | None
    cache_bytes: int
    resources: SharedResources | None
    validate: bool


@frozen(kw_only=True)
class _Options(EngineOptions):
    base_url: str | None = None
    allow_http: bool = False
    prefetch: int = 4
    keep_raw: bool = False
    validate: bool = True


@takes_call_options
class Client:
    """Base class of the asynchronous clients. It closes the engine and, if the client opened it, the ledger.

    Methods that send requests take `deadline=` and `max_wait=`: see `CallOptions`.
    """

    _arguments: Callable[[Account, dict[str, Any]], dict[str, Any]]
    """Returns the arguments of the constructor for the settings of an account of a configuration file."""
    _engine: Engine
    _own_ledger: Ledger | None = None

    def __init__(self, options: ClientOptions) -> None:
        """Check the options. The subclass must then call `_connect`.

        Raises:
            TypeError: an unknown option.
            ConfigurationError: an option that cannot be used.
        """
        if unknown := [name for name in options if name not in ClientOptions.__annotations__]:
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {unknown[0]!r}")
        ledger = options.get("ledger")
        if ledger is None and options.get("clock") is not None:
            from agora_analytics.engine.ledger import MemoryLedger

            ledger = MemoryLedger()  # another clock's times must not enter a file that programs share
        elif ledger is None:
            from agora_analytics.engine.open_ledger import open_ledger

            ledger = self._use(open_ledger())
        options["ledger"] = self._ledger = ledger
        self._options = _Options(**options)
        if self._options.prefetch < 1:
            raise ConfigurationError(f"prefetch must be at least 1, got {self._options.prefetch}")
        self._engines: list[Engine] = []
        self._base_url = checked_base_url(self._options.base_url)
        refuse_open(self._base_url, allow_http=self._options.allow_http)

    def _connect(
        self,
        *,
        hosts: HostTable,
        account: Sequence[str],
        limits: Mapping[str, Limits],
        authentication: Authentication[Any],
        shared_budgets: Mapping[str, str] | None = None,
        describe_missing: Callable[[str], str] | None = None,
    ) -> Engine:
        """Return an engine with the options of this client; `account` identifies the clients that share the limits."""
        from agora_analytics.engine.engine import Engine

        _encoded("".join(account))
        more: dict[str, Any] = {} if describe_missing is None else {"describe_missing": describe_missing}
        engine = Engine(
            hosts=hosts,
            account="\n".join((*account, self._base_url or "")),
            limits=limits,
            authentication=authentication,
            options=self._options,
            shared_budgets=shared_budgets,
            **more,
        )
        self._engines.append(engine)
        return engine

    @classmethod
    def _from_environment(
        cls,
        environment: Mapping[str, str] | None,
        variables: Mapping[str, str],
        settings: Mapping[str, Any],
        *,
        required: Sequence[str] = (),
    ) -> Self:
        """Return a client with the settings that environment variables name; keyword arguments take precedence.

        Args:
            environment: the variables; None: those of the process. If they name no ledger, those of the process do.
            variables: the name of the variable, by setting.
            settings: the keyword arguments; None counts as absent.
            required: settings that are "" if they are not set, so that the constructor names the missing one.
        """
        environment = os.environ if environment is None else environment
        given: dict[str, Any] = dict.fromkeys(required, "")
        given |= {
            name: environment[variable] for name, variable in variables.items() if environment.get(variable)
        }
        given |= {name: value for name, value in settings.items() if value is not None}
        return cls._create(given, ledger=environment.get("AGORA_LEDGER"))

    @classmethod
    def _from_config(
        cls,
        name: str | None,
        path: ConfigPath | None,
        settings: Mapping[str, Any],
        *,
        vendor: str,
        variables: Mapping[str, str],
    ) -> Self:
        """Return a client for an account of a configuration file.

        Keyword arguments take precedence over the environment, and that over the file. Variables that describe an
        account (its credentials, its app, its plan) belong to another account, and are not read.

        Args:
            name: the account.
            path: the file.
            settings: the keyword arguments; None counts as absent.
            vendor: the vendor that the account must have.
            variables: the name of the variable, by setting.
        """
        from agora_analytics.kit.config_file import read_config
        from agora_analytics.logs import set_up_from_environment

        config = read_config(path)
        account = config.account(name, vendor=vendor)
        set_up_from_environment(config.log)
        given = {name: value for name, value in settings.items() if value is not None}
        for setting in _OF_THE_MACHINE:
            value = os.environ.get(variables.get(setting, ""))
            if value and setting not in given:
                given[setting] = value
        given |= account.settings(without=given)
        try:
            return cls._create(
                cls._arguments(account, given), ledger=os.environ.get("AGORA_LEDGER") or config.ledger
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"{account}: {error}") from None

    @classmethod
    def _create(cls, given: Mapping[str, Any], *, ledger: str | None) -> Self:
        """Return a client that counts in the ledger of a name, unless the arguments have a ledger or a clock."""
        create: Callable[..., Self] = cls
        if not ledger or given.get("ledger") is not None or given.get("clock") is not None:
            return create(**given)
        from agora_analytics.engine.open_ledger import open_ledger

        opened = open_ledger(ledger)
        client = create(**given, ledger=opened)
        client._use(opened)  # noqa: SLF001 - it is this class
        return client

    def _use(self, ledger: Ledger) -> Ledger:
        """Let the client close a ledger. Other clients that use it open its file or connections again."""
        self._own_ledger = ledger
        return ledger

    if not TYPE_CHECKING:  # type checkers report the use themselves

        def __enter__(self) -> NoReturn:
            name = type(self).__name__
            raise TypeError(
                f"use `async with {name}...`, or {name.removeprefix('Async')} of agora_analytics.blocking"
            )

        def __exit__(self, *_: object) -> None:
            """Never called, but `with` looks it up first."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the requests in progress, and close the engine and any ledger that the client opened."""
        for engine in reversed(self._engines):
            await engine.aclose()
        if self._own_ledger is not None:
            await self._own_ledger.aclose()

    @property
    def sent(self) -> Mapping[str, int]:
        """Number of requests sent, by endpoint name; every attempt counts."""
        return sum((Counter(engine.sent) for engine in self._engines), Counter[str]())

    async def quota(self, **options: Unpack[CallOptions]) -> Records[Quota]:
        """Return the state of each endpoint's quota for today, as this client's ledger knows it.

        Where the vendor documents no quota a day, `per_day` is what its rate allows.
        """
        from agora_analytics.core.record_list import records_of
        from agora_analytics.engine.engine import Quota

        return records_of(Quota, [quota for engine in self._engines for quota in await engine.quota()])

    def _now(self) -> float:
        return self._engine.server_time.now()

    def _window(
        self,
        since: Instant,
        until: Instant,
        *,
        validate: bool | None = None,
        names: tuple[str, str] = ("since", "until"),
    ) -> Window:
        """Return the seconds of `since <= t < until`; without validation, return both numbers unchanged."""
        return time_range(since, until, now=self._now(), validate=self._validates(validate), names=names)

    def _validates(self, validate: bool | None) -> bool:
        return self._options.validate if validate is None else validate

    def _pages(
        self,
        paginator: Callable[[], Awaitable[Paginator[Any, P]]],
        *,
        record: type[T] | None = None,
        table: Callable[[Sequence[P]], pa.Table],
        paginator_for_table: Callable[[], Awaitable[Paginator[Any, Any]]] | None = None,
        prefetch: int | None = None,
    ) -> Pages[T, P]:
        """Return a listing of this client; `record` is the type of its records, for type checkers."""
        from agora_analytics.engine.pages import Pages

        del record
        return Pages(
            paginator,
            spawn=self._engine.spawn,
            prefetch=prefetch or self._options.prefetch,
            table=table,
            paginator_for_table=paginator_for_table,
            prefetch_budget=self._engine.prefetch_budget,
            keep_raw=self._options.keep_raw,
        )
