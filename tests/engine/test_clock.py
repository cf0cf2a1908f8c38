"""The server's time, learnt from Date headers of whole seconds."""

import math
import random
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.engine.clock import ServerTime, SystemClock
from agora_analytics.testing import VirtualClock
from tests.conftest import NOW


class Stopped:
    def __init__(self, now=NOW):
        self.time = now

    def now(self):
        return self.time


def talk(clock, server_time, *, skew, times, rng, latency=0.05):
    """Let answers come: each is dated somewhere on its way."""
    for _ in range(times):
        clock.time += rng.uniform(0.05, 3)
        sent = clock.time
        dated = sent + rng.uniform(0, latency) + skew
        clock.time = sent + latency
        server_time.observe(formatdate(math.floor(dated), usegmt=True), sent=sent, received=clock.time)


@pytest.mark.parametrize("skew", [-3600.0, -7.3, -1.4, 0.9, 2.5, 86_400.0])
def test_clock_skew_is_measured_to_a_tenth_of_a_second(skew):
    clock = Stopped()
    server_time = ServerTime(clock)
    talk(clock, server_time, skew=skew, times=1, rng=random.Random(1))
    assert abs(server_time.skew - skew) <= 0.6  # one answer: half a second, and the way
    talk(clock, server_time, skew=skew, times=100, rng=random.Random(2))
    assert abs(server_time.skew - skew) <= 0.1
    assert server_time.now() == clock.time + server_time.skew


@pytest.mark.parametrize(
    "form", ["%a %b %e %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S -0000", "%A, %d-%b-%y %H:%M:%S GMT"]
)
@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system's zone cannot be set")
def test_date_header_without_a_zone_is_utc(form, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        server_time = ServerTime(Stopped())
        server_time.observe(time.strftime(form, time.gmtime(NOW)), sent=NOW - 0.05, received=NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert server_time.skew == 0.0


def test_no_skew_is_measured_between_equal_clocks():
    clock = Stopped()
    server_time = ServerTime(clock)
    talk(clock, server_time, skew=0.0, times=100, rng=random.Random(3))
    assert server_time.skew == 0.0


@pytest.mark.parametrize("set_by", [-3600.0, 5.0, 86_400.0])
def test_skew_is_measured_again_after_the_clock_was_set(set_by):
    clock = Stopped()
    server_time = ServerTime(clock)
    talk(clock, server_time, skew=2.0, times=50, rng=random.Random(4))
    clock.time += set_by
    talk(clock, server_time, skew=2.0 - set_by, times=50, rng=random.Random(5))
    assert abs(server_time.skew - (2.0 - set_by)) <= 0.1


@pytest.mark.parametrize(
    "date", [None, "", "soon", "Thu, 19 Nov 99999999 12:00:00 GMT", "Thu, 99 Nov 2026 99:00:00 GMT"]
)
def test_invalid_date_header_is_ignored(date):
    server_time = ServerTime(Stopped())
    server_time.observe(date, sent=NOW, received=NOW)
    assert server_time.skew == 0.0


@given(
    st.text() | st.from_regex(r"\A\w{3}, \d{1,12} (Nov|Feb) \d{1,20} \d{1,12}:\d\d(:\d{1,12})? ?[-+GMT\d]*\Z")
)
def test_any_date_header_leaves_a_valid_clock(date):
    ServerTime(Stopped()).observe(date, sent=NOW, received=NOW)


def test_system_clock_returns_epoch_seconds():
    assert SystemClock().now() > 1_700_000_000


def test_virtual_clock_can_be_stepped():
    clock = VirtualClock(NOW)
    clock.step(-60)
    assert clock.now() == NOW - 60
