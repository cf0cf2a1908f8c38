"""The harvest and its estimate, from blocking code."""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from agora_analytics.blocking.worker import AsyncClient
from agora_analytics.blocking.wrappers import Blocking, copy_signature
from agora_analytics.harvest import estimate as async_estimate
from agora_analytics.harvest import harvest as async_harvest
from agora_analytics.harvest import harvest_insights as async_harvest_insights

A = TypeVar("A", bound=AsyncClient)
P = ParamSpec("P")
T = TypeVar("T")


def _over(
    service: Callable[Concatenate[A, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Blocking[A], P], T]:
    """Return the blocking twin of a service that is built on a client."""

    def twin(client: Blocking[A], *args: P.args, **kwargs: P.kwargs) -> T:
        return client._worker.run(lambda: service(client._subject, *args, **kwargs))  # noqa: SLF001 - same package

    return copy_signature(twin, service)


harvest = _over(async_harvest)
harvest_insights = _over(async_harvest_insights)
estimate = _over(async_estimate)
