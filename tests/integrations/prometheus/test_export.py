"""`agora-analytics export prometheus`, and following Real-time for it."""

import json
import re
import signal
import sys
import time
import urllib.parse
import urllib.request

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import utc_day
from agora_analytics.integrations.prometheus import PrometheusMetrics
from agora_analytics.integrations.realtime_export import daily_costs, default_stale_after, export_windows
from agora_analytics.simulator import Simulator, World, serve_in_thread
from tests.agora.harness import make_harness
from tests.cli.conftest import command, environment, fails, start  # noqa: F401 - fixtures
from tests.conftest import NOW

SERVING = re.compile(r"agora-analytics: serving (http://127\.0\.0\.1:\d+/metrics); stop with Ctrl-C\n")


@pytest.fixture(scope="module")
def simulator():
    """A project with calls that are still active."""
    now = int(time.time())
    world = World.generate(seed=7, since=now - 3600, until=now + 3600, calls=60, simple=True)
    return Simulator(world)


@pytest.fixture(scope="module")
def simulator_url(simulator):
    with serve_in_thread(simulator) as url:
        yield url


def scrape(url):
    """Return the value of each sample, by its name and labels."""
    with urllib.request.urlopen(url) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def until(condition):
    """Repeat a function until its result is true, and return the result."""
    while not (result := condition()):
        time.sleep(0.05)
    return result


def named(samples, name):
    return {
        labels: value
        for (found, *labels), value in samples.items()
        if found == name
        for labels in [tuple(labels)]
    }


@pytest.mark.skipif(sys.platform == "win32", reason="the exporter is stopped with a POSIX signal")
def test_exporter_serves_until_it_is_terminated(start, simulator, simulator_url, prometheus_programs):  # noqa: F811
    words = ("export", "prometheus", "--port", 0, "--metric", "userCount", "-m", "video-freeze-rate")
    exporter = start(*words, env={"AGORA_BASE_URL": simulator_url})
    lines = [exporter.stderr.readline() for _ in range(4)]
    match = SERVING.fullmatch(lines[0])
    assert match, lines
    assert lines[1:] == [
        f"agora-analytics: realtime/{name}/by_time_20sec: at most 1,296 of 1,440 requests a day, a new window every 67 s\n"
        for name in ("usage", "quality")
    ] + ["agora-analytics: a value expires 300 s after the end of its window\n"]
    url = match[1]
    until(lambda: named(scrape(url), "rtc_active_users"))
    before = simulator.seen.requests.total()
    for _ in range(20):
        scrape(url)
    assert simulator.seen.requests.total() == before <= 4  # a scrape sends no request
    with urllib.request.urlopen(url) as response:
        assert prometheus_programs.check_metrics(response.read().decode()) == ""
    exporter.send_signal(signal.SIGTERM)
    _, err = exporter.communicate(timeout=60)
    assert exporter.returncode == 0
    assert re.fullmatch(r"agora-analytics: stopped; \d requests \(.+\) sent\n", err)


@pytest.mark.slow
def test_prometheus_server_scrapes_the_exporter(start, simulator_url, prometheus_programs):  # noqa: F811
    """Prometheus begins to scrape five seconds after its start."""
    exporter = start("export", "prometheus", "--port", 0, env={"AGORA_BASE_URL": simulator_url})
    match = SERVING.fullmatch(exporter.stderr.readline())
    assert match
    url = match[1]
    config = f"""
global: {{scrape_interval: 200ms}}
scrape_configs:
  - job_name: agora
    static_configs: [{{targets: ["{urllib.parse.urlsplit(url).netloc}"]}}]
"""
    server = prometheus_programs.server(config)
    try:
        query = f"{server.url}/api/v1/query?query=" + urllib.parse.quote(
            'rtc_active_users{rtc_vendor="agora"}'
        )
        (found,) = until(lambda: json.load(urllib.request.urlopen(query))["data"]["result"])
        assert float(found["value"][1]) >= 1
    finally:
        server.close()


