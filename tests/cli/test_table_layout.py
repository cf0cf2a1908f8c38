"""The layout of tables and the names of metrics, without a terminal."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from agora_analytics.agora.common_metrics import METRIC_MAPPINGS as AGORA
from agora_analytics.apsaravideo.spec import METRIC_MAPPINGS as APSARAVIDEO
from agora_analytics.cli.commands.metrics import _mids
from agora_analytics.cli.commands.realtime import _group_rows
from agora_analytics.cli.metric_tables import metrics_of
from agora_analytics.cli.metric_titles import title_of, unit_text
from agora_analytics.cli.output.columns import RowKind, TableColumn, number, plain, row_schema
from agora_analytics.cli.output.layout import lay_out
from agora_analytics.cli.output.table import TableWriter, query_result
from agora_analytics.opentok.spec import METRIC_MAPPINGS as OPENTOK

NAME = TableColumn("name", plain("name"), least=8)
FREEZE = TableColumn("video freeze", plain("freeze"), right=True)
ID = TableColumn("session id", plain("id"), below=True)
COLUMNS = [NAME, FREEZE, ID]
ROWS = [["town-hall-room", "1.2 %", "1_MX40NTAwMDAwMX5"], ["日本語", "-", "2_MX40NTAwMDAwMX5"]]


def drawn(width, columns=COLUMNS, rows=ROWS):
    layout = lay_out(columns, rows, width)
    lines = list(layout.title_lines(columns))
    for row in rows:
        lines += layout.row_lines(columns, row, "…")
    return lines


def test_everything_is_on_one_line_where_it_fits():
    assert drawn(None) == [
        "name            video freeze  session id",
        "town-hall-room         1.2 %  1_MX40NTAwMDAwMX5",
        "日本語                     -  2_MX40NTAwMDAwMX5",
    ]


def test_titles_are_wrapped_first():
    assert drawn(41) == [
        "                 video",
        "name            freeze  session id",
        "town-hall-room   1.2 %  1_MX40NTAwMDAwMX5",
        "日本語               -  2_MX40NTAwMDAwMX5",
    ]


def test_texts_are_cut_before_an_id_moves_below():
    assert drawn(35)[2:] == [
        "town-ha…   1.2 %  1_MX40NTAwMDAwMX5",
        "日本語         -  2_MX40NTAwMDAwMX5",
    ]


def test_ids_move_below_before_a_column_is_left_out():
    assert drawn(30) == [
        "name            video freeze",
        "  session id",
        "town-hall-room         1.2 %",
        "  1_MX40NTAwMDAwMX5",
        "日本語                     -",
        "  2_MX40NTAwMDAwMX5",
    ]


def test_last_columns_are_left_out_and_ids_stay():
    layout = lay_out(COLUMNS, ROWS, 12)
    assert layout.left_out == (1,)
    assert layout.below == (2,)
    assert "  1_MX40NTAwMDAwMX5" in drawn(12)


def test_wide_characters_are_cut_by_their_width():
    assert drawn(7, [TableColumn("name", plain("name"), least=4)], [["日本語日本語"]])[-1] == "日本語…"


@pytest.fixture
def written(capsys):
    """Write a table with a column of numbers, and return its lines."""

    def lines(name, numbers):
        column = TableColumn("calls", number("n"), right=True, chart="n")
        kind = RowKind(name=name, schema=row_schema({"n": "int64"}), columns=(column,))
        writer = TableWriter(kind)
        writer.add(kind.table({"n": value} for value in numbers))
        writer.finish()
        return capsys.readouterr().out.splitlines()

    return lines


@pytest.mark.parametrize(("name", "count"), [("hours", "1 hour"), ("series", "1 series")])
def test_one_row_is_counted_in_the_singular(name, count, written):
    assert written(name, [3])[-1] == count


def test_chart_begins_with_the_oldest_row(written):
    """The rows of a table are the newest first."""
    assert written("hours", [8, 4, 0])[-4:] == [
        "",
        "calls  ▁▅█  0 to 8",
        "from the oldest to the newest row",
        "3 hours",
    ]
    assert written("hours", [8, 4])[-2:] == ["    4", "2 hours"]


def test_chart_of_many_rows_has_their_means(written):
    chart = written("hours", range(600, 0, -1))[-3]
    _, blocks, *_ = chart.split()
    assert len(blocks) == 60
    assert list(blocks) == sorted(blocks)


def test_query_result_never_cuts_an_id():
    row = {"cname": "a channel with a long name", "call_id": "32f5bd806ed925d2c2027ecf"}
    columns = query_result(pa.table({name: [text] for name, text in row.items()})).columns
    assert drawn(40, columns, [[column.text(row) for column in columns]])[-1] == (
        "a channel wit…  32f5bd806ed925d2c2027ecf"
    )


def test_one_name_for_one_metric_of_all_vendors():
    """Two names mean two common metrics; a title of one vendor is never that of another metric."""
    mappings = {
        name: mapping.metric for vendor in (AGORA, OPENTOK, APSARAVIDEO) for name, mapping in vendor.items()
    }
    by_metric = {}
    for name, metric in mappings.items():
        by_metric.setdefault(metric, set()).add(title_of(name))
    assert all(len(titles) == 1 for titles in by_metric.values())
    titles = [title for (title,) in by_metric.values()]
    assert len(set(titles)) == len(titles)
    assert not [title for title in titles if "_" in title]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("videoFreezeRate", "video freeze"),
        ("VideoStuckRate", "video freeze"),
        ("user_video_freeze_rate", "video freeze"),
        ("video_freeze_rate", "video freeze"),
        ("20018", "video loss received"),
        ("userCount", "users"),
        ("usage.participantMinutes.from1To25Publishers", "participant minutes from 1 to 25 publishers"),
        ("errors.connect.failures", "connect failures"),
    ],
)
def test_titles_are_words_of_readers(name, title):
    assert title_of(name) == title


def test_unit_of_a_bitrate_is_the_same_for_all_vendors():
    assert (unit_text("Kbps"), unit_text("ms"), unit_text("")) == ("kbit/s", "ms", "")


def test_titles_are_accepted_as_metrics():
    assert metrics_of(
        ["video freeze", "user-count", "networkDelay"], ["userCount", "videoFreezeRate", "networkDelay"]
    ) == [
        "videoFreezeRate",
        "userCount",
        "networkDelay",
    ]
    assert _mids(["round trip time", "router_round_trip", "20011"]) == {20022, 20011}


def test_groups_of_a_window_begin_with_the_most_users():
    groups = [
        SimpleNamespace(
            window_start_ts=0, dimension="net", dimension_value=name, metric="videoFreezeRate", value=0.5,
            user_count=users,
        )
        for name, users in (("4G", 3), ("unknown", None), ("Wi-Fi", 12))
    ]  # fmt: skip
    assert [row["dimension_value"] for row in _group_rows(groups)] == ["Wi-Fi", "4G", "unknown"]
