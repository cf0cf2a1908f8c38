import csv
import io
import json
import os
import re
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import attrs
import pyarrow.parquet as pq
import pytest

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.cli import main
from agora_analytics.cli.app import EXAMPLES
from agora_analytics.cli.runner import MEANINGS
from agora_analytics.schemas import CALLS, SESSIONS
from agora_analytics.simulator import Simulator, World, serve_in_thread

DAY = ("--since", "1d")


@pytest.fixture
def all_of(start):
    """Run commands side by side to their ends; give what each wrote."""

    def run(*commands):
        running = [start(*words) for words in commands]
        done = [(process, *process.communicate(timeout=60)) for process in running]
        for process, _, err in done:
            assert process.returncode == 0, err
        return [out for _, out, _ in done]

    return run


@pytest.fixture
def call(world):
    """A call of several users, so that there is somebody to receive."""
    return max(world.calls, key=lambda call: len(call.sessions))


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def from_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.slow
def test_calls_are_equal_in_all_formats(all_of, base_url, world, tmp_path):
    array, by_line, as_csv, table, _ = all_of(
        ("calls", *DAY, "--format", "json"),
        ("calls", *DAY, "--format", "jsonl"),
        ("calls", *DAY, "--format", "csv"),
        ("calls", *DAY),
        ("calls", *DAY, "--output", "calls.parquet"),
    )
    rows = json.loads(array)
    assert rows == lines(by_line)
    assert {row["call_id"] for row in rows} == {call.call_id for call in world.calls}
    assert all(later["created_ts"] >= earlier["created_ts"] for later, earlier in pairwise(rows))
    assert rows[0]["created_ts"].endswith("Z")
    flat = from_csv(as_csv)
    assert [row["call_id"] for row in flat] == [row["call_id"] for row in rows]
    assert [row["finished"] for row in flat] == ["true"] * 12
    assert all(row["call_id"] in table for row in rows)
    assert "12 calls" in table
    stored = pq.read_table(tmp_path / "calls.parquet")
    assert stored.column_names == CALLS.names == list(rows[0])
    assert [f"{ts:%Y-%m-%dT%H:%M:%SZ}" for ts in stored["created_ts"].to_pylist()] == [
        row["created_ts"] for row in rows
    ]


@pytest.mark.slow
def test_limit_is_applied_and_reported(all_of, base_url):
    table, by_line, nothing = all_of(
        ("calls", *DAY, "--limit", "3"),
        ("calls", *DAY, "-n", "3", "-f", "jsonl"),
        ("calls", *DAY, "--cname", "nobody", "-f", "csv"),
    )
    assert "3 calls; there are more (--limit 0: all)" in table
    assert len(lines(by_line)) == 3
    assert nothing == ",".join(CALLS.names) + "\n"


@pytest.mark.slow
def test_sessions_are_equal_by_search_around_and_range(all_of, base_url, call, world):
    table, searched, around, ranged, one, none = all_of(
        ("sessions", call.call_id, "--limit", "0"),
        ("sessions", call.call_id, "-f", "json"),
        ("sessions", call.call_id, "-f", "json", "--around", call.created_ts),
        (
            "sessions",
            call.call_id,
            "-f",
            "json",
            "--since",
            call.created_ts,
            "--until",
            call.destroyed_ts + 1,
        ),
        ("sessions", call.call_id, "-f", "jsonl", "--user", call.sessions[0].uid),
        ("sessions", call.call_id, "-f", "json", "--user", "nobody-1"),
    )
    rows = json.loads(searched)
    assert json.loads(around) == json.loads(ranged) == rows
    assert {row["sid"] for row in rows} == {session.sid for session in call.sessions}
    assert list(rows[0]) == SESSIONS.names
    assert {row["uid"] for row in lines(one)} == {call.sessions[0].uid}
    assert json.loads(none) == []
    assert all(session.uid in table for session in call.sessions)


