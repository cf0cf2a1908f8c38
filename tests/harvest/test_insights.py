"""Data Insights into a store: each whole day of each metric once, so that join success can be compared."""

from agora_analytics.harvest import harvest_insights
from agora_analytics.store import open_store
from tests.harvest.stage import MIDNIGHT, Stage, simple_world

DAY = 86_400
ENDPOINT = "insight/quality/by_time"


def kept(stage, folder, metrics=("joinSuccessRate",), **range_):
    async def job(client):
        return await harvest_insights(client, metrics, **(range_ | {"store": folder}))

    return stage.run(job)


def test_whole_days_are_kept_once_and_none_before_all_of_it_is_there(tmp_path):
    stage = Stage.of(simple_world(5), tmp_path, at=MIDNIGHT + 12 * 3600)
    report = kept(stage, tmp_path, since=MIDNIGHT - 2 * DAY, until=MIDNIGHT + 3600)
    assert (report.calls, report.requests) == (2, {ENDPOINT: 2})  # today is not whole yet
    store = open_store(tmp_path)
    rows = store.sql("select metric, unit, epoch(ts)::bigint, value from quality order by ts").rows()
    assert {row[:2] for row in rows} == {("join_success_rate", "ratio")}
    assert all(value is None or 0 <= value <= 1 for *_, value in rows)
    assert len(rows) == report.points > 24
    again = kept(stage, tmp_path, since=MIDNIGHT - 2 * DAY, until=MIDNIGHT + 3600)
    assert (again.known_before, again.requests) == (2, {})


def test_the_rows_are_what_the_client_is_told(tmp_path):
    stage = Stage.of(simple_world(5), tmp_path, at=MIDNIGHT + 12 * 3600)
    kept(stage, tmp_path, ("networkDelay", "videoFreezeRate"), since=MIDNIGHT - DAY, until=MIDNIGHT)

    async def asked(client):
        return await client.insights.quality(
            ["networkDelay", "videoFreezeRate"], MIDNIGHT - DAY, MIDNIGHT, granularity="1h"
        )

    told = sorted((row.metric, row.ts, row.value) for row in stage.run(asked))
    rows = open_store(tmp_path).sql("select source_metric, epoch(ts)::bigint, value from points order by all")
    assert sorted(rows.rows()) == told
