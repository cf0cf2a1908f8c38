"""`agora-analytics export prometheus`, and following Real-time for it."""

import json
import re
import signal
import sys
import time
import urllib.parse
import urllib.request
from itertools import pairwise

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agora_analytics.agora.enums import RealtimeMetric
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.engine.engine import Quota
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import utc_day
from agora_analytics.integrations.prometheus import PrometheusMetrics
from agora_analytics.integrations.realtime_export import daily_costs, export_windows, lag_of
from agora_analytics.simulator import Simulator, World, serve_in_thread
from tests.agora.harness import make_harness
from tests.cli.conftest import command, environment, fails, fork_server, start  # noqa: F401 - fixtures
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
        f"agora-analytics: realtime/{name}/by_time_20sec: at most 1,296 of 1,440 requests a day\n"
        for name in ("usage", "quality")
    ] + ["agora-analytics: each window of 20 s is served 147 s after its end\n"]
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


REALTIME = list(map(str, RealtimeMetric))
USAGE, QUALITY = "realtime/usage/by_time_20sec", "realtime/quality/by_time_20sec"


def follow_for(seconds, metrics, *, plan, before=None, **simulator):
    """Export for a time on the virtual clock; return the harness and a scrape every 20 seconds."""
    world = World.generate(seed=5, since=NOW - 3600, until=NOW + 6 * 3600, calls=60, simple=True)
    harness, scrapes = make_harness(world, plan, **simulator), []
    now = harness.clock.now
    observer = PrometheusMetrics(now=now)

    async def scrape_regularly():
        await anyio.sleep(10)  # between two windows
        while True:
            await anyio.sleep(20)
            samples = [sample for family in observer.registry.collect() for sample in family.samples]
            scrapes.append({(each.name, *sorted(each.labels.items())): each.value for each in samples})

    async def job(client):
        if before is not None:
            await before(client)
        lag = lag_of(daily_costs(await client.quota(), metrics, 0.9))
        observer.stale_after = lag + 300
        windows = client.realtime.follow(metrics, since=f"{lag + 20:.0f}s")
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(scrape_regularly)
                await export_windows(client, observer, windows, lag=lag, now=now)

    harness.run(job, observer=[observer, harness.events.append])
    return harness, scrapes


@pytest.mark.parametrize("plan", ["premium", "enterprise"])
@pytest.mark.parametrize("metrics", [["userCount", "videoFreezeRate"], REALTIME], ids=["two", "all"])
def test_each_scrape_has_the_next_window_and_the_quotas(plan, metrics):
    harness, scrapes = follow_for(3600, metrics, plan=plan, latency=(0.02, 0.08))
    times = [time for each in scrapes for time in named(each, "rtc_window_time_seconds").values()]
    assert len(times) > len(scrapes) - 4  # Premium allows three requests a minute
    assert {later - earlier for earlier, later in pairwise(times[1:])} == {20}
    last = scrapes[-1]
    (users,) = named(last, "rtc_active_users").values()
    assert users > 0
    remaining = named(last, "agora_analytics_client_quota_remaining")
    left = harness.client()._engine.limits(Endpoint(name=USAGE, path="/")).per_day - harness.requests[USAGE]
    assert remaining[(("agora_analytics_endpoint", USAGE),)] == pytest.approx(left, abs=3)
    assert set(named(last, "rtc_window_lost_total").values()) == {0}
    assert harness.refusals == {}


def test_spent_quota_is_reported_and_the_exporter_stays_up():
    """Another program spends the quota; then values expire, and the remaining quota is 0."""

    async def spend(client):
        engine = client._engine
        budget = engine._budget(USAGE)
        await engine._ledger.close_day(budget, utc_day(engine.server_time.now()))

    _, scrapes = follow_for(1800, ["userCount", "videoFreezeRate"], plan="premium", before=spend)
    last = scrapes[-1]
    remaining = named(last, "agora_analytics_client_quota_remaining")
    assert remaining[(("agora_analytics_endpoint", USAGE),)] == 0
    assert named(last, "rtc_active_users") == {}
    assert len(scrapes) == 89


def quota(endpoint, **more):
    return Quota(endpoint=endpoint, **{"period": 60, "spent": 0, "closed": False, "opens_at": NOW} | more)


def test_cost_and_lag_follow_from_the_plan_and_the_number_of_metrics():
    quotas = [quota(endpoint, per_day=1440, requests=10) for endpoint in (USAGE, QUALITY)]
    costs = daily_costs(quotas, ["userCount", "videoFreezeRate", "networkDelay", "audioFreezeRate"], 0.9)
    assert [(cost.requests, round(cost.interval), cost.duration) for cost in costs] == [
        (1296, 67, 0),
        (1296, 200, 12),
    ]
    assert lag_of(costs) == 292
    (cost,) = daily_costs([quota(USAGE, per_day=100_000, requests=10)], ["userCount"], 1)
    assert (cost.requests, cost.interval, lag_of([cost])) == (4320, 20, 100)
    with pytest.raises(InvalidRequest, match="does not include Real-time"):
        daily_costs([], ["userCount"], 1)
