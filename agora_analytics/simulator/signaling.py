"""Simulated Agora Signaling over REST: accepts messages, returns each event once, and keeps both histories."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Unpack

from attrs import define, field, frozen
from starlette.datastructures import Headers

from agora_analytics.signaling import limits as endpoints
from agora_analytics.simulator.simulated_api import ApiSettings, Arrival, Reply, SimulatedApi
from agora_analytics.simulator.world import DEMO_APP_ID, DEMO_CREDENTIALS

_PROJECT = "/dev/v2/project/{app_id}/rtm"
_MOST_BYTES, _MOST_CHARACTERS = 32 * 1024, 64
ROUTES: Mapping[str, tuple[str, str]] = {
    endpoints.PEER_MESSAGES: ("POST", _PROJECT + "/users/{user_id}/peer_messages"),
    endpoints.CHANNEL_MESSAGES: ("POST", _PROJECT + "/users/{user_id}/channel_messages"),
    endpoints.USER_EVENTS: ("GET", _PROJECT + "/vendor/user_events"),
    endpoints.CHANNEL_EVENTS: ("GET", _PROJECT + "/vendor/channel_events"),
    endpoints.HISTORY: (
        "GET",
        "/rtm/v2/history/{app_id}/userId/{user_id}/channelType/{channel_type}/channel/{channel}",
    ),
    endpoints.QUERY: ("POST", _PROJECT + "/message/history/query"),
    endpoints.RESULT: ("GET", _PROJECT + "/message/history/query/{handle}"),
    endpoints.COUNT: ("GET", _PROJECT + "/message/history/count"),
}

_SHARED_BUDGETS: Mapping[str, str] = {
    **dict.fromkeys((endpoints.PEER_MESSAGES, endpoints.CHANNEL_MESSAGES), "messages"),
    **dict.fromkeys((endpoints.USER_EVENTS, endpoints.CHANNEL_EVENTS), "events"),
    **dict.fromkeys((endpoints.QUERY, endpoints.RESULT, endpoints.COUNT), "two-step history"),
}
EventKind = Literal["Login", "Logout", "Join", "Leave"]


@frozen(kw_only=True)
class StoredMessage:
    """A message that the server accepted. A message that was accepted twice is stored twice."""

    sender: str
    receiver: str
    payload: str
    to_channel: bool
    historical: bool
    ms: int
    request_id: str


@frozen(kw_only=True)
class ServerEvent:
    """An event in a queue of the server. `ms` is its time in epoch milliseconds."""

    kind: EventKind
    user_id: str
    channel: str = ""
    ms: int


@define
class MessageStore:
    """The state of one App ID.

    Attributes:
        regions: the hosts that have queues of their own. Other hosts use the queues of the first.
        messages: every accepted message, in order. A message that is here twice was sent twice.
        online: the users that are logged in.
        dropped: the number of events that were dropped because a queue was full.
    """

    regions: Sequence[str]
    messages: list[StoredMessage] = field(factory=list, init=False)
    online: set[str] = field(factory=set, init=False)
    dropped: int = field(default=0, init=False)
    _queues: dict[tuple[str, bool], deque[ServerEvent]] = field(factory=dict, init=False)

    def add_events(self, *events: ServerEvent, regions: Iterable[str] = ()) -> None:
        """Put events into the queues of some regions, or of the first one if none is given."""
        for region in tuple(regions) or self.regions[:1]:
            for event in events:
                queue = self._queue(region, in_channel=bool(event.channel))
                self.dropped += len(queue) == endpoints.MOST_KEPT
                queue.append(event)
        for event in events:
            if event.kind == "Login":
                self.online.add(event.user_id)
            elif event.kind == "Logout":
                self.online.discard(event.user_id)

    def read(self, region: str, *, in_channel: bool) -> list[ServerEvent]:
        """Remove up to 1,000 events from a queue and return them."""
        queue = self._queue(region, in_channel=in_channel)
        return [queue.popleft() for _ in range(min(len(queue), endpoints.MOST_RETURNED))]

    def pending(self, region: str, *, in_channel: bool) -> int:
        """Return the number of events in a queue."""
        return len(self._queue(region, in_channel=in_channel))

    def archived(
        self, source: str | None, destination: str | None, start: float, end: float
    ) -> list[StoredMessage]:
        """Return the messages with the historical flag from `start` to `end`, in epoch seconds."""
        return [
            message
            for message in self.messages
            if message.historical
            and source in (None, message.sender)
            and destination in (None, message.receiver)
            and start <= message.ms / 1000 <= end
        ]

    def _queue(self, region: str, *, in_channel: bool) -> deque[ServerEvent]:
        home = region if region in self.regions else self.regions[0]
        return self._queues.setdefault((home, in_channel), deque(maxlen=endpoints.MOST_KEPT))


class SignalingRefused(Exception):
    """A request that Signaling refuses, with an HTTP status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class SignalingSimulator(SimulatedApi):
    """Simulates Signaling for one App ID.

    Args:
        app_id: the App ID.
        regions: the hosts that have event queues of their own. Other hosts use the queues of the first.
        legacy: responds with the names of the legacy pages (`ts`, `channel_id`, `peer_offline`).
        tokens: the user of each valid token.
        history: whether today's history is enabled.
        polls: how many times a result of the two-step history is in progress before it is ready.
        limits: the rate limits of each endpoint.
        credentials: the secret of each customer id.
        settings: the settings of every simulated API; see `SimulatedApi`.

    Attributes:
        message_store: the accepted messages and the pending events.

    Example:
        >>> sim = SignalingSimulator()
        >>> sim.message_store.messages
        []
    """

    def __init__(
        self,
        app_id: str = DEMO_APP_ID,
        *,
        regions: Sequence[str] = ("api.agora.io",),
        legacy: bool = False,
        tokens: Mapping[str, str] | None = None,
        history: bool = True,
        polls: int = 1,
        limits: Mapping[str, Any] = endpoints.LIMITS,
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        **settings: Unpack[ApiSettings],
    ) -> None:
        super().__init__(ROUTES, credentials=credentials, **settings)
        self.message_store = MessageStore(regions)
        self._app_id = app_id
        self._legacy = legacy
        self._tokens = dict(tokens or {})
        self._history = history
        self._polls = polls
        self._limits = limits
        self._queries: dict[str, dict[str, Any]] = {}
        self._polled: dict[str, int] = {}
        self._handlers: dict[str, Callable[[Arrival], dict[str, Any]]] = {
            endpoints.PEER_MESSAGES: self._peer_message,
            endpoints.CHANNEL_MESSAGES: self._channel_message,
            endpoints.USER_EVENTS: lambda arrival: self._events(arrival, in_channel=False),
            endpoints.CHANNEL_EVENTS: lambda arrival: self._events(arrival, in_channel=True),
            endpoints.HISTORY: self._today,
            endpoints.QUERY: self._query,
            endpoints.RESULT: self._result,
            endpoints.COUNT: self._count,
        }

    def is_authorised(self, headers: Headers) -> bool:
        """Return whether the credentials are valid: Basic, or one of the two forms of a token."""
        return self._token_user(headers) is not None or super().is_authorised(headers)

    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Count a request of the App ID. Return a refusal with status 429 if its second has too many."""
        budget = _SHARED_BUDGETS.get(arrival.endpoint, arrival.endpoint)
        if not self.rate_windows.refusal(budget, self._limits[arrival.endpoint], arrival.now):
            return None
        return Reply.of({"message": "API rate limit exceeded"}, 429)

    async def respond(self, arrival: Arrival) -> Reply:
        """Perform a request and return the response."""
        if arrival.parts["app_id"] != self._app_id:
            return Reply.of({"result": "failed", "reason": "no permission for this App ID"}, 403)
        try:
            return Reply.of(self._handlers[arrival.endpoint](arrival))
        except SignalingRefused as refused:
            return Reply.of(
                {"result": "failed", "errorCode": refused.status, "reason": str(refused)}, refused.status
            )

    def _peer_message(self, arrival: Arrival) -> dict[str, Any]:
        sent = self._accept(arrival, "destination", to_channel=False)
        acknowledged = arrival.query.get("wait_for_ack", "false") == "true"
        if sent.receiver not in self.message_store.online:
            code = "peer_offline" if self._legacy else "message_offline"
            # Without a result, as in the example of the vendor's page.
            return {"request_id": sent.request_id, "code": code}
        code = "message_delivered" if acknowledged else "message_sent"
        return {"result": "success", "request_id": sent.request_id, "code": code}

    def _channel_message(self, arrival: Arrival) -> dict[str, Any]:
        sent = self._accept(arrival, "channel_name", to_channel=True)
        head = {"result": "success", "request_id": sent.request_id}
        return head if self._legacy else head | {"code": "message_sent"}

    def _accept(self, arrival: Arrival, receiver: str, *, to_channel: bool) -> StoredMessage:
        body, sender = _json(arrival), arrival.parts["user_id"]
        if self._token_user(arrival.headers) not in (None, sender):
            raise SignalingRefused(401, "the token is another user's")
        names = (sender, body.get(receiver))
        if not all(isinstance(name, str) and 1 <= len(name) <= _MOST_CHARACTERS for name in names):
            raise SignalingRefused(400, f"Invalid parameters: user_id or {receiver}")
        payload = body.get("payload")
        if not isinstance(payload, str) or not 1 <= len(payload.encode()) <= _MOST_BYTES:
            raise SignalingRefused(435, "invalid payload")
        message = StoredMessage(
            sender=sender,
            receiver=body[receiver],
            payload=payload,
            to_channel=to_channel,
            historical=bool(body.get("enable_historical_messaging")),
            ms=int(arrival.now * 1000),
            request_id=arrival.request_id,
        )
        self.message_store.messages.append(message)
        return message

    def _events(self, arrival: Arrival, *, in_channel: bool) -> dict[str, Any]:
        events = self.message_store.read(arrival.host, in_channel=in_channel)
        listed = [_event_row(event, legacy=self._legacy) for event in events]
        return {"result": "success", "request_id": arrival.request_id, "events": listed}

    def _today(self, arrival: Arrival) -> dict[str, Any]:
        if not self._history:
            raise SignalingRefused(403, "history is not enabled")
        channel, to_channel = arrival.parts["channel"], arrival.parts["channel_type"] == "message"
        count = int(arrival.query.get("messageCount", 100))
        if not 0 < count <= 100:
            raise SignalingRefused(400, "messageCount")
        start, end = (int(arrival.query.get(name, 0)) for name in ("start", "end"))
        messages = [
            message
            for message in self.message_store.archived(None, channel, 0, arrival.now)
            if message.to_channel is to_channel and message.ms >= start and (not end or message.ms <= end)
        ]
        page = messages[:count]
        data = {
            "messageList": [
                {
                    "messageType": "STRING",
                    "message": message.payload,
                    "customType": "",
                    "publisher": message.sender,
                    "timestamp": message.ms,
                }
                for message in page
            ],
            "count": len(page),
            # The bound is inclusive: consecutive pages overlap by one message.
            "newStart": page[-1].ms if page else 0,
        }
        return {
            "errorCode": 200,
            "error": False,
            "requestId": arrival.request_id,
            "operation": "getMessage",
            "reason": "",
            "timestamp": int(arrival.now * 1000),
            "data": data,
        }

    def _query(self, arrival: Arrival) -> dict[str, Any]:
        query = _json(arrival)
        self._check_filter(query.get("filter") or {})
        handle = f"MjI{arrival.number}=="
        self._queries[handle] = query
        location = f"~/rtm/message/history/query/{handle}"
        paging = {name: query.get(name) for name in ("offset", "limit", "order")}
        return {"result": "success", **paging, "location": location, "request_id": arrival.request_id}

    def _result(self, arrival: Arrival) -> dict[str, Any]:
        if (query := self._queries.get(arrival.parts["handle"])) is None:
            raise SignalingRefused(404, "no such query")
        head = {"result": "success", "request_id": arrival.request_id}
        if not self._is_ready(arrival.parts["handle"]):
            return head | {"code": "in progress", "messages": []}
        archived = self._filtered(query["filter"])[:: -1 if query.get("order") == "desc" else 1]
        offset, limit = query.get("offset") or 0, query.get("limit") or 20
        messages = [
            {
                "src": message.sender,
                "dst": message.receiver,
                "message_type": "group_message" if message.to_channel else "peer_message",
                "ms": message.ms,
                "payload": message.payload,
            }
            for message in archived[offset : offset + limit]
        ]
        return head | {"code": "ok", "messages": messages}

    def _count(self, arrival: Arrival) -> dict[str, Any]:
        query = dict(arrival.query)
        self._check_filter(query)
        if not self._is_ready(str(sorted(query.items()))):
            return {"result": "success", "code": "in progress", "count": 0}
        return {"result": "success", "code": "ok", "count": len(self._filtered(query))}

    def _is_ready(self, query_id: str) -> bool:
        self._polled[query_id] = self._polled.get(query_id, 0) + 1
        return self._polled[query_id] > self._polls

    def _filtered(self, query: Mapping[str, str]) -> list[StoredMessage]:
        start, end = (datetime.fromisoformat(query[name]).timestamp() for name in ("start_time", "end_time"))
        return self.message_store.archived(query.get("source"), query.get("destination"), start, end)

    def _check_filter(self, query: Mapping[str, str]) -> None:
        if not query.get("source") and not query.get("destination"):
            raise SignalingRefused(400, "source and destination are both null")
        if not all(str(query.get(name)).endswith("Z") for name in ("start_time", "end_time")):
            raise SignalingRefused(400, "start_time and end_time are UTC")

    def _token_user(self, headers: Headers) -> str | None:
        scheme, _, token = headers.get("authorization", "").partition(" token=")
        if scheme == "agora":
            return self._tokens.get(token)
        user = self._tokens.get(headers.get("x-agora-token", ""))
        return user if user is not None and user == headers.get("x-agora-uid") else None


def _event_row(event: ServerEvent, *, legacy: bool) -> dict[str, Any]:
    """Return an event as JSON fields, with the current names or those of the legacy pages."""
    channel = {("channel_id" if legacy else "group_id"): event.channel} if event.channel else {}
    return {**channel, "user_id": event.user_id, "type": event.kind, ("ts" if legacy else "ms"): event.ms}


def _json(arrival: Arrival) -> dict[str, Any]:
    if arrival.media_type != "application/json":
        raise SignalingRefused(415, "only JSON")
    if (body := arrival.json_object()) is None:
        raise SignalingRefused(400, "the body is not a JSON object")
    return body
