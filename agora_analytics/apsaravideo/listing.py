"""The listing of interaction metrics: one page for each metric and window of 24 hours.

Source: `reference/apsaravideo.md`, section 1.
"""

import re
from collections.abc import Sequence
from functools import partial

from attrs import frozen

from agora_analytics.apsaravideo.judge import read_response
from agora_analytics.apsaravideo.parameters import Filters
from agora_analytics.apsaravideo.records import MetricPage, MetricPoint, Points, read_points
from agora_analytics.apsaravideo.spec import INTERACTION_METRICS
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.pages import Fetched
from agora_analytics.errors import InvalidRequest
from agora_analytics.kit.listing import FirstSeen, Listing
from agora_analytics.kit.operation import Operation
from agora_analytics.messages import Query

_TOKEN = re.compile(r"(-?\d{1,15})\.(-?\d{1,15})\.(\d{1,9})\.(-?\d{1,15}|)", re.ASCII)


def in_milliseconds(window: Window) -> Query:
    """Return the two ends of a window as the API takes them.

    Whether the ends belong to the range is not documented. A window ends with its last millisecond, so that no second is
    lost between two windows in either case, and each is shorter than 24 hours.
    """
    return (("BeginTs", str(window.start * 1000)), ("EndTs", str(window.end * 1000 + 999)))


OPERATION: Operation[Points] = Operation(
    name=INTERACTION_METRICS,
    # The official SDK sends POST too. An HTTP library may repeat a GET on its own, and a nonce is valid once.
    method="POST",
    path="/",
    read=partial(read_response, parse=partial(read_points, metric="")),
    write_window=in_milliseconds,
    key=lambda point: (point.metric, point.ts),
)


@frozen(kw_only=True)
class MetricWindow:
    """One request of the listing: a metric in a window."""

    metric: str
    window: Window


@frozen(kw_only=True)
class ResumeToken:
    """Where a listing continues: its whole range, the number of pages before, and the last point of the next metric."""

    range: Window
    done: int = 0
    last: int | None = None

    @classmethod
    def read(cls, token: str) -> "ResumeToken":
        """Read a page's `resume_token`.

        Raises:
            InvalidRequest: the text is not the token of a page that has pages after it.
        """
        parts = _TOKEN.fullmatch(token)
        if parts is None or int(parts[1]) > int(parts[2]):
            raise InvalidRequest(
                f"resume={token!r} is not the resume_token of a page with pages after it; pass the token as it is"
            )
        last = int(parts[4]) if parts[4] else None
        return cls(range=Window(int(parts[1]), int(parts[2])), done=int(parts[3]), last=last)

    def write(self) -> str:
        """Return the token."""
        last = "" if self.last is None else self.last
        return f"{self.range.start}.{self.range.end}.{self.done}.{last}"


def metric_listing(
    engine: Engine, metrics: Sequence[str], filters: Filters, limits: Limits | None, position: ResumeToken
) -> Listing[MetricWindow, Points, MetricPage]:
    """Return the paginator of one metric or several, from a position on."""
    windows = [position.range] if limits is None else OPERATION.split(position.range, limits)
    steps = [MetricWindow(metric=metric, window=window) for metric in metrics for window in windows]
    left = steps[position.done :]
    unique: FirstSeen[MetricPoint] = FirstSeen(lambda point: (point.metric, point.ts))

    def request(step: MetricWindow) -> ApiRequest[Points]:
        return OPERATION.request(
            (("MetricType", str(step.metric)), *filters.query),
            window=step.window,
            limits=limits,
            read=partial(read_response, parse=partial(read_points, metric=str(step.metric))),
        )

    def page(step: MetricWindow, response: ApiResponse[Points]) -> Fetched[MetricWindow, MetricPage]:
        return Fetched(
            page=MetricPage(
                records=response.result.points,
                meta=response.meta,
                raw=response.response.body,
                metric=str(step.metric),
                window=response.payload.window or step.window,
                summary=response.result.summary,
                raw_summary=response.result.raw_summary,
            )
        )

    def fresh(points: Sequence[MetricPoint]) -> list[MetricPoint]:
        return [point for point in unique(points) if not _is_before_resume(point)]

    def _is_before_resume(point: MetricPoint) -> bool:
        return position.last is not None and point.metric == left[0].metric and point.ts <= position.last

    def token(page: MetricPage, after: Sequence[MetricWindow]) -> str:
        last = max((point.ts for point in page.records), default=None)
        continues = page.metric == after[0].metric
        done = len(steps) - len(after)
        return ResumeToken(range=position.range, done=done, last=last if continues else None).write()

    return Listing(left, run=engine.run, request=request, page=page, token=token, fresh=fresh)
