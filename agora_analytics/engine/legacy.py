"""TRANSITION: adapters for vendors that are not on the kit yet; removed with the last of them."""

from collections.abc import Callable
from typing import Any

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import (
    MIDNIGHT_SLACK,
    Cause,
    Done,
    Exchange,
    Fail,
    Judge,
    Payload,
    Retry,
    Verdict,
)
from agora_analytics.engine.api_request import ApiRequest
from agora_analytics.engine.pages import Fetched, Pages
from agora_analytics.errors import QuotaExhausted, WindowRefused
from agora_analytics.instants import next_midnight
from agora_analytics.messages import Query, Response


class _Adapted:
    def __init__(self, walk: Any) -> None:
        self._walk, self.steps = walk, walk.steps

    async def fetch(self, step: Any) -> Any:
        page = await self._walk.fetch(step)
        after, added = self._walk.answered(step, page)
        return Fetched(page=page, next_steps=added, after=after)

    def finalize(self, page: Any, left: Any) -> Any:
        return self._walk.deliver(page, left)


def old_pages(
    walk: Any,
    *,
    spawn: Any,
    prefetch: Any,
    arrow: Any,
    walk_for_arrow: Any = None,
    prefetch_budget: Any = None,
    kind: Any = Pages,
) -> Any:
    """Return pages of an old walk."""

    async def paginator() -> Any:
        return _Adapted(await walk())

    async def for_table() -> Any:
        return _Adapted(await walk_for_arrow())

    return kind(
        paginator,
        spawn=spawn,
        prefetch=prefetch,
        table=arrow,
        paginator_for_table=for_table if walk_for_arrow else None,
        prefetch_budget=prefetch_budget,
    )


def unread(
    judge: Judge,
    *,
    endpoint: Endpoint,
    query: Callable[[float], Query],
    body: Callable[[float], bytes] | None = None,
) -> ApiRequest[Response]:
    """TRANSITION: a request whose response is judged only; removed when every vendor uses `Operation`."""

    def build(now: float) -> Payload:
        return Payload(query=query(now), body=body(now) if body else b"")

    def read(exchange: Exchange) -> Verdict[Response]:
        verdict = judge(exchange.endpoint, exchange.outcome, exchange.now)
        if (
            exchange.clock_moved
            and not isinstance(verdict, Done)
            and isinstance(verdict.error, WindowRefused)
        ):
            return Retry(error=verdict.error, cause=Cause.CLOCK)
        ended = next_midnight(exchange.sent_at - MIDNIGHT_SLACK)
        if isinstance(verdict, Fail) and verdict.closed_until is not None and verdict.closed_until > ended:
            error = QuotaExhausted(
                "the quota of the day before is spent", retry_at=ended, request_id=verdict.error.request_id
            )
            return Retry(error=error, cause=Cause.RATE)
        return verdict

    return ApiRequest(endpoint=endpoint, build=build, read=read)
