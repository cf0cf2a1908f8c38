"""A client and a simulator, on virtual time. Needs the extra [simulator]."""

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.simulator import Simulator, World
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import CUSTOMER, NOW, SECRET

HOUR = 3600
SINCE, UNTIL = int(NOW) - 6 * HOUR, int(NOW) - HOUR


def small_world(**more):
    """Return five hours of calls that have ended; one request has all metrics of a call."""
    return World.generate(**({"since": SINCE, "until": UNTIL - HOUR, "calls": 40, "simple": True} | more))


class Harness:
    """`client` sends its requests to `sim`; both use `clock`."""

    def __init__(self, world=None, plan="enterprise", *, server_plan=None, client=None, **simulator):
        self.world = world or small_world()
        self.clock = VirtualClock(NOW)
        self.events = []
        self.sim = Simulator(self.world, plan=server_plan or plan, now=self.clock.now, **simulator)
        settings = {
            "app_id": self.world.app_id,
            "plan": plan,
            "base_url": "http://127.0.0.1:9",
            "transport": AsgiTransport(self.sim.app),
            "clock": self.clock,
            "observer": self.events.append,
        }
        self.client = AsyncAgora(CUSTOMER, SECRET, **(settings | (client or {})))

    def run(self, work):
        """Run a coroutine with the client open."""

        async def opened():
            async with self.client:
                return await work

        return run_virtual(opened(), self.clock)

    @property
    def requests(self):
        """Number of requests that the server received, by endpoint."""
        return dict(self.sim.seen.requests)

    @property
    def refusals(self):
        return dict(self.sim.seen.refused)

    def call(self, choose=max):
        """Return a call of the ground truth: by default the one with the most sessions."""
        return choose(self.world.calls, key=lambda call: len(call.sessions))
