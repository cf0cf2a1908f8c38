"""The records of the 2021 beta API, and the parsers of its responses. Undocumented fields are kept in `extra`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from agora_analytics.agora.beta.enums import EXPERIENCES, FACTORS
from agora_analytics.agora.beta.limits import MOST_DIAGNOSES, MOST_USERS
from agora_analytics.agora.parsers import Row
from agora_analytics.agora.records import Call, Session, Uid, read_records
from agora_analytics.core.columns import MetricColumns, no_columns
from agora_analytics.core.windows import Window
from agora_analytics.errors import DecodeError

T = TypeVar("T")


@frozen(kw_only=True)
class BetaPoint:
    """One metric at one time.

    Attributes:
        ts: the beginning of the day (usage) or the minute (live), UTC epoch seconds, as it was sent.
        metric: the metric, as the API spells it.
        value: a count (`usage`, `live_scale`) or PERCENT, 0 to 100 (`live_experience`, `live_net`); None for null.
        extra: the other fields of the row.
    """

    ts: int
    metric: str
    value: int | float | None
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def at(self) -> datetime:
        """`ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.ts, UTC)


@frozen(kw_only=True)
class CauseTag:
    """One cause of a user's bad experience.

    Attributes:
        factor_id: the id of the cause; see `factor`.
        host_user: the remote user who caused it; "" for the user who has the experience.
        extra: undocumented fields, as they were sent.
    """

    factor_id: int
    host_user: Uid
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def factor(self) -> str | None:
        """The meaning of `factor_id`; None for an undocumented id."""
        return FACTORS.get(self.factor_id)


@frozen(kw_only=True)
class Diagnosis:
    """A bad experience of a user, and its causes.

    Attributes:
        ts: the time in UTC epoch seconds.
        user: the user.
        exp_id: the id of the experience; see `experience`.
        cname: the channel.
        cause_tags: at most three causes.
        extra: undocumented fields, as they were sent.
    """

    ts: int
    user: Uid
    exp_id: int
    cname: str
    cause_tags: tuple[CauseTag, ...]
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def at(self) -> datetime:
        """`ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.ts, UTC)

    @property
    def experience(self) -> str | None:
        """The meaning of `exp_id`; None for an undocumented id."""
        return EXPERIENCES.get(self.exp_id)


@frozen(kw_only=True)
class CallDetails:
    """A call in one time range that the API allows: at most 10 users, and their samples.

    Attributes:
        call_id: the call.
        window: the requested seconds, both ends included.
        sessions: the users who joined last, the newest first.
        columns: all samples as flat columns; iterate over it for `Series`. Empty with `metrics=False`.
    """

    call_id: str
    window: Window
    sessions: tuple[Session, ...]
    columns: MetricColumns = field(repr=False)

    @property
    def may_hide_users(self) -> bool:
        """Whether there may be more users: the API returns 10, and not how many there are."""
        return len(self.sessions) >= MOST_USERS


@frozen
class CappedList(Generic[T]):
    """The records of a response, which has at most 10, and whether there may be more."""

    records: Sequence[T]
    truncated: bool


@frozen(kw_only=True)
class DecodedDetails:
    """The decoded body of a call's details; `call_id` is None if the server left it out."""

    call_id: str | None
    sessions: tuple[Session, ...]
    columns: MetricColumns


def parse_calls(fields: Mapping[str, Any]) -> CappedList[Call]:
    """Return the calls of a response, the newest first.

    Raises:
        DecodeError: with the path of the first field that cannot be read.
    """
    calls = read_records(Call, fields.get("call_lists"), path="$.call_lists")
    return CappedList(calls, bool(fields.get("has_more")))


def parse_details(fields: Mapping[str, Any], body: bytes) -> DecodedDetails:
    """Return the sessions and samples of a response, given its fields and its body.

    Raises:
        DecodeError: with the path of the first field that cannot be read.
    """
    from agora_analytics.decode import decode_metrics

    sessions = read_records(Session, fields.get("call_info") or [], path="$.call_info")
    # The reader of samples works on bytes; it makes flat columns, checks them, and is the same for both APIs.
    columns = decode_metrics(body) if fields.get("metrics") else no_columns()
    call_id = fields.get("call_id")
    return DecodedDetails(
        call_id=str(call_id) if call_id else None, sessions=tuple(sessions), columns=columns
    )


def parse_points(fields: Mapping[str, Any], *, metrics: Sequence[str]) -> list[BetaPoint]:
    """Return a point for each row and metric, sorted by time.

    Raises:
        DecodeError: with the path of the first field that cannot be read.
    """
    points = []
    for i, data in enumerate(_rows(fields)):
        row = Row(data, f"$.data[{i}]")
        ts = row.seconds("ts")
        values = {metric: row.number(metric) for metric in metrics if metric in row.rest}
        points += [
            BetaPoint(ts=ts, metric=metric, value=value, extra=row.rest) for metric, value in values.items()
        ]
    return sorted(points, key=lambda point: point.ts)


def parse_diagnoses(fields: Mapping[str, Any]) -> CappedList[Diagnosis]:
    """Return the messages of a diagnosis, in the server's order. A full response may be truncated; it does not say.

    Raises:
        DecodeError: with the path of the first field that cannot be read.
    """
    diagnoses = [_diagnosis(Row(data, f"$.data[{i}]")) for i, data in enumerate(_rows(fields))]
    return CappedList(diagnoses, len(diagnoses) >= MOST_DIAGNOSES)


def _diagnosis(row: Row) -> Diagnosis:
    ts, user, experience = row.seconds("ts"), _text(row, "user"), _number(row, "exp_id")
    cname = str(row.rest.pop("cname", None) or "")
    tags = row.rest.pop("cause_tags", None)
    tags = [] if tags is None else tags
    if not isinstance(tags, list):
        raise DecodeError("a list of causes is missing", path=f"{row.path}.cause_tags")
    causes = tuple(_cause(Row(tag, f"{row.path}.cause_tags[{i}]")) for i, tag in enumerate(tags))
    return Diagnosis(ts=ts, user=Uid(user), exp_id=experience, cname=cname, cause_tags=causes, extra=row.rest)


def _cause(row: Row) -> CauseTag:
    factor, user = _number(row, "factor_id"), row.rest.pop("host_user", None)
    return CauseTag(factor_id=factor, host_user=Uid("" if user is None else str(user)), extra=row.rest)


def _number(row: Row, name: str) -> int:
    try:
        return int(_text(row, name))
    except ValueError:
        raise DecodeError("a number is missing", path=f"{row.path}.{name}") from None


def _text(row: Row, name: str) -> str:
    value = row.rest.pop(name, None)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise DecodeError(f"a required field cannot be {value!r}", path=f"{row.path}.{name}")
    return str(value)


def _rows(fields: Mapping[str, Any]) -> list[Any]:
    rows = fields.get("data")
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise DecodeError(f"a list of rows is missing, found {type(rows).__name__}", path="$.data")
    return rows
