"""Simulated ApsaraVideo Live, and a client of it on virtual time."""

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field

from agora_analytics.apsaravideo import AsyncApsaraVideo
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.simulator import Faults
from agora_analytics.simulator.apsaravideo import DEMO_KEYS, ApsaraVideoSimulator, ApsaraVideoWorld
from agora_analytics.testing import VirtualClock, run_virtual

NOW = 1_795_089_600.0  # 2026-11-19 12:00 UTC
DAY = 86_400
ENDPOINT = "apsaravideo/interaction_metrics"
WORLD = ApsaraVideoWorld.generate(seed=7)
(APP_ID, OTHER_APP_ID) = WORLD.app_ids
(KEY,) = DEMO_KEYS.items()


@define
class Stage:
    """One simulated account and what a client of it needs."""

    simulator: ApsaraVideoSimulator
    clock: VirtualClock
    events: list[Any] = field(factory=list)

    @classmethod
    def of(cls, *script: str | None, now: float = NOW, **settings: Any) -> "Stage":
        clock = VirtualClock(now)
        faults = settings.pop("faults", Faults(script=script))
        return cls(ApsaraVideoSimulator(WORLD, **{"now": clock.now, "faults": faults} | settings), clock)

    def client(self, *key: str, **settings: Any) -> AsyncApsaraVideo:
        known = {
            "app_id": APP_ID,
            "transport": AsgiTransport(self.simulator.app),
            "clock": self.clock,
            "observer": self.events.append,
        }
        if "credentials" not in settings:
            key = key or KEY
        return AsyncApsaraVideo(*key, **(known | settings))

    def run(
        self, job: Callable[[AsyncApsaraVideo], Coroutine[Any, Any, Any]], *key: str, **settings: Any
    ) -> Any:
        async def with_client() -> Any:
            async with self.client(*key, **settings) as client:
                return await job(client)

        return run_virtual(with_client(), self.clock)

    @property
    def asked(self) -> int:
        return self.simulator.seen.requests[ENDPOINT]

    @property
    def refused(self) -> dict[str, int]:
        return {status: n for (_, status), n in self.simulator.seen.refused.items()}


def scripted(
    transport: Any, job: Callable[[AsyncApsaraVideo], Coroutine[Any, Any, Any]], *key: str, **settings: Any
) -> Any:
    """Run a job with a client whose answers are scripted."""
    clock = VirtualClock(NOW)

    async def with_client() -> Any:
        known = {"app_id": APP_ID, "transport": transport, "clock": clock}
        if "credentials" not in settings and not key:
            known |= dict(zip(("access_key_id", "access_key_secret"), KEY, strict=True))
        async with AsyncApsaraVideo(*key, **(known | settings)) as client:
            return await job(client)

    return run_virtual(with_client(), clock)
