"""The listings of Call Inspector: pages of records, and pages of metric series."""

import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from hashlib import sha256
from typing import Any

from attrs import evolve, field, frozen

from agora_analytics.agora.operations import MAX_SIDS, ListingOperation
from agora_analytics.agora.record_pages import RecordPage
from agora_analytics.agora.records import R, Session, sids_of
from agora_analytics.core.columns import MetricColumns, Series
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
from agora_analytics.core.resume_tokens import ResumeTokens
from agora_analytics.core.windows import Window
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.events import ListingNarrowed, ListingShort
from agora_analytics.engine.pages import Fetched, Page
from agora_analytics.errors import InvalidRequest
from agora_analytics.kit.listing import FirstSeen, Listing
from agora_analytics.kit.operation import Operation
from agora_analytics.messages import Query


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
    as_rows: bool = False,
    final: bool = False,
    keep: Callable[[R], bool] | None = None,
) -> Listing[Step, RecordPage[R], Page[R]]:
    """Return the paginator of a numbered listing.

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
        as_rows: leave the records as structs, for a table.
        final: the responses cannot change any more; see `ApiRequest.final`.
        keep: selects the records of a page; None: all.

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

    return record_listing(
        engine,
        operation,
        params,
        steps,
        tokens,
        limits=limits,
        page_size=page_size,
        as_rows=as_rows,
        final=final,
        keep=keep,
    )


def record_listing(
    engine: Engine,
    operation: ListingOperation[R],
    params: Query,
    steps: Iterable[Step],
    tokens: ResumeTokens,
    *,
    limits: Limits | None,
    page_size: int,
    as_rows: bool,
    final: bool,
    keep: Callable[[R], bool] | None,
) -> Listing[Step, RecordPage[R], Page[R]]:
    """Return the paginator of a numbered listing; see `plan_records` for the arguments.

    Args:
        steps: the first steps.
        tokens: writes the resume tokens.
        limits: what the plan allows; None: windows are sent as they are.
    """
    name, requested = operation.name, set[Step]()
    unseen: FirstSeen[R] = FirstSeen(operation.key)

    def notice(finding: Finding, window: Window, listed: int, counted: int) -> None:
        start, end = window.start, window.end
        if finding is Finding.NARROWED:
            engine.observer(ListingNarrowed(endpoint=name, start=start, end=end))
        else:
            engine.observer(ListingShort(endpoint=name, start=start, end=end, listed=listed, counted=counted))

    paginator: NumberedPaginator[R] = NumberedPaginator(steps, operation.key, notice)

    def request(step: Step) -> ApiRequest[RecordPage[R]]:
        # A page is requested twice if the server counts more records than it lists; the first response may be wrong.
        is_first = step not in requested
        requested.add(step)
        return operation.request(
            (*params, ("page_no", str(step.page)), ("page_size", str(page_size))),
            window=step.window,
            limits=limits,
            read=operation.read_rows if as_rows else operation.read,
            final=final and is_first,
            keep_end=step.page > 1,
        )

    def fresh(records: Sequence[R]) -> list[R]:
        return [record for record in unseen(records) if keep is None or keep(record)]

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
        fresh=fresh,
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

    _NOT_IN_JSON = frozenset({"raw", "columns"})  # `records` has the same samples


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


async def plan_metrics(
    engine: Engine,
    operation: Operation[MetricColumns],
    params: Query,
    window: Window,
    sids: Sequence[Session | str] | None,
    resume: str | None,
    *,
    list_sessions: Callable[[], Coroutine[Any, Any, Sequence[Session]]],
    asked: Sequence[object],
    validate: bool,
    final: bool,
) -> Listing[Batch, MetricColumns, MetricsPage]:
    """Return the paginator of a call's metrics; see `plan_records` for the arguments.

    Args:
        sids: the sessions; None: those that `list_sessions` returns, unless no data is available.

    Raises:
        InvalidRequest: a token that cannot be used, or the plan does not include the operation.
        WindowOutOfReach: no part of the window can be requested now.
    """
    limits = engine.limits(operation) if validate else None
    named = None if sids is None else sids_of(sids)
    tokens = ResumeTokens(operation.name, params, asked, named)
    position = None if resume is None else tokens.read(resume, MetricsPosition)
    if position is None:
        windows = operation.plan(window, limits, engine.server_time.now(), engine.observer)
    else:
        whole = Window.as_given(position.start, position.end)
        windows = [whole] if limits is None else operation.split(whole, limits)

    sessions: Sequence[Session | str] | None = () if resume == "" or not windows else sids
    if sessions is None:
        sessions = in_order(await list_sessions())
    planned = batches(windows, sessions)
    return metrics_listing(engine, operation, params, planned, tokens, position, limits=limits, final=final)


def metrics_listing(
    engine: Engine,
    operation: Operation[MetricColumns],
    params: Query,
    planned: Sequence[Batch],
    tokens: ResumeTokens,
    position: MetricsPosition | None,
    *,
    limits: Limits | None,
    final: bool,
) -> Listing[Batch, MetricColumns, MetricsPage]:
    """Return the paginator of a call's metrics: one page for each planned batch after the position.

    Raises:
        InvalidRequest: the position does not fit the batches.
    """

    def request(step: Batch) -> ApiRequest[MetricColumns]:
        query = (*params, ("sids", ",".join(step.sids)))
        return operation.request(query, window=step.window, limits=limits, final=final)

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
