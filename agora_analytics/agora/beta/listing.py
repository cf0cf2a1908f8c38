"""The listings of the 2021 beta API: no pages, so a range that hides records is narrowed until it shows them."""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from attrs import evolve, frozen

from agora_analytics.agora.beta.limits import MOST_DIAGNOSES
from agora_analytics.agora.beta.records import CallDetails, Diagnosis, read_diagnoses
from agora_analytics.agora.judge import Envelope, judge, request_id
from agora_analytics.agora.records import Call, Session, read_records
from agora_analytics.core.columns import MetricColumns, no_columns
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.paging import Step, write_token
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.events import ListingNarrowed, Observer
from agora_analytics.engine.legacy import unread
from agora_analytics.engine.pages import Meta, Page
from agora_analytics.errors import DecodeError, IncompleteListing
from agora_analytics.messages import Query

T = TypeVar("T")
Run = Callable[[ApiRequest[Any]], Awaitable[ApiResponse[Any]]]

MINUTE = 60


@frozen(kw_only=True)
class Question:
    """What stays the same over the requests of a listing. Unchecked, a range goes as it is."""

    endpoint: Endpoint
    limits: Limits
    params: Query
    checked: bool

    def ask(self, window: Window) -> ApiRequest[Any]:
        """Return the call for a window. What has gone out of reach by the time of sending is cut off."""

        def query(server_now: float) -> Query:
            part = (
                clip(window, self.limits, server_now, endpoint=self.endpoint.name) if self.checked else window
            )
            ends = ((self.endpoint.since, str(part.start)), (self.endpoint.until, str(part.end)))
            return (*ends, *self.params)

        return unread(judge, endpoint=self.endpoint, query=query)


@frozen
class Found(Generic[T]):
    """What an answer holds, and whether it hides more."""

    records: Sequence[T]
    hides: bool


class BisectingPaginator(Generic[T]):
    """Asks for a range, and where the answer hides records, for narrower ones.

    Args:
        question: what stays the same.
        steps: the windows to begin with.
        read: what the fields of an answer hold.
        key: what makes a record the same in two answers.
        parts: the windows to ask for instead of one that hides records, given what it showed; none: it stays hidden.
        wanted: which records of an answer about a window belong to the range that the listing is about.
    """

    def __init__(
        self,
        question: Question,
        steps: Iterable[Step],
        *,
        read: Callable[[dict[str, Any]], Found[T]],
        key: Callable[[T], Hashable],
        parts: Callable[[Window, Sequence[T]], Sequence[Window]],
        run: Run,
        observer: Observer,
        wanted: Callable[[T, Window], bool] = lambda *_: True,
    ) -> None:
        self._question = question
        self._wanted = wanted
        self._read = read
        self._key = key
        self._parts = parts
        self._run = run
        self._observer = observer
        self._hides: dict[int, bool] = {}
        self._windows: dict[int, Window] = {}
        self._given: set[Hashable] = set()
        self.steps = list(steps)

    async def fetch(self, step: Step) -> Page[T]:
        """See `Paginator.fetch`."""
        answer = await self._run(self._question.ask(step.window))
        found = placed(self._question.endpoint, answer, self._read)
        page = Page(records=found.records, meta=meta(answer), resume_token="", raw=answer.response.body)
        self._hides[id(page)], self._windows[id(page)] = found.hides, step.window
        return page

    def answered(self, step: Step, page: Page[T]) -> tuple[Step, list[Step]]:
        """See `Paginator.answered`.

        Raises:
            IncompleteListing: records stay hidden, however narrow the range.
        """
        if not self._hides.pop(id(page)):
            return step, []
        name, window = self._question.endpoint.name, step.window
        parts = self._parts(window, page.records)
        if not parts:
            raise IncompleteListing(
                f"more than {len(page.records)} records lie in {window.start} to {window.end}, "
                "and the server shows no more of so narrow a range",
                endpoint=name,
            )
        self._observer(ListingNarrowed(endpoint=name, start=window.start, end=window.end))
        return step, [Step(part) for part in parts]

    def deliver(self, page: Page[T], left: Iterable[Step]) -> Page[T]:
        """See `Paginator.deliver`."""
        new, window = [], self._windows.pop(id(page))
        for record in page.records:
            if self._wanted(record, window) and (key := self._key(record)) not in self._given:
                self._given.add(key)
                new.append(record)
        return evolve(page, records=new, resume_token=write_token(left))