@pytest.mark.slow
def test_metrics_as_samples_and_as_series(all_of, base_url, call, world, tmp_path):
    samples, as_csv, series, table, _ = all_of(
        ("metrics", call.call_id, "-f", "jsonl"),
        ("metrics", call.call_id, "-f", "csv", "-m", "video_render_freeze", "-m", "20001"),
        ("metrics", call.call_id, "-f", "json", "--each", "series"),
        ("metrics", call.call_id, "--limit", "0"),
        ("metrics", call.call_id, "-o", "metrics.parquet"),
    )
    expected = [one for session in call.sessions for one in world.points(session)]
    rows = lines(samples)
    assert len(rows) == sum(len(one.ts) for one in expected)
    assert len(json.loads(series)) == len(expected)
    assert {row["mid"] for row in from_csv(as_csv)} <= {"20011", "20001"}
    assert {row["metric"] for row in from_csv(as_csv)} <= {"video_render_freeze", "app_cpu"}
    assert sum(one["samples"] for one in json.loads(series)) == len(rows)
    assert f"{len(expected):,} series" in table
    stored = pq.read_table(tmp_path / "metrics.parquet")
    assert stored.num_rows == len(rows)
    assert stored["value"].to_pylist() == [row["value"] for row in rows]


@pytest.mark.slow
def test_inspect_draws_users_and_writes_their_means(all_of, base_url, call):
    drawn, one_user, array, as_csv, _, _ = all_of(
        ("inspect", call.call_id, "--users", "all"),
        ("inspect", call.call_id, "--users", "1"),
        ("inspect", call.call_id, "--format", "json"),
        ("inspect", call.call_id, "--format", "csv"),
        ("inspect", call.call_id, "-o", "call.txt", "--format", "table"),
        ("inspect", call.call_id, "-o", "call.parquet"),
    )
    users = {session.uid for session in call.sessions}
    assert call.call_id in drawn
    assert all(uid in drawn for uid in users)
    assert drawn.count("  loss  ") == drawn.count("  freeze ") == drawn.count("  received ") == len(users)
    assert "▁" in drawn
    assert "requests (call/lists" in drawn
    assert one_user.count("  loss  ") == 1
    assert f"{len(users) - 1} more users" in one_user
    rows = json.loads(array)
    assert {row["uid"] for row in rows} == users
    assert [row["uid"] for row in from_csv(as_csv)] == [row["uid"] for row in rows]
    freezes = [row["freeze"] or 0 for row in rows]
    assert freezes == sorted(freezes, reverse=True)
    assert all(0 <= freeze <= 1 for freeze in freezes)


