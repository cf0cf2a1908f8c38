"""The questions of the 2021 beta API, as methods of its client."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import evolve

from agora_analytics.agora import arrow
from agora_analytics.agora.beta import endpoints
from agora_analytics.agora.beta.catalogues import (
    BetaExperienceMetric,
    BetaNetMetric,
    BetaScaleMetric,
    BetaUsageMetric,
)
from agora_analytics.agora.beta.checks import check_a_day, check_metrics
from agora_analytics.agora.beta.listings import (
    DetailsWalk,
    NarrowingWalk,
    Question,
    found_calls,
    found_diagnoses,
    meta,
    narrower_calls,
    narrower_diagnoses,
    placed,
)
from agora_analytics.agora.beta.records import BetaPoint, CallDetails, Diagnosis, read_points
from agora_analytics.agora.beta.tables import details_table, diagnoses_table
from agora_analytics.agora.enums import Names, names
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.records import Call
from agora_analytics.core.columns import MetricColumns
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.paging import Step, read_token
from agora_analytics.core.windows import Window, clip, reachable, split
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.legacy import old_pages
from agora_analytics.engine.pages import Page, Pages
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant, epoch_seconds
from agora_analytics.messages import Query

if TYPE_CHECKING:
    import pyarrow as pa

_FOR_ITS_TURN = 10  # seconds

ALL_USAGE = tuple(BetaUsageMetric)
ALL_SCALE = tuple(BetaScaleMetric)
ALL_EXPERIENCE = tuple(BetaExperienceMetric)
ALL_NET = tuple(BetaNetMetric)


class BetaQuestions:
    """The questions of the 2021 beta API; `AsyncAgoraBeta` is one, with its settings and its connection."""

    def __init__(self, engine: Engine, *, app_id: str, prefetch: int, validate: bool) -> None:
        self._engine = engine
        self._app_id = app_id
        self._prefetch = prefetch
        self._validate = validate

    def calls(
        self, since: Instant, until: Instant = "now", *, cname: str | None = None, resume: str | None = None
    ) -> Pages[Call]:
        """List the calls that went on at some moment of `since <= t < until`, the newest first.

        An answer shows the newest 10. Where there are more, a narrower range is asked for, until none is hidden.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`); at most 3 days.
            until: likewise; data comes 20 s late.
            cname: only the calls of this channel.
            resume: a page's `resume_token`, to go on behind that page; the other arguments must be the same.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`.
            WindowOutOfReach: nothing of the range is in the reach of 3 days.
            IncompleteListing: more than 10 calls began in one second, or before the reach, and go on.

        Source: `reference/sources/001`, "Get call list".
        """
        window = self._window(since, until)
        question = self._question(endpoints.CALL_LISTS, (("cname", cname),) if cname else ())
        steps = self._steps(window, question, resume)

        async def walk() -> NarrowingWalk[Call]:
            return NarrowingWalk(
                question,
                steps,
                read=found_calls,
                key=lambda call: call.call_id,
                parts=lambda asked, calls: narrower_calls(asked, calls, earliest=self._earliest(question)),
                wanted=lambda call, asked: (
                    asked.start >= window.start or not call.finished or call.destroyed_ts >= window.start
                ),
                run=self._engine.run,
                observer=self._engine.observer,
            )

        def table(pages: Sequence[Page[Call]]) -> "pa.Table":
            return arrow.calls_table([call for page in pages for call in page.records])

        return old_pages(
            walk,
            spawn=self._engine.spawn,
            prefetch=self._prefetch,
            arrow=table,
            prefetch_budget=self._engine.prefetch_budget,
        )

    def details(
        self,
        call: Call | str,
        since: Instant | None = None,
        until: Instant | None = None,
        *,
        exclude_server_user: bool = True,
        metrics: bool = True,
        resume: str | None = None,
    ) -> Pages[CallDetails]:
        """Return who was in a call and how it went: one `CallDetails` for each 3 hours of it.

        At most the 10 users who joined last are shown; `CallDetails.may_hide_users` says whether there may be more.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            since: the call's start, where `call` is an id.
            until: the call's end, where `call` is an id; data comes 150 s late.
            exclude_server_user: leave out users on servers (the API's own default).
            metrics: False leaves the samples out.
            resume: a page's `resume_token`, to go on behind that page.

        Raises:
            InvalidRequest: a call id without its time range, and as `calls`.
            WindowOutOfReach: nothing of the call is in the reach of 3 days.

        Source: `reference/sources/001`, "Get quality metrics".
        """
        params = (
            ("call_id", call if isinstance(call, str) else call.call_id),
            ("exclude_server_user", str(exclude_server_user).lower()),
            ("exclude_metrics_info", str(not metrics).lower()),
        )
        question = self._question(endpoints.CALL_DETAILS, params)
        steps = self._steps(self._call_window(call, since, until), question, resume)

        async def walk() -> DetailsWalk:
            return DetailsWalk(question, steps, run=self._engine.run, read_columns=self._read_columns)

        return old_pages(
            walk,
            spawn=self._engine.spawn,
            prefetch=self._prefetch,
            arrow=details_table,
            prefetch_budget=self._engine.prefetch_budget,
        )

    async def usage(
        self, since: Instant, until: Instant = "now", *, metrics: Names = ALL_USAGE
    ) -> Rows[BetaPoint]:
        """Return how many users, sessions and channels there were: a row for each metric and UTC day.

        All metrics take one request together; there are 10 a day, one a minute. A day is there from 08:00 UTC of the
        next one.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago; at most 7 days.
            until: likewise; what is there of the range must be a day at least.
            metrics: a `BetaUsageMetric`, several, or raw names.

        Raises:
            InvalidRequest: less than a day, a metric of another family, and as `calls`.
            WindowOutOfReach: nothing of the range is in the reach of 7 days.

        Source: `reference/sources/001`, "Get number of channels & users".
        """
        seconds = self._window(since, until)
        # As in the page's example: a day ends where the next one begins.
        window = Window(seconds.start, seconds.end + 1)
        rows = await self._points(endpoints.INSIGHT_USAGE, window, metrics, BetaUsageMetric)
        return evolve(rows, records=tuple(row for row in rows if row.ts < window.end))

    async def live_scale(
        self, since: Instant = "30m", until: Instant = "now", *, metrics: Names = ALL_SCALE
    ) -> Rows[BetaPoint]:
        """Return how many users and channels there were: a row for each metric and minute.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago; at most an hour.
            until: likewise; the range is cut to what is there, 2 minutes late.
            metrics: a `BetaScaleMetric`, both, or raw names.

        Raises:
            InvalidRequest: a metric of another family, and as `calls`.
            WindowOutOfReach: nothing of the range is in the past hour.

        Source: `reference/sources/001`, "Live scale API".
        """
        return await self._points(endpoints.LIVE_SCALE, self._window(since, until), metrics, BetaScaleMetric)

    async def live_experience(
        self, since: Instant = "30m", until: Instant = "now", *, metrics: Names = ALL_EXPERIENCE
    ) -> Rows[BetaPoint]:
        """Return how joining and playing went, in PERCENT: a row for each metric and minute.

        The numbers are as they were sent, 0 to 100; today's API sends fractions.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago; at most an hour.
            until: likewise; the range is cut to what is there, 2 minutes late.
            metrics: a `BetaExperienceMetric`, several, or raw names.

        Raises:
            InvalidRequest: a metric of another family, and as `calls`.
            WindowOutOfReach: nothing of the range is in the past hour.

        Source: `reference/sources/001`, "Live experience API".
        """
        window = self._window(since, until)
        return await self._points(endpoints.LIVE_EXPERIENCE, window, metrics, BetaExperienceMetric)

    async def live_net(
        self, since: Instant = "30m", until: Instant = "now", *, metrics: Names = ALL_NET
    ) -> Rows[BetaPoint]:
        """Return how much was transmitted with at most 5 % loss, in PERCENT: a row for each metric and minute.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago; at most an hour.
            until: likewise; the range is cut to what is there, 2 minutes late.
            metrics: a `BetaNetMetric`, several, or raw names.

        Raises:
            InvalidRequest: a metric of another family, and as `calls`.
            WindowOutOfReach: nothing of the range is in the past hour.

        Source: `reference/sources/001`, "Live network API".
        """
        return await self._points(endpoints.LIVE_NET, self._window(since, until), metrics, BetaNetMetric)

    def live_diagnosis(
        self, since: Instant = "30m", until: Instant = "now", *, resume: str | None = None
    ) -> Pages[Diagnosis]:
        """List who had trouble, and why.

        An answer shows 10 messages, and does not say whether there are more: where it is full, the halves of the
        range are asked for, down to single minutes.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago; at most an hour.
            until: likewise; the range is cut to what is there, 2 minutes late.
            resume: a page's `resume_token`, to go on behind that page.

        Raises:
            InvalidRequest: as `calls`.
            WindowOutOfReach: nothing of the range is in the past hour.
            IncompleteListing: 10 messages or more in one minute.

        Source: `reference/sources/001`, "Diagnostics API".
        """
        question = self._question(endpoints.LIVE_DIAGNOSIS, ())
        steps = self._steps(self._window(since, until), question, resume)

        async def walk() -> NarrowingWalk[Diagnosis]:
            return NarrowingWalk(
                question,
                steps,
                read=found_diagnoses,
                key=lambda found: (found.ts, found.user, found.exp_id, found.cname, repr(found.cause_tags)),
                parts=narrower_diagnoses,
                run=self._engine.run,
                observer=self._engine.observer,
            )

        return old_pages(
            walk,
            spawn=self._engine.spawn,
            prefetch=self._prefetch,
            arrow=diagnoses_table,
            prefetch_budget=self._engine.prefetch_budget,
        )

    async def _points(
        self, endpoint: Endpoint, window: Window, metrics: Names, family: type[StrEnum]
    ) -> Rows[BetaPoint]:
        asked = names(metrics)
        if self._validate:
            check_metrics(endpoint, asked, family)
        question = self._question(endpoint, (("metric", ",".join(asked)),))
        (step,) = self._steps(window, question, None)
        if self._validate and endpoint is endpoints.INSIGHT_USAGE:
            check_a_day(step.window, question.limits, self._engine.server_time.now())
        answer = await self._engine.run(question.ask(step.window))
        points = placed(endpoint, answer, lambda fields: read_points(fields.get("data"), asked))
        return Rows(records=tuple(points), meta=(meta(answer),), kind=BetaPoint)

    def _question(self, endpoint: Endpoint, params: Query) -> Question:
        return Question(
            endpoint=endpoint,
            limits=self._engine.limits(endpoint),
            params=(("appid", self._app_id), *params),
            checked=self._validate,
        )

    def _steps(self, window: Window, question: Question, resume: str | None) -> list[Step]:
        if resume is not None:
            return read_token(resume)
        if not self._validate:
            return [Step(window)]
        now = self._engine.server_time.now()
        legal = clip(window, question.limits, now, endpoint=question.endpoint.name)
        longest = question.limits.span if question.endpoint is endpoints.CALL_DETAILS else None
        return [Step(part) for part in (split(legal, question.limits) if longest else [legal])]

    def _earliest(self, question: Question) -> int:
        """Return the first second that can be asked for, also by a request that has to wait for its turn."""
        if not self._validate:
            return 0
        return reachable(question.limits, self._engine.server_time.now()).start + _FOR_ITS_TURN

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
