"""Time ranges: what may be asked, and how a long range is cut."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.core.windows import SLACK, Window, clip, gaps, reachable, split, time_range
from agora_analytics.errors import InvalidRequest, WindowOutOfReach
from tests.conftest import NOW, limits

seconds = st.integers(1_700_000_000, 1_800_000_000)
windows = st.builds(lambda start, length: Window(start, start + length), seconds, st.integers(0, 200_000))


def all_seconds(parts):
    return [second for part in parts for second in range(part.start, part.end + 1)]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (100, 160, (100, 159)),
        (100, 101, (100, 100)),
        (100.4, 160.2, (100, 160)),
        (100, 160.0001, (100, 160)),
        (100.2, 100.3, (100, 100)),
    ],
)
def test_until_is_not_part_of_the_range(since, until, expected):
    window = Window.half_open(since, until)
    assert (window.start, window.end) == expected


@pytest.mark.parametrize(
    ("since", "until", "said"), [(160, 100, "not before until"), (7, 7, "the same time")]
)
def test_a_range_that_ends_before_it_begins_is_refused(since, until, said):
    with pytest.raises(InvalidRequest, match=said):
        Window.half_open(since, until)


def test_a_window_cannot_end_before_it_starts():
    with pytest.raises(InvalidRequest):
        Window(2, 1)


@given(now=st.floats(1.7e9, 1.8e9), delay=st.integers(0, 1000), reach=st.integers(2000, 1_000_000))
def test_what_is_reachable_keeps_the_strict_bounds_with_some_slack_and_no_more(now, delay, reach):
    allowed = limits(delay=delay, reach=reach)
    window = reachable(allowed, now)
    assert window.end + SLACK < now - delay  # strict, and even SLACK seconds later
    assert window.start - SLACK > now - reach
    assert now - delay - window.end <= SLACK + 2  # not a second more is given away
    assert window.start - (now - reach) <= SLACK + 2


def test_bounds_are_exclusive():
    window = reachable(limits(delay=60, reach=3600), 10_000.0)
    assert (window.start, window.end) == (6401 + SLACK, 9939 - SLACK)


@given(window=windows)
def test_clipped_window_is_the_intersection(window):
    allowed = limits(reach=50_000_000, delay=60)
    reach = reachable(allowed, NOW)
    try:
        part = clip(window, allowed, NOW)
    except WindowOutOfReach:
        assert window.end < reach.start or window.start > reach.end
    else:
        assert (part.start, part.end) == (max(window.start, reach.start), min(window.end, reach.end))


@pytest.mark.parametrize(
    ("window", "why"),
    [
        (Window(int(NOW) - 30, int(NOW)), "too recent: data comes 60 s late"),
        (Window(int(NOW) - 200_000, int(NOW) - 100_000), "too far back: the plan reaches 24 h"),
    ],
)
def test_out_of_reach_error_names_the_legal_window(window, why):
    with pytest.raises(WindowOutOfReach, match=why) as caught:
        clip(window, limits(), NOW, endpoint="call/lists")
    reach = reachable(limits(), NOW)
    assert caught.value.legal == (reach.start, reach.end)
    assert "2026-11-18 12:00:03Z to 2026-11-19 11:58:57Z" in str(caught.value)
    assert caught.value.endpoint == "call/lists"


@given(window=windows, span=st.integers(2, 100_000))
def test_a_split_covers_exactly_and_is_the_fewest_legal_windows(window, span):
    parts = split(window, limits(span=span))
    assert parts[0].start == window.start
    assert parts[-1].end == window.end
    assert all(later.start == earlier.end + 1 for earlier, later in pairwise(parts))
    assert all(part.length < span for part in parts)
    assert len(parts) == -(-(window.length + 1) // span)  # one part holds span seconds at most: length < span


def test_without_a_span_nothing_is_split():
    assert split(Window(0, 10**9), limits(span=None)) == [Window(0, 10**9)]


@given(window=windows.filter(lambda window: window.length >= 1))
def test_halves_are_the_window_the_later_first(window):
    later, earlier = window.halves()
    assert (earlier.start, earlier.end + 1, later.end) == (window.start, later.start, window.end)
    assert abs(later.length - earlier.length) <= 1


small = st.builds(lambda start, length: Window(start, start + length), st.integers(0, 60), st.integers(0, 20))


@given(wanted=small, covered=st.lists(small, max_size=6))
def test_gaps_are_the_uncovered_ranges(wanted, covered):
    left = gaps(wanted, covered)
    assert all_seconds(left) == sorted(set(all_seconds([wanted])) - set(all_seconds(covered)))
    assert all(later.start > earlier.end + 1 for earlier, later in pairwise(left))


@given(one=small, other=small)
def test_intersection_is_in_both_windows(one, other):
    both = one.intersection(other)
    assert all_seconds([both] if both else []) == sorted(set(all_seconds([one])) & set(all_seconds([other])))


@pytest.mark.parametrize("until", ["now", NOW - 60, NOW + 60])
def test_range_that_begins_in_the_future_is_reported_as_such(until):
    with pytest.raises(InvalidRequest, match=r"^since \(.*Z\) is in the future; "):
        time_range(NOW + 3600, until, now=NOW)


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        (7200, 3600, "since (1970-01-01T02:00:00Z) is not before until (1970-01-01T01:00:00Z)"),
        (3600, 3600, "since and until are the same time (1970-01-01T01:00:00Z)"),
        (0, -9e10, "is not before until (-90000000000)"),  # years that `datetime` does not have
    ],
)
def test_reversed_range_is_reported_with_readable_times(since, until, message):
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        Window.half_open(since, until)
