"""Harvests of ApsaraVideo: each day of each metric is stored once, however a run ends."""

import shutil

import pytest

from agora_analytics.apsaravideo.spec import Metric
from agora_analytics.errors import AuthenticationError, StoreError, WindowOutOfReach
from agora_analytics.harvest import estimate, harvest
from agora_analytics.simulator import Faults
from agora_analytics.simulator.apsaravideo import Terminals
from agora_analytics.store import open_store
from tests.apsaravideo.harness import APP_ID, DAY, ENDPOINT, NOW, WORLD, make_harness
from tests.conftest import partly_slow
from tests.harvest.damage import DAMAGES, damageable_files, missing

MIDNIGHT = NOW // DAY * DAY
SINCE, UNTIL = MIDNIGHT - 3 * DAY, MIDNIGHT


def harvested(harness, folder, *key, since=SINCE, until=UNTIL):
    async def job(client):
        return await harvest(client, since=since, until=until, store=folder)

    return harness.run(job, *key)


def estimated(harness, folder, *, since, until):
    async def job(client):
        return await estimate(client, since=since, until=until, store=folder)

    return harness.run(job)


def truth(since, until):
    """Return the expected rows of `points` for a time range."""
    return sorted(
        (str(metric), point.ms // 1000, float(point.value))
        for metric in Metric
        for point in WORLD.points(metric, Terminals(app_id=APP_ID), int(since) * 1000, int(until) * 1000 - 1)
    )


def stored(folder):
    rows = open_store(folder).sql(
        "select source_metric, epoch(ts)::bigint, value from points where vendor = 'apsaravideo'"
    )
    return sorted(rows.fetchall())


def test_every_point_of_every_day_is_stored_once(tmp_path):
    harness = make_harness()
    report = harvested(harness, tmp_path)
    assert stored(tmp_path) == truth(SINCE, UNTIL)
    assert (report.calls, report.points, report.requests) == (12, len(truth(SINCE, UNTIL)), {ENDPOINT: 12})
    again = harvested(harness, tmp_path)
    assert (again.known_before, again.calls, again.requests) == (12, 0, {})
    assert stored(tmp_path) == truth(SINCE, UNTIL)


def test_range_is_extended_to_whole_days(tmp_path):
    harvested(make_harness(), tmp_path, since=MIDNIGHT - 30_000, until=MIDNIGHT - 20_000)
    assert stored(tmp_path) == truth(MIDNIGHT - DAY, MIDNIGHT)


def test_current_day_is_fetched_again_until_complete(tmp_path):
    harness = make_harness()
    first = harvested(harness, tmp_path, since=MIDNIGHT, until=NOW)
    assert (first.calls, first.ongoing) == (4, 4)
    before = stored(tmp_path)
    later = make_harness(now=MIDNIGHT + DAY + 7200)
    second = harvested(later, tmp_path, since=MIDNIGHT, until=MIDNIGHT + DAY)
    assert (second.calls, second.ongoing) == (4, 0)
    assert stored(tmp_path) == truth(MIDNIGHT, MIDNIGHT + DAY)
    assert set(before) < set(stored(tmp_path))
    assert harvested(later, tmp_path, since=MIDNIGHT, until=MIDNIGHT + DAY).requests == {}


def test_nightly_runs_end_with_complete_compacted_days(tmp_path):
    store = tmp_path / "store"
    for night in range(4):  # a day is incomplete until an hour after its end
        now = SINCE + night * DAY + 900
        cost = estimated(make_harness(now=now), store, since=now - DAY, until=now)
        report = harvested(make_harness(now=now), store, since=now - DAY, until=now)
        assert (cost.requests, cost.known) == (report.requests, report.known_before)
    assert report.requests == {ENDPOINT: 12}  # four metrics of two days, and of the one before the range
    now = MIDNIGHT + 900
    assert stored(store) == truth(SINCE - DAY, now)
    yesterday, today = "2026-11-18", "2026-11-19"
    pending = open_store(store).writer.units(APP_ID).pending["points"]
    assert sorted(set(pending.values())) == [yesterday, today]
    files = [path.parent.name for path in open_store(store).files("points")]
    assert [files.count(f"day={day}") for day in ("2026-11-15", "2026-11-16", "2026-11-17")] == [1, 1, 1]


def test_incomplete_day_partly_outside_the_retention_keeps_its_rows(tmp_path):
    harvested(make_harness(), tmp_path, since=MIDNIGHT, until=NOW)
    before = stored(tmp_path)
    later = make_harness(now=MIDNIGHT + 30 * DAY + 3600)
    report = harvested(later, tmp_path, since=later.clock.now() - 3600, until=later.clock.now())
    assert report.calls == 4  # the current day only
    assert set(before) < set(stored(tmp_path))


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_do_not_change_the_rows(tmp_path, seed):
    harvested(make_harness(faults=Faults(share=0.1, seed=seed)), tmp_path)
    assert stored(tmp_path) == truth(SINCE, UNTIL)


class FullAfter:
    """A store whose disk is full after a number of writes."""

    def __init__(self, folder, writes):
        self._store = open_store(folder, create=True).writer
        self._left = iter(range(writes))

    def __getattr__(self, name):
        return getattr(self._store, name)

    def put(self, *args, **more):
        self._count()
        return self._store.put(*args, **more)

    def discard(self, **more):
        self._count()
        self._store.discard(**more)

    def _count(self):
        if next(self._left, None) is None:
            raise StoreError("the disk is full")


@pytest.mark.parametrize("writes", partly_slow(range(1, 16), 5))
def test_next_run_repairs_a_store_after_any_failed_write(tmp_path, writes):
    with pytest.raises(StoreError, match="full"):
        harvested(make_harness(), FullAfter(tmp_path, writes), since=MIDNIGHT - DAY, until=NOW)
    harvested(make_harness(now=MIDNIGHT + 2 * DAY), tmp_path, since=MIDNIGHT - DAY, until=MIDNIGHT + DAY)
    assert stored(tmp_path) == truth(MIDNIGHT - DAY, MIDNIGHT + DAY)


def test_wrong_credentials_and_range_out_of_reach_end_the_harvest(tmp_path):
    with pytest.raises(AuthenticationError):
        harvested(make_harness(), tmp_path, "nobody", "secret")
    with pytest.raises(WindowOutOfReach):
        harvested(make_harness(), tmp_path, since=NOW - 90 * DAY, until=NOW - 80 * DAY)


@pytest.mark.parametrize("damage", partly_slow(DAMAGES, 1))
@pytest.mark.parametrize("kind", ["points", "points compacted", "_pending/points"])
def test_damaged_day_is_fetched_again_whatever_the_range(tmp_path, kind, damage):
    whole = tmp_path / "whole"
    harvested(make_harness(), whole, since=SINCE, until=NOW)
    files = damageable_files(whole)[kind]
    for number, file in enumerate(files):
        store = tmp_path / str(number)
        shutil.copytree(whole, store)
        damage(store / file)
        seen = damage is not missing or kind == "_pending/points"
        since = NOW - 3600 if seen else SINCE  # no other file names a missing one
        report = harvested(make_harness(), store, since=since, until=NOW)
        assert stored(store) == truth(SINCE, NOW // 300 * 300)
        assert any(file.match(found.path) for found in report.damaged) == seen
        assert harvested(make_harness(), store, since=NOW - 3600, until=NOW).damaged == ()
        assert not list(store.glob("_damaged/**/*.parquet"))
        assert len(open_store(store).writer.units(APP_ID).pending["points"]) == 4  # those of the current day


def test_day_that_left_the_retention_incomplete_is_compacted(tmp_path):
    harvested(make_harness(), tmp_path, since=MIDNIGHT, until=NOW)
    before = stored(tmp_path)
    later = make_harness(now=MIDNIGHT + 32 * DAY)
    harvested(later, tmp_path, since=later.clock.now() - 3600, until=later.clock.now())
    assert set(before) < set(stored(tmp_path))
    old = [path.name for path in open_store(tmp_path).files("points") if "day=2026-11-19" in str(path)]
    assert [name.startswith("compacted~") for name in old] == [True]
