"""The records of the 2021 beta API, and how they are read. Fields that the page does not name go to `extra`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from agora_analytics.agora.beta.catalogues import EXPERIENCES, FACTORS
from agora_analytics.agora.beta.limits import MOST_USERS
from agora_analytics.agora.parsers import Row
from agora_analytics.agora.records import Session, Uid
from agora_analytics.core.columns import MetricColumns
from agora_analytics.core.windows import Window
from agora_analytics.errors import DecodeError


@frozen(kw_only=True)
class BetaPoint:
    """One metric at one time.

    Attributes:
        ts: the beginning of the day (usage) or the minute (live), UTC epoch seconds, as it was sent.
        metric: the metric, as the API spells it.
        value: a count (`usage`, `live_scale`) or PERCENT, 0 to 100 (`live_experience`, `live_net`); None for null.
        extra: fields that were not asked for.
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
    """One cause of a trouble.

    Attributes:
        factor_id: what it is; see `factor`.
        host_user: the remote user that it lies with; "" for the user who has the trouble.
        extra: fields that the page does not name.
    """

    factor_id: int
    host_user: Uid
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def factor(self) -> str | None:
        """What `factor_id` says; None for one that no table names."""
        return FACTORS.get(self.factor_id)


@frozen(kw_only=True)
class Diagnosis:
    """A trouble that a user had, and why.

    Attributes:
        ts: when, UTC epoch seconds.
        user: who.
        exp_id: what; see `experience`.
        cname: in which channel.
        cause_tags: at most three causes.
        extra: fields that the page does not name.
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
        """What `exp_id` says; None for one that no table names."""
        return EXPERIENCES.get(self.exp_id)


@frozen(kw_only=True)
class CallDetails:
    """A call in one legal range of time: at most 10 users, and their samples.

    Attributes:
        call_id: the call.
        window: the seconds that were asked for.
        sessions: the users who joined last, the newest first.
        columns: all samples as flat columns; iterate over it for `Series`. Empty with `metrics=False`.
    """

    call_id: str
    window: Window
    sessions: tuple[Session, ...]
    columns: MetricColumns = field(repr=False)

    @property
    def may_hide_users(self) -> bool:
        """Whether there may be more users than are shown: the API shows 10, and does not say how many there are."""
        return len(self.sessions) >= MOST_USERS


def read_points(rows: Any, metrics: Sequence[str]) -> list[BetaPoint]:
    """Return a point for each row and metric that it tells of, sorted by time.

    Raises:
        DecodeError: with the path of the first field that cannot be read.
    """
    points = []
    for i, fields in enumerate(_listed(rows)):
        row = Row(fields, f"$.data[{i}]")
        ts = row.seconds("ts")
        told = {metric: row.number(metric) for metric in metrics if metric in row.rest}
        points += [
            BetaPoint(ts=ts, metric=metric, value=value, extra=row.rest) for metric, value in told.items()
        ]
    return sorted(points, key=lambda point: point.ts)


def read_diagnoses(rows: Any) -> list[Diagnosis]:
    """Return the messages of a diagnosis, in the server's order.

    Raises:
        DecodeError: with the path of the first field that cannot be read.
    """
    return [_diagnosis(Row(fields, f"$.data[{i}]")) for i, fields in enumerate(_listed(rows))]


def _diagnosis(row: Row) -> Diagnosis:
    ts, user, what = row.seconds("ts"), _text(row, "user"), _number(row, "exp_id")
    cname = str(row.rest.pop("cname", None) or "")
    tags = row.rest.pop("cause_tags", None)
    tags = [] if tags is None else tags
    if not isinstance(tags, list):
        raise DecodeError("a list of causes is missing", path=f"{row.path}.cause_tags")
    causes = tuple(_cause(Row(tag, f"{row.path}.cause_tags[{i}]")) for i, tag in enumerate(tags))
    return Diagnosis(ts=ts, user=Uid(user), exp_id=what, cname=cname, cause_tags=causes, extra=row.rest)


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


def _listed(rows: Any) -> list[Any]:
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise DecodeError(f"a list of rows is missing, found {type(rows).__name__}", path="$.data")
    return rows
