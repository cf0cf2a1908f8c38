"""The interaction metrics, as methods of the client."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agora_analytics.apsaravideo import questions
from agora_analytics.apsaravideo.facts import Metric
from agora_analytics.apsaravideo.questions import Filters, Step
from agora_analytics.apsaravideo.records import MetricPages
from agora_analytics.apsaravideo.walk import ENDPOINT, MetricWalk, Resumption
from agora_analytics.core.windows import Window, split
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.pages import Page
from agora_analytics.instants import Instant

if TYPE_CHECKING:
    import pyarrow as pa


class InteractionMetrics:
    """The metrics of one app; `AsyncApsaraVideo` is one, with its credentials and its connection."""

    def __init__(self, engine: Engine, *, app_id: str, prefetch: int, validate: bool) -> None:
        self.app_id = app_id
        self._engine = engine
        self._prefetch = prefetch
        self._validate = validate

    def reach(self) -> Window:
        """Return the seconds that can be asked for at this moment: the last 30 days."""
        return self._engine.reach(ENDPOINT)

    def interaction_metrics(
        self,
        metric: Metric | str,
        begin: Instant,
        end: Instant = "now",
        *,
        os: str | None = None,
        terminal_type: str | None = None,
        channel_id: str | None = None,
        app_id: str | None = None,
        resume: str | None = None,
    ) -> MetricPages:
        """List the points of a metric, one for each 5 minutes of `begin <= t < end`, the earliest first.

        What lies outside the last 30 days is cut off. The rest is split into windows of 24 hours, which are asked for
        side by side; each is a page with its `summary`. A point that two windows have comes once. Nothing that the
        server tells is dropped: the 5 minutes that `begin` lies in may come too.

        Args:
            metric: a `Metric`, or a raw name.
            begin: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            end: likewise.
            os: an `Os` or a raw name; None: all.
            terminal_type: a `TerminalType` or a raw name; None: all.
            channel_id: one channel; None: all.
            app_id: another app than the client's.
            resume: a page's `resume_token`, to go on behind that page; the ends are those that it was made with.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `begin` not before `end`, an empty or misspelled name.
            WindowOutOfReach: nothing of the range can be asked for; raised before a request.
            BadRequest, AuthenticationError, AccessDenied, RateLimited: the server refused it.
            TransportError, ServerError: no good answer came.
            DecodeError: an answer cannot be read. A value that is no number is none: see `MetricPoint.raw`.

        Example:
            listing = client.interaction_metrics(Metric.FIRST_FRAME_COST, "7d", os="iOS")
            print([page.summary async for page in listing.pages()])

        Source: `reference/apsaravideo.md`, section 1.
        """
        filters = self._filters(os, terminal_type, channel_id, app_id)
        return self._listing((metric,), begin, end, filters, resume)

    def all_metrics(
        self,
        begin: Instant,
        end: Instant = "now",
        *,
        metrics: Sequence[Metric | str] | str = tuple(Metric),
        os: str | None = None,
        terminal_type: str | None = None,
        channel_id: str | None = None,
        app_id: str | None = None,
        resume: str | None = None,
    ) -> MetricPages:
        """List the points of several metrics, one metric after the other, as `interaction_metrics` does for one.

        Args:
            begin: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            end: likewise.
            metrics: which, one or several; default: every `Metric`.
            os: an `Os` or a raw name; None: all.
            terminal_type: a `TerminalType` or a raw name; None: all.
            channel_id: one channel; None: all.
            app_id: another app than the client's.
            resume: a page's `resume_token`; the metrics must be the same then.

        Raises:
            As `interaction_metrics`.

        Example:
            table = await client.all_metrics("1d").to_arrow()

        Source: `reference/apsaravideo.md`, section 1.
        """
        filters = self._filters(os, terminal_type, channel_id, app_id)
        named = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        return self._listing(named, begin, end, filters, resume)

    def _filters(
        self, os: str | None, terminal_type: str | None, channel_id: str | None, app_id: str | None
    ) -> Filters:
        return Filters(
            app_id=self.app_id if app_id is None else app_id,
            os=os,
            terminal_type=terminal_type,
            channel_id=channel_id,
        )

    def _listing(
        self, metrics: Sequence[str], begin: Instant, end: Instant, filters: Filters, resume: str | None
    ) -> MetricPages:
        limits = self._engine.limits(ENDPOINT) if self._validate else None
        now = self._engine.server_time.now()
        if self._validate:
            questions.check_metrics(metrics)
            filters.check()
            asked = questions.asked_range(begin, end, now=now)
        else:
            asked = questions.as_given(begin, end, now=now)
        resumed = None if resume is None else Resumption.read(resume)

        async def walk() -> MetricWalk:
            at = resumed
            if at is None:
                part = questions.in_reach(asked, limits, now=self._engine.server_time.now())
                at = Resumption(asked=part, done=0, last=None)
            cut = [at.asked] if limits is None else split(at.asked, limits)
            steps = [Step(metric=metric, window=window) for metric in metrics for window in cut]
            return MetricWalk(steps, filters=filters, limits=limits, resumed=at, run=self._engine.run)

        connection = self._engine
        return MetricPages(
            walk,
            spawn=connection.spawn,
            prefetch=self._prefetch,
            arrow=_table,
            prefetch_budget=connection.prefetch_budget,
        )


def _table(pages: Sequence[Page[Any]]) -> "pa.Table":
    from agora_analytics.apsaravideo.arrow import points_table

    return points_table(pages)
