"""The records of Signaling, read tolerantly: both names of each field, numbers as ids, unknown fields in `extra`.

Source: `reference/signaling-api.md`, sections 1 to 5b.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from agora_analytics.errors import DecodeError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DeliveryState(StrEnum):
    """How far a message came."""

    SENT = "sent"
    DELIVERED = "delivered"
    OFFLINE = "offline"


_STATES = {
    "message_sent": DeliveryState.SENT,
    "message_delivered": DeliveryState.DELIVERED,
    "message_offline": DeliveryState.OFFLINE,
    "peer_offline": DeliveryState.OFFLINE,  # the legacy name
}


@frozen(kw_only=True)
class Delivery:
    """What the server says of a message that it took.

    Attributes:
        code: as it was sent: `message_sent`, `message_delivered`, `message_offline`, the legacy `peer_offline`;
            None where the server sends none (legacy channel messages).
        request_id: what support asks for.
    """

    code: str | None
    request_id: str | None

    @property
    def state(self) -> DeliveryState | None:
        """How far the message came; None for a code that no page names."""
        return DeliveryState.SENT if self.code is None else _STATES.get(self.code)


class EventType(StrEnum):
    """What happened to a user."""

    LOGIN = "Login"
    LOGOUT = "Logout"
    JOIN = "Join"
    LEAVE = "Leave"


@frozen(kw_only=True)
class UserEvent:
    """A user logged in or out.

    Attributes:
        user_id: who.
        type: `Login` or `Logout`, as it was sent; compares with `EventType`.
        ms: when, UTC epoch milliseconds (the legacy field is `ts`).
        extra: fields that the reference does not name, as they were sent.
    """

    user_id: str
    type: str
    ms: int
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def at(self) -> datetime:
        """When, as an aware datetime, UTC."""
        return _EPOCH + timedelta(milliseconds=self.ms)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes it the same event in two regions."""
        return (self.type, self.user_id, "", self.ms)


@frozen(kw_only=True)
class ChannelEvent:
    """A user joined or left a channel.

    Attributes:
        channel: which (`group_id`; the legacy field is `channel_id`).
        user_id: who.
        type: `Join` or `Leave`, as it was sent; compares with `EventType`.
        ms: when, UTC epoch milliseconds (the legacy field is `ts`).
        extra: fields that the reference does not name, as they were sent.
    """

    channel: str
    user_id: str
    type: str
    ms: int
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def at(self) -> datetime:
        """When, as an aware datetime, UTC."""
        return _EPOCH + timedelta(milliseconds=self.ms)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes it the same event in two regions."""
        return (self.type, self.user_id, self.channel, self.ms)


@frozen(kw_only=True)
class HistoryMessage:
    """A message of today's history.

    Attributes:
        publisher: who sent it.
        message: the text; of a `BINARY` message, its base64.
        message_type: `STRING` or `BINARY`, as it was sent.
        custom_type: what the sender called its type.
        timestamp: when, as it was sent (the page means milliseconds, without saying so).
        extra: fields that the reference does not name, as they were sent.
    """

    publisher: str
    message: str
    message_type: str = "STRING"
    custom_type: str = ""
    timestamp: int
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def data(self) -> bytes:
        """The message as bytes.

        Raises:
            ValueError: a `BINARY` message is no base64.
        """
        return b64decode(self.message) if self.message_type == "BINARY" else self.message.encode()


@frozen(kw_only=True)
class ArchivedMessage:
    """A message of the two-step history.

    Attributes:
        src: who sent it.
        dst: the user or the channel that it was sent to.
        message_type: as it was sent: `peer_message`, `group_message`, the documented `channel_message`.
        ms: when, UTC epoch milliseconds.
        payload: the text.
        extra: fields that the reference does not name, as they were sent.
    """

    src: str
    dst: str
    message_type: str
    ms: int
    payload: str
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def to_channel(self) -> bool:
        """Whether it was sent to a channel: the page says `channel_message`, real answers `group_message`."""
        return self.message_type in {"group_message", "channel_message"}


def read_user_event(row: Any) -> UserEvent:
    """Return a user event.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    take = _Fields(row)
    return UserEvent(
        user_id=_text(take("user_id")), type=_text(take("type")), ms=_whole(take("ms", "ts")), extra=take.rest
    )


def read_channel_event(row: Any) -> ChannelEvent:
    """Return a channel event.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    take = _Fields(row)
    return ChannelEvent(
        channel=_text(take("group_id", "channel_id")),
        user_id=_text(take("user_id")),
        type=_text(take("type")),
        ms=_whole(take("ms", "ts")),
        extra=take.rest,
    )


def read_history_message(row: Any) -> HistoryMessage:
    """Return a message of today's history.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    take = _Fields(row)
    return HistoryMessage(
        publisher=_text(take("publisher")),
        message=_text(take("message")),
        message_type=_text(take("messageType", default="STRING")),
        custom_type=_text(take("customType", default="")),
        timestamp=_whole(take("timestamp")),
        extra=take.rest,
    )


def read_archived_message(row: Any) -> ArchivedMessage:
    """Return a message of the two-step history.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    take = _Fields(row)
    return ArchivedMessage(
        src=_text(take("src")),
        dst=_text(take("dst")),
        message_type=_text(take("message_type", default="")),
        ms=_whole(take("ms", "ts")),
        payload=_text(take("payload")),
        extra=take.rest,
    )


def read_all(rows: Any, read: Callable[[Any], Any], *, path: str) -> list[Any]:
    """Return the rows of an answer as records; null is none.

    Raises:
        DecodeError: with the path of the first that cannot be read.
    """
    if not isinstance(rows, list | None):
        raise DecodeError(f"a list of records is missing, found {type(rows).__name__}", path=path)
    records = []
    for i, row in enumerate(rows or ()):
        try:
            records.append(read(row))
        except (ValueError, KeyError, TypeError) as error:
            raise DecodeError(f"a record cannot be read: {error!r}", path=f"{path}[{i}]") from error
    return records


class _Fields:
    """The fields of a row, taken by name; `rest` is what was not."""

    def __init__(self, row: Any) -> None:
        if not isinstance(row, dict):
            raise TypeError(f"a record cannot be {row!r}")
        self.rest = dict(row)

    def __call__(self, *names: str, default: Any = None) -> Any:
        """Return the first of the names that is there; null counts as missing."""
        found = [value for name in names if (value := self.rest.pop(name, None)) is not None]
        if not found and default is None:
            raise KeyError(names[0])
        return found[0] if found else default


def _text(value: Any) -> str:
    if isinstance(value, bool | float | list | dict):
        raise ValueError(f"text cannot be {value!r}")  # noqa: TRY004 - one kind of error for a reader
    return str(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError(f"a time cannot be {value!r}")  # noqa: TRY004
    return int(value)
