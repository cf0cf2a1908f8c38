"""The blocking client of Agora Analytics."""

from collections.abc import Mapping
from typing import Any, Self, Unpack

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.settings import AgoraOptions, Settings
from agora_analytics.blocking.insights import Insights
from agora_analytics.blocking.realtime import Realtime
from agora_analytics.blocking.wrappers import (
    Blocking,
    awaited,
    copy_docstring,
    copy_init,
    listing,
    plain,
)


@copy_docstring(AsyncAgora)
class Agora(Blocking[AsyncAgora]):  # noqa: D101 - it has the docstring of AsyncAgora
    @copy_init(AsyncAgora)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncAgora, *args, **settings)

    @classmethod
    @copy_docstring(AsyncAgora.from_env)
    def from_env(  # noqa: D102
        cls, environment: Mapping[str, str] | None = None, **settings: Unpack[AgoraOptions]
    ) -> Self:
        # Spelled out: pyright loses `Self` if a decorator copies the signature.
        return cls._created_by(AsyncAgora.from_env, environment, **settings)

    calls = listing(AsyncAgora.calls)
    sessions = listing(AsyncAgora.sessions)
    metrics = listing(AsyncAgora.metrics)
    statistics = awaited(AsyncAgora.statistics)
    freeze_distribution = awaited(AsyncAgora.freeze_distribution)
    statistics_over_time = awaited(AsyncAgora.statistics_over_time)
    quota = awaited(AsyncAgora.quota)
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
    def settings(self) -> Settings:
        """The settings of the client. Its repr has no secret."""
        return self._subject.settings

    @property
    @copy_docstring(AsyncAgora.sent)
    def sent(self) -> Mapping[str, int]:  # noqa: D102
        return self._subject.sent
