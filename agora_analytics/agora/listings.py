"""The listings of Call Inspector: pages of records, and pages of metric series."""

import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from hashlib import sha256
from typing import Any

from attrs import evolve, field, frozen

from agora_analytics.agora.operations import MAX_SIDS, ListingOperation
from agora_analytics.agora.record_pages import RecordPage
from agora_analytics.agora.records import Call, R, Session, sids_of
from agora_analytics.core.columns import MetricColumns, Series
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.field_types import LONGEST_ID
from agora_analytics.core.limits import Limits
from agora_analytics.core.numbers import truth_of, whole_number
from agora_analytics.core.paging import (
    Finding,
    NumberedPaginator,
    PageInfo,
    Position,
    Step,
    position_of,
    steps_at,
)
from agora_analytics.core.resume_tokens import ResumeTokens, as_asked
from agora_analytics.core.windows import Window, time_range
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.events import ListingNarrowed, ListingShort
from agora_analytics.engine.pages import Fetched, Page
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant
from agora_analytics.kit.listing import FirstSeen, Listing
from agora_analytics.kit.operation import Operation
from agora_analytics.messages import Query


def call_id_of(call: Call | str) -> str:
    """Return the id of a call, or the id itself."""
    return call if isinstance(call, str) else call.call_id


def is_call_id(text: str) -> bool:
    """Return whether a text can be the id of a call."""
    return 1 <= len(text) <= LONGEST_ID and text.isprintable() and " " not in text


def check_call_id(call_id: str) -> None:
    """Check that a text can be the id of a call.

    Raises:
        InvalidRequest: it is empty, longer than 1,024 characters, or has whitespace or an invisible character.
    """
    if not is_call_id(call_id):
        shown = call_id if len(call_id) <= LONGEST_ID else f"{call_id[:40]}..."
        raise InvalidRequest(f"{shown!r} cannot be a call id; pass the id as the list of calls has it")


def call_window(
    call: Call | str, since: Instant | None, until: Instant | None, *, now: float, validate: bool
) -> Window:
    """Return the seconds of a call; an ongoing call lasts until now. An id needs `since` and `until`.

    Raises:
        InvalidRequest: an id without both of them, and as `time_range`.
    """
    if isinstance(call, Call):
        last = call.destroyed_ts if call.finished else int(now)
        return Window(call.created_ts, max(call.created_ts, last))
    if validate:
        check_call_id(call)
    if since is None or until is None:
        raise InvalidRequest(
            "a call id needs since= and until=, the time range of the call; or pass the Call"
        )
    return time_range(since, until, now=now, validate=validate)


def check_ids(name: str, ids: Sequence[object], endpoint: Endpoint, *, most: int | None = None) -> None:
    """Check a list of ids.

    Raises:
        InvalidRequest: a text, which is a sequence of characters, in place of a list; or more than `most` ids.
    """
    if isinstance(ids, str):
        raise InvalidRequest(f"{name}={ids!r} is a string; pass a list, [{ids!r}]", endpoint=endpoint.name)
    if most is not None and len(ids) > most:
        raise InvalidRequest(
            f"a request takes at most {most} {name}, not {len(ids)}; pass fewer", endpoint=endpoint.name
        )


def range_as_asked(call: Call | str, since: Instant | None, until: Instant | None) -> tuple[object, ...]:
    """Return the time range of a call as a part of a listing's question: a `Call` has only one."""
    return () if isinstance(call, Call) else (as_asked(since), as_asked(until))


def plan_records(
    engine: Engine,
    operation: ListingOperation[R],
    params: Query,
    window: Window,
    page_size: int,
    resume: str | None,
    asked: Sequence[object],
    *,
    validate: bool,
) -> Callable[..., Coroutine[Any, Any, Listing[Step, RecordPage[R], Page[R]]]]:
    """Return a function that returns the paginator of a numbered listing.

    A resumed listing has the time range of its token. It is split again where another plan allows less at a time.

    Args:
        engine: sends the requests.
        operation: the listing.
        params: the query parameters that all requests have.
        window: the time range.
        page_size: records a page.
        resume: the resume token of a page.
        asked: the time range as the caller passed it, which identifies the question together with `params`.
        validate: whether the arguments are checked and the range is cut to what the plan allows.

    Raises:
        InvalidRequest: a page size or a token that cannot be used, or the plan does not include the operation.
        WindowOutOfReach: no part of the window can be requested now.
    """
    limits = engine.limits(operation) if validate else None
    if limits is not None and not 1 <= page_size <= 100:
        raise InvalidRequest(f"page_size={page_size} is not in the range 1 to 100", endpoint=operation.name)
    tokens = ResumeTokens(operation.name, params, asked, page_size=page_size)
    steps: list[Step] = []
    if resume is None:
        windows = operation.plan(window, limits, engine.server_time.now(), engine.observer)
        steps = [Step(part) for part in (reversed(windows) if operation.newest_first else windows)]
    for step in steps_at(tokens.read(resume, Position)) if resume is not None else ():
        windows = [step.window] if limits is None else operation.split(step.window, limits)
        if len(windows) == 1:
            steps.append(step)
        else:
            steps += map(Step, reversed(windows) if operation.newest_first else windows)

    async def paginator(*, as_rows: bool = False) -> Listing[Step, RecordPage[R], Page[R]]:
        return record_listing(
            engine, operation, params, steps, tokens, limits=limits, page_size=page_size, as_rows=as_rows
        )

    return paginator


