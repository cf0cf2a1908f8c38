"""The records of the 2021 beta API, their parsers and their tables. `extra` keeps the fields that are not documented or
cannot be read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from agora_analytics.agora.beta.enums import EXPERIENCES, FACTORS, BetaExperienceMetric, BetaNetMetric
from agora_analytics.agora.beta.limits import MOST_CALLS, MOST_DIAGNOSES, MOST_USERS
from agora_analytics.agora.parsers import read_columns
from agora_analytics.agora.records import Call, Session, Uid, read_records
from agora_analytics.core.arrow_columns import arrow_table, json_cell
from agora_analytics.core.columns import MetricColumns, no_columns
from agora_analytics.core.field_types import Int64, Seconds
from agora_analytics.core.lenient_reader import LenientReader, list_of
from agora_analytics.core.numbers import truth_of
from agora_analytics.core.record import Record
from agora_analytics.core.verdicts import Payload
from agora_analytics.core.windows import Window
from agora_analytics.engine.pages import Page

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


@frozen(kw_only=True)
class BetaPoint(Record):
    """One metric at one time.

    Attributes:
        ts: the beginning of the day (usage) or the minute (live), UTC epoch seconds, as it was sent.
        metric: the metric, as the API spells it.
        value: a count (`usage`, `live_scale`) or PERCENT, 0 to 100 (`live_experience`, `live_net`); None for null.
        extra: the other fields of the row.
    """

    ts: Seconds
    metric: str
    value: int | float | None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    _IN_JSON = ("unit",)

    @property
    def unit(self) -> str:
        """`%`, or "" for a count and for a metric that no document names."""
        return "%" if self.metric in {*BetaExperienceMetric, *BetaNetMetric} else ""

    @property
    def at(self) -> datetime:
        """`ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.ts, UTC)


@frozen(kw_only=True)
class CauseTag(Record):
    """One cause of a user's bad experience.

    Attributes:
        factor_id: the id of the cause; see `factor`.
        host_user: the remote user who caused it; "" for the user who has the experience.
        extra: fields that are not documented or cannot be read, as they were sent.
    """

    factor_id: Int64
    host_user: Uid = field(default=Uid(""))
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    _IN_JSON = ("factor",)

    @property
    def factor(self) -> str | None:
        """The meaning of `factor_id`; None for an undocumented id."""
        return FACTORS.get(self.factor_id)


@frozen(kw_only=True)
class Diagnosis(Record):
    """A bad experience of a user, and its causes.

    Attributes:
        ts: the time in UTC epoch seconds.
        user: the user.
        exp_id: the id of the experience; see `experience`.
        cname: the channel.
        cause_tags: at most three causes.
        extra: fields that are not documented or cannot be read, as they were sent.
    """

    ts: Seconds
    user: Uid
    exp_id: Int64
    cname: str = ""
    cause_tags: tuple[CauseTag, ...] = ()
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    _IN_JSON = ("experience",)

    @property
    def at(self) -> datetime:
        """`ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.ts, UTC)

    @property
    def experience(self) -> str | None:
        """The meaning of `exp_id`; None for an undocumented id."""
        return EXPERIENCES.get(self.exp_id)


@frozen(kw_only=True)
class CallDetails(Record):
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


def parse_calls(fields: Mapping[str, Any], reader: LenientReader) -> CappedList[Call]:
    """Return the calls of a response, the newest first. A full list without a readable `has_more` may be truncated."""
    rows = fields.get("call_lists")
    calls = read_records(Call, rows, reader, path="$.call_lists")
    more = truth_of(fields.get("has_more"))
    return CappedList(calls, len(rows or ()) >= MOST_CALLS if more is None else more)


def parse_details(
    fields: Mapping[str, Any], reader: LenientReader, body: bytes, sent: Payload
) -> CappedList[CallDetails]:
    """Return the sessions and samples of a response, given its fields, its body and what was sent."""
    # The reader of samples works on bytes; it makes flat columns, checks them, and is the same for both APIs.
    columns = read_columns(body, reader) if fields.get("metrics") else no_columns()
    named = fields.get("call_id")
    details = CallDetails(
        call_id=named if isinstance(named, str) and named else dict(sent.query)["call_id"],
        window=sent.window or Window(0, 0),
        sessions=tuple(read_records(Session, fields.get("call_info"), reader, path="$.call_info")),
        columns=columns,
    )
    return CappedList([details], truncated=False)


def parse_points(fields: Mapping[str, Any], reader: LenientReader, metrics: Sequence[str]) -> list[BetaPoint]:
    """Return a point for each row and metric, sorted by time."""
    points: list[BetaPoint] = []
    for i, row in enumerate(list_of(fields.get("data"), "$.data")):
        present = [metric for metric in metrics if metric in row] if isinstance(row, dict) else ["value"]
        if not present:
            reader.skip(f"$.data[{i}]", f"{', '.join(metrics)} is missing")
        for metric in present:
            others = set(present) - {metric}
            point = reader.record(
                BetaPoint,
                {name: value for name, value in row.items() if name not in others} if others else row,
                f"$.data[{i}]",
                names={"value": (metric,)},
                known={"metric": metric},
            )
            if point is None:  # one entry is enough for a row
                break
            points.append(point)
    return sorted(points, key=lambda point: point.ts)


def parse_diagnoses(fields: Mapping[str, Any], reader: LenientReader) -> CappedList[Diagnosis]:
    """Return the messages of a diagnosis, in the server's order. A full response may be truncated; it does not say."""
    rows = list_of(fields.get("data"), "$.data")
    read = [_diagnosis(row, f"$.data[{i}]", reader) for i, row in enumerate(rows)]
    diagnoses = [diagnosis for diagnosis in read if diagnosis is not None]
    return CappedList(diagnoses, len(rows) >= MOST_DIAGNOSES)


def _diagnosis(row: Any, path: str, reader: LenientReader) -> Diagnosis | None:
    tags: list[CauseTag] = []
    if isinstance(row, dict):
        inner = f"{path}.cause_tags"
        tags = reader.records(CauseTag, reader.inner_list(row.get("cause_tags"), inner), inner)
        row = {name: value for name, value in row.items() if name != "cause_tags"}
    return reader.record(Diagnosis, row, path, known={"cause_tags": tuple(tags)})


def details_table(pages: Sequence[Page[CallDetails]]) -> "pa.Table":
    """Return the samples of a call as one long table, with the schema `agora_analytics.schemas.SAMPLES`."""
    from agora_analytics.agora.arrow import samples_table

    parts = [details for page in pages for details in page.records if len(details.columns)]
    return samples_table((part.columns for part in parts), call_id=parts[0].call_id if parts else "")


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
        {name: getattr(diagnosis, name, getattr(cause, name, None)) for name in schema.names}
        | {"extra": json_cell(diagnosis.extra)}
        for page in pages
        for diagnosis in page.records
        for cause in diagnosis.cause_tags or (None,)
    ]
    return arrow_table(rows, schema)
