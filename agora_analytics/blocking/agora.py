"""The blocking clients of Agora Analytics: today's API and the beta of 2021."""

from collections.abc import Iterator
from functools import wraps
from typing import Any, Self

from agora_analytics.agora.beta.client import AsyncAgoraBeta
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.credentials import Basic, BasicSource
from agora_analytics.agora.follow import Follow as AsyncFollow
from agora_analytics.agora.follow import LiveWindow
from agora_analytics.agora.insights import Insights as AsyncInsights
from agora_analytics.agora.realtime import Realtime as AsyncRealtime
from agora_analytics.agora.settings import Settings
from agora_analytics.blocking.worker import Worker
from agora_analytics.blocking.wrappers import (
    Blocking,
    BlockingGroup,
    awaited,
    constructor,
    copy_docstring,
    copy_init,
    iterate,
    listing,
    plain,
    wrapped,
)


@copy_docstring(AsyncInsights)
class Insights(BlockingGroup):  # noqa: D101 - it has the docstring of AsyncInsights
    usage = awaited(AsyncInsights.usage)
    quality = awaited(AsyncInsights.quality)
    usage_totals = awaited(AsyncInsights.usage_totals)
    quality_totals = awaited(AsyncInsights.quality_totals)
    estimate = awaited(AsyncInsights.estimate)


@copy_docstring(AsyncFollow)
class Follow:  # noqa: D101 - it has the docstring of AsyncFollow
    def __init__(self, worker: Worker[Any], followed: AsyncFollow) -> None:
        self._worker = worker
        self._followed = followed

    def __iter__(self) -> Iterator[LiveWindow]:
        return iterate(self._worker, aiter(self._followed))

    def __repr__(self) -> str:
        return repr(self._followed)

    @wraps(AsyncFollow.check)
    def check(self) -> None:  # noqa: D102 - it has the docstring of AsyncFollow.check
        self._followed.check()

    @wraps(AsyncFollow.shared_by)
    def shared_by(self, loops: int) -> Self:  # noqa: D102 - it has the docstring of AsyncFollow.shared_by
        self._followed.shared_by(loops)
        return self

    @property
    def lost(self) -> int:
        """How many windows went out of reach for at least one metric."""
        return self._followed.lost


@copy_docstring(AsyncRealtime)
class Realtime(BlockingGroup):  # noqa: D101 - it has the docstring of AsyncRealtime
    usage = awaited(AsyncRealtime.usage)
    quality = awaited(AsyncRealtime.quality)
    top_usage = awaited(AsyncRealtime.top_usage)
    top_quality = awaited(AsyncRealtime.top_quality)
    follow = wrapped(AsyncRealtime.follow, Follow)
    estimate = awaited(AsyncRealtime.estimate)


@copy_docstring(AsyncAgora)
class Agora(Blocking[AsyncAgora]):  # noqa: D101 - it has the docstring of AsyncAgora
    @copy_init(AsyncAgora)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncAgora, *args, **settings)

    from_env = constructor(AsyncAgora.from_env)
    from_config = constructor(AsyncAgora.from_config)
    calls = listing(AsyncAgora.calls)
    sessions = listing(AsyncAgora.sessions)
    metrics = listing(AsyncAgora.metrics)
    find_call = awaited(AsyncAgora.find_call)
    calls_of_user = listing(AsyncAgora.calls_of_user)
    statistics = awaited(AsyncAgora.statistics)
    freeze_distribution = awaited(AsyncAgora.freeze_distribution)
    statistics_over_time = awaited(AsyncAgora.statistics_over_time)
    domains = awaited(AsyncAgora.domains)
    reach = plain(AsyncAgora.reach)
    limits = plain(AsyncAgora.limits)
    legal_window = plain(AsyncAgora.legal_window)

    @property
    def insights(self) -> Insights:
        """Data Insights: the usage and quality of the app by hour, by day, or in total."""
        return Insights(self, "insights")

    @property
    def realtime(self) -> Realtime:
        """Real-time: the usage and quality of the app in windows of 20 seconds, up to now."""
        return Realtime(self, "realtime")

    @property
    def credentials(self) -> Basic | BasicSource:
        """The credentials, or the function that returns them. Their repr has no secret."""
        return self._subject.credentials

    @property
    def settings(self) -> Settings:
        """The app, plan and region."""
        return self._subject.settings


@copy_docstring(AsyncAgoraBeta)
class AgoraBeta(Blocking[AsyncAgoraBeta]):  # noqa: D101 - it has the docstring of AsyncAgoraBeta
    @copy_init(AsyncAgoraBeta)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncAgoraBeta, *args, **settings)

    from_env = constructor(AsyncAgoraBeta.from_env)
    from_config = constructor(AsyncAgoraBeta.from_config)
    calls = listing(AsyncAgoraBeta.calls)
    details = listing(AsyncAgoraBeta.details)
    usage = awaited(AsyncAgoraBeta.usage)
    live_scale = awaited(AsyncAgoraBeta.live_scale)
    live_experience = awaited(AsyncAgoraBeta.live_experience)
    live_net = awaited(AsyncAgoraBeta.live_net)
    live_diagnosis = listing(AsyncAgoraBeta.live_diagnosis)

    @property
    def credentials(self) -> Basic | BasicSource:
        """The credentials, or the function that returns them. Their repr has no secret."""
        return self._subject.credentials

    @property
    def settings(self) -> Settings:
        """The app, plan and region."""
        return self._subject.settings