def record_listing(
    engine: Engine,
    operation: ListingOperation[R],
    params: Query,
    steps: Iterable[Step],
    tokens: ResumeTokens,
    *,
    limits: Limits | None,
    page_size: int,
    as_rows: bool = False,
) -> Listing[Step, RecordPage[R], Page[R]]:
    """Return the paginator of a numbered listing; see `plan_records` for the arguments.

    Args:
        steps: the first steps.
        tokens: writes the resume tokens.
        limits: what the plan allows; None: windows are sent as they are.
        as_rows: leave the records as structs, for a table.
    """
    name = operation.name

    def notice(finding: Finding, window: Window, listed: int, counted: int) -> None:
        start, end = window.start, window.end
        if finding is Finding.NARROWED:
            engine.observer(ListingNarrowed(endpoint=name, start=start, end=end))
        else:
            engine.observer(ListingShort(endpoint=name, start=start, end=end, listed=listed, counted=counted))

    paginator: NumberedPaginator[R] = NumberedPaginator(steps, operation.key, notice)

    def request(step: Step) -> ApiRequest[RecordPage[R]]:
        return operation.request(
            (*params, ("page_no", str(step.page)), ("page_size", str(page_size))),
            window=step.window,
            limits=limits,
            read=operation.read_rows if as_rows else operation.read,
        )

    def page(step: Step, response: ApiResponse[RecordPage[R]]) -> Fetched[Step, Page[R]]:
        content = response.result
        info = PageInfo(
            records=content.records,
            total=_count(content.total),
            page_size=_count(content.page_size),
            has_more=truth_of(content.has_more),
            unreadable=response.skipped,
        )
        after, next_steps = paginator.next_steps(step, info, sent=response.payload.window)
        return Fetched(
            page=Page(
                records=info.records,
                meta=evolve(response.meta, total=info.total),
                raw=response.response.body,
                skipped=response.skipped,
            ),
            next_steps=next_steps,
            after=after,
        )

    return Listing(
        paginator.steps,
        run=engine.run,
        request=request,
        page=page,
        token=lambda _, steps_left: tokens.write(position_of(steps_left)),
        fresh=FirstSeen(operation.key),
    )


def _count(value: Any) -> int | None:
    if type(value) is int and value > 0:
        return value  # even a nonsensical one: it shows that the listing cannot be complete
    count = whole_number(value)
    return None if count is None or count < 0 else count


@frozen(kw_only=True, repr=False)
class MetricsPage(Page[Series]):
    """A page of metrics: `records` are its series, `columns` all samples of the response."""

    columns: MetricColumns = field(repr=False)

    _NOT_IN_JSON = frozenset({"columns"})  # `records` has the same samples


@frozen
class Batch:
    """One metrics request: sessions of a call in one window. `index` is its position in the listing, from 0."""

    index: int
    window: Window
    sids: tuple[str, ...]


def in_order(sessions: Sequence[Session]) -> list[Session]:
    """Return sessions in an order that does not depend on the response, so that a resume token stays valid."""
    return sorted(sessions, key=lambda session: (session.join_ts, session.sid))


def batches(windows: Sequence[Window], sessions: Sequence[Session | str]) -> list[Batch]:
    """Return the fewest metrics requests for these sessions; each window has only sessions that may overlap it.

    The same order of sessions gives the same batches. A session that is passed twice is requested once.
    """
    planned: list[Batch] = []
    for window in windows:
        present = (each for each in sessions if isinstance(each, str) or _may_overlap(window, each))
        sids = list(dict.fromkeys(sids_of(present)))
        for i in range(0, len(sids), MAX_SIDS):
            planned.append(Batch(len(planned), window, tuple(sids[i : i + MAX_SIDS])))
    return planned


