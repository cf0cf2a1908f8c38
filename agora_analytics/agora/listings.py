"""The listings of ApiRequest[Any] Inspector: which requests each takes, and what its answers hold."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic

import msgspec
from attrs import evolve, field, frozen

from agora_analytics.agora.judge import UNREADABLE, Envelope, judge, request_id
from agora_analytics.agora.operations import MAX_SIDS
from agora_analytics.agora.record_pages import RecordPage, read_page
from agora_analytics.agora.records import R, Session, sids_of
from agora_analytics.core.columns import MetricColumns, Series
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.numbers import whole_number
from agora_analytics.core.paging import Finding, NumberedPaginator, PageInfo, Step, write_token
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.events import ListingNarrowed, ListingShort, Observer
from agora_analytics.engine.legacy import unread
from agora_analytics.engine.pages import Meta, Page
from agora_analytics.errors import DecodeError, InvalidRequest
from agora_analytics.messages import Query

Run = Callable[[ApiRequest[Any]], Awaitable[ApiResponse[Any]]]
ReadColumns = Callable[[bytes], Awaitable[MetricColumns]]
ReadRecords = Callable[[type[R], str, bytes], RecordPage[R]]


@frozen(kw_only=True)
class Question:
    """What stays the same over all requests of a listing: the endpoint, its limits and its parameters.

    `validate`: whether what the plan does not allow is cut off; otherwise windows are sent as they are.
    """

    endpoint: Endpoint
    limits: Limits
    params: Query
    validate: bool

    def ask(self, window: Window, *more: tuple[str, str]) -> ApiRequest[Any]:
        """Return the call for a window. What has gone out of reach by the time of sending is cut off."""

        def query(server_now: float) -> Query:
            part = window
            if self.validate:
                part = clip(window, self.limits, server_now, endpoint=self.endpoint.name)
            ends = ((self.endpoint.since, str(part.start)), (self.endpoint.until, str(part.end)))
            return (*ends, *self.params, *more)

        return unread(judge, endpoint=self.endpoint, query=query)


class RecordWalk(Generic[R]):
    """The walk over a numbered listing of records. `read` may give rows in place of them, for a table."""

    def __init__(
        self,
        question: Question,
        steps: Iterable[Step],
        *,
        kind: type[R],
        key: Callable[[R], str],
        page_size: int,
        run: Run,
        observer: Observer,
        read: ReadRecords[R] = read_page,
    ) -> None:
        self._question = question
        self._kind = kind
        self._read = read
        self._page_size = page_size
        self._run = run
        self._observer = observer
        self._walk = NumberedPaginator(steps, key, self._noticed)
        self._listed: dict[int, PageInfo[R]] = {}
        self.steps = self._walk.steps

    async def fetch(self, step: Step) -> Page[R]:
        """See `Paginator.fetch`."""
        pages = (("page_no", str(step.page)), ("page_size", str(self._page_size)))
        answer = await self._run(self._question.ask(step.window, *pages))
        endpoint, body = self._question.endpoint, answer.response.body
        try:
            read = self._read(self._kind, endpoint.items, body)
        except DecodeError as error:
            raise _placed(error, endpoint, answer, _id_in(answer)) from error
        found = request_id(Envelope(requestId=read.request_id), answer.response)
        page = Page(
            records=read.records,
            meta=evolve(_meta(answer, found), total=_count(read.total)),
            resume_token="",
            raw=body,
        )
        self._listed[id(page)] = PageInfo(
            records=read.records,
            total=page.meta.total,
            page_size=_count(read.page_size),
            has_more=read.has_more,
        )
        return page

    def answered(self, step: Step, page: Page[R]) -> tuple[Step, list[Step]]:
        """See `Paginator.answered`."""
        return self._walk.answered(step, self._listed.pop(id(page)))

    def deliver(self, page: Page[R], left: Iterable[Step]) -> Page[R]:
        """See `Paginator.deliver`."""
        return evolve(page, records=self._walk.fresh(page.records), resume_token=write_token(left))

    def _noticed(self, notice: Finding, window: Window, listed: int, counted: int) -> None:
        name = self._question.endpoint.name
        if notice is Finding.NARROWED:
            self._observer(ListingNarrowed(endpoint=name, start=window.start, end=window.end))
        else:
            self._observer(
                ListingShort(
                    endpoint=name, start=window.start, end=window.end, listed=listed, counted=counted
                )
            )


@frozen(kw_only=True)
class MetricsPage(Page[Series]):
    """A page of metrics: its `records` are series, its `columns` all samples of the answer."""

    columns: MetricColumns = field(repr=False)


@frozen
class Batch:
    """One metrics request: some sessions of a call in one window; `place` counts from 0 over the whole listing."""

    place: int
    window: Window
    sids: tuple[str, ...]


def batches(windows: Sequence[Window], sessions: Sequence[Session | str]) -> list[Batch]:
    """Return the fewest metrics requests that cover the sessions: in each window only those that may have been there.

    The order of the sessions decides who is asked for together, so the same order gives the same batches. A session
    that comes twice is asked for once.
    """
    found: list[Batch] = []
    for window in windows:
        there = (one for one in sessions if isinstance(one, str) or _may_be_in(window, one))
        sids = list(dict.fromkeys(sids_of(there)))
        for i in range(0, len(sids), MAX_SIDS):
            found.append(Batch(len(found), window, tuple(sids[i : i + MAX_SIDS])))
    return found


def _may_be_in(window: Window, session: Session) -> bool:
    """Say whether a session can have samples in a window: the end of one that goes on is not known yet."""
    return session.join_ts <= window.end and (not session.finished or session.leave_ts >= window.start)


class MetricsWalk:
    """The walk over a call's metrics: batches of sessions, window by window."""

    def __init__(
        self, question: Question, steps: Iterable[Batch], *, run: Run, read_columns: ReadColumns
    ) -> None:
        self._question = question
        self._run = run
        self._read_columns = read_columns
        self.steps = list(steps)

    async def fetch(self, step: Batch) -> MetricsPage:
        """See `Paginator.fetch`."""
        answer = await self._run(self._question.ask(step.window, ("sids", ",".join(step.sids))))
        found = answer.response.headers.get("x-request-id")
        try:
            columns = await self._read_columns(answer.response.body)
        except DecodeError as error:
            raise _placed(error, self._question.endpoint, answer, found) from error
        return MetricsPage(
            records=list(columns),
            columns=columns,
            meta=_meta(answer, found),
            resume_token="",
            raw=answer.response.body,
        )

    def answered(self, step: Batch, page: Page[Series]) -> tuple[Batch, list[Batch]]:
        """See `Paginator.answered`."""
        del page
        return step, []

    def deliver(self, page: Page[Series], left: Iterable[Batch]) -> Page[Series]:
        """See `Paginator.deliver`."""
        for batch in left:
            return evolve(page, resume_token=_write_place(batch.place))
        return page


