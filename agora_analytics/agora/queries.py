"""Queries: one or several requests for metrics, planned together, sent in order, and joined to one list of records.

The API takes one metric for each request. A query of several metrics, or of a range that is longer than the plan
allows, is a list of `PlannedRequest`s. They are sent one after the other: the limits are a few requests a minute, and
a query that fails midway has used no more of the quota than the responses that it got.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar

from attrs import converters, evolve, field, frozen

from agora_analytics.agora.enums import (
    KNOWN_METRICS,
    OTHER_SPELLINGS,
    Dimension,
    Granularity,
    Names,
    Product,
    names,
)
from agora_analytics.agora.operations import MAX_UIDS
from agora_analytics.agora.parsers import read_query
from agora_analytics.agora.query_operations import QueryOperation
from agora_analytics.agora.record_list import Rows
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.record import Record
from agora_analytics.core.sent_text import json_body
from agora_analytics.core.spelling import check_spelling, did_you_mean
from agora_analytics.core.verdicts import Payload
from agora_analytics.core.windows import Window, time_range
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest, QuotaExhausted, WindowOutOfReach
from agora_analytics.instants import Instant

T = TypeVar("T")


@frozen(kw_only=True)
class QueryFilters:
    """What a query narrows or groups its metrics by, and the parameters that all of its requests have.

    Attributes:
        dimension: what to group by; None: all users together.
        values: only these groups.
        country: only the regions of this country.
        cname: only this channel.
        users: these users of the channel, each separately.
        params: other parameters, as the API spells them.
    """

    dimension: str | None = field(default=None, converter=converters.optional(str))
    values: tuple[str, ...] = ()
    country: str | None = None
    cname: str | None = None
    users: tuple[str, ...] = ()
    params: Mapping[str, str] = {}

    @property
    def fields(self) -> dict[str, Any]:
        """The parameters, as the API spells them; `values` and `country` as a JSON body has them."""
        named: dict[str, Any] = {
            "dimension": self.dimension,
            "dimensionValues": list(self.values) or None,
            "filters": [{"name": "country", "value": self.country}] if self.country is not None else None,
            "cname": self.cname,
            "uids": ",".join(self.users) or None,
        }
        return {**self.params, **{name: value for name, value in named.items() if value is not None}}

    def check(self, operation: QueryOperation[Any], metrics: Sequence[str]) -> None:
        """Check the filters against each other and against an operation.

        Raises:
            InvalidRequest: the operation or a metric does not take the dimension, a name is misspelt, or a filter lacks
                another.
        """
        for problem in self._problems(operation, metrics):
            raise InvalidRequest(problem, endpoint=operation.name)
        if self.dimension is not None:
            names = (*Dimension, *OTHER_SPELLINGS[Dimension.NET], *OTHER_SPELLINGS[Dimension.SDK])
            check_spelling("dimension", self.dimension, names, endpoint=operation.name)
        if product := self.params.get("productType"):
            check_spelling("product", product, Product, endpoint=operation.name)

    def _problems(self, operation: QueryOperation[Any], metrics: Sequence[str]) -> Iterator[str]:
        dimension, dimensions = self.dimension, operation.dimensions
        if dimension == "":
            yield "the dimension is empty; leave it out, or pass a name"
        if dimension in frozenset(Dimension) - dimensions:
            yield f"{dimension} is not a dimension of this endpoint; it has {_sorted(dimensions)}"
        if dimension is not None and (ungrouped := operation.ungrouped.intersection(metrics)):
            yield f"{_sorted(ungrouped)} takes no dimension; query it without one"
        if self.values and dimension is None:
            yield "values= needs a dimension; pass by= as well"
        if quoted := [value for value in self.values if '"' in value]:
            yield f"the value {quoted[0]!r} contains a double quote, which the API cannot escape"
        if self.country is not None and dimension != Dimension.REGION:
            yield f"country= needs the dimension {Dimension.REGION}"
        if self.users and not self.cname:
            yield "uids= needs a channel; pass cname= as well"
        yield from self._parameter_problems(operation)

    def _parameter_problems(self, operation: QueryOperation[Any]) -> Iterator[str]:
        if self.params.get("productType") == "":
            yield f"the product is empty; pass one of {', '.join(Product)}"
        granularity = self.params.get("aggregateGranularity")
        if granularity is None or granularity in operation.granularities:
            return
        known = ", ".join(operation.granularities)
        if Granularity.MINUTE not in operation.granularities:
            yield f"the plans have no usage by {granularity!r}; pass a granularity of {known}"
        elif not re.match(r"\d+(?! *[\dhd])", granularity.lower()):  # the spelling of a minute is unknown
            yield f"granularity={granularity!r} is not a documented length of time; pass one of {known}"

    def by_users(self) -> "list[QueryFilters]":
        """Return the filters of the fewest requests that have all users."""
        parts = [self.users[i : i + MAX_UIDS] for i in range(0, len(self.users), MAX_UIDS)]
        return [evolve(self, users=part) for part in parts] or [self]


NO_FILTERS = QueryFilters()


def check_metrics(operation: QueryOperation[Any], metrics: Sequence[str]) -> None:
    """Check that there is a metric, and that the operation has it. A metric unlike all known ones is sent unchanged.

    Raises:
        InvalidRequest: with the metrics of the operation, or with the one that a misspelt name resembles.
    """
    documented = _sorted(operation.metrics)
    if not metrics or not all(metrics):
        raise InvalidRequest(f"no metric is given; pass one of {documented}", endpoint=operation.name)
    for metric in metrics:
        if metric in KNOWN_METRICS and metric not in operation.metrics:
            hint = did_you_mean(metric, operation.metrics)
            raise InvalidRequest(
                f"{metric} is not a metric of this endpoint; it has {documented}{hint}",
                endpoint=operation.name,
            )
        older = [name for metric in operation.metrics for name in OTHER_SPELLINGS.get(metric, ())]
        if metric not in older:
            check_spelling("metric", metric, [*operation.metrics, *KNOWN_METRICS], endpoint=operation.name)


def _sorted(words: frozenset[str]) -> str:
    return ", ".join(sorted(words))


@frozen(kw_only=True)
class PlannedRequest(Generic[T]):
    """One request of a query. Without `limits`, the window is sent as it is."""

    operation: QueryOperation[T]
    metric: str
    window: Window
    limits: Limits | None
    filters: QueryFilters = NO_FILTERS

    def request(self, app_id: str) -> ApiRequest[Sequence[T]]:
        """Return the request, whose window is clipped again when it is sent."""
        operation, fields = self.operation, {"metric": self.metric, **self.filters.fields}
        read = partial(
            read_query, parse=operation.parse, metric=self.metric, dimension=self.filters.dimension
        )
        app = (("appid", app_id),)
        json_body(fields)  # a value that cannot be sent is refused before the request takes a slot
        if operation.method == "GET":
            in_query = ((name, _in_query(value)) for name, value in fields.items())
            return operation.request((*app, *in_query), window=self.window, limits=self.limits, read=read)
        ends = operation.request(window=self.window, limits=self.limits, read=read)

        def build(now: float) -> Payload:
            payload = ends.build(now)
            body = {name: int(value) for name, value in payload.query} | fields
            return evolve(payload, query=app, body=json_body(body))

        return evolve(ends, build=build)


def _in_query(value: str | list[Any]) -> str:
    """Return a parameter as a query has it: a list as double-quoted values with commas in between."""
    return value if isinstance(value, str) else ",".join(f'"{each}"' for each in value)


@frozen(kw_only=True)
class Cost(Record):
    """What a query costs at one endpoint.

    Attributes:
        endpoint: the endpoint's name.
        requests: number of requests of the query.
        left: requests that may still be sent today.
        per_day: requests that the plan allows in a day.
        opens_at: when the next day begins, in UTC epoch seconds.
    """

    endpoint: str
    requests: int
    left: int
    per_day: int
    opens_at: float

    _IN_JSON = ("affordable",)

    @property
    def affordable(self) -> bool:
        """Whether enough requests are left today."""
        return self.requests <= self.left


class QueryRunner:
    """Plans and sends the queries of an app; `validate` is whether they are checked and clipped by default."""

    def __init__(self, engine: Engine, *, app_id: str, validate: bool) -> None:
        self.engine = engine
        self._app_id = app_id
        self._validate = validate

    def now(self) -> float:
        """Return the server's time in UTC epoch seconds."""
        return self.engine.server_time.now()

    def limits(self, endpoint: Endpoint) -> Limits:
        """Return what the plan allows an endpoint; raises InvalidRequest if it does not include it."""
        return self.engine.limits(endpoint)

    def validates(self, validate: bool | None) -> bool:
        """Return whether a query is checked and clipped; None: the default of the client."""
        return self._validate if validate is None else validate

    def window(self, since: Instant, until: Instant, *, validate: bool | None = None) -> Window:
        """Return the seconds of `since <= t < until`; both ends as they are if the query is not validated."""
        return time_range(since, until, now=self.now(), validate=self.validates(validate))

    def plan(
        self,
        operation: QueryOperation[T],
        metrics: Names,
        window: Window,
        filters: QueryFilters = NO_FILTERS,
        *,
        validate: bool | None = None,
    ) -> list[PlannedRequest[T]]:
        """Return the requests of a query: one for each metric, window, and group of users.

        Raises:
            InvalidRequest: the plan does not include the operation, or the operation does not have what is requested.
            WindowOutOfReach: the window cannot be requested now.
        """
        limits = self.limits(operation) if self.validates(validate) else None
        requested = names(metrics)
        parts = [filters]
        if limits is not None:
            filters.check(operation, requested)
            check_metrics(operation, requested)
            parts = filters.by_users()
        windows = operation.plan(window, limits, self.now(), self.engine.observer)
        return [
            PlannedRequest(operation=operation, metric=metric, window=each, limits=limits, filters=part)
            for metric in requested
            for each in windows
            for part in parts
        ]

    async def query(
        self,
        operation: QueryOperation[T],
        metrics: Names,
        window: Window,
        filters: QueryFilters,
        validate: bool | None,
    ) -> Rows[T]:
        """Send the requests of a query and return the records of all responses; a record with the same key once.

        Raises:
            QuotaExhausted: fewer requests are left today than the query needs; no request was sent.
            AgoraAnalyticsError: the first error of a request; `partial` has the records of the responses before it.
        """
        requests = self.plan(operation, metrics, window, filters, validate=validate)
        if self.validates(validate) and len(requests) > 1:
            await self._check_cost(requests)
        unique: dict[Hashable, T] = {}
        responses: list[ApiResponse[Sequence[T]]] = []

        def rows() -> Rows[T]:
            order = operation.order
            records = tuple(sorted(unique.values(), key=order) if order else unique.values())
            meta = tuple(response.meta for response in responses)
            skipped = tuple(chain.from_iterable(response.skipped for response in responses))
            return Rows(records=records, meta=meta, kind=operation.record, skipped=skipped)

        for request in requests:
            try:
                response = await self.send(request)
            except AgoraAnalyticsError as error:
                is_unsent = isinstance(error, WindowOutOfReach) and not responses
                # A response has corrected the clock, and the data of the call is not available yet.
                if (
                    is_unsent
                    and operation.of_one_call
                    and not self.plan(operation, metrics, window, filters, validate=validate)
                ):
                    return rows()
                error.partial = rows() if responses else None
                raise
            responses.append(response)
            for record in response.result:
                unique.setdefault(operation.key(record) if operation.key else len(unique), record)
        return rows()

    async def send(self, request: PlannedRequest[T]) -> ApiResponse[Sequence[T]]:
        """Send one request; its `payload.window` is the window that was sent."""
        return await self.engine.run(request.request(self._app_id))

    async def cost(self, requests: Sequence[PlannedRequest[Any]]) -> list[Cost]:
        """Return what requests cost, endpoint by endpoint."""
        counts = Counter(request.operation.name for request in requests)
        return [
            Cost(
                endpoint=quota.endpoint,
                requests=counts[quota.endpoint],
                left=quota.left,
                per_day=quota.per_day,
                opens_at=quota.opens_at,
            )
            for quota in await self.engine.quota()
            if quota.endpoint in counts
        ]

    async def _check_cost(self, requests: Sequence[PlannedRequest[Any]]) -> None:
        for cost in await self.cost(requests):
            if not cost.affordable:
                raise QuotaExhausted(
                    f"the query takes {cost.requests} requests, and {cost.left} of {cost.per_day} are left today; "
                    "no request was sent",
                    retry_at=cost.opens_at,
                    retry_after=max(0.0, cost.opens_at - self.now()),
                    endpoint=cost.endpoint,
                )
