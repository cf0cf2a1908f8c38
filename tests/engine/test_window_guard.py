"""How a budget is paced by what is known of the server's windows and of the last requests."""

import pytest

from agora_analytics.engine.jitter import LARGEST_JITTER, LONGEST_STALL, SMALLEST_JITTER
from agora_analytics.engine.ledger import Grant
from agora_analytics.engine.pace import WindowPhase
from agora_analytics.engine.window_guard import WITHOUT_PHASE, WindowGuard
from tests.conftest import limits

SLIDING_GAP = 0.075  # 10 requests in three quarters of a second
ROUND_TRIP = 0.05
SLOWEST = ROUND_TRIP + LARGEST_JITTER / 2
"""Seconds after which a request takes longer than any other lately."""


class GuardHarness:
    """A guard with a clock that is set, and with a phase that is known within `width` seconds; None: it is unknown."""

    def __init__(self, *, width=0.0, windows="fixed", late=0.0, measured=True, **rows):
        self.time = 100.0
        self.phase = None if width is None else WindowPhase(5.0, 5.0 + width)
        self.guard = WindowGuard(limits(windows=windows, **rows), lambda: self.time, self, late=late)
        self.postponed = []
        self._seq = 0
        for _ in range(16 if measured else 0):
            self.guard.jitter.observe(ROUND_TRIP)

    @property
    def pace(self):
        return self.guard.pace()

    def send(self):
        self._seq += 1
        grant = Grant(slot=self.time, day="2026-11-19", seq=self._seq)
        self.guard.sent(grant)
        return grant

    def is_stalled(self, after=0.0):
        self.time += after
        return self.guard.is_stalled(self.postponed.append)


# ---- the pace


def test_unknown_phase_is_paced_as_sliding_windows():
    pace = GuardHarness(width=None).pace
    assert (pace.phase, pace.gap, pace.requests, pace.period) == (None, SLIDING_GAP, 10, 1.0)


def test_known_phase_of_fixed_windows_is_used():
    harness = GuardHarness(width=0.02)
    assert harness.pace.phase == harness.phase


def test_phase_of_sliding_windows_is_not_used():
    assert GuardHarness(windows="sliding").pace.phase is None


def test_jitter_is_the_largest_until_responses_are_measured():
    assert GuardHarness(measured=False).pace.jitter == LARGEST_JITTER
    assert GuardHarness().pace.jitter == SMALLEST_JITTER


def test_gap_shrinks_with_the_uncertainty():
    """The requests of a window have to fit into the part of it that is certain."""
    harness = GuardHarness()
    gaps = []
    for width in (0.0, 0.1, 0.2, 0.3, 0.5, 0.7):
        harness.phase = WindowPhase(5.0, 5.0 + width)
        gaps.append(harness.pace.gap)
        certain = 1 - width - SMALLEST_JITTER
        assert 10 * gaps[-1] == pytest.approx(min(0.75, 0.9 * certain))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] == gaps[1] > gaps[2] > gaps[-1]


@pytest.mark.parametrize(("width", "is_used"), [(0.735, True), (0.745, False)])
def test_phase_is_not_used_if_less_than_a_quarter_of_the_window_is_certain(width, is_used):
    pace = GuardHarness(width=width).pace
    assert (pace.phase is not None) == is_used
    assert is_used or pace.gap == SLIDING_GAP


@pytest.mark.parametrize("settings", [{"measured": False}, {"late": 0.1}])
def test_jitter_and_late_requests_count_as_uncertainty(settings):
    assert GuardHarness(width=0.7).pace.phase is not None
    assert GuardHarness(width=0.7, **settings).pace.phase is None


def test_minute_has_more_room_for_the_same_uncertainty():
    pace = GuardHarness(width=0.9, period=60.0).pace
    assert pace.phase is not None
    assert pace.gap == 60 * SLIDING_GAP


def test_burst_is_at_most_the_limit():
    assert GuardHarness(requests=3, burst=10).pace.burst == 3


# ---- refusals


def test_refusal_falls_back_to_sliding_windows_for_an_hour():
    harness = GuardHarness()
    assert harness.guard.doubt_phase() is True
    assert (harness.pace.phase, harness.pace.gap) == (None, SLIDING_GAP)
    harness.time += WITHOUT_PHASE - 0.001
    assert harness.pace.phase is None
    harness.time += 0.001
    assert harness.pace.phase == harness.phase


def test_refusal_after_an_hour_falls_back_again():
    harness = GuardHarness()
    for _ in range(3):
        assert harness.guard.doubt_phase() is True
        assert harness.guard.doubt_phase() is False
        harness.time += WITHOUT_PHASE


