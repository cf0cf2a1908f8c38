"""The simulated Agora Analytics API: the defaults of the test harness, and five hours of calls."""

from typing import TYPE_CHECKING, Any

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.plans import Plan
from agora_analytics.testing import VirtualClock
from tests.conftest import CUSTOMER, NOW, SECRET
from tests.harness import Harness, Scripted, ScriptLine

if TYPE_CHECKING:  # the simulator needs an extra, the scripted tests do not
    from agora_analytics.simulator import CallTruth, World

HOUR = 3600
SINCE, UNTIL = int(NOW) - 6 * HOUR, int(NOW) - HOUR


def small_world(**knobs: Any) -> "World":
    """Return five hours of calls that have ended; one request has all metrics of a call."""
    from agora_analytics.simulator import World

    return World.generate(**({"since": SINCE, "until": UNTIL - HOUR, "calls": 40, "simple": True} | knobs))


def make_harness(
    world: "World | None" = None,
    plan: Plan | str = "enterprise",
    *,
    server_plan: Plan | str | None = None,
    client: dict[str, Any] | None = None,
    **simulator: Any,
) -> Harness:
    """Return a simulated project whose client and server have a plan; `client` has more settings of the client."""
    from agora_analytics.simulator import Simulator

    world, clock = world or small_world(), VirtualClock(NOW)
    settings = {"app_id": world.app_id, "plan": plan, "base_url": "http://127.0.0.1:9"} | (client or {})
    api = Simulator(world, plan=server_plan or plan, now=clock.now, **simulator)
    return Harness(AsyncAgora, (CUSTOMER, SECRET), settings, clock, api, world=world)


def scripted(*script: ScriptLine, seconds: float = 0.0) -> Harness:
    """Return a harness without a simulator, whose responses are scripted; each takes so many seconds."""
    settings = {"app_id": "app", "plan": "enterprise", "base_url": "http://127.0.0.1:9"}
    transport = Scripted(*script, seconds=seconds)
    return Harness(AsyncAgora, (CUSTOMER, SECRET), settings, VirtualClock(NOW), transport=transport)


def call_with_most_sessions(world: "World") -> "CallTruth":
    return max(world.calls, key=lambda call: len(call.sessions))
