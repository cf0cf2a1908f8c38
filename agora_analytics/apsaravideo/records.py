"""The points of a metric, and the pages that they come on. Read tolerantly: what is no number is kept, and counted.

Source: Alibaba Cloud, "ApsaraVideo Live: DescribeLiveInteractionMetricData": all scalars are JSON strings.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from agora_analytics.core.field_types import Milliseconds
from agora_analytics.core.lenient_json import NotJson, load_object
from agora_analytics.core.lenient_reader import LenientReader, list_of
from agora_analytics.core.numbers import exact_float
from agora_analytics.core.record import Record
from agora_analytics.core.windows import Window
from agora_analytics.engine.pages import Page
from agora_analytics.errors import DecodeError

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
class MetricPoint(Record):
    """The value of a metric in 5 minutes.

    Attributes:
        metric: the metric, as it was requested.
        ts: UTC epoch seconds. Whether this is the start or the end of the 5 minutes is not documented.
        value: the value, in the vendor's unit, which is not documented; None if the server sent something else than a
            number.
        raw: what the server sent instead of a number; None if it sent a number.
        extra: undocumented fields, as they were sent.
    """

    metric: str
    ts: int
    value: float | None
    raw: str | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def at(self) -> datetime:
        """`ts` as an aware datetime, UTC."""
        return _EPOCH + timedelta(seconds=self.ts)


@frozen(kw_only=True, repr=False)
class MetricPage(Page[MetricPoint]):
    """One page: the points of one metric in one window, and their summary.

    Attributes:
        metric: the metric.
        window: the requested seconds, both ends included.
        summary: the vendor's summary of the window, in the metric's unit; None if it is missing or not a number.
        raw_summary: the summary as it was sent; None if there is none.
    """

    metric: str
    window: Window
    summary: float | None
    raw_summary: str | None

    @property
    def unreadable(self) -> int:
        """Number of points whose value is not a number."""
        return sum(point.value is None for point in self.records)

    def to_arrow(self) -> "pa.Table":
        """Return the points of this page as an Arrow table."""
        return points_table([self])


@frozen(kw_only=True)
class Points:
    """What the body of a good response holds."""

    points: Sequence[MetricPoint]
    summary: float | None
    raw_summary: str | None


def read_points(body: bytes, reader: LenientReader, *, metric: str) -> Points:
    """Return the points of a response, the earliest first, and their summary. Missing nodes are an empty list.

    Raises:
        DecodeError: with the path of what cannot be read.
    """
    try:
        fields = _capitalized(load_object(body))
    except NotJson as error:
        raise DecodeError(f"the response cannot be read: {error}") from error
    nodes, summary = list_of(fields.get("Nodes"), "$.Nodes"), fields.get("SummaryData")
    read = [_point(node, metric, f"$.Nodes[{i}]", reader) for i, node in enumerate(nodes)]
    return Points(
        points=sorted((point for point in read if point is not None), key=lambda point: point.ts),
        summary=exact_float(summary),
        raw_summary=_as_sent(summary),
    )


def points_schema() -> "pa.Schema":
    """Return the columns of a table of points; `value` is null where the server sent no number, which `raw` has then."""
    import pyarrow as pa

    from agora_analytics.schemas import UTC_SECONDS

    return pa.schema(
        [
            pa.field("metric", pa.string(), nullable=False),
            pa.field("ts", UTC_SECONDS, nullable=False),
            pa.field("value", pa.float64()),
            pa.field("raw", pa.string()),
        ]
    )


def points_table(pages: Sequence[Page[MetricPoint]]) -> "pa.Table":
    """Return the points of all pages as one table, in their order. Needs the extra `[arrow]`."""
    import pyarrow as pa

    schema = points_schema()
    points = [point for page in pages for point in page.records]
    return pa.table([[getattr(point, name) for point in points] for name in schema.names], schema=schema)


@frozen(kw_only=True)
class _Node:
    """A point as it is sent."""

    ms: Milliseconds
    value: Any = None
    extra: Mapping[str, Any] = field(factory=dict)


def _point(node: Any, metric: str, path: str, reader: LenientReader) -> MetricPoint | None:
    if isinstance(node, dict):
        node = _capitalized(node)
    names = {"ms": ("Timestamp",), "value": ("Value",)}
    if (sent := reader.record(_Node, node, path, names=names)) is None:
        return None
    value = exact_float(sent.value)
    return MetricPoint(
        metric=metric,
        ts=sent.ms // 1000,
        value=value,
        raw=_as_sent(sent.value) if value is None else None,
        extra=sent.extra,
    )


def _capitalized(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by their names with a capital, since responses have either case."""
    return {name[:1].upper() + name[1:]: value for name, value in fields.items()}


def _as_sent(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))
