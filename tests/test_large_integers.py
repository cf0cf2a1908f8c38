"""Integers above 2^53, which float64 cannot hold exactly: they survive in records and tables, or are a typed error."""

import csv
import io
import json

import pytest

from agora_analytics.agora.arrow import calls_table
from agora_analytics.agora.records import Call
from agora_analytics.core.arrow_columns import arrow_column
from agora_analytics.core.numbers import exact_float
from agora_analytics.core.record_table import pages_table
from agora_analytics.errors import DecodeError, RowsRefused
from agora_analytics.signaling import HistoryMessage
from tests.conftest import NOW, ok, response

pa = pytest.importorskip("pyarrow")

BIG, EXACT, LARGEST = 2**53 + 1, 2**60, 2**63 - 1
HOUR = int(NOW) - 3600
CALL = {"call_id": "c", "cname": "room", "created_ts": HOUR, "destroyed_ts": HOUR + 60, "finished": True}
SESSION = {
    "sid": "s", "cname": "room", "uid": BIG, "network": "WiFi", "platform": "iOS", "speaker": True, "sdk_version": "4",
    "device_type": "phone", "join_ts": HOUR, "leave_ts": HOUR + 60, "finished": True,
}  # fmt: skip


@pytest.mark.parametrize("values", [[BIG, None, -BIG], [LARGEST], [0, -(2**63)]])
def test_column_of_integers_holds_all_of_64_bits(values):
    assert arrow_column("n", values, pa.int64()).to_pylist() == values


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([LARGEST + 1], pa.int64()),
        ([1, -(2**64)], pa.int64()),
        ([2**70], pa.timestamp("s", "UTC")),
        ([BIG], pa.float64()),
        ([0.5, None, -BIG], pa.float64()),
        ([2**1100], pa.float64()),
    ],
)
def test_integer_that_does_not_fit_a_column_is_a_typed_error(values, kind):
    with pytest.raises(DecodeError, match=r"does not fit .* at column n"):
        arrow_column("n", values, kind)


def test_column_of_floats_holds_the_integers_that_are_floats():
    assert arrow_column("n", [EXACT, 0.5, None, -(2**53)], pa.float64()).to_pylist() == [
        EXACT,
        0.5,
        None,
        -(2**53),
    ]


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("66.67", 66.67), (str(BIG), None), (f" {BIG} ", None), (BIG, None), (-BIG, None), (EXACT, EXACT),
        (str(EXACT), EXACT), ("1e300", 1e300), (f"{BIG}.0", float(BIG)), (1e300, 1e300), (10**400, None), ("many", None),
    ],
)  # fmt: skip
def test_exact_float_is_never_another_integer(sent, number):
    assert exact_float(sent) == number


def agora(*lines):
    from tests.agora.harness import scripted

    return scripted(*lines)


def test_uids_and_counts_of_agora_survive():
    page = ok(call_lists=[CALL | {"call_pcu": BIG, "call_acu": LARGEST}], total_size=1)
    harness = agora(page)
    (call,) = harness.run(lambda client: client.calls("2h").collect())
    table = harness.run(lambda client: client.calls("2h").to_arrow())
    assert (call.call_pcu, call.call_acu) == (BIG, LARGEST)
    assert (table["call_pcu"].to_pylist(), table["call_acu"].to_pylist()) == ([BIG], [LARGEST])

    sessions = agora(ok(call_info=[SESSION], total_size=1)).run(
        lambda client: client.sessions(call).to_arrow()
    )
    assert sessions["uid"].to_pylist() == [str(BIG)]


def test_rate_of_a_call_that_no_float_holds_is_a_typed_error():
    calls = [Call(**CALL, call_audio_freeze_rate=rate) for rate in (0.5, BIG)]
    assert calls_table([calls[:1]])["call_audio_freeze_rate"].to_pylist() == [0.5]
    with pytest.raises(DecodeError, match=f"{BIG} does not fit double at column call_audio_freeze_rate"):
        calls_table([calls])


def test_peer_uid_of_a_sample_survives():
    pytest.importorskip("numpy")
    series = [{"mid": 20001, "kvs": [[HOUR, 1]], "peer_uid": BIG}]
    harness = agora(ok(metrics=[{"sid": "s", "data": series}]))
    table = harness.run(
        lambda client: client.metrics("c", sids=["s"], since=HOUR, until=HOUR + 60).to_arrow()
    )
    assert table["peer_uid"].to_pylist() == [str(BIG)]