@pytest.mark.slow
def test_inspect_writes_a_page(all_of, base_url, call, tmp_path):
    all_of(("inspect", call.call_id, "-o", "call.html"))
    page = (tmp_path / "call.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert all(f"<td>{session.uid}</td>" in page for session in call.sessions)
    assert page.count("data-chart=") > 5


@pytest.mark.slow
def test_rows_are_streamed_and_a_closed_pipe_is_not_an_error(start, base_url, call):
    process = start("metrics", call.call_id, "--format", "jsonl")
    assert json.loads(process.stdout.readline())["call_id"] == call.call_id
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 141
    process.stdout = None
    table = start("calls", *DAY)
    table.stdout.close()
    assert table.stderr.read() == ""
    assert table.wait(20) == 141
    table.stdout = None


@pytest.mark.slow
def test_search_stops_at_its_request_limit(command, fails, serving):
    until = int(time.time()) - 1000
    many = World.generate(since=until - 3600, until=until, calls=150, simple=True, minutes=1)
    with serving(many) as url:
        words = ("sessions", "nope", *DAY, "--base-url", url)
        assert "raise --spend" in fails(2, *words, "--spend", "1")
        room = many.calls[0].cname
        message = fails(2, *words, "--cname", room)
        assert f"no call with the id nope in channel {room} from" in message


@pytest.mark.slow
def test_rows_before_an_error_are_written_and_counted(start, world, tmp_path):
    less = {
        name: attrs.evolve(limits, per_day=1) if name == "call/lists" else limits
        for name, limits in ENTERPRISE.limits.items()
    }
    until = int(time.time()) - 1000
    many = World.generate(since=until - 3600, until=until, calls=150, simple=True, minutes=1)
    with serve_in_thread(Simulator(many, plan=attrs.evolve(ENTERPRISE, limits=less))) as url:
        process = start("calls", *DAY, "--base-url", url, "-o", "calls.json")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "100 calls were written to calls.json before that" in err
    assert err.count("\n") == 1
    assert len(json.loads((tmp_path / "calls.json").read_text())) == 100
    assert out == ""


@pytest.mark.slow
def test_links_and_named_pipes_are_written_directly(all_of, base_url, tmp_path):
    (tmp_path / "real.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe.csv").read_text()))
    reader.start()
    all_of(("calls", *DAY, "-o", "link.csv"), ("calls", *DAY, "-o", "pipe.csv"))
    reader.join(60)
    assert (tmp_path / "link.csv").is_symlink()
    assert read == [(tmp_path / "real.csv").read_text()]
    assert len(from_csv(read[0])) == 12
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.slow
def test_invalid_options_are_one_line(fails, base_url, call, tmp_path):
    cases = {
        "--format parquet needs --output FILE": (2, ("calls", "--format", "parquet")),
        "--format html needs --output FILE": (2, ("inspect", call.call_id, "--format", "html")),
        "this command writes no HTML page": (2, ("calls", "--output", "calls.html")),
        "no call with the id nope": (2, ("inspect", "nope", *DAY)),
        "use either --around, or --since and --until": (
            2,
            ("sessions", call.call_id, "--around", "1h", "--since", "2h"),
        ),
        "unknown metric 'freez'; use an id or one of audio_render_freeze, video_": (
            2,
            ("metrics", call.call_id, "-m", "freez"),
        ),
        "--users many": (2, ("inspect", call.call_id, "--users", "many")),
        "inspect --help": (2, ("inspect",)),
        "looks like milliseconds": (2, ("calls", "--since", "1763000000000")),
        "cannot write nowhere/calls.csv": (73, ("calls", "-o", "nowhere/calls.csv")),
        "check the app id": (77, ("sessions", call.call_id, "--app-id", "nope")),
        "'stand up' cannot be a call id": (2, ("inspect", "stand up", *DAY)),
        "'standup' does not look like a call id": (2, ("inspect", "standup")),
        "standard, premium, enterprise": (78, ("metrics", "x", "--plan", "gold")),
    }
    message = fails.all(*cases.values())
    for expected, line in zip(cases, message, strict=True):
        assert expected in line


@pytest.mark.slow
def test_ctrl_c_in_a_listing_is_one_line(start, world):
    simulator = Simulator(world, latency=(6.0, 6.0))
    with serve_in_thread(simulator) as url:
        process = start("calls", *DAY, "--base-url", url)
        while not simulator.seen.requests.total():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "agora-analytics: stopped\n")


def test_help_of_every_command_has_examples_and_fits_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    for name, examples in EXAMPLES.items():
        assert main([name, "--help"]) == 0
        out = capsys.readouterr().out
        assert name in overview
        assert all(example in out for example in examples if len(example) < 70)
        assert all(example.split()[1] == name for example in examples)
        assert max(map(len, out.splitlines())) <= 80


def test_shell_completion_of_commands_and_metrics(start):
    asked = {
        "agora-analytics ins": "inspect",
        "agora-analytics usage peakConcurrentU": "peakConcurrentUsers",
        "agora-analytics metrics X --metric video_render": "video_render_freeze",
    }
    completing = {
        words: start(
            env={
                "_AGORA_ANALYTICS_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            }
        )
        for words in asked
    }
    for words, process in completing.items():
        out, err = process.communicate(timeout=60)
        assert out.split() == [asked[words]], err


def test_manual_names_every_command_and_exit_code():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    codes = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)}
    assert codes == dict(MEANINGS)
    assert all(f"`{name}" in page for name in EXAMPLES)


@pytest.mark.slow
def test_piped_table_ignores_the_variable_columns(command, base_url):
    wide, narrow = (
        command("calls", "--since", "1d", env={"COLUMNS": columns}).stdout for columns in ("200", "40")
    )
    assert wide == narrow