class DetailsPaginator:
    """The details of a call, one legal range of time after the other."""

    def __init__(
        self,
        question: Question,
        steps: Iterable[Step],
        *,
        run: Run,
        read_columns: Callable[[bytes], Awaitable[MetricColumns]],
    ) -> None:
        self._question = question
        self._run = run
        self._read_columns = read_columns
        self.steps = list(steps)

    async def fetch(self, step: Step) -> Page[CallDetails]:
        """See `Paginator.fetch`."""
        answer = await self._run(self._question.ask(step.window))
        try:
            fields = msgspec.json.decode(answer.response.body)
            sessions = read_records(Session, fields.get("call_info") or [], path="$.call_info")
            columns = (
                await self._read_columns(answer.response.body) if fields.get("metrics") else no_columns()
            )
        except DecodeError as error:
            raise _at(error, self._question.endpoint, answer) from error
        details = CallDetails(
            call_id=str(fields.get("call_id") or dict(self._question.params)["call_id"]),
            window=step.window,
            sessions=tuple(sessions),
            columns=columns,
        )
        return Page(records=[details], meta=meta(answer), resume_token="", raw=answer.response.body)

    def answered(self, step: Step, page: Page[CallDetails]) -> tuple[Step, list[Step]]:
        """See `Paginator.answered`."""
        del page
        return step, []

    def deliver(self, page: Page[CallDetails], left: Iterable[Step]) -> Page[CallDetails]:
        """See `Paginator.deliver`."""
        return evolve(page, resume_token=write_token(left))


def parse_calls(fields: dict[str, Any]) -> Found[Call]:
    """Return the calls of an answer: the newest 10, and whether there are more."""
    calls = read_records(Call, fields.get("call_lists"), path="$.call_lists")
    return Found(calls, bool(fields.get("has_more")))


def narrower_calls(window: Window, calls: Sequence[Call], *, earliest: int) -> Sequence[Window]:
    """Return where the calls lie that a list hides: the newest are shown, so they began before the oldest of these.

    Those that began before the range all went on in the second in which the oldest shown began, so that second is
    asked for, or the `earliest` that can be: of those that began before it, no other second shows more. Where the list
    is not in that order, or the oldest is no help, the range is halved.
    """
    times = [call.created_ts for call in calls]
    if times and times == sorted(times, reverse=True):
        oldest = times[-1]
        last = oldest if oldest >= window.start else max(oldest, earliest)
        if last < window.end:
            return (Window(min(window.start, last), last),)
        if oldest < last:
            return ()
    return window.halves() if window.length else ()


def parse_diagnoses(fields: dict[str, Any]) -> Found[Diagnosis]:
    """Return the messages of an answer. It does not say whether there are more: a full one may hide some."""
    found = read_diagnoses(fields.get("data"))
    return Found(found, len(found) >= MOST_DIAGNOSES)


def narrower_diagnoses(window: Window, _: Sequence[Diagnosis]) -> Sequence[Window]:
    """Return the halves of a range; data comes by the minute, so a minute is not split."""
    return window.halves()[::-1] if window.length >= MINUTE else ()


def placed(endpoint: Endpoint, answer: ApiResponse, read: Callable[[dict[str, Any]], T]) -> T:
    """Return what the fields of an answer hold.

    Raises:
        DecodeError: with the endpoint, the host and the request's id.
    """
    try:
        return read(msgspec.json.decode(answer.response.body))  # the judge has seen that it is an object
    except DecodeError as error:
        raise _at(error, endpoint, answer) from error


def meta(answer: ApiResponse[Any]) -> Meta:
    """Return how an answer came."""
    return Meta(
        status=answer.response.status,
        request_id=_request_id(answer),
        host=answer.host,
        attempts=len(answer.trail),
        elapsed=answer.response.elapsed,
    )


def _request_id(answer: ApiResponse[Any]) -> str | None:
    return request_id(msgspec.json.decode(answer.response.body, type=Envelope), answer.response)


def _at(error: DecodeError, endpoint: Endpoint, answer: ApiResponse[Any]) -> DecodeError:
    error.endpoint, error.host, error.request_id = endpoint.name, answer.host, _request_id(answer)
    return error
