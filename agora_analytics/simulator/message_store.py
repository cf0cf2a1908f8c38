"""What simulated Signaling keeps: the messages that it took, and the events of each region until they are read."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from attrs import define, field, frozen

from agora_analytics.signaling.limits import MOST_KEPT, MOST_RETURNED

Kind = Literal["Login", "Logout", "Join", "Leave"]


@frozen(kw_only=True)
class StoredMessage:
    """A message that the server took, as often as it took it."""

    sender: str
    receiver: str
    payload: str
    to_channel: bool
    historical: bool
    ms: int
    request_id: str


@frozen(kw_only=True)
class ServerEvent:
    """An event as the server keeps it: `ms` is its time."""

    kind: Kind
    user_id: str
    channel: str = ""
    ms: int


@define
class MessageStore:
    """The state of one App ID.

    Attributes:
        regions: hosts with queues of their own; another host has the queue of the first.
        messages: every message that was taken, in order: a message that stands here twice was sent twice.
        online: users that are logged in.
        dropped: events that were dropped because too many were kept.
    """

    regions: Sequence[str]
    messages: list[StoredMessage] = field(factory=list, init=False)
    online: set[str] = field(factory=set, init=False)
    dropped: int = field(default=0, init=False)
    _queues: dict[tuple[str, bool], deque[ServerEvent]] = field(factory=dict, init=False)

    def add_events(self, *events: ServerEvent, regions: Iterable[str] = ()) -> None:
        """Put events into the queues of some regions; of the first, if none is named."""
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
        """Return how many events a queue holds."""
        return len(self._queue(region, in_channel=in_channel))

    def archived(
        self, source: str | None, destination: str | None, start: float, end: float
    ) -> list[StoredMessage]:
        """Return what was sent with the historical flag from `start` to `end` (epoch seconds)."""
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
    """Return an event as an answer holds it, with the names of today or those of the legacy pages."""
    place = {("channel_id" if legacy else "group_id"): event.channel} if event.channel else {}
    return {**place, "user_id": event.user_id, "type": event.kind, ("ts" if legacy else "ms"): event.ms}
