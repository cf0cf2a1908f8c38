"""The state of simulated Signaling: its messages, and the events of each region until they are read."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from attrs import define, field, frozen

from agora_analytics.signaling.limits import MOST_KEPT, MOST_RETURNED

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
                self.dropped += len(queue) == MOST_KEPT
                queue.append(event)
        for event in events:
            if event.kind == "Login":
                self.online.add(event.user_id)
            elif event.kind == "Logout":
                self.online.discard(event.user_id)

    def read(self, region: str, *, in_channel: bool) -> list[ServerEvent]:
        """Remove up to 1,000 events from a queue and return them."""
        queue = self._queue(region, in_channel=in_channel)
        return [queue.popleft() for _ in range(min(len(queue), MOST_RETURNED))]

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
        return self._queues.setdefault((home, in_channel), deque(maxlen=MOST_KEPT))


def event_row(event: ServerEvent, *, legacy: bool) -> dict[str, Any]:
    """Return an event as JSON fields, with the current names or those of the legacy pages."""
    channel = {("channel_id" if legacy else "group_id"): event.channel} if event.channel else {}
    return {**channel, "user_id": event.user_id, "type": event.kind, ("ts" if legacy else "ms"): event.ms}
