"""The records of Call Inspector, and how they are read.

Source: Agora, "Analytics REST API reference", the response fields.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NewType, TypeVar

from attrs import field, frozen

from agora_analytics.core.field_types import Id, Int64, Seconds
from agora_analytics.core.lenient_reader import READERS, LenientReader, read_id, read_text
from agora_analytics.core.numbers import truth_of
from agora_analytics.core.record import Record

Uid = NewType("Uid", str)
"""A user id. The API sends numbers (some above 2^31) or text; here it is always text."""


@frozen(kw_only=True)
class Call(Record):
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
        extra: fields that the reference does not name or that cannot be read, as they were sent.
    """

    call_id: Id
    cname: str
    created_ts: Seconds
    destroyed_ts: Seconds
    finished: bool
    call_pcu: Int64 | None = None
    call_acu: Int64 | None = None
    call_audio_freeze_rate: float | None = None
    call_video_freeze_rate: float | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def created_at(self) -> datetime:
        """The start as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.created_ts, UTC)

    @property
    def destroyed_at(self) -> datetime:
        """The end as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.destroyed_ts, UTC)


@frozen(kw_only=True)
class Session(Record):
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
        extra: fields that the reference does not name or that cannot be read, as they were sent.
    """

    sid: Id
    cname: str = ""
    uid: Uid
    account: str | None = None
    network: str | None = None
    platform: str | None = None
    speaker: bool | None = None
    roles: tuple[str, ...] = ()
    sdk_version: str | None = None
    device_type: str | None = None
    join_ts: Seconds
    leave_ts: Seconds
    finished: bool
    user_audio_freeze_rate: float | None = None
    user_video_freeze_rate: float | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def joined_at(self) -> datetime:
        """`join_ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.join_ts, UTC)

    @property
    def left_at(self) -> datetime:
        """`leave_ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.leave_ts, UTC)


R = TypeVar("R", bound=Call | Session)


def roles_of(value: Any, _: object = None) -> tuple[str, ...]:
    """Return the roles, which are sent as a list, as one text, or not at all."""
    if value is None:
        return ()
    return tuple(map(read_text, value)) if isinstance(value, (list, tuple)) else (read_text(value),)


READERS |= {Uid: read_id, tuple[str, ...]: roles_of}

_ENDS: Mapping[type[Any], tuple[str, str]] = {
    Call: ("created_ts", "destroyed_ts"),
    Session: ("join_ts", "leave_ts"),
}


def read_records(kind: type[R], rows: Any, reader: LenientReader, *, path: str) -> list[R]:
    """Return the rows of a response as records; `path` is the path of the list in it.

    Raises:
        DecodeError: the value is not a list.
    """
    begin, end = _ENDS[kind]

    def last_known_time(row: Mapping[str, Any]) -> Mapping[str, Any]:
        ongoing = truth_of(row.get("finished")) is False
        return {end: row[begin]} if ongoing and begin in row else {}

    return reader.records(kind, rows, path, instead=last_known_time)


def sids_of(sessions: Iterable[Session | str]) -> list[str]:
    """Return the session ids of sessions, or of ids."""
    return [session if isinstance(session, str) else session.sid for session in sessions]
