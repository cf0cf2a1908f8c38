"""The interval for the difference between the server's clock and ours, from `Date` headers."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.engine.phase_lock import PhaseLock

HOST = "https://api.agora.io"
START = 1_795_089_600.0
GUARD, DRIFT = 0.002, 50e-6


class Server:
    """A server that writes `Date` headers by its own clock, and a client that reads them.

    Attributes:
        time: the monotonic time of the client.
        ahead: seconds by which the server's clock is ahead of that at time 0.
        drift: parts per million by which it is fast.
        fastest: the least seconds of the way there so far.
    """

    def __init__(self, ahead=START, drift=0.0):
        self.time, self.ahead, self.drift = 100.0, ahead, drift
        self.fastest = math.inf
        self.lock = PhaseLock(lambda: self.time)

    def respond(self, there, back, processing=0.0, *, pause=0.0, host=HOST):
        """Receive a response to a request that is sent after a pause."""
        sent = self.time + pause
        written = sent + there + processing
        self.time = written + back
        date = math.floor(written + self._offset(written))
        self.fastest = min(self.fastest, there)
        self.lock.learn(host, date, sent=sent, received=self.time)

    def respond_often(self, count, ways, *, processing=(0.0, 0.0), seed=0):
        dice = Random(seed)
        for _ in range(count):
            self.respond(
                dice.uniform(*ways),
                dice.uniform(*ways),
                dice.uniform(*processing),
                pause=dice.uniform(0, 0.3),
            )

    @property
    def width(self):
        low, high = self.lock.phase
        return high - low

    @property
    def knows_the_truth(self):
        """Whether the fastest request arrives within the bounds, and one that takes no time does too."""
        low, high = self.lock.phase
        offset = self._offset(self.time)
        return low <= offset and offset + self.fastest <= high

    def _offset(self, at):
        return self.ahead + at * self.drift * 1e-6


@pytest.mark.parametrize("ways", [(0.0, 0.02), (0.01, 0.04), (0.0, 0.1), (0.25, 0.25)])
@pytest.mark.parametrize("processing", [(0.0, 0.0), (0.0, 0.3)])
@pytest.mark.parametrize("ahead", [0.0, 0.3, 2.0, -3600.0])
def test_interval_contains_the_truth(ahead, processing, ways):
    server = Server(START + ahead)
    for seed in range(50):
        server.respond_often(4, ways, processing=processing, seed=seed)
        assert server.lock.phase is None or server.knows_the_truth
    assert server.lock.phase is not None


@pytest.mark.parametrize(("there", "back"), [(0.0, 0.0), (0.01, 0.04), (0.05, 0.05), (0.25, 0.25)])
def test_interval_narrows_to_the_round_trip(there, back):
    server = Server()
    for _ in range(3):  # slow responses do not widen it
        server.respond_often(200, (0.3, 0.5))
        for _ in range(200):
            server.respond(there, back, pause=0.2071)
    assert there + back <= server.width <= there + back + 2 * GUARD + 0.02
    assert server.knows_the_truth


def test_processing_before_the_response_is_written_does_not_narrow_it_further():
    server = Server()
    server.respond_often(400, (0.01, 0.02), processing=(0.3, 0.3))
    assert 0.3 <= server.width <= 0.4
    assert server.knows_the_truth


def test_one_response_leaves_a_second_of_uncertainty():
    server = Server()
    server.respond(0.01, 0.01)
    assert server.lock.phase is None


@pytest.mark.parametrize("by", [1.0, -1.0, 30.0, -7200.0])
def test_step_of_the_clock_starts_over_with_the_next_response(by):
    server = Server()
    server.respond_often(100, (0.01, 0.04))
    server.ahead += by
    server.respond(0.01, 0.01)
    assert server.lock.phase is None
    server.respond_often(100, (0.01, 0.04))
    assert server.knows_the_truth
    assert server.width < 0.1


@pytest.mark.parametrize("by", [0.4, -0.4, 0.15, -0.15])
@pytest.mark.parametrize("seed", range(5))
def test_small_step_of_the_clock_is_found_by_the_first_contradiction(by, seed):
    server = Server()
    server.respond_often(100, (0.01, 0.04), seed=seed)
    server.ahead += by
    server.respond_often(60, (0.01, 0.04), seed=seed + 100)
    assert server.knows_the_truth


def test_another_host_starts_over():
    server = Server()
    server.respond_often(100, (0.01, 0.04))
    server.respond(0.01, 0.01, host="https://api.sd-rtn.com")
    assert server.lock.phase is None


def test_interval_widens_with_time_and_is_given_up_at_one_second():
    server = Server()
    server.respond_often(200, (0.01, 0.02))
    narrow = server.width
    server.time += 1000
    assert server.width == pytest.approx(narrow + 2 * 1000 * DRIFT, abs=1e-6)
    server.time += 10_000
    assert server.lock.phase is None


def test_response_after_a_pause_narrows_it_again():
    server = Server()
    server.respond_often(200, (0.01, 0.02))
    server.time += 3000
    wide = server.width
    server.respond_often(200, (0.01, 0.02))
    assert server.width < wide / 4
    assert server.knows_the_truth


SECONDS = st.floats(0, 0.5) | st.sampled_from([0.0, 0.001, 0.25])
WAYS = st.tuples(SECONDS, SECONDS, SECONDS)
PAUSES = st.floats(0, 2) | st.sampled_from([0.0, 0.5, 1.0, 60.0, 3600.0])


@given(
    ahead=st.floats(-7200, 7200),
    drift=st.floats(-50, 50),
    responses=st.lists(st.tuples(WAYS, PAUSES), min_size=1, max_size=40),
    idle=st.floats(0, 5000),
)
def test_truth_is_always_inside_while_the_clocks_are_not_set(ahead, drift, responses, idle):
    server = Server(START + ahead, drift)
    for (there, back, processing), pause in responses:
        server.respond(there, back, processing, pause=pause)
        assert server.lock.phase is None or server.knows_the_truth
    server.time += idle
    assert server.lock.phase is None or server.knows_the_truth
