"""The records of Call Inspector, and how they are read.

Source: Agora, "Analytics REST API reference", the response fields. A reader is tolerant: unknown fields go to
`extra`, optional ones may be missing, ids may be numbers or text. A required field that is missing is a `DecodeError`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NewType, TypeVar

import cattrs
from attrs import field, fields_dict, frozen
from cattrs.gen import make_dict_structure_fn

from agora_analytics.errors import DecodeError

Uid = NewType("Uid", str)
"""A user id. The API sends numbers (some above 2^31) or text; here it is always text."""


@frozen(kw_only=True)
class Call:
    """One call: a channel from the time its first user joins until its last user leaves.

    Attributes:
        call_id: the key.
        cname: the channel's name.
        created_ts: its start, UTC epoch seconds.
        destroyed_ts: its end, UTC epoch seconds; for an ongoing call the last known time, or its start.
        finished: False for an ongoing call.
        call_pcu: the peak number of concurrent users.
        call_acu: the total number of users.
        call_audio_freeze_rate: share of audio time that was frozen, a fraction of 1.
        call_video_freeze_rate: share of video time that was frozen, a fraction of 1.
        extra: fields that the reference does not name, as they were sent.
    """

    call_id: str
    cname: str
    created_ts: int
    destroyed_ts: int
    finished: bool
    call_pcu: int | None = None
    call_acu: int | None = None
    call_audio_freeze_rate: float | None = None
    call_video_freeze_rate: float | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def created_at(self) -> datetime:
        """The start as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.created_ts, UTC)

    @property
    def destroyed_at(self) -> datetime:
        """The end as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.destroyed_ts, UTC)


@frozen(kw_only=True)
class Session:
    """One session of a user in a call; a user who leaves and returns has two.

    Attributes:
        sid: the key within the call.
        cname: the channel's name.
        uid: the user id, as text.
        account: the user's string account, if the app uses them.
        network: the network type, as sent ("Wi-Fi", "4G", ...).
        platform: the platform, as sent.
        speaker: whether the user sent audio or video.
        roles: the roles that the user had.
        sdk_version: the SDK's version.
        device_type: the device, as sent.
        join_ts: when the user joined, UTC epoch seconds.
        leave_ts: when the user left, UTC epoch seconds; for an ongoing session the last known time, or `join_ts`.
        finished: False while the user is in the call.
        user_audio_freeze_rate: a fraction of 1.
        user_video_freeze_rate: a fraction of 1.
        extra: fields that the reference does not name, as they were sent.
    """

    sid: str
    cname: str = ""
    uid: Uid
    account: str | None = None
    network: str | None = None
    platform: str | None = None
    speaker: bool | None = None
    roles: tuple[str, ...] = ()
    sdk_version: str | None = None
    device_type: str | None = None
    join_ts: int
    leave_ts: int
    finished: bool
    user_audio_freeze_rate: float | None = None
    user_video_freeze_rate: float | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def joined_at(self) -> datetime:
        """`join_ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.join_ts, UTC)

    @property
    def left_at(self) -> datetime:
        """`leave_ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.leave_ts, UTC)


R = TypeVar("R", bound=Call | Session)


def _uid(value: Any, _: type) -> str:
    if value is None or isinstance(value, (bool, float, list, dict)):
        raise ValueError(f"a user id cannot be {value!r}")
    return str(value)


def roles_of(value: Any, _: type = tuple) -> tuple[str, ...]:
    """Return the roles, which come as a list, as one text, or not at all."""
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)


def _seconds(value: Any, _: type) -> int:
    if isinstance(value, bool):
        raise ValueError(f"a number cannot be {value!r}")  # noqa: TRY004 - cattrs gathers ValueErrors
    return int(value)


def _flag(value: Any, _: type) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false cannot be {value!r}")  # noqa: TRY004
    return value


def _text(value: Any, _: type) -> str:
    if isinstance(value, (bool, list, dict)):
        raise ValueError(f"a text cannot be {value!r}")  # noqa: TRY004
    return str(value)


_ENDS: Mapping[type[Any], tuple[str, str]] = {
    Call: ("created_ts", "destroyed_ts"),
    Session: ("join_ts", "leave_ts"),
}

_converter = cattrs.Converter()
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(Uid, _uid)
_converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], roles_of)
_converter.register_structure_hook(int, _seconds)
_converter.register_structure_hook(bool, _flag)
for _record in (Call, Session):
    _converter.register_structure_hook(_record, make_dict_structure_fn(_record, _converter))


def read_records(kind: type[R], rows: Any, *, path: str) -> list[R]:
    """Return the rows of a response as records; `path` is the path of the list in it.

    Raises:
        DecodeError: with the path of the first field that cannot be read.
    """
    if not isinstance(rows, list):
        raise DecodeError(f"expected a list of records, found {type(rows).__name__}", path=path)
    known = fields_dict(kind).keys() - {"extra"}
    return [_read(kind, row, known, f"{path}[{i}]") for i, row in enumerate(rows)]


def _read(kind: type[R], row: Any, known: set[str], path: str) -> R:
    if not isinstance(row, dict):
        raise DecodeError(f"expected a record, found {type(row).__name__}", path=path)
    extra = {name: value for name, value in row.items() if name not in known}
    # A null is as good as a missing field.
    named = {name: value for name, value in row.items() if name in known and value is not None}
    if named.get("finished") is False:
        begin, end = _ENDS[kind]
        if begin in named:
            named.setdefault(end, named[begin])  # the last known time of an ongoing call or session
    try:
        return _converter.structure({**named, "extra": extra}, kind)
    except cattrs.BaseValidationError as error:
        raise DecodeError("; ".join(cattrs.transform_error(error, path=path)), path=path) from error


def sids_of(sessions: Iterable[Session | str]) -> list[str]:
    """Return the session ids of sessions, or of ids."""
    return [session if isinstance(session, str) else session.sid for session in sessions]
