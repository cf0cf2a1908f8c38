"""The rate on virtual time: no window of the server has a request too many, and the limit is used."""

import pytest
from attrs import evolve

from agora_analytics import AsyncAgora, Plan
from agora_analytics.agora.operations import LISTS
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.testing import run_virtual
from tests.pacing.harness import limits, model, pace, send_all
from tests.pacing.scenarios import CLOCKS, COLD, DISTURBED, JITTER, STEPS, Scenario

SECONDS = 10.0
STALLS = [each for each in DISTURBED if each.stalls]


def cases(scenarios):
    """Return the scenarios as parameters; those with 100 requests a second are slow tests."""
    return [
        pytest.param(each, id=each.name, marks=[pytest.mark.slow] if each.requests > 10 else [])
        for each in scenarios
    ]


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("scenario", cases(JITTER))
def test_no_window_has_more_than_the_limit(scenario, clients):
    server = pace(scenario, seconds=SECONDS, clients=clients)
    assert server.most_in_fixed() <= scenario.requests
    assert server.refused == 0


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("scenario", cases(JITTER))
def test_no_second_has_more_than_the_limit_if_windows_slide(scenario, clients):
    server = pace(evolve(scenario, sliding=True), seconds=SECONDS, clients=clients)
    assert server.most_in_any() <= scenario.requests
    assert server.refused == 0


@pytest.mark.parametrize(("clients", "least"), [(1, 0.99), (2, 0.97)])
@pytest.mark.parametrize("scenario", cases(JITTER))
def test_fixed_windows_are_full_after_three_seconds(scenario, clients, least):
    assert pace(scenario, seconds=20.0, clients=clients).utilisation(since=3.0) >= least


@pytest.mark.parametrize("scenario", cases(COLD))
def test_cold_start_is_legal_and_full_from_the_second_second_on(scenario):
    server = pace(scenario, seconds=10.0)
    assert server.most_in_fixed() <= scenario.requests
    opened = scenario.set_up + 2 * scenario.ways[1]  # the first response
    assert server.utilisation(since=opened + 1.0) >= 0.97


@pytest.mark.parametrize("clients", [1, 2])
@pytest.mark.parametrize("scenario", cases(CLOCKS))
def test_clock_of_the_server_may_differ(scenario, clients):
    server = pace(scenario, seconds=SECONDS, clients=clients)
    assert server.most_in_fixed() <= scenario.requests
    assert server.refused == 0


@pytest.mark.parametrize("clients", [1, 2])
@pytest.mark.parametrize("scenario", cases(STEPS))
def test_step_of_the_servers_clock_exceeds_no_window_after_a_second(scenario, clients):
    server = pace(scenario, seconds=15.0, clients=clients)
    assert server.most_in_fixed(excused=1.0) <= scenario.requests


@pytest.mark.parametrize("scenario", cases([each for each in DISTURBED if not each.stalls]))
def test_drift_and_slow_answers_exceed_no_window(scenario):
    server = pace(scenario, seconds=SECONDS)
    assert server.most_in_fixed() <= scenario.requests
    assert server.refused == 0


@pytest.mark.parametrize("scenario", cases(STALLS))
def test_client_recovers_from_a_stall_of_the_server(scenario):
    """What has arrived in a stall is counted at its end, so some refusals are unavoidable."""
    server = pace(scenario, seconds=20.0)
    late = [each for each in server.arrivals if each.true >= 16.0]
    assert not any(each.refused for each in late)


@pytest.mark.parametrize("clients", [1, 2])
def test_server_that_counts_in_sliding_windows_refuses_the_client_once(clients):
    """The plan table says that windows are fixed; the server does not keep to it."""
    scenario = evolve(JITTER[0], sliding=True)
    server = pace(scenario, seconds=120.0, clients=clients, assumed=False)
    refused = [each.true for each in server.arrivals if each.refused]
    assert 1 <= len(refused) <= 3 * clients
    assert refused[-1] - refused[0] < 10
    assert server.utilisation(since=20.0) >= 0.90


@pytest.mark.parametrize("set_up", [0.6, 1.2, 1.5, 3.0])
@pytest.mark.parametrize("sliding", [False, True])
def test_slow_connections_of_clients_that_share_a_ledger_exceed_no_window(sliding, set_up):
    """A request leaves long after its slot, and the ledger gave the next slots to others meanwhile."""
    scenario = Scenario(name="slow", set_up=set_up, connections=64, sliding=sliding)
    for seed in range(2):
        server = pace(scenario, clients=2, seed=seed, seconds=12)
        assert (server.most_in_any() if sliding else server.most_in_fixed()) <= scenario.requests
        assert server.refused == 0


@pytest.mark.parametrize("sliding", [False, True])
def test_few_requests_follow_those_that_are_stuck(sliding):
    """All requests of a stall arrive together. The client stops as soon as the first of them takes too long."""
    for seed in range(2):
        scenario = Scenario(name="stall", stalls=((8.7, 10.3),), sliding=sliding)
        server = pace(scenario, seed=seed, seconds=14)
        assert (server.most_in_any() if sliding else server.most_in_fixed()) <= scenario.requests + 3


def test_requests_are_charged_to_the_day_of_the_servers_clock():
    server = model(Scenario(name="it is the next day there", ahead=13 * 3600.0))
    ledger = MemoryLedger()

    async def work():
        options = {"app_id": "a", "base_url": "http://127.0.0.1:1", "plan": plan}
        async with AsyncAgora(
            "x", "y", **options, transport=server, clock=server.clock, ledger=ledger
        ) as client:
            await send_all([client], 60)

    plan = Plan(name="p", limits={LISTS.name: limits(10)})
    run_virtual(work(), server.clock)
    spent = {day: count for (_, day), count in ledger._spent.items()}
    assert sum(spent.values()) == 60
    assert spent["2026-11-20"] >= 40