@frozen(kw_only=True)
class MetricsPosition:
    """Where a listing of metrics continues.

    Attributes:
        start: the first second of the whole time range.
        end: the last one.
        done: number of batches that are done.
        digest: identifies these batches.
    """

    start: int
    end: int
    done: int
    digest: str

    @classmethod
    def after(cls, planned: Sequence[Batch], done: int) -> "MetricsPosition":
        """Return the position after so many batches."""
        return cls(
            start=planned[0].window.start,
            end=planned[-1].window.end,
            done=done,
            digest=_digest(planned[:done]),
        )

    def left(self, planned: Sequence[Batch]) -> Sequence[Batch]:
        """Return the batches after the position.

        Raises:
            InvalidRequest: other batches are before it: the call has other sessions now, or the plan another span.
        """
        if _digest(planned[: self.done]) != self.digest:
            raise InvalidRequest(
                "the resume token does not fit: the sessions of the call, or the longest time range of the plan, "
                "have changed; fetch the metrics again without resume="
            )
        return planned[self.done :]


def _digest(planned: Sequence[Batch]) -> str:
    text = json.dumps([(batch.window.start, batch.window.end, batch.sids) for batch in planned])
    return sha256(text.encode()).hexdigest()[:16]


def _may_overlap(window: Window, session: Session) -> bool:
    """Return whether a session can have samples in a window. The end of an ongoing session is not known yet."""
    return session.join_ts <= window.end and (not session.finished or session.leave_ts >= window.start)


def plan_metrics(
    engine: Engine,
    operation: Operation[MetricColumns],
    params: Query,
    window: Callable[[], Window],
    sids: Sequence[Session | str] | None,
    resume: str | None,
    *,
    list_sessions: Callable[[], Coroutine[Any, Any, Sequence[Session]]],
    asked: Sequence[object],
    validate: bool,
) -> Callable[[], Coroutine[Any, Any, Listing[Batch, MetricColumns, MetricsPage]]]:
    """Return a function that returns the paginator of a call's metrics; see `plan_records` for the arguments.

    Args:
        window: returns the time range. It is not called if the listing is resumed.
        sids: the sessions; None: those that `list_sessions` returns.

    Raises:
        InvalidRequest: a token that cannot be used, or the plan does not include the operation.
        WindowOutOfReach: no part of the window can be requested now.
    """
    limits = engine.limits(operation) if validate else None
    named = None if sids is None else sids_of(sids)
    tokens = ResumeTokens(operation.name, params, asked, named)
    position = None if resume is None else tokens.read(resume, MetricsPosition)
    if position is None:
        windows = operation.plan(window(), limits, engine.server_time.now(), engine.observer)
    else:
        whole = Window.as_given(position.start, position.end)
        windows = [whole] if limits is None else operation.split(whole, limits)

    async def paginator() -> Listing[Batch, MetricColumns, MetricsPage]:
        sessions: Sequence[Session | str] | None = () if resume == "" else sids
        if sessions is None:
            sessions = in_order(await list_sessions())
        planned = batches(windows, sessions)
        return metrics_listing(engine, operation, params, planned, tokens, position, limits=limits)

    return paginator


def metrics_listing(
    engine: Engine,
    operation: Operation[MetricColumns],
    params: Query,
    planned: Sequence[Batch],
    tokens: ResumeTokens,
    position: MetricsPosition | None,
    *,
    limits: Limits | None,
) -> Listing[Batch, MetricColumns, MetricsPage]:
    """Return the paginator of a call's metrics: one page for each planned batch after the position.

    Raises:
        InvalidRequest: the position does not fit the batches.
    """

    def request(step: Batch) -> ApiRequest[MetricColumns]:
        return operation.request((*params, ("sids", ",".join(step.sids))), window=step.window, limits=limits)

    def page(_: Batch, response: ApiResponse[MetricColumns]) -> Fetched[Batch, MetricsPage]:
        columns = response.result
        return Fetched(
            page=MetricsPage(
                records=list(columns),
                columns=columns,
                meta=response.meta,
                raw=response.response.body,
                skipped=response.skipped,
            )
        )

    return Listing(
        planned if position is None else position.left(planned),
        run=engine.run,
        request=request,
        page=page,
        token=lambda _, steps_left: tokens.write(MetricsPosition.after(planned, steps_left[0].index)),
    )
