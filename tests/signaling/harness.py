"""Simulated Signaling: the defaults of the test harness, and users that log in."""

from typing import Any

from agora_analytics.signaling import AsyncSignaling, Basic
from agora_analytics.simulator import DEMO_APP_ID, DEMO_CREDENTIALS, Faults
from agora_analytics.simulator.signaling import ServerEvent, SignalingSimulator
from agora_analytics.testing import VirtualClock
from tests.harness import Harness, Scripted, ScriptLine

START = 1_795_046_400  # 2026-11-19 00:00 UTC
BASIC = Basic(*next(iter(DEMO_CREDENTIALS.items())))


def make_harness(*faults: str | None, now: float = START + 3600, **simulator: Any) -> Harness:
    """Return a simulated App ID whose first responses have the given faults."""
    clock = VirtualClock(now)
    settings = {"now": clock.now, "faults": Faults(script=faults)} | simulator
    return Harness(AsyncSignaling, (BASIC,), {"app_id": DEMO_APP_ID}, clock, SignalingSimulator(**settings))


def scripted(*script: ScriptLine) -> Harness:
    """Return a harness without a simulator, whose responses are scripted."""
    transport = Scripted(*script, repeat=False)
    return Harness(AsyncSignaling, (BASIC,), {"app_id": "app"}, VirtualClock(START), transport=transport)


def log_in(harness: Harness, number: int, *, begin: int = 0, regions: tuple[str, ...] = ()) -> None:
    """Add the login events of so many users to the queue of the server."""
    events = [
        ServerEvent(kind="Login", user_id=f"user {i}", ms=START * 1000 + i)
        for i in range(begin, begin + number)
    ]
    harness.simulator.message_store.add_events(*events, regions=regions)
