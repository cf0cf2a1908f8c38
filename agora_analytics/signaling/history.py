"""The two histories of messages: which requests each takes, and what its answers hold."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import anyio
import msgspec
from attrs import evolve, frozen

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.numbers import whole_number
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.legacy import unread
from agora_analytics.engine.pages import Meta, Page
from agora_analytics.errors import DeadlineExceeded, DecodeError, IncompleteListing, InvalidRequest
from agora_analytics.messages import Query
from agora_analytics.signaling.judge import judge, read_envelope, request_id
from agora_analytics.signaling.operations import COUNT, HISTORY, QUERY, RESULT, at
from agora_analytics.signaling.records import (
    ArchivedMessage,
    HistoryMessage,
    read_all,
    read_archived_message,
    read_history_message,
)

M = TypeVar("M", HistoryMessage, ArchivedMessage)
Run = Callable[[ApiRequest[Any]], Awaitable[ApiResponse[Any]]]

POLL = 2.0
"""Seconds to wait before a result that is in progress is asked for again."""


def call_of(endpoint: Endpoint, query: Query = (), body: Any = None) -> ApiRequest[Any]:
    """Return a call whose parameters do not depend on the time."""
    encoded = None if body is None else msgspec.json.encode(body)
    return unread(
        judge, endpoint=endpoint, query=lambda _: query, body=(lambda _: encoded) if encoded else None
    )


class HistoryPaginator:
    """Today's history: each page names where the next one starts. A step is such a start."""

    def __init__(self, endpoint: Endpoint, steps: list[int], *, end: int, count: int, run: Run) -> None:
        self._endpoint = endpoint
        self._end = end
        self._count = count
        self._run = run
        self._asked: set[int] = set()
        self._starts: dict[int, Any] = {}
        self._before: Sequence[HistoryMessage] = ()
        self.steps = steps

    async def fetch(self, step: int) -> Page[HistoryMessage]:
        """See `Paginator.fetch`."""
        query = (("start", str(step)), ("end", str(self._end)), ("messageCount", str(self._count)))
        answer = await self._run(call_of(self._endpoint, query))
        data = decode_object(answer, HISTORY).get("data") or {}
        page = page_of(answer, HISTORY, data.get("messageList"), read_history_message, "$.data.messageList")
        self._starts[id(page)] = data.get("newStart")
        return page

    def answered(self, step: int, page: Page[HistoryMessage]) -> tuple[int, list[int]]:
        """See `Paginator.answered`.

        Raises:
            IncompleteListing: a full page that points back to where an earlier one began, or to no readable start.
        """
        self._asked.add(step)
        said = self._starts.pop(id(page))
        follows = 0 if said is None else whole_number(said)
        if not page.records or (follows is not None and follows <= 0):
            return step, []
        if follows is not None and follows not in self._asked:
            return step, [follows]
        if len(page.records) >= self._count:
            where = "which is no start" if follows is None else "where it was already"
            raise IncompleteListing(f"the history goes on at {said!r}, {where}", endpoint=HISTORY.name)
        return step, []

    def deliver(self, page: Page[HistoryMessage], left: Iterable[int]) -> Page[HistoryMessage]:
        """See `Paginator.deliver`. Whether `newStart` itself is given again is not documented: what is, comes once."""
        both = min(len(self._before), len(page.records))
        again = next((n for n in range(both, 0, -1) if self._before[-n:] == page.records[:n]), 0)
        self._before = page.records
        token = next((str(step) for step in left), "")
        return evolve(page, records=page.records[again:], resume_token=token)


