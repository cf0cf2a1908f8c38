"""The server model: its clock, its windows, and what it reports."""

import asyncio

import pytest
from attrs import evolve

from agora_analytics.messages import Request
from agora_analytics.testing import run_virtual
from tests.pacing.counts import Arrival, Counts, ServerClock
from tests.pacing.harness import model
from tests.pacing.scenarios import Scenario

GET = Request(method="GET", base_url="http://127.0.0.1:1", path="/")
PLAIN = Scenario(name="two a second", requests=2, ways=(0.1, 0.1))


def sent_at(server, *times):
    """Send requests at these true seconds, and return the responses."""

    async def send(at):
        await asyncio.sleep(at)
        return await server.send(GET)

    async def run():
        return await asyncio.gather(*map(send, times))

    return run_virtual(run(), server.clock)


def codes(responses):
    return ["refused" if b"limit" in response.body else "ok" for response in responses]


def seconds_of(responses):
    return [response.headers["date"][-6:-4] for response in responses]


def test_fixed_window_is_a_second_of_the_servers_clock():
    server = model(evolve(PLAIN, ahead=0.3))
    assert codes(sent_at(server, 0.4, 0.5, 0.55, 0.65)) == ["ok", "ok", "refused", "ok"]
    assert (server.most_in_fixed(), server.most_in_any(), server.refused) == (3, 4, 1)


def test_sliding_window_refuses_across_seconds():
    server = model(evolve(PLAIN, sliding=True))
    assert codes(sent_at(server, 0.5, 0.8, 1.2, 2.25)) == ["ok", "ok", "refused", "ok"]


def test_server_that_only_counts_refuses_nothing():
    server = model(PLAIN, refuses=False)
    assert codes(sent_at(server, 0.1, 0.2, 0.3)) == ["ok"] * 3
    assert server.most_in_fixed() == 3


def test_date_is_the_servers_clock_at_the_answer():
    server = model(evolve(PLAIN, ahead=7.0, processing=0.5, steps=((2.0, -1.0),)))
    assert seconds_of(sent_at(server, 0.3, 0.5, 2.3)) == ["07", "08", "08"]


def test_second_that_the_clock_shows_twice_keeps_its_requests():
    server = model(evolve(PLAIN, steps=((1.5, -1.0),)))
    assert codes(sent_at(server, 0.2, 0.6, 1.5)) == ["ok", "ok", "refused"]
    assert server.most_in_fixed() == 3
    assert server.most_in_fixed(excused=1.0) == 0


def test_stall_counts_all_requests_at_its_end():
    server = model(evolve(PLAIN, stalls=((1.0, 3.5),)))
    sent_at(server, 1.0, 2.0, 3.0)
    assert [arrival.true for arrival in server.arrivals] == pytest.approx([3.5] * 3, abs=1e-4)


def test_new_connection_delays_the_bytes_of_its_first_request():
    server = model(evolve(PLAIN, set_up=0.5, connections=1))
    sent_at(server, 0.0, 0.0)
    assert [arrival.true for arrival in server.arrivals] == pytest.approx([0.6, 0.8], abs=1e-4)


def test_drift_shortens_the_servers_second():
    clock = ServerClock(start=0.0, drift=1_000_000.0)
    assert clock.at(2.0) == 4.0


def test_utilisation_counts_whole_windows():
    time = ServerClock(start=100.0, ahead=0.25)
    counts = Counts(time=time, requests=4)
    counts.arrivals = [Arrival(at / 4, time.at(at / 4), refused=False) for at in range(40)]
    assert counts.utilisation(since=3.0) == 1.0  # from 3.75 to 8.75
    del counts.arrivals[20:24]  # the second from 5.0, which is in two windows of the server
    assert counts.utilisation(since=3.0) == 16 / 20
