"""The metrics of `PrometheusMetrics`: what promtool accepts, and what a registry has."""

import sys
import urllib.request

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agora_analytics.core.common_metrics import COMMON_METRICS
from agora_analytics.errors import ConfigurationError
from agora_analytics.integrations.live_values import exported_metric
from agora_analytics.integrations.metric_names import ALL_METRICS, QUALITY_METRICS, MetricKind
from agora_analytics.integrations.prometheus import PrometheusMetrics, metrics_server
from agora_analytics.messages import FailureKind
from tests.agora.harness import scripted
from tests.conftest import NOW, ok
from tests.integrations.windows import live_window

GOOD = ok(call_lists=[], total_size=0)
REALTIME = ("joinSuccessRate", "joinSuccessIn5sRate", "audioFreezeRate", "videoFreezeRate", "networkDelay")
BITRATES = 'use base unit "bytes" instead of "bits"'


@pytest.fixture
def metrics():
    return PrometheusMetrics(now=lambda: NOW)


@pytest.fixture
def filled(metrics):
    """Metrics of every kind: of requests, waits, quotas and windows."""

    async def job(client):
        await client.calls("2h", "1h").collect()
        metrics.record_quota(await client.quota())

    scripted(FailureKind.RESET, GOOD).run(job, observer=metrics)
    points = [(metric, 0.5, None) for metric in REALTIME]
    names = ("userCount", "channelCount", *REALTIME)
    metrics.record(
        live_window(NOW - 40, ("userCount", 7, None), ("channelCount", 2, None), *points, metrics=names),
        app_id="app",
    )
    metrics.record(live_window(NOW - 40, ("userCount", 3, "Côte d'Ivoire \"\\\n"), ("userCount", 4, "India")))
    return metrics


def samples(metrics, name):
    """Return the values of a metric, by its labels."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_promtool_finds_no_problem(filled, prometheus_programs):
    text = generate_latest(filled.registry).decode()
    assert prometheus_programs.check_metrics(text) == ""


def test_promtool_accepts_every_name_but_bits(prometheus_programs):
    """Bitrates are in bits a second in every document of this field; Real-time has none."""
    registry = CollectorRegistry()
    families = [metric.prometheus for metric in QUALITY_METRICS.values()]
    text = "".join(f"# HELP {name} Help.\n# TYPE {name} gauge\n{name} 1\n" for name in families)
    problems = prometheus_programs.check_metrics(text).splitlines()
    assert len(problems) == 4
    assert all("bitrate" in line and BITRATES in line for line in problems)
    assert not any("bitrate" in exported_metric(metric).name for metric in REALTIME)
    del registry


def test_openmetrics_has_the_same_samples(filled):
    with metrics_server(filled.registry, "127.0.0.1", 0) as url:
        answers = []
        for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
            request = urllib.request.Request(url, headers={"accept": accept})
            with urllib.request.urlopen(request) as response:
                answers.append((response.headers["content-type"], response.read().decode()))
    (text_type, text), (open_type, openmetrics) = answers
    assert text_type.startswith("text/plain")
    assert open_type.startswith("application/openmetrics-text")

    def values(families):
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    assert values(parse_openmetrics(openmetrics)) == values(parse_text(text))


def test_request_is_counted_with_the_labels_of_the_conventions(filled):
    counts = samples(filled, "http_client_request_duration_seconds_count")
    common = {
        "agora_analytics_endpoint": "call/lists",
        "http_request_method": "GET",
        "server_address": "127.0.0.1",
        "server_port": "9",
    }
    failed = common | {"error_type": "connection_reset", "http_response_status_code": ""}
    good = common | {"error_type": "", "http_response_status_code": "200"}
    assert counts == {tuple(sorted(labels.items())): 1 for labels in (failed, good)}
    waits = samples(filled, "agora_analytics_client_wait_duration_seconds_count")
    assert [dict(labels)["agora_analytics_wait_reason"] for labels in waits] == ["back_off"]


def test_gauges_have_the_newest_window_and_the_quotas(filled):
    app = (("rtc_app_id", "app"), ("rtc_vendor", "agora"))
    assert samples(filled, "rtc_active_users")[app] == 7
    assert samples(filled, "rtc_window_time_seconds")[app] == NOW - 20
    limits = samples(filled, "agora_analytics_client_quota_limit")
    remaining = samples(filled, "agora_analytics_client_quota_remaining")
    lists = (("agora_analytics_endpoint", "call/lists"),)
    assert limits[lists] - remaining[lists] == 2
    for metric in REALTIME:
        assert samples(filled, exported_metric(metric).prometheus)[app] == 0.5


def test_stale_window_leaves_its_time_only():
    now = [NOW]
    metrics = PrometheusMetrics(stale_after=60, now=lambda: now[0])
    metrics.record(live_window(NOW - 40, ("userCount", 7, None)))
    now[0] += 39
    assert samples(metrics, "rtc_active_users")
    now[0] += 1
    assert samples(metrics, "rtc_active_users") == {}
    assert samples(metrics, "rtc_window_time_seconds") == {(("rtc_vendor", "agora"),): NOW - 20}


def test_default_registry_is_used_on_request_only(filled):
    assert not [family for family in REGISTRY.collect() if family.name.startswith(("rtc_", "http_client"))]
    own = CollectorRegistry()
    metrics = PrometheusMetrics(own)
    assert metrics.registry is own
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        PrometheusMetrics(own)


def test_one_observer_serves_several_clients_and_another_observer():
    metrics, events = PrometheusMetrics(), []
    for _ in range(2):
        scripted(GOOD).run(
            lambda client: client.calls("2h", "1h").collect(), observer=[metrics, events.append]
        )
    counts = samples(metrics, "http_client_request_duration_seconds_count")
    assert list(counts.values()) == [2]
    assert events


def test_every_common_metric_has_a_name_and_a_base_unit():
    assert list(QUALITY_METRICS) == list(COMMON_METRICS)
    factors = {"kbit/s": ("bit/s", 1000), "ms": ("s", 0.001), "ratio": ("1", 1)}
    for name, (unit, _) in COMMON_METRICS.items():
        assert (QUALITY_METRICS[name].unit, QUALITY_METRICS[name].factor) == factors[unit]
    prometheus = [metric.prometheus for metric in ALL_METRICS]
    assert len(set(prometheus)) == len(prometheus)
    assert not any(name.endswith(("_count", "_sum", "_bucket", "_created")) for name in prometheus)
    for metric in ALL_METRICS:
        assert bool(metric.buckets) == (metric.kind is MetricKind.HISTOGRAM)


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'agora-analytics\[prometheus\]'"):
        PrometheusMetrics()
