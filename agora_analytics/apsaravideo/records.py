"""The points of a metric, and the pages that they come on. Read tolerantly: what is no number is kept, and counted.

Source: `reference/apsaravideo.md`, section 1: all scalars are JSON strings.
"""

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import field, frozen

from agora_analytics.core.windows import Window
from agora_analytics.engine.pages import Page, Pages
from agora_analytics.errors import DecodeError

if TYPE_CHECKING:
    import pyarrow as pa

_LATEST = 1e14  # milliseconds: beyond the year 5000 even the units are wrong
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
class MetricPoint:
    """The value of a metric in 5 minutes.

    Attributes:
        metric: which, as it was asked for.
        ts: when, UTC epoch seconds. Whether the 5 minutes begin or end there is not documented.
        value: the value, in the vendor's unit, which is not documented; None if what was sent is no number.
        raw: what was sent instead of a number; None where it was one.
        extra: fields that the reference does not name, as they were sent.
    """

    metric: str
    ts: int
    value: float | None
    raw: str | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def at(self) -> datetime:
        """When, as an aware datetime, UTC."""
        return _EPOCH + timedelta(seconds=self.ts)


@frozen(kw_only=True)
class MetricPage(Page[MetricPoint]):
    """One answer: the points of one metric in one window, and their summary.

    Attributes:
        metric: which.
        window: the seconds that were asked for, both ends included.
        summary: the vendor's summary of the window, in the metric's unit; None where it is missing or no number.
        raw_summary: the summary as it was sent; None where there is none.
        unreadable: how many points have a value that is no number.
    """

    metric: str
    window: Window
    summary: float | None
    raw_summary: str | None

    @property
    def unreadable(self) -> int:
        """How many points have a value that is no number."""
        return sum(point.value is None for point in self.records)

    def to_arrow(self) -> "pa.Table":
        """Return the points of this page as an Arrow table."""
        from agora_analytics.apsaravideo.arrow import points_table

        return points_table([self])


class MetricPages(Pages[MetricPoint]):
    """The points of metrics: `async for point in listing`, or page by page, or all at once.

    Every page is the answer to one window, of 24 hours at most, of one metric; it has the window's summary.

    Example:
        async for page in client.interaction_metrics("FirstFrameCost", "7d").pages():
            print(page.window.start, page.summary)
    """

    async def pages(self) -> AsyncGenerator[MetricPage, None]:
        """Iterate over the pages in order."""
        async with aclosing(super().pages()) as pages:
            async for page in pages:
                assert isinstance(page, MetricPage)  # noqa: S101 - its walk makes no other
                yield page


@frozen(kw_only=True)
class Answered:
    """What the body of a good answer holds."""

    points: Sequence[MetricPoint]
    summary: float | None
    raw_summary: str | None


def read_answer(body: bytes, *, metric: str) -> Answered:
    """Return the points and the summary of an answer, the earliest first; missing nodes are none.

    Raises:
        DecodeError: with the path of what cannot be read.
    """
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the answer is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DecodeError(f"the answer is no JSON object but {type(fields).__name__}")
    both = {name[:1].upper() + name[1:]: value for name, value in fields.items()}
    nodes, summary = both.get("Nodes"), both.get("SummaryData")
    if not isinstance(nodes, list | None):
        raise DecodeError(f"a list of points is missing, found {type(nodes).__name__}", path="$.Nodes")
    points = [_point(node, metric, f"$.Nodes[{i}]") for i, node in enumerate(nodes or ())]
    return Answered(
        points=sorted(points, key=lambda point: point.ts),
        summary=number(summary),
        raw_summary=_as_sent(summary),
    )


def number(value: Any) -> float | None:
    """Return a number that was sent as text, or as a number; None for what is neither, and for NaN and infinity.

    Example:
        >>> number("66.670000"), number("n/a")
        (66.67, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and (not value.isascii() or "_" in value):  # Python would take them
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def _point(node: Any, metric: str, path: str) -> MetricPoint:
    if not isinstance(node, dict):
        raise DecodeError(f"a point cannot be {type(node).__name__}", path=path)
    both = {name[:1].upper() + name[1:]: value for name, value in node.items()}
    milliseconds, sent = number(both.pop("Timestamp", None)), both.pop("Value", None)
    if milliseconds is None or not abs(milliseconds) < _LATEST:
        raise DecodeError("a point has no time, or one that cannot be", path=f"{path}.Timestamp")
    value = number(sent)
    return MetricPoint(
        metric=metric,
        ts=int(milliseconds // 1000),
        value=value,
        raw=_as_sent(sent) if value is None else None,
        extra=both,
    )


def _as_sent(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