@pytest.mark.parametrize("value", [BIG, EXACT])
def test_values_of_data_insights_survive_or_are_a_typed_error(value):
    day = int(NOW) // 86_400 * 86_400 - 2 * 86_400
    harness = agora(ok(data=[{"ts": day, "userCount": value}]))
    rows = harness.run(lambda client: client.insights.usage("userCount", day, day + 86_400))
    assert rows[0].value == value
    if value == EXACT:
        assert rows.to_arrow()["value"].to_pylist() == [value]
    else:
        with pytest.raises(DecodeError, match=f"{value} does not fit double.*at column value"):
            rows.to_arrow()


def test_values_of_the_beta_survive_or_are_a_typed_error():
    pytest.importorskip("starlette")
    from tests.beta.harness import SINCE, UNTIL, scripted

    (row,) = rows = scripted(ok(data=[{"ts": SINCE, "userCount": BIG}]), now=UNTIL + 9 * 3600).run(
        lambda client: client.usage(SINCE, UNTIL, metrics="userCount")
    )
    assert row.value == BIG
    with pytest.raises(DecodeError, match=f"{BIG} does not fit double"):
        rows.to_arrow()

    diagnosis = {"user": BIG, "exp_id": 4, "ts": UNTIL, "cause_tags": [{"factor_id": BIG, "host_user": BIG}]}
    table = scripted(ok(data=[diagnosis])).run(lambda client: client.live_diagnosis().to_arrow())
    assert (table["user"].to_pylist(), table["host_user"].to_pylist()) == ([str(BIG)], [str(BIG)])
    assert table["factor_id"].to_pylist() == [BIG]


@pytest.mark.parametrize("sent", [BIG, str(BIG)])
def test_opentok_counts_are_exact_and_no_measurement_is_rounded(sent):
    pytest.importorskip("ariadne")
    pytest.importorskip("jwt")
    from tests.opentok.harness import data as opentok_data
    from tests.opentok.harness import listed, scripted, summaries

    meeting = {
        "meetingId": "m",
        "createdAt": "2026-11-18T00:00:00Z",
        "totalConnections": sent,
        "publisherMinutes": sent,
    }
    session = {"sessionId": "s", "publisherMinutes": sent, "meetings": listed(meeting)}
    harness = scripted(opentok_data(summaries(session)))
    (summary,) = harness.run(lambda client: client.session_summaries("2d").collect())
    assert summary.meetings[0].total_connections == BIG
    assert (summary.publisher_minutes, summary.meetings[0].publisher_minutes) == (None, None)


@pytest.mark.parametrize("sent", [BIG, str(BIG)])
def test_project_data_that_no_float_holds_stay_in_extra(sent):
    pytest.importorskip("ariadne")
    pytest.importorskip("jwt")
    from tests.opentok.harness import data as opentok_data
    from tests.opentok.harness import listed, scripted

    row = {"intervalStart": "2026-11-18T08:00:00Z", "usage": {"hlsMinutes": sent}}
    harness = scripted(opentok_data({"projectData": listed(row)}))
    listing = lambda client: client.project_data("2d", fields=["usage.hlsMinutes"])  # noqa: E731
    (read,) = harness.run(lambda client: listing(client).collect())
    assert (read.values, read.extra) == ({"usage.hlsMinutes": None}, {"usage.hlsMinutes": sent})
    table = harness.run(lambda client: listing(client).to_arrow())
    assert table["usage.hlsMinutes"].to_pylist() == [None]


@pytest.mark.parametrize("sent", [f"{BIG}.0", "1e17"])
def test_id_that_a_float_may_have_changed_is_not_an_id(sent):
    fields = json.dumps(SESSION).replace(str(BIG), sent)
    body = b'{"code":200,"call_info":[%s],"total_size":1}' % fields.encode()
    (page,) = agora(response(body)).run(
        lambda client: _pages(client.sessions("c", since=HOUR, until=HOUR + 60))
    )
    assert page.records == []
    assert [one.key for one in page.skipped] == ["s"]


