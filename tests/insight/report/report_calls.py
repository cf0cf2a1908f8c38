"""Stores for tests of reports: a harvested simulated world, and calls with chosen freezes, losses and delays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agora_analytics import AsgiTransport, AsyncAgora, harvest
from agora_analytics.simulator import DEMO_CREDENTIALS, Impairment, Simulator, World
from agora_analytics.store import ParquetStore, open_store
from agora_analytics.testing import VirtualClock, run_virtual
from tests.insight.stored_calls import FREEZE, ROUND_TRIP, StoredCall, User

NOON = 1_795_089_600  # 2026-11-19T12:00:00Z
DAY = 86_400
SINCE, UNTIL = NOON - 2 * DAY, NOON
VIDEO_LOSS = 20018
NETWORKS = ("WiFi", "4G", "LAN")
VERSIONS = ("4.4.0", "4.5.0", "4.6.0")


def harvested(folder: Path, *, seed: int = 3, network: str | None = None) -> ParquetStore:
    """Return a store with the harvest of 40 simulated calls. `network`: its users lose much of what is sent to them."""
    clock = VirtualClock(start=NOON)
    impairments = (
        [Impairment(cause="downlink_loss", severity=0.9, since=SINCE, until=UNTIL, network=network)]
        if network
        else []
    )
    world = World.generate(
        seed=seed,
        since=SINCE,
        until=UNTIL - 3600,
        calls=40,
        simple=True,
        interval=20,
        session_range=(2, 7),
        minutes=3.0,
        impairments=impairments,
    )
    simulator = Simulator(world, now=clock.now)
    ((customer, secret),) = DEMO_CREDENTIALS.items()
    store = open_store(folder, create=True, durable=False)

    async def job() -> None:
        async with AsyncAgora(
            customer, secret, app_id=world.app_id, plan="enterprise", base_url="http://127.0.0.1:9",
            transport=AsgiTransport(simulator.app), clock=clock,
        ) as client:  # fmt: skip
            await harvest(client, since="2d", store=store)

    run_virtual(job(), clock)
    return store


def random_calls(
    *,
    calls: int,
    seed: int,
    since: int = SINCE,
    until: int = UNTIL,
    worse: str | None = None,
    channel: str = "room",
    chance: float = 0.1,
) -> Iterator[StoredCall]:
    """Yield calls of two to four users. The users of the SDK version `worse` freeze four times as often."""
    rng = np.random.default_rng(seed)
    for number in range(calls):
        users = []
        for place in range(int(rng.integers(2, 5))):
            version = VERSIONS[rng.integers(3)]
            frozen = rng.random(12) < chance * (4 if version == worse else 1)
            users.append(
                User(
                    uid=f"{channel}-{rng.integers(60)}-{place}",
                    sdk_version=version,
                    network=NETWORKS[rng.integers(3)],
                    values={
                        FREEZE: [float(value) for value in frozen * rng.uniform(300, 2000, 12)],
                        ROUND_TRIP: [float(value) for value in rng.normal(80, 10, 12)],
                        VIDEO_LOSS: [float(value) for value in np.round(rng.gamma(0.5, 3, 12))],
                    },
                )
            )
        start = since + int(rng.integers(until - since - 600))
        yield StoredCall(call_id=f"{channel}-{seed}-{number}", start=start, users=users, channel=channel)
