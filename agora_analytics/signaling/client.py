"""The asyncio client of Agora Signaling."""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from agora_analytics.agora.settings import Region, Settings, from_environment
from agora_analytics.core.domains import HostTable
from agora_analytics.core.limits import Limits
from agora_analytics.engine.clock import Clock
from agora_analytics.engine.engine import Engine, EngineOptions
from agora_analytics.engine.events import Observer
from agora_analytics.engine.ledger import Ledger
from agora_analytics.engine.request_loop import RetryPolicy
from agora_analytics.engine.transports import Transport
from agora_analytics.errors import InvalidRequest
from agora_analytics.messages import Request
from agora_analytics.signaling import checks, operations
from agora_analytics.signaling.credentials import Basic, Credentials
from agora_analytics.signaling.events import EventBatch, EventMemory, EventQueue
from agora_analytics.signaling.histories import Histories
from agora_analytics.signaling.history import call_of, decode_object
from agora_analytics.signaling.judge import read_envelope, request_id
from agora_analytics.signaling.limits import LIMITS, SHARED_BUDGETS
from agora_analytics.signaling.operations import HISTORY_HOST, at
from agora_analytics.signaling.records import (
    ChannelEvent,
    Delivery,
    UserEvent,
    read_channel_event,
    read_user_event,
)

if TYPE_CHECKING:
    import httpx


