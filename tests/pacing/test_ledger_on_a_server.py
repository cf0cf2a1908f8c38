"""The rate with a ledger on a server, on virtual time: its clock decides, and slots are leased over a slow network."""

import asyncio

import pytest
from attrs import evolve

from agora_analytics import AsyncAgora, LedgerUnavailable, RetryPolicy, Waited
from agora_analytics.engine.ledger import Budget, Grant
from agora_analytics.engine.network.ledger import NetworkLedger
from agora_analytics.engine.pace import Pace
from agora_analytics.testing import run_virtual
from tests.conftest import NOW
from tests.pacing.harness import model, pace
from tests.pacing.ledger_server import LedgerServerModel
from tests.pacing.scenarios import WAYS, Scenario

TEN = Scenario(name="10/s", requests=10, ways=WAYS["10 to 40 ms"])
HUNDRED = Scenario(name="100/s", requests=100, ways=WAYS["0 to 20 ms"])
BUDGET = Budget("account", "call/lists")
SLOW = pytest.mark.slow
NETWORKS = {
    "at hand": {},
    "20 ms": {"ways": (0.008, 0.014), "ahead": 1234.5},
    "100 ms": {"ways": (0.045, 0.060), "ahead": -2.0},
    "one way is slower": {"ways": (0.005, 0.010), "skewed_ways": 0.050, "ahead": 86_400.0},
    "clock drifts": {"ways": (0.008, 0.014), "drift": 40.0},
    "unsteady": {"ways": (0.001, 0.080)},
}


def served_by(**settings):
    """Return a factory of the ledger's server for `pace`, and the list that it adds the server to."""
    servers = []

    def create(clock):
        servers.append(LedgerServerModel(clock=clock, **settings))
        return servers[0]

    return create, servers


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize(
    "scenario", [pytest.param(TEN, id="10/s"), pytest.param(HUNDRED, id="100/s", marks=SLOW)]
)
@pytest.mark.parametrize("sliding", [False, True], ids=["fixed", "sliding"])
@pytest.mark.parametrize("network", NETWORKS)
def test_limit_is_never_exceeded(network, sliding, scenario, clients):
    create, _ = served_by(**NETWORKS[network])
    server = pace(evolve(scenario, sliding=sliding), seconds=10, clients=clients, ledger_server=create)
    assert (server.most_in_any() if sliding else server.most_in_fixed()) <= scenario.requests
    assert server.refused == 0


@pytest.mark.parametrize(
    ("scenario", "network", "least"),
    [
        pytest.param(TEN, "at hand", 0.97, id="10/s"),
        pytest.param(TEN, "100 ms", 0.93, id="10/s over 100 ms"),
        pytest.param(HUNDRED, "20 ms", 0.97, id="100/s over 20 ms", marks=SLOW),
    ],
)
@pytest.mark.parametrize("clients", [1, 3])
def test_fixed_windows_are_used(clients, scenario, network, least):
    create, _ = served_by(**NETWORKS[network])
    server = pace(scenario, seconds=15, clients=clients, ledger_server=create)
    assert server.utilisation(since=3.0) >= least


def test_several_slots_are_reserved_in_one_round_trip():
    create, servers = served_by(**NETWORKS["20 ms"])
    server = pace(HUNDRED, seconds=5, ledger_server=create)
    assert len(server.arrivals) == 500
    assert servers[0].trips["reserve"] < 250


def test_nothing_is_sent_while_the_ledger_is_down():
    create, _ = served_by(ways=(0.001, 0.002), down=((4.0, 9.0),))
    server = pace(TEN, seconds=12, ledger_server=create)
    assert [each for each in server.arrivals if 4.7 < each.true < 9.0] == []
    assert len(server.arrivals) == 120
    assert server.refused == 0
    assert server.most_in_fixed() <= 10


@pytest.mark.parametrize("seed", range(3))
def test_outages_of_the_ledger_exceed_no_limit(seed):
    """Requests leave and arrive while the ledger cannot record it."""
    create, _ = served_by(
        ways=(0.001, 0.020), down=tuple((0.5 * n + 0.3, 0.5 * n + 0.5) for n in range(30)), seed=seed
    )
    server = pace(
        evolve(TEN, ways=WAYS["0 to 100 ms"]), seconds=8, clients=2, seed=seed, ledger_server=create
    )
    assert server.most_in_fixed() <= 10
    assert server.refused == 0


