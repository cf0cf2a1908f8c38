"""Clients at the edge of the limit: never a request too many, as a server counts with its own clock and delays."""

import pytest
from attrs import evolve, fields_dict

from agora_analytics import Limits
from tests.pacing.harness import pace
from tests.pacing.scenarios import CLOCKS, DISTURBED, JITTER, STEPS

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


@pytest.mark.skipif(
    "windows" not in fields_dict(Limits), reason="the plan table does not name the windows yet"
)
@pytest.mark.parametrize("clients", [1, 2])
@pytest.mark.parametrize("scenario", cases(JITTER))
def test_fixed_windows_are_full_after_three_seconds(scenario, clients):
    assert pace(scenario, seconds=20.0, clients=clients).utilisation(since=3.0) >= 0.99


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
