"""The listing of interaction metrics: its parameters, and one page for each metric and window of 24 hours.

Source: Alibaba Cloud, "ApsaraVideo Live: DescribeLiveInteractionMetricData".
"""

import sys
from collections.abc import Iterable, Sequence
from functools import partial

from attrs import asdict, evolve, frozen

from agora_analytics.apsaravideo.judge import read_response
from agora_analytics.apsaravideo.records import MetricPage, MetricPoint, Points, read_points
from agora_analytics.apsaravideo.spec import INTERACTION_METRICS, Metric, Os, TerminalType
from agora_analytics.core.limits import Limits
from agora_analytics.core.resume_tokens import ResumeTokens
from agora_analytics.core.spelling import check_spelling
from agora_analytics.core.windows import Window
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.pages import Fetched
from agora_analytics.errors import InvalidRequest
from agora_analytics.kit.listing import FirstSeen, Listing
from agora_analytics.kit.operation import Operation, report_clip
from agora_analytics.messages import Query


def in_milliseconds(window: Window) -> Query:
    """Return the two ends of a window as the API takes them.

    Whether the ends belong to the range is not documented. A window ends with its last millisecond, so that no second is
    lost between two windows in either case, and each is shorter than 24 hours.
    """
    return (("BeginTs", str(window.start * 1000)), ("EndTs", str(window.end * 1000 + 999)))


def _key(point: MetricPoint) -> tuple[str, int]:
    return point.metric, point.ts


OPERATION: Operation[Points] = Operation(
    name=INTERACTION_METRICS,
    # The official SDK sends POST too. An HTTP library may repeat a GET on its own, and a nonce is valid once.
    method="POST",
    path="/",
    read=partial(read_response, parse=partial(read_points, metric="")),
    write_window=in_milliseconds,
    key=_key,
)


@frozen(kw_only=True)
class Filters:
    """Selects the terminals of an app. None: all of them."""

    app_id: str
    os: str | None = None
    terminal_type: str | None = None
    channel_id: str | None = None

    def check(self) -> None:
        """Check each filter. A name unlike all documented ones is sent as it is.

        Raises:
            InvalidRequest: a filter is empty or misspelt.
        """
        documented: dict[str, Iterable[str]] = {"os": Os, "terminal_type": TerminalType}
        for name, value in asdict(self).items():
            if value is not None:
                _check_name(value, name, documented.get(name, ()))

    @property
    def query(self) -> Query:
        """The parameters, as the API spells them."""
        named = {
            "AppId": self.app_id,
            "Os": self.os,
            "TerminalType": self.terminal_type,
            "ChannelId": self.channel_id,
        }
        return tuple((name, str(value)) for name, value in named.items() if value is not None)


def check_metrics(metrics: Sequence[str]) -> None:
    """Check the names of metrics. A name unlike all documented ones is sent as it is.

    Raises:
        InvalidRequest: there is no metric, or one is given twice, is empty or misspelt.
    """
    if not metrics:
        raise InvalidRequest("no metric is given; pass at least one")
    if len(set(metrics)) < len(metrics):
        raise InvalidRequest(f"a metric is given twice: {', '.join(metrics)}")
    for metric in metrics:
        _check_name(metric, "metric", Metric)


def _check_name(text: str, name: str, documented: Iterable[str]) -> None:
    if not text.strip():
        raise InvalidRequest(f"{name}={text!r} is empty; leave it out, or pass a name")
    check_spelling(name, text, documented)


@frozen(kw_only=True)
class MetricWindow:
    """One request of the listing: a metric in a window."""

    metric: str
    window: Window


@frozen(kw_only=True)
class MetricPosition:
    """Where a listing continues.

    Attributes:
        start: the first second of the whole range.
        end: the last one.
        done: number of pages before.
        last: the time of the last point of the next metric.
    """

    start: int
    end: int
    done: int = 0
    last: int | None = None

    @classmethod
    def at_end(cls, window: Window) -> "MetricPosition":
        """Return the position after the last page."""
        return cls(start=window.start, end=window.end, done=sys.maxsize)


def metric_listing(
    engine: Engine,
    metrics: Sequence[str],
    filters: Filters,
    window: Window,
    limits: Limits | None,
    tokens: ResumeTokens,
    position: MetricPosition | None,
) -> Listing[MetricWindow, Points, MetricPage]:
    """Return the paginator of metrics, one after the other. The range of a resumed listing is that of its token.

    Raises:
        WindowOutOfReach: no part of the window can be requested now.
    """
    if position is not None:
        window = Window.as_given(position.start, position.end)
    elif limits is not None:
        now, asked = engine.server_time.now(), window
        window = OPERATION.clip(asked, limits, now, endpoint=OPERATION.name)
        report_clip(engine.observer, OPERATION.name, asked, window, now)
    position = position or MetricPosition(start=window.start, end=window.end)
    windows = [window] if limits is None else OPERATION.split(window, limits)
    steps = [MetricWindow(metric=metric, window=window) for metric in metrics for window in windows]
    left = steps[position.done :]
    unique: FirstSeen[MetricPoint] = FirstSeen(_key)

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
                skipped=response.skipped,
                metric=str(step.metric),
                window=response.payload.window or step.window,
                summary=response.result.summary,
                raw_summary=response.result.raw_summary,
            )
        )

    def fresh(points: Sequence[MetricPoint]) -> list[MetricPoint]:
        last = position.last  # of the metric at which the listing resumes
        return [p for p in unique(points) if last is None or p.metric != left[0].metric or p.ts > last]

    def token(page: MetricPage, after: Sequence[MetricWindow]) -> str:
        times = (point.ts for point in page.records if page.metric == after[0].metric)
        return tokens.write(evolve(position, done=len(steps) - len(after), last=max(times, default=None)))

    return Listing(left, run=engine.run, request=request, page=page, token=token, fresh=fresh)