@pytest.mark.parametrize("settings", [{"windows": "sliding"}, {"width": None}, {"width": 0.8}])
def test_refusal_without_a_phase_widens_the_jitter_only(settings):
    harness = GuardHarness(**settings)
    assert harness.guard.doubt_phase() is False
    assert harness.pace.jitter == SMALLEST_JITTER + LARGEST_JITTER / 2
    harness.phase = WindowPhase(5.0, 5.0)
    assert (harness.pace.phase is not None) == (settings.get("windows") != "sliding")


# ---- arrivals


def test_sent_request_arrives_within_the_jitter():
    harness = GuardHarness()
    grant = harness.send()
    assert (grant.sent_at, grant.arrived) == (100.0, 100.0 + SMALLEST_JITTER)


def test_response_bounds_the_arrival():
    harness = GuardHarness(measured=False)
    grant = harness.send()
    assert grant.arrived == 100.0 + LARGEST_JITTER
    for _ in range(128):
        harness.guard.jitter.observe(ROUND_TRIP)
    harness.guard.answered(grant, ROUND_TRIP)
    assert 100.0 <= grant.arrived <= 100.0 + SMALLEST_JITTER


def test_date_of_the_response_bounds_the_arrival():
    """The server's clock is 5 to 5.02 s ahead; a request that is dated 104 arrived before 105 there."""
    harness = GuardHarness(width=0.02)
    grant = harness.send()
    grant.arrived = 100.2
    harness.guard.dated(grant, 104.0)
    assert grant.arrived == pytest.approx(105 - 5.02, abs=0.0051)
    assert grant.arrived <= 105 - 5.02


def test_date_never_makes_an_arrival_later():
    harness = GuardHarness(width=0.02)
    grant = harness.send()
    before = grant.arrived
    harness.guard.dated(grant, 106.0)
    assert grant.arrived == before


@pytest.mark.parametrize("settings", [{"windows": "sliding"}, {"width": None}])
def test_date_without_a_phase_changes_nothing(settings):
    harness = GuardHarness(**settings)
    grant = harness.send()
    before = grant.arrived
    harness.guard.dated(grant, 50.0)
    assert grant.arrived == before


# ---- stalls


def test_request_that_takes_longer_than_all_others_is_a_stall():
    harness = GuardHarness()
    grant = harness.send()
    assert not harness.is_stalled(after=SLOWEST - 0.01)
    assert harness.is_stalled(after=0.02)
    assert grant.arrived == pytest.approx(100.0 + SLOWEST + LONGEST_STALL)


def test_every_request_without_a_response_is_postponed_once():
    harness = GuardHarness()
    first = harness.send()
    harness.time += 0.03
    second = harness.send()
    assert harness.is_stalled(after=SLOWEST - 0.02)
    assert harness.is_stalled(after=0.01)
    assert harness.postponed == [first, second]
    assert second.arrived == pytest.approx(first.arrived + 0.03)


def test_response_ends_a_stall():
    harness = GuardHarness()
    grant = harness.send()
    assert harness.is_stalled(after=SLOWEST + 0.1)
    harness.guard.answered(grant, SLOWEST + 0.1)
    assert not harness.is_stalled()
    assert 100.0 + SLOWEST + 0.1 - ROUND_TRIP <= grant.arrived < 100.0 + SLOWEST + LONGEST_STALL


def test_response_to_a_later_request_ends_a_stall():
    harness = GuardHarness()
    harness.send()
    harness.time += 0.03
    later = harness.send()
    assert harness.is_stalled(after=SLOWEST)
    harness.guard.answered(later, SLOWEST)
    assert not harness.is_stalled()


def test_response_to_an_earlier_request_does_not_end_a_stall():
    harness = GuardHarness()
    earlier = harness.send()
    harness.time += 0.03
    harness.send()
    harness.time += 0.03
    harness.guard.answered(earlier, 0.06)
    assert harness.is_stalled(after=SLOWEST)


def test_failure_ends_a_stall():
    harness = GuardHarness()
    grant = harness.send()
    assert harness.is_stalled(after=SLOWEST + 0.01)
    harness.guard.failed(grant)
    assert not harness.is_stalled()


def test_lost_request_stalls_for_the_longest_stall_only():
    harness = GuardHarness()
    harness.send()
    assert harness.is_stalled(after=SLOWEST + LONGEST_STALL - 0.01)
    assert not harness.is_stalled(after=0.02)


def test_no_stall_is_assumed_until_responses_are_measured():
    harness = GuardHarness(measured=False)
    harness.send()
    assert not harness.is_stalled(after=0.5)
