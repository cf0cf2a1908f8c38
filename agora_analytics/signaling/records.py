"""The records of Signaling and their readers, which accept both names of a field.

`extra` keeps the fields that are not documented or cannot be read.

Source: Agora, "Signaling REST API", all its pages.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from agora_analytics.core.field_types import Id, Int64, Milliseconds
from agora_analytics.core.lenient_reader import LenientReader, kind_of, list_of, show
from agora_analytics.core.numbers import whole_number
from agora_analytics.core.record import Record
from agora_analytics.errors import DecodeError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DeliveryState(StrEnum):
    """The state of a message that the server accepted."""

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
class Delivery(Record):
    """The server's response to a message that it accepted.

    Attributes:
        code: as it was sent: `message_sent`, `message_delivered`, `message_offline`, the legacy `peer_offline`;
            None if the server sends no code (legacy channel messages).
        request_id: the id that the vendor's support asks for.
    """

    code: str | None
    request_id: str | None

    _IN_JSON = ("state",)

    @property
    def state(self) -> DeliveryState | None:
        """The state of the message; None for an undocumented code."""
        return DeliveryState.SENT if self.code is None else _STATES.get(self.code)


class EventType(StrEnum):
    """The type of an event."""

    LOGIN = "Login"
    LOGOUT = "Logout"
    JOIN = "Join"
    LEAVE = "Leave"


@frozen(kw_only=True)
class _Event(Record):
    user_id: Id
    type: str
    ms: Milliseconds
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def at(self) -> datetime:
        """`ms` as an aware datetime, UTC."""
        return _EPOCH + timedelta(milliseconds=self.ms)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Identifies the event across regions."""
        return (self.type, self.user_id, getattr(self, "channel", ""), self.ms)


@frozen(kw_only=True)
class UserEvent(_Event):
    """A user logged in or out.

    Attributes:
        user_id: the user.
        type: `Login` or `Logout`, as it was sent; compares with `EventType`.
        ms: the time in UTC epoch milliseconds (the legacy field is `ts`).
        extra: fields that are not documented or cannot be read, as they were sent.
    """


@frozen(kw_only=True)
class ChannelEvent(_Event):
    """A user joined or left a channel.

    Attributes:
        channel: the channel (`group_id`; the legacy field is `channel_id`).
        user_id: the user.
        type: `Join` or `Leave`, as it was sent; compares with `EventType`.
        ms: the time in UTC epoch milliseconds (the legacy field is `ts`).
        extra: fields that are not documented or cannot be read, as they were sent.
    """

    channel: Id


@frozen(kw_only=True)
class HistoryMessage(Record):
    """A message of today's history.

    Attributes:
        publisher: the user who sent it.
        message: the text, or the base64 of a `BINARY` message.
        message_type: `STRING` or `BINARY`, as it was sent.
        custom_type: the type that the sender gave it.
        timestamp: the time, as it was sent. The unit is not documented; it is probably milliseconds.
        extra: fields that are not documented or cannot be read, as they were sent.
    """

    publisher: str
    message: str
    message_type: str = "STRING"
    custom_type: str = ""
    timestamp: Int64
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def data(self) -> bytes:
        """The message as bytes.

        Raises:
            DecodeError: a `BINARY` message is not base64.
        """
        try:
            return b64decode(self.message) if self.message_type == "BINARY" else self.message.encode()
        except ValueError as error:
            raise DecodeError(f"the message is not base64: {error}", path="$.message") from error


@frozen(kw_only=True)
class ArchivedMessage(Record):
    """A message of the two-step history.

    Attributes:
        src: the user who sent it.
        dst: the user or the channel that it was sent to.
        message_type: as it was sent: `peer_message`, `group_message`, the documented `channel_message`.
        ms: the time in UTC epoch milliseconds.
        payload: the text.
        extra: fields that are not documented or cannot be read, as they were sent.
    """

    src: str
    dst: str
    message_type: str
    ms: Milliseconds
    payload: str
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def to_channel(self) -> bool:
        """Whether it was sent to a channel: `channel_message` in the documents, `group_message` in real responses."""
        return self.message_type in {"group_message", "channel_message"}


NAMES: Mapping[str, tuple[str, ...]] = {
    "channel": ("group_id", "channel_id"),
    "ms": ("ms", "ts"),
    "message_type": ("message_type", "messageType"),
    "custom_type": ("customType",),
}
"""The API's names of attributes, the preferred one first."""


@frozen(kw_only=True)
class DecodedHistory:
    """One response of today's history.

    Attributes:
        messages: the messages.
        returned: number of messages in the response, with those that could not be read.
        new_start: where the next page starts, as it was sent.
    """

    messages: Sequence[HistoryMessage]
    returned: int
    new_start: Any


def read_delivery_code(fields: Mapping[str, Any], _: LenientReader) -> str | None:
    """Return the `code` of a message that the server accepted."""
    code = fields.get("code")
    return code if isinstance(code, str) else None


def read_history(fields: Mapping[str, Any], reader: LenientReader) -> DecodedHistory:
    """Return the messages of a response of today's history."""
    data = fields.get("data")
    if not isinstance(data, dict | None):
        raise DecodeError(f"expected an object, found {kind_of(data)}", path="$.data")
    rows = list_of((data or {}).get("messageList"), "$.data.messageList")
    return DecodedHistory(
        messages=reader.records(HistoryMessage, rows, "$.data.messageList", names=NAMES),
        returned=len(rows),
        new_start=(data or {}).get("newStart"),
    )


def read_handle(fields: Mapping[str, Any], _: LenientReader) -> str:
    """Return the handle of a query of the two-step history."""
    location = fields.get("location")
    handle = location.partition("/query/")[2] if isinstance(location, str) else ""
    if not handle:
        raise DecodeError(f"{location!r} is not the location of a result", path="$.location")
    return handle


def read_archive(fields: Mapping[str, Any], reader: LenientReader) -> list[ArchivedMessage] | None:
    """Return the messages of a result of the two-step history; None while it is in progress."""
    if _is_in_progress(fields):
        return None
    return reader.records(ArchivedMessage, fields.get("messages"), "$.messages", names=NAMES)


def read_count(fields: Mapping[str, Any], _: LenientReader) -> int | None:
    """Return the number of messages of the two-step history; None while it is in progress."""
    if _is_in_progress(fields):
        return None
    count = whole_number(fields.get("count"))
    if count is None:
        raise DecodeError(f"a count cannot be {show(fields.get('count'))}", path="$.count")
    return count


def _is_in_progress(fields: Mapping[str, Any]) -> bool:
    return str(fields.get("code")).lower() == "in progress"
