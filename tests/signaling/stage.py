"""Simulated Signaling, and a client of it on virtual time."""

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define

from agora_analytics import Response, TransportFailure
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.messages import FailureKind
from agora_analytics.signaling import AsyncSignaling, Basic
from agora_analytics.simulator import DEMO_APP_ID, DEMO_CREDENTIALS, Faults
from agora_analytics.simulator.signaling import MessageStore, ServerEvent, SignalingSimulator
from agora_analytics.testing import VirtualClock, run_virtual

START = 1_795_046_400  # 2026-11-19 00:00 UTC
BASIC = Basic(*next(iter(DEMO_CREDENTIALS.items())))


@define
class Stage:
    """One simulated App ID and what a client of it needs."""

    simulator: SignalingSimulator
    clock: VirtualClock

    @classmethod
    def of(cls, *script: str | None, at: float = START + 3600, **settings: Any):
        clock = VirtualClock(at)
        faults = settings.pop("faults", Faults(script=script))
        return cls(SignalingSimulator(now=clock.now, faults=faults, **settings), clock)

    def client(self, **settings: Any) -> AsyncSignaling:
        known = {"app_id": DEMO_APP_ID, "transport": AsgiTransport(self.simulator.app), "clock": self.clock}
        return AsyncSignaling(settings.pop("credentials", BASIC), **(known | settings))

    def run(self, job: Callable[[AsyncSignaling], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
        async def with_client() -> Any:
            async with self.client(**settings) as client:
                return await job(client)

        return run_virtual(with_client(), self.clock)

    @property
    def message_store(self) -> MessageStore:
        return self.simulator.message_store

    def logins(self, number: int, *, begin: int = 0, regions: tuple[str, ...] = ()) -> None:
        events = [
            ServerEvent(kind="Login", user_id=f"user {i}", ms=START * 1000 + i)
            for i in range(begin, begin + number)
        ]
        self.message_store.add_events(*events, regions=regions)


@define
class Scripted:
    """A transport that answers by the script, and keeps the requests."""

    script: list[Any]
    requests: list[Any]

    @classmethod
    def of(cls, *script: Any):
        return cls(list(script), [])

    async def send(self, request):
        self.requests.append(request)
        outcome = self.script.pop(0)
        if isinstance(outcome, FailureKind):
            raise TransportFailure(outcome)
        status, body = outcome if isinstance(outcome, tuple) else (200, outcome)
        return Response(status=status, headers={"content-type": "application/json"}, body=body)

    async def aclose(self):
        pass


def scripted(
    transport: Scripted, job: Callable[[AsyncSignaling], Coroutine[Any, Any, Any]], **more: Any
) -> Any:
    """Run a job with a client whose answers are scripted."""
    clock = VirtualClock(START)

    async def with_client() -> Any:
        settings = {"app_id": "app", "transport": transport, "clock": clock} | more
        async with AsyncSignaling(settings.pop("credentials", BASIC), **settings) as client:
            return await job(client)

    return run_virtual(with_client(), clock)