def test_wrong_input_is_refused_before_the_server_starts(fails, simulator, simulator_url):  # noqa: F811
    before = simulator.seen.requests.total()
    base = {"env": {"AGORA_BASE_URL": simulator_url}}
    export = ("export", "prometheus", "--port", 0)
    messages = fails.all(
        (2, (*export, "--metric", "userCuont")),
        (2, (*export, "--metric", "channelCount", "--by", "country")),
        (2, (*export, "--only", "India")),
        (2, ("export", "prometheus", "--port", urllib.parse.urlsplit(simulator_url).port)),
        **base,
    )
    assert "unknown metric 'userCuont'" in messages[0]
    assert "by" in messages[1]
    assert "--only selects groups" in messages[2]
    assert "choose another --port" in messages[3]
    assert simulator.seen.requests.total() == before


def follow_for(seconds, *, plan, before=None):
    """Export for a time on the virtual clock; return the metrics, the harness and the scrapes of each minute."""
    world = World.generate(seed=5, since=NOW - 3600, until=NOW + 6 * 3600, calls=60, simple=True)
    harness = make_harness(world, plan)
    metrics = PrometheusMetrics(now=harness.clock.now)
    scrapes = []

    async def job(client):
        if before is not None:
            await before(client)
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                windows = client.realtime.follow(["userCount", "videoFreezeRate"])
                tasks.start_soon(export_windows, client, metrics, windows)
                while True:
                    await anyio.sleep(60)
                    scrapes.append(
                        {
                            (sample.name, *sorted(sample.labels.items())): sample.value
                            for family in metrics.registry.collect()
                            for sample in family.samples
                        }
                    )

    harness.run(job, observer=[metrics, harness.events.append])
    return harness, scrapes


def test_values_are_those_of_the_world_and_quotas_are_current():
    harness, scrapes = follow_for(1800, plan="enterprise")
    last = scrapes[-1]
    (time_of_window,) = named(last, "rtc_window_time_seconds").values()
    assert 0 < harness.clock.now() - time_of_window < 200
    (users,) = named(last, "rtc_active_users").values()
    assert users > 0
    remaining = named(last, "agora_analytics_client_quota_remaining")
    sent = harness.requests["realtime/usage/by_time_20sec"]
    assert remaining[(("agora_analytics_endpoint", "realtime/usage/by_time_20sec"),)] == pytest.approx(
        1440 - sent, abs=3
    )
    assert set(named(last, "rtc_window_lost_total").values()) == {0}


def test_spent_quota_is_reported_and_the_exporter_stays_up():
    """Another program spends the quota; then values expire, and the remaining quota is 0."""

    async def spend(client):
        engine = client._engine
        budget = engine._budget("realtime/usage/by_time_20sec")
        await engine._ledger.close_day(budget, utc_day(engine.server_time.now()))

    _, scrapes = follow_for(1800, plan="premium", before=spend)
    last = scrapes[-1]
    remaining = named(last, "agora_analytics_client_quota_remaining")
    assert remaining[(("agora_analytics_endpoint", "realtime/usage/by_time_20sec"),)] == 0
    assert named(last, "rtc_active_users") == {}
    assert len(scrapes) == 29


def test_cost_and_expiry_follow_from_the_number_of_metrics():
    per_day = {"realtime/usage/by_time_20sec": 1440, "realtime/quality/by_time_20sec": 1440}
    costs = daily_costs(per_day, ["userCount", "videoFreezeRate", "networkDelay", "audioFreezeRate"], 0.9)
    assert [(cost.requests, round(cost.interval)) for cost in costs] == [(1296, 67), (1296, 200)]
    assert default_stale_after(costs) == 400
    generous = dict.fromkeys(per_day, 100_000)
    (cost,) = daily_costs(generous, ["userCount"], 1)
    assert (cost.requests, cost.interval) == (4320, 20)
    assert default_stale_after([cost]) == 300
    with pytest.raises(InvalidRequest, match="does not include Real-time"):
        daily_costs({}, ["userCount"], 1)
