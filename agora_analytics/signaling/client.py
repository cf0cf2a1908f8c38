"""The asyncio client of Agora Signaling."""

import os
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Self, Unpack

from agora_analytics.agora.credentials import Basic, customer_credentials, in_headers
from agora_analytics.agora.settings import ENVIRONMENT, Region, RegionName, Settings
from agora_analytics.core.domains import HostTable
from agora_analytics.core.limits import Limits
from agora_analytics.core.record_table import pages_table
from agora_analytics.core.resume_tokens import ResumeTokens, as_asked
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.engine.pages import Page, Pages, Paginator
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.instants import Instant
from agora_analytics.kit.client import ClientOptions, ConfigPath
from agora_analytics.kit.operation import Operation
from agora_analytics.signaling import operations
from agora_analytics.signaling.credentials import (
    Credentials,
    CredentialsSource,
    LegacyToken,
    Token,
    with_credentials,
)
from agora_analytics.signaling.events import EventBatch, EventMemory, EventQueue
from agora_analytics.signaling.history import Archive, history_listing, start_at
from agora_analytics.signaling.limits import (
    LIMITS,
    SHARED_BUDGETS,
    check_archive_page,
    check_ends,
    check_history,
)
from agora_analytics.signaling.messages import Messages
from agora_analytics.signaling.operations import HISTORY_HOSTS, DecodedEvents, E, at
from agora_analytics.signaling.records import (
    ArchivedMessage,
    ChannelEvent,
    HistoryMessage,
    UserEvent,
)


class SignalingSettings(ClientOptions, total=False):
    """The keyword arguments of `AsyncSignaling.from_env`."""

    credentials: Credentials | CredentialsSource | None
    app_id: str | None
    region: Region | RegionName | None
    limits: Mapping[str, Limits] | None
    memory: EventMemory | None