class AsyncSignaling(Histories):
    """Sends messages, and reads histories and events, of one App ID of Agora Signaling (RTM), over REST.

    Args:
        credentials: `Basic(customer_id, customer_secret)`, `Token(token)` or `LegacyToken(user_id, token)`.
        app_id: the project's App ID. All limits are counted for it, over all machines.
        region: where your machine is: `global`, or `cn` inside mainland China.
        base_url: pins one host: a region's, a proxy, a test, the simulator. Plain http only to this machine.
        retry: timeouts, deadline, back-off and attempts.
        transport: what sends requests; yours is not closed. Default: httpx.
        http_client: your own `httpx.AsyncClient` to send with; it is not closed.
        observer: called with every event of the engine; default: a log line.
        ledger: what keeps the pace; `SqliteLedger(path)` shares it between processes.
        clock: tells the time.
        limits: how often each endpoint may be asked, by name; default `LIMITS`, more careful: `SIXTY_A_SECOND`.
        validate: check names and payloads here; False sends them as they are.
        memory: which events were seen; give one to the clients of several regions to know duplicates.

    Raises:
        ConfigurationError: if a setting is missing or cannot be used.

    Example:
        async with AsyncSignaling(Basic("customer id", "secret"), app_id="app") as client:
            delivery = await client.peer_message("server", "ann", "hello")
            print(delivery.state)
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        app_id: str,
        region: Region | str = Region.GLOBAL,
        base_url: str | None = None,
        retry: RetryPolicy | None = None,
        transport: Transport | None = None,
        http_client: "httpx.AsyncClient | None" = None,
        observer: Observer | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        limits: Mapping[str, Limits] = LIMITS,
        validate: bool = True,
        memory: EventMemory | None = None,
    ) -> None:
        self.credentials = credentials
        settings = Settings(
            customer_id=credentials.account,
            customer_secret=getattr(credentials, "customer_secret", "a token"),
            app_id=app_id,
            region=region,
            base_url=base_url,
        )
        means = EngineOptions(
            retry=retry,
            transport=transport,
            http_client=http_client,
            observer=observer,
            ledger=ledger,
            clock=clock,
        )

        def connection(hosts: HostTable) -> Engine:
            return Engine(
                hosts=hosts,
                account="\n".join(("signaling", app_id, settings.base_url or "")),
                limits=limits,
                shared_budgets=SHARED_BUDGETS,
                authorize=self._headers,
                options=means,
            )

        self._host = settings.hosts[0]
        super().__init__(
            connection(settings.host_table),
            connection(HostTable(preferred=settings.base_url or HISTORY_HOST)),
            app_id=app_id,
            validate=validate,
            retry=(retry or RetryPolicy()).deadline,
        )
        memory = EventMemory() if memory is None else memory  # an empty one is false
        self._user_events: EventQueue[UserEvent] = EventQueue(
            lambda: self._engine.run(call_of(at(operations.USER_EVENTS, app_id=app_id))),
            read_user_event,
            memory=memory,
            spawn=self._engine.spawn,
        )
        self._channel_events: EventQueue[ChannelEvent] = EventQueue(
            lambda: self._engine.run(call_of(at(operations.CHANNEL_EVENTS, app_id=app_id))),
            read_channel_event,
            memory=memory,
            spawn=self._engine.spawn,
        )

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """Return a client with the customer id and secret that the environment names; keywords win over it.

        Reads `AGORA_CUSTOMER_ID`, `AGORA_CUSTOMER_SECRET`, `AGORA_APP_ID`, `AGORA_REGION` and `AGORA_BASE_URL`.

        Raises:
            ConfigurationError: if a setting is missing or cannot be used.
        """
        named: dict[str, Any] = {"app_id": "", **from_environment(environment)}
        named.pop("plan", None)
        basic = Basic(named.pop("customer_id", ""), named.pop("customer_secret", ""))
        given = {name: value for name, value in settings.items() if value is not None}
        return cls(given.pop("credentials", basic), **(named | given))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the requests in progress, and close what the client opened itself."""
        await self._engine.aclose()
        await self._history.aclose()

    def __repr__(self) -> str:
        return f"AsyncSignaling({self.credentials!r}, app_id={self.app_id!r}, host={self._host!r})"

    @property
    def sent(self) -> Mapping[str, int]:
        """How many requests were sent, by endpoint name, every attempt counted."""
        return {**self._engine.sent, **self._history.sent}

    async def peer_message(
        self,
        sender: str,
        destination: str,
        payload: str,
        *,
        wait_for_ack: bool = False,
        offline: bool = False,
        historical: bool = False,
    ) -> Delivery:
        """Send a message to a user. It is never sent twice, unless the first certainly did not arrive.

        Args:
            sender: the user id that it is sent as, 1 to 64 characters; that user need not be logged in.
            destination: the user id that it goes to.
            payload: the text, 1 byte to 32 KB as UTF-8.
            wait_for_ack: answer when it was delivered, not when it was sent.
            offline: keep it for a user who is not there (deprecated by the vendor; at most 200 are kept).
            historical: keep it in the history.

        Returns:
            How far it came: sent, delivered, or that the user is offline.

        Raises:
            InvalidRequest: a name or the payload cannot be; a token of another sender.
            BadRequest, AuthenticationError, AccessDenied, RateLimited: the server did not take it.
            TransportError, ServerError: no good answer came; the error says so where the message may have arrived.
            DecodeError: the server took it, and its answer cannot be read.

        Source: `reference/signaling-api.md`, section 1.
        """
        self._check_message(sender, destination, "destination", payload)
        body = {
            "destination": destination,
            "payload": payload,
            "enable_offline_messaging": offline,
            "enable_historical_messaging": historical,
        }
        endpoint = at(operations.PEER_MESSAGES, app_id=self.app_id, user_id=sender)
        query = (("wait_for_ack", str(wait_for_ack).lower()),)
        answer = await self._engine.run(call_of(endpoint, query, body))
        return _delivery(decode_object(answer, endpoint), answer)

    async def channel_message(
        self, sender: str, channel: str, payload: str, *, historical: bool = False
    ) -> Delivery:
        """Send a message to a channel. It is never sent twice, unless the first certainly did not arrive.

        Args:
            sender: the user id that it is sent as, 1 to 64 characters; that user need not be in the channel.
            channel: the channel's name, 1 to 64 characters.
            payload: the text, 1 byte to 32 KB as UTF-8.
            historical: keep it in the history.

        Raises:
            As `peer_message`.

        Source: `reference/signaling-api.md`, section 2.
        """
        self._check_message(sender, channel, "channel", payload)
        body = {"channel_name": channel, "payload": payload, "enable_historical_messaging": historical}
        endpoint = at(operations.CHANNEL_MESSAGES, app_id=self.app_id, user_id=sender)
        answer = await self._engine.run(call_of(endpoint, body=body))
        return _delivery(decode_object(answer, endpoint), answer)

    def user_events(self) -> AsyncIterator[EventBatch[UserEvent]]:
        """Give the logins and logouts that the server keeps, answer by answer, until one holds less than 1,000.

        **Reading removes them from the server.** So each answer is handed out before anything else is asked, and
        no request is repeated unless it certainly never left. An answer that comes after the asker was cancelled
        is kept, and is the first of the next iteration. Events that another region gave before are in `duplicates`.

        What can still be lost: up to 1,000 events with an answer that breaks on its way (the error says so); what
        is under way when the client is closed or the process ends; what the server drops beyond 2,000 kept; and what
        lies in the queue of a region that is not asked: a failure of the network moves the requests to another host.

        Raises:
            TransportError, ServerError: no good answer came; the error says so where events may be lost.
            EventsUnreadable: an answer cannot be read; its `raw` is all there is of its events.

        Example:
            async for batch in client.user_events():
                store(batch.host, batch.events)

        Source: `reference/signaling-api.md`, sections 3 and 4.
        """
        return self._user_events.batches()

    def channel_events(self) -> AsyncIterator[EventBatch[ChannelEvent]]:
        """Give the joins and leaves that the server keeps, answer by answer, until one holds less than 1,000.

        **Reading removes them from the server.** What is done about that, and what can still be lost, is said
        at `user_events`.

        Raises:
            As `user_events`.

        Source: `reference/signaling-api.md`, sections 3 and 4.
        """
        return self._channel_events.batches()

    def _check_message(self, sender: str, receiver: str, what: str, payload: str) -> None:
        if not self._validate:
            return
        checks.check_name(sender, "sender")
        checks.check_name(receiver, what)
        checks.check_payload(payload)
        if self.credentials.sender not in (None, sender):
            raise InvalidRequest(f"the token sends as {self.credentials.sender!r} only, not as {sender!r}")

    async def _headers(self, _: Request) -> Mapping[str, str]:
        return self.credentials.headers()


def _delivery(fields: Mapping[str, Any], answer: Any) -> Delivery:
    code = fields.get("code")
    return Delivery(
        code=code if isinstance(code, str) else None,
        request_id=request_id(read_envelope(answer.response), answer.response),
    )
