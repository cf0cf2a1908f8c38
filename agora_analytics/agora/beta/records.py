"""The records of the 2021 beta API, their parsers and their tables. Undocumented fields are kept in `extra`."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from agora_analytics.agora.beta.enums import EXPERIENCES, FACTORS
from agora_analytics.agora.beta.limits import MOST_DIAGNOSES, MOST_USERS
from agora_analytics.agora.parsers import Row, rows_of
from agora_analytics.agora.records import Call, Session, Uid, read_records
from agora_analytics.core.arrow_columns import arrow_table
from agora_analytics.core.columns import MetricColumns, no_columns
from agora_analytics.core.verdicts import Payload
from agora_analytics.core.windows import Window
from agora_analytics.engine.pages import Page
from agora_analytics.errors import DecodeError

if TYPE_CHECKING:
    import pyarrow as pa

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


def parse_calls(fields: Mapping[str, Any]) -> CappedList[Call]:
    """Return the calls of a response, the newest first."""
    calls = read_records(Call, fields.get("call_lists"), path="$.call_lists")
    return CappedList(calls, bool(fields.get("has_more")))


def parse_details(fields: Mapping[str, Any], body: bytes, sent: Payload) -> CappedList[CallDetails]:
    """Return the sessions and samples of a response, given its fields, its body and what was sent."""
    from agora_analytics.decode import decode_metrics

    details = CallDetails(
        call_id=str(fields.get("call_id") or dict(sent.query)["call_id"]),
        window=sent.window or Window(0, 0),
        sessions=tuple(read_records(Session, fields.get("call_info") or [], path="$.call_info")),
        # The reader of samples works on bytes; it makes flat columns, checks them, and is the same for both APIs.
        columns=decode_metrics(body) if fields.get("metrics") else no_columns(),
    )
    return CappedList([details], truncated=False)


def parse_points(fields: Mapping[str, Any], metrics: Sequence[str]) -> list[BetaPoint]:
    """Return a point for each row and metric, sorted by time."""
    points = []
    for row in _rows(fields.get("data"), "$.data"):
        ts = row.seconds("ts")
        values = {metric: row.number(metric) for metric in metrics if metric in row.rest}
        points += [
            BetaPoint(ts=ts, metric=metric, value=value, extra=row.rest) for metric, value in values.items()
        ]
    return sorted(points, key=lambda point: point.ts)


def parse_diagnoses(fields: Mapping[str, Any]) -> CappedList[Diagnosis]:
    """Return the messages of a diagnosis, in the server's order. A full response may be truncated; it does not say."""
    diagnoses = [_diagnosis(row) for row in _rows(fields.get("data"), "$.data")]
    return CappedList(diagnoses, len(diagnoses) >= MOST_DIAGNOSES)


def _diagnosis(row: Row) -> Diagnosis:
    ts, user, experience = row.seconds("ts"), _text(row, "user"), _number(row, "exp_id")
    cname = str(row.rest.pop("cname", None) or "")
    causes = tuple(_cause(tag) for tag in _rows(row.rest.pop("cause_tags", None), f"{row.path}.cause_tags"))
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


def _rows(rows: Any, path: str) -> list[Row]:
    return [] if rows is None else rows_of(rows, path)


def details_table(pages: Sequence[Page[CallDetails]]) -> "pa.Table":
    """Return the samples of a call as one long table, with the schema `agora_analytics.schemas.METRICS`."""
    import pyarrow as pa

    from agora_analytics.decode.arrow_table import columns_table
    from agora_analytics.schemas import METRICS

    parts = [details for page in pages for details in page.records]
    tables = [columns_table(part.columns, call_id=part.call_id) for part in parts if len(part.columns)]
    return pa.concat_tables(tables, unify_dictionaries=True) if tables else METRICS.empty_table()


def diagnoses_table(pages: Sequence[Page[Diagnosis]]) -> "pa.Table":
    """Return diagnoses as a table, one row for each cause; a diagnosis without a cause has one row."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("ts", pa.timestamp("s", "UTC")),
            ("user", pa.string()),
            ("exp_id", pa.int64()),
            ("experience", pa.string()),
            ("cname", pa.string()),
            ("factor_id", pa.int64()),
            ("factor", pa.string()),
            ("host_user", pa.string()),
            ("extra", pa.string()),
        ]
    )
    rows = [
        {
            "ts": diagnosis.ts,
            "user": diagnosis.user,
            "exp_id": diagnosis.exp_id,
            "experience": diagnosis.experience,
            "cname": diagnosis.cname,
            "factor_id": cause and cause.factor_id,
            "factor": cause and cause.factor,
            "host_user": cause and cause.host_user,
            "extra": json.dumps(diagnosis.extra, sort_keys=True) if diagnosis.extra else None,
        }
        for page in pages
        for diagnosis in page.records
        for cause in diagnosis.cause_tags or (None,)
    ]
    return arrow_table(rows, schema)
