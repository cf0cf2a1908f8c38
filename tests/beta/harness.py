"""The simulated beta: the defaults of the test harness, and a day of calls."""

from typing import Any

from agora_analytics.agora.beta import AsyncAgoraBeta
from agora_analytics.simulator import DEMO_APP_ID, DEMO_CREDENTIALS, Faults, World
from agora_analytics.simulator.beta import BetaSimulator
from agora_analytics.testing import VirtualClock
from tests.harness import Harness, Scripted, ScriptLine

MIDNIGHT = 1_795_046_400  # 2026-11-19 00:00 UTC
SINCE, UNTIL = MIDNIGHT - 86_400, MIDNIGHT
(CUSTOMER,) = DEMO_CREDENTIALS.items()


def make_world(calls: int = 60, **knobs: Any) -> World:
    settings = {"simple": True, "interval": 60} | knobs
    return World.generate(seed=3, since=SINCE, until=UNTIL, calls=calls, **settings)


def make_harness(
    *faults: str | None, world: World | None = None, now: float = UNTIL + 9 * 3600, **simulator: Any
) -> Harness:
    """Return a simulated app whose first responses have the given faults."""
    clock = VirtualClock(now)
    api = BetaSimulator(world or make_world(), now=clock.now, faults=Faults(script=faults), **simulator)
    return Harness(AsyncAgoraBeta, CUSTOMER, {"app_id": DEMO_APP_ID}, clock, api)


def scripted(*script: ScriptLine, now: float = UNTIL + 3600) -> Harness:
    """Return a harness without a simulator, whose responses are scripted."""
    transport = Scripted(*script, repeat=False)
    return Harness(AsyncAgoraBeta, ("id", "s"), {"app_id": "app"}, VirtualClock(now), transport=transport)
