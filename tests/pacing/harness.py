"""Runs clients against a server model on virtual time, and returns the model with its counts.

    server = pace(Scenario(name="near", requests=10, ways=(0.0, 0.02)), seconds=20)
    assert server.most_in_fixed() <= 10
    assert server.utilisation(since=3) >= 0.99

One client counts in memory; several share a `SqliteLedger`, each with a connection to it, as processes would.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import asdict

from agora_analytics import AsyncAgora, Limits, Plan
from agora_analytics.agora.judge import open_fields, read_response
from agora_analytics.agora.operations import LISTS
from agora_analytics.core.verdicts import Payload
from agora_analytics.engine.api_request import ApiRequest
from agora_analytics.engine.ledger import Ledger, MemoryLedger
from agora_analytics.engine.network.ledger import NetworkLedger
from agora_analytics.engine.network.server import LedgerServer
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.messages import Request
from agora_analytics.testing import VirtualClock, run_virtual
from tests.pacing.counts import ServerClock
from tests.pacing.scenarios import Scenario
from tests.pacing.server import ServerModel

START = 1_795_089_600.0  # 2026-11-19 12:00 UTC
WORKERS = 64
READ = partial(read_response, open_body=open_fields)

Acquire = Callable[[], Awaitable[Any]]


def limits(requests: int, *, sliding: bool = False) -> Limits:
    """Return limits of which only the rate counts; their windows are those of the server."""
    windows = "sliding" if sliding else "fixed"
    return Limits(requests=requests, windows=windows, per_day=10**9, reach=86_400, span=3600, delay=0)


def model(scenario: Scenario, *, seed: int = 0, refuses: bool = True) -> ServerModel:
    """Return the server of a scenario. The seed also decides when in a second the run starts."""
    start = START + 0.37 * seed
    settings = asdict(scenario)
    del settings["name"]
    clock = {name: settings.pop(name) for name in ("ahead", "drift", "steps")}
    return ServerModel(
        clock=VirtualClock(start),
        time=ServerClock(start=start, **clock),
        refuses=refuses,
        seed=seed,
        **settings,
    )


def pace(
    scenario: Scenario,
    *,
    seconds: float = 20.0,
    clients: int = 1,
    assumed: bool | None = None,
    seed: int = 0,
    refuses: bool = True,
    ledger_server: Callable[[VirtualClock], LedgerServer] | None = None,
) -> ServerModel:
    """Send as many requests as the limit allows in some seconds, and return the server that counted them.

    Args:
        scenario: the conditions.
        seconds: how long the traffic would take at the full rate.
        clients: 1: a client that counts in memory; more: clients that share a ledger in a file.
        assumed: whether the clients assume that windows slide; None: they know what the server does.
        seed: of the latencies.
        refuses: whether the server refuses requests above its limit.
        ledger_server: returns the server of a ledger that the clients share, each as on a machine of its own.
    """
    server = model(scenario, seed=seed, refuses=refuses)
    sliding = scenario.sliding if assumed is None else assumed
    plan = Plan(name="p", limits={LISTS.name: limits(scenario.requests, sliding=sliding)})

    on_server = ledger_server(server.clock) if ledger_server else None

    def open_ledger(stack: AsyncExitStack, folder: str) -> Ledger:
        if on_server is None:
            return MemoryLedger() if clients == 1 else SqliteLedger(Path(folder, "ledger"))
        ledger = NetworkLedger(on_server, clock=server.clock)
        stack.push_async_callback(ledger.aclose)
        return ledger

    async def run(folder: str) -> None:
        async with AsyncExitStack() as stack:
            open_clients = [
                await stack.enter_async_context(
                    AsyncAgora(
                        "x",
                        "y",
                        app_id="a",
                        plan=plan,
                        base_url="http://127.0.0.1:1",
                        transport=server,
                        clock=server.clock,
                        ledger=open_ledger(stack, folder),
                    )
                )
                for _ in range(clients)
            ]
            await send_all(open_clients, int(seconds * scenario.requests))

    with TemporaryDirectory() as folder:
        run_virtual(run(folder), server.clock)
    return server


async def send_all(clients: Sequence[AsyncAgora], count: int, *, workers: int = WORKERS) -> int:
    """Send `count` requests through the clients, as fast as they allow. Return how many failed for good."""
    left, failed = iter(range(count)), 0

    async def worker(client: AsyncAgora) -> None:
        nonlocal failed
        for number in left:
            payload = Payload(query=(("n", str(number)),))  # identical requests would be sent once
            try:
                await client._engine.run(
                    ApiRequest(endpoint=LISTS, build=lambda _, payload=payload: payload, read=READ)
                )
            except AgoraAnalyticsError:
                failed += 1

    await asyncio.gather(*(worker(clients[i % len(clients)]) for i in range(workers)))
    return failed


def pace_with(
    limiter: Callable[[ServerModel], Acquire], scenario: Scenario, *, seconds: float = 20.0, seed: int = 0
) -> ServerModel:
    """Do the same without a client, behind a limiter of another library. The server only counts.

    Args:
        limiter: returns a coroutine function that waits for a slot.
        scenario: the conditions.
        seconds: how long the traffic would take at the full rate.
        seed: of the latencies.
    """
    server = model(scenario, seed=seed, refuses=False)
    request = Request(method="GET", base_url="http://127.0.0.1:1", path="/")

    async def run() -> None:
        acquire, left = limiter(server), iter(range(int(seconds * scenario.requests)))

        async def worker() -> None:
            for _ in left:
                await acquire()
                await server.send(request)

        await asyncio.gather(*(worker() for _ in range(WORKERS)))

    run_virtual(run(), server.clock)
    return server
