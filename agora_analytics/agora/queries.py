"""Questions of one or several requests: what they cost, how they are sent, and what their answers become.

Today's API takes one metric a request. A question about several metrics, or about a range longer than the plan
allows, is a list of `PlannedRequest`s, planned together so that nothing is asked for twice, and sent one after the other: the
limits are a few requests a minute, and a question that fails in its midst has spent no more than it got.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import msgspec
from attrs import evolve, frozen

from agora_analytics.agora.judge import UNREADABLE, Envelope, judge, request_id
from agora_analytics.agora.parsers import QueryContext, Read
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.window_policies import Cut, Ends, Span
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window
from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.engine.engine import Engine, Quota
from agora_analytics.engine.legacy import unread
from agora_analytics.engine.pages import Meta
from agora_analytics.errors import AgoraAnalyticsError, DecodeError, QuotaExhausted
from agora_analytics.instants import Instant, epoch_seconds
from agora_analytics.messages import Query

T = TypeVar("T")
Parameter = tuple[str, str | list[Any]]


@frozen(kw_only=True)
class PlannedRequest:
    """One request still to be sent: `asked` says of what; `cut` what is left of its window when it leaves."""

    endpoint: Endpoint
    asked: QueryContext
    params: tuple[Parameter, ...]
    cut: Cut


@frozen(kw_only=True)
class QueryResult:
    """What one request came back with: records, how they came, and the window that was sent in the end."""

    records: Sequence[Any]
    meta: Meta
    window: Span


@frozen(kw_only=True)
class Cost:
    """What a question costs at one endpoint: `requests` of the `left` that its day still has.

    `opens_at` is when the next day begins, in UTC epoch seconds.
    """

    endpoint: str
    requests: int
    left: int
    per_day: int
    opens_at: float

    @property
    def affordable(self) -> bool:
        """Whether the day has enough left."""
        return self.requests <= self.left


class QueryRunner:
    """Sends questions for one app over one engine. `validate` is what calls do that do not say."""

    def __init__(self, engine: Engine, *, app_id: str, validate: bool) -> None:
        self.engine = engine
        self.app_id = app_id
        self.validate = validate

    def now(self) -> float:
        """Return the server's time in epoch seconds."""
        return self.engine.server_time.now()

    def limits(self, endpoint: Endpoint) -> Limits:
        """Return what the plan allows an endpoint; an InvalidRequest where that is nothing."""
        return self.engine.limits(endpoint)

    def window(self, since: Instant, until: Instant) -> Window:
        """Return the seconds of `since <= t < until`."""
        now = self.now()
        return Window.half_open(
            epoch_seconds(since, now=now, name="since"), epoch_seconds(until, now=now, name="until")
        )

    def as_given(self, since: Instant, until: Instant) -> Ends:
        """Return both ends unchecked: numbers as they are."""

        def ts(moment: Instant) -> int:
            plain = isinstance(moment, int | float)
            return int(moment if plain else epoch_seconds(moment, now=self.now()))  # type: ignore[arg-type]

        return Ends(ts(since), ts(until))

    async def answer(
        self,
        asks: Sequence[PlannedRequest],
        *,
        kind: type[T],
        read: Read,
        key: Callable[[T], Hashable] | None = None,
        order: Callable[[T], Any] | None = None,
        validate: bool,
    ) -> Rows[T]:
        """Send the requests of a question and return the rows of all answers.

        Args:
            asks: the requests.
            kind: the records' class.
            read: what makes records of an answer's `data`.
            key: what makes a row the same row in two answers; it comes once.
            order: what the rows are sorted by.
            validate: refuse the question before its first request if the day has not enough left for all.

        Raises:
            QuotaExhausted: the day has not enough left.
            AgoraAnalyticsError: the first that a request met; its `partial` has the rows that came before.
        """
        if validate and len(asks) > 1:
            await self._must_be_affordable(asks)
        found: dict[Hashable, T] = {}
        meta: list[Meta] = []

        def rows() -> Rows[T]:
            records = tuple(sorted(found.values(), key=order) if order else found.values())
            return Rows(records=records, meta=tuple(meta), kind=kind)

        for ask in asks:
            try:
                answered = await self.send(ask, read)
            except AgoraAnalyticsError as error:
                error.partial = rows() if meta else None
                raise
            meta.append(answered.meta)
            for record in answered.records:
                found.setdefault(key(record) if key else len(found), record)
        return rows()

    async def send(self, ask: PlannedRequest, read: Read) -> QueryResult:
        """Send one request and read its answer."""
        sent: list[Span] = [ask.asked.window]

        def ends(server_now: float) -> dict[str, int]:
            window = ask.asked.window
            if isinstance(window, Window):
                window = ask.cut(window, self.limits(ask.endpoint), server_now, ask.endpoint.name)
            sent[0] = window
            return {ask.endpoint.since: window.start, ask.endpoint.until: window.end}

        def query(server_now: float) -> Query:
            if ask.endpoint.method == "POST":
                return (("appid", self.app_id),)
            times = {name: str(ts) for name, ts in ends(server_now).items()}
            listed = {name: _comma_list(value) for name, value in ask.params}
            return tuple((times | {"appid": self.app_id} | listed).items())

        def body(server_now: float) -> bytes:
            return msgspec.json.encode(ends(server_now) | dict(ask.params))

        call = unread(
            judge, endpoint=ask.endpoint, query=query, body=body if ask.endpoint.method == "POST" else None
        )
        answer = await self.engine.run(call)
        return _read(evolve(ask.asked, window=sent[0]), read, ask.endpoint, answer)

    async def cost(self, asks: Sequence[PlannedRequest]) -> list[Cost]:
        """Return what requests cost, endpoint by endpoint, and what its day has left."""
        wanted = Counter(ask.endpoint.name for ask in asks)
        return [
            Cost(
                endpoint=quota.endpoint,
                requests=wanted[quota.endpoint],
                left=quota.left,
                per_day=quota.per_day,
                opens_at=quota.opens_at,
            )
            for quota in await self.quotas()
            if quota.endpoint in wanted
        ]

    async def quotas(self) -> list[Quota]:
        """Return what is left of each endpoint's day."""
        return await self.engine.quota()

    async def _must_be_affordable(self, asks: Sequence[PlannedRequest]) -> None:
        for cost in await self.cost(asks):
            if not cost.affordable:
                raise QuotaExhausted(
                    f"this takes {cost.requests} requests, and {cost.left} of {cost.per_day} are left today; "
                    "nothing was sent",
                    retry_at=cost.opens_at,
                    endpoint=cost.endpoint,
                )