def resume_batches(all_batches: list[Batch], token: str) -> list[Batch]:
    """Return the batches that are left at a resume token.

    Raises:
        InvalidRequest: if the text is not a resume token of metrics.
    """
    if not token:
        return []
    try:
        place = int(json.loads(urlsafe_b64decode(token.encode()))["batch"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise InvalidRequest(
            "this is not a resume token of metrics; pass a page's resume_token as it is"
        ) from error
    return all_batches[max(place, 0) :]


def _write_place(place: int) -> str:
    return urlsafe_b64encode(json.dumps({"batch": place}).encode()).decode()


def _id_in(answer: ApiResponse[Any]) -> str | None:
    """Return the request id of an answer whose records cannot be read."""
    try:
        envelope = msgspec.json.decode(answer.response.body, type=Envelope)
    except UNREADABLE:
        envelope = Envelope()
    return request_id(envelope, answer.response)


def _meta(answer: ApiResponse, found: str | None) -> Meta:
    return Meta(
        status=answer.response.status,
        request_id=found,
        host=answer.host,
        attempts=len(answer.trail),
        elapsed=answer.response.elapsed,
    )


def _count(value: Any) -> int | None:
    if type(value) is int and value > 0:
        return value  # one that is out of its mind says that the listing cannot be whole
    count = whole_number(value)
    return None if count is None or count < 0 else count


def _placed(error: DecodeError, endpoint: Endpoint, answer: ApiResponse, found: str | None) -> DecodeError:
    error.endpoint, error.host, error.request_id = endpoint.name, answer.host, found
    return error
