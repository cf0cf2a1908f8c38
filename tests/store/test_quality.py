"""The view `quality`: the mapping of each vendor's metrics, and that no row is lost or added."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from agora_analytics.agora.enums import QualityMetric
from agora_analytics.agora.metric_ids import METRIC_IDS, metric_name
from agora_analytics.core.common_metrics import COMMON_METRICS
from agora_analytics.store.quality import MAPPINGS, map_metric

from .sample_calls import APP, CREATED, POINT, SAMPLES, SESSIONS, call, sessions, store_call

COLUMNS = [
    "vendor", "app_id", "channel", "call_id", "session_id", "user_id", "peer_id", "metric", "unit", "ts", "value",
    "source_metric", "day",
]  # fmt: skip


def store_samples(store, samples):
    """Store one call with the given (mid, peer, value)."""
    rows = pa.table(
        {
            "call_id": ["c1"] * len(samples),
            "sid": ["c1-0"] * len(samples),
            "mid": pa.array([mid for mid, _, _ in samples], pa.int32()),
            "peer_uid": [peer for _, peer, _ in samples],
            "ts": pa.array([CREATED] * len(samples), pa.timestamp("s", "UTC")),
            "value": pa.array([value for _, _, value in samples], pa.float64()),
        }
    )
    day = "2026-11-20"
    store.writer.put("metrics", "c1.0", rows, app_id=APP, day=day, pending=True)
    freezes = sessions("c1").append_column("user_video_freeze_rate", pa.array([0.25, None, 0.0]))
    freezes = freezes.append_column("cname", pa.array(["room"] * SESSIONS))
    store.writer.publish(app_id=APP, day=day, metrics=["c1.0"], sessions=freezes, call="c1", row=call("c1"))


def test_agora_metrics_get_common_names_and_units(store):
    store_samples(store, [(20018, "7", 12.5), (20024, "0", 800.0), (20001, "0", 40.0), (29999, "0", None)])
    table = store.table("quality")
    assert table.column_names == COLUMNS
    rows = store.sql(
        "select metric, unit, value, peer_id, source_metric from quality where session_id = 'c1-0'"
    )
    assert sorted(rows.fetchall(), key=str) == sorted(
        [
            ("video_packet_loss_received", "ratio", 0.125, "7", "20018"),
            ("video_bitrate_sent", "kbit/s", 800.0, None, "20024"),
            ("app_cpu", "%", 40.0, None, "20001"),
            ("mid_29999", "", None, None, "29999"),
            ("video_freeze_rate", "ratio", 0.25, None, "user_video_freeze_rate"),
        ],
        key=str,
    )
    (row,) = store.sql(
        "select vendor, app_id, channel, call_id, user_id, ts from quality where metric = 'app_cpu'"
    ).fetchall()
    assert row == ("agora", APP, "room", "c1", str(2**40), datetime.fromtimestamp(CREATED, UTC))


def test_metrics_have_the_name_and_the_unit_of_their_number(store):
    store_samples(store, [(mid, "0", 1.0) for mid in (*METRIC_IDS, 20099, -1)])
    rows = store.sql("select mid, metric, unit from metrics").fetchall()
    expected = [(mid, metric_name(mid), metric.unit) for mid, metric in METRIC_IDS.items()]
    assert sorted(rows) == sorted([*expected, (20099, "mid_20099", ""), (-1, "mid_-1", "")])
    counted = store.sql("select metric, unit, count(*) from quality where metric like 'mid%' group by all")
    assert sorted(counted.fetchall()) == [("mid_-1", "", 1), ("mid_20099", "", 1)]
    mixed = store.sql("select count(*) from quality where try_cast(metric as bigint) is not null")
    assert mixed.fetchall() == [(0,)]


@pytest.mark.parametrize(
    "text",
    [
        "select count(*) from metrics",
        "select mid, avg(value) from metrics where mid = 20003 group by mid",
        "select avg(value) from quality where session_id = 'c1-0'",
    ],
)
def test_query_without_names_does_not_look_them_up(store, text):
    """Names are part of the projection, so DuckDB drops them, and reads only the columns of the query."""
    store_samples(store, [(20003, "0", 1.0)])
    ((_, plan),) = store.sql(f"explain {text}").fetchall()
    assert "audio_send_bitrate" not in plan
    assert "audio_bitrate_sent" not in plan
    assert "peer_uid" not in plan


def test_conditions_on_stored_columns_reach_the_files(store):
    store_samples(store, [(20003, "0", 1.0)])
    text = "select metric, avg(value) from metrics where mid = 20003 group by all"
    ((_, plan),) = store.sql(f"explain {text}").fetchall()
    assert "Filters:mid=20003" in plan.replace(" ", "")


def test_every_sample_of_every_vendor_appears_once(store):
    store_call(store, "c1")
    store.writer.put("points", "m1", POINT, app_id="46", day="2026-11-20", pending=False)
    counted = store.sql("select vendor, count(*) from quality group by 1 order by 1").fetchall()
    assert counted == [("agora", 2 * SAMPLES), ("opentok", POINT.num_rows)]


def test_samples_without_a_session_are_kept(store):
    store.writer.put("metrics", "c9.0", METRIC_WITHOUT_SESSION, app_id=APP, day="2026-11-20", pending=False)
    assert store.sql("select channel, user_id, value from quality").fetchall() == [(None, None, 0.5)]


METRIC_WITHOUT_SESSION = pa.table(
    {
        "call_id": ["c9"],
        "sid": ["s"],
        "mid": pa.array([20022], pa.int32()),
        "peer_uid": ["0"],
        "ts": pa.array([CREATED], pa.timestamp("s", "UTC")),
        "value": [0.5],
    }
)


@pytest.mark.parametrize("vendor", MAPPINGS)
def test_mappings_use_common_names_and_units(vendor):
    for source, mapping in MAPPINGS[vendor].items():
        assert mapping.unit in {COMMON_METRICS[mapping.metric][0], ""}
        assert map_metric(vendor, source) == mapping
    if vendor == "agora":
        assert {int(source) for source in MAPPINGS[vendor] if source.isdigit()} <= set(METRIC_IDS)


def test_join_rates_within_five_seconds_share_a_name():
    mappings = [map_metric("agora", "joinSuccessIn5sRate"), map_metric("apsaravideo", "JoinChannelSucRate")]
    assert {mapping.metric for mapping in mappings} == {"join_success_in_5s_rate"}
    assert map_metric("agora", "joinSuccessRate").metric == "join_success_rate"


def test_all_quality_metrics_of_data_insights_are_ratios():
    assert {map_metric("agora", metric).unit for metric in QualityMetric} == {"ratio"}


def test_metric_without_a_common_name_keeps_its_name():
    mapping = map_metric("opentok", "hlsMinutes", "min")
    assert (mapping.metric, mapping.unit) == ("hlsMinutes", "min")
