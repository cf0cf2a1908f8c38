import time

import pytest

from agora_analytics.blocking import Agora
from agora_analytics.simulator import DEMO_APP_ID, DEMO_CREDENTIALS, Simulator, World, serve_in_thread

MIDNIGHT = 1_795_046_400  # 2026-11-19 00:00 UTC
(CUSTOMER,) = DEMO_CREDENTIALS.items()
SETTINGS = {"app_id": DEMO_APP_ID, "plan": "enterprise"}


SHIFT = MIDNIGHT + 3600.0 - time.time()


class Shifted:
    """The machine's clock, set to another day, for clients and simulators in several threads and processes."""

    def now(self) -> float:
        return time.time() + SHIFT


@pytest.fixture(scope="session")
def world() -> World:
    return World.generate(
        seed=5, since=MIDNIGHT - 6 * 3600, until=MIDNIGHT, calls=30, simple=True, interval=60
    )


@pytest.fixture
def simulator(world):
    return Simulator(world, now=Shifted().now)


@pytest.fixture
def base_url(simulator):
    with serve_in_thread(simulator) as url:
        yield url


@pytest.fixture
def client(base_url):
    with Agora(*CUSTOMER, **SETTINGS, base_url=base_url, clock=Shifted()) as client:
        yield client
