"""Whole harvests into a bucket: the same rows as in a folder, also after kills."""

import asyncio
import random
import subprocess

import pytest

from agora_analytics.errors import StoreError
from agora_analytics.harvest import harvest
from agora_analytics.schemas import TABLES
from agora_analytics.simulator import Simulator, World, serve_in_thread
from agora_analytics.store import open_store
from agora_analytics.store.bucket import bucket_writer, location
from tests.bucket.harness import make_harness
from tests.bucket.sample_calls import reopened
from tests.conftest import slow
from tests.harvest.harness import (
    LATENCY,
    SINCE,
    UNTIL,
    broken_limits,
    contents,
    fewest_requests,
    make_call,
    simple_world,
    truth,
)
from tests.harvest.harness import make_harness as make_folder_harness
from tests.harvest.test_processes import NOW, refused_or_over, result, start, world_of


def rows(store, table: str) -> list[str]:
    return sorted(map(str, store.table(table).to_pylist()))


def test_bucket_has_the_rows_of_a_folder(store, tmp_path):
    world = simple_world(12)
    harness = make_harness(world, store)
    report = harness.harvest()
    folder = make_folder_harness(world, tmp_path / "folder")
    folder.harvest()

    assert report.complete
    assert report.calls == 12
    for table in TABLES:
        assert rows(store, table) == rows(folder.tables, table)
    assert contents(store) == truth(world, UNTIL)
    assert not broken_limits(harness.simulator)
    assert store.completeness()["complete"].to_pylist() == [True]


def test_second_harvest_requests_nothing(store):
    world = simple_world(8)
    harness = make_harness(world, store)
    harness.harvest()
    before = harness.simulator.seen.requests.total()

    report = harness.harvest()

    assert harness.simulator.seen.requests.total() == before
    assert (report.calls, report.known_before) == (0, 8)
    assert contents(store) == truth(world, UNTIL)


@pytest.mark.parametrize("seconds", [2.0, *map(slow, (0.5, 1.0, 3.0, 4.0))])
def test_cancelled_harvest_continues_without_fetching_a_call_twice(store, seconds):
    world = simple_world(30)
    harness = make_harness(world, store)

    async def cut(client):
        task = asyncio.create_task(
            harvest(client, since=SINCE, until=UNTIL, store=reopened(store), compact=False)
        )
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])

    in_flight = 0
    for _ in range(2):
        harness.run(cut)
        in_flight += 12
    report = harness.harvest()

    assert report.complete
    assert contents(store) == truth(world, UNTIL)
    # only the requests in flight are repeated: at most a second of the rate limit for each interruption
    assert harness.simulator.seen.requests.total() <= sum(fewest_requests(world).values()) + in_flight


def test_ongoing_call_grows_from_snapshot_to_snapshot(store):
    world = World(
        [
            make_call("c1", UNTIL - 4000, UNTIL + 4000, users=3, stay=8000),
            make_call("c2", UNTIL - 3000, UNTIL - 2000),
        ]
    )
    harness = make_harness(world, store, now=UNTIL)
    seen = []
    for _ in range(4):
        harness.harvest(since=UNTIL - 5000, until=harness.clock.now())
        seen.append(contents(store)["points"])
        harness.clock.step(2000)
    assert seen == sorted(seen)
    assert len(set(seen)) >= 3
    assert store.sql("select count(*) from calls where not finished").fetchall() == [(0,)]
    assert contents(store) == truth(world, UNTIL + 8000)


def test_calls_are_visible_during_the_harvest(store, monkeypatch):
    monkeypatch.setattr(bucket_writer, "_COMMIT_INTERVAL", 3.0)
    world = simple_world(100)
    harness = make_harness(world, store)
    seen = []

    async def watch(client):
        task = asyncio.create_task(
            harvest(client, since=SINCE, until=UNTIL, store=reopened(store), compact=False)
        )
        while not task.done():
            await asyncio.wait([task], timeout=4)
            seen.append(await asyncio.to_thread(lambda: store.counts()["calls"]))
        return await task

    assert harness.run(watch).complete
    assert any(0 < count < 100 for count in seen)
    assert seen[-1] == 100


def test_harvest_takes_a_url(url):
    world = simple_world(3)
    harness = make_harness(world, None)

    async def job(client):
        return await harvest(client, since=SINCE, until=UNTIL, store=url)

    assert harness.run(job).complete
    assert contents(open_store(url)) == truth(world, UNTIL)


@pytest.mark.slow
def test_harvest_process_killed_ends_with_the_same_rows(url, tmp_path):
    world, kills, rng = world_of(60), 6, random.Random(2)
    simulator = Simulator(world, "enterprise", latency=LATENCY)
    ledger = ("--ledger", str(tmp_path / "ledger"))
    with serve_in_thread(simulator) as api:
        for _ in range(kills):
            process = start(api, url, *ledger)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.5, 2.5))  # the lifetime of the process
            process.kill()
            process.communicate()
        ended = result(start(api, url, *ledger))

    assert ended["complete"]
    assert contents(open_store(url)) == truth(world, NOW)
    extra = simulator.seen.requests.total() - sum(fewest_requests(world).values())
    assert extra <= 12 * kills
    assert not refused_or_over(simulator)


@pytest.mark.slow
def test_harvest_ends_with_an_error_while_the_bucket_is_away_and_continues(url, s3, proxy, monkeypatch):
    monkeypatch.setattr(location, "_RETRIES", 1)
    monkeypatch.setattr(location, "_DELTA_OPTIONS", {"max_retries": "1", "retry_timeout": "2s"})
    open_store(url, create=True)
    world = simple_world(30)
    harness = make_harness(world, None)
    way = proxy(s3.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")

    async def interrupted(client):
        task = asyncio.create_task(harvest(client, since=SINCE, until=UNTIL, store=url))
        await asyncio.sleep(2)
        way.target = 1  # nothing listens there
        await asyncio.to_thread(way.cut)
        return await task

    with pytest.raises(StoreError, match="everything committed is safe"):
        harness.run(interrupted)
    spent = harness.simulator.seen.requests.total()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)

    async def again(client):
        return await harvest(client, since=SINCE, until=UNTIL, store=url)

    assert harness.run(again).complete
    assert contents(open_store(url)) == truth(world, UNTIL)
    fewest = sum(fewest_requests(world).values())
    assert spent < fewest
    # only the requests in flight are repeated: those of a second or two
    assert harness.simulator.seen.requests.total() <= fewest + 60
