"""Call Inspector: the calls of an app, who was in them, and how they went."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agora_analytics.agora import arrow
from agora_analytics.agora.listings import (
    MetricsWalk,
    Question,
    ReadRecords,
    RecordWalk,
    batches,
    resume_batches,
)
from agora_analytics.agora.operations import LISTS, MAX_UIDS, METRICS, SESSIONS
from agora_analytics.agora.queries import QueryRunner
from agora_analytics.agora.record_pages import read_page, read_rows
from agora_analytics.agora.records import Call, R, Session
from agora_analytics.core.columns import MetricColumns, Series
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.paging import Step, read_token
from agora_analytics.core.windows import Window, clip, split
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.legacy import old_pages
from agora_analytics.engine.pages import Page, Pages
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant, epoch_seconds
from agora_analytics.messages import Query

if TYPE_CHECKING:
    import pyarrow as pa


class CallInspector:
    """The listings of Call Inspector; `AsyncAgora` is one, with its settings and its connection."""

    def __init__(self, engine: Engine, *, app_id: str, prefetch: int, validate: bool = True) -> None:
        if prefetch < 1:
            raise InvalidRequest(f"prefetch={prefetch} fetches nothing; give at least 1")
        self._engine = engine
        self._app_id = app_id
        self._prefetch = prefetch
        self._asker = QueryRunner(engine, app_id=app_id, validate=validate)

    def calls(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        cname: str | None = None,
        page_size: int = 100,
        resume: str | None = None,
        validate: bool | None = None,
    ) -> Pages[Call]:
        """List the calls that went on at some moment of `since <= t < until`, the newest first.

        The range is cut to what the plan reaches, and split where it is longer than the plan allows. A call that
        several requests list comes once. Where the server hides calls, the range is halved until it shows them.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise.
            cname: only the calls of this channel.
            page_size: records a page, 1 to 100.
            resume: a page's `resume_token`, to go on behind that page; the other arguments must be the same.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`.
            WindowOutOfReach: nothing of the range is in the plan's reach.

        Source: `reference/agora-analytics-api.md`, endpoint 1.
        """
        params = (("appid", self._app_id), *((("cname", cname),) if cname else ()))
        question = self._question(LISTS, params, validate)
        return self._records(
            question,
            Call,
            key=lambda call: call.call_id,
            windows=self._windows(question, since, until),
            page_size=page_size,
            resume=resume,
            newest_first=True,
            table=lambda pages: arrow.calls_of_pages(page.records for page in pages),
        )

    def sessions(
        self,
        call: Call | str,
        since: Instant | None = None,
        until: Instant | None = None,
        *,
        uids: Sequence[str | int] = (),
        exclude_server_user: bool = True,
        page_size: int = 100,
        resume: str | None = None,
        validate: bool | None = None,
    ) -> Pages[Session]:
        """List the sessions of a call: who was in it, from when to when, and on what.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            since: the call's start, where `call` is an id.
            until: the call's end, where `call` is an id.
            uids: only these users, at most 10.
            exclude_server_user: leave out users on servers (the API's own default).
            page_size: records a page, 1 to 100.
            resume: a page's `resume_token`, to go on behind that page.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: more than 10 uids, a call id without its time range, and as `calls`.
            WindowOutOfReach: nothing of the call is in the plan's reach.

        Source: `reference/agora-analytics-api.md`, endpoint 2.
        """
        _refuse_text("uids", uids, SESSIONS)
        if len(uids) > MAX_UIDS and self._checks(validate):
            raise InvalidRequest(f"{len(uids)} uids, but a request takes {MAX_UIDS}", endpoint=SESSIONS.name)
        params = (
            ("appid", self._app_id),
            ("call_id", _call_id(call)),
            ("exclude_server_user", str(exclude_server_user).lower()),
            *((("uids", ",".join(map(str, uids))),) if uids else ()),
        )
        question = self._question(SESSIONS, params, validate)
        return self._records(
            question,
            Session,
            key=lambda session: session.sid,
            windows=self._windows_of(question, call, since, until),
            page_size=page_size,
            resume=resume,
            newest_first=False,
            table=lambda pages: arrow.sessions_of_pages(
                (page.records for page in pages), call_id=_call_id(call)
            ),
        )

    def metrics(
        self,
        call: Call | str,
        since: Instant | None = None,
        until: Instant | None = None,
        *,
        sids: Sequence[Session | str] | None = None,
        resume: str | None = None,
        validate: bool | None = None,
    ) -> Pages[Series]:
        """List the metric series of a call. Each page is one answer: at most 20 sessions in one legal time range.

        A page's `records` are `Series`; `page.columns` has all its samples as flat columns. A series of a call
        that is longer than the plan's span comes in one part for each range; no sample comes twice.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            since: the call's start, where `call` is an id.
            until: the call's end, where `call` is an id.
            sids: sessions or session ids; None asks for the call's sessions first, users on servers included.
                `Session` objects save requests: a session is asked for only in the time ranges that it was there.
            resume: a page's `resume_token`, to go on behind that page.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a call id without its time range, and as `calls`.
            WindowOutOfReach: nothing of the call is in the plan's reach.

        Source: `reference/agora-analytics-api.md`, endpoint 3 and "Metric ids".
        """
        _refuse_text("sids", sids, METRICS)
        call_id = _call_id(call)
        question = self._question(METRICS, (("appid", self._app_id), ("call_id", call_id)), validate)
        windows = self._windows_of(question, call, since, until)

        async def everyone() -> list[Session]:
            listing = self.sessions(call, since, until, exclude_server_user=False, validate=validate)
            sessions = await listing.collect()
            return sorted(sessions, key=lambda session: (session.join_ts, session.sid))

        async def walk() -> MetricsWalk:
            steps = batches(windows, sids if sids is not None else await everyone())
            if resume is not None:
                steps = resume_batches(steps, resume)
            return MetricsWalk(question, steps, run=self._engine.run, read_columns=self._read_columns)

        def table(pages: Sequence[Page[Series]]) -> "pa.Table":
            return arrow.metrics_table(pages, call_id=call_id)

        return old_pages(
            walk,
            spawn=self._engine.spawn,
            prefetch=self._prefetch,
            arrow=table,
            prefetch_budget=self._engine.prefetch_budget,
        )

    def reach(self, endpoint: Endpoint) -> Window:
        """Return the seconds that the plan lets an endpoint be asked for at this moment."""
        return self._engine.reach(endpoint)

    def limits(self, endpoint: Endpoint) -> Limits:
        """Return what the plan allows an endpoint.

        Raises:
            InvalidRequest: if the plan does not include it.
        """
        return self._engine.limits(endpoint)

    def legal_window(self, endpoint: Endpoint, since: Instant, until: Instant) -> Window:
        """Return the part of `since <= t < until` that the plan lets an endpoint be asked for at this moment.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`.
            WindowOutOfReach: there is no such part.
        """
        return self._legal(self._window(since, until), endpoint)

    def _records(
        self,
        question: Question,
        kind: type[R],
        *,
        key: Callable[[R], str],
        windows: Sequence[Window],
        page_size: int,
        resume: str | None,
        newest_first: bool,
        table: "Callable[[Sequence[Page[R]]], pa.Table]",
    ) -> Pages[R]:
        if question.validate and not 1 <= page_size <= 100:
            raise InvalidRequest(
                f"page_size={page_size}, but the API takes 1 to 100", endpoint=question.endpoint.name
            )
        if resume is not None:
            steps = read_token(resume)
        else:
            steps = [Step(part) for part in (reversed(windows) if newest_first else windows)]

        async def walk(read: ReadRecords[R] = read_page) -> RecordWalk[R]:
            return RecordWalk(
                question,
                steps,
                kind=kind,
                key=key,
                page_size=page_size,
                run=self._engine.run,
                observer=self._engine.observer,
                read=read,
            )

        return old_pages(
            walk,
            spawn=self._engine.spawn,
            prefetch=self._prefetch,
            arrow=table,
            walk_for_arrow=lambda: walk(read_rows),
            prefetch_budget=self._engine.prefetch_budget,
        )

    def _question(self, endpoint: Endpoint, params: Query, validate: bool | None) -> Question:
        return Question(
            endpoint=endpoint,
            limits=self._engine.limits(endpoint),
            params=params,
            validate=self._checks(validate),
        )

    def _checks(self, validate: bool | None) -> bool:
        return self._asker.validate if validate is None else validate

    def _windows(self, question: Question, since: Instant, until: Instant) -> list[Window]:
        """Return the windows to ask for, the earliest first: what is legal, or what was given."""
        if not question.validate:
            ends = self._asker.as_given(since, until)
            return [Window.as_given(ends.start, ends.end)]
        return split(self._legal(self._window(since, until), question.endpoint), question.limits)

    def _windows_of(
        self, question: Question, call: Call | str, since: Instant | None, until: Instant | None
    ) -> list[Window]:
        if isinstance(call, str) and since is not None and until is not None:
            return self._windows(question, since, until)
        window = self._call_window(call, since, until)
        if not question.validate:
            return [window]
        return split(self._legal(window, question.endpoint), question.limits)

    def _legal(self, window: Window, endpoint: Endpoint) -> Window:
        limits, now = self._engine.limits(endpoint), self._engine.server_time.now()
        return clip(window, limits, now, endpoint=endpoint.name)

    def _window(self, since: Instant, until: Instant) -> Window:
        now = self._engine.server_time.now()
        return Window.half_open(
            epoch_seconds(since, now=now, name="since"), epoch_seconds(until, now=now, name="until")
        )

    def _call_window(self, call: Call | str, since: Instant | None, until: Instant | None) -> Window:
        if isinstance(call, Call):
            last = call.destroyed_ts if call.finished else int(self._engine.server_time.now())
            return Window(call.created_ts, max(call.created_ts, last))
        if since is None or until is None:
            raise InvalidRequest(
                "a call id needs since= and until=, the time range of the call; or pass the Call"
            )
        return self._window(since, until)

    async def _read_columns(self, body: bytes) -> MetricColumns:
        from agora_analytics.decode import decode_metrics

        return await self._engine.decode(decode_metrics, body)


def _refuse_text(name: str, values: Sequence[object] | None, endpoint: Endpoint) -> None:
    """A text is a sequence too, of letters: each would be asked for."""
    if isinstance(values, str):
        raise InvalidRequest(
            f"{name}={values!r} is one text; give a list, [{values!r}]", endpoint=endpoint.name
        )


def _call_id(call: Call | str) -> str:
    return call if isinstance(call, str) else call.call_id
