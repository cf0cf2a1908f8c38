"""Simulated ApsaraVideo Live: the defaults of the test harness, and the world that it serves."""

from typing import Any

from agora_analytics.apsaravideo import AsyncApsaraVideo
from agora_analytics.simulator import Faults
from agora_analytics.simulator.apsaravideo import DEMO_KEYS, ApsaraVideoSimulator, ApsaraVideoWorld
from agora_analytics.testing import VirtualClock
from tests.harness import Harness, Scripted, ScriptLine

NOW = 1_795_089_600.0  # 2026-11-19 12:00 UTC
DAY = 86_400
ENDPOINT = "apsaravideo/interaction_metrics"
WORLD = ApsaraVideoWorld.generate(seed=7)
(APP_ID, OTHER_APP_ID) = WORLD.app_ids
(KEY,) = DEMO_KEYS.items()


def make_harness(*faults: str | None, now: float = NOW, **simulator: Any) -> Harness:
    """Return a simulated account whose first responses have the given faults."""
    clock = VirtualClock(now)
    settings = {"now": clock.now, "faults": Faults(script=faults)} | simulator
    api = ApsaraVideoSimulator(WORLD, **settings)
    return Harness(AsyncApsaraVideo, KEY, {"app_id": APP_ID}, clock, api)


def scripted(*script: ScriptLine) -> Harness:
    """Return a harness without a simulator, whose responses are scripted."""
    settings = {"app_id": APP_ID}
    return Harness(AsyncApsaraVideo, KEY, settings, VirtualClock(NOW), transport=Scripted(*script))