def _comma_list(value: str | list[Any]) -> str:
    """Return a parameter as a query holds it: a list with commas between double-quoted values."""
    return value if isinstance(value, str) else ",".join(f'"{each}"' for each in value)


def _read(asked: QueryContext, read: Read, endpoint: Endpoint, answer: ApiResponse[Any]) -> QueryResult:
    response = answer.response
    found = response.headers.get("x-request-id")
    try:
        fields = msgspec.json.decode(response.body)  # the judge has seen that it is an object
        found = request_id(Envelope(requestId=fields.get("requestId")), response)
        records = read(asked, fields.get(endpoint.items))
    except UNREADABLE as error:
        raise _placed(DecodeError(f"the answer cannot be read: {error}"), endpoint, answer, found) from error
    except DecodeError as error:
        raise _placed(error, endpoint, answer, found) from error
    meta = Meta(
        status=response.status,
        request_id=found,
        host=answer.host,
        attempts=len(answer.trail),
        elapsed=response.elapsed,
    )
    return QueryResult(records=records, meta=meta, window=asked.window)


def _placed(error: DecodeError, endpoint: Endpoint, answer: ApiResponse, found: str | None) -> DecodeError:
    error.endpoint, error.host, error.request_id = endpoint.name, answer.host, found
    return error