def test_outage_of_an_hour_is_waited_for_without_a_deadline():
    create, servers = served_by(ways=(0.001, 0.002), down=((0.0, 3_600.0),))
    server = model(TEN)

    async def run():
        ledger = NetworkLedger(create(server.clock), clock=server.clock)
        async with AsyncAgora(
            "x",
            "y",
            app_id="a",
            base_url="http://127.0.0.1:1",
            transport=server,
            clock=server.clock,
            ledger=ledger,
            retry=RetryPolicy(deadline=None),
        ) as client:
            await client.calls("1h", "now").collect()

    run_virtual(run(), server.clock)
    assert len(server.arrivals) == 1
    assert server.arrivals[0].true > 3_600
    assert servers[0].trips["reserve"] > 1_100


async def in_turn(ledger, count, *, waiting, per_day=1_000):
    clock = ledger._clock
    grants = []
    for _ in range(count):
        granted = await ledger.reserve(
            BUDGET,
            now=clock.monotonic(),
            server_now=NOW,
            pace=Pace(requests=100, period=1.0, gap=0.1),
            per_day=per_day,
            waiting=waiting,
        )
        grants.append(granted)
        if isinstance(granted, Grant):
            await asyncio.sleep(max(granted.slot - clock.monotonic(), 0))
    return grants


def on_virtual_time(work, **settings):
    """Run `work(ledger, server)` with a ledger on a server, and close it."""
    server = model(TEN)
    on_server = LedgerServerModel(clock=server.clock, **settings)

    async def run():
        ledger = NetworkLedger(on_server, clock=server.clock)
        try:
            return await work(ledger, on_server)
        finally:
            await ledger.aclose()

    return run_virtual(run(), server.clock), on_server


def test_unused_slots_of_a_lease_are_released():
    """Five callers wait when the slots are leased, and only one remains."""

    async def work(ledger, _):
        await in_turn(ledger, 1, waiting=5)
        await asyncio.sleep(3)
        return await ledger.spent(BUDGET, "2026-11-19")

    spent, _ = on_virtual_time(work, ways=(0.1, 0.1))
    assert spent == (1, False)


def test_closing_the_ledger_releases_the_slots_at_once():
    async def work(ledger, _):
        await in_turn(ledger, 1, waiting=5)

    _, server = on_virtual_time(work, ways=(0.1, 0.1))
    assert server._days[BUDGET, "2026-11-19"] == 1


def test_last_requests_of_a_day_are_granted_in_a_lease():
    async def work(ledger, _):
        return await in_turn(ledger, 8, waiting=20, per_day=5)

    grants, _ = on_virtual_time(work, ways=(0.1, 0.1))
    assert [grant is not None for grant in grants] == [True] * 5 + [False] * 3


def test_callers_with_another_quota_do_not_use_each_others_slots():
    """A harvest that leaves a reserve must not take slots that were leased without it."""

    async def work(ledger, server):
        await in_turn(ledger, 1, waiting=5, per_day=100)
        return await in_turn(ledger, 1, waiting=1, per_day=1)

    grants, _ = on_virtual_time(work, ways=(0.1, 0.1))
    assert grants == [None]


@pytest.mark.parametrize("patience", [2.0, 60.0])
def test_ledger_that_is_down_is_waited_for_within_the_deadline(patience):
    server = model(TEN)
    on_server = LedgerServerModel(clock=server.clock, down=((0.0, 10.0),))
    events = []

    async def run():
        async with AsyncAgora(
            "x",
            "y",
            app_id="a",
            base_url="http://127.0.0.1:1",
            transport=server,
            clock=server.clock,
            ledger=NetworkLedger(on_server, clock=server.clock),
            retry=RetryPolicy(deadline=patience),
            observer=events.append,
        ) as client:
            return await client.calls("1h", "now").collect()

    if patience > 10:
        run_virtual(run(), server.clock)
        assert len(server.arrivals) == 1
        assert server.arrivals[0].true > 10
    else:
        with pytest.raises(LedgerUnavailable, match="down"):
            run_virtual(run(), server.clock)
        assert server.arrivals == []
    waits = [event for event in events if isinstance(event, Waited)]
    assert waits
    assert all("the ledger is down" in event.rule for event in waits)
