"""The records of Signaling and their readers, which accept both names of a field, and keep unknown fields in `extra`.

Source: Agora, "Signaling REST API", all its pages.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar, cast

import cattrs
from attrs import field, fields_dict, frozen

from agora_analytics.errors import DecodeError

R = TypeVar("R")

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
class Delivery:
    """The server's response to a message that it accepted.

    Attributes:
        code: as it was sent: `message_sent`, `message_delivered`, `message_offline`, the legacy `peer_offline`;
            None if the server sends no code (legacy channel messages).
        request_id: the id that the vendor's support asks for.
    """

    code: str | None
    request_id: str | None

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
class _Event:
    user_id: str
    type: str
    ms: int
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
        extra: undocumented fields, as they were sent.
    """


@frozen(kw_only=True)
class ChannelEvent(_Event):
    """A user joined or left a channel.

    Attributes:
        channel: the channel (`group_id`; the legacy field is `channel_id`).
        user_id: the user.
        type: `Join` or `Leave`, as it was sent; compares with `EventType`.
        ms: the time in UTC epoch milliseconds (the legacy field is `ts`).
        extra: undocumented fields, as they were sent.
    """

    channel: str


@frozen(kw_only=True)
class HistoryMessage:
    """A message of today's history.

    Attributes:
        publisher: the user who sent it.
        message: the text, or the base64 of a `BINARY` message.
        message_type: `STRING` or `BINARY`, as it was sent.
        custom_type: the type that the sender gave it.
        timestamp: the time, as it was sent. The unit is not documented; it is probably milliseconds.
        extra: undocumented fields, as they were sent.
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
            ValueError: a `BINARY` message is not base64.
        """
        return b64decode(self.message) if self.message_type == "BINARY" else self.message.encode()


@frozen(kw_only=True)
class ArchivedMessage:
    """A message of the two-step history.

    Attributes:
        src: the user who sent it.
        dst: the user or the channel that it was sent to.
        message_type: as it was sent: `peer_message`, `group_message`, the documented `channel_message`.
        ms: the time in UTC epoch milliseconds.
        payload: the text.
        extra: undocumented fields, as they were sent.
    """

    src: str
    dst: str
    message_type: str
    ms: int
    payload: str
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def to_channel(self) -> bool:
        """Whether it was sent to a channel: `channel_message` in the documents, `group_message` in real responses."""
        return self.message_type in {"group_message", "channel_message"}


def _text(value: Any, _: type) -> str:
    if isinstance(value, bool | float | list | dict):
        raise ValueError(f"text cannot be {value!r}")  # noqa: TRY004 - one kind of error for a reader
    return str(value)


def _whole(value: Any, _: type) -> int:
    if isinstance(value, bool):
        raise ValueError(f"a time cannot be {value!r}")  # noqa: TRY004
    return int(value)


_converter = cattrs.Converter(detailed_validation=False)
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(int, _whole)

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "channel": ("group_id", "channel_id"),
    "ms": ("ms", "ts"),
    "message_type": ("message_type", "messageType"),
    "custom_type": ("customType",),
}
"""The names that the API has for an attribute, the first one preferred."""


def read_row(record: type[R], row: Any) -> R:
    """Return a row as a record. Null counts as missing. Raises ValueError, KeyError or TypeError."""
    if not isinstance(row, dict):
        raise TypeError(f"a record cannot be {row!r}")
    extra = dict(row)
    values: dict[str, Any] = {}
    for name in fields_dict(cast("Any", record)).keys() - {"extra"}:
        for spelling in _SPELLINGS.get(name, (name,)):
            if (value := extra.pop(spelling, None)) is not None:
                values.setdefault(name, value)
    return _converter.structure({**values, "extra": extra}, record)


@frozen(kw_only=True)
class DecodedHistory:
    """One response of today's history: the messages, and where the next page starts, as it was sent."""

    messages: Sequence[HistoryMessage]
    new_start: Any


def read_delivery_code(fields: Mapping[str, Any]) -> str | None:
    """Return the `code` of a message that the server accepted."""
    code = fields.get("code")
    return code if isinstance(code, str) else None


def read_history(fields: Mapping[str, Any]) -> DecodedHistory:
    """Return the messages of a response of today's history."""
    data = fields.get("data") or {}
    if not isinstance(data, dict):
        raise DecodeError(f"an object is missing, found {type(data).__name__}", path="$.data")
    messages = _read_rows(HistoryMessage, data.get("messageList"), path="$.data.messageList")
    return DecodedHistory(messages=messages, new_start=data.get("newStart"))


def read_handle(fields: Mapping[str, Any]) -> str:
    """Return the handle of a query of the two-step history."""
    location = fields.get("location")
    handle = location.partition("/query/")[2] if isinstance(location, str) else ""
    if not handle:
        raise DecodeError(f"{location!r} is not the location of a result", path="$.location")
    return handle


def read_archive(fields: Mapping[str, Any]) -> list[ArchivedMessage] | None:
    """Return the messages of a result of the two-step history; None while it is in progress."""
    if _is_in_progress(fields):
        return None
    return _read_rows(ArchivedMessage, fields.get("messages"), path="$.messages")


def read_count(fields: Mapping[str, Any]) -> int | None:
    """Return the number of messages of the two-step history; None while it is in progress."""
    if _is_in_progress(fields):
        return None
    count = fields.get("count")
    if not isinstance(count, int) or isinstance(count, bool):
        raise DecodeError(f"a count cannot be {count!r}", path="$.count")
    return count


def _is_in_progress(fields: Mapping[str, Any]) -> bool:
    return fields.get("code") == "in progress"


def _read_rows(record: type[R], rows: Any, *, path: str) -> list[R]:
    """Return rows as records; null counts as an empty list."""
    if not isinstance(rows, list | None):
        raise DecodeError(f"a list of records is missing, found {type(rows).__name__}", path=path)
    records = []
    for i, row in enumerate(rows or ()):
        try:
            records.append(read_row(record, row))
        except (ValueError, KeyError, TypeError) as error:
            raise DecodeError(f"a record cannot be read: {error!r}", path=f"{path}[{i}]") from error
    return records
