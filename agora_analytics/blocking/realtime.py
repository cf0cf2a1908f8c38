"""Real-time for blocking code."""

from collections.abc import Iterator
from typing import Any

from agora_analytics.agora.follow import Follow as AsyncFollow
from agora_analytics.agora.follow import LiveWindow
from agora_analytics.agora.realtime import Realtime as AsyncRealtime
from agora_analytics.blocking.pages import iterate
from agora_analytics.blocking.worker import Worker
from agora_analytics.blocking.wrappers import BlockingPart, awaited, copy_docstring, wrapped


@copy_docstring(AsyncFollow)
class Follow:  # noqa: D101 - it has the docstring of the asynchronous class
    def __init__(self, worker: Worker[Any], followed: AsyncFollow) -> None:
        self._worker = worker
        self._followed = followed

    def __iter__(self) -> Iterator[LiveWindow]:
        return iterate(self._worker, aiter(self._followed))

    @property
    def lost(self) -> int:
        """Number of windows that went out of reach for at least one metric."""
        return self._followed.lost


@copy_docstring(AsyncRealtime)
class Realtime(BlockingPart):  # noqa: D101 - it has the docstring of the asynchronous class
    usage = awaited(AsyncRealtime.usage)
    quality = awaited(AsyncRealtime.quality)
    top_usage = awaited(AsyncRealtime.top_usage)
    top_quality = awaited(AsyncRealtime.top_quality)
    follow = wrapped(AsyncRealtime.follow, Follow)
    estimate = awaited(AsyncRealtime.estimate)