async def _pages(listing):
    return [page async for page in listing.pages()]


@pytest.mark.parametrize("sent", [BIG, str(BIG)])
def test_value_of_apsaravideo_that_no_float_holds_is_kept_raw(sent):
    pytest.importorskip("starlette")
    from tests.apsaravideo.harness import scripted

    node = {"Timestamp": str(HOUR * 1000), "Value": sent}
    harness = scripted(response({"Nodes": [node], "SummaryData": sent, "RequestId": "r"}))
    listing = lambda client: client.interaction_metrics("VideoStuckRate", HOUR - 60, HOUR + 60)  # noqa: E731
    (point,) = harness.run(lambda client: listing(client).collect())
    table = harness.run(lambda client: listing(client).to_arrow())
    assert (point.value, point.raw) == (None, str(BIG))
    assert (table["value"].to_pylist(), table["raw"].to_pylist()) == ([None], [str(BIG)])


def test_times_of_signaling_messages_survive_or_are_named():
    pytest.importorskip("starlette")
    from tests.signaling.harness import scripted

    def page(timestamp):
        message = {"publisher": BIG, "message": "hi", "timestamp": timestamp}
        body = {"errorCode": 200, "data": {"messageList": [message], "newStart": 0}}
        harness = scripted(response(body))
        return harness.run(lambda client: anext(client.history("ann", "room").pages()))

    (message,) = page(BIG).records
    assert (message.timestamp, message.publisher) == (BIG, str(BIG))
    assert pages_table([page(BIG)], kind=HistoryMessage)["timestamp"].to_pylist() == [BIG]
    assert [skipped.reason for skipped in page(2**70).skipped] == [
        f"timestamp: {2**70} is not an integer of 64 bits"
    ]


def test_empty_history_has_the_columns_of_its_messages():
    pytest.importorskip("starlette")
    from tests.signaling.harness import scripted

    body = {"errorCode": 200, "data": {"messageList": [], "newStart": 0}}
    table = scripted(response(body)).run(lambda client: client.history("ann", "room").to_arrow())
    assert table.schema.field("timestamp").type == pa.int64()
    assert table.num_rows == 0


def test_points_of_the_harvest_survive_or_are_a_typed_error():
    pytest.importorskip("duckdb")
    pytest.importorskip("portalocker")
    from datetime import UTC, datetime

    from agora_analytics.harvest.points import points_table

    def point(source, value):
        return {"ts": datetime(2026, 11, 20, tzinfo=UTC), "source": source, "value": value}

    assert points_table("agora", [point("unknown", EXACT)])["value"].to_pylist() == [EXACT]
    with pytest.raises(RowsRefused, match=f"{BIG} does not fit double"):
        points_table("agora", [point("unknown", BIG)])


@pytest.mark.parametrize("file_format", ["json", "jsonl", "csv", "parquet", "table"])
def test_output_of_the_command_line_is_exact(file_format, tmp_path, capsys):
    pytest.importorskip("typer")
    from agora_analytics.cli.metric_tables import metric_rows
    from agora_analytics.cli.output import Format, Output, write_table

    kind = metric_rows(["userCount"], name="times", over_time=True)
    rows = kind.table([{"ts": HOUR, "userCount": BIG}])
    file = tmp_path / "rows.parquet" if file_format == "parquet" else None
    write_table(rows, kind, Output(chosen_format=Format(file_format), file=file))
    text = capsys.readouterr().out
    if file is not None:
        import pyarrow.parquet as pq

        assert pq.read_table(file)["userCount"].to_pylist() == [BIG]
    elif file_format == "csv":
        assert next(csv.DictReader(io.StringIO(text)))["userCount"] == str(BIG)
    elif file_format == "table":
        assert f"{BIG:,}" in text
    else:
        (row,) = json.loads(text) if file_format == "json" else [json.loads(text)]
        assert row["userCount"] == BIG


def test_integer_that_fits_no_column_of_a_command_is_a_typed_error():
    pytest.importorskip("typer")
    from agora_analytics.cli.metric_tables import metric_rows

    kind = metric_rows(["videoFreezeRate"], name="times", over_time=True)
    with pytest.raises(DecodeError, match=f"{BIG} does not fit double"):
        kind.table([{"ts": HOUR, "videoFreezeRate": BIG}])
