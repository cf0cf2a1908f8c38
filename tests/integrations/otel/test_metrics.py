"""The metrics of the observer, read with the SDK."""

import subprocess
import sys

import pytest

from agora_analytics.engine.engine import Quota
from agora_analytics.engine.events import QuotaClosed, WindowsLost
from agora_analytics.errors import ConfigurationError
from agora_analytics.integrations.metric_names import ALL_METRICS, MetricKind
from agora_analytics.messages import FailureKind
from tests.agora.harness import SINCE, UNTIL, make_harness, scripted
from tests.conftest import NOW, ok
from tests.integrations.otel.conftest import make_telemetry
from tests.integrations.windows import live_window

GOOD = ok(call_lists=[], total_size=0)
REQUESTS, WAITS = "http.client.request.duration", "agora_analytics.client.wait.duration"


def value_of(point):
    return getattr(point, "value", None)


@pytest.fixture
def clock():
    return [NOW]


@pytest.fixture
def live(clock):
    return make_telemetry(now=lambda: clock[0])


def test_requests_and_waits_are_histograms_with_few_attributes(telemetry):
    harness = scripted(FailureKind.RESET, GOOD)
    harness.run(lambda client: client.calls("2h", "1h").collect(), observer=telemetry.observer)
    points = telemetry.points()
    metric, (failed, good) = points[REQUESTS]
    assert (metric.unit, failed.explicit_bounds[0]) == ("s", 0.005)
    common = {
        "agora_analytics.endpoint": "call/lists",
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": 9,
    }
    assert dict(failed.attributes) == common | {"error.type": "connection_reset"}
    assert dict(good.attributes) == common | {"http.response.status_code": 200}
    assert (failed.count, good.count) == (1, 1)
    _, (wait,) = points[WAITS]
    assert dict(wait.attributes) == {
        "agora_analytics.endpoint": "call/lists",
        "agora_analytics.wait.reason": "back_off",
    }
    assert 0.8 <= wait.sum <= 1.2


def test_every_attempt_is_counted_once(telemetry):
    harness = make_harness()
    harness.run(lambda client: client.calls(SINCE, UNTIL, page_size=5).collect(), observer=telemetry.observer)
    _, points = telemetry.points()[REQUESTS]
    assert sum(point.count for point in points) == harness.requests["call/lists"]


def test_quota_is_exported_without_a_request(live):
    async def job(client):
        await client.calls("2h", "1h").collect()
        live.observer.record_quota(await client.quota())
        return client.sent

    sent = scripted(GOOD).run(job, observer=live.observer)
    assert sent == {"call/lists": 1}
    points = live.points()
    _, limits = points["agora_analytics.client.quota.limit"]
    _, remaining = points["agora_analytics.client.quota.remaining"]
    (limit,) = (value_of(p) for p in limits if p.attributes["agora_analytics.endpoint"] == "call/lists")
    (left,) = (value_of(p) for p in remaining if p.attributes["agora_analytics.endpoint"] == "call/lists")
    assert (limit - left, len(limits)) == (1, len(remaining))


def test_spent_quota_remains_zero_until_midnight(live, clock):
    quota = Quota(
        endpoint="realtime/usage",
        per_day=1440,
        requests=1,
        period=1,
        spent=1000,
        closed=False,
        opens_at=NOW + 60,
    )
    live.observer.record_quota([quota])
    live.observer(QuotaClosed(endpoint="realtime/usage", retry_at=NOW + 60))

    def left():
        _, (point,) = live.points()["agora_analytics.client.quota.remaining"]
        return value_of(point)

    assert left() == 0
    clock[0] += 60
    assert left() == 1440


def test_window_is_exported_until_it_is_stale(live, clock):
    live.observer.record(
        live_window(NOW - 40, ("userCount", 7, None), ("videoFreezeRate", 0.02, None)), app_id="app"
    )
    live.observer(
        WindowsLost(
            endpoint="realtime/usage", metric="userCount", start=int(NOW) - 60, end=int(NOW) - 20, count=2
        )
    )
    points = live.points()
    _, (users,) = points["rtc.active_users"]
    assert (users.value, dict(users.attributes)) == (7, {"rtc.vendor": "agora", "rtc.app_id": "app"})
    assert points["rtc.video.freeze"][1][0].value == 0.02
    assert points["rtc.window.time"][1][0].value == NOW - 20
    assert {p.attributes["rtc.metric"]: p.value for p in points["rtc.window.lost"][1]} == {
        "userCount": 2,
        "videoFreezeRate": 0,
    }
    clock[0] += 281  # 301 s after the end of the window
    points = live.points()
    assert points["rtc.window.time"][1][0].value == NOW - 20
    assert not points.get("rtc.active_users", (None, []))[1]


def test_value_that_the_next_window_does_not_have_is_dropped(live):
    live.observer.record(live_window(NOW - 60, ("userCount", 7, None), ("videoFreezeRate", 0.02, None)))
    live.observer.record(live_window(NOW - 40, ("userCount", 8, None), ("videoFreezeRate", None, None)))
    points = live.points()
    assert points["rtc.active_users"][1][0].value == 8
    assert not points.get("rtc.video.freeze", (None, []))[1]


def test_largest_groups_are_exported_and_the_others_counted(live):
    groups = [("userCount", number, f"C{number}") for number in range(1, 131)]
    live.observer.record(live_window(NOW - 40, *groups))
    points = live.points()
    exported = {p.attributes["rtc.country"]: p.value for p in points["rtc.active_users"][1]}
    assert exported == {f"C{number}": number for number in range(31, 131)}
    assert points["rtc.window.omitted_groups"][1][0].value == 30
    live.observer.record(live_window(NOW - 20))  # nobody is in a call
    assert not live.points().get("rtc.active_users", (None, []))[1]


def test_two_queries_with_the_same_metric_export_the_newer_value_once(live):
    live.observer.record(live_window(NOW - 40, ("userCount", 8, None), metrics=("userCount",)))
    live.observer.record(live_window(NOW - 60, ("userCount", 7, None)))
    assert [point.value for point in live.points()["rtc.active_users"][1]] == [8]


def test_names_and_units_are_those_of_the_table(live):
    live.observer.record(live_window(NOW - 40, ("userCount", 7, None), ("videoFreezeRate", 0.02, None)))
    table = {metric.name: metric for metric in ALL_METRICS}
    for name, (metric, points) in live.points().items():
        assert metric.unit == table[name].unit
        assert metric.description == table[name].description
        for point in points:
            assert set(point.attributes) <= set(table[name].attributes)
    assert {metric.kind for metric in ALL_METRICS} == set(MetricKind)


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'agora-analytics\[otel\]'"):
        make_telemetry()


def test_observer_needs_the_api_only():
    program = """
import sys
sys.modules["opentelemetry.sdk"] = None
from agora_analytics.integrations.otel import OpenTelemetryObserver
from agora_analytics import RequestStarted, RequestEnded
observer = OpenTelemetryObserver()
observer(RequestStarted(endpoint="call/lists"))
observer(RequestEnded(endpoint="call/lists", error="", attempts=1, elapsed=0.1))
print(sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk.")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
