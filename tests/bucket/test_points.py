"""Harvests of `points` into a bucket: the other vendors, whose units are replaced."""

from agora_analytics.harvest import harvest
from agora_analytics.store import open_store
from tests.apsaravideo.harness import make_harness as make_apsaravideo
from tests.bucket.sample_calls import reopened
from tests.harvest import test_meetings as opentok
from tests.harvest import test_metric_days as apsaravideo
from tests.opentok.harness import make_harness as make_opentok


def harvested(harness, store, since, until):
    async def job(client):
        return await harvest(client, since=since, until=until, store=store)

    return harness.run(job)


def rows(store):
    return sorted(map(str, store.table("points").to_pylist()))


def test_metric_days_have_the_rows_of_a_folder(store, tmp_path):
    harness, span = make_apsaravideo(), (apsaravideo.SINCE, apsaravideo.UNTIL)
    report = harvested(harness, reopened(store), *span)
    harvested(make_apsaravideo(), tmp_path / "folder", *span)
    assert rows(store) == rows(open_store(tmp_path / "folder"))
    again = harvested(harness, reopened(store), *span)
    assert (again.known_before, again.calls, again.requests) == (report.calls, 0, {})


def test_current_day_is_fetched_again_until_complete(store):
    first, last = apsaravideo.MIDNIGHT, apsaravideo.MIDNIGHT + apsaravideo.DAY
    assert harvested(make_apsaravideo(), reopened(store), first, apsaravideo.NOW).ongoing == 4
    before = store.counts()["points"]
    later = make_apsaravideo(now=last + 7200)
    report = harvested(later, reopened(store), first, last)
    assert (report.calls, report.ongoing) == (4, 0)
    values = store.sql("select source_metric, epoch(ts)::bigint, value from points").fetchall()
    assert sorted(values) == apsaravideo.truth(first, last)
    assert before < len(values)
    assert harvested(later, reopened(store), first, last).requests == {}


def test_meetings_have_the_rows_of_a_folder(store, tmp_path):
    world = opentok.world(sessions=4)
    harness, span = make_opentok(world, now=opentok.NOW), (opentok.SINCE, opentok.UNTIL)
    report = harvested(harness, reopened(store), *span)
    harvested(make_opentok(world, now=opentok.NOW), tmp_path / "folder", *span)
    assert rows(store) == rows(open_store(tmp_path / "folder"))
    again = harvested(harness, reopened(store), *span)
    assert again.calls < report.calls
    assert rows(store) == rows(open_store(tmp_path / "folder"))
