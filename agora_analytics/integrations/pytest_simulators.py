"""The simulators of the pytest fixtures. Needs the extra `simulator`; `pytest_plugin` imports it at the first use."""

import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, NoReturn, TypeAlias, TypeVar

import pytest

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.engine import open_ledger
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.instants import epoch_seconds
from agora_analytics.simulator import (
    DEMO_APP_ID,
    DEMO_CREDENTIALS,
    DEMO_KEYS,
    ApsaraVideoSimulator,
    BetaSimulator,
    Seen,
    SignalingSimulator,
    Simulator,
    World,
    serve_in_thread,
)
from agora_analytics.simulator.simulated_api import SimulatedApi
from agora_analytics.testing import VirtualClock, run_virtual

T = TypeVar("T")

Serve: TypeAlias = Callable[[SimulatedApi], str]
"""Serves a simulator until the end of the test, and returns its URL: the fixture `agora_serve`."""

START = 1_795_089_600
"""The time at which a test on virtual time begins, UTC epoch seconds: 2026-11-19 12:00."""

_SETTINGS = {
    "clock_skew", "compress", "dirt", "faults", "hidden_after", "last_known", "latency", "plan", "shared_budget",
}  # fmt: skip
"""The options of the marker `agora_world` that are those of the simulator, and not of the world."""


class SimulatedAgora:
    """A simulated Agora project over HTTP: the fixture `agora_simulator`.

    Attributes:
        world: the calls, sessions and samples of the project.
        simulator: the server.
        url: its address, `http://127.0.0.1:PORT`.
    """

    def __init__(self, world: World, simulator: Simulator, url: str) -> None:
        self.world = world
        self.simulator = simulator
        self.url = url

    @property
    def seen(self) -> Seen:
        """What the server received, accepted and refused."""
        return self.simulator.seen


class VirtualAgora:
    """A simulated Agora project on virtual time: the fixture `agora_virtual`.

    Attributes:
        world: the calls, sessions and samples of the project.
        simulator: the server, in this process.
        clock: the time. It begins at `START` and continues from one `run` to the next.
    """

    def __init__(self, world: World, simulator: Simulator, clock: VirtualClock) -> None:
        self.world = world
        self.simulator = simulator
        self.clock = clock

    @property
    def seen(self) -> Seen:
        """What the server received, accepted and refused."""
        return self.simulator.seen

    def run(self, work: Callable[[AsyncAgora], Awaitable[T]], **settings: Any) -> T:
        """Open a client, run `work(client)` on virtual time and return its result.

        Args:
            work: a coroutine function.
            **settings: further keyword arguments of the client, such as `retry` or `observer`.
        """
        (customer,) = DEMO_CREDENTIALS.items()
        options: dict[str, Any] = {
            "app_id": self.world.app_id,
            "plan": self.simulator.plan,
            "clock": self.clock,
        }

        async def with_client() -> T:
            transport = AsgiTransport(self.simulator.app)
            async with AsyncAgora(*customer, transport=transport, **(options | settings)) as client:
                return await work(client)

        return run_virtual(with_client(), self.clock)


def simulated_agora(test: pytest.Item, serve: Serve) -> SimulatedAgora:
    """Return the project of a test's marker `agora_world`, served in real time."""
    world, simulator = _project(test, time.time)
    return SimulatedAgora(world, simulator, serve(simulator))


def virtual_agora(test: pytest.Item) -> VirtualAgora:
    """Return the project of a test's marker `agora_world`, on virtual time."""
    clock = VirtualClock(START)
    world, simulator = _project(test, clock.now)
    return VirtualAgora(world, simulator, clock)


def _project(test: pytest.Item, now: Callable[[], float]) -> tuple[World, Simulator]:
    marker = test.get_closest_marker("agora_world")
    given = {} if marker is None else dict(marker.kwargs)
    settings = {name: given.pop(name) for name in _SETTINGS & given.keys()}
    options: dict[str, Any] = {"seed": 1, "calls": 5, "since": "3h", "until": "1h", "simple": True} | given
    if marker and marker.args:
        _refuse(test, "pass keyword arguments only")
    try:
        for name in ("since", "until"):
            options[name] = epoch_seconds(options[name], now=now(), name=name)
        world = World.generate(**options)
        return world, Simulator(world, now=now, **settings)
    except (TypeError, ValueError, KeyError, AgoraAnalyticsError) as error:
        _refuse(test, error)


def _refuse(test: pytest.Item, reason: object) -> NoReturn:
    pytest.fail(f"the marker agora_world of {test.nodeid} is wrong: {reason}", pytrace=False)


def serve(servers: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Return a function that serves simulators until `servers` is closed, and sets the environment."""

    def serve_one(simulator: SimulatedApi) -> str:
        url = servers.enter_context(serve_in_thread(simulator))
        for name, value in environment_of(simulator, url).items():
            monkeypatch.setenv(name, value)
        return url

    return serve_one


def count_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients count requests in a new ledger in memory, and ignore the settings of the machine."""
    monkeypatch.setenv(open_ledger.LEDGER, open_ledger.MEMORY)
    monkeypatch.setattr(open_ledger, "_process_ledger", MemoryLedger())
    for name in (
        "AGORA_REGION",
        "VONAGE_APPLICATION_ID",
        "VONAGE_PRIVATE_KEY",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)


def environment_of(simulator: SimulatedApi, url: str) -> dict[str, str]:
    """Return the environment variables of a client of a simulator with the demo credentials."""
    match simulator:
        case Simulator() | BetaSimulator() | SignalingSimulator():
            ((customer, secret),) = DEMO_CREDENTIALS.items()
            account = {"AGORA_BASE_URL": url, "AGORA_CUSTOMER_ID": customer, "AGORA_CUSTOMER_SECRET": secret}
            if isinstance(simulator, Simulator):
                plan = {"AGORA_PLAN": simulator.plan.name}
                return account | {"AGORA_APP_ID": next(iter(simulator.worlds))} | plan
            return account | {"AGORA_APP_ID": DEMO_APP_ID}
        case ApsaraVideoSimulator():
            ((key, secret),) = DEMO_KEYS.items()
            return {
                "APSARAVIDEO_BASE_URL": url,
                "APSARAVIDEO_APP_ID": simulator.world.app_ids[0],
                "ALIBABA_CLOUD_ACCESS_KEY_ID": key,
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
            }
        case _:
            from agora_analytics.simulator import DEMO_PROJECT

            ((key, secret),) = DEMO_PROJECT.items()
            return {"OPENTOK_BASE_URL": url, "OPENTOK_API_KEY": key, "OPENTOK_API_SECRET": secret}