@takes_call_options
class AsyncSignaling(Messages):
    """Sends messages and reads histories and events of one App ID of Agora Signaling (RTM), over REST.

    Args:
        credentials: `Basic(customer_id, customer_secret)`, `Token(token)` or `LegacyToken(user_id, token)`, or a
            coroutine function that returns one. It is called for every attempt, so it should keep the credentials until
            they are about to expire. If the server refuses credentials and the function then returns others, the request
            is sent once more.
        app_id: the project's App ID. All limits are counted for it, over all machines.
        region: where your machine is: `global`, or `cn` inside mainland China.
        limits: the rate limit of each endpoint, by name. Default: `LIMITS`; more cautious: `SIXTY_A_SECOND`.
        memory: the events seen so far. Pass the same one to the clients of several regions to recognize duplicates.
        **options: see `ClientOptions`. `prefetch` has no effect: each page names where the next one starts.

    Raises:
        ConfigurationError: a setting is missing or cannot be used.

    Example:
        async with AsyncSignaling(Basic("customer-id", "secret"), app_id="app") as client:
            delivery = await client.peer_message("server", "ann", "hello")
            print(delivery.state)
    """

    _arguments = staticmethod(with_credentials)

    def __init__(
        self,
        credentials: Credentials | CredentialsSource,
        *,
        app_id: str,
        region: Region | RegionName = Region.GLOBAL,
        limits: Mapping[str, Limits] = LIMITS,
        memory: EventMemory | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(options)
        if isinstance(credentials, Basic):
            customer_credentials(
                credentials.customer_id, credentials.customer_secret, None
            )  # neither is empty
        authentication = in_headers(credentials, (Basic, Token, LegacyToken))
        settings = Settings(
            app_id=app_id,
            region=region,
            base_url=self._base_url,
            allow_http=self._options.allow_http,
        )
        self.app_id = app_id
        self.credentials = credentials
        self._host = settings.host_table.preferred
        self._engine = self._connect(
            hosts=settings.host_table,
            account=("signaling", app_id),
            limits={name: row for name, row in limits.items() if name != operations.HISTORY.name},
            shared_budgets=SHARED_BUDGETS,
            authentication=authentication,
        )
        # Today's history prefers a host of its own, whatever the region, and therefore has an engine.
        self._history_engine = self._connect(
            hosts=HostTable(preferred=self._base_url) if self._base_url else HISTORY_HOSTS,
            account=("signaling", app_id),
            limits={name: row for name, row in limits.items() if name == operations.HISTORY.name},
            authentication=authentication,
        )
        memory = EventMemory() if memory is None else memory  # an empty memory is false
        self._user_events = self._queue(operations.USER_EVENTS, memory)
        self._channel_events = self._queue(operations.CHANNEL_EVENTS, memory)

    @classmethod
    def from_env(
        cls, environment: Mapping[str, str] | None = None, **settings: Unpack[SignalingSettings]
    ) -> Self:
        """Return a client with the settings of environment variables; keyword arguments take precedence.

        Reads `AGORA_CUSTOMER_ID`, `AGORA_CUSTOMER_SECRET`, `AGORA_APP_ID`, `AGORA_REGION`, `AGORA_BASE_URL` and
        `AGORA_LEDGER`: see docs/configuration.md.

        Raises:
            ConfigurationError: a setting is missing or cannot be used.
        """
        environment = os.environ if environment is None else environment
        if settings.get("credentials") is None:
            names = ENVIRONMENT["customer_id"], ENVIRONMENT["customer_secret"]
            settings["credentials"] = Basic(*(environment.get(name, "") for name in names))
        return cls._from_environment(
            environment,
            {name: ENVIRONMENT[name] for name in ("app_id", "region", "base_url")},
            settings,
            required=("app_id",),
        )

    @classmethod
    def from_config(
        cls, name: str | None = None, path: ConfigPath | None = None, **settings: Unpack[SignalingSettings]
    ) -> Self:
        """Return a client for an account of a configuration file, see `AsyncAgora.from_config`.

        The account has a `customer_id` and a secret, or a `token`. The token is read again for every attempt, so a
        program that renews it can replace its file.

        Raises:
            ConfigurationError: the file or the account is missing, or a setting cannot be used.
        """
        return cls._from_config(name, path, settings, vendor="signaling", variables=ENVIRONMENT)

    def __repr__(self) -> str:
        return f"AsyncSignaling({self.credentials!r}, app_id={self.app_id!r}, host={self._host!r})"

    def user_events(self, **options: Unpack[CallOptions]) -> AsyncIterator[EventBatch[UserEvent]]:
        """Return the logins and logouts that the server keeps, one batch a response, until one has less than 1,000.

        **Reading deletes them from the server.** So each response is returned before the next request is sent. No
        request is repeated unless it certainly never left. If the caller is cancelled, a response in progress is kept
        and is the first of the next iteration. Events that another region returned before are in `duplicates`.

        Events can still be lost in four cases. A response that breaks on its way has up to 1,000 events; the error says
        so. A response in progress is lost when the client is closed or the process ends. The server keeps 2,000 events
        and drops the rest. And each region has a queue of its own, which is not read after a switch to another host.

        Raises:
            TransportError, ServerError: there was no good response. The error says if events may be lost.
            EventsUnreadable: a response cannot be read; `raw` is its body.

        Example:
            async for batch in client.user_events():
                store(batch.host, batch.events)

        Source: Agora, "Signaling REST API", "Event APIs".
        """
        return self._user_events.batches(options)

    def channel_events(self, **options: Unpack[CallOptions]) -> AsyncIterator[EventBatch[ChannelEvent]]:
        """Return the joins and leaves that the server keeps, one batch a response, until one has less than 1,000.

        **Reading deletes them from the server.** `user_events` describes the precautions, and what can still be lost.

        Raises:
            AgoraAnalyticsError: as `user_events`.

        Source: Agora, "Signaling REST API", "Event APIs".
        """
        return self._channel_events.batches(options)

    def history(
        self,
        user_id: str,
        channel: str,
        *,
        channel_type: str = "message",
        start: int = 0,
        end: int = 0,
        page_size: int = 100,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[HistoryMessage]:
        """List the messages of a channel or of a user, as Signaling 2.x keeps them.

        A message that ends one page and begins the next is returned once.

        Args:
            user_id: the user who reads the history.
            channel: the channel's name; for `channel_type="user"` the other user.
            channel_type: `message` (a channel) or `user`.
            start: where to begin; 0: at the first message. Sent as it is, because the unit is not documented.
            end: where to end; 0: at the last message. Sent as it is.
            page_size: messages a page, 1 to 100.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Raises:
            InvalidRequest: a name, the type or the page size is not valid, or the token is of other arguments.
            AccessDenied: the feature is not enabled for the App ID.

        Source: Agora, "Signaling REST API", "Message history".
        """

        async def paginator() -> Paginator[int, Page[HistoryMessage]]:
            if self._options.validate:
                check_history(user_id, channel, channel_type, page_size)
            question = (self.app_id, user_id, channel_type, channel, start, end)
            tokens = ResumeTokens(operations.HISTORY.name, *question, page_size=page_size)
            operation = at(
                operations.HISTORY,
                app_id=self.app_id,
                user_id=user_id,
                channel_type=channel_type,
                channel=channel,
            )
            starts = start_at(tokens, resume, default=start)
            return history_listing(
                self._history_engine, operation, starts, tokens, end=end, page_size=page_size
            )

        return self._pages(paginator, table=partial(pages_table, kind=HistoryMessage), prefetch=1)

    def legacy_history(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        source: str | None = None,
        destination: str | None = None,
        order: str = "asc",
        page_size: int = 100,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[ArchivedMessage]:
        """List messages that were sent with the historical flag, as RTM 1.x keeps them (7 days by default).

        Each page takes two steps: a query is created, and its result is requested every 2 s until it is ready.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise.
            source: only messages that this user sent.
            destination: only messages to this user or channel. At least one of the two is required.
            order: `asc`, the oldest first, or `desc`.
            page_size: messages a page: 20, 50 or 100.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments. The time
                range is that of the token.

        Raises:
            InvalidRequest: neither source nor destination, an argument that is not valid, or a token of others.
            DeadlineExceeded: a result is still in progress at the deadline (default: after `retry.deadline` seconds).

        Source: Agora, "RTM RESTful API", "Message history" (RTM 1.x).
        """

        async def paginator() -> Archive:
            if self._options.validate:
                check_archive_page(page_size, order)
            archive = self._archive(since, until, source, destination)
            question = (source, destination, as_asked(since), as_asked(until))
            return archive.paged(page_size, order, question, resume)

        return self._pages(paginator, table=partial(pages_table, kind=ArchivedMessage), prefetch=1)

    async def legacy_count(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        source: str | None = None,
        destination: str | None = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Return the number of messages that `legacy_history` would list.

        Raises:
            AgoraAnalyticsError: as `legacy_history`.

        Source: Agora, "RTM RESTful API", "Message history" (RTM 1.x).
        """
        return await self._archive(since, until, source, destination).count()

    def _archive(
        self, since: Instant, until: Instant, source: str | None, destination: str | None
    ) -> Archive:
        if self._options.validate:
            check_ends(source, destination)
        window = self._window(since, until, validate=True)
        ends = {"source": source, "destination": destination}
        return Archive(
            engine=self._engine,
            app_id=self.app_id,
            window=window,
            ends={name: value for name, value in ends.items() if value is not None},
            deadline=(self._options.retry or RetryPolicy()).deadline,
        )

    def _queue(self, operation: Operation[DecodedEvents[E]], memory: EventMemory) -> EventQueue[E]:
        request = at(operation, app_id=self.app_id).request()
        return EventQueue(self._engine, request, memory=memory)
