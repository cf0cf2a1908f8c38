"""The asyncio client of Vonage / OpenTok Insights."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve

from agora_analytics.core.base_url import checked_base_url, refuse_open
from agora_analytics.core.domains import HostTable
from agora_analytics.core.windows import Window
from agora_analytics.engine.client import Client
from agora_analytics.engine.clock import Clock
from agora_analytics.engine.engine import Engine, EngineOptions
from agora_analytics.engine.events import Observer
from agora_analytics.engine.ledger import Ledger, MemoryLedger
from agora_analytics.engine.request_loop import RetryPolicy
from agora_analytics.engine.transports import Transport
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import Instant
from agora_analytics.messages import Request
from agora_analytics.opentok.credentials import Application, Credentials, ProjectKey
from agora_analytics.opentok.meeting_data import MeetingData
from agora_analytics.opentok.project_data import ProjectData
from agora_analytics.opentok.raw_query import QueryResult, run_query
from agora_analytics.opentok.runner import InsightsRunner
from agora_analytics.opentok.spec import LIMITS, SESSION_DATA, SHARED_BUDGETS

if TYPE_CHECKING:
    import httpx

_KEY, _SECRET = "OPENTOK_API_KEY", "OPENTOK_API_SECRET"
_APPLICATION, _PRIVATE_KEY = "VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY"
_BASE_URL, _LEDGER = "OPENTOK_BASE_URL", "OPENTOK_LEDGER"

_FOR_PAGES = 900
"""Seconds at the old end of the reach that are not asked for: a listing's pages all have the start of the first one."""
_WAYS_DIFFER = 0.4
"""Seconds that the limit's 30 are taken longer: a way to the server that is so much shorter than others costs 1%."""
_LIMITS = {name: evolve(one, period=one.period + _WAYS_DIFFER) for name, one in LIMITS.items()}
_LIMITS[SESSION_DATA] = evolve(_LIMITS[SESSION_DATA], reach=LIMITS[SESSION_DATA].reach - _FOR_PAGES)
_THIS_MACHINE = MemoryLedger()
"""The pace of all clients of this process: the server counts by address as well as by key."""


