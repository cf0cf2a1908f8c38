"""The server's time, learnt from Date headers of whole seconds."""

import math
import random
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.engine.clock import ServerTime, SystemClock
from agora_analytics.messages import FailureKind, Response, TransportFailure
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


# ---- when one response is not enough


def dated(server_time, clock, ahead, *, seconds=0.05):
    """Learn from a good response that has just arrived, from a server whose clock is ahead."""
    date = formatdate(clock.time + ahead, usegmt=True)
    server_time.observe(date, sent=clock.time - seconds, received=clock.time)
    clock.time += 1
    return math.floor(server_time.skew)


@pytest.mark.parametrize("ahead", [-7200, 7200])
def test_concurrent_response_does_not_confirm_a_jump(ahead):
    """Both may have passed the same proxy at the same time."""
    clock = Stopped()
    server_time = ServerTime(clock)
    assert dated(server_time, clock, 0) == 0
    assert dated(server_time, clock, ahead) == 0
    assert dated(server_time, clock, ahead, seconds=1.5) == 0  # sent before the other arrived
    assert dated(server_time, clock, ahead) == ahead


def test_stopped_clock_of_a_proxy_does_not_confirm_itself():
    clock = Stopped()
    server_time = ServerTime(clock)
    assert dated(server_time, clock, 0) == 0
    stopped = formatdate(clock.time - 7200, usegmt=True)
    for _ in range(5):
        clock.time += 10
        server_time.observe(stopped, sent=clock.time - 0.05, received=clock.time)
        assert server_time.skew == 0


def test_two_proxies_that_disagree_do_not_move_the_clock():
    clock = Stopped()
    server_time = ServerTime(clock)
    assert [dated(server_time, clock, ahead) for ahead in (0, 7200, -7200, 7200, -7200)] == [0] * 5


def test_first_large_difference_is_kept_when_it_is_confirmed():
    clock = Stopped()
    server_time = ServerTime(clock)
    assert [dated(server_time, clock, 7200), dated(server_time, clock, 7200)] == [7200, 7200]
    clock.time += 86_400
    assert math.floor(server_time.skew) == 7200


def test_first_large_difference_is_used_for_a_minute_and_confirmed_by_the_next_response():
    clock = Stopped()
    server_time = ServerTime(clock)
    assert dated(server_time, clock, 7200) == 7200
    clock.time += 3600
    assert server_time.skew == 0
    assert dated(server_time, clock, 7200) == 7200
    clock.time += 86_400
    assert math.floor(server_time.skew) == 7200


@pytest.mark.parametrize("year", ["0001", "1970", "2019", "2100", "9999"])
def test_date_of_another_century_is_ignored(year):
    server_time = ServerTime(Stopped())
    for _ in range(3):
        server_time.observe(f"Thu, 01 Jan {year} 00:00:00 GMT", sent=NOW - 0.1, received=NOW)
    assert server_time.skew == 0


def test_response_from_a_cache_is_not_read():
    clock = Stopped()
    headers = {"date": formatdate(NOW, usegmt=True)}
    server_time = ServerTime(clock)
    assert server_time.read(Response(status=200, headers=headers, body=b""), seconds=0.1) is not None
    cached = Response(status=200, headers=headers | {"age": "0"}, body=b"")
    assert server_time.read(cached, seconds=0.1) is None
    assert server_time.read(TransportFailure(FailureKind.DNS, "no host"), seconds=0.1) is None