@frozen(kw_only=True)
class ArchiveQuery:
    """A question of the two-step history: a query is created, then asked for its result until that is ready."""

    app_id: str
    filter: dict[str, str]
    run: Run
    retry: float | None

    async def messages(self, *, offset: int, limit: int, order: str) -> ApiResponse[Any]:
        """Create a query and return its result.

        Raises:
            DeadlineExceeded: the result is still in progress.
        """
        asked = {"filter": self.filter, "offset": offset, "limit": limit, "order": order}
        created = await self.run(call_of(at(QUERY, app_id=self.app_id), body=asked))
        location = decode_object(created, QUERY).get("location")
        handle = location.partition("/query/")[2] if isinstance(location, str) else ""
        if not handle:
            raise DecodeError(
                f"the place of the result cannot be {location!r}", path="$.location", endpoint=QUERY.name
            )
        return await self._ready(call_of(at(RESULT, app_id=self.app_id, handle=handle)))

    async def count(self) -> int:
        """Return how many messages there are.

        Raises:
            DeadlineExceeded: the result is still in progress.
        """
        answer = await self._ready(call_of(at(COUNT, app_id=self.app_id), tuple(self.filter.items())))
        found = decode_object(answer, COUNT).get("count")
        if not isinstance(found, int) or isinstance(found, bool):
            raise DecodeError(f"a count cannot be {found!r}", path="$.count", endpoint=COUNT.name)
        return found

    async def _ready(self, call: ApiRequest[Any]) -> ApiResponse[Any]:
        with anyio.move_on_after(self.retry):
            while True:
                answer = await self.run(call)
                if decode_object(answer, call.endpoint).get("code") != "in progress":
                    return answer
                await anyio.sleep(POLL)
        raise DeadlineExceeded(
            f"the result is still in progress after {self.retry:g} s", endpoint=call.endpoint.name
        )


class ArchivePaginator:
    """The two-step history, page by page. A step is an offset."""

    def __init__(self, question: ArchiveQuery, steps: list[int], *, limit: int, order: str) -> None:
        self._question = question
        self._limit = limit
        self._order = order
        self.steps = steps

    async def fetch(self, step: int) -> Page[ArchivedMessage]:
        """See `Paginator.fetch`."""
        answer = await self._question.messages(offset=step, limit=self._limit, order=self._order)
        rows = decode_object(answer, RESULT).get("messages")
        return page_of(answer, RESULT, rows, read_archived_message, "$.messages")

    def answered(self, step: int, page: Page[ArchivedMessage]) -> tuple[int, list[int]]:
        """See `Paginator.answered`."""
        return step, [step + self._limit] if len(page.records) >= self._limit else []

    def deliver(self, page: Page[ArchivedMessage], left: Iterable[int]) -> Page[ArchivedMessage]:
        """See `Paginator.deliver`."""
        return evolve(page, resume_token=next((str(step) for step in left), ""))


def resumed(token: str | None, *, begin: int) -> list[int]:
    """Return where to go on; nowhere, if nothing was left.

    Raises:
        InvalidRequest: if the text is not a resume token of a history.
    """
    if token is None:
        return [begin]
    if token and not (token.isascii() and token.isdigit()):
        raise InvalidRequest("this is not a resume token of a history; pass a page's resume_token as it is")
    return [int(token)] if token else []


def decode_object(answer: ApiResponse, endpoint: Endpoint) -> dict[str, Any]:
    """Return the fields of an answer.

    Raises:
        DecodeError: its body is no JSON object.
    """
    try:
        fields = msgspec.json.decode(answer.response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise DecodeError("the answer is no JSON object", endpoint=endpoint.name, host=answer.host)
    return fields


def page_of(
    answer: ApiResponse, endpoint: Endpoint, rows: Any, read: Callable[[Any], M], path: str
) -> Page[M]:
    """Return the rows of an answer as a page.

    Raises:
        DecodeError: with the path of the first row that cannot be read.
    """
    found = request_id(read_envelope(answer.response), answer.response)
    try:
        records: list[M] = read_all(rows, read, path=path)
    except DecodeError as error:
        error.endpoint, error.host, error.request_id = endpoint.name, answer.host, found
        raise
    meta = Meta(
        status=answer.response.status,
        request_id=found,
        host=answer.host,
        attempts=len(answer.trail),
        elapsed=answer.response.elapsed,
    )
    return Page(records=records, meta=meta, resume_token="", raw=answer.response.body)
