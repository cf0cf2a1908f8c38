"""The simulated beta, and a client of it on virtual time."""

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define

from agora_analytics.agora.beta import AsyncAgoraBeta
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.simulator import DEMO_APP_ID, DEMO_CREDENTIALS, Faults, World
from agora_analytics.simulator.beta import BetaSimulator
from agora_analytics.testing import VirtualClock, run_virtual
from tests.signaling.stage import Scripted

MIDNIGHT = 1_795_046_400  # 2026-11-19 00:00 UTC
SINCE, UNTIL = MIDNIGHT - 86_400, MIDNIGHT
(CUSTOMER,) = DEMO_CREDENTIALS.items()


def world(calls: int = 60, **knobs: Any) -> World:
    settings = {"simple": True, "interval": 60} | knobs
    return World.generate(seed=3, since=SINCE, until=UNTIL, calls=calls, **settings)


@define
class Stage:
    """One simulated app and what a client of it needs."""

    simulator: BetaSimulator
    clock: VirtualClock

    @classmethod
    def of(
        cls, *script: str | None, made: World | None = None, at: float = UNTIL + 9 * 3600, **settings: Any
    ):
        clock = VirtualClock(at)
        faults = Faults(script=script)
        return cls(BetaSimulator(made or world(), now=clock.now, faults=faults, **settings), clock)

    def run(
        self,
        job: Callable[[AsyncAgoraBeta], Coroutine[Any, Any, Any]],
        *,
        secret: str = CUSTOMER[1],
        **settings: Any,
    ) -> Any:
        known = {"app_id": DEMO_APP_ID, "transport": AsgiTransport(self.simulator.app), "clock": self.clock}

        async def with_client() -> Any:
            async with AsyncAgoraBeta(CUSTOMER[0], secret, **(known | settings)) as client:
                return await job(client)

        return run_virtual(with_client(), self.clock)


def scripted(
    transport: Scripted,
    job: Callable[[AsyncAgoraBeta], Coroutine[Any, Any, Any]],
    *,
    at: float = UNTIL + 3600,
    **more: Any,
) -> Any:
    """Run a job with a client whose answers are scripted."""
    clock = VirtualClock(at)

    async def with_client() -> Any:
        async with AsyncAgoraBeta(
            "id", "s", app_id="app", transport=transport, clock=clock, **more
        ) as client:
            return await job(client)

    return run_virtual(with_client(), clock)
