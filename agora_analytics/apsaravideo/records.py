"""The points of a metric, and the pages that they come on. Read tolerantly: what is no number is kept, and counted.

Source: Alibaba Cloud, "ApsaraVideo Live: DescribeLiveInteractionMetricData": all scalars are JSON strings.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import field, frozen

from agora_analytics.core.windows import Window
from agora_analytics.engine.pages import Page
from agora_analytics.errors import DecodeError

if TYPE_CHECKING:
    import pyarrow as pa

_LATEST = 1e14  # milliseconds: beyond the year 5000 even the units are wrong
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
class MetricPoint:
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


@frozen(kw_only=True)
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


def read_points(body: bytes, *, metric: str) -> Points:
    """Return the points of a response, the earliest first, and their summary. Missing nodes are an empty list.

    Raises:
        DecodeError: with the path of what cannot be read.
    """
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the response is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DecodeError(f"the response is not a JSON object but {type(fields).__name__}")
    by_name = {name[:1].upper() + name[1:]: value for name, value in fields.items()}
    nodes, summary = by_name.get("Nodes"), by_name.get("SummaryData")
    if not isinstance(nodes, list | None):
        raise DecodeError(f"a list of points is missing, found {type(nodes).__name__}", path="$.Nodes")
    points = [_point(node, metric, f"$.Nodes[{i}]") for i, node in enumerate(nodes or ())]
    return Points(
        points=sorted(points, key=lambda point: point.ts),
        summary=number(summary),
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


def number(value: Any) -> float | None:
    """Return a number that was sent as a number or as text; None for anything else, NaN and infinity included.

    Example:
        >>> number("66.670000"), number("n/a")
        (66.67, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and (not value.isascii() or "_" in value):  # Python would accept them
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def _point(node: Any, metric: str, path: str) -> MetricPoint:
    if not isinstance(node, dict):
        raise DecodeError(f"a point cannot be {type(node).__name__}", path=path)
    by_name = {name[:1].upper() + name[1:]: value for name, value in node.items()}
    milliseconds, sent = number(by_name.pop("Timestamp", None)), by_name.pop("Value", None)
    if milliseconds is None or not abs(milliseconds) < _LATEST:
        raise DecodeError("a point has no time, or an impossible one", path=f"{path}.Timestamp")
    value = number(sent)
    return MetricPoint(
        metric=metric,
        ts=int(milliseconds // 1000),
        value=value,
        raw=_as_sent(sent) if value is None else None,
        extra=by_name,
    )


def _as_sent(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
