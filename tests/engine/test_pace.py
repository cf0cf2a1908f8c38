"""The rule of the pace: the request N places later certainly reaches a later window."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.engine.pace import WindowPhase
from tests.conftest import a_pace

INF = math.inf
EXACT = WindowPhase(0.0, 0.0)  # the server's clock is the monotonic clock, and requests take no time
UNCERTAIN = WindowPhase(0.125, 0.375)


@pytest.mark.parametrize(
    ("phase", "arrived", "begins"),
    [
        (EXACT, 0.25, 1.0),
        (EXACT, 0.0, 1.0),  # a request that arrives when a window begins belongs to it
        (EXACT, 1.0, 2.0),
        (EXACT, -0.25, 0.0),
        (UNCERTAIN, 0.5, 0.875),  # arrives in window 0 at the latest; a fast clock begins window 1 at 0.625
        (UNCERTAIN, 0.625, 1.875),  # may arrive in window 1
        (WindowPhase(1000.25, 1000.25), 0.5, 0.75),
        (WindowPhase(-1000.25, -1000.25), 0.5, 1.25),
    ],
)
def test_next_window_begins_after_the_latest_arrival(phase, arrived, begins):
    assert phase.next_window(arrived, 1.0) == begins


def test_next_window_of_a_minute():
    assert WindowPhase(30.0, 31.0).next_window(10.0, 60.0) == 30.0
    assert WindowPhase(30.0, 31.0).next_window(29.5, 60.0) == 90.0


def test_sliding_window_ends_one_period_after_the_arrival():
    assert a_pace(requests=10).free_at(5.25) == 6.25
    assert a_pace(requests=10, period=60.0).free_at(5.25) == 65.25


def test_fixed_window_is_used_if_it_begins_earlier():
    pace = a_pace(requests=10, phase=UNCERTAIN)
    assert pace.free_at(0.5) == 0.875
    assert pace.free_at(0.625) == 1.625  # not 1.875: after a whole period every window is a later one


@pytest.mark.parametrize("phase", [None, EXACT])
@pytest.mark.parametrize("arrived", [INF, -INF])
def test_pending_and_missing_requests_have_infinite_times(phase, arrived):
    """inf: the request is not sent yet, so no other one can take its place; -inf: there is no request to wait for."""
    assert a_pace(phase=phase).free_at(arrived) == arrived


# Multiples of 1/1024 are exact, so that a request may arrive at the very begin of a window.
def exact(least: float, most: float) -> st.SearchStrategy[float]:
    return st.integers(round(least * 1024), round(most * 1024)).map(lambda n: n / 1024)


@st.composite
def arrivals(draw, *, fixed: bool) -> tuple[int, float, list[float]]:
    """Return the limit, the period and when each request is counted, on the server's clock.

    The client knows a part of each latency when it sends the request N places later: any order of responses is possible.
    """
    limit, period = draw(st.integers(1, 4)), draw(st.sampled_from([1.0, 2.0]))
    low, width, jitter = draw(exact(-3, 3)), draw(exact(0, 1.5)), draw(exact(0, 0.75))
    ahead = low + draw(exact(0, width))
    pace = a_pace(
        requests=limit, period=period, jitter=jitter, phase=WindowPhase(low, low + width) if fixed else None
    )
    arrived, counted = [-INF] * limit, []
    for _ in range(draw(st.integers(limit + 1, 6 * limit))):
        free = pace.free_at(arrived[-limit])
        sent = (0.0 if free == -INF else free) + draw(st.just(0.0) | exact(0, 3))
        late = draw(st.sampled_from([0.0, jitter]) | exact(0, jitter))
        known = draw(st.just(late) | exact(late, jitter))
        arrived.append(sent + known)
        counted.append(sent + late + ahead)
    return limit, period, counted


@given(arrivals(fixed=True))
def test_no_fixed_window_holds_more_than_the_limit(run):
    limit, period, counted = run
    assert max(Counter(at // period for at in counted).values()) <= limit


@given(arrivals(fixed=False))
def test_no_sliding_window_holds_more_than_the_limit(run):
    limit, period, counted = run
    counted.sort()
    assert all(later - earlier >= period for earlier, later in zip(counted, counted[limit:], strict=False))


@given(exact(-100, 100), exact(0, 2), exact(-100, 100), st.sampled_from([1.0, 60.0]))
def test_later_window_begins_after_the_arrival_and_at_most_a_period_later(low, width, arrived, period):
    begins = a_pace(period=period, phase=WindowPhase(low, low + width)).free_at(arrived)
    assert arrived < begins <= arrived + period
