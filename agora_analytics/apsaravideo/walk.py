"""The walk over the windows of a question: what each asks, and what its answer adds."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

from attrs import evolve, frozen

from agora_analytics.apsaravideo.facts import INTERACTION_METRICS
from agora_analytics.apsaravideo.judge import read_envelope, request_id
from agora_analytics.apsaravideo.questions import Filters, Step, in_milliseconds
from agora_analytics.apsaravideo.records import MetricPage, MetricPoint, read_answer
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.pages import Meta, Page
from agora_analytics.engine.request_loop import ApiRequest, ApiResponse, Query
from agora_analytics.errors import DecodeError, InvalidRequest

ENDPOINT = Endpoint(
    name=INTERACTION_METRICS,
    # As the official SDK sends it, though it asks only. Of a GET an HTTP library may believe that it can send it
    # again by itself, and a nonce is good for once.
    method="POST",
    path="/",
    since="BeginTs",
    until="EndTs",
    items="Nodes",
)

_TOKEN = re.compile(r"(-?\d{1,15})\.(-?\d{1,15})\.(\d{1,9})\.(-?\d{1,15}|)", re.ASCII)


@frozen(kw_only=True)
class Resumption:
    """Where a listing goes on: its whole range, how many pages came, and the last point of the metric at hand."""

    asked: Window
    done: int
    last: int | None

    @classmethod
    def read(cls, token: str) -> "Resumption":
        """Read a page's `resume_token`.

        Raises:
            InvalidRequest: it is none.
        """
        parts = _TOKEN.fullmatch(token)
        if parts is None or int(parts[1]) > int(parts[2]):
            raise InvalidRequest(f"resume={token!r} is no resume_token of a page that has pages behind it")
        last = int(parts[4]) if parts[4] else None
        return cls(asked=Window(int(parts[1]), int(parts[2])), done=int(parts[3]), last=last)

    def write(self) -> str:
        """Return the token."""
        last = "" if self.last is None else self.last
        return f"{self.asked.start}.{self.asked.end}.{self.done}.{last}"


class MetricWalk:
    """The walk over the windows of one metric or several.

    Args:
        steps: all of the listing, those before the resumption included.
        filters: which part of the app is asked for.
        limits: what is cut off when a request leaves; None: nothing.
        resumed: where to go on.
        run: sends a call.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        filters: Filters,
        limits: Limits | None,
        resumed: Resumption,
        run: Callable[[ApiRequest], Awaitable[ApiResponse]],
    ) -> None:
        self.steps = list(steps[resumed.done :])
        self._number = len(steps)
        self._filters = filters
        self._limits = limits
        self._resumed = resumed
        self._run = run
        self._last = {self.steps[0].metric: resumed.last} if self.steps else {}
        self._seen: set[tuple[str, int]] = set()

    async def fetch(self, step: Step) -> MetricPage:
        """See `Paginator.fetch`."""
        sent = [step.window]

        def query(server_now: float) -> Query:
            if self._limits is not None:
                sent[0] = clip(step.window, self._limits, server_now, endpoint=ENDPOINT.name)
            return (("MetricType", str(step.metric)), *in_milliseconds(sent[0]), *self._filters.query)

        answer = await self._run(ApiRequest(endpoint=ENDPOINT, query=query))
        response = answer.response
        found = request_id(read_envelope(response), response)
        try:
            read = read_answer(response.body, metric=str(step.metric))
        except DecodeError as error:
            error.endpoint, error.host, error.request_id = ENDPOINT.name, answer.host, found
            raise
        return MetricPage(
            records=read.points,
            meta=Meta(
                status=response.status,
                request_id=found,
                host=answer.host,
                attempts=len(answer.trail),
                elapsed=response.elapsed,
            ),
            resume_token="",
            raw=response.body,
            metric=str(step.metric),
            window=sent[0],
            summary=read.summary,
            raw_summary=read.raw_summary,
        )

    def answered(self, step: Step, page: Page[MetricPoint]) -> tuple[Step, list[Step]]:
        """See `Paginator.answered`: no answer adds a step."""
        del page
        return step, []

    def deliver(self, page: Page[MetricPoint], left: Iterable[Step]) -> Page[MetricPoint]:
        """See `Paginator.deliver`: a point that an earlier window had is left out."""
        fresh = [point for point in page.records if self._is_fresh(point)]
        behind = list(left)
        token = ""
        if behind:
            last = max((point.ts for point in page.records), default=None)
            here = fresh[0].metric if fresh else None
            token = evolve(
                self._resumed,
                done=self._number - len(behind),
                last=last if here == behind[0].metric else None,
            ).write()
        return evolve(page, records=fresh, resume_token=token)

    def _is_fresh(self, point: MetricPoint) -> bool:
        key = (point.metric, point.ts)
        last = self._last.get(point.metric)
        if key in self._seen or (last is not None and point.ts <= last):
            return False
        self._seen.add(key)
        return True
