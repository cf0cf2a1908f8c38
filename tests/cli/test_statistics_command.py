import csv
import io
import json
import time
from itertools import pairwise

import attrs
import pyarrow.parquet as pq
import pytest

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.agora.stat_records import FreezeBucket, GroupStatistic
from agora_analytics.cli import terminal
from agora_analytics.cli.commands.statistics import freeze_view, groups_view, minutes_view
from agora_analytics.cli.output.table import TableWriter
from agora_analytics.simulator import CallTruth, SessionTruth, Simulator, World, serve_in_thread
from tests.cli.test_tables_and_charts import START, fake_terminal

HOUR = 3600
RATES = ["audio_freeze_rate", "video_freeze_rate"]


@pytest.fixture
def call(world):
    return max(world.calls, key=lambda call: len(call.sessions))


@pytest.fixture
def users(call):
    return len({session.uid for session in call.sessions if not session.server})


@pytest.fixture
def rows_of(command):
    """Run `statistics` and return its rows. Pass `--around`, because a longer search may print a hint."""

    def run(*words):
        done = command("statistics", *words, "--format", "json")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


@pytest.fixture
def ten_hours():
    """A call that is longer than any plan's longest question."""
    begin = (int(time.time()) // HOUR - 12) * HOUR
    ends = {"created_ts": begin, "destroyed_ts": begin + 10 * HOUR}
    stays = {"join_ts": begin, "leave_ts": begin + 10 * HOUR}
    sessions = tuple(SessionTruth(sid=f"S{uid}", uid=str(uid), key=uid, **stays) for uid in range(4))
    return CallTruth(call_id="long", cname="r", sessions=sessions, **ends)


@pytest.mark.slow
def test_groups_contain_every_user_once_in_all_formats(command, rows_of, base_url, call, users, tmp_path):
    around = ("--around", call.created_ts)
    rows = rows_of(call.call_id, *around)
    assert {row["dimension"] for row in rows} == {"net"}
    assert {row["call_id"] for row in rows} == {call.call_id}
    for metric in RATES:
        assert sum(row[f"{metric}_users"] for row in rows) == users
        assert all(row[metric] is None or 0 <= row[metric] <= 1 for row in rows)
    counts = [row["audio_freeze_rate_users"] for row in rows]
    assert counts == sorted(counts, reverse=True)
    by_line = command("statistics", call.call_id, *around, "-f", "jsonl").stdout
    assert [json.loads(line) for line in by_line.splitlines()] == rows
    flat = csv.DictReader(io.StringIO(command("statistics", call.call_id, *around, "-f", "csv").stdout))
    assert [row["dimension_value"] for row in flat] == [row["dimension_value"] for row in rows]
    assert command("statistics", call.call_id, *around, "-o", "groups.parquet").returncode == 0
    stored = pq.read_table(tmp_path / "groups.parquet")
    assert stored.column_names == list(rows[0])
    assert stored["audio_freeze_rate"].to_pylist() == [row["audio_freeze_rate"] for row in rows]
    table = command("statistics", call.call_id, *around).stdout
    assert all(row["dimension_value"] in table for row in rows)
    assert f"{len(rows)} group" in table


def test_groups_by_another_dimension_and_one_metric(rows_of, base_url, call, users):
    rows = rows_of(call.call_id, "--around", call.created_ts, "--by", "os", "-m", "video-freeze-rate")
    assert {row["dimension"] for row in rows} == {"os"}
    assert sum(row["video_freeze_rate_users"] for row in rows) == users
    assert not any("audio_freeze_rate" in row for row in rows)


@pytest.mark.slow
def test_freeze_buckets_are_in_ascending_order(rows_of, base_url, call, users):
    rows = rows_of(call.call_id, "--around", call.created_ts, "--freeze")
    assert list(rows[0])[3:] == ["bucket", "audio_freeze_rate_users", "video_freeze_rate_users"]
    order = ["[0%,3%)", "[3%,5%)", "[5%,10%)", "[10%,100%)"]
    buckets = [row["bucket"] for row in rows]
    assert buckets == [bucket for bucket in order if bucket in buckets]
    for metric in RATES:
        assert sum(row[f"{metric}_users"] or 0 for row in rows) == users


@pytest.mark.slow
def test_minutes_are_complete_and_in_order(rows_of, base_url, call, users):
    words = (call.call_id, "--around", call.created_ts, "--over-time")
    rows = rows_of(*words)
    assert list(rows[0]) == ["call_id", "ts", "user_count", *RATES]
    times = [row["ts"] for row in rows]
    assert len(times) == call.destroyed_ts // 60 - call.created_ts // 60 + 1
    assert all(earlier < later for earlier, later in pairwise(times))
    assert 0 < max(row["user_count"] for row in rows) <= users
    frozen = rows_of(*words, "-m", "audio_freeze_user_count")
    assert [row["ts"] for row in frozen] == times


@pytest.mark.slow
def test_long_call_is_fetched_in_parts_and_a_range_skips_the_search(rows_of, ten_hours):
    simulator = Simulator(World([ten_hours]))
    begin, end = ten_hours.created_ts, ten_hours.destroyed_ts
    with serve_in_thread(simulator) as url:
        words = ("long", "--base-url", url, "--since", begin, "--until", end)
        parts = rows_of(*words, "--by", "os", "-m", "video_freeze_rate")
        minutes = rows_of(*words, "--over-time", "-m", "user_count")
    sinces = [row["since"] for row in parts]
    assert sinces == sorted(sinces)
    assert len(set(sinces)) == 2
    first = begin // 60 * 60
    assert len(minutes) == len({row["ts"] for row in minutes}) == (end - 1 - first) // 60 + 1
    assert simulator.seen.requests == {"call/statistics": 2, "call/statistics/time": 2}


def test_statistics_before_an_error_are_written(start, world, call, tmp_path):
    less = dict(ENTERPRISE.limits)
    less["call/statistics"] = attrs.evolve(less["call/statistics"], per_day=1)
    with serve_in_thread(Simulator(world, plan=attrs.evolve(ENTERPRISE, limits=less))) as url:
        process = start("statistics", call.call_id, "--base-url", url, "-o", "groups.json")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 75
    rows = json.loads((tmp_path / "groups.json").read_text(encoding="utf-8"))
    assert f"{len(rows)} groups were written to groups.json before that" in err
    assert all(row["audio_freeze_rate_users"] and row["video_freeze_rate_users"] is None for row in rows)


@pytest.mark.slow
def test_invalid_queries_are_reported(fails, base_url, call):
    cases = {
        "cannot be combined; use one": ("--freeze", "--over-time"),
        "--by, --freeze and --over-time": ("--freeze", "--by", "net"),
        "unknown metric 'user_count'; use one of audio_freeze_rate": ("-m", "user_count"),
        "unknown metric 'joinSuccessRate'; use one of user_count": ("--over-time", "-m", "joinSuccessRate"),
        "channelSize is not a dimension": ("--by", "channelSize"),
        "--format parquet needs --output FILE": ("-f", "parquet"),
    }
    message = fails.all(*((2, ("statistics", call.call_id, *words)) for words in cases.values()))
    for expected, line in zip(cases, message, strict=True):
        assert expected in line
    assert "no call with the id nope" in fails(2, "statistics", "nope", "--around", call.created_ts)


def group(metric, value, users, *, name="Wi-Fi", until=START + 599):
    ends = {"since": START, "until": until}
    return GroupStatistic(
        metric=metric, dimension="net", dimension_value=name, user_count=users, value=value, **ends
    )


def bucket(metric, name, users):
    return FreezeBucket(metric=metric, bucket=name, user_count=users, since=START, until=START + 599)


@pytest.fixture(params=[80, 160])
def drawn(request, monkeypatch):
    """Return what draws a question's records on a terminal of 80 or 160 columns, and its width."""

    def draw(view, metrics, records):
        console = fake_terminal(request.param)
        monkeypatch.setattr(terminal, "out", lambda _file: console)
        table = TableWriter(view.rows(metrics))
        table.add(view.table("c1", metrics, records))
        table.finish()
        lines = console.file.getvalue().splitlines()
        assert max(map(len, lines)) <= request.param
        return lines

    return request.param, draw


def titles_and_rows(lines):
    """Return the words above the rule of a table, and the lines under it."""
    (rule,) = (place for place, line in enumerate(lines) if line.startswith("─"))
    return " ".join(lines[:rule]).split(), lines[rule + 1 :]


def test_groups_table_fits_the_terminal_and_shows_differing_counts(drawn):
    width, draw = drawn
    audio, video = RATES
    lines = draw(
        groups_view("net"),
        RATES,
        [
            group(audio, 0.0123, 3),
            group(audio, 0.2, 1200, name="a network with a very long name indeed"),
            # An ongoing call was queried one second later.
            group(video, 0.0456, 3, until=START + 600),
            group(video, None, 1190, name="a network with a very long name indeed"),
        ],
    )
    titles, rows = titles_and_rows(lines)
    assert {"network", "users", "audio", "freeze", "video", "from"} <= set(titles)
    assert ("up" in titles) == (width == 160)
    first, second, count, *_ = rows
    assert "1,200 / 1,190" in first
    assert first.split("%")[0].endswith(" 20.0 ")
    assert second.split()[:6] == ["Wi-Fi", "3", "1.2", "%", "4.6", "%"]
    assert count == "2 groups"


def test_buckets_and_minutes_tables_fit_the_terminal(drawn):
    _, draw = drawn
    audio, video = RATES
    lines = draw(
        freeze_view(),
        RATES,
        [bucket(video, "[10%,100%)", 2), bucket(audio, "[0%,3%)", 7), bucket(video, "[0%,3%)", 5)],
    )
    titles, rows = titles_and_rows(lines)
    assert [line.split()[:6] for line in rows[:2]] == [
        ["0", "to", "3", "%", "7", "5"],
        ["10", "to", "100", "%", "-", "2"],
    ]
    assert "up" in titles  # a title is wrapped before a column is left out
    assert draw(minutes_view(), ["user_count"], []) == ["no minutes"]
