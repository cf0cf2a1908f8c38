"""Harvests of dirty worlds of the other vendors: every readable row is stored, and the report names the others."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from agora_analytics.harvest import harvest, harvest_insights
from agora_analytics.simulator import DIRT_KINDS, Dirt
from agora_analytics.simulator.opentok import OpenTokWorld
from agora_analytics.store import open_store
from tests.apsaravideo import harness as apsaravideo
from tests.conftest import slow
from tests.harvest.harness import MIDNIGHT, make_harness, simple_world
from tests.opentok import harness as opentok

DAY = 86_400
WORLD = OpenTokWorld.generate(
    seed=7, since=opentok.NOW - 2 * DAY, until=opentok.NOW - 3 * 3600, sessions=6, peers=2, ongoing_share=0
)
# not a number is null, which is not a row of a stream
KINDS = tuple(kind for kind in DIRT_KINDS if kind not in {"nan", "gzip-bomb"})
ROWS = "select call_id, source_metric, epoch_ms(ts), value, count(*) from points group by all"


def opentok_run(folder, dirt):
    harness = opentok.make_harness(WORLD, dirt=dirt)
    return harness, lambda client: harvest(
        client, since=opentok.NOW - 2 * DAY, until=opentok.NOW, store=folder
    )


def apsaravideo_run(folder, dirt):
    harness = apsaravideo.make_harness(dirt=dirt)
    until = apsaravideo.NOW // DAY * DAY
    return harness, lambda client: harvest(client, since=until - 2 * DAY, until=until, store=folder)


def insights_run(folder, dirt):
    harness = make_harness(simple_world(5), folder, now=MIDNIGHT + 3 * DAY, dirt=dirt)
    return harness, lambda client: harvest_insights(
        client, ["joinSuccessRate", "networkDelay"], since=MIDNIGHT - DAY, until=MIDNIGHT, store=folder
    )


RUNS = {"opentok": opentok_run, "apsaravideo": apsaravideo_run, "insights": insights_run}


def run(vendor, folder, dirt=None):
    """Harvest, and return the report, the rows without the ids of the streams, and the harness with its job."""
    harness, job = RUNS[vendor](folder, dirt)
    report = harness.run(job)
    rows = Counter({row[:-1]: row[-1] for row in open_store(folder).sql(ROWS).fetchall()})
    return report, rows, harness, job


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The rows and the requests of a clean harvest of each vendor."""
    runs = {vendor: run(vendor, tmp_path_factory.mktemp(vendor)) for vendor in RUNS}
    return {vendor: (rows, harness.requests.total()) for vendor, (_, rows, harness, _) in runs.items()}


@pytest.mark.parametrize("seed", [0, *map(slow, range(1, 5))])
@pytest.mark.parametrize("vendor", RUNS)
def test_dirty_world_is_stored_except_for_what_the_report_names(vendor, seed, clean, tmp_path):
    clean_rows, clean_requests = clean[vendor]
    report, rows, harness, job = run(vendor, tmp_path, Dirt(share=0.1, seed=seed, kinds=KINDS))
    assert harness.requests.total() <= clean_requests
    assert not rows - clean_rows
    lost = clean_rows - rows
    if vendor == "opentok":
        check_meetings(lost, report, harness.simulator.seen.unreadable)
    else:
        assert len(report.unreadable) == lost.total()
    assert report.complete
    later = harness.run(job)
    assert (later.unreadable, later.unreadable_before) == ((), len(report.unreadable))


def check_meetings(lost, report, unreadable):
    """Assert that rows are lost only in unreadable samples and meetings, which the report names."""
    named = " ".join(f"{one.unit} {one.record} {one.reason}" for one in report.unreadable)
    sessions = {m.meeting_id: s.session_id for s in WORLD.sessions for m in s.meetings}
    keys = {key for _, key in unreadable}
    for call_id, _, ms, _ in lost:
        time = (
            datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )
        around = [key for key in keys if sessions[call_id] in key]
        whole = [key for key in around if key.count("/") < 2]
        assert whole or any(call_id in key and time in key for key in around)
        assert call_id in named or sessions[call_id] in named or "sessionSummaries" in named


@pytest.mark.parametrize(
    "kind", ["unreadable-optional", *map(slow, ("number-as-text", "control-characters", "raw-deflate"))]
)
@pytest.mark.parametrize("vendor", RUNS)
def test_dirt_that_can_be_read_loses_no_row(vendor, kind, clean, tmp_path):
    clean_rows, clean_requests = clean[vendor]
    report, rows, harness, _ = run(vendor, tmp_path, Dirt(share=0.2, kinds=(kind,)))
    assert rows == clean_rows
    assert (report.unreadable, report.complete) == ((), True)
    assert harness.requests.total() <= clean_requests