class AsyncOpenTok(Client, MeetingData, ProjectData):
    """Asks Insights about one project, within its limits.

    The server takes fewer than 100 requests in 30 seconds for each key, and for each IP address. All clients of a
    process keep to one pace together, whatever their keys, which keeps both; `SqliteLedger(path)` does that for the
    processes of a machine.

    Args:
        credentials: `ProjectKey(api_key, secret)` of an OpenTok project, or `Application(application_id, private_key)`
            of a Vonage application.
        base_url: pins another host: a proxy, a test, the simulator. Plain http only to this machine.
        allow_http: let the base URL be plain http to another machine, which shows tokens to all in between.
        retry: timeouts, deadline, back-off and attempts.
        prefetch: how many pages of one listing are fetched at the same time.
        transport: what sends requests; yours is not closed. Default: httpx.
        http_client: your own `httpx.AsyncClient` to send with; it is not closed.
        observer: called with every event of the engine; default: a log line.
        ledger: what keeps the pace.
        clock: tells the time.
        validate: cut time ranges to what can be asked for here; False sends them as they are.

    Raises:
        ConfigurationError: if a setting is missing or cannot be used.

    Example:
        async with AsyncOpenTok(ProjectKey("45000001", "secret")) as client:
            async for summary in client.session_summaries("1d"):
                print(summary.session_id, len(summary.meetings))
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        base_url: str | None = None,
        allow_http: bool = False,
        retry: RetryPolicy | None = None,
        prefetch: int = 4,
        transport: Transport | None = None,
        http_client: "httpx.AsyncClient | None" = None,
        observer: Observer | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        validate: bool = True,
    ) -> None:
        self.credentials = credentials
        self._host = checked_base_url(base_url) or credentials.host
        refuse_open(self._host, allow_http=allow_http)
        self._engine = Engine(
            hosts=HostTable(preferred=self._host),
            account=f"opentok\n{self._host}",  # no key: the address is counted too
            limits=_LIMITS,
            shared_budgets=SHARED_BUDGETS,
            authorize=self._token,
            options=EngineOptions(
                retry=retry,
                transport=transport,
                http_client=http_client,
                observer=observer,
                ledger=ledger or (MemoryLedger() if clock else _THIS_MACHINE),
                clock=clock,
            ),
        )
        super().__init__(
            InsightsRunner(
                self._engine, path=credentials.path, project_id=self.project_id, validate=validate
            ),
            prefetch=prefetch,
        )

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """Return a client with the settings that the environment names; keywords win over it.

        Reads `OPENTOK_API_KEY` and `OPENTOK_API_SECRET`, or `VONAGE_APPLICATION_ID` and `VONAGE_PRIVATE_KEY` (the key
        itself, or the path of a file with it); `OPENTOK_BASE_URL`, and `OPENTOK_LEDGER` (a file that keeps the pace of
        several processes).

        Raises:
            ConfigurationError: if a setting is missing or cannot be used.
        """
        environment = os.environ if environment is None else environment
        given = {name: value for name, value in settings.items() if value is not None}
        credentials = given.pop("credentials", None) or credentials_from(environment)
        given = {"base_url": environment.get(_BASE_URL)} | given
        return cls._with_ledger(environment.get(_LEDGER), credentials, **given)

    def __repr__(self) -> str:
        return f"AsyncOpenTok({self.credentials!r}, host={self._host!r})"

    @property
    def project_id(self) -> str:
        """The project that is asked for: the API key, or the application's id."""
        return self.credentials.project_id

    def window(self, since: Instant, until: Instant = "now") -> Window:
        """Return a time range as whole seconds, unclipped.

        Raises:
            InvalidRequest: milliseconds, naive datetimes, `until` not after `since`.
        """
        return self._asker.window(since, until)

    def reach(self) -> Window:
        """Return the seconds whose session data can be asked for at this moment.

        The last 21 days, without the first quarter of an hour: all pages of a listing must still be there.
        """
        return self._asker.reach

    async def query(self, text: str, variables: Mapping[str, Any] | None = None) -> QueryResult:
        """Ask any query, and follow the pages of every list in it, at every level.

        Lists are what has `resources`; to each, `pageInfo` and a `first` that the node limit bears are added. Give
        what your users typed as variables, never as part of the text. Needs the extra `[opentok]`.

        Args:
            text: one query, in GraphQL.
            variables: the values of its variables.

        Returns:
            The data, whole, and the problems that came beside them.

        Raises:
            InvalidRequest: it is no query, or a variable is something that JSON does not have.
            As `session_summaries`.

        Example:
            result = await client.query("{ project(projectId: 45000001) { projectData(start: 0) { resources { "
                "usage { streamedPublishedMinutes } } } } }")
            print(result.data)

        Source: `reference/opentok-insights.md`, sections 3 and 7.
        """
        return await run_query(self._asker, text, variables or {})

    async def _token(self, request: Request) -> Mapping[str, str]:
        del request
        return self.credentials.headers(self._engine.server_time.now())


def credentials_from(environment: Mapping[str, str]) -> Credentials:
    """Return the credentials that an environment names.

    Raises:
        ConfigurationError: naming what is missing, or what cannot be used.
    """
    if application := environment.get(_APPLICATION):
        return Application(application, _private_key(environment.get(_PRIVATE_KEY, "")))
    missing = [name for name in (_KEY, _SECRET) if not environment.get(name)]
    if missing:
        raise ConfigurationError(
            f"not set in the environment: {', '.join(missing)} (or {_APPLICATION} and {_PRIVATE_KEY})"
        )
    return ProjectKey(environment[_KEY], environment[_SECRET])


def _private_key(named: str) -> str:
    if not named:
        raise ConfigurationError(f"not set in the environment: {_PRIVATE_KEY}, beside {_APPLICATION}")
    if "-----BEGIN" in named:
        return named.replace("\\n", "\n")
    try:
        return Path(named).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"{_PRIVATE_KEY} names a file that cannot be read: {reason}") from None
